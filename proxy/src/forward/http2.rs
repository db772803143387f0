//! Asking a server that speaks HTTP/2.
//!
//! Owns what differs from HTTP/1: the request shares its connection with others, and a server can
//! say that it has not looked at it.

use std::{error::Error as _, future::poll_fn, pin::pin, sync::Arc, task::Poll};

use http::uri::Scheme;
use http_body::Body as _;
use hyper::{Response, body::Incoming, client::conn::http2::SendRequest};

use super::{Link, Lost, Slot};
use crate::{
    backend::Backend,
    body::{Http2Upload, Upload},
    client::Exchange,
    error::Failure,
    framing, headers,
    multiplex::{self, Lease},
};

/// One server: a place on a connection, and the request on that.
pub(super) async fn attempt(
    exchange: &Exchange,
    backend: &Arc<Backend>,
    slot: &mut Slot,
) -> Result<(Response<Incoming>, Link), Lost> {
    /// A connection that is closing may be found so only when it is used.
    const TRIES: u32 = 3;
    let scheme = if backend.is_https() { Scheme::HTTPS } else { Scheme::HTTP };
    let request = slot.as_mut().ok_or(Lost::Final(Failure::Cut))?;
    headers::to_http2(request, scheme).map_err(Lost::Final)?;
    let mut tries = 0;
    let sent = loop {
        tries += 1;
        let leased = multiplex::lease(backend, &exchange.client().worker).await;
        let (sender, lease) = match leased {
            Ok(leased) => leased,
            Err(failure) => break Err(Lost::NeverSent(failure)),
        };
        match send(exchange, sender, lease, slot).await {
            Err(Lost::NeverSent(_)) if tries < TRIES => {}
            sent => break sent,
        }
    };
    if let Some(request) = slot {
        headers::to_http1(request);
    }
    sent
}

async fn send(
    exchange: &Exchange,
    mut sender: SendRequest<Http2Upload>,
    lease: Lease,
    slot: &mut Slot,
) -> Result<(Response<Incoming>, Link), Lost> {
    let Some(request) = slot.take() else { return Err(Lost::Final(Failure::Cut)) };
    exchange.await_server();
    let mut answer = pin!(sender.try_send_request(request.map(Upload::into_http2)));
    let outcome = poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Pending if exchange.has_expired() => Poll::Ready(None),
        polled => polled.map(Some),
    });
    match outcome.await {
        Some(Ok(response)) => {
            framing::check_response(&response).map_err(Lost::Final)?;
            let over = response.body().is_end_stream();
            Ok((response, if over { Link::Done } else { Link::Shared(lease) }))
        }
        Some(Err(mut error)) => {
            *slot = error.take_message().map(|request| request.map(Http2Upload::into_http1));
            if slot.is_some() {
                return Err(Lost::NeverSent(Failure::Cut));
            }
            Err(lost(exchange, &error.into_error()))
        }
        None if exchange.awaits_client() => Err(Lost::Final(Failure::RequestTimeout)),
        None => Err(Lost::Final(Failure::Timeout)),
    }
}

/// Why there is no response, from what HTTP/2 says of the stream.
fn lost(exchange: &Exchange, error: &hyper::Error) -> Lost {
    tracing::debug!(?error, "no response");
    let Some(cause) = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>()) else {
        return Lost::Unanswered(None);
    };
    let unseen = cause.is_go_away() || cause.reason() == Some(h2::Reason::REFUSED_STREAM);
    if cause.is_remote() && unseen {
        // A GOAWAY ends only the streams that it does not count among the processed ones.
        Lost::Refused
    } else if cause.is_library() {
        Lost::Final(Failure::BadResponse)
    } else if cause.is_reset() && !cause.is_remote() {
        // The body that we were sending broke off: it is the client's, or more than is taken.
        Lost::Final(exchange.client().check_refusal().err().unwrap_or(Failure::RequestBody))
    } else {
        Lost::Unanswered(None)
    }
}
