//! Where a session ends: a new id at a log-in, its end at a log-out, and a token that needs none.

#[path = "support/layer.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod layer;
#[path = "support/ports.rs"]
mod ports;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;

use std::{thread, time::Duration};

use http::{
    StatusCode,
    header::{AUTHORIZATION, SET_COOKIE},
};
use layer::{Client, Proxy, headers, on_both_stores, until};
use redis::RedisServer;

const JWT: &str = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2lnbmF0dXJl";

#[test]
fn rotate_gives_the_same_record_a_new_id() {
    on_both_stores(|proxy| {
        let mut client = Client::default();
        let first = proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session-Cart", "apple")]);
        let mut old = client.clone();
        let said = [("Rondel-Session", "rotate"), ("Rondel-Session-User", "bob")];
        let login = proxy.exchange(&mut client, &[], "b2", &said);
        assert!(login.sets_cookie());
        assert_ne!(client.cookie, old.cookie);
        assert!(client.cookie().contains(".b2."));
        let next = proxy.get(&mut client, &[]);
        assert_ne!(next.key(), first.key());
        assert_eq!(next.sent("rondel-session-cart"), Some("apple"));
        assert_eq!(next.sent("rondel-session-user"), Some("bob"));
        let replayed = proxy.get(&mut old, &[]);
        assert!(replayed.sets_cookie(), "the old id is worth nothing");
        assert_eq!(replayed.sent("rondel-session-user"), None);
    });
}

#[test]
fn destroy_ends_the_record_and_the_cookie() {
    on_both_stores(|proxy| {
        let mut client = Client::default();
        proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session-User", "bob")]);
        let mut copy = client.clone();
        let logout = proxy.exchange(&mut client, &[], "b2", &[("Rondel-Session", "destroy")]);
        assert!(logout.got("set-cookie").unwrap().contains("Max-Age=0"));
        assert!(client.cookie.is_none());
        let replayed = proxy.get(&mut copy, &[]);
        assert!(replayed.sets_cookie());
        assert_eq!(replayed.sent("rondel-session-user"), None);
    });
}

#[test]
fn a_response_that_comes_after_the_end_changes_nothing() {
    on_both_stores(|proxy| {
        let mut client = Client::default();
        proxy.get(&mut client, &[]);
        let request = headers(&[("cookie", client.cookie())]);
        proxy.workers.block_on(async {
            let slow = proxy.sessions.open(&request).await.unwrap();
            let slow_rotation = proxy.sessions.open(&request).await.unwrap();
            let end = proxy.sessions.open(&request).await.unwrap();
            let mut said = headers(&[("rondel-session", "destroy")]);
            end.to_client("b1", StatusCode::OK, &mut said).await;
            let mut said = headers(&[("rondel-session-late", "1")]);
            slow.to_client("b2", StatusCode::OK, &mut said).await;
            let mut said = headers(&[("rondel-session", "rotate")]);
            slow_rotation.to_client("b2", StatusCode::OK, &mut said).await;
            assert!(!said.contains_key(SET_COOKIE), "it does not live on under a new id");
        });
        assert!(proxy.flush());
        let replayed = proxy.get(&mut client, &[]);
        assert!(replayed.sets_cookie());
        assert_eq!(replayed.sent("rondel-session-late"), None);
    });
}

#[test]
fn a_token_passes_the_session_by_and_leaves_no_trace() {
    let redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let mut client = Client::default();
    proxy.get(&mut client, &[]);
    assert!(proxy.flush());
    let known = redis.keys();
    let calls = || ["hgetall", "hset", "exists", "del"].map(|command| redis.calls(command));
    // What we wrote is read once behind the write, and then the connection has nothing to say.
    let mut before = [0; 4];
    until("it is quiet", || {
        let earlier = std::mem::replace(&mut before, calls());
        thread::sleep(Duration::from_millis(300));
        earlier == before && before == calls()
    });
    let with_cookie = client.cookie().to_owned();
    for request in [
        vec![(AUTHORIZATION.as_str(), JWT)],
        vec![(AUTHORIZATION.as_str(), JWT), ("cookie", &with_cookie)],
    ] {
        let said = [("Rondel-Session-X", "1"), ("Rondel-Session", "destroy")];
        let answer = proxy.exchange(&mut Client::default(), &request, "b1", &said);
        assert!(answer.to_client.is_empty());
        assert_eq!(answer.sent("rondel-session"), None);
    }
    assert!(proxy.flush());
    assert_eq!(redis.keys(), known);
    assert_eq!(calls(), before, "no look-up and no write");
    // Brought in through every door: it is never stored.
    let token = JWT.strip_prefix("Bearer ").unwrap();
    proxy.exchange(
        &mut client,
        &[],
        "b1",
        &[("Rondel-Session-T", token), ("rondel-session-u", JWT)],
    );
    assert!(proxy.flush());
    assert!(redis.dump().iter().all(|text| !text.contains("eyJ")), "{:?}", redis.dump());
}
