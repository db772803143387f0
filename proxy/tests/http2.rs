//! HTTP/2 with clients that behave.

mod support;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{HeaderMap, Request, body::Frame};
use rondel_proxy::settings::Limits;
use support::{
    Server, TestProxy,
    http2::{self, Client, Frames, GET, full, get, parts, text},
    process::ProxyProcess,
    tls::{Authority, shake},
    until, within,
};
use tokio_rustls::rustls::ALL_VERSIONS;

#[tokio::test]
async fn a_request_reaches_a_server_as_one_of_http1() {
    let server = Server::named("a").await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = Client::connect(proxy.address).await;
    let request = Request::get("http://www.example:81/path?query")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .header("rondel-session", "forged")
        .body(full(""))
        .unwrap();
    let response = client.send(request).await.unwrap();
    assert_eq!(response.version(), hyper::Version::HTTP_2);
    assert_eq!(text(response).await, "a");
    let head = &server.heads()[0];
    assert_eq!(head.start, "GET /path?query HTTP/1.1");
    assert_eq!(head.field("host"), Some("www.example:81"));
    assert_eq!(head.field("cookie"), Some("a=1; b=2"));
    assert_eq!(head.field("te"), Some("trailers"));
    assert_eq!(head.field("via"), Some("2.0 rondel"));
    assert_eq!(head.field("x-forwarded-proto"), Some("http"));
    assert_eq!(head.field("x-forwarded-host"), Some("www.example:81"));
    assert_eq!(head.field("rondel-session"), None);
    assert_eq!(head.field("content-length"), None);
    assert_eq!(head.field("transfer-encoding"), None);
}

#[tokio::test]
async fn it_is_agreed_on_over_tls() {
    let (authority, server) = (Authority::new(), Server::named("a").await);
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.certificates = Some(authority.certificates());
    })
    .await;
    let config = authority.client(ALL_VERSIONS, &["h2", "http/1.1"]);
    let stream = shake(config, proxy.address, "localhost").await.unwrap();
    let mut client = Client::over(stream).await;
    assert_eq!(client.get("/").await, (200, "a".into()));
    assert_eq!(server.heads()[0].field("x-forwarded-proto"), Some("https"));
}

#[tokio::test]
async fn requests_run_side_by_side_and_a_slow_one_holds_up_nobody() {
    let slow = Server::start(|mut wire, recorder| async move {
        while let Some(head) = wire.read_head().await {
            if head.start.starts_with("GET /slow") {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            let path = head.start.split(' ').nth(1).unwrap().to_owned();
            recorder.record(head);
            wire.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()))
                .await;
        }
    })
    .await;
    let proxy = TestProxy::before(&[&slow]).await;
    let mut client = Client::connect(proxy.address).await;
    let mut other = client.clone();
    let waiting = tokio::spawn(async move { other.get("/slow").await });
    until(|| slow.connections.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
    let quick: Vec<_> = (0..250)
        .map(|number| {
            let mut client = client.clone();
            tokio::spawn(async move {
                let path = format!("/{number}");
                assert_eq!(client.get(&path).await, (200, path));
            })
        })
        .collect();
    for quick in quick {
        quick.await.unwrap();
    }
    assert!(!waiting.is_finished());
    assert_eq!(waiting.await.unwrap(), (200, "/slow".into()));
    // Each of them is counted in and out.
    assert_eq!(client.get("/last").await.0, 200);
    until(|| proxy.roster.servers()[0].in_flight() == 0).await;
}

#[tokio::test]
async fn bodies_and_trailers_pass_both_ways_between_the_versions() {
    let server = Server::start(|mut wire, recorder| async move {
        let head = wire.read_head().await.unwrap();
        recorder.record(head);
        let mut body = Vec::new();
        loop {
            let chunk = wire.read_chunk_or_end().await.unwrap();
            if chunk.is_empty() {
                break;
            }
            body.extend(chunk);
        }
        let trailers = wire.read_fields().await.unwrap();
        recorder.record(trailers);
        wire.write(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
             {:x}\r\n{}\r\n0\r\nx-sum: 42\r\n\r\n",
            body.len(),
            String::from_utf8(body).unwrap()
        ))
        .await;
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = Client::connect(proxy.address).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-check", "17".parse().unwrap());
    let frames = [
        Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"one "))),
        Ok(Frame::data(Bytes::from_static(b"two"))),
        Ok(Frame::trailers(trailers)),
    ];
    let (send, body) = parts();
    tokio::spawn(async move {
        for frame in frames {
            send.send(frame).await.unwrap();
        }
    });
    let request = Request::post("http://test/").header("trailer", "x-check").body(body).unwrap();
    let response = client.send(request).await.unwrap();
    let collected = within(response.into_body().collect()).await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "42");
    assert_eq!(collected.to_bytes(), "one two");
    assert_eq!(server.heads()[0].field("transfer-encoding"), Some("chunked"));
    assert_eq!(server.heads()[1].field("x-check"), Some("17"));
}

