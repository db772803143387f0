//! A client connection of HTTP/2.
//!
//! Owns its hyper connection and its end, and the time of each request on it: there are many at
//! once, so each watches its own deadline. The requests take the same path as those of HTTP/1.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;

use super::{Alarm, ClientIo, Next, Watch};
use crate::{
    accept,
    body::{BodyError, Payload},
    client::Client,
    proxy,
};

/// Serves a client until it, we, or the time ends it.
pub(super) async fn serve(io: ClientIo, client: Arc<Client>) {
    client.begin_http2();
    accept::leave_room(io.stream.socket());
    let service = service_fn(|request| {
        let stream = client.stream();
        async move { Ok::<_, Infallible>(answer(stream, request).await) }
    });
    let mut connection = client.worker.http2.serve_connection(TokioIo::new(io.metered()), service);
    let stop = pin!(client.worker.stop.draining());
    let mut watch = Watch::new(&client, stop).of_http2();
    poll_fn(|cx| {
        loop {
            if Pin::new(&mut connection).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match watch.next(cx) {
                Next::Wait => return Poll::Pending,
                Next::Poll => {}
                // No new requests; those that are there are answered.
                Next::FinishAndClose => Pin::new(&mut connection).graceful_shutdown(),
                Next::End(_) => return Poll::Ready(()),
            }
        }
    })
    .await;
}

async fn answer(client: Arc<Client>, request: Request<Incoming>) -> Response<Timed> {
    let mut alarm = Alarm::default();
    let mut unfinished = Unfinished(Some(Arc::clone(&client)));
    let mut answering = pin!(proxy::answer::<true>(Arc::clone(&client), request));
    let answered = poll_fn(|cx| {
        loop {
            if let Poll::Ready(response) = answering.as_mut().poll(cx) {
                return Poll::Ready(response);
            }
            if alarm.poll(&client, cx).is_pending() {
                return Poll::Pending;
            }
            // The one who waits sees it when polled.
            client.expire();
        }
    });
    let response = answered.await;
    unfinished.0 = None;
    response.map(|payload| Timed { payload, alarm, client, finished: false })
}

/// A request that has no answer yet.
struct Unfinished(Option<Arc<Client>>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(client) = &self.0 {
            client.taken_back();
        }
    }
}

/// A response's body, with the request's timer.
struct Timed {
    payload: Payload,
    alarm: Alarm,
    client: Arc<Client>,
    /// Its end has been seen.
    finished: bool,
}

impl Drop for Timed {
    fn drop(&mut self) {
        if !self.finished && !self.is_end_stream() {
            self.client.taken_back();
        }
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if let Poll::Ready(frame) = Pin::new(&mut this.payload).poll_frame(cx) {
                match &frame {
                    Some(Ok(part)) => this.client.body_moved(part.data_ref().map_or(0, Bytes::len)),
                    Some(Err(_)) | None => this.finished = true,
                }
                return Poll::Ready(frame);
            }
            if this.alarm.poll(&this.client, cx).is_pending() {
                return Poll::Pending;
            }
            this.client.expire();
        }
    }

    fn is_end_stream(&self) -> bool {
        self.payload.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.payload.size_hint()
    }
}
