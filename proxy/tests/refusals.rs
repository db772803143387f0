//! Refusals reach clients that are still sending: the connection ends in good order, and not with a
//! reset that may overtake the answer. What is read for that is bounded.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::time::Duration;

use rondel_proxy::settings::Limits;
use support::{
    Answer, Server, TestProxy, Wire, process::ProxyProcess, tls::Authority, until, within,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::Instant,
};

const MAX_BODY: u64 = 65_536;
/// What the client says before it looks for an answer.
const MUCH: usize = 8 << 20;

fn few(limits: &mut Limits) {
    limits.max_body = Some(MAX_BODY);
    limits.head = Duration::from_millis(500);
}

/// Sends all of it, reads to the end, and must not meet a reset on the way.
async fn refusal_of<S>(mut wire: Wire<S>, begin: &str, rest: &str) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    wire.write(begin).await;
    // The refusal is on its way by now, whatever is said next.
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..MUCH / rest.len() {
        wire.write(rest).await;
    }
    let answer = wire.read_answer().await;
    let mut more = [0];
    let end = within(wire.stream.read(&mut more)).await;
    assert_eq!(end.expect("a reset"), 0, "bytes behind the answer to {begin:?}");
    answer
}

const BEGINS: [(&str, u16, &str); 6] = [
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n", 413, "body-too-large"),
    (
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n",
        413,
        "body-too-large",
    ),
    ("GET / HTTP/1.1\r\nHost: x\r\nX: ", 431, "head-too-large"),
    (
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        400,
        "bad-framing",
    ),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;;\r\n", 400, "bad-body"),
    ("CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 405, "method"),
];

#[tokio::test]
async fn a_client_that_goes_on_sending_reads_why_it_was_refused() {
    let server = Server::echo().await;
    let proxy = TestProxy::start_with(server.line(), |settings| few(&mut settings.limits)).await;
    let rest = "x".repeat(65_536);
    for (begin, status, word) in BEGINS {
        let answer = refusal_of(proxy.connect().await, begin, &rest).await;
        assert_eq!((answer.status(), answer.error()), (status, word), "{begin:?}");
    }
}

#[tokio::test]
async fn one_over_tls_does_too() {
    let (authority, server) = (Authority::new(), Server::echo().await);
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.certificates = Some(authority.certificates());
        few(&mut settings.limits);
    })
    .await;
    let rest = "x".repeat(65_536);
    for (begin, status, word) in BEGINS {
        let client = authority.connect(proxy.address, "localhost").await;
        let answer = refusal_of(client, begin, &rest).await;
        assert_eq!((answer.status(), answer.error()), (status, word), "{begin:?}");
    }
}

#[tokio::test]
async fn one_that_was_too_slow_does_too() {
    let server = Server::named("a").await;
    let proxy = TestProxy::start_with(server.line(), |settings| few(&mut settings.limits)).await;
    let client = proxy.connect().await;
    let (mut from, mut to) = client.stream.into_split();
    to.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX: ").await.unwrap();
    let crawling = async {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(1_500) {
            to.write_all(b"x").await.expect("a reset");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        to.shutdown().await.expect("a reset");
    };
    let mut answer = String::new();
    let (read, ()) =
        within(async { tokio::join!(from.read_to_string(&mut answer), crawling) }).await;
    read.expect("a reset");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn one_that_goes_on_crawling_is_let_go() {
    let server = Server::named("a").await;
    let proxy = TestProxy::start_with(server.line(), |settings| few(&mut settings.limits)).await;
    let mut client = proxy.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: x\r\nX: ").await;
    let began = Instant::now();
    while client.write_some(b"x").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(began.elapsed() < Duration::from_secs(10), "it is listened to still");
    }
}

#[tokio::test]
async fn an_answer_of_a_server_that_does_not_read_the_body_comes_in_good_order() {
    let server = Server::start(|mut wire, recorder| async move {
        let Some(head) = wire.read_head().await else { return };
        recorder.record(head);
        wire.write("HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno").await;
        wire.read_to_end().await;
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let begin = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n";
    let answer = refusal_of(proxy.connect().await, begin, &"x".repeat(65_536)).await;
    assert_eq!((answer.status(), answer.text()), (403, "no"));
}

/// Those of clients that are open at its end.
fn connections(proxy: &ProxyProcess) -> usize {
    let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", proxy.child.id().unwrap()));
    let port = format!(":{:04X}", proxy.address.port());
    let table = table.unwrap();
    let of_clients = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    // The owner of a socket that no process holds any more is inode 0.
    of_clients.filter(|line| line[1].ends_with(&port) && line[3] != "0A" && line[9] != "0").count()
}

#[tokio::test]
async fn who_never_stops_sending_or_never_closes_is_let_go() {
    let server = Server::named("a").await;
    let mut proxy = ProxyProcess::start(&server.line(), &["--max-body", "64k"]).await;
    proxy.ignore();
    let begin = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n";

    let mut silent = Wire::connect(proxy.address).await;
    silent.write(begin).await;
    assert_eq!(silent.read_answer().await.status(), 413);
    let mut endless = Wire::connect(proxy.address).await;
    endless.write(begin).await;
    until(|| connections(&proxy) == 2).await;
    let piece = vec![b'x'; 65_536];
    let mut sent = 0;
    while endless.write_some(&piece).await.is_ok() {
        sent += piece.len();
        assert!(sent < 64 << 20, "it is read for ever");
    }
    assert!(sent >= 16 << 20, "only {sent} bytes");
    // Two of theirs; what the proxy opens for itself meanwhile is its own.
    until(|| connections(&proxy) == 0).await;
    drop(silent);
}

#[tokio::test]
async fn nobody_who_lingers_holds_up_a_stop() {
    let server = Server::named("a").await;
    let proxy = TestProxy::start_with(server.line(), |settings| few(&mut settings.limits)).await;
    let mut client = proxy.connect().await;
    client.write(BEGINS[0].0).await;
    assert_eq!(client.read_answer().await.status(), 413);
    let began = Instant::now();
    proxy.stop.drain();
    assert!(within(proxy.ended()).await, "it was cut");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
