//! HTTP/2 with servers.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt as _;
use hyper::{
    Request, Response, Version, body::Incoming, header::HeaderMap, server::conn::http2::Builder,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rondel_proxy::{backend::State, health::HealthSettings};
use support::{
    Server, TestProxy,
    http2::{self, Client, Frames, full, parts},
    tls::{self, Authority},
    until, within,
};
use tokio::net::TcpListener;

type Requests = Arc<Mutex<Vec<Request<()>>>>;

/// A server that speaks nothing but HTTP/2 and echoes bodies and trailers as they come.
struct Echo {
    address: std::net::SocketAddr,
    requests: Requests,
    connections: Arc<AtomicUsize>,
    cancelled: Arc<AtomicUsize>,
}

static LARGE: [u8; 3_000_000] = [b'x'; 3_000_000];

struct Answering(Arc<AtomicUsize>, bool);

impl Drop for Answering {
    fn drop(&mut self) {
        if !self.1 {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Echo {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl Fn(&mut Builder<TokioExecutor>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let echo = Self {
            address: listener.local_addr().unwrap(),
            requests: Requests::default(),
            connections: Arc::default(),
            cancelled: Arc::default(),
        };
        let (requests, connections) = (Arc::clone(&echo.requests), Arc::clone(&echo.connections));
        let cancelled = Arc::clone(&echo.cancelled);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let (requests, cancelled) = (Arc::clone(&requests), Arc::clone(&cancelled));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (head, body) = request.into_parts();
                    let path = head.uri.path().to_owned();
                    requests.lock().unwrap().push(Request::from_parts(head, ()));
                    let cancelled = Arc::clone(&cancelled);
                    async move {
                        let mut answering = Answering(cancelled, false);
                        if path == "/silent" {
                            std::future::pending::<()>().await;
                        }
                        if path == "/slow" {
                            tokio::time::sleep(Duration::from_millis(300)).await;
                        }
                        answering.1 = true;
                        let body = match path.as_str() {
                            "/large" => full(LARGE.as_slice()),
                            _ => body.map_err(std::io::Error::other).boxed(),
                        };
                        Ok::<_, Infallible>(Response::new(body))
                    }
                });
                let mut builder = Builder::new(TokioExecutor::new());
                change(&mut builder);
                tokio::spawn(builder.serve_connection(TokioIo::new(socket), service));
            }
        });
        echo
    }

    fn line(&self) -> String {
        format!("http://{} h2", self.address)
    }

    fn first(&self) -> Request<()> {
        self.requests.lock().unwrap()[0].clone()
    }

    fn hits(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_request_of_http1_reaches_a_server_as_one_of_http2() {
    let server = Echo::start().await;
    let proxy = TestProxy::start(server.line()).await;
    let mut client = proxy.connect().await;
    client
        .write(
            "POST /path?query HTTP/1.1\r\nHost: www.example:81\r\nContent-Length: 4\r\n\
             Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\nTE: trailers\r\n\r\nbody",
        )
        .await;
    assert_eq!(client.read_answer().await.text(), "body");
    let request = server.first();
    assert_eq!(request.version(), Version::HTTP_2);
    assert_eq!(request.uri(), "http://www.example:81/path?query");
    let headers = request.headers();
    for gone in ["host", "connection", "upgrade", "transfer-encoding", "keep-alive"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(headers["content-length"], "4");
    assert_eq!(headers["via"], "1.1 rondel");
    assert_eq!(headers["x-forwarded-host"], "www.example:81");
    // And the next on the same connections.
    client
        .write(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        )
        .await;
    assert_eq!(client.read_answer().await.text(), "abc");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn bodies_and_trailers_stream_both_ways_at_once() {
    let server = Echo::start().await;
    let proxy = TestProxy::start(server.line()).await;
    let mut client = Client::connect(proxy.address).await;
    let (send, body) = parts();
    let request = Request::post("http://test/").header("te", "trailers").body(body).unwrap();
    // The server answers before the body has ended: each part comes back as it goes.
    let response = client.send(request).await.unwrap();
    assert_eq!(server.first().headers()["te"], "trailers");
    let mut body = response.into_body();
    for part in ["one", "two", "three"] {
        send.send(Ok(hyper::body::Frame::data(part.into()))).await.unwrap();
        let back = within(body.frame()).await.unwrap().unwrap();
        assert_eq!(back.into_data().unwrap(), part);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    send.send(Ok(hyper::body::Frame::trailers(trailers.clone()))).await.unwrap();
    drop(send);
    assert_eq!(within(body.frame()).await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    assert!(within(body.frame()).await.is_none());
    until(|| proxy.roster.servers()[0].in_flight() == 0).await;
}

#[tokio::test]
async fn a_body_of_unknown_length_that_grows_too_large_is_a_413_and_reset_at_the_server() {
    // It answers nothing before it has read all.
    let server = Echo::start().await;
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.limits.max_body = Some(1_000);
    })
    .await;
    let chunks = |count: usize| {
        let head = "POST /silent HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{}0\r\n\r\n", format!("64\r\n{}\r\n", "x".repeat(100)).repeat(count))
    };
    let mut client = proxy.connect().await;
    client.write(chunks(11)).await;
    let answer = client.read_answer().await;
    assert_eq!((answer.status(), answer.error()), (413, "body-too-large"));
    assert!(client.is_closed().await);
    until(|| server.cancelled.load(Ordering::Relaxed) == 1).await;
    let mut client = proxy.connect().await;
    client.write(chunks(10).replace("/silent", "/")).await;
    assert_eq!(client.read_answer().await.body.len(), 1_000);
}

#[tokio::test]
async fn a_large_body_passes_and_a_client_that_does_not_read_stops_only_itself() {
    let server = Echo::start().await;
    let proxy = TestProxy::start(server.line()).await;
    let mut client = Client::connect(proxy.address).await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[1]).collect();
    let mut unread = Vec::new();
    for _ in 0..20 {
        // Each on a connection of its own, and all of them on one to the server.
        let mut client = Client::connect(proxy.address).await;
        unread.push(client.send(http2::get("/large")).await.unwrap());
    }
    let request = Request::post("http://test/").body(full(body.clone())).unwrap();
    let response = client.send(request).await.unwrap();
    assert!(within(response.into_body().collect()).await.unwrap().to_bytes() == body);
    assert_eq!(server.connections(), 1);
    // Whoever reads late gets all of it.
    let late = unread.pop().unwrap();
    assert!(within(late.into_body().collect()).await.unwrap().to_bytes() == LARGE.as_slice());
}

#[tokio::test]
async fn many_requests_share_few_connections_within_what_the_server_allows() {
    let server = Echo::start_with(|builder| {
        builder.max_concurrent_streams(10);
    })
    .await;
    let proxy = TestProxy::start(server.line()).await;
    let mut client = Client::connect(proxy.address).await;
    assert_eq!(client.get("/").await.0, 200);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.get("/slow").await })
        })
        .collect();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), (200, String::new()));
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn a_limit_on_a_servers_requests_holds() {
    let server = Echo::start().await;
    let proxy = TestProxy::start(format!("{} max=2", server.line())).await;
    let mut client = Client::connect(proxy.address).await;
    let waiting: Vec<_> = (0..6)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.get("/slow").await.0 })
        })
        .collect();
    let mut answers = Vec::new();
    for waiting in waiting {
        answers.push(waiting.await.unwrap());
    }
    answers.sort_unstable();
    assert_eq!(answers, [200, 200, 503, 503, 503, 503]);
    assert_eq!(client.get("/").await.0, 200);
}

