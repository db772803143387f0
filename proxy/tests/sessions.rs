//! Sessions as the proxy uses them: when one begins, what it carries, and from whom to whom.

#[path = "support/layer.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod layer;
#[path = "support/ports.rs"]
mod ports;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;

use std::{
    thread,
    time::{Duration, Instant},
};

use http::{HeaderMap, StatusCode, header::CACHE_CONTROL};
use layer::{Client, Proxy, headers, on_both_stores, runtime};
use redis::RedisServer;
use rondel_proxy::session::{SessionSettings, Sessions, check_capture_header};

const JWT: &str = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2lnbmF0dXJl";

// ------------------------------------------------------------------------------- the cookie

#[test]
fn a_session_is_begun_once_and_carried_over_by_any_backend() {
    on_both_stores(|proxy| {
        let mut client = Client::default();
        let first = proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session-Cart", "apple")]);
        assert!(client.cookie().starts_with("rondel_sid=v1."));
        assert!(client.cookie().contains(".b1."));
        assert_eq!(first.got("cache-control"), Some("private"));
        assert!(first.got("rondel-session-cart").is_none());
        for backend in ["b2", "b3", "b1"] {
            let next = proxy.exchange(&mut client, &[], backend, &[]);
            assert_eq!(next.key(), first.key());
            assert_eq!(next.sent("rondel-session-cart"), Some("apple"));
            assert!(!next.sets_cookie() && next.got("cache-control").is_none());
        }
    });
}

#[test]
fn the_cookie_names_the_backend() {
    let proxy = Proxy::new(|_| {});
    let mut client = Client::default();
    proxy.exchange(&mut client, &[], "web-7", &[]);
    let request = headers(&[("cookie", client.cookie())]);
    let session = proxy.workers.block_on(proxy.sessions.open(&request)).unwrap();
    assert_eq!(session.backend(), Some("web-7"));
}

#[test]
fn no_cookie_where_a_shared_cache_or_nobody_would_keep_it() {
    on_both_stores(|proxy| {
        for (status, response) in [
            (StatusCode::NOT_MODIFIED, vec![]),
            (StatusCode::SWITCHING_PROTOCOLS, vec![]),
            (StatusCode::OK, vec![("cache-control", "public, max-age=60")]),
            (StatusCode::OK, vec![("cache-control", "s-maxage=60")]),
        ] {
            let mut client = Client::default();
            let answer = proxy.exchange_with(&mut client, &[], "b1", status, &response);
            assert!(!answer.sets_cookie(), "{status} {response:?}");
            assert_eq!(answer.to_client.len(), response.len());
        }
        let mut client = Client::default();
        let answer = proxy.exchange(&mut client, &[], "b1", &[("cache-control", "max-age=60")]);
        assert!(answer.sets_cookie());
        assert_eq!(answer.to_client[CACHE_CONTROL], "max-age=60, private");
    });
}

#[test]
fn an_id_that_we_did_not_mint_or_whose_record_is_gone_is_not_adopted() {
    on_both_stores(|proxy| {
        let stranger = Proxy::new(|settings| settings.secrets = vec![b"another secret".to_vec()]);
        let mut client = Client::default();
        stranger.get(&mut client, &[]);
        let theirs = client.clone();
        let answer = proxy.get(&mut client, &[]);
        assert!(answer.sets_cookie());
        assert_ne!(client.cookie, theirs.cookie);

        // Minted under our secret, but its record is somewhere else.
        let elsewhere = Proxy::new(|_| {});
        let mut client = Client::default();
        let first = elsewhere.get(&mut client, &[]);
        let before = client.clone();
        let answer = proxy.get(&mut client, &[]);
        assert!(answer.sets_cookie());
        assert_ne!(client.cookie, before.cookie);
        assert_ne!(answer.key(), first.key());
    });
}

