//! Sessions through the whole proxy: real clients, the demo backends, a real Redis.

#[path = "support/lateness.rs"]
mod lateness;
mod support;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;

use std::time::Duration;

use lateness::Lateness;
use redis::RedisServer;
use rondel_proxy::{
    demo::{self, DemoServer},
    session::{SessionFail, SessionSettings},
};
use support::{Answer, TestProxy, Wire, free_address, ports, until, within};

const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2lnbmF0dXJl";
/// What a request may wait for the store, and what it takes apart from that, unoptimized, there and
/// back and through a backend.
const LIMIT: Duration = Duration::from_millis(20 + 30);

/// Backends that count visits in the session.
struct Backends {
    lines: String,
    _servers: Vec<DemoServer>,
}

impl Backends {
    async fn start() -> Self {
        let mut servers = Vec::new();
        for name in ["one", "two", "three"] {
            servers.push(("127.0.0.1".to_owned(), free_address().await.port(), name.to_owned()));
        }
        let line = |(host, port, name): &(String, u16, String)| {
            format!("http://{host}:{port} name={name}")
        };
        let lines = servers.iter().map(line).collect::<Vec<_>>().join("\n");
        let started = demo::start(&servers).await;
        assert_eq!(started.len(), servers.len());
        Self { lines, _servers: started }
    }

    async fn proxy(&self, adjust: impl FnOnce(&mut SessionSettings)) -> TestProxy {
        let mut sessions =
            SessionSettings { secrets: vec![vec![b's'; 32]], ..SessionSettings::default() };
        adjust(&mut sessions);
        TestProxy::start_with(&self.lines, |settings| settings.sessions = Some(sessions)).await
    }