#[tokio::test]
async fn a_client_that_gives_up_has_the_server_give_up_and_a_silent_one_is_a_504() {
    let server = Echo::start().await;
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.limits = support::short_limits();
    })
    .await;
    let mut client = Client::connect(proxy.address).await;
    assert_eq!(client.get("/silent").await.0, 504);
    until(|| server.cancelled.load(Ordering::Relaxed) == 1).await;
    let mut other = client.clone();
    let waiting = tokio::spawn(async move { other.send(http2::get("/silent")).await });
    until(|| server.hits() == 2).await;
    waiting.abort();
    until(|| server.cancelled.load(Ordering::Relaxed) == 2).await;
    let mut plain = proxy.connect().await;
    plain.write("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until(|| server.hits() == 3).await;
    drop(plain);
    until(|| server.cancelled.load(Ordering::Relaxed) == 3).await;
    // The connection that they were on serves on.
    assert_eq!(client.get("/").await.0, 200);
    assert_eq!(server.connections(), 1);
}

/// Reads up to the next request's head; none: the connection ended.
async fn next_request(frames: &mut Frames) -> Option<u32> {
    frames.next(http2::HEADERS).await.map(|head| head.stream)
}

/// `:status: 200` stands in the static table.
const OK: &[u8] = &[0x88];

async fn answer(frames: &mut Frames, stream: u32) {
    frames.send(http2::HEADERS, http2::END_HEADERS, stream, OK).await;
    frames.send(http2::DATA, http2::END_STREAM, stream, b"answer").await;
}

