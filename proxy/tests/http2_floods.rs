//! HTTP/2 with clients that mean harm: each costs its own connection, and nobody else anything.

mod support;

use std::time::Duration;

use support::{
    Server, TestProxy, Wire,
    http2::{
        self, CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, Frames, GET, GOAWAY, HEADERS,
        PING, RST_STREAM, SETTINGS, code, frame, head,
    },
    process::ProxyProcess,
    until, within,
};

const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;

/// Floods until the proxy has had enough; gives how many bytes that took.
async fn flood(frames: &mut Frames, bytes: &[u8]) -> usize {
    // As much as a socket takes at once, whatever the size of the frames.
    let many = bytes.repeat((16 * 1024 / bytes.len()).max(1));
    within(async {
        let mut sent = 0;
        while frames.try_write(&many).await {
            sent += many.len();
            assert!(sent < 200_000_000, "it is never enough");
        }
        sent
    })
    .await
}

#[tokio::test]
async fn a_flood_of_frames_that_ask_for_nothing_ends_the_connection() {
    let server = Server::named("a").await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut good = Client::connect(proxy.address).await;
    for flood_of in [
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]),
        frame(2, 0, 1, &[0, 0, 0, 0, 16]),
        frame(8, 0, 0, &1_u32.to_be_bytes()),
        frame(99, 0, 0, &[0; 100]),
    ] {
        let mut frames = Frames::connect(proxy.address).await;
        // Whoever floods does not read the answers.
        flood(&mut frames, &flood_of).await;
        assert_eq!(good.get("/").await, (200, "a".into()));
    }
    // And those that do read are let go as well.
    let mut frames = Frames::connect(proxy.address).await;
    let mut sent = 0;
    while frames.try_write(&frame(PING, 0, 0, &[0; 8]).repeat(1_000)).await {
        sent += 1_000;
        assert!(sent < 1_000_000, "it is never enough");
        for _ in 0..1_000 {
            if frames.read().await.is_none() {
                break;
            }
        }
    }
    assert_eq!(good.get("/").await, (200, "a".into()));
}

#[tokio::test]
async fn empty_frames_of_a_body_are_borne_only_so_often() {
    let server = Server::named("a").await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut frames = Frames::connect(proxy.address).await;
    let post = [(":method", "POST"), GET[1], GET[2], GET[3]];
    frames.send(HEADERS, END_HEADERS, 1, &head(&post)).await;
    flood(&mut frames, &frame(DATA, 0, 1, &[])).await;
}

#[tokio::test]
async fn requests_that_are_taken_back_at_once_end_the_connection() {
    let server = Server::named("a").await;
    let proxy = TestProxy::before(&[&server]).await;
    // All at once, before any of them is looked at; or each given time to reach a server.
    for pause in [Duration::ZERO, Duration::from_micros(500)] {
        let mut frames = Frames::connect(proxy.address).await;
        let mut asked = 0;
        let ended = within(async {
            for stream in (1..200_001_u32).step_by(2) {
                let mut both = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head(&GET));
                both.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
                if !frames.try_write(&both).await {
                    return true;
                }
                asked += 1;
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            false
        })
        .await;
        assert!(ended, "{asked} were borne");
    }
    assert!(server.hits() < 2_000, "the server was made to work: {}", server.hits());
    until(|| proxy.roster.servers()[0].in_flight() == 0).await;
    assert_eq!(proxy.get("/").await.text(), "a");
}

#[tokio::test]
async fn a_client_that_reads_nothing_of_what_it_asked_for_is_let_go_with_its_servers() {
    let server = Server::start(|mut wire, recorder| async move {
        recorder.record(wire.read_head().await.unwrap());
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
        while wire.write_some(&[0; 16_000]).await.is_ok() {}
        recorder.note("gone");
    })
    .await;
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.limits = support::short_limits();
    })
    .await;
    let mut frames = Frames::connect(proxy.address).await;
    for stream in [1, 3, 5] {
        frames.send(HEADERS, END_HEADERS | END_STREAM, stream, &head(&GET)).await;
    }
    // It reads from its socket, but opens no window.
    while frames.read().await.is_some() {}
    until(|| server.hits() == 6).await;
    until(|| proxy.roster.servers()[0].in_flight() == 0).await;
}

