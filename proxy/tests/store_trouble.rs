//! All that can be wrong with Redis, one after the other, in front of the proxy as it is run: no
//! request fails, none waits for more than 20 ms, and what was to be written arrives.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

#[path = "support/lateness.rs"]
mod lateness;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;
#[path = "support/relay.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod relay;
mod support;

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use lateness::Lateness;
use redis::{RedisServer, Reply};
use relay::Relay;
use support::{Answer, ProxyProcess, Recorder, Server, Wire, until, within};
use tempfile::NamedTempFile;

/// What the contract allows a request to wait for the store.
const PROMISED: Duration = Duration::from_millis(20);
/// And what it takes apart from that, unoptimized, there and back and through a backend.
const OWN: Duration = Duration::from_millis(15);
const TOKEN: &str = "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2ln\r\n";

/// Keeps `X-Note` in the session, and answers with the key of the session and the note before.
async fn note(mut wire: Wire, _: Recorder) {
    while let Some(head) = wire.read_head().await {
        let given = |name| head.field(name).unwrap_or("none");
        let body = format!("{} {}", given("rondel-session"), given("rondel-session-note"));
        let set = head.field("x-note").map(|note| format!("Rondel-Session-Note: {note}\r\n"));
        let (set, length) = (set.unwrap_or_default(), body.len());
        wire.write(format!("HTTP/1.1 200 OK\r\n{set}Content-Length: {length}\r\n\r\n{body}")).await;
    }
}

/// A client with a connection and a cookie.
struct Client {
    wire: Wire,
    cookie: String,
}

impl Client {
    async fn of(proxy: &ProxyProcess) -> Self {
        Self { wire: Wire::connect(proxy.address).await, cookie: String::new() }
    }

    async fn ask(&mut self, fields: &str) -> Answer {
        let cookie = &self.cookie;
        self.wire.write(format!("GET / HTTP/1.1\r\nHost: x\r\n{cookie}{fields}\r\n")).await;
        let answer = self.wire.read_answer().await;
        if let Some(set) = answer.head.field("set-cookie") {
            self.cookie = format!("Cookie: {}\r\n", set.split(';').next().unwrap());
        }
        answer
    }

    /// Leaves a note; the key of the session.
    async fn leave(&mut self, note: &str) -> String {
        let answer = self.ask(&format!("X-Note: {note}\r\n")).await;
        assert_eq!(answer.status(), 200);
        answer.text().split(' ').next().unwrap().to_owned()
    }
}

struct Scene {
    redis: RedisServer,
    backend: Server,
    secret: NamedTempFile,
    proxy: ProxyProcess,
    client: Client,
    key: String,
    lateness: Lateness,
}

impl Scene {
    async fn set(redis: RedisServer, url: &str) -> Self {
        let backend = Server::start(note).await;
        let mut secret = NamedTempFile::new().unwrap();
        writeln!(secret, "the secret of these tests").unwrap();
        let proxy = start(&backend, &secret, url, &[]).await;
        let mut client = Client::of(&proxy).await;
        let key = client.leave("before").await;
        until(|| redis.text(&["HGET", &key, "d:note"]).as_deref() == Some("before")).await;
        Self { redis, backend, secret, proxy, client, key, lateness: Lateness::new() }
    }

    async fn plain() -> Self {
        let redis = RedisServer::start();
        let url = redis.url();
        Self::set(redis, &url).await
    }

    /// Visits of a client that is known and of as many new ones: each is served, and in time. The
    /// key of the last new session.
    async fn endure(&mut self, turns: usize) -> String {
        let (mut times, mut last) = (Vec::new(), String::new());
        for turn in 0..turns {
            let watch = self.lateness.watch();
            let answer = self.client.ask(&format!("X-Note: {turn}\r\n")).await;
            times.push(watch.elapsed());
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.head.field("set-cookie"), None, "a known session goes on");
            let before = if turn == 0 { "before".to_owned() } else { (turn - 1).to_string() };
            assert_eq!(answer.text(), format!("{} {before}", self.key));
            let mut stranger = Client::of(&self.proxy).await;
            let watch = self.lateness.watch();
            last = stranger.leave("new").await;
            times.push(watch.elapsed());
            assert!(!stranger.cookie.is_empty(), "new ones begin");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        in_time(times);
        last
    }

