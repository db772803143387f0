//! Asking a server, and another one if that is safe.
//!
//! Owns the exchange with a server up to the head of its response, and the rules of when a request
//! may be sent again (RFC 9110, 9.2.2). Never looks at what is in a message.

mod http2;

use std::{
    error::Error,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use http_body::Body as _;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, client::conn::TrySendError, header::HOST,
};

use crate::{
    backend::{Backend, InFlight},
    body::{Upload, UploadError},
    client::Exchange,
    error::Failure,
    framing, headers,
    health::Outcome,
    multiplex::Lease,
    pool::{self, Connection, Upstream},
    roster::Roster,
    settings::HostPolicy,
    stream::Stream,
};

/// A server's response, of which the head has come.
pub(crate) struct Reply {
    pub(crate) response: Response<Incoming>,
    pub(crate) link: Link,
    pub(crate) in_flight: InFlight,
}

/// What became of the connection that a response came on.
pub(crate) enum Link {
    /// It still brings the body.
    Streaming(Box<Upstream>),
    /// It still brings the body, and those of other requests.
    Shared(Lease),
    /// It has brought everything.
    Done,
    /// It speaks another protocol from here on; these bytes of it have come already.
    Switched(Stream, Bytes),
}

/// How an attempt failed, which decides who may be asked next.
enum Lost {
    /// The server has seen nothing of it, and the request is back in its place.
    NeverSent(Failure),
    /// It was sent, and the server says that it has not looked at it (RFC 9113, 8.7).
    Refused,
    /// It was sent, and the connection ended before a byte of a response. Some: it can be sent
    /// again, if it may be.
    Unanswered(Option<Box<Request<Upload>>>),
    /// The server has begun to answer, or has had its time.
    Final(Failure),
}

impl Lost {
    fn failure(&self) -> Failure {
        match self {
            Self::NeverSent(failure) | Self::Final(failure) => *failure,
            Self::Refused | Self::Unanswered(_) => Failure::Cut,
        }
    }
}

/// Where a request waits to be sent: empty while a server has it. It is large, so it stays in one
/// place and is not passed from hand to hand.
type Slot = Option<Request<Upload>>;

/// Sends the request to the picked server, and if that fails to others as long as it is safe and
/// the client is not bound to this one.
pub(crate) async fn forward(
    exchange: &mut Exchange,
    request: Request<Upload>,
    mut in_flight: InFlight,
    bound: bool,
) -> Result<Reply, Failure> {
    exchange.client().worker.retries.count_request();
    let mut resends = is_idempotent(request.method());
    // Over HTTP/2 there is no telling what was written for whom.
    let mut copy = in_flight.backend().speaks_http2().then(|| copy_to_resend(&request)).flatten();
    let mut tried = Vec::new();
    let mut fresh = false;
    // HTTP/1.0 requests may come without a Host; HTTP/1.1, which servers are asked in, needs one.
    let own_host =
        exchange.proxy().host == HostPolicy::Backend || !request.headers().contains_key(HOST);
    let mut slot = Some(request);
    loop {
        if own_host && let Some(request) = &mut slot {
            request.headers_mut().insert(HOST, in_flight.backend().authority().clone());
        }
        let attempted = attempt(exchange, in_flight.backend(), &mut slot, fresh).await;
        if let Some(outcome) = outcome(&attempted) {
            exchange.proxy().roster.report(&in_flight, outcome);
        }
        let lost = match attempted {
            Ok((response, link)) => return Ok(Reply { response, link, in_flight }),
            Err(lost) => lost,
        };
        let failure = lost.failure();
        exchange.server_failed(in_flight.backend(), failure);
        match lost {
            Lost::Final(failure) => return Err(failure),
            Lost::NeverSent(_) => {}
            Lost::Refused => {
                resends = false;
                slot = copy.take();
            }
            Lost::Unanswered(again) => {
                slot = again
                    .map(|request| *request)
                    .or_else(|| copy.take())
                    .filter(|_| std::mem::take(&mut resends))
                    .filter(|_| exchange.client().worker.retries.take());
                // The next connection must not die of old age as well.
                fresh = true;
            }
        }
        if slot.is_none() {
            return Err(failure);
        }
        tracing::debug!(server = in_flight.backend().id(), %failure, "asking another server");
        tried.push(in_flight.backend().serial());
        let others = (!bound).then(|| &*exchange.proxy().roster);
        in_flight = second_choice(others, &tried, in_flight, failure).ok_or(failure)?;
        exchange.record.retried();
    }
}

