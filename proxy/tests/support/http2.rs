//! HTTP/2 in tests: a client that behaves, and one that sends what frames it likes.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame as BodyFrame, Incoming},
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc,
};

use super::{Wire, within};

pub type Body = BoxBody<Bytes, std::io::Error>;

/// A body that comes as the test sends it.
struct Parts(mpsc::Receiver<Result<BodyFrame<Bytes>, std::io::Error>>);

impl hyper::body::Body for Parts {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(cx)
    }
}

pub fn parts() -> (mpsc::Sender<Result<BodyFrame<Bytes>, std::io::Error>>, Body) {
    let (send, receive) = mpsc::channel(1);
    (send, Parts(receive).boxed())
}

/// A client on one connection.
#[derive(Clone)]
pub struct Client(SendRequest<Body>);

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(within(TcpStream::connect(address)).await.unwrap()).await
    }

    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let handshake = http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream));
        let (sender, connection) = within(handshake).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Self(sender)
    }

    pub async fn send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        within(self.0.send_request(request)).await
    }

    /// What a server answers to a request without a body.
    pub async fn get(&mut self, path: &str) -> (u16, String) {
        let response = self.send(get(path)).await.unwrap();
        let status = response.status().as_u16();
        (status, text(response).await)
    }

    /// Whether the connection takes no more requests.
    pub async fn is_closed(&mut self) -> bool {
        within(async {
            while !self.0.is_closed() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
        true
    }
}

pub fn get(path: &str) -> Request<Body> {
    Request::get(format!("http://test{path}")).body(full("")).unwrap()
}

pub fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed()
}

pub async fn text(response: Response<Incoming>) -> String {
    let body = within(response.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// A client that speaks in frames.
pub struct Frames {
    pub wire: Wire,
}

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ACK: u8 = 1;

impl Frames {
    pub async fn connect(address: SocketAddr) -> Self {
        let mut frames = Self { wire: Wire::connect(address).await };
        frames.wire.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    /// The server's end; none: nobody of HTTP/2 is there.
    pub async fn accept(mut wire: Wire) -> Option<Self> {
        wire.read_exact(24).await.ok()?;
        let mut frames = Self { wire };
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames.send(SETTINGS, ACK, 0, &[]).await;
        Some(frames)
    }

    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.wire.write(frame(kind, flags, stream, payload)).await;
    }

    /// These bytes, unless the other side has ended the connection.
    pub async fn try_write(&mut self, bytes: &[u8]) -> bool {
        use tokio::io::AsyncWriteExt as _;
        within(self.wire.stream.write_all(bytes)).await.is_ok()
    }

    /// The next frame; none: the connection ended.
    pub async fn read(&mut self) -> Option<Frame> {
        let head = self.wire.read_exact(9).await.ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let payload = self.wire.read_exact(length).await.ok()?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame of this kind that is no acknowledgement.
    pub async fn next(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.read().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The code that a GOAWAY or a `RST_STREAM` carries.
pub fn code(frame: &Frame) -> u32 {
    let at = if frame.kind == GOAWAY { 4 } else { 0 };
    u32::from_be_bytes(frame.payload[at..at + 4].try_into().unwrap())
}

/// A request's head, each field as a literal that no table is needed for.
pub fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            string(&mut block, text);
        }
    }
    block
}

fn string(block: &mut Vec<u8>, text: &str) {
    if let Ok(length @ ..127) = u8::try_from(text.len()) {
        block.push(length);
    } else {
        block.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }
    block.extend(text.as_bytes());
}

pub const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/")];
