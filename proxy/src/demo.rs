//! Small backends for `--demo`: something to balance when nothing runs yet.
//!
//! One is started for each loopback address of the servers file that nobody serves. It answers
//! with its name, with what it received, and with a count of visits that it keeps in the session
//! and nowhere else: the count goes on while the servers change. Never takes a port from anybody,
//! and never listens beyond the loopback.

use std::{
    convert::Infallible,
    fmt::Write as _,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, task::JoinHandle};

/// Comes in with the count so far, goes out with the new one.
const VISITS: HeaderName = HeaderName::from_static("rondel-session-visits");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// A running demo backend; ends when it is dropped.
#[derive(Debug)]
pub struct DemoServer {
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    accepting: Vec<JoinHandle<()>>,
}

/// Starts a backend for each server, given as host, port and name, that is on this machine's
/// loopback and that nobody serves. They run on the runtime of the caller.
pub async fn start(servers: &[(String, u16, String)]) -> Vec<DemoServer> {
    let mut started = Vec::new();
    for (host, port, name) in servers {
        let addresses = loopback(host, *port);
        if addresses.is_empty() {
            continue;
        }
        match listen(&addresses).await {
            Ok(listeners) => {
                tracing::info!(server = name, host, port, "demo backend started");
                started.push(DemoServer::serve(listeners, name));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tracing::info!(server = name, host, port, "somebody serves here already");
            }
            Err(error) => {
                tracing::warn!(server = name, host, port, %error, "no demo backend here");
            }
        }
    }
    started
}

impl DemoServer {
    fn serve(listeners: Vec<TcpListener>, name: &str) -> Self {
        let name: Arc<str> = name.into();
        let addresses = listeners.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        let accepting = listeners
            .into_iter()
            .map(|listener| tokio::spawn(accept(listener, Arc::clone(&name))))
            .collect();
        Self { addresses, accepting }
    }
}

impl Drop for DemoServer {
    fn drop(&mut self) {
        self.accepting.iter().for_each(JoinHandle::abort);
    }
}

/// The loopback addresses that a host means; none if it is another machine.
fn loopback(host: &str, port: u16) -> Vec<SocketAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
    }
    let address = host.parse::<IpAddr>().ok().filter(IpAddr::is_loopback);
    address.map(|ip| (ip, port).into()).into_iter().collect()
}

/// Listens on every one of the addresses that this machine has; on none of them if somebody else
/// has one, since that server is theirs.
async fn listen(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            // A machine without IPv6 has half a `localhost`.
            Err(error) if address.is_ipv6() && error.kind() != io::ErrorKind::AddrInUse => {
                tracing::debug!(%address, %error, "not listening here");
            }
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() { Err(io::ErrorKind::AddrNotAvailable.into()) } else { Ok(listeners) }
}

async fn accept(listener: TcpListener, name: Arc<str>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // It is refused only by a socket that is gone already.
        let _ = stream.set_nodelay(true);
        let name = Arc::clone(&name);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &name));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a demo backend ended");
            }
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    name: &str,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Full::default());
    if head.uri.path() == "/favicon.ico" {
        // Browsers ask for it beside the page; that is no visit.
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    }
    let received = received_text(&head, count(body).await);
    let visits = visits(&head.headers) + 1;
    let text = if wants_html(&head.headers) {
        response.headers_mut().insert(CONTENT_TYPE, HTML);
        page(name, visits, &received)
    } else {
        response.headers_mut().insert(CONTENT_TYPE, PLAIN);
        format!("server {name}\nvisit  {visits} of this session\n\n{received}")
    };
    response.headers_mut().insert(VISITS, HeaderValue::from(visits));
    *response.body_mut() = Full::from(text);
    Ok(response)
}

/// Reads a body to its end, or to where it breaks off, and says how long it was.
async fn count(mut body: Incoming) -> usize {
    let mut received = 0;
    while let Some(Ok(frame)) = body.frame().await {
        received += frame.data_ref().map_or(0, Bytes::len);
    }
    received
}

