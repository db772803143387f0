//! The client's end of the connection.
//!
//! Owns the look at its first bytes, which say whether it is HTTP/2 in clear, and asks the meter
//! about what HTTP/2 clients send. The look costs no system call: HTTP/1 reads as ever, and what it
//! reads first is held back only where it begins like HTTP/2.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{client::Client, stream::Stream};

/// What a client of HTTP/2 sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The client's stream.
pub(crate) struct ClientIo {
    pub(crate) stream: Stream,
    client: Arc<Client>,
    first: First,
    /// HTTP/2: whether what comes in is of use.
    metered: bool,
    /// And how much came in since others had a turn.
    unshared: usize,
}

/// What one HTTP/2 client may send before the worker's others have a turn: a small frame costs as
/// much to read as a large one.
const SHARE: usize = 32 * 1024;

/// How far the look at the first bytes has come.
enum First {
    /// So many bytes have come, and are those of the preface.
    Look(usize),
    /// It is decided, and these bytes, which were held back, go first.
    Replay(Vec<u8>),
    Done,
}

impl ClientIo {
    /// HTTP/1, or HTTP/2 if the client begins so.
    pub(crate) fn in_clear(socket: TcpStream, client: Arc<Client>) -> Self {
        Self {
            stream: Stream::Clear(socket),
            client,
            first: First::Look(0),
            metered: false,
            unshared: 0,
        }
    }

    /// The version was agreed on.
    pub(crate) fn over_tls(stream: Stream, client: Arc<Client>) -> Self {
        Self { stream, client, first: First::Done, metered: false, unshared: 0 }
    }

    /// Its HTTP/2 begins.
    pub(super) fn metered(self) -> Self {
        Self { metered: true, ..self }
    }

    /// Reads while it is not decided yet, or what was read then.
    #[cold]
    fn read_first(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.first {
                First::Look(seen) => {
                    let seen = *seen;
                    let before = buf.filled().len();
                    ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
                    self.first = look(seen, &buf.filled()[before..]);
                    if matches!(self.first, First::Done) {
                        return Poll::Ready(Ok(()));
                    }
                    self.client.bytes_came();
                    buf.set_filled(before);
                    if matches!(&self.first, First::Replay(held) if held.starts_with(PREFACE)) {
                        // Whoever reads here reads no more: see `connection::serve`.
                        self.client.found_http2();
                        return Poll::Pending;
                    }
                }
                First::Replay(held) => {
                    let count = held.len().min(buf.remaining());
                    buf.put_slice(&held[..count]);
                    held.drain(..count);
                    if held.is_empty() {
                        self.first = First::Done;
                    }
                    return Poll::Ready(Ok(()));
                }
                First::Done => return Pin::new(&mut self.stream).poll_read(cx, buf),
            }
        }
    }
}

impl ClientIo {
    fn read_metered(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unshared > SHARE {
            self.unshared = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let count = buf.filled().len() - before;
        self.unshared += count;
        if self.client.bears(count) {
            return Poll::Ready(Ok(()));
        }
        tracing::debug!(peer = %self.client.peer, "an HTTP/2 client sends what is of no use");
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

/// What follows from `part`, which came after `seen` bytes of the preface.
fn look(seen: usize, part: &[u8]) -> First {
    let rest = &PREFACE[seen..];
    if !part.is_empty() && rest.starts_with(part) && part.len() < rest.len() {
        return First::Look(seen + part.len());
    }
    if seen == 0 && !part.starts_with(PREFACE) {
        return First::Done;
    }
    First::Replay([&PREFACE[..seen], part].concat())
}

impl AsyncRead for ClientIo {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !matches!(self.first, First::Done) {
            return self.read_first(cx, buf);
        }
        if self.metered {
            return self.read_metered(cx, buf);
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientIo {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_known_in_one_piece_or_in_many() {
        let mut seen = 0;
        for byte in &PREFACE[..PREFACE.len() - 1] {
            let First::Look(next) = look(seen, &[*byte]) else { panic!("decided at {seen}") };
            seen = next;
        }
        assert!(matches!(look(seen, b"\n"), First::Replay(held) if held == PREFACE));
        let more = [PREFACE, b"rest"].concat();
        assert!(matches!(look(0, &more), First::Replay(held) if held == more));
    }

    #[test]
    fn anything_else_is_passed_on_as_it_came() {
        assert!(matches!(look(0, b"POST / HTTP/1.1"), First::Done));
        assert!(matches!(look(0, b"PRI * HTTP/1.1\r\n"), First::Done));
        assert!(matches!(look(0, b""), First::Done));
        assert!(matches!(look(1, b"O"), First::Replay(held) if held == b"PO"));
        assert!(matches!(look(3, b""), First::Replay(held) if held == b"PRI"));
    }
}
