//! A connection whose bytes are looked at as they come in.
//!
//! Owns the order in which hyper gets them: whole heads, and nothing behind the end of a message
//! until its turn has come. They stay where the kernel put them, in hyper's own buffer, unless a
//! head comes in pieces or something comes behind a message: only then are they kept here.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::Failure;

use super::{Messages, Scan};

/// What one direction does about what is out of order.
pub(crate) trait Side: Messages {
    /// Whether what comes before its turn waits for it.
    const KEEPS_EARLY: bool;

    /// Bytes of a head have come.
    fn bytes_came(&mut self);

    /// A message waits for the end of the one before. Whoever ends that has the connection polled.
    fn park(&mut self);

    /// What was to be written was taken, or not.
    fn written(&mut self, taken: bool);

    /// A message will not be passed on. Some: what hyper reads in its place; none: an error.
    fn refuse(&mut self, failure: Failure) -> Option<&'static [u8]>;
}

/// A connection whose bytes are looked at as they come in.
#[derive(Debug)]
pub(crate) struct Scanned<S, M> {
    stream: S,
    scan: Scan,
    messages: M,
    held: Held,
    end: Option<End>,
}

/// Something was wrong, and nothing more is read.
#[derive(Clone, Copy, Debug)]
enum End {
    /// hyper has something to answer instead.
    Answer,
    Error,
}

impl<S, M: Side> Scanned<S, M> {
    /// `limit`: of a head, in bytes.
    pub(crate) fn new(stream: S, messages: M, limit: usize) -> Self {
        Self { stream, scan: Scan::new(limit), messages, held: Held::default(), end: None }
    }

    /// Whether a message has begun to be read and has not ended.
    pub(crate) fn is_within(&self) -> bool {
        !self.scan.is_between()
    }

    /// Whether the other side was in the middle of something that nobody will read.
    pub(crate) fn leaves_some_unread(&self) -> bool {
        self.is_within() || self.end.is_some() || !self.held.is_empty()
    }

    /// The connection, and what has come and was not read.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.held.into_rest())
    }

    /// What of these bytes may be read now; all: nothing is to be held.
    fn look(&mut self, fresh: &[u8]) -> Result<usize, Failure> {
        if self.scan.is_between() {
            self.messages.bytes_came();
        }
        self.scan.look(fresh, &mut self.messages)
    }

    /// Looks at what is held, which has grown or whose turn has come.
    fn look_at_held(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        match self.look(&held.bytes[held.read..]) {
            Ok(good) => {
                self.held = Held { good: held.read + good, part: good == 0, ..held };
                Ok(())
            }
            Err(failure) => self.refuse(failure),
        }
    }

    fn refuse(&mut self, failure: Failure) -> io::Result<()> {
        tracing::debug!(%failure, "refused");
        // What was begun cannot be taken back.
        let untouched = self.scan.is_between();
        let Some(stand_in) = untouched.then(|| self.messages.refuse(failure)).flatten() else {
            self.end = Some(End::Error);
            return Err(io::Error::new(io::ErrorKind::InvalidData, failure));
        };
        self.end = Some(End::Answer);
        self.held = Held { bytes: stand_in.to_vec(), good: stand_in.len(), ..Held::default() };
        Ok(())
    }

    /// Some bytes were read into `buf` behind `before`. Leaves there what may be read now.
    fn sort(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let fresh = &buf.filled()[before..];
        if !self.held.is_empty() {
            self.held.bytes.extend_from_slice(fresh);
            buf.set_filled(before);
            return self.look_at_held();
        }
        match self.look(fresh) {
            Ok(good) => {
                if good < fresh.len() {
                    self.held = Held::behind(&fresh[good..], good == 0);
                    buf.set_filled(before + good);
                    if self.scan.is_between() && good > 0 && !M::KEEPS_EARLY {
                        self.end = Some(End::Error);
                    }
                }
                Ok(())
            }
            Err(failure) => {
                buf.set_filled(before);
                self.refuse(failure)
            }
        }
    }
}

impl<S: AsyncRead + Unpin, M: Side> Scanned<S, M> {
    /// It is not time for another message. Looks whether the connection has ended.
    fn poll_early(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            let fresh = &buf.filled()[before..];
            if fresh.is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.held = Held::behind(fresh, false);
            buf.set_filled(before);
        }
        if M::KEEPS_EARLY {
            self.messages.park();
            return Poll::Pending;
        }
        self.end = Some(End::Error);
        Poll::Ready(Err(unexpected()))
    }
}

fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "bytes that nobody asked for")
}

/// What has come and cannot be read yet. Empty, and without memory, nearly always.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// Up to where it was read.
    read: usize,
    /// Up to where it may be read.
    good: usize,
    /// What is behind that is a part of a head, and was looked at.
    part: bool,
}

impl Held {
    fn behind(bytes: &[u8], part: bool) -> Self {
        Self { bytes: bytes.to_vec(), read: 0, good: 0, part }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Gives what may be read. False: there is no room for it.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let count = (self.good - self.read).min(buf.remaining());
        if count == 0 {
            return false;
        }
        buf.put_slice(&self.bytes[self.read..self.read + count]);
        self.read += count;
        if self.read == self.bytes.len() {
            *self = Self::default();
        }
        true
    }

    fn into_rest(mut self) -> Vec<u8> {
        self.bytes.split_off(self.read)
    }
}

impl<S: AsyncRead + Unpin, M: Side + Unpin> AsyncRead for Scanned<S, M> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        loop {
            if this.held.read < this.held.good && this.held.give(buf) {
                return Poll::Ready(Ok(()));
            }
            match this.end {
                // hyper closes the connection once it has written that.
                Some(End::Answer) => return Poll::Pending,
                Some(End::Error) => return Poll::Ready(Err(unexpected())),
                None => {}
            }
            if this.scan.is_between() {
                if !this.messages.may_begin() {
                    return this.poll_early(cx, buf);
                }
                if !this.held.is_empty() && !this.held.part {
                    this.look_at_held()?;
                    continue;
                }
            }
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            if buf.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            this.sort(buf, before)?;
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin, M: Side + Unpin> AsyncWrite for Scanned<S, M> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.messages.written(polled.is_ready());
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.messages.written(polled.is_ready());
        polled
    }
}
