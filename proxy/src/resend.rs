//! What a server was last asked, in case it goes away before it answers.
//!
//! Owns the head of that request as it was written to the connection, and its way back into a
//! request. The bytes are copied once, which costs a fraction of copying every field of a request
//! that nearly always is answered; they are read only where a server went away. Never decides
//! whether a request may be sent again (`forward.rs`).

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use http::HeaderName;
use hyper::{Method, Request, Uri, header::HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::body::Upload;

/// A connection to a server that remembers what was written to it.
#[derive(Debug)]
pub(crate) struct Kept<S> {
    stream: S,
    keep: Keep,
    head: Vec<u8>,
}

/// Tells a connection whether what is written next is to be kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keep(Arc<AtomicU8>);

const FORGET: u8 = 0;
const KEEP: u8 = 1;
const KEPT: u8 = 2;

impl Keep {
    /// A request comes next. To be kept it must have no body: then hyper writes all of it at once.
    pub(crate) fn next_request(&self, keep: bool) {
        // ORDERING: Relaxed here and below; a connection and its requests share one thread.
        self.0.store(if keep { KEEP } else { FORGET }, Ordering::Relaxed);
    }
}

/// The room that a connection keeps from one head for the next; few heads need more.
const USUAL: usize = 4 * 1024;

impl<S> Kept<S> {
    pub(crate) fn new(stream: S, keep: Keep) -> Self {
        Self { stream, keep, head: Vec::new() }
    }

    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    /// The last request, if it was kept: never the one before.
    pub(crate) fn into_request(self) -> Option<Request<Upload>> {
        let kept = self.keep.0.load(Ordering::Relaxed) == KEPT;
        kept.then(|| request(&self.head)).flatten()
    }

    /// Before it is written: a connection that has broken takes none of it.
    #[inline]
    fn note(&mut self, parts: &[io::IoSlice<'_>]) {
        if self.keep.0.load(Ordering::Relaxed) == KEEP {
            self.keep.0.store(KEPT, Ordering::Relaxed);
            self.head.clear();
            self.head.shrink_to(USUAL);
            for part in parts {
                self.head.extend_from_slice(part);
            }
        }
    }
}

/// The request that was written so; none if this is not all of it.
fn request(head: &[u8]) -> Option<Request<Upload>> {
    let text = head.strip_suffix(b"\r\n\r\n")?;
    let mut lines =
        text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next()?.splitn(3, |byte| *byte == b' ');
    let (method, target) = (words.next()?, words.next()?);
    let mut request = Request::new(Upload::empty());
    *request.method_mut() = Method::from_bytes(method).ok()?;
    *request.uri_mut() = Uri::try_from(target).ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}

impl<S: AsyncRead + Unpin> AsyncRead for Kept<S> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Kept<S> {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.note(&[io::IoSlice::new(buf)]);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.note(bufs);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const HEAD: &[u8] = b"DELETE /a%20b?c=d HTTP/1.1\r\nhost: localhost:80\r\naccept: a\r\n\
                          accept: b: c\r\nx-empty: \r\nx-cafe: caf\xc3\xa9\r\n\r\n";

    #[test]
    fn a_head_becomes_the_request_that_it_was() {
        let request = request(HEAD).unwrap();
        assert_eq!(request.method(), Method::DELETE);
        assert_eq!(request.uri(), "/a%20b?c=d");
        assert!(request.body().is_end_stream());
        let headers = request.headers();
        assert_eq!(headers["host"], "localhost:80");
        let accept: Vec<_> = headers.get_all("accept").iter().collect();
        assert_eq!(accept, ["a", "b: c"]);
        assert_eq!(headers["x-empty"], "");
        assert_eq!(headers["x-cafe"].as_bytes(), "caf\u{e9}".as_bytes());
    }

    #[test]
    fn a_part_of_a_head_is_no_request() {
        assert!(request(b"").is_none());
        assert!((0..HEAD.len()).all(|end| request(&HEAD[..end]).is_none()));
    }

    #[tokio::test]
    async fn the_last_request_is_kept_if_it_was_to_be() {
        let keep = Keep::default();
        let mut stream = Kept::new(tokio::io::sink(), keep.clone());
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes();
        for path in ["/1", "/2"] {
            keep.next_request(true);
            stream.write_all(&get(path)).await.unwrap();
            stream.write_all(b"what is written beside it").await.unwrap();
        }
        assert_eq!(stream.into_request().unwrap().uri(), "/2");
    }

    #[tokio::test]
    async fn an_earlier_request_is_never_taken_for_the_last_one() {
        for next in [None, Some(&b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\na"[..])] {
            let keep = Keep::default();
            let mut stream = Kept::new(tokio::io::sink(), keep.clone());
            keep.next_request(true);
            stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            keep.next_request(next.is_none());
            if let Some(put) = next {
                stream.write_all(put).await.unwrap();
            }
            assert!(stream.into_request().is_none());
        }
    }
}
