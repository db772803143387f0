//! What becomes of requests when servers fail.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use support::{
    Server, TestProxy, Wire, answer_with, free_address, lines, short_limits, until, within,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
    time::{Instant, timeout},
};

const ANSWER_A: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";

#[tokio::test]
async fn a_server_that_is_down_costs_no_client_an_error_whatever_the_method() {
    let (a, b) = (Server::named("a").await, Server::named("b").await);
    let down = free_address().await;
    let proxy = TestProxy::start(format!("http://{down}\n{}{}", lines(&[&a]), lines(&[&b]))).await;
    let mut client = proxy.connect().await;
    let mut counts: HashMap<String, usize> = HashMap::new();
    for n in 0..60 {
        let body = format!("{n:04}");
        client
            .write(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n{body}"))
            .await;
        let answer = client.read_answer().await;
        assert_eq!(answer.status(), 200);
        *counts.entry(answer.text().to_owned()).or_default() += 1;
    }
    // Its third of the turns is dealt to both others, and does not fall on its neighbour.
    assert_eq!((counts["a"], counts["b"]), (30, 30));
}

#[tokio::test]
async fn a_server_that_comes_up_later_gets_its_turns() {
    let a = Server::named("a").await;
    let late = free_address().await;
    let proxy = TestProxy::start(format!("http://{late}\n{}", lines(&[&a]))).await;
    assert_eq!(proxy.get("/").await.text(), "a");
    let _late = Server::start_on(late, |wire, recorder| answer_with("late", wire, recorder)).await;
    let mut seen = vec![proxy.get("/").await, proxy.get("/").await, proxy.get("/").await];
    seen.retain(|answer| answer.text() == "late");
    assert!(!seen.is_empty());
}

#[tokio::test]
async fn nobody_to_reach_is_a_502_that_says_so() {
    let proxy = TestProxy::start(format!("http://{}", free_address().await)).await;
    let mut client = proxy.connect().await;
    let answer = client.get("/").await;
    assert_eq!((answer.status(), answer.error()), (502, "connect"));
    assert_eq!(answer.text(), "the server cannot be reached\n");
    assert_eq!(client.get("/").await.status(), 502, "the connection goes on");
}

/// A listener whose queue is full, so that the kernel drops each new connection's first packet, and
/// those that fill it.
async fn deaf() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut fillers = Vec::new();
    let soon = Duration::from_millis(200);
    while let Ok(filler) = timeout(soon, TcpStream::connect(listener.local_addr().unwrap())).await {
        fillers.push(filler.unwrap());
    }
    (listener, fillers)
}

