//! What `docs/failures.md` says that users and operators see: each row of its first two tables is
//! brought about here, and none of them is missing.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redis::RedisServer;
use rondel_proxy::{
    session::{SessionFail, SessionSettings},
    settings::{Affinity, Settings},
};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use support::{
    Answer, Recorder, Server, TestProxy, Wire, free_address, ports, process::ProxyProcess, until,
};

const PAGE: &str = include_str!("../../docs/failures.md");

/// The cells of a table's rows, without the backticks around them.
fn table(heading: &str) -> Vec<Vec<String>> {
    let (_, rest) = PAGE.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let section = rest.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(2);
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    rows.map(|row| row.trim_matches('|').split(" | ").map(cell).collect()).collect()
}

/// Holds an answer against the row of its word.
fn check(word: &str, answer: &Answer) {
    let rows = table("Answers of our own");
    let row = rows.iter().find(|row| row[1] == word).unwrap_or_else(|| panic!("no row {word}"));
    assert_eq!(answer.error(), word, "{answer:?}");
    assert_eq!(answer.status().to_string(), row[0], "{word}");
    assert!(answer.text().starts_with(&row[2]), "{word}: {}", answer.text());
    let retry = answer.head.field("retry-after");
    assert_eq!(retry, (answer.status() == 503).then_some("1"), "{word}");
}