/// What an attempt tells about the server; nothing where the client is to blame, or nobody.
fn outcome(attempted: &Result<(Response<Incoming>, Link), Lost>) -> Option<Outcome> {
    match attempted {
        Ok((response, _)) if response.status().is_server_error() => Some(Outcome::Failed),
        Ok(_) => Some(Outcome::Good),
        Err(Lost::NeverSent(Failure::Connect | Failure::ConnectTimeout | Failure::Tls(_))) => {
            Some(Outcome::Unreachable)
        }
        Err(Lost::Unanswered(_) | Lost::Final(Failure::Timeout | Failure::BadResponse)) => {
            Some(Outcome::Failed)
        }
        Err(_) => None,
    }
}

fn second_choice(
    others: Option<&Roster>,
    tried: &[u32],
    last: InFlight,
    failure: Failure,
) -> Option<InFlight> {
    // A lone server that closed an old connection under us is as well as before. And one that says
    // nothing may not have heard: the kernel asks again only after a second, which is all that
    // there was.
    let again = matches!(failure, Failure::Cut | Failure::ConnectTimeout) && tried.len() == 1;
    others.and_then(|roster| roster.another(tried)).or_else(|| again.then_some(last))
}

/// One server: over idle connections as long as these turn out to be closed, then over a new one.
async fn attempt(
    exchange: &Exchange,
    backend: &Arc<Backend>,
    slot: &mut Slot,
    fresh: bool,
) -> Result<(Response<Incoming>, Link), Lost> {
    if backend.speaks_http2() {
        return Box::pin(http2::attempt(exchange, backend, slot)).await;
    }
    let worker = &exchange.client().worker;
    while !fresh && let Some(idle) = pool::take(backend, worker.clock.now()) {
        match send(exchange, backend, idle, slot).await {
            Err(Lost::NeverSent(_)) => {}
            sent => return sent,
        }
    }
    // Boxed: the state of what few requests need is no part of all of them.
    let connecting = pool::connect(backend, &worker.proxy.limits, &worker.proxy.connector);
    match Box::pin(connecting).await {
        Ok(new) => send(exchange, backend, new, slot).await,
        Err(error) => Err(Lost::NeverSent(pool::failure(backend, &error))),
    }
}

/// Sends the request over this connection and waits for the head of the response.
async fn send(
    exchange: &Exchange,
    backend: &Backend,
    mut upstream: Box<Upstream>,
    slot: &mut Slot,
) -> Result<(Response<Incoming>, Link), Lost> {
    let Some(request) = slot.take() else { return Err(Lost::Final(Failure::Cut)) };
    exchange.await_server();
    upstream.expected.response_to(request.method());
    let whole = request.body().is_end_stream();
    upstream.keep.next_request(whole && is_idempotent(request.method()));
    let mut answer = pin!(upstream.sender.try_send_request(request));
    let mut ended = false;
    let outcome = poll_fn(|cx| {
        // The connection runs in the request's own task: no second task, no wake-up between two.
        ended = ended || Pin::new(&mut upstream.connection).poll(cx).is_ready();
        if upstream.expected.is_full() {
            exchange.server_is_slow();
        }
        match answer.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if ended || exchange.has_expired() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    match outcome.await {
        Some(Ok(response)) => accept_response(response, ended, upstream, exchange, backend).await,
        Some(Err(error)) => Err(lost(error, Some(upstream.connection), slot)),
        None if ended => {
            // It ended before it took the request, and hands it back when it is dropped.
            drop(upstream);
            match answer.await {
                Ok(_) => Err(Lost::Final(Failure::BadResponse)),
                Err(error) => Err(lost(error, None, slot)),
            }
        }
        None if exchange.awaits_client() => Err(Lost::Final(Failure::RequestTimeout)),
        None => Err(Lost::Final(Failure::Timeout)),
    }
}

/// The head has come. Finds out what the connection can be used for now.
async fn accept_response(
    response: Response<Incoming>,
    ended: bool,
    mut upstream: Box<Upstream>,
    exchange: &Exchange,
    backend: &Backend,
) -> Result<(Response<Incoming>, Link), Lost> {
    framing::check_response(&response).map_err(Lost::Final)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let (stream, read) = Box::pin(switch(ended, upstream.connection, exchange)).await?;
        return Ok((response, Link::Switched(stream, read)));
    }
    if ended {
        return Ok((response, Link::Done));
    }
    if let Some(seconds) = headers::keep_alive_timeout(response.headers()) {
        upstream.set_keep_alive(seconds);
    }
    if upstream.sender.is_ready() {
        // The body came with the head. It is in our hands, and the connection is free.
        pool::give(backend, upstream, exchange.client().worker.clock.now());
        return Ok((response, Link::Done));
    }
    Ok((response, Link::Streaming(upstream)))
}

/// Takes the connection out of HTTP, with what has been read of the next protocol.
async fn switch(
    ended: bool,
    mut connection: Connection,
    exchange: &Exchange,
) -> Result<(Stream, Bytes), Lost> {
    if !ended {
        let left = poll_fn(|cx| match connection.poll_without_shutdown(cx) {
            Poll::Pending if exchange.has_expired() => Poll::Ready(false),
            polled => polled.map(|result| result.is_ok()),
        });
        if !left.await {
            return Err(Lost::Final(Failure::BadResponse));
        }
    }
    let parts = connection.into_parts();
    // The scan holds nothing back here: behind a 101 it gives on whatever comes.
    let (kept, _) = parts.io.into_inner().into_parts();
    Ok((kept.into_stream(), parts.read_buf))
}

/// Why there is no response, from what hyper says and what it has read.
fn lost(
    mut error: TrySendError<Request<Upload>>,
    connection: Option<Connection>,
    slot: &mut Slot,
) -> Lost {
    if let Some(request) = error.take_message() {
        *slot = Some(request);
        return Lost::NeverSent(Failure::Cut);
    }
    let error = error.into_error();
    tracing::debug!(%error, "no response");
    let (read, again) = connection.map(ended).unwrap_or_default();
    if error.is_user() || error.is_body_write_aborted() {
        // The body that we were sending broke off: it is the client's.
        let too_large = matches!(cause(&error), Some(UploadError::TooLarge));
        Lost::Final(if too_large { Failure::BodyTooLarge } else { Failure::RequestBody })
    } else if error.is_parse() || read || was_refused(&error) {
        Lost::Final(Failure::BadResponse)
    } else {
        Lost::Unanswered(again.map(Box::new))
    }
}

/// Whether a part of a response has come; and the request, if it was kept.
fn ended(connection: Connection) -> (bool, Slot) {
    let parts = connection.into_parts();
    let stream = parts.io.into_inner();
    let within = !parts.read_buf.is_empty() || stream.is_within();
    let (kept, held) = stream.into_parts();
    (within || !held.is_empty(), kept.into_request())
}

/// The response came and was not taken (`scan/`).
fn was_refused(error: &hyper::Error) -> bool {
    cause::<io::Error>(error).is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData)
}