#[tokio::test]
async fn a_server_that_says_nothing_is_passed_over_in_its_time() {
    let a = Server::named("a").await;
    let (listener, _fillers) = deaf().await;
    let lines = format!("http://{}\n{}", listener.local_addr().unwrap(), a.line());
    let proxy = TestProxy::start(lines).await;
    for _ in 0..2 {
        let began = Instant::now();
        assert_eq!(proxy.get("/").await.text(), "a");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_lone_server_that_did_not_hear_is_called_once_more() {
    let (listener, fillers) = deaf().await;
    let proxy = TestProxy::start(format!("http://{}", listener.local_addr().unwrap())).await;
    let mut client = proxy.connect().await;
    let asking = tokio::spawn(async move { client.get("/").await });
    // The first call has been dropped by now; the kernel would repeat it when its time is over.
    tokio::time::sleep(Duration::from_millis(500)).await;
    drop(fillers);
    let answering = tokio::spawn(async move {
        loop {
            let mut wire = Wire::new(listener.accept().await.unwrap().0);
            tokio::spawn(async move {
                while wire.read_head().await.is_some() {
                    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                }
            });
        }
    });
    let answer = within(asking).await.unwrap();
    answering.abort();
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_passed_over() {
    let a = Server::named("a").await;
    let proxy = TestProxy::start(format!("http://does-not-exist.invalid\n{}", a.line())).await;
    assert_eq!(proxy.get("/").await.text(), "a");
}

#[tokio::test]
async fn everybody_full_is_a_503_that_says_when_to_come_back() {
    let release = Arc::new(Notify::new());
    let server = Server::start({
        let release = Arc::clone(&release);
        move |mut wire, recorder| {
            let release = Arc::clone(&release);
            async move {
                recorder.record(wire.read_head().await.unwrap());
                release.notified().await;
                wire.write(ANSWER_A).await;
            }
        }
    })
    .await;
    let proxy = TestProxy::start(format!("{} max=1", server.line())).await;
    let mut first = proxy.connect().await;
    first.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until(|| server.hits() == 1).await;
    let answer = proxy.get("/").await;
    assert_eq!((answer.status(), answer.error()), (503, "no-backend"));
    assert_eq!(answer.head.field("retry-after"), Some("1"));
    release.notify_one();
    assert_eq!(first.read_answer().await.text(), "a");
    release.notify_one();
    assert_eq!(proxy.get("/").await.status(), 200);
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_a_504_and_its_connection_is_closed() {
    let closed = Arc::new(Notify::new());
    let server = Server::start({
        let closed = Arc::clone(&closed);
        move |mut wire, recorder| {
            let closed = Arc::clone(&closed);
            async move {
                let Some(head) = wire.read_head().await else { return };
                recorder.record(head);
                wire.read_to_end().await;
                closed.notify_one();
            }
        }
    })
    .await;
    let other = Server::named("b").await;
    let proxy = TestProxy::start_with(lines(&[&server, &other]), |settings| {
        settings.limits = short_limits();
    })
    .await;
    let mut client = proxy.connect().await;
    let answer = client.get("/").await;
    assert_eq!((answer.status(), answer.error()), (504, "timeout"));
    within(closed.notified()).await;
    assert_eq!(other.hits(), 0, "what took too long is not asked for again");
    assert_eq!(client.get("/").await.text(), "b", "the client's connection goes on");
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle_of_an_answer_is_cut_off_in_time() {
    let server = Server::start(|mut wire, _| async move {
        wire.read_head().await;
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        wire.read_to_end().await;
    })
    .await;
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.limits = short_limits();
    })
    .await;
    let mut client = proxy.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let head = client.read_head().await.unwrap();
    assert!(client.read_body(&head).await.is_err());
}

#[tokio::test]
async fn a_slow_upload_is_no_slow_server() {
    let echo = Server::echo().await;
    let proxy = TestProxy::start_with(echo.line(), |settings| {
        settings.limits = short_limits();
    })
    .await;
    let mut client = proxy.connect().await;
    client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n").await;
    for byte in b"8 pieces" {
        tokio::time::sleep(Duration::from_millis(250)).await;
        client.write([*byte]).await;
    }
    assert_eq!(client.read_answer().await.text(), "8 pieces");
    // One that stops is the client's fault.
    client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n8 pie").await;
    let answer = client.read_answer().await;
    assert_eq!((answer.status(), answer.error()), (408, "request-timeout"));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_head_that_does_not_end_in_time_is_a_408() {
    let a = Server::named("a").await;
    let proxy = TestProxy::start_with(a.line(), |settings| {
        settings.limits = short_limits();
    })
    .await;
    let mut client = proxy.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: x\r\n").await;
    let answer = client.read_answer().await;
    assert_eq!((answer.status(), answer.error()), (408, "request-timeout"));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn an_idle_client_is_disconnected_without_a_word() {
    let a = Server::named("a").await;
    let proxy = TestProxy::start_with(a.line(), |settings| {
        settings.limits.idle = Duration::from_millis(500);
    })
    .await;
    let mut fresh = proxy.connect().await;
    let mut used = proxy.connect().await;
    assert_eq!(used.get("/").await.text(), "a");
    assert!(used.is_closed().await && fresh.is_closed().await);
}

#[tokio::test]
async fn a_server_that_dies_with_a_get_in_hand_costs_the_client_nothing() {
    let server = Server::start(|mut wire, recorder| async move {
        recorder.record(wire.read_head().await.unwrap());
        wire.read_to_end().await;
    })
    .await;
    let other = Server::named("b").await;
    let proxy = TestProxy::before(&[&server, &other]).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = proxy.connect().await;
        client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        clients.push(client);
    }
    until(|| server.hits() == 4 && other.hits() == 4).await;
    server.kill().await;
    for mut client in clients {
        assert_eq!(client.read_answer().await.text(), "b");
    }
    assert_eq!(other.hits(), 8);
}

#[tokio::test]
async fn a_post_in_the_hands_of_a_server_that_dies_is_a_502_and_never_sent_again() {
    for post in [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let server = Server::start(|mut wire, recorder| async move {
            recorder.record(wire.read_head().await.unwrap());
        })
        .await;
        let other = Server::named("b").await;
        let proxy = TestProxy::before(&[&server, &other]).await;
        let mut client = proxy.connect().await;
        client.write(post).await;
        let answer = client.read_answer().await;
        assert_eq!((answer.status(), answer.error()), (502, "cut"), "{post:?}");
        assert_eq!((server.hits(), other.hits()), (1, 0));
    }
}

/// A server that ends a connection after its first answer, without a word, and says when.
async fn closing_server(closed: Arc<AtomicUsize>) -> Server {
    Server::start(move |mut wire, recorder| {
        let closed = Arc::clone(&closed);
        async move {
            let Some(head) = wire.read_head().await else { return };
            wire.read_body(&head).await.unwrap();
            recorder.record(head);
            wire.write(ANSWER_A).await;
            drop(wire);
            closed.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await
}

#[tokio::test]
async fn a_connection_that_went_stale_in_the_pool_costs_neither_a_get_nor_a_post() {
    let closed = Arc::new(AtomicUsize::new(0));
    let server = closing_server(Arc::clone(&closed)).await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    for n in 1..20 {
        let method = if n % 2 == 0 { "GET" } else { "POST" };
        client
            .write(format!("{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"))
            .await;
        assert_eq!(client.read_answer().await.status(), 200, "request {n}");
        until(|| closed.load(Ordering::Relaxed) == n).await;
    }
}

#[tokio::test]
async fn a_lone_server_that_closes_under_a_get_is_asked_once_more_over_a_new_connection() {
    // The second request of a connection is read, and then the connection ends.
    let server = Server::start(|mut wire, recorder| async move {
        let Some(head) = wire.read_head().await else { return };
        recorder.record(head);
        wire.write(ANSWER_A).await;
        if let Some(head) = wire.read_head().await {
            recorder.record(head);
        }
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/1").await.text(), "a");
    assert_eq!(client.get("/2").await.text(), "a");
    let asked: Vec<String> = server.heads().into_iter().map(|head| head.start).collect();
    assert_eq!(asked, ["GET /1 HTTP/1.1", "GET /2 HTTP/1.1", "GET /2 HTTP/1.1"]);
}

#[tokio::test]
async fn a_retry_is_not_a_turn() {
    let broken = Server::start(|mut wire, recorder| async move {
        recorder.record(wire.read_head().await.unwrap());
    })
    .await;
    let (b, c) = (Server::named("b").await, Server::named("c").await);
    let proxy = TestProxy::before(&[&broken, &b, &c]).await;
    let mut client = proxy.connect().await;
    for _ in 0..60 {
        client.get("/").await;
    }
    // Twenty turns each; the broken one's twenty requests went half to either.
    assert_eq!((broken.hits(), b.hits(), c.hits()), (20, 30, 30));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut_off_and_never_completed() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n|xyz\r\n",
    ] {
        let server = Server::start(move |mut wire, _| async move {
            wire.read_head().await;
            let (begin, rest) = answer.split_once('|').unwrap_or((answer, ""));
            wire.write(begin).await;
            // What is wrong at once is a 502: it has to come after the head has gone out.
            tokio::time::sleep(Duration::from_millis(100)).await;
            wire.write(rest).await;
        })
        .await;
        let proxy = TestProxy::before(&[&server]).await;
        let mut client = proxy.connect().await;
        client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let head = client.read_head().await.unwrap();
        assert!(client.read_body(&head).await.is_err(), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_a_502_and_not_asked_for_again() {
    for nonsense in [
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 O",
    ] {
        let server = Server::start(move |mut wire, recorder| async move {
            recorder.record(wire.read_head().await.unwrap());
            wire.write(nonsense).await;
        })
        .await;
        let other = Server::named("b").await;
        let proxy = TestProxy::before(&[&server, &other]).await;
        let answer = proxy.get("/").await;
        assert_eq!((answer.status(), answer.error()), (502, "bad-response"), "{nonsense:?}");
        assert_eq!(other.hits(), 0);
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_cut_off_towards_the_server() {
    let whole = Arc::new(AtomicUsize::new(usize::MAX));
    let server = Server::start({
        let whole = Arc::clone(&whole);
        move |mut wire, recorder| {
            let whole = Arc::clone(&whole);
            async move {
                let head = wire.read_head().await.unwrap();
                recorder.record(head.clone());
                let came = wire.read_body(&head).await;
                whole.store(usize::from(came.is_ok()), Ordering::Relaxed);
            }
        }
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    for upload in
        ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
    {
        whole.store(usize::MAX, Ordering::Relaxed);
        let mut client = proxy.connect().await;
        let hits = server.hits();
        client.write(format!("POST / HTTP/1.1\r\nHost: x\r\n{upload}")).await;
        until(|| server.hits() > hits).await;
        drop(client);
        until(|| whole.load(Ordering::Relaxed) != usize::MAX).await;
        assert_eq!(whole.load(Ordering::Relaxed), 0, "{upload:?} was completed");
    }
    // A chunk that is none is told to the client, who is still there.
    let mut client = proxy.connect().await;
    client
        .write(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n",
        )
        .await;
    let answer = client.read_answer().await;
    assert_eq!((answer.status(), answer.error()), (400, "bad-body"));
    assert!(client.is_closed().await);
}
