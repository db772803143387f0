//! What the client gets.
//!
//! Owns the one place where a failure becomes a response. Cannot fail.

use hyper::{
    Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
    upgrade::OnUpgrade,
};

use crate::{
    body::{Download, Payload},
    client::Exchange,
    error::Failure,
    forward::{Link, Reply},
    tunnel,
};

const RONDEL_ERROR: HeaderName = HeaderName::from_static("rondel-error");
/// Tells the client that no further request is taken on this connection.
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// A server's answer, streamed; or the answer that this connection is now a tunnel.
pub(crate) fn with_reply(
    reply: Reply,
    switched: Option<OnUpgrade>,
    mut exchange: Exchange,
) -> Response<Payload> {
    let Reply { response, link, in_flight } = reply;
    let (mut head, body) = response.into_parts();
    // hyper puts its own there; what ours needs has been taken.
    head.extensions.remove::<OnUpgrade>();
    let (upstream, lease) = match link {
        Link::Done => (None, None),
        Link::Streaming(upstream) => (Some(upstream), None),
        Link::Shared(lease) => (None, Some(lease)),
        Link::Switched(server, from_server) => {
            let Some(switched) = switched else {
                return with_failure(Failure::BadResponse, exchange);
            };
            exchange.record.switched(head.status, &in_flight);
            let client = exchange.client().clone();
            tunnel::start(switched, server, from_server, client, in_flight);
            return Response::from_parts(head, Payload::own(String::new(), exchange));
        }
    };
    if exchange.client().worker.stop.is_draining() {
        head.headers.insert(header::CONNECTION, CLOSE);
    }
    exchange.record.answered(head.status, in_flight, upstream.is_some() || lease.is_some());
    let download = Download { body, lease, upstream, broken: None };
    Response::from_parts(head, Payload::of_server(download, exchange))
}

/// An answer of our own: a status, a word for machines, a line for people.
pub(crate) fn with_failure(failure: Failure, mut exchange: Exchange) -> Response<Payload> {
    exchange.clear_deadline();
    let poisoned = failure.poisons_connection();
    if poisoned {
        exchange.client().refuse(failure);
    }
    let last = poisoned || exchange.client().worker.stop.is_draining();
    let (status, word) = failure.status_and_word();
    exchange.record.refused(status, word);
    let mut response = Response::new(Payload::own(format!("{failure}\n"), exchange));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(RONDEL_ERROR, HeaderValue::from_static(word));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if matches!(failure, Failure::Method | Failure::LastHop) {
        let allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";
        headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    if last {
        headers.insert(header::CONNECTION, CLOSE);
    }
    response
}