fn cause<E: Error + 'static>(error: &hyper::Error) -> Option<&E> {
    error.source().and_then(|cause| cause.downcast_ref())
}

/// Whether asking again changes nothing that asking once did not. What has a body is not sent again
/// all the same: it would be gone.
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// A second one, if all that there is of it is here.
fn copy_to_resend(request: &Request<Upload>) -> Option<Request<Upload>> {
    if !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Upload::empty());
    request.method().clone_into(copy.method_mut());
    request.uri().clone_into(copy.uri_mut());
    request.headers().clone_into(copy.headers_mut());
    Some(copy)
}

/// Keeps second sendings under a fifth of the requests, so that a failing pool is not asked twice
/// as much as a healthy one. What never reached a server loads nobody, and is not counted.
///
/// One per worker, written by its thread alone.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    /// In fifths of a retry.
    left: AtomicU32,
}

impl RetryBudget {
    const ONE: u32 = 5;
    /// A server that dies may have a hundred requests in hand.
    const AT_FIRST: u32 = 100 * Self::ONE;
    const MOST: u32 = 1_000 * Self::ONE;

    pub(crate) fn new() -> Self {
        Self { left: AtomicU32::new(Self::AT_FIRST) }
    }

    /// A little comes back with time (called four times a second), or a quiet proxy that used its
    /// share up would never try again.
    pub(crate) fn refill(&self) {
        self.add(10 * Self::ONE / 4);
    }

    fn count_request(&self) {
        self.add(1);
    }

    fn take(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        let enough = left >= Self::ONE;
        if enough {
            self.left.store(left - Self::ONE, Ordering::Relaxed);
        }
        enough
    }

    fn add(&self, fifths: u32) {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store((left + fifths).min(Self::MOST), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_stay_under_a_fifth_of_the_requests() {
        let budget = RetryBudget::new();
        while budget.take() {}
        let mut retries = 0;
        for _ in 0..1_000 {
            budget.count_request();
            retries += u32::from(budget.take());
        }
        assert_eq!(retries, 200);
    }

    #[test]
    fn what_changes_something_each_time_is_not_idempotent() {
        assert!(is_idempotent(&Method::GET) && is_idempotent(&Method::DELETE));
        assert!(!is_idempotent(&Method::POST) && !is_idempotent(&Method::PATCH));
    }
}