    /// The store is back: what was written meanwhile arrives, with the end that it had.
    async fn recover(&mut self, turns: usize, last: &str) {
        let note = (turns - 1).to_string();
        self.arrives(&self.key.clone(), &note).await;
        self.arrives(last, "new").await;
        within(async {
            while self.proxy.metric("rondel_session_store_up{store=\"redis\"}").await != 1 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(self.client.ask("").await.text(), format!("{} {note}", self.key));
    }

    /// The note is there, and the record has its absolute end, which is written right behind it.
    async fn arrives(&self, key: &str, note: &str) {
        until(|| self.redis.text(&["HGET", key, "d:note"]).as_deref() == Some(note)).await;
        let field = |name| self.redis.text(&["HGET", key, name]).unwrap().parse::<i64>().unwrap();
        until(|| self.redis.number(&["EXPIRETIME", key]) == field("seen") + 30 * 60).await;
        assert!(field("created") <= field("seen"));
    }

    /// After three failures nobody asks any more; and writes go on to fail, so this comes.
    async fn is_given_up(&self) {
        within(async {
            while self.proxy.metric("rondel_session_store_up{store=\"redis\"}").await != 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

async fn start(backend: &Server, secret: &NamedTempFile, url: &str, more: &[&str]) -> ProxyProcess {
    let secret = secret.path().to_str().unwrap();
    let mut flags = vec!["--redis", url, "--session-secret-file", secret, "--workers", "1"];
    flags.extend(["--admin", "127.0.0.1:0"]);
    flags.extend(more);
    let mut proxy = ProxyProcess::start(&backend.line(), &flags).await;
    proxy.ignore();
    proxy
}

/// None took longer than is promised, and nearly all took next to no time.
fn in_time(mut times: Vec<Duration>) {
    times.sort();
    let (most, slowest) = (times[times.len() * 9 / 10], times[times.len() - 1]);
    assert!(most < OWN, "{most:?} {slowest:?}");
    assert!(slowest < PROMISED + OWN, "{slowest:?}");
}

const TURNS: usize = 80;

#[tokio::test]
async fn frozen() {
    let mut scene = Scene::plain().await;
    scene.redis.freeze();
    let last = scene.endure(TURNS).await;
    scene.is_given_up().await;
    scene.redis.thaw();
    scene.recover(TURNS, &last).await;
}

#[tokio::test]
async fn down_and_restarted_empty() {
    let mut scene = Scene::plain().await;
    scene.redis.kill();
    let last = scene.endure(TURNS).await;
    scene.is_given_up().await;
    scene.redis.run();
    // A session that began meanwhile is written whole.
    scene.arrives(&last, "new").await;
    // What the old server alone knew is gone, and nobody makes a stump of it from late writes.
    let key = scene.key.clone();
    within(async {
        while scene.client.ask("").await.text().starts_with(&key) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(scene.redis.number(&["EXISTS", &key]), 0);
}

#[tokio::test]
async fn full() {
    let mut scene = Scene::plain().await;
    scene.redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let last = scene.endure(TURNS).await;
    scene.redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    scene.recover(TURNS, &last).await;
}

#[tokio::test]
async fn a_replica_that_takes_no_writes() {
    let mut scene = Scene::plain().await;
    scene.redis.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let last = scene.endure(TURNS).await;
    scene.redis.command(&["REPLICAOF", "NO", "ONE"]);
    scene.recover(TURNS, &last).await;
}

#[tokio::test]
async fn loading_its_data() {
    let mut scene = Scene::plain().await;
    for filler in 0..400 {
        scene.redis.command(&["SET", &format!("filler:{filler}"), "x"]);
    }
    scene.redis.command(&["SAVE"]);
    scene.redis.kill();
    let slowly = ["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"];
    scene.redis.add_arguments(&slowly);
    scene.redis.run();
    let loading = |redis: &RedisServer| matches!(redis.command(&["GET", "x"]), Reply::Error(why) if why.starts_with("LOADING"));
    assert!(loading(&scene.redis), "or this shows nothing");
    let last = scene.endure(TURNS).await;
    until(|| !loading(&scene.redis)).await;
    scene.recover(TURNS, &last).await;
}

#[tokio::test]
async fn asking_for_a_password() {
    let mut scene = Scene::plain().await;
    scene.redis.command(&["CONFIG", "SET", "requirepass", "hunter2"]);
    scene.redis.command_as("hunter2", &["CLIENT", "KILL", "TYPE", "normal"]);
    let last = scene.endure(TURNS).await;
    scene.is_given_up().await;
    scene.redis.command_as("hunter2", &["CONFIG", "SET", "requirepass", ""]);
    scene.recover(TURNS, &last).await;
}

#[tokio::test]
async fn two_hundred_milliseconds_away() {
    let redis = RedisServer::start();
    let relay = Relay::to(redis.port());
    let mut scene = Scene::set(redis, &relay.url()).await;
    relay.delay(Duration::from_millis(200));
    let last = scene.endure(TURNS).await;
    // Writes have the time that they need.
    scene.arrives(&last, "new").await;
    scene.arrives(&scene.key.clone(), &(TURNS - 1).to_string()).await;
    relay.delay(Duration::ZERO);
    relay.cut();
    scene.recover(TURNS, &last).await;
}

#[tokio::test]
async fn not_there_at_the_start() {
    let mut redis = RedisServer::stopped();
    let backend = Server::start(note).await;
    let secret = NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "the secret of these tests\n").unwrap();
    let begun = Instant::now();
    let proxy = start(&backend, &secret, &redis.url(), &[]).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let mut client = Client::of(&proxy).await;
    let (lateness, mut times, mut key) = (Lateness::new(), Vec::new(), String::new());
    for turn in 0..TURNS {
        let watch = lateness.watch();
        key = client.leave(&turn.to_string()).await;
        times.push(watch.elapsed());
    }
    in_time(times);
    redis.run();
    until(|| redis.text(&["HGET", &key, "d:note"]) == Some((TURNS - 1).to_string())).await;
}

/// Ten thousand records wait, no more; memory does not grow with what comes.
#[tokio::test]
async fn frozen_while_more_sessions_begin_than_are_kept() {
    const SESSIONS: u64 = 13_000;
    const AT_ONCE: u64 = 50;
    let scene = Scene::plain().await;
    let before = scene.proxy.memory();
    scene.redis.freeze();
    let mut wire = Wire::connect(scene.proxy.address).await;
    let many = "GET / HTTP/1.1\r\nHost: x\r\nX-Note: new\r\n\r\n".repeat(50);
    for _ in 0..SESSIONS / AT_ONCE {
        wire.write(&many).await;
        for _ in 0..AT_ONCE {
            assert_eq!(wire.read_answer().await.status(), 200);
        }
    }
    let lost = scene.proxy.metric("rondel_session_writes_dropped_total").await;
    // One batch of 200 is on its way already.
    assert!((SESSIONS - 10_300..=SESSIONS - 10_000).contains(&lost), "{lost} were dropped");
    let grown = scene.proxy.memory().saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB for {SESSIONS} sessions");
    scene.redis.thaw();
    within(async {
        while scene.redis.number(&["DBSIZE"]) < 10_000 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn closed_refuses_what_it_cannot_look_up_or_write_and_nothing_else() {
    let mut scene = Scene::plain().await;
    let url = scene.redis.url();
    let closed = start(&scene.backend, &scene.secret, &url, &["--session-fail", "closed"]).await;
    let mut client = Client::of(&closed).await;
    client.leave("known").await;
    for killed in [false, true] {
        // A session that the other proxy knows, and this one does not.
        let mut elsewhere = Client::of(&scene.proxy).await;
        let key = elsewhere.leave("elsewhere").await;
        until(|| scene.redis.number(&["EXISTS", &key]) == 1).await;
        let cookie = elsewhere.cookie;
        if killed {
            scene.redis.kill();
        } else {
            scene.redis.freeze();
        }
        let known = cookie;
        let mut unseen = Client { wire: Wire::connect(closed.address).await, cookie: known };
        let (lateness, mut times) = (Lateness::new(), Vec::new());
        for _ in 0..10 {
            let mut stranger = Client::of(&closed).await;
            for client in [&mut unseen, &mut stranger] {
                let watch = lateness.watch();
                let answer = client.ask("").await;
                times.push(watch.elapsed());
                assert_eq!((answer.status(), answer.error()), (503, "session-store"));
                assert!(answer.head.field("retry-after").is_some());
                assert_eq!(answer.head.field("set-cookie"), None);
            }
            assert_eq!(stranger.ask(TOKEN).await.status(), 200, "a token needs no store");
        }
        times.sort();
        assert!(times[times.len() - 1] < PROMISED + OWN, "{times:?}");
        if killed {
            scene.redis.run();
        } else {
            scene.redis.thaw();
        }
        within(async { while unseen.ask("").await.status() != 200 {} }).await;
        within(async { while Client::of(&closed).await.ask("").await.status() != 200 {} }).await;
    }
}

#[tokio::test]
async fn closed_refuses_first_visits_where_reading_goes_on_and_nothing_can_be_written() {
    let scene = Scene::plain().await;
    let url = scene.redis.url();
    let closed = start(&scene.backend, &scene.secret, &url, &["--session-fail", "closed"]).await;
    let mut known = Client::of(&closed).await;
    known.leave("known").await;
    let full = ["CONFIG", "SET", "maxmemory", "1"];
    let (not_full, read_only) =
        (["CONFIG", "SET", "maxmemory", "0"], ["REPLICAOF", "127.0.0.1", "1"]);
    for (trouble, end) in [(&full[..], &not_full[..]), (&read_only, &["REPLICAOF", "NO", "ONE"])] {
        scene.redis.command(trouble);
        let (lateness, mut times) = (Lateness::new(), Vec::new());
        for _ in 0..10 {
            let mut stranger = Client::of(&closed).await;
            let watch = lateness.watch();
            let answer = stranger.ask("").await;
            times.push(watch.elapsed());
            assert_eq!((answer.status(), answer.error()), (503, "session-store"), "{trouble:?}");
            assert_eq!(answer.head.field("set-cookie"), None);
            assert_eq!(known.ask("").await.status(), 200, "{trouble:?}: what is known is served");
        }
        times.sort();
        assert!(times[times.len() - 1] < PROMISED + OWN, "{times:?}");
        scene.redis.command(end);
        within(async { while Client::of(&closed).await.ask("").await.status() != 200 {} }).await;
    }
}