#[tokio::test]
async fn a_head_that_never_ends_ends_the_connection() {
    let server = Server::named("a").await;
    let proxy = TestProxy::before(&[&server]).await;
    // Empty ones, and ones that bring something.
    for more in [Vec::new(), head(&[("x", "y")]), head(&[("x", &"y".repeat(10_000))])] {
        let mut frames = Frames::connect(proxy.address).await;
        frames.send(HEADERS, END_STREAM, 1, &head(&GET)).await;
        let sent = flood(&mut frames, &frame(CONTINUATION, 0, 1, &more)).await;
        assert!(sent < 20_000_000, "{sent} bytes were taken");
    }
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_the_next_request_served() {
    let server = Server::named("a").await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut client = Client::connect(proxy.address).await;
    let mut request = http2::get("/");
    for name in ["a", "b", "c", "d", "e"] {
        request.headers_mut().insert(name, "y".repeat(8_000).parse().unwrap());
    }
    assert_eq!(client.send(request).await.unwrap().status(), 431);
    assert_eq!(client.get("/").await, (200, "a".into()));
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn requests_above_the_limit_at_once_are_refused_and_none_of_them_is_passed_on() {
    let server = Server::start(|mut wire, recorder| async move {
        recorder.record(wire.read_head().await.unwrap());
        std::future::pending::<()>().await;
    })
    .await;
    let proxy = TestProxy::before(&[&server]).await;
    let mut frames = Frames::connect(proxy.address).await;
    for stream in (1..300).step_by(2) {
        frames.send(HEADERS, END_HEADERS | END_STREAM, stream, &head(&GET)).await;
    }
    for _ in 0..50 {
        let refused = frames.next(RST_STREAM).await.unwrap();
        assert_eq!(code(&refused), REFUSED_STREAM);
        assert!(refused.stream > 200);
    }
    until(|| server.hits() == 100).await;
}

/// What a request can have in HTTP/2 alone, or what it would mean something else in HTTP/1 with.
#[tokio::test]
async fn requests_that_could_be_read_in_two_ways_reach_no_server() {
    let server = Server::echo().await;
    let proxy = TestProxy::before(&[&server]).await;
    let [method, scheme, authority, path] = GET;
    let base = [method, scheme, authority, path];
    let with = |more: &[(&str, &str)]| head(&[&base[..], more].concat());
    for (what, block) in [
        ("a name in capitals", with(&[("X-A", "b")])),
        ("Connection", with(&[("connection", "close")])),
        ("Transfer-Encoding", with(&[("transfer-encoding", "chunked")])),
        ("Upgrade", with(&[("upgrade", "websocket")])),
        ("Keep-Alive", with(&[("keep-alive", "timeout=5")])),
        ("Proxy-Connection", with(&[("proxy-connection", "close")])),
        ("TE", with(&[("te", "gzip")])),
        ("a line end in a value", with(&[("x", "a\r\nhost: b")])),
        ("a line end in a name", with(&[("x\r\ny", "a")])),
        ("NUL in a value", with(&[("x", "a\0b")])),
        ("a space in a name", with(&[("x y", "a")])),
        ("a colon in a name", with(&[("x:y", "a")])),
        ("an empty name", with(&[("", "a")])),
        (
            "a line end in the path",
            head(&[method, scheme, authority, (":path", "/ HTTP/1.1\r\nx: y")]),
        ),
        ("a space in the path", head(&[method, scheme, authority, (":path", "/a b")])),
        ("no path", head(&[method, scheme, authority])),
        ("an empty path", head(&[method, scheme, authority, (":path", "")])),
        ("a path that is none", head(&[method, scheme, authority, (":path", "a")])),
        ("two paths", with(&[(":path", "/b")])),
        ("two methods", with(&[(":method", "POST")])),
        (
            "a method with a line end",
            head(&[(":method", "GET / HTTP/1.1\r\n"), scheme, authority, path]),
        ),
        ("an unknown pseudo-header", with(&[(":x", "y")])),
        ("a status", with(&[(":status", "200")])),
        ("a pseudo-header behind a header", head(&[method, scheme, ("x", "y"), authority, path])),
        ("no scheme", head(&[method, authority, path])),
        ("another Host", with(&[("host", "other")])),
        ("two Hosts", with(&[("host", "test"), ("host", "test")])),
        ("no Host at all", head(&[method, scheme, path])),
        ("a user in the authority", head(&[method, scheme, (":authority", "u@test"), path])),
        (
            "a line end in the authority",
            head(&[method, scheme, (":authority", "test\r\nx: y"), path]),
        ),
        ("a port that is none", head(&[method, scheme, (":authority", "test:99999"), path])),
        ("a length that is none", with(&[("content-length", "+1")])),
        ("two lengths", with(&[("content-length", "0"), ("content-length", "0")])),
        ("a length of a body that is not there", with(&[("content-length", "5")])),
        ("CONNECT", head(&[(":method", "CONNECT"), authority])),
        ("an unknown expectation", with(&[("expect", "x")])),
    ] {
        let mut frames = Frames::connect(proxy.address).await;
        frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &block).await;
        let refused = within(async {
            loop {
                match frames.read().await {
                    None => return true,
                    Some(frame) if frame.kind == RST_STREAM || frame.kind == GOAWAY => {
                        return code(&frame) == PROTOCOL_ERROR;
                    }
                    // An answer of our own.
                    Some(frame) if frame.kind == HEADERS => return true,
                    Some(_) => {}
                }
            }
        })
        .await;
        assert!(refused, "{what}");
        assert_eq!(server.hits(), 0, "{what}: {:?}", server.heads());
    }
    // A body longer or shorter than its length breaks off towards the server too.
    for (length, body) in [("5", "longer than that"), ("50", "shorter")] {
        let mut frames = Frames::connect(proxy.address).await;
        let post = [(":method", "POST"), scheme, authority, path, ("content-length", length)];
        frames.send(HEADERS, END_HEADERS, 1, &head(&post)).await;
        frames.send(DATA, END_STREAM, 1, body.as_bytes()).await;
        let end = loop {
            let frame = frames.read().await.unwrap();
            if matches!(frame.kind, RST_STREAM | HEADERS) {
                break frame;
            }
        };
        assert!(end.kind == HEADERS || code(&end) == PROTOCOL_ERROR, "{end:?}");
    }
    assert_eq!(server.hits(), 0, "{:?}", server.heads());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_clients_by_the_dozen_cost_others_little_and_leave_nothing_behind() {
    let server = Server::named("a").await;
    let flags = ["--session", "off", "--workers", "1"];
    let mut proxy = ProxyProcess::start(&server.line(), &flags).await;
    proxy.ignore();
    let mut good = Wire::connect(proxy.address).await;
    assert_eq!(good.get("/").await.text(), "a");
    let (files, memory) = (proxy.files(), proxy.memory());
    let address = proxy.address;
    let hostile: Vec<_> = (0..12)
        .map(|number| {
            tokio::spawn(async move {
                let mut frames = Frames::connect(address).await;
                let bytes = match number % 3 {
                    0 => frame(PING, 0, 0, &[0; 8]),
                    1 => frame(SETTINGS, 0, 0, &[]),
                    _ => {
                        frames.send(HEADERS, END_STREAM, 1, &head(&GET)).await;
                        frame(CONTINUATION, 0, 1, &head(&[("x", "y")]))
                    }
                };
                flood(&mut frames, &bytes).await;
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    while !hostile.iter().all(tokio::task::JoinHandle::is_finished) {
        let begun = std::time::Instant::now();
        assert_eq!(good.get("/").await.text(), "a");
        slowest = slowest.max(begun.elapsed());
    }
    for hostile in hostile {
        hostile.await.unwrap();
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    until(|| proxy.files() <= files).await;
    assert!(proxy.memory() < memory + 40 * 1024, "{} -> {} KiB", memory, proxy.memory());
}
