//! Bodies on their way through.
//!
//! Owns the two streams, client to server and server to client. Both are pulled by the side that
//! writes, so a slow reader slows the sender down and nothing is kept. A body that breaks off is
//! an error here too, never an end.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::{
    client::{Exchange, Progress},
    error::Failure,
    multiplex::Lease,
    pool::{self, Upstream},
    trailers,
};

/// A request's body on its way to a server. A type of its own for each version of HTTP keeps what
/// hyper does for HTTP/1 compiled for that alone, which is measurably faster.
#[derive(Debug)]
pub(crate) struct Upload<const HTTP2: bool = false>(Option<Coming>);

pub(crate) type Http2Upload = Upload<true>;

/// What a client still sends.
#[derive(Debug)]
struct Coming {
    body: Incoming,
    progress: Progress,
    /// How many more bytes are taken.
    room: u64,
}

/// Why a request's body cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    #[error("it is too large")]
    TooLarge,
}

impl Upload {
    pub(crate) fn new(body: Incoming, exchange: &Exchange) -> Self {
        if body.is_end_stream() {
            return Self::empty();
        }
        let room = exchange.proxy().limits.max_body.unwrap_or(u64::MAX);
        Self(Some(Coming { body, progress: exchange.share(), room }))
    }

    pub(crate) fn empty() -> Self {
        Self(None)
    }

    pub(crate) fn into_http2(self) -> Http2Upload {
        Upload(self.0)
    }
}

impl Http2Upload {
    pub(crate) fn into_http1(self) -> Upload {
        Upload(self.0)
    }
}

impl<const HTTP2: bool> Body for Upload<HTTP2> {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Some(coming) = &mut self.0 else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(&mut coming.body).poll_frame(cx) else {
            coming.progress.waits();
            return Poll::Pending;
        };
        let Some(frame) = frame else {
            coming.progress.moved(0);
            return Poll::Ready(None);
        };
        Poll::Ready(Some(frame.map_err(UploadError::Broken).and_then(|part| coming.take(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|coming| coming.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |coming| coming.body.size_hint())
    }
}

impl Coming {
    fn take(&mut self, mut part: Frame<Bytes>) -> Result<Frame<Bytes>, UploadError> {
        let count = part.data_ref().map_or(0, Bytes::len);
        let Some(room) = self.room.checked_sub(count as u64) else {
            self.progress.refuse(Failure::BodyTooLarge);
            return Err(UploadError::TooLarge);
        };
        self.room = room;
        self.progress.moved(count);
        if let Some(trailers) = part.trailers_mut() {
            trailers::strip(trailers);
        }
        Ok(part)
    }
}

/// A response's body on its way to the client, ours or a server's.
pub(crate) struct Payload {
    source: Source,
    /// The connection is busy until its response is written.
    exchange: Exchange,
}

enum Source {
    Own(String),
    Server(Download),
}

/// What a server still sends.
pub(crate) struct Download {
    pub(crate) body: Incoming,
    /// Its place on a connection that others use too.
    pub(crate) lease: Option<Lease>,
    /// None: all of it has been read, and the connection lies in the pool or is closed.
    pub(crate) upstream: Option<Box<Upstream>>,
    /// It broke off: told to hyper only after what came before has gone out.
    pub(crate) broken: Option<BodyError>,
}

/// Why a body cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    #[error("the server stopped in the middle of its answer")]
    Stalled,
}

impl Payload {
    pub(crate) fn own(text: String, exchange: Exchange) -> Self {
        Self { source: Source::Own(text), exchange }
    }

    pub(crate) fn of_server(download: Download, exchange: Exchange) -> Self {
        exchange.answers();
        if download.upstream.is_none() && download.lease.is_none() {
            exchange.clear_deadline();
        }
        Self { source: Source::Server(download), exchange }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let mut frame = match &mut this.source {
            Source::Own(text) if text.is_empty() => None,
            Source::Own(text) => Some(Ok(Frame::data(Bytes::from(std::mem::take(text))))),
            Source::Server(download) => ready!(download.poll_frame(&mut this.exchange, cx)),
        };
        if let Some(Ok(part)) = &mut frame {
            if let Some(trailers) = part.trailers_mut() {
                trailers::strip(trailers);
            }
            this.exchange.record.sent(part.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(text) => text.is_empty(),
            Source::Server(download) => download.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(text) => SizeHint::with_exact(text.len() as u64),
            Source::Server(download) => download.body.size_hint(),
        }
    }
}

impl Download {
    fn poll_frame(
        &mut self,
        exchange: &mut Exchange,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Err(error))) => return self.break_off(error.into(), exchange, cx),
                Poll::Ready(frame) => {
                    exchange.clear_deadline();
                    return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)));
                }
                // Nothing is at hand: let the connection read on, in this task.
                Poll::Pending if self.poll_upstream(exchange, cx) => {}
                Poll::Pending => break,
            }
        }
        if exchange.has_expired() {
            return self.break_off(BodyError::Stalled, exchange, cx);
        }
        if !exchange.is_waiting() {
            exchange.await_server();
        }
        Poll::Pending
    }

    /// hyper drops what it has not written yet when a body fails, the head of the response too. A
    /// client is told more by a part of it than by nothing, so hyper gets a turn to write first.
    fn break_off<T>(
        &mut self,
        error: BodyError,
        exchange: &mut Exchange,
        cx: &Context<'_>,
    ) -> Poll<T> {
        exchange.broke_off();
        self.upstream = None;
        self.lease = None;
        self.broken = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// True: the body may have more now.
    fn poll_upstream(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> bool {
        let Some(upstream) = &mut self.upstream else { return false };
        let ended = Pin::new(&mut upstream.connection).poll(cx).is_ready();
        if ended {
            // The body has been told why: its end, or an error.
            self.upstream = None;
            return true;
        }
        if upstream.sender.is_ready()
            && let Some(upstream) = self.upstream.take()
        {
            // All has been read; the rest of the body is in our hands, the connection is free.
            if let Some(backend) = exchange.record.backend() {
                pool::give(backend, upstream, exchange.client().worker.clock.now());
            }
            return true;
        }
        false
    }
}
