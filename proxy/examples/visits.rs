//! A backend in Rust that keeps a count in the session.
//!
//! `cargo run -p rondel-proxy --example visits [PORT]`
#![expect(clippy::print_stdout, reason = "says where it listens")]

use std::convert::Infallible;

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

const VISITS: HeaderName = HeaderName::from_static("rondel-session-visits");

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let before = request.headers().get(VISITS).and_then(|value| value.to_str().ok());
    let visits = before.and_then(|text| text.parse().ok()).unwrap_or(0_u64) + 1;
    let mut response = Response::new(Full::from(format!("visit {visits}\n")));
    // Taken off by the proxy and kept in the session. An empty value would delete it.
    response.headers_mut().insert(VISITS, HeaderValue::from(visits));
    Ok(response)
}

/// Answers for ever.
pub(crate) async fn serve(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async {
            let served =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            if let Err(error) = served.await {
                println!("a connection broke off: {error}");
            }
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(8000);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", listener.local_addr()?.port());
    serve(listener).await
}