#[tokio::test]
async fn what_a_server_has_not_looked_at_is_sent_again_whatever_it_is() {
    for refusal in ["refused", "goaway"] {
        let server = Server::start(move |wire, recorder| async move {
            let Some(mut frames) = Frames::accept(wire).await else { return };
            let mut first = true;
            while let Some(stream) = next_request(&mut frames).await {
                recorder.note("request");
                if !std::mem::take(&mut first) {
                    answer(&mut frames, stream).await;
                } else if refusal == "refused" {
                    frames.send(http2::RST_STREAM, 0, stream, &7_u32.to_be_bytes()).await;
                } else {
                    // It has processed none, and takes no more.
                    frames.send(http2::GOAWAY, 0, 0, &[0; 8]).await;
                    first = true;
                }
            }
        })
        .await;
        // The other one answers always.
        let well = Echo::start().await;
        let proxy =
            TestProxy::start(format!("http://{} h2\n{}", server.address, well.line())).await;
        let answer = proxy.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(answer.status(), 200, "{refusal}: {}", answer.text());
        assert_eq!((server.hits(), well.hits()), (1, 1), "{refusal}");
        // A body that has been sent is gone.
        let proxy =
            TestProxy::start(format!("http://{} h2\n{}", server.address, well.line())).await;
        let answer = proxy.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody").await;
        assert_eq!(answer.status(), 502, "{refusal}");
        assert_eq!(well.hits(), 1, "{refusal}");
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closes_in_good_order_costs_no_request() {
    let server = Server::start(|wire, recorder| async move {
        let Some(mut frames) = Frames::accept(wire).await else { return };
        while let Some(stream) = next_request(&mut frames).await {
            recorder.note("request");
            // No more than one on a connection; this one is answered.
            let last = [stream.to_be_bytes(), [0; 4]].concat();
            frames.send(http2::GOAWAY, 0, 0, &last).await;
            answer(&mut frames, stream).await;
        }
    })
    .await;
    let proxy = TestProxy::start(format!("http://{} h2", server.address)).await;
    let mut client = Client::connect(proxy.address).await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await, (200, "answer".into()));
    }
    assert_eq!(server.hits(), 20);
}

#[tokio::test]
async fn what_a_server_may_have_done_is_not_sent_again_unless_that_changes_nothing() {
    let dies = Server::start(|wire, recorder| async move {
        let Some(mut frames) = Frames::accept(wire).await else { return };
        if next_request(&mut frames).await.is_some() {
            recorder.note("request");
        }
    })
    .await;
    let well = Echo::start().await;
    let servers = format!("http://{} h2\n{}", dies.address, well.line());
    let proxy = TestProxy::start(&servers).await;
    let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let answer = proxy.ask(post).await;
    assert_eq!((answer.status(), answer.error()), (502, "cut"));
    assert_eq!((dies.hits(), well.hits()), (1, 0));
    let proxy = TestProxy::start(&servers).await;
    assert_eq!(proxy.get("/").await.status(), 200);
    assert_eq!((dies.hits(), well.hits()), (2, 1));
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_client_with_the_servers_reason() {
    let server = Server::start(|wire, _| async move {
        let Some(mut frames) = Frames::accept(wire).await else { return };
        while let Some(stream) = next_request(&mut frames).await {
            frames.send(http2::HEADERS, http2::END_HEADERS, stream, OK).await;
            frames.send(http2::DATA, 0, stream, b"half").await;
            frames.send(http2::RST_STREAM, 0, stream, &11_u32.to_be_bytes()).await;
        }
    })
    .await;
    let proxy = TestProxy::start(format!("http://{} h2", server.address)).await;
    let mut client = Client::connect(proxy.address).await;
    let response = client.send(http2::get("/")).await.unwrap();
    let error = within(response.into_body().collect()).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().downcast_ref::<h2::Error>().unwrap();
    assert_eq!(cause.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
    let mut plain = proxy.connect().await;
    plain.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let head = plain.read_head().await.unwrap();
    assert!(plain.read_body(&head).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_no_http2_server_is_a_502_and_down() {
    let server = Server::named("a").await;
    let proxy = TestProxy::start_with(format!("{} h2 name=a", server.line()), |settings| {
        let interval = Duration::from_millis(50);
        settings.health = Some(HealthSettings { interval, ..HealthSettings::default() });
    })
    .await;
    assert_eq!(proxy.get("/").await.status(), 502);
    until(|| proxy.roster.find("a").unwrap().state() == State::Down).await;
}

#[tokio::test]
async fn probes_speak_it_too() {
    let server = Echo::start().await;
    let proxy = TestProxy::start_with(format!("{} name=a", server.line()), |settings| {
        let interval = Duration::from_millis(50);
        settings.health = Some(HealthSettings { interval, ..HealthSettings::default() });
    })
    .await;
    until(|| server.hits() > 3).await;
    assert_eq!(proxy.roster.find("a").unwrap().state(), State::Up);
}

#[tokio::test]
async fn it_is_agreed_on_with_a_server_over_tls_and_one_that_does_not_is_told_of() {
    let (authority, server) = (Authority::new(), Echo::start().await);
    let pair = authority.issue("server", &["localhost"]);
    for (protocols, status) in [(&["h2"][..], 200), (&["http/1.1"], 502), (&[], 502)] {
        let port = tls::before(server.address, &pair, protocols).await.port();
        let proxy = TestProxy::start_with(format!("https://localhost:{port} h2"), |settings| {
            settings.roots = authority.roots();
        })
        .await;
        let answer = proxy.get("/").await;
        assert_eq!(answer.status(), status, "{protocols:?}: {}", answer.text());
        if status == 502 {
            assert_eq!(answer.error(), "tls");
        }
    }
    assert_eq!(server.first().uri().scheme_str(), Some("https"));
}
