//! What a request meets on its way through, and what comes back.

mod support;

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rondel_proxy::settings::HostPolicy;
use support::{Server, TestProxy, Wire, lines, process::ProxyProcess, until, within};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Notify,
};

const MEGABYTES_5: usize = 5_000_000;

fn noise(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

#[tokio::test]
async fn four_servers_take_exact_turns_in_the_order_of_the_file() {
    let (a, b) = (Server::named("a").await, Server::named("b").await);
    let (c, d) = (Server::named("c").await, Server::named("d").await);
    let proxy = TestProxy::before(&[&a, &b, &c, &d]).await;
    let mut client = proxy.connect().await;
    let mut seen = String::new();
    for _ in 0..6 {
        seen += client.get("/").await.text();
        seen += proxy.get("/").await.text();
    }
    assert_eq!(seen, "abcdabcdabcd");
}

#[tokio::test]
async fn two_thousand_requests_at_once_are_spread_within_one() {
    let (a, b, c) = (Server::named("a").await, Server::named("b").await, Server::named("c").await);
    let proxy = TestProxy::start_with(lines(&[&a, &b, &c]), |settings| {
        settings.workers = NonZeroUsize::new(2).unwrap();
    })
    .await;
    let mut asked = Vec::new();
    for _ in 0..2_000 {
        let address = proxy.address;
        asked.push(tokio::spawn(async move { Wire::connect(address).await.get("/").await }));
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    for answer in asked {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        *counts.entry(answer.text().to_owned()).or_default() += 1;
    }
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [666, 667, 667]);
}

#[tokio::test]
async fn weights_are_exact_over_a_lap() {
    let (a, b) = (Server::named("a").await, Server::named("b").await);
    let proxy = TestProxy::start(format!("{} weight=3\n{}", a.line(), b.line())).await;
    let mut client = proxy.connect().await;
    let mut seen = String::new();
    for _ in 0..8 {
        seen += client.get("/").await.text();
    }
    assert_eq!(seen.matches('a').count(), 6);
    assert!(!seen.contains("aaaa") && !seen.contains("bb"), "{seen}");
}

#[tokio::test]
async fn five_megabytes_pass_whole_both_ways_with_a_length_and_in_chunks() {
    let echo = Server::echo().await;
    let proxy = TestProxy::before(&[&echo]).await;
    let body = noise(MEGABYTES_5);

    let mut client = proxy.connect().await;
    client
        .write(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {MEGABYTES_5}\r\n\r\n"))
        .await;
    client.write(&body).await;
    assert!(client.read_answer().await.body == body);

    client.write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for chunk in body.chunks(70_001) {
        client.write(format!("{:x}\r\n", chunk.len())).await;
        client.write(chunk).await;
        client.write("\r\n").await;
    }
    client.write("0\r\n\r\n").await;
    assert!(client.read_answer().await.body == body);
    assert_eq!(echo.heads()[0].field("content-length"), Some("5000000"));
    assert_eq!(echo.heads()[1].field("transfer-encoding"), Some("chunked"));
    assert_eq!(echo.heads()[1].field("content-length"), None);
}

#[tokio::test]
async fn a_get_with_a_chunked_body_keeps_it() {
    let echo = Server::echo().await;
    let proxy = TestProxy::before(&[&echo]).await;
    let mut client = proxy.connect().await;
    client
        .write(
            "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        )
        .await;
    assert_eq!(client.read_answer().await.text(), "abc");
}

#[tokio::test]
async fn bodies_are_streamed_and_not_gathered() {
    // Each side sends the next piece only after the other has seen the last: gathering would hang.
    let server = Server::start(|mut wire, _| async move {
        wire.read_head().await.unwrap();
        assert_eq!(wire.read_chunk().await.unwrap(), b"one");
        wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
        assert_eq!(wire.read_chunk().await.unwrap(), b"two");
        wire.write("6\r\nsecond\r\n").await;
        assert_eq!(wire.read_chunk().await.unwrap(), b"");
        wire.write("0\r\n\r\n").await;
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    client
        .write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        .await;
    let head = client.read_head().await.unwrap();
    assert_eq!(head.field("transfer-encoding"), Some("chunked"));
    assert_eq!(client.read_chunk().await.unwrap(), b"first");
    client.write("3\r\ntwo\r\n").await;
    assert_eq!(client.read_chunk().await.unwrap(), b"second");
    client.write("0\r\n\r\n").await;
    assert_eq!(client.read_chunk().await.unwrap(), b"");
}

#[tokio::test]
async fn a_slow_reader_slows_the_server_down() {
    const MOST: usize = 64 << 20;
    let sent = Arc::new(AtomicUsize::new(0));
    let server = Server::start({
        let sent = Arc::clone(&sent);
        move |mut wire, _| {
            let sent = Arc::clone(&sent);
            async move {
                wire.read_head().await;
                wire.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {MOST}\r\n\r\n")).await;
                let block = vec![0; 64 << 10];
                while sent.load(Ordering::Relaxed) < MOST
                    && wire.stream.write_all(&block).await.is_ok()
                {
                    sent.fetch_add(block.len(), Ordering::Relaxed);
                }
            }
        }
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let head = client.read_head().await.unwrap();

    // Nobody reads: the server comes to a halt once the sockets' buffers are full.
    let mut before = usize::MAX;
    within(async {
        while before != sent.load(Ordering::Relaxed) || before == 0 {
            before = sent.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
    .await;
    assert!(before < MOST / 2, "{before} bytes were taken from the server for nobody");
    assert_eq!(client.read_body(&head).await.unwrap().len(), MOST);
}

#[tokio::test]
async fn head_204_and_304_have_no_body_and_the_connection_goes_on() {
    let server = Server::start(|mut wire, _| async move {
        while let Some(head) = wire.read_head().await {
            wire.write(match head.start.split(' ').nth(1).unwrap() {
                "/length" => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
                "/chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                _ => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 77\r\n\r\n",
            })
            .await;
        }
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;

    client.write("HEAD /length HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let head = client.read_head().await.unwrap();
    assert_eq!((head.status(), head.field("content-length")), (200, Some("1234")));

    client.write("HEAD /chunked HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let head = client.read_head().await.unwrap();
    assert_eq!((head.status(), head.field("content-length")), (200, None));

    for _ in 0..2 {
        client.write("GET /204 HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let head = client.read_head().await.unwrap();
        assert_eq!((head.status(), head.field("content-length")), (204, None));
        client.write("GET /304 HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let head = client.read_head().await.unwrap();
        assert_eq!((head.status(), head.field("etag")), (304, Some("\"x\"")));
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn one_client_connection_and_one_server_connection_carry_many_requests() {
    let server = Server::named("a").await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    for _ in 0..100 {
        assert_eq!(client.get("/").await.status(), 200);
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let echo = Server::echo().await;
    let proxy = TestProxy::before(&[&echo]).await;
    let mut client = proxy.connect().await;
    let one = |n: usize| format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n{n}");
    client.write((0..9).map(one).collect::<String>()).await;
    for n in 0..9 {
        assert_eq!(client.read_answer().await.text(), n.to_string());
    }
}

#[tokio::test]
async fn connection_close_ends_the_connection_after_the_answer() {
    let server = Server::named("a").await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let answer = client.read_answer().await;
    assert_eq!(answer.head.field("connection"), Some("close"));
    assert!(client.is_closed().await);
    // The client's wish is between the client and us.
    assert_eq!(server.heads()[0].field("connection"), None);
    proxy.get("/").await;
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_is_served_through() {
    let server = Server::start(|mut wire, _| async move {
        wire.read_head().await;
        wire.write("HTTP/1.0 200 OK\r\nServer: old\r\n\r\nuntil the end").await;
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        let answer = client.get("/").await;
        assert_eq!(answer.head.start, "HTTP/1.1 200 OK");
        assert_eq!(answer.text(), "until the end");
    }
}

#[tokio::test]
async fn http_1_0_is_served_with_and_without_a_host() {
    let server = Server::named("a").await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    client.write("GET / HTTP/1.0\r\n\r\n").await;
    let head = client.read_head().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(client.read_to_end().await, b"a");
    let own = server.address.to_string();
    assert_eq!(server.heads()[0].field("host"), Some(own.as_str()));
    assert_eq!(server.heads()[0].start, "GET / HTTP/1.1");
}

#[tokio::test]
async fn hop_by_hop_headers_end_here_in_both_directions() {
    let server = Server::start(|mut wire, recorder| async move {
        while let Some(head) = wire.read_head().await {
            recorder.record(head);
            wire.write(
                "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: \
                 timeout=5\r\nProxy-Authenticate: Basic\r\nRondel-Session: rotate\r\nSet-Cookie: \
                 a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
            )
            .await;
        }
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    client
        .write(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: \
             3\r\nTE: trailers, deflate\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: \
             Basic eA==\r\nUpgrade: websocket\r\nRondel-Session: forged\r\nrondel-session-user: \
             root\r\nCookie: a=1\r\nAccept: */*\r\n\r\n",
        )
        .await;
    let answer = client.read_answer().await;
    let asked = server.heads().remove(0);
    for name in [
        "keep-alive",
        "x-hop",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
        "rondel-session",
        "rondel-session-user",
    ] {
        assert_eq!(asked.field(name), None, "{name}");
    }
    assert_eq!((asked.field("te"), asked.field("connection")), (Some("trailers"), Some("te")));
    assert_eq!((asked.field("cookie"), asked.field("accept")), (Some("a=1"), Some("*/*")));
    for name in ["connection", "x-hop", "keep-alive", "proxy-authenticate", "rondel-session"] {
        assert_eq!(answer.head.field(name), None, "{name}");
    }
    assert_eq!(answer.head.all("set-cookie"), ["a=1", "b=2"]);
}

#[tokio::test]
async fn who_asked_is_written_down_and_a_client_cannot_pretend() {
    let server = Server::named("a").await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    client
        .write(
            "GET / HTTP/1.1\r\nHost: shop.example:81\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: \
             https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\nForwarded: \
             for=6.6.6.6\r\nVia: 1.1 evil\r\nX-Request-Id: mine\r\n\r\n",
        )
        .await;
    client.read_answer().await;
    client.get("/other-host").await;
    let asked = server.heads().remove(0);
    assert_eq!(asked.field("host"), Some("shop.example:81"));
    assert_eq!(asked.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(asked.field("x-forwarded-proto"), Some("http"));
    assert_eq!(asked.field("x-forwarded-host"), Some("shop.example:81"));
    assert_eq!(asked.field("forwarded"), Some("for=127.0.0.1;host=\"shop.example:81\";proto=http"));
    assert_eq!(asked.field("via"), Some("1.1 rondel"));
    assert_eq!((asked.field("x-real-ip"), asked.field("x-forwarded-port")), (None, None));
    let id = asked.field("x-request-id").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    // A second Host on the same connection is quoted, not the first one's.
    assert_eq!(server.heads()[1].field("x-forwarded-host"), Some("test"));
}

#[tokio::test]
async fn what_a_trusted_proxy_says_is_kept_and_added_to() {
    let server = Server::named("a").await;
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.trusted = vec!["127.0.0.0/8".parse().unwrap()];
        settings.host = HostPolicy::Backend;
    })
    .await;
    let mut client = proxy.connect().await;
    client
        .write(
            "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\n\
             X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop\r\nForwarded: for=6.6.6.6\r\nVia: 1.1 \
             edge\r\nX-Request-Id: theirs\r\nRondel-Session: forged\r\n\r\n",
        )
        .await;
    client.read_answer().await;
    let asked = server.heads().remove(0);
    assert_eq!(asked.field("x-forwarded-for"), Some("6.6.6.6, 7.7.7.7, 127.0.0.1"));
    assert_eq!(asked.field("x-forwarded-proto"), Some("https"));
    assert_eq!(asked.field("x-forwarded-host"), Some("shop"));
    assert_eq!(asked.field("forwarded"), Some("for=6.6.6.6, for=127.0.0.1;host=\"x\";proto=http"));
    assert_eq!(asked.field("via"), Some("1.1 edge, 1.1 rondel"));
    assert_eq!(asked.field("x-request-id"), Some("theirs"));
    assert_eq!(asked.field("rondel-session"), None);
    assert_eq!(asked.field("host"), Some(server.address.to_string().as_str()));
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused_and_no_server_sees_it() {
    let server = Server::named("a").await;
    let proxy = TestProxy::before(&[&server]).await;
    for (request, status) in [
        ("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET foo HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\n\r\n", 417),
        ("GET / HTTP/3.7\r\nHost: a\r\n\r\n", 400),
    ] {
        let mut client = proxy.connect().await;
        client.write(request).await;
        let head = client.read_head().await.unwrap();
        assert_eq!(head.status(), status, "{request:?}");
    }
    let mut client = proxy.connect().await;
    client.write(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000))).await;
    assert_eq!(client.read_head().await.unwrap().status(), 431);
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn what_hyper_would_not_tell_is_refused_too_and_in_turn() {
    let echo = Server::echo().await;
    let proxy = TestProxy::before(&[&echo]).await;
    let good = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
    for (bad, word) in [
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "bad-framing",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 03\r\n\r\nabc", "bad-framing"),
        ("GET / HTTP/1.1\nHost: a\n\n", "bad-request"),
        ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", "bad-target"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\r\na\r\n0\r\n\r\n",
            "bad-body",
        ),
    ] {
        let hits = echo.hits();
        // Alone, behind a good request in the same packet, and byte by byte.
        let mut alone = proxy.connect().await;
        alone.write(bad).await;
        let mut behind = proxy.connect().await;
        behind.write(format!("{good}{bad}")).await;
        assert_eq!(behind.read_answer().await.text(), "ok");
        let mut slow = proxy.connect().await;
        let (first, last) = bad.split_at(bad.len() - 1);
        for byte in first.as_bytes() {
            slow.write([*byte]).await;
        }
        slow.write(last).await;
        for client in [&mut alone, &mut behind, &mut slow] {
            let answer = client.read_answer().await;
            assert_eq!((answer.status(), answer.error()), (400, word), "{bad:?}");
            assert!(client.is_closed().await);
        }
        if word != "bad-body" {
            assert_eq!(echo.hits(), hits + 1, "{bad:?}");
        }
    }
}

#[tokio::test]
async fn a_whole_url_becomes_a_path_and_options_may_ask_for_all() {
    let server = Server::named("a").await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    client.write("GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.read_answer().await.status(), 200);
    client.write("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.read_answer().await.status(), 200);
    let starts: Vec<String> = server.heads().into_iter().map(|head| head.start).collect();
    assert_eq!(starts, ["GET /x?y HTTP/1.1", "OPTIONS * HTTP/1.1"]);
}

#[tokio::test]
async fn expect_100_continue_is_answered_here_and_not_passed_on() {
    let echo = Server::echo().await;
    let proxy = TestProxy::before(&[&echo]).await;
    let mut client = proxy.connect().await;
    client
        .write("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        .await;
    assert_eq!(client.read_head().await.unwrap().status(), 100);
    client.write("abc").await;
    assert_eq!(client.read_answer().await.text(), "abc");
    assert_eq!(echo.heads()[0].field("expect"), None);
}

#[tokio::test]
async fn an_upgraded_connection_carries_anything_both_ways_to_its_end() {
    let server = Server::start(|mut wire, recorder| async move {
        let head = wire.read_head().await.unwrap();
        recorder.record(head);
        wire.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\nhello ",
        )
        .await;
        let (mut from, mut to) = wire.stream.split();
        tokio::io::copy(&mut from, &mut to).await.unwrap();
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    client
        .write("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: test\r\n\r\nearly ")
        .await;
    let head = client.read_head().await.unwrap();
    assert_eq!((head.status(), head.field("upgrade")), (101, Some("test")));
    assert_eq!(head.field("connection"), Some("upgrade"));
    assert_eq!(client.read_exact(12).await.unwrap(), b"hello early ");
    let much = noise(1_000_000);
    let (mut from, mut to) = client.stream.into_split();
    let sent = much.clone();
    let sending = tokio::spawn(async move {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let mut back = Vec::new();
    within(from.read_to_end(&mut back)).await.unwrap();
    sending.await.unwrap();
    assert!(back == much);
    let asked = server.heads().remove(0);
    assert_eq!(
        (asked.field("upgrade"), asked.field("connection")),
        (Some("test"), Some("upgrade"))
    );
}

#[tokio::test]
async fn an_upgrade_that_a_server_declines_is_an_ordinary_answer() {
    let server = Server::named("no").await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n").await;
    assert_eq!(client.read_answer().await.text(), "no");
    assert_eq!(client.get("/").await.text(), "no");
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_a_502() {
    let server = Server::start(|mut wire, _| async move {
        wire.read_head().await;
        wire.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
            .await;
        wire.read_to_end().await;
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let answer = proxy.get("/").await;
    assert_eq!((answer.status(), answer.error()), (502, "bad-response"));
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request() {
    let gone = Arc::new(Notify::new());
    let server = Server::start({
        let gone = Arc::clone(&gone);
        move |mut wire, recorder| {
            let gone = Arc::clone(&gone);
            async move {
                let Some(head) = wire.read_head().await else { return };
                recorder.record(head);
                wire.read_to_end().await;
                gone.notify_one();
            }
        }
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until(|| server.hits() == 1).await;
    drop(client);
    within(gone.notified()).await;
}

#[tokio::test]
async fn localhost_reaches_a_server_on_either_family() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let server = Server::start_on(address.parse().unwrap(), |wire, rec| {
            support::answer_with("a", wire, rec)
        })
        .await;
        let proxy = TestProxy::start(format!("http://localhost:{}", server.address.port())).await;
        assert_eq!(proxy.get("/").await.text(), "a", "{address}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_upload_ends_reaches_the_client() {
    let server = Server::start(|mut wire, recorder| async move {
        let Some(head) = wire.read_head().await else { return };
        recorder.record(head);
        wire.write("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmuch")
            .await;
        wire.read_to_end().await;
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = proxy.connect().await;
    client
        .write(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {MEGABYTES_5}\r\n\r\nabc"))
        .await;
    let answer = client.read_answer().await;
    assert_eq!((answer.status(), answer.text()), (413, "much"));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn demo_plays_the_servers_that_nobody_runs() {
    let taken = Server::named("a").await;
    let free = support::free_address().await;
    let servers = format!("http://{free}\n{}", taken.line());
    let proxy = ProxyProcess::start(&servers, &["--demo"]).await;
    let mut client = Wire::connect(proxy.address).await;
    let played = client.get("/").await;
    assert_eq!(played.status(), 200);
    assert!(played.text().contains(&free.to_string()), "{}", played.text());
    assert_eq!(client.get("/").await.text(), "a");
}
