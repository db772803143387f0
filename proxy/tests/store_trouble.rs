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
#[path = "support/scene.rs"]
mod scene;
mod support;

use std::time::{Duration, Instant};

use redis::{RedisServer, Reply};
use relay::Relay;
use scene::{Client, Scene, Yardstick, note, start};
use support::{Server, Wire, ports, process::ProxyProcess, until, within};
use tempfile::NamedTempFile;

const TOKEN: &str = "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2ln\r\n";
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
    let (mut yardstick, mut key) = (Yardstick::beside(&backend).await, String::new());
    for turn in 0..TURNS {
        key = yardstick.time(client.leave(&turn.to_string())).await;
    }
    yardstick.in_time();
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

/// A client that the proxy has let in: before it is connected, and on a machine that is late, it
/// refuses.
async fn first_visit(closed: &ProxyProcess) -> Client {
    within(async {
        loop {
            let mut client = Client::of(closed).await;
            if client.ask("").await.status() == 200 {
                return client;
            }
        }
    })
    .await
}

#[tokio::test]
async fn closed_refuses_what_it_cannot_look_up_or_write_and_nothing_else() {
    let mut scene = Scene::plain().await;
    let url = scene.redis.url();
    let closed = start(&scene.backend, &scene.secret, &url, &["--session-fail", "closed"]).await;
    first_visit(&closed).await;
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
        for _ in 0..10 {
            let mut stranger = Client::of(&closed).await;
            for client in [&mut unseen, &mut stranger] {
                let answer = scene.yardstick.time(client.ask("")).await;
                assert_eq!((answer.status(), answer.error()), (503, "session-store"));
                assert!(answer.head.field("retry-after").is_some());
                assert_eq!(answer.head.field("set-cookie"), None);
            }
            assert_eq!(stranger.ask(TOKEN).await.status(), 200, "a token needs no store");
        }
        scene.yardstick.refused_in_time();
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
    let mut scene = Scene::plain().await;
    let url = scene.redis.url();
    let closed = start(&scene.backend, &scene.secret, &url, &["--session-fail", "closed"]).await;
    let mut known = first_visit(&closed).await;
    let full = ["CONFIG", "SET", "maxmemory", "1"];
    let (not_full, read_only) =
        (["CONFIG", "SET", "maxmemory", "0"], ["REPLICAOF", "127.0.0.1", "1"]);
    for (trouble, end) in [(&full[..], &not_full[..]), (&read_only, &["REPLICAOF", "NO", "ONE"])] {
        scene.redis.command(trouble);
        for _ in 0..10 {
            let mut stranger = Client::of(&closed).await;
            let answer = scene.yardstick.time(stranger.ask("")).await;
            assert_eq!((answer.status(), answer.error()), (503, "session-store"), "{trouble:?}");
            assert_eq!(answer.head.field("set-cookie"), None);
            if trouble == full {
                assert_eq!(known.ask("").await.status(), 200, "what is known is served");
            }
        }
        scene.yardstick.refused_in_time();
        scene.redis.command(end);
        within(async { while Client::of(&closed).await.ask("").await.status() != 200 {} }).await;
    }
}
