//! How the proxy ends.

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use support::{Server, TestProxy, Wire, process::ProxyProcess, until, within};
use tokio::{net::TcpStream, sync::Notify, time::Instant};

/// A server that answers when it is told to.
async fn held_server() -> (Server, Arc<Notify>) {
    let release = Arc::new(Notify::new());
    let server = Server::start({
        let release = Arc::clone(&release);
        move |mut wire, recorder| {
            let release = Arc::clone(&release);
            async move {
                let Some(head) = wire.read_head().await else { return };
                recorder.record(head);
                release.notified().await;
                wire.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await;
            }
        }
    })
    .await;
    (server, release)
}

async fn ask(client: &mut Wire) {
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
}

#[tokio::test]
async fn sigterm_answers_what_is_in_flight_closes_what_is_idle_and_accepts_nothing_more() {
    let (server, release) = held_server().await;
    let mut proxy = ProxyProcess::start(&server.line(), &["--session", "off"]).await;
    let mut idle = Wire::connect(proxy.address).await;
    ask(&mut idle).await;
    until(|| server.hits() == 1).await;
    release.notify_one();
    idle.read_answer().await;
    let mut untouched = Wire::connect(proxy.address).await;
    let mut busy = Wire::connect(proxy.address).await;
    ask(&mut busy).await;
    until(|| server.hits() == 2).await;

    proxy.signal(Signal::TERM);
    assert!(idle.is_closed().await && untouched.is_closed().await);
    within(async {
        while TcpStream::connect(proxy.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    release.notify_one();
    let answer = busy.read_answer().await;
    assert_eq!((answer.text(), answer.head.field("connection")), ("late", Some("close")));
    assert!(busy.is_closed().await);
    assert_eq!(proxy.ended().await, 0);
}

/// Asks without a pause until there is nobody to ask, over one connection or over one for each.
async fn ask_to_the_end(address: SocketAddr, keep: bool, answered: Arc<AtomicUsize>) {
    while let Ok(stream) = TcpStream::connect(address).await {
        let mut client = Wire::new(stream);
        loop {
            // What meets the end of a kept connection may fail, and then nobody has seen it.
            let _ = client.write_some(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
            let Some(head) = client.read_head().await else { break };
            assert_eq!(head.status(), 200);
            assert_eq!(client.read_body(&head).await.expect("the answer breaks off"), b"a");
            answered.fetch_add(1, Ordering::Relaxed);
            if !keep || head.field("connection") == Some("close") {
                break;
            }
        }
    }
}

#[tokio::test]
async fn sigterm_under_load_loses_no_request_that_a_server_has_seen() {
    let server = Server::named("a").await;
    let flags = ["--session", "off", "--workers", "2", "--health", "off"];
    let mut proxy = ProxyProcess::start(&server.line(), &flags).await;
    proxy.ignore();
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..32)
        .map(|number| {
            tokio::spawn(ask_to_the_end(proxy.address, number % 4 != 0, Arc::clone(&answered)))
        })
        .collect();
    until(|| answered.load(Ordering::Relaxed) > 1_000).await;
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().await, 0);
    for client in clients {
        within(client).await.unwrap();
    }
    assert_eq!(answered.load(Ordering::Relaxed), server.hits());
}

#[tokio::test]
async fn a_request_that_was_on_its_way_to_an_idle_connection_is_answered_as_its_last() {
    let server = Server::named("a").await;
    // An idle connection is given half a second; a busy machine may not send in time.
    for _ in 0..20 {
        let proxy = TestProxy::before(&[&server]).await;
        let (mut kept, mut new) = (proxy.connect().await, proxy.connect().await);
        kept.get("/").await;
        let told = Instant::now();
        proxy.stop.drain();
        for client in [&mut kept, &mut new] {
            let _ = client.write_some(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        }
        if told.elapsed() > Duration::from_millis(200) {
            continue;
        }
        for client in [&mut kept, &mut new] {
            let answer = client.read_answer().await;
            assert_eq!((answer.text(), answer.head.field("connection")), ("a", Some("close")));
            assert!(client.is_closed().await);
        }
        assert!(proxy.ended().await);
        return;
    }
    panic!("this machine never sent two requests within 200 ms");
}

#[tokio::test]
async fn what_takes_longer_than_the_drain_is_cut() {
    let (server, _release) = held_server().await;
    let flags = ["--session", "off", "--drain", "300ms"];
    let mut proxy = ProxyProcess::start(&server.line(), &flags).await;
    let mut client = Wire::connect(proxy.address).await;
    ask(&mut client).await;
    until(|| server.hits() == 1).await;
    let asked = Instant::now();
    proxy.signal(Signal::TERM);
    assert!(client.is_closed().await);
    assert_eq!(proxy.ended().await, 0);
    assert!(asked.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (server, _release) = held_server().await;
    let mut proxy = ProxyProcess::start(&server.line(), &["--session", "off"]).await;
    let mut client = Wire::connect(proxy.address).await;
    ask(&mut client).await;
    until(|| server.hits() == 1).await;
    let mut idle = Wire::connect(proxy.address).await;
    proxy.signal(Signal::TERM);
    assert!(idle.is_closed().await, "the first one was seen");
    proxy.signal(Signal::INT);
    assert!(client.is_closed().await);
    assert_eq!(proxy.ended().await, 0);
}

#[tokio::test]
async fn the_library_says_whether_everything_was_answered() {
    let (server, release) = held_server().await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    ask(&mut client).await;
    until(|| server.hits() == 1).await;
    proxy.stop.drain();
    release.notify_one();
    assert_eq!(client.read_answer().await.text(), "late");
    assert!(proxy.ended().await);

    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    ask(&mut client).await;
    until(|| server.hits() == 2).await;
    proxy.stop.cut();
    assert!(client.is_closed().await);
    assert!(!proxy.ended().await);
}

#[tokio::test]
async fn a_tunnel_counts_as_in_flight_and_is_cut_after_the_drain() {
    let server = Server::start(|mut wire, _| async move {
        wire.read_head().await.unwrap();
        wire.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: t\r\n\r\n")
            .await;
        let (mut from, mut to) = wire.stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    })
    .await;
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.drain = Duration::from_millis(500);
    })
    .await;
    let mut client = proxy.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: t\r\n\r\n").await;
    assert_eq!(client.read_head().await.unwrap().status(), 101);
    proxy.stop.drain();
    client.write("still here").await;
    assert_eq!(client.read_exact(10).await.unwrap(), b"still here");
    assert!(client.is_closed().await);
    assert!(!proxy.ended().await);
}
