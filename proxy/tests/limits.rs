//! Clients that take their time, or more than their share: each meets a limit, and nobody else
//! feels it.

mod support;

use std::{num::NonZero, sync::Arc, time::Duration};

use rondel_proxy::settings::Limits;
use support::{Server, TestProxy, Wire, until, within};
use tokio::{io::AsyncWriteExt as _, sync::Notify, time::Instant};

async fn before(server: &Server, limits: Limits) -> TestProxy {
    TestProxy::start_with(server.line(), |settings| settings.limits = limits).await
}

#[tokio::test]
async fn a_head_that_crawls_is_a_408_however_steadily_it_comes() {
    let server = Server::named("a").await;
    let limits = Limits { head: Duration::from_millis(500), ..Limits::default() };
    let proxy = before(&server, limits).await;
    let mut client = proxy.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: x\r\nX: ").await;
    let began = Instant::now();
    let (mut from, mut to) = client.stream.into_split();
    let crawling = tokio::spawn(async move {
        while to.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = Vec::new();
    // It may end with a reset, since the client goes on sending.
    let _ = within(tokio::io::AsyncReadExt::read_to_end(&mut from, &mut answer)).await;
    crawling.abort();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request-timeout"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn a_body_below_the_rate_is_a_408_and_one_above_it_is_served() {
    let server = Server::echo().await;
    let limits =
        Limits { body_rate: 1_000, body_window: Duration::from_secs(1), ..Limits::default() };
    let proxy = before(&server, limits).await;
    for (piece, status) in [(10, 408), (500, 200)] {
        let mut client = proxy.connect().await;
        client.write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let chunk = format!("{piece:x}\r\n{}\r\n", "x".repeat(piece));
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(3)
            && client.stream.write_all(chunk.as_bytes()).await.is_ok()
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Who was refused is not listened to any more.
        let _ = client.stream.write_all(b"0\r\n\r\n").await;
        let head = client.read_head().await.unwrap();
        assert_eq!(head.status(), status, "{piece} bytes at a time");
    }
}

#[tokio::test]
async fn a_server_that_takes_a_body_slowly_is_not_the_clients_fault() {
    let read_on = Arc::new(Notify::new());
    let server = Server::start({
        let read_on = Arc::clone(&read_on);
        move |mut wire, _| {
            let read_on = Arc::clone(&read_on);
            async move {
                let head = wire.read_head().await.unwrap();
                read_on.notified().await;
                wire.read_body(&head).await.unwrap();
                wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    let limits =
        Limits { body_rate: 1_000_000, body_window: Duration::from_secs(1), ..Limits::default() };
    let proxy = before(&server, limits).await;
    let mut client = proxy.connect().await;
    let body = vec![0; 30_000_000];
    client
        .write(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()))
        .await;
    let (mut from, mut to) = client.stream.into_split();
    let sending = tokio::spawn(async move { to.write_all(&body).await.map(|()| to) });
    // Longer than the window.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    read_on.notify_one();
    // Dropping that half would end the request.
    let _to = within(sending).await.unwrap().unwrap();
    let mut answer = [0; 12];
    within(tokio::io::AsyncReadExt::read_exact(&mut from, &mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_off_from_the_server_too() {
    let gone = Arc::new(Notify::new());
    let server = Server::start({
        let gone = Arc::clone(&gone);
        move |mut wire, _| {
            let gone = Arc::clone(&gone);
            async move {
                wire.read_head().await;
                wire.write("HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n").await;
                let block = vec![0; 64 << 10];
                while wire.stream.write_all(&block).await.is_ok() {}
                gone.notify_one();
            }
        }
    })
    .await;
    let limits = Limits { idle: Duration::from_secs(1), ..Limits::default() };
    let proxy = before(&server, limits).await;
    let mut client = proxy.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.read_head().await.unwrap().status(), 200);
    within(gone.notified()).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time_and_a_busy_one_is_not() {
    let server = Server::start(|mut wire, _| async move {
        while wire.read_head().await.is_some() {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let limits = Limits { idle: Duration::from_millis(500), ..Limits::default() };
    let proxy = before(&server, limits).await;
    let mut idle = proxy.connect().await;
    let mut busy = proxy.connect().await;
    assert_eq!(busy.get("/").await.text(), "ok");
    assert!(idle.is_closed().await);
    assert!(busy.is_closed().await);
}

#[tokio::test]
async fn above_the_limit_in_total_clients_wait_for_their_turn() {
    let server = Server::named("a").await;
    let proxy = before(&server, Limits { connections: Some(2), ..Limits::default() }).await;
    let (mut one, mut two) = (proxy.connect().await, proxy.connect().await);
    assert_eq!((one.get("/").await.text(), two.get("/").await.text()), ("a", "a"));
    let mut third = proxy.connect().await;
    third.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = tokio::time::timeout(Duration::from_millis(300), third.read_answer());
    assert!(answer.await.is_err(), "the third must wait");
    drop(one);
    assert_eq!(third.read_answer().await.text(), "a");
    assert_eq!(two.get("/").await.text(), "a");
}

#[tokio::test]
async fn below_the_limit_in_total_no_worker_keeps_another_from_serving() {
    let server = Server::named("a").await;
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.limits.connections = Some(1);
        settings.workers = NonZero::new(4).unwrap();
    })
    .await;
    // The kernel deals them out to any of the workers.
    for _ in 0..40 {
        assert_eq!(proxy.get("/").await.text(), "a");
    }
}

#[tokio::test]
async fn an_address_has_only_so_many_connections_and_others_do_not_feel_it() {
    let server = Server::named("a").await;
    let limits = Limits { connections_per_address: Some(3), ..Limits::default() };
    let proxy = before(&server, limits).await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut client = proxy.connect().await;
        assert_eq!(client.get("/").await.text(), "a");
        kept.push(client);
    }
    for _ in 0..20 {
        assert!(proxy.connect().await.is_closed().await);
    }
    let mut other = Wire::connect_from([127, 0, 0, 2], proxy.address).await;
    assert_eq!(other.get("/").await.text(), "a");
    // One that ends makes room for one.
    kept.pop();
    let mut again = proxy.connect().await;
    while again.stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.is_err()
        || again.read_head().await.is_none()
    {
        again = proxy.connect().await;
    }
    assert!(proxy.connect().await.is_closed().await);
}

#[tokio::test]
async fn a_trusted_proxy_may_have_any_number_of_connections() {
    let server = Server::named("a").await;
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.limits.connections_per_address = Some(1);
        settings.trusted = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let mut kept = Vec::new();
    for _ in 0..5 {
        let mut client = proxy.connect().await;
        assert_eq!(client.get("/").await.text(), "a");
        kept.push(client);
    }
    until(|| server.hits() == 5).await;
}