/// Words whose request is refused, and no server is needed for it.
const REFUSED: [(&str, &str); 10] = [
    ("bad-request", "GET / HTTP/1.1\nHost: a\n\n"),
    ("bad-framing", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
    ("bad-host", "GET / HTTP/1.1\r\n\r\n"),
    ("bad-target", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("bad-body", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ("method", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    ("last-hop", "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n"),
    ("request-timeout", "GET / HTTP/1.1\r\nHost:"),
    ("body-too-large", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"),
    ("expectation", "GET / HTTP/1.1\r\nHost: a\r\nExpect: luck\r\n\r\n"),
];

/// Words for what a server does with a `POST`.
const SERVERS: [(&str, &str); 3] = [
    ("cut", ""),
    ("bad-response", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    ("timeout", "wait"),
];

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn each_word_of_an_answer_of_our_own_is_brought_about() {
    let mut seen = BTreeSet::new();
    let server = Server::named("a").await;
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.limits = support::short_limits();
        settings.limits.max_body = Some(1_000);
    })
    .await;
    let long = "x".repeat(40_000);
    let target = format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n");
    let too_long = [("target-too-long", target.as_str()), ("head-too-large", head.as_str())];
    for (word, request) in REFUSED.into_iter().chain(too_long) {
        check(word, &proxy.ask(request).await);
        seen.insert(word);
    }
    for (word, says) in SERVERS {
        let server = Server::start(move |mut wire, _: Recorder| async move {
            wire.read_head().await;
            if says == "wait" {
                wire.read_to_end().await;
            }
            wire.write(says).await;
        });
        let limits = |settings: &mut Settings| settings.limits = support::short_limits();
        let proxy = TestProxy::start_with(server.await.line(), limits).await;
        check(word, &proxy.ask(POST).await);
        seen.insert(word);
    }
    let nobody = TestProxy::start(format!("http://{}", free_address().await)).await;
    check("connect", &nobody.get("/").await);
    let in_clear = TestProxy::start(format!("https://{}", server.address)).await;
    check("tls", &in_clear.get("/").await);
    let drained = TestProxy::start(format!("{} name=a", server.line())).await;
    drained.roster.drain("a", true).unwrap();
    check("no-backend", &drained.get("/").await);
    check("affinity", &of_a_bound_client(&server).await);
    check("session-store", &without_a_store(&server).await);
    seen.extend(["connect", "tls", "no-backend", "affinity", "session-store"]);

    let rows = table("Answers of our own");
    let said: BTreeSet<_> = rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(said, seen, "the page and what happens");
}

/// Its server is drained, and no other may be asked.
async fn of_a_bound_client(server: &Server) -> Answer {
    let proxy = TestProxy::start_with(format!("{} name=a", server.line()), |settings| {
        settings.sessions = Some(SessionSettings::default());
        settings.affinity = Affinity::Strict;
    })
    .await;
    let first = proxy.get("/").await;
    let cookie = first.head.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    proxy.roster.drain("a", true).unwrap();
    proxy.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n")).await
}

async fn without_a_store(server: &Server) -> Answer {
    let redis = format!("redis://{}", free_address().await);
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.sessions = Some(SessionSettings {
            redis: Some(redis),
            fail: SessionFail::Closed,
            ..SessionSettings::default()
        });
    })
    .await;
    proxy.get("/").await
}

/// Notes which events have been seen, and that each has the level that the page says.
struct Events(BTreeSet<String>);

impl Events {
    /// These events, in whichever order they come.
    async fn expect(&mut self, proxy: &mut ProxyProcess, events: &[&str]) {
        let rows = table("What the log says");
        let mut missing = events.to_vec();
        let mut lines = std::mem::take(&mut proxy.before).into_iter();
        while !missing.is_empty() {
            let line = match lines.next() {
                Some(line) => line,
                None => proxy.says("").await,
            };
            let Some(at) = missing.iter().position(|event| line.contains(event)) else { continue };
            let event = missing.remove(at);
            let row = rows.iter().find(|row| row[0] == event);
            let row = row.unwrap_or_else(|| panic!("no row {event}"));
            assert!(line.contains(&format!(r#""level":"{}""#, row[1])), "{line}");
            self.0.insert(event.to_owned());
        }
    }
}

#[tokio::test]
async fn each_event_of_the_page_is_logged_when_it_happens() {
    let mut events = Events(BTreeSet::new());
    servers_come_and_go(&mut events).await;
    stores_come_and_go(&mut events).await;
    files_and_limits(&mut events).await;
    an_access_log_that_nobody_reads_holds_up_no_stop(&mut events).await;
    let rows = table("What the log says");
    let said: BTreeSet<_> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(said, events.0, "the page and what is logged");
}

/// Answers well, or not at all as long as it is told so; probes always get a good answer.
async fn moody(bad: Arc<AtomicBool>) -> Server {
    Server::start(move |mut wire, _| {
        let bad = Arc::clone(&bad);
        async move {
            while let Some(head) = wire.read_head().await {
                let fails = bad.load(Ordering::Relaxed) && !head.start.contains("/probe");
                let status = if fails { "500 No" } else { "200 OK" };
                wire.write(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")).await;
            }
        }
    })
    .await
}

async fn servers_come_and_go(events: &mut Events) {
    let gone = free_address().await;
    let bad = Arc::new(AtomicBool::new(true));
    let (a, b) = (moody(Arc::clone(&bad)).await, moody(Arc::default()).await);
    let servers = format!("{} name=a\n{} name=b\nhttp://{gone} name=c\n", a.line(), b.line());
    let flags = ["--health", "on", "--health-interval", "50ms", "--health-path", "/probe"];
    let mut proxy = ProxyProcess::start(&servers, &flags).await;
    events.expect(&mut proxy, &["no session secret is set", "server is down"]).await;
    let back = Server::start_on(gone, |wire, recorder| support::answer_with("c", wire, recorder));
    let _back = back.await;
    events.expect(&mut proxy, &["server is up again"]).await;
    let mut client = Wire::connect(proxy.address).await;
    for _ in 0..30 {
        client.get("/").await;
    }
    bad.store(false, Ordering::Relaxed);
    events.expect(&mut proxy, &["server ejected", "server's rest is over"]).await;

    let mut proxy = ProxyProcess::start(&format!("https://{}", a.address), &[]).await;
    Wire::connect(proxy.address).await.get("/").await;
    events.expect(&mut proxy, &["no TLS connection to this server"]).await;
}

async fn stores_come_and_go(events: &mut Events) {
    let (server, mut redis) = (Server::named("a").await, RedisServer::stopped());
    let mut proxy = ProxyProcess::start(&server.line(), &["--redis", &redis.url()]).await;
    let mut client = Wire::connect(proxy.address).await;
    client.get("/").await;
    let away = [
        "the session store does not answer; going on without it",
        "Redis is not there yet; starting without it",
    ];
    events.expect(&mut proxy, &away).await;
    redis.run();
    events.expect(&mut proxy, &["the session store answers again"]).await;
    redis.freeze();
    client.get("/").await;
    proxy.signal(Signal::TERM);
    events.expect(&mut proxy, &["the session store did not take everything in time"]).await;
    redis.thaw();
}

async fn files_and_limits(events: &mut Events) {
    let server = Server::start(|mut wire, recorder| async move {
        if let Some(head) = wire.read_head().await {
            recorder.record(head);
        }
        wire.read_to_end().await;
    })
    .await;
    let flags = [
        "--access-log",
        "/dev/full",
        "--drain",
        "100ms",
        "--session",
        "off",
        "--proxy-protocol",
        "127.0.0.2",
    ];
    let mut proxy = ProxyProcess::start(&server.line(), &flags).await;
    let mut announced = Wire::connect_from([127, 0, 0, 2], proxy.address).await;
    announced.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    events.expect(&mut proxy, &["no PROXY protocol header"]).await;
    std::fs::write(proxy.file(), format!("{}\nhttp://127.0.0.1:1\n", server.line())).unwrap();
    events.expect(&mut proxy, &["servers reloaded"]).await;
    std::fs::write(proxy.file(), "nonsense\n").unwrap();
    events.expect(&mut proxy, &["servers not reloaded: all stay as they were"]).await;
    let mut refused = Wire::connect(proxy.address).await;
    refused.write("GET / HTTP/1.1\r\n\r\n").await;
    refused.read_answer().await;
    events.expect(&mut proxy, &["the access log is not written"]).await;

    // As many connections as it has files, and then some.
    let limit = Rlimit { current: Some(64), maximum: Some(64) };
    let pid = Pid::from_raw(i32::try_from(proxy.child.id().unwrap()).unwrap());
    prlimit(pid, Resource::Nofile, limit).unwrap();
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(Wire::connect(proxy.address).await);
    }
    events.expect(&mut proxy, &["cannot accept connections"]).await;
    drop(held);

    let mut waiting = Wire::connect(proxy.address).await;
    waiting.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    until(|| server.hits() > 0).await;
    proxy.signal(Signal::TERM);
    events.expect(&mut proxy, &["stopped, with requests cut off"]).await;
}

async fn an_access_log_that_nobody_reads_holds_up_no_stop(events: &mut Events) {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("log");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    // Open for both, so that neither side waits for the other; and never read.
    let _reader = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let server = Server::named("a").await;
    let flags = ["--access-log", pipe.to_str().unwrap(), "--session", "off"];
    let mut proxy = ProxyProcess::start(&server.line(), &flags).await;
    let port = proxy.address.port();
    let mut other = ProxyProcess::start_on(port, &server.line(), &["--admin", "off"], &[]).await;
    events.expect(&mut other, &["is shared with another process"]).await;
    other.signal(Signal::TERM);
    assert_eq!(other.ended().await, 0);
    let mut client = Wire::connect(proxy.address).await;
    let path = format!("/{}", "x".repeat(500));
    for _ in 0..1_000 {
        assert_eq!(client.get(&path).await.text(), "a");
    }
    proxy.signal(Signal::TERM);
    events.expect(&mut proxy, &["the access log did not take everything in time"]).await;
    assert_eq!(proxy.ended().await, 0);
}