fn visits(headers: &HeaderMap) -> u32 {
    let text = headers.get(VISITS).and_then(|value| value.to_str().ok());
    // The session is ours to count in, and others' to write anything into.
    text.and_then(|text| text.parse().ok()).filter(|count| *count < u32::MAX).unwrap_or(0)
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("text/html"));
    headers.get_all(ACCEPT).iter().any(accepts)
}

fn received_text(head: &Parts, body: usize) -> String {
    let mut text = format!("{} {}\n", head.method, head.uri);
    for (name, value) in &head.headers {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    if body > 0 {
        let _ = writeln!(text, "\n{body} bytes of body");
    }
    text
}

fn page(name: &str, visits: u32, received: &str) -> String {
    // Each server has a colour of its own, so that one sees them change.
    let hue = name.bytes().fold(0_u32, |sum, byte| (sum * 31 + u32::from(byte)) % 360);
    let (name, received) = (escape(name), escape(received));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{name}: visit {visits}</title>\n\
         <style>\n\
         :root {{ color-scheme: light dark }}\n\
         body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; \
         padding: 0 1rem }}\n\
         h1 span {{ background: hsl({hue} 60% 40%); color: #fff; padding: .1em .4em; \
         border-radius: .3em }}\n\
         pre {{ overflow-x: auto; padding: 1rem; border: 1px solid #8886; border-radius: .3em }}\n\
         </style>\n\
         <h1>Served by <span>{name}</span></h1>\n\
         <p>Visit <strong>{visits}</strong> of this session. Reload: the server changes, the count \
         goes on.</p>\n\
         <p>What the server received:</p>\n\
         <pre>{received}</pre>\n</html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
#[path = "../tests/support/ports.rs"]
mod ports;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::{ports::free_port, *};

    async fn ask(address: SocketAddr, fields: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request =
            format!("GET /b?%3Cb%3E HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_free_loopback_address_gets_a_backend_that_counts_visits() {
        let port = free_port();
        let servers = [("localhost".to_owned(), port, "one".to_owned())];
        let started = start(&servers).await;
        assert_eq!(started.len(), 1);
        for address in &started[0].addresses {
            let first = ask(*address, "X-Own: 1\r\n").await;
            assert!(first.contains("rondel-session-visits: 1\r\n"), "{first}");
            assert!(first.contains("server one\nvisit  1"), "{first}");
            assert!(first.contains("GET /b?%3Cb%3E\nhost: x\n"), "{first}");
            assert!(first.contains("x-own: 1\n"), "{first}");
            let next = ask(*address, "Rondel-Session-Visits: 41\r\n").await;
            assert!(next.contains("rondel-session-visits: 42\r\n"), "{next}");
        }
    }

    #[tokio::test]
    async fn a_browser_gets_a_page_and_nothing_of_the_request_becomes_markup() {
        let port = free_port();
        let servers = [("127.0.0.1".to_owned(), port, "one".to_owned())];
        let started = start(&servers).await;
        let fields = "Accept: text/html,*/*\r\nX-Own: <script>\r\nRondel-Session-Visits: <b>\r\n";
        let page = ask(started[0].addresses[0], fields).await;
        assert!(page.contains("text/html") && page.contains("&lt;script&gt;"), "{page}");
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        assert!(page.contains("rondel-session-visits: 1\r\n"), "what is no number begins anew");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_left_alone() {
        for taken in ["127.0.0.1:0", "[::1]:0"] {
            let theirs = TcpListener::bind(taken).await.unwrap();
            let port = theirs.local_addr().unwrap().port();
            let servers = [("localhost".to_owned(), port, "one".to_owned())];
            assert!(start(&servers).await.is_empty(), "{taken}");
        }
    }

    #[tokio::test]
    async fn other_machines_are_left_alone() {
        let port = free_port();
        for host in ["10.0.0.1", "0.0.0.0", "::", "example.com", "localhost.example.com"] {
            let servers = [(host.to_owned(), port, "one".to_owned())];
            assert!(start(&servers).await.is_empty(), "{host}");
        }
    }
}
