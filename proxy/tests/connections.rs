//! Connections to servers that end when they like, and what is never done because of it.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use support::{Server, TestProxy, Wire, within};

const GETS: usize = 100_000;
const POSTS: usize = 20_000;
const CLIENTS: usize = 16;

/// A connection is good for one request. Behind each answer it ends after a random time: at once,
/// while the next request is on its way, or never.
async fn fickle(seen: Arc<Mutex<HashMap<String, usize>>>) -> Server {
    Server::start(move |mut wire, _| {
        let seen = Arc::clone(&seen);
        async move {
            for served in 0_usize.. {
                let patience = match fastrand::u8(..8) {
                    _ if served == 0 => Duration::from_secs(60),
                    0 => Duration::ZERO,
                    1..=3 => Duration::from_micros(fastrand::u64(..3_000)),
                    _ => Duration::from_secs(60),
                };
                let Ok(Some(head)) = tokio::time::timeout(patience, wire.read_head()).await else {
                    return;
                };
                if wire.read_body(&head).await.is_err() {
                    return;
                }
                let target = head.start.split(' ').nth(1).unwrap().to_owned();
                if head.start.starts_with("POST") {
                    *seen.lock().unwrap().entry(target.clone()).or_default() += 1;
                }
                let length = target.len();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{target}");
                if tokio::io::AsyncWriteExt::write_all(&mut wire.stream, answer.as_bytes())
                    .await
                    .is_err()
                {
                    return;
                }
            }
        }
    })
    .await
}

async fn in_front_of_two() -> (TestProxy, Arc<Mutex<HashMap<String, usize>>>, [Server; 2]) {
    let seen = Arc::default();
    let servers = [fickle(Arc::clone(&seen)).await, fickle(Arc::clone(&seen)).await];
    let proxy = TestProxy::before(&[&servers[0], &servers[1]]).await;
    (proxy, seen, servers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_close_idle_connections_at_random_cost_no_get_an_error() {
    let (proxy, _, servers) = in_front_of_two().await;
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let address = proxy.address;
        clients.push(tokio::spawn(async move {
            let mut wire = Wire::connect(address).await;
            for number in 0..GETS / CLIENTS {
                let target = format!("/{client}/{number}");
                let answer = wire.get(&target).await;
                assert_eq!((answer.status(), answer.text()), (200, target.as_str()), "{answer:?}");
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    // Or nothing was tried.
    let connections: usize = servers.iter().map(|s| s.connections.load(Ordering::Relaxed)).sum();
    assert!(connections > GETS / 20, "only {connections} connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_never_sent_twice_whatever_happens_to_it() {
    let (proxy, seen, _servers) = in_front_of_two().await;
    let failed = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let (address, failed) = (proxy.address, Arc::clone(&failed));
        clients.push(tokio::spawn(async move {
            let mut wire = Wire::connect(address).await;
            for number in 0..POSTS / CLIENTS {
                let target = format!("/{client}/{number}");
                wire.write(format!(
                    "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"
                ))
                .await;
                let answer = wire.read_answer().await;
                if answer.status() == 502 {
                    assert_eq!(answer.error(), "cut");
                    failed.fetch_add(1, Ordering::Relaxed);
                } else {
                    assert_eq!((answer.status(), answer.text()), (200, target.as_str()));
                }
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let seen = seen.lock().unwrap();
    let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let failed = failed.load(Ordering::Relaxed);
    assert!(seen.len() + failed >= POSTS, "{} seen, {failed} failed", seen.len());
}

#[tokio::test]
async fn a_response_that_breaks_off_at_any_byte_is_never_completed() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                          5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n";
    let at = Arc::new(AtomicUsize::new(0));
    let server = Server::start({
        let at = Arc::clone(&at);
        move |mut wire, _| {
            let at = at.load(Ordering::Relaxed);
            async move {
                wire.read_head().await;
                wire.write(&ANSWER[..at]).await;
            }
        }
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    for end in 1..ANSWER.len() {
        at.store(end, Ordering::Relaxed);
        let mut client = proxy.connect().await;
        client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
        let head = client.read_head().await.expect("an answer");
        match head.status() {
            502 => {}
            200 => assert!(client.read_body(&head).await.is_err(), "{:?}", &ANSWER[..end]),
            other => panic!("{other} for {:?}", &ANSWER[..end]),
        }
    }
}

#[tokio::test]
async fn a_request_that_breaks_off_at_any_byte_is_never_completed() {
    let whole = Arc::new(AtomicUsize::new(0));
    let server = Server::start({
        let whole = Arc::clone(&whole);
        move |mut wire, recorder| {
            let whole = Arc::clone(&whole);
            async move {
                while let Some(head) = wire.read_head().await {
                    if wire.read_body(&head).await.is_err() {
                        return;
                    }
                    recorder.record(head);
                    whole.fetch_add(1, Ordering::Relaxed);
                    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                }
            }
        }
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    for request in [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        for end in 1..request.len() {
            let mut client = proxy.connect().await;
            client.write(&request[..end]).await;
            drop(client);
        }
    }
    // Whatever was to come of them has come once another one is answered.
    assert_eq!(proxy.get("/").await.text(), "ok");
    within(async {
        tokio::time::sleep(Duration::from_millis(200)).await;
    })
    .await;
    assert_eq!(whole.load(Ordering::Relaxed), 1);
}