#[tokio::test]
async fn a_large_body_passes_both_ways_and_a_stream_that_is_not_read_stops_only_itself() {
    let server = Server::echo().await;
    let endless = Server::start(|mut wire, recorder| async move {
        recorder.record(wire.read_head().await.unwrap());
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
        loop {
            let written = wire.write_some(&[0; 16_000]).await;
            if written.is_err() {
                return;
            }
        }
    })
    .await;
    let proxy =
        TestProxy::start(format!("{} name=echo\n{} name=endless", server.line(), endless.line()))
            .await;
    let mut client = Client::connect(proxy.address).await;
    let body: Vec<u8> = (0..5_000_000_u32).map(|at| at.to_le_bytes()[1]).collect();
    let request = Request::post("http://test/").body(full(body.clone())).unwrap();
    let response = client.send(request).await.unwrap();
    let echoed = within(response.into_body().collect()).await.unwrap().to_bytes();
    assert!(echoed == body);
    let unread = client.send(get("/endless")).await.unwrap();
    assert_eq!(unread.status(), 200);
    for _ in 0..3 {
        proxy.roster.drain("endless", true).unwrap();
        let request = Request::post("http://test/").body(full(body.clone())).unwrap();
        let response = client.send(request).await.unwrap();
        assert!(within(response.into_body().collect()).await.unwrap().to_bytes() == body);
    }
    drop(unread);
}

#[tokio::test]
async fn a_request_that_is_taken_back_is_taken_from_the_server_too() {
    let server = Server::start(|mut wire, recorder| async move {
        recorder.record(wire.read_head().await.unwrap());
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        // Closed by the proxy, which has no use for the rest.
        assert!(wire.is_closed().await);
        recorder.record(support::Head { start: "gone".into(), fields: Vec::new() });
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = Client::connect(proxy.address).await;
    let response = client.send(get("/")).await.unwrap();
    drop(response);
    until(|| server.hits() == 2).await;
    until(|| proxy.roster.servers()[0].in_flight() == 0).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_stream_that_breaks_off_and_the_others_go_on() {
    let server = Server::start(|mut wire, recorder| async move {
        let head = wire.read_head().await.unwrap();
        let whole = head.start.starts_with("GET /whole");
        recorder.record(head);
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha").await;
        if whole {
            wire.write("lf").await;
        }
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = Client::connect(proxy.address).await;
    let response = client.send(get("/")).await.unwrap();
    assert_eq!(response.status(), 200);
    let error = within(response.into_body().collect()).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().downcast_ref::<h2::Error>().unwrap();
    assert_eq!(cause.reason(), Some(h2::Reason::INTERNAL_ERROR));
    assert_eq!(client.get("/whole").await, (200, "half".into()));
}

#[tokio::test]
async fn each_request_has_its_own_time() {
    let server = Server::start(|mut wire, recorder| async move {
        while let Some(head) = wire.read_head().await {
            let silent = head.start.contains(" /silent ");
            let halting = head.start.starts_with("GET /halting");
            recorder.record(head);
            if silent {
                std::future::pending::<()>().await;
            }
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").await;
            if halting {
                std::future::pending::<()>().await;
            }
            wire.write("good").await;
        }
    })
    .await;
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.limits = support::short_limits();
    })
    .await;
    let mut client = Client::connect(proxy.address).await;
    let mut other = client.clone();
    let silent = tokio::spawn(async move { other.get("/silent").await });
    let mut other = client.clone();
    let halting = tokio::spawn(async move {
        let response = other.send(get("/halting")).await.unwrap();
        within(response.into_body().collect()).await.is_err()
    });
    while !silent.is_finished() {
        assert_eq!(client.get("/").await, (200, "good".into()));
    }
    assert_eq!(silent.await.unwrap().0, 504);
    assert!(halting.await.unwrap());
    // And so has the client: what it has begun to send, it must go on sending.
    let (_never, body) = parts();
    let request = Request::post("http://test/silent").body(body).unwrap();
    assert_eq!(client.send(request).await.unwrap().status(), 408);
}

#[tokio::test]
async fn an_answer_of_our_own_says_why_and_the_connection_goes_on() {
    let server = Server::named("a").await;
    let proxy = TestProxy::start(format!("{} max=1 name=a", server.line())).await;
    let mut client = Client::connect(proxy.address).await;
    let held = proxy.roster.next().unwrap();
    let response = client.send(get("/")).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["rondel-error"], "no-backend");
    assert!(response.headers().contains_key("retry-after"));
    assert!(!response.headers().contains_key("connection"));
    drop(held);
    assert_eq!(client.get("/").await, (200, "a".into()));
    let bodiless = Request::head("http://test/").body(full("")).unwrap();
    assert_eq!(client.send(bodiless).await.unwrap().headers()["content-length"], "1");
}

#[tokio::test]
async fn an_idle_client_is_told_that_it_is_over_and_one_that_waits_is_not() {
    let server = Server::start(|mut wire, recorder| async move {
        recorder.record(wire.read_head().await.unwrap());
        tokio::time::sleep(Duration::from_secs(2)).await;
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await;
    })
    .await;
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.limits = Limits { idle: Duration::from_millis(300), ..Limits::default() };
    })
    .await;
    let mut frames = Frames::connect(proxy.address).await;
    let end = frames.next(http2::GOAWAY).await.unwrap();
    assert_eq!(http2::code(&end), 0);
    let mut client = Client::connect(proxy.address).await;
    assert_eq!(client.get("/").await, (200, "late".into()));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_stop_lets_all_requests_finish_and_takes_no_more() {
    let server = Server::start(|mut wire, recorder| async move {
        recorder.record(wire.read_head().await.unwrap());
        tokio::time::sleep(Duration::from_millis(500)).await;
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await;
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let (mut client, mut idle) =
        (Client::connect(proxy.address).await, Client::connect(proxy.address).await);
    let mut unheard = Frames::connect(proxy.address).await;
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.get("/").await })
        })
        .collect();
    until(|| server.hits() == 3).await;
    proxy.stop.drain();
    assert!(idle.is_closed().await);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), (200, "late".into()));
    }
    assert!(client.is_closed().await);
    assert!(unheard.next(http2::GOAWAY).await.is_some());
    // It answers no ping, and cannot hold up the end.
    assert!(proxy.ended().await);
}