    /// A proxy whose store answers already.
    async fn proxy_over(&self, redis: &RedisServer) -> TestProxy {
        let proxy = self.proxy(|sessions| sessions.redis = Some(redis.url())).await;
        let before = redis.keys().len();
        proxy.get("/").await;
        within(async {
            while redis.keys().len() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        proxy
    }
}

/// One client with its connection and its cookie.
struct Client {
    wire: Wire,
    cookie: Option<String>,
}

impl Client {
    async fn of(proxy: &TestProxy) -> Self {
        Self { wire: proxy.connect().await, cookie: None }
    }

    async fn get(&mut self, fields: &str) -> Answer {
        let cookie = self.cookie.iter().map(|cookie| format!("Cookie: {cookie}\r\n"));
        let cookie: String = cookie.collect();
        self.wire.write(format!("GET / HTTP/1.1\r\nHost: x\r\n{cookie}{fields}\r\n")).await;
        let answer = self.wire.read_answer().await;
        if let Some(set) = answer.head.field("set-cookie") {
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        answer
    }

    /// The visit that the backend counted, and the backend's name.
    async fn visit(&mut self) -> (u32, String) {
        let answer = self.get("").await;
        assert_eq!(answer.status(), 200);
        let word = |line: usize| {
            let line = answer.text().lines().nth(line).expect("a line");
            line.split_whitespace().nth(1).expect("a word").to_owned()
        };
        (word(1).parse().expect("a number"), word(0))
    }
}

/// Twelve visits: the servers take turns, the count goes on.
async fn counts_on(client: &mut Client, from: u32) {
    let mut servers = Vec::new();
    for visit in from..from + 12 {
        let (counted, server) = client.visit().await;
        assert_eq!(counted, visit);
        servers.push(server);
    }
    servers.sort();
    servers.dedup();
    assert_eq!(servers, ["one", "three", "two"]);
}

#[tokio::test]
async fn the_count_goes_on_while_the_servers_change() {
    let backends = Backends::start().await;
    let proxy = backends.proxy(|_| {}).await;
    let mut client = Client::of(&proxy).await;
    counts_on(&mut client, 1).await;
    let mut other = Client::of(&proxy).await;
    assert_eq!(other.visit().await.0, 1, "everybody has a session of their own");
    // A new connection is no new client.
    client.wire = proxy.connect().await;
    counts_on(&mut client, 13).await;
}

#[tokio::test]
async fn the_first_response_sets_the_cookie_and_no_other_one_does() {
    let backends = Backends::start().await;
    let proxy = backends.proxy(|_| {}).await;
    let mut client = Client::of(&proxy).await;
    let first = client.get("").await;
    let set = first.head.field("set-cookie").expect("a cookie");
    assert!(set.starts_with("rondel_sid=v1."), "{set}");
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
    assert_eq!(first.head.field("cache-control"), Some("private"));
    let next = client.get("").await;
    for name in ["set-cookie", "cache-control"] {
        assert!(next.head.all(name).is_empty(), "{name}");
    }
    for (name, _) in first.head.fields.iter().chain(&next.head.fields) {
        assert!(!name.starts_with("rondel-"), "{name} reached the client");
    }
}

#[tokio::test]
async fn a_client_cannot_speak_to_backends_in_our_name() {
    let backends = Backends::start().await;
    let proxy = backends.proxy(|_| {}).await;
    let mut client = Client::of(&proxy).await;
    let fields = "Rondel-Session: rondel:s:stolen\r\nRondel-Session-Visits: 41\r\n";
    let answer = client.get(fields).await;
    assert!(answer.text().contains("visit  1 "), "{}", answer.text());
    assert!(!answer.text().contains("stolen"), "{}", answer.text());
    assert!(answer.text().contains("rondel-session: rondel:s:"), "{}", answer.text());
}

#[tokio::test]
async fn two_proxies_over_one_redis_are_one_and_either_may_die() {
    let redis = RedisServer::start();
    let backends = Backends::start().await;
    let one = backends.proxy_over(&redis).await;
    let two = backends.proxy_over(&redis).await;
    let mut client = Client::of(&one).await;
    counts_on(&mut client, 1).await;
    one.stop.next_step();
    assert!(one.ended().await);
    client.wire = two.connect().await;
    counts_on(&mut client, 13).await;
}

#[tokio::test]
async fn known_sessions_cost_no_redis_command_and_tokens_leave_no_key() {
    let redis = RedisServer::start();
    let backends = Backends::start().await;
    let proxy = backends.proxy_over(&redis).await;
    let mut client = Client::of(&proxy).await;
    let keys = redis.keys().len() + 1;
    client.get("").await;
    until(|| redis.keys().len() == keys).await;
    let hset = redis.calls("hset");
    let token = format!("Authorization: Bearer {JWT}\r\n");
    for _ in 0..50 {
        let mut stranger = Client::of(&proxy).await;
        let answer = stranger.get(&token).await;
        assert!(answer.head.all("set-cookie").is_empty());
        assert!(!answer.text().contains("rondel-session"));
        let answer = client.get(&token).await;
        assert!(!answer.text().contains("rondel-session"), "with a cookie too");
    }
    assert_eq!(redis.keys().len(), keys);
    assert!(redis.dump().iter().all(|text| !text.contains("eyJ")));
    // These two backends say nothing about the session, so there is nothing to write.
    let quiet = support::Server::named("quiet").await;
    let proxy = TestProxy::start_with(quiet.line(), |settings| {
        settings.sessions = Some(SessionSettings {
            secrets: vec![vec![b's'; 32]],
            redis: Some(redis.url()),
            ..SessionSettings::default()
        });
    })
    .await;
    client.wire = proxy.connect().await;
    let before = redis.calls("hgetall");
    within(async {
        while redis.calls("hgetall") == before {
            client.get("").await;
        }
    })
    .await;
    let mut hgetall = 0;
    until(|| {
        let before = std::mem::replace(&mut hgetall, redis.calls("hgetall"));
        std::thread::sleep(Duration::from_millis(300));
        before == hgetall
    })
    .await;
    let exists = redis.calls("exists");
    let requests = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n",
        client.cookie.as_deref().expect("a cookie")
    )
    .repeat(50);
    for _ in 0..200 {
        client.wire.write(&requests).await;
        for _ in 0..50 {
            let answer = client.wire.read_answer().await;
            assert_eq!((answer.status(), answer.head.field("set-cookie")), (200, None));
        }
    }
    assert_eq!(redis.calls("hgetall"), hgetall);
    assert_eq!(redis.calls("hset"), hset);
    assert_eq!(redis.calls("exists"), exists);
}

#[tokio::test]
async fn a_thousand_first_requests_at_once_are_one_look_up() {
    const CLIENTS: usize = 1_000;
    let redis = RedisServer::start();
    let backends = Backends::start().await;
    let elsewhere = backends.proxy_over(&redis).await;
    let mut client = Client::of(&elsewhere).await;
    assert_eq!(client.visit().await.0, 1);
    // A backend that says nothing of the session, so that nothing is written and read again.
    let quiet = support::Server::named("quiet").await;
    let proxy = TestProxy::start_with(quiet.line(), |settings| {
        settings.sessions = Some(SessionSettings {
            secrets: vec![vec![b's'; 32]],
            redis: Some(redis.url()),
            ..SessionSettings::default()
        });
    })
    .await;
    let mut wires = Vec::new();
    for _ in 0..CLIENTS {
        wires.push(proxy.connect().await);
    }
    let mut before = 0;
    until(|| {
        let earlier = std::mem::replace(&mut before, redis.calls("hgetall"));
        std::thread::sleep(Duration::from_millis(300));
        earlier == before
    })
    .await;
    let cookie = client.cookie.as_deref().expect("a cookie");
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n");
    for wire in &mut wires {
        wire.write(&request).await;
    }
    for mut wire in wires {
        let answer = wire.read_answer().await;
        assert_eq!((answer.status(), answer.head.field("set-cookie")), (200, None));
    }
    // On a machine that stops for 20 ms the look-up comes too late for those who wait, and whoever
    // asks after that looks again: a few, never one each.
    let calls = redis.calls("hgetall") - before;
    assert!((1..=3).contains(&calls), "{calls} look-ups");
}

#[tokio::test]
async fn while_redis_is_frozen_killed_and_restarted_every_request_is_served_in_time() {
    let mut redis = RedisServer::start();
    let backends = Backends::start().await;
    let proxy = backends.proxy_over(&redis).await;
    let other = backends.proxy_over(&redis).await;
    let mut client = Client::of(&proxy).await;
    counts_on(&mut client, 1).await;
    redis.freeze();
    busy(&proxy, &mut client, 13).await;
    let mut unknown = Client { wire: other.connect().await, cookie: client.cookie.clone() };
    let lateness = Lateness::new();
    let watch = lateness.watch();
    assert_eq!(unknown.get("").await.status(), 200);
    assert!(watch.elapsed() < LIMIT, "{:?}", watch.elapsed());
    redis.thaw();
    redis.kill();
    busy(&proxy, &mut client, 113).await;
    redis.run();
    // New sessions reach the new Redis by themselves.
    let mut late = Client::of(&proxy).await;
    late.visit().await;
    until(|| redis.dump().iter().any(|text| text.contains("d:visits"))).await;
    counts_on(&mut late, 2).await;
}

/// A hundred visits of a known client and as many first ones, none of which waits for the store.
async fn busy(proxy: &TestProxy, client: &mut Client, from: u32) {
    let (lateness, mut times) = (Lateness::new(), Vec::new());
    for visit in from..from + 100 {
        let watch = lateness.watch();
        assert_eq!(client.visit().await.0, visit);
        times.push(watch.elapsed());
        let mut stranger = Client::of(proxy).await;
        let watch = lateness.watch();
        assert_eq!(stranger.visit().await.0, 1);
        times.push(watch.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    times.sort();
    let (nearly_all, slowest) = (times[180], times[199]);
    assert!(nearly_all < Duration::from_millis(15), "{nearly_all:?} {slowest:?}");
    assert!(slowest < LIMIT, "{slowest:?}");
}

#[tokio::test]
async fn closed_refuses_with_a_reason_what_it_cannot_look_up_or_write() {
    let redis = RedisServer::start();
    let backends = Backends::start().await;
    let open = backends.proxy_over(&redis).await;
    let closed = backends
        .proxy(|sessions| {
            sessions.redis = Some(redis.url());
            sessions.fail = SessionFail::Closed;
        })
        .await;
    let mut known = Client::of(&open).await;
    counts_on(&mut known, 1).await;
    let mut client = Client::of(&closed).await;
    within(async { while client.get("").await.status() != 200 {} }).await;
    redis.freeze();
    known.wire = closed.connect().await;
    for answer in [known.get("").await, Client::of(&closed).await.get("").await] {
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.error(), "session-store");
        assert!(answer.head.all("set-cookie").is_empty());
    }
    redis.thaw();
    within(async { while known.get("").await.status() != 200 {} }).await;
}