#[test]
fn a_session_ends_when_it_is_not_used_and_lives_on_when_it_is() {
    let redis = RedisServer::start();
    let brief = |settings: &mut SessionSettings| settings.idle = Duration::from_secs(4);
    let embedded = Proxy::new(brief);
    let far = Proxy::new(|settings| {
        brief(settings);
        settings.redis = Some(redis.url());
    })
    .connected();
    let [mut used, mut unused] = [(); 2].map(|()| [Client::default(), Client::default()]);
    let proxies = [&embedded, &far];
    for (at, proxy) in proxies.iter().enumerate() {
        proxy.get(&mut used[at], &[]);
        proxy.get(&mut unused[at], &[]);
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(6) {
        for (at, proxy) in proxies.iter().enumerate() {
            assert!(!proxy.get(&mut used[at], &[]).sets_cookie(), "{:?}", start.elapsed());
        }
        thread::sleep(Duration::from_millis(200));
    }
    for (at, proxy) in proxies.iter().enumerate() {
        assert!(proxy.get(&mut unused[at], &[]).sets_cookie(), "store {at}");
    }
}

// --------------------------------------------------------------------------- what is carried

#[test]
fn data_is_set_changed_and_deleted_by_any_backend() {
    on_both_stores(|proxy| {
        let mut client = Client::default();
        proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session-A", "1")]);
        let second = proxy.exchange(
            &mut client,
            &[],
            "b2",
            &[("Rondel-Session-A", "2"), ("Rondel-Session-B", "x")],
        );
        assert_eq!(second.sent("rondel-session-a"), Some("1"));
        let third = proxy.exchange(&mut client, &[], "b3", &[("rondel-session-a", "")]);
        assert_eq!(third.sent("rondel-session-a"), Some("2"));
        assert_eq!(third.sent("rondel-session-b"), Some("x"));
        let fourth = proxy.get(&mut client, &[]);
        assert_eq!(fourth.sent("rondel-session-a"), None);
        assert_eq!(fourth.sent("rondel-session-b"), Some("x"));
    });
}

#[test]
fn of_two_responses_at_once_the_last_one_wins_field_by_field() {
    on_both_stores(|proxy| {
        let mut client = Client::default();
        proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session-A", "1")]);
        let request = headers(&[("cookie", client.cookie())]);
        proxy.workers.block_on(async {
            let first = proxy.sessions.open(&request).await.unwrap();
            let last = proxy.sessions.open(&request).await.unwrap();
            let mut said = headers(&[("rondel-session-a", "2"), ("rondel-session-b", "2")]);
            first.to_client("b1", StatusCode::OK, &mut said).await;
            // The value that it was given itself, and another field.
            let mut said = headers(&[("rondel-session-a", "1"), ("rondel-session-c", "3")]);
            last.to_client("b2", StatusCode::OK, &mut said).await;
        });
        let next = proxy.get(&mut client, &[]);
        let sent = ["a", "b", "c"].map(|name| next.sent(&format!("rondel-session-{name}")));
        assert_eq!(sent, [Some("1"), Some("2"), Some("3")]);
    });
}

#[test]
fn everything_named_rondel_is_taken_off_the_response() {
    let proxy = Proxy::new(|_| {});
    let said = [("Rondel-Session", "nonsense"), ("Rondel-Other", "1"), ("Rondel-Session-", "x")];
    let plain = proxy.exchange(&mut Client::default(), &[], "b1", &said);
    let bypass = proxy.exchange(&mut Client::default(), &[("authorization", JWT)], "b1", &said);
    for answer in [plain, bypass] {
        assert!(answer.to_client.keys().all(|name| !name.as_str().starts_with("rondel")));
    }
}

#[test]
fn captured_headers_are_replayed_when_the_request_lacks_them() {
    on_both_stores_with(
        |settings| {
            settings.capture = vec![
                check_capture_header("Accept-Language").unwrap(),
                check_capture_header("X-Tenant").unwrap(),
            ];
        },
        |proxy| {
            let mut client = Client::default();
            proxy.get(&mut client, &[("accept-language", "de"), ("x-other", "1")]);
            let second = proxy.get(&mut client, &[("x-tenant", "t1")]);
            assert_eq!(second.sent("accept-language"), Some("de"));
            assert_eq!(second.sent("x-other"), None);
            let third = proxy.get(&mut client, &[("accept-language", "fr")]);
            assert_eq!(third.sent("accept-language"), Some("fr"), "the request's own goes first");
            assert_eq!(third.sent("x-tenant"), Some("t1"));
            assert_eq!(proxy.get(&mut client, &[]).sent("accept-language"), Some("fr"));
        },
    );
}

#[test]
fn the_limits_drop_the_value_and_never_the_request() {
    on_both_stores(|proxy| {
        let mut client = Client::default();
        let long = "x".repeat(4 * 1024 + 1);
        let names: Vec<_> = (0..40).map(|at| format!("Rondel-Session-N{at}")).collect();
        let mut said: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
        said.insert(0, ("Rondel-Session-Long", &long));
        said.insert(0, ("Rondel-Session-Token", JWT));
        proxy.exchange(&mut client, &[], "b1", &said);
        let next = proxy.get(&mut client, &[]);
        let carried = next.to_backend.keys().filter(|name| name.as_str().contains("session-n"));
        assert_eq!(carried.count(), 32);
        assert_eq!(next.sent("rondel-session-long"), None);
        assert_eq!(next.sent("rondel-session-token"), None);
        assert_eq!(proxy.sessions.stats().values_dropped.count(), 10);
    });
}

fn on_both_stores_with(adjust: impl Fn(&mut SessionSettings), test: impl Fn(&Proxy)) {
    test(&Proxy::new(&adjust));
    let redis = RedisServer::start();
    let proxy = Proxy::new(|settings| {
        adjust(settings);
        settings.redis = Some(redis.url());
    });
    test(&proxy.connected());
}

/// Everything here has to go over threads.
#[test]
fn sessions_and_their_futures_can_be_sent() {
    fn sent<T: Send>(_: &T) {}
    fn shared<T: Send + Sync>(_: &T) {}
    async fn whole(sessions: &Sessions) {
        let Ok(session) = sessions.open(&HeaderMap::new()).await else { return };
        session.to_client("b", StatusCode::OK, &mut HeaderMap::new()).await;
    }
    let proxy = Proxy::new(|_| {});
    shared(&*proxy.sessions);
    let future = whole(&proxy.sessions);
    sent(&future);
    runtime().block_on(future);
}
