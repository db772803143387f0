//! What the session layer writes to Redis, asks of it, and does without it while that is away.

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

use layer::{Client, LIMIT, Proxy, headers, known_clients, open_at_once, serve, until, watch};
use redis::RedisServer;
use rondel_proxy::session::{SessionFail, SessionSettings, check_capture_header};

const JWT: &str = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2lnbmF0dXJl";

#[test]
fn the_record_in_redis_is_the_one_of_the_contract() {
    let redis = RedisServer::start();
    let proxy = Proxy::new(|settings| {
        settings.redis = Some(redis.url());
        settings.capture = vec![check_capture_header("accept-language").unwrap()];
    })
    .connected();
    let mut client = Client::default();
    let request = [("accept-language", "de")];
    let first =
        proxy.exchange(&mut client, &request, "web1", &[("Rondel-Session-Cart", "äpple 1")]);
    assert!(proxy.flush());
    let key = first.key();
    assert!(key.starts_with("rondel:s:") && key.len() == "rondel:s:".len() + 22);
    assert!(!client.cookie().contains(&key["rondel:s:".len()..]), "the key is no cookie");
    let field = |name| redis.text(&["HGET", key, name]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(field("v").unwrap(), "1");
    assert_eq!(field("backend").unwrap(), "web1");
    assert_eq!(field("h:accept-language").unwrap(), "de");
    assert_eq!(field("d:cart").unwrap(), "äpple 1");
    let created: u64 = field("created").unwrap().parse().unwrap();
    assert!(now - created <= 5);
    assert_eq!(field("seen"), field("created"));
    assert_eq!(redis.number(&["HLEN", key]), 6);
    assert_eq!(redis.number(&["EXPIRETIME", key]).cast_unsigned(), created + 1_800);
    proxy.exchange(&mut client, &[], "web2", &[("Rondel-Session-Cart", "")]);
    assert!(proxy.flush());
    assert_eq!(redis.number(&["HEXISTS", key, "d:cart"]), 0);
    proxy.exchange(&mut client, &[], "web2", &[("Rondel-Session", "destroy")]);
    assert!(proxy.flush());
    assert_eq!(redis.number(&["EXISTS", key]), 0);
}

#[test]
fn two_proxies_over_one_redis_serve_the_same_sessions() {
    let redis = RedisServer::start();
    let one = Proxy::over(&redis).connected();
    let two = Proxy::over(&redis).connected();
    let mut at_once = 0;
    for turn in 0..20 {
        let mut client = Client::default();
        let value = turn.to_string();
        let first = one.exchange(&mut client, &[], "b1", &[("Rondel-Session-Turn", &value)]);
        // At once: the record may still be on its way. It is waited for a few milliseconds, which
        // a busy machine may need for something else; then the session is known a moment later.
        let mut second = two.get(&mut client.clone(), &[]);
        at_once += u32::from(second.key() == first.key());
        if second.sent("rondel-session-turn").is_none() {
            assert!(one.flush());
            until("it is there", || {
                second = two.get(&mut client.clone(), &[]);
                second.sent("rondel-session-turn").is_some()
            });
        }
        assert_eq!(second.key(), first.key(), "turn {turn}");
        assert_eq!(second.sent("rondel-session-turn"), Some(value.as_str()));
        assert!(!second.sets_cookie());
    }
    assert!(at_once >= 10, "{at_once} of 20");
    let mut client = Client::default();
    one.get(&mut client, &[]);
    assert!(one.flush());
    drop(one);
    assert!(!two.get(&mut client, &[]).sets_cookie(), "a proxy ends, its sessions go on");
}

#[test]
fn a_proxy_that_has_not_heard_of_the_end_of_a_session_brings_nothing_of_it_back() {
    let redis = RedisServer::start();
    let one = Proxy::over(&redis).connected();
    let two = Proxy::over(&redis).connected();
    let mut client = Client::default();
    let first = one.get(&mut client, &[]);
    assert!(one.flush());
    until("the other one knows it", || !two.get(&mut client.clone(), &[]).sets_cookie());
    let mut copy = client.clone();
    one.exchange(&mut client, &[], "b1", &[("Rondel-Session", "destroy")]);
    assert!(one.flush());
    let late = two.exchange(&mut copy, &[], "b2", &[("Rondel-Session-Late", "1")]);
    assert!(two.flush());
    assert_eq!(redis.number(&["EXISTS", first.key()]), 0);
    if !late.sets_cookie() {
        until("now it has", || two.get(&mut copy.clone(), &[]).sets_cookie());
    }
}

#[test]
fn a_known_session_costs_no_redis_command() {
    let redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let mut client = Client::default();
    proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session-A", "1")]);
    assert!(proxy.flush());
    let commands = || {
        let stats = redis.text(&["INFO", "commandstats"]).unwrap();
        let others = stats.lines().filter(|line| !line.starts_with("cmdstat_info"));
        others.map(str::to_owned).collect::<Vec<_>>()
    };
    // What we wrote is read once behind the write, and then the connection has nothing to say.
    let mut before = Vec::new();
    until("it is quiet", || {
        thread::sleep(Duration::from_millis(300));
        proxy.get(&mut client, &[]);
        let earlier = std::mem::replace(&mut before, commands());
        earlier == before
    });
    // A backend that repeats what is known changes nothing.
    for _ in 0..10_000 {
        proxy.exchange(&mut client, &[], "b2", &[("Rondel-Session-A", "1")]);
    }
    assert_eq!(commands(), before);
}

#[test]
fn a_thousand_first_requests_at_once_are_one_look_up() {
    let redis = RedisServer::start();
    let elsewhere = Proxy::over(&redis).connected();
    let mut client = Client::default();
    elsewhere.exchange(&mut client, &[], "b1", &[("Rondel-Session-A", "1")]);
    assert!(elsewhere.flush());
    drop(elsewhere);
    let proxy = Proxy::over(&redis).connected();
    let mut before = 0;
    until("it is quiet", || {
        let earlier = std::mem::replace(&mut before, redis.calls("hgetall"));
        thread::sleep(Duration::from_millis(300));
        earlier == before
    });
    let found = open_at_once(&proxy, &client, 1_000, "rondel-session-a");
    // On a machine that stops for 20 ms the look-up comes too late for those who wait, and whoever
    // asks after that looks again: a few, never one each.
    let calls = redis.calls("hgetall") - before;
    assert!((1..=3).contains(&calls), "{calls} look-ups");
    assert!(found == 1_000 || calls > 1, "only {found} were given what it brought");
}

#[test]
fn data_is_in_redis_within_milliseconds_of_the_response() {
    let redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let mut client = Client::default();
    let mut times = Vec::new();
    for turn in 0..50 {
        let value = turn.to_string();
        let answer = proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session-Turn", &value)]);
        let start = Instant::now();
        let key = answer.key().to_owned();
        until("it is there", || {
            redis.text(&["HGET", &key, "d:turn"]).as_deref() == Some(value.as_str())
        });
        times.push(start.elapsed());
    }
    times.sort();
    assert!(times[45] < Duration::from_millis(50), "{times:?}");
}

// -------------------------------------------------------------------------------- Redis away

#[test]
fn with_redis_frozen_no_request_waits_and_none_fails() {
    let redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let other = Proxy::over(&redis).connected();
    let mut clients = known_clients(&proxy);
    let mut unknown: Vec<_> = clients.clone();
    redis.freeze();
    serve(&proxy, &mut clients, 300);
    // Sessions that this proxy has never seen: it cannot look them up, and believes their MAC.
    let mut slow = 0;
    for client in &mut unknown {
        let answer = other.get(client, &[]);
        assert!(!answer.sets_cookie());
        assert!(answer.opened_in < LIMIT, "{:?}", answer.opened_in);
        slow += usize::from(answer.opened_in > Duration::from_millis(10));
    }
    assert!(slow <= 4, "{slow} of 10 waited: three failures are enough");
    redis.thaw();
    assert!(proxy.flush(), "it comes back by itself");
    for (at, client) in clients.iter_mut().enumerate() {
        let answer = proxy.get(client, &[]);
        let kept = answer.sent("rondel-session-turn").unwrap();
        assert_eq!(kept, (290 + at).to_string());
        assert_eq!(redis.text(&["HGET", answer.key(), "d:turn"]).unwrap(), kept);
    }
}

#[test]
fn a_session_destroyed_while_redis_is_frozen_stays_destroyed() {
    let redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let mut client = Client::default();
    let first = proxy.get(&mut client, &[]);
    assert!(proxy.flush());
    redis.freeze();
    let mut copy = client.clone();
    for turn in 0..20 {
        let value = turn.to_string();
        proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session-Turn", &value)]);
        thread::sleep(Duration::from_millis(10));
    }
    proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session", "destroy")]);
    assert!(proxy.get(&mut copy, &[]).sets_cookie(), "at once");
    redis.thaw();
    assert!(proxy.flush());
    assert_eq!(redis.number(&["EXISTS", first.key()]), 0);
}

#[test]
fn with_redis_killed_and_restarted_sessions_begin_and_arrive() {
    let mut redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let mut clients = known_clients(&proxy);
    redis.kill();
    serve(&proxy, &mut clients, 200);
    let mut client = Client::default();
    let first = proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session-A", "kept")]);
    redis.run();
    assert!(proxy.flush(), "it comes back by itself");
    assert_eq!(redis.text(&["HGET", first.key(), "d:a"]).unwrap(), "kept");
    let expires = redis.number(&["EXPIRETIME", first.key()]).cast_unsigned();
    let created: u64 = redis.text(&["HGET", first.key(), "created"]).unwrap().parse().unwrap();
    assert_eq!(expires, created + 1_800, "an absolute end, however late it is written");
    // What only the old Redis knew is gone; it is not made up from parts.
    until("the old sessions are over", || proxy.get(&mut clients[0], &[]).sets_cookie());
}

#[test]
fn it_starts_without_redis_and_finds_it_later() {
    let mut redis = RedisServer::stopped();
    let start = Instant::now();
    let proxy = Proxy::over(&redis);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let mut client = Client::default();
    let first = proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session-A", "1")]);
    assert!(first.opened_in < LIMIT);
    let mut clients = [client.clone()];
    serve(&proxy, &mut clients, 100);
    redis.run();
    assert!(proxy.flush());
    assert_eq!(redis.text(&["HGET", first.key(), "d:a"]).unwrap(), "1");
}

#[test]
fn with_redis_full_or_read_only_sessions_go_on_in_memory() {
    let redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let mut clients = known_clients(&proxy);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    serve(&proxy, &mut clients, 100);
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(proxy.flush(), "kept writes arrive");
    redis.command(&["REPLICAOF", "127.0.0.1", "1"]);
    serve(&proxy, &mut clients, 100);
    redis.command(&["REPLICAOF", "NO", "ONE"]);
    assert!(proxy.flush(), "kept writes arrive");
    let answer = proxy.get(&mut clients[9], &[]);
    assert_eq!(redis.text(&["HGET", answer.key(), "d:turn"]).unwrap(), "99");
}

#[test]
fn a_password_and_a_database_in_the_url_are_used() {
    let redis = RedisServer::start_with(&["--requirepass", "hunter2"]);
    let url = redis.url().replace("redis://", "redis://:hunter2@") + "/3";
    let proxy = Proxy::new(|settings| settings.redis = Some(url)).connected();
    assert!(!format!("{:?}", proxy.sessions).contains("hunter2"));
}

#[test]
fn closed_means_no_request_without_its_record() {
    let redis = RedisServer::start();
    let closed = |settings: &mut SessionSettings| {
        settings.redis = Some(redis.url());
        settings.fail = SessionFail::Closed;
    };
    let proxy = Proxy::new(closed);
    let open = |cookie: Option<&str>| {
        let list: Vec<_> = cookie.map(|cookie| ("cookie", cookie)).into_iter().collect();
        proxy.workers.block_on(async { proxy.sessions.open(&headers(&list)).await.is_ok() })
    };
    until("the store is there", || open(None));
    let mut client = Client::default();
    let first = proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session-A", "1")]);
    assert_eq!(redis.text(&["HGET", first.key(), "d:a"]).unwrap(), "1", "at once");
    assert_eq!(redis.text(&["HGET", first.key(), "backend"]).unwrap(), "b1");
    let unseen = {
        let other = Proxy::over(&redis).connected();
        let mut client = Client::default();
        other.get(&mut client, &[]);
        assert!(other.flush());
        client
    };
    redis.freeze();
    let start = watch();
    assert!(!open(None), "a first visit that cannot be written");
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    let start = watch();
    assert!(!open(Some(unseen.cookie())), "a cookie that cannot be looked up");
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    assert!(proxy.workers.block_on(async {
        proxy.sessions.open(&headers(&[("authorization", JWT)])).await.is_ok()
    }));
    redis.thaw();
    until("it is served again", || open(None) && open(Some(unseen.cookie())));
}