#[tokio::test]
async fn what_begins_like_http2_and_is_not_is_answered_as_http1() {
    let server = Server::named("a").await;
    let proxy = TestProxy::before(&[&server]).await;
    for piece in [1, 2, 5, 100] {
        let mut client = proxy.connect().await;
        let request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        for part in request.chunks(piece) {
            client.write(part).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut frames = Frames { wire: client };
        frames.send(http2::SETTINGS, 0, 0, &[]).await;
        let flags = http2::END_HEADERS | http2::END_STREAM;
        frames.send(http2::HEADERS, flags, 1, &http2::head(&GET)).await;
        assert_eq!(frames.next(http2::DATA).await.unwrap().payload, b"a");

        let mut client = proxy.connect().await;
        for part in b"PROPFIND / HTTP/1.1\r\nHost: x\r\n\r\n".chunks(piece) {
            client.write(part).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(client.read_answer().await.text(), "a");
    }
    let mut client = proxy.connect().await;
    client.write("PRI * HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.read_answer().await.status(), 400);
}

/// Programs that others wrote; `cargo xtask test` installs them.
#[tokio::test]
async fn curl_and_h2load_are_content() {
    let (authority, server) = (Authority::new(), Server::named("hello").await);
    let pair = authority.issue("proxy", &["localhost"]);
    let (cert, key) = (pair.cert.to_str().unwrap(), pair.key.to_str().unwrap());
    let ca = authority.file();
    let clear = ProxyProcess::start(&server.line(), &["--session", "off"]).await;
    let tls = ["--session", "off", "--tls-cert", cert, "--tls-key", key];
    let secure = ProxyProcess::start(&server.line(), &tls).await;
    let (clear, secure) = (clear.address, secure.address.port());
    let run = async |program: &str, arguments: &[&str]| {
        let output = tokio::process::Command::new(program).args(arguments).output();
        let output = within(output).await.unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let http = format!("http://{clear}/");
    let https = format!("https://localhost:{secure}/");
    let format = ["-s", "-w", " %{http_version}"];
    let curl = [&format[..], &["--http2-prior-knowledge", &http]].concat();
    assert_eq!(run("curl", &curl).await, "hello 2");
    let to = format!("localhost:{secure}:127.0.0.1");
    let over_tls = ["--resolve", &to, "--cacert", ca.to_str().unwrap(), &https];
    for (version, seen) in [("--http2", "hello 2"), ("--http1.1", "hello 1.1")] {
        assert_eq!(run("curl", &[&format[..], &[version], &over_tls].concat()).await, seen);
    }
    let load = ["-n", "2000", "-c", "4", "-m", "50"];
    let https = format!("https://127.0.0.1:{secure}/");
    for url in [&http, &https] {
        let said = run("h2load", &[&load[..], &[url]].concat()).await;
        assert!(said.contains("2000 succeeded, 0 failed, 0 errored"), "{said}");
    }
}
