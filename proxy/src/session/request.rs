//! The session of one request: what its backend is given of it, and what the response does to it.
//!
//! Mostly the response does nothing, and a request of a known session is meant to cost next to
//! nothing: what is rare is kept apart from that path.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{
    Shared,
    answer::{Answer, SESSION, Said},
    caching, capture,
    cookie::BackendId,
    id::{Id, Key},
    memo::Verified,
    record::{Field, Record},
    store::Budget,
};

/// The session of one request, from [`Sessions::open`](super::Sessions::open) to
/// [`Session::to_client`].
pub struct Session {
    pub(super) shared: Arc<Shared>,
    /// `None`: the request goes without a session.
    pub(super) live: Option<Live>,
    pub(super) kind: SessionKind,
}

pub(super) struct Live {
    pub(super) id: Id,
    pub(super) key: Key,
    /// What the client's cookie says.
    pub(super) cookie: Option<Arc<Verified>>,
    pub(super) record: Arc<Record>,
    pub(super) origin: Origin,
    /// The second in which the request came: the clock is read once.
    pub(super) opened: u64,
    /// Headers to remember that are new or different in this request.
    pub(super) captured: Vec<(Field, HeaderValue)>,
    /// What is left of the time for which this request may wait for the store.
    pub(super) budget: Budget,
}

/// What a request's session turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionKind {
    /// The record of a good cookie was there.
    Hit,
    /// There was a good cookie, and its record is gone: a new session began.
    Miss,
    /// There was no good cookie: a new session began.
    New,
    /// The request brings a token of its own and goes without a session.
    Bypass,
    /// The cookie is good, and the store does not answer.
    Unconfirmed,
}

impl SessionKind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Hit, Self::Miss, Self::New, Self::Bypass, Self::Unconfirmed];

    pub(crate) fn name(self) -> &'static str {
        ["hit", "miss", "new", "bypass", "unconfirmed"][self as usize]
    }
}

/// How much is known of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The client has no cookie for it yet.
    New,
    Known,
    /// The cookie is good, and the store does not answer.
    Unconfirmed,
}

impl Live {
    pub(super) fn known(
        cookie: Arc<Verified>,
        record: Arc<Record>,
        origin: Origin,
        opened: u64,
    ) -> Self {
        Self {
            id: cookie.ticket.id,
            key: cookie.key,
            cookie: Some(cookie),
            record,
            origin,
            opened,
            captured: Vec::new(),
            budget: Budget::new(),
        }
    }
}

impl Session {
    /// What it turned out to be.
    pub(crate) fn kind(&self) -> SessionKind {
        self.kind
    }

    /// The backend that the client's cookie names.
    pub fn backend(&self) -> Option<&str> {
        let cookie = self.live.as_ref()?.cookie.as_ref()?;
        Some(cookie.ticket.backend.as_str())
    }

    /// Adds what the session has for the backend: its key, its data, and the captured headers that
    /// the request itself lacks.
    pub fn to_backend(&self, headers: &mut HeaderMap) {
        let Some(live) = &self.live else { return };
        headers.insert(SESSION, live.record.key.clone());
        for (field, value) in live.record.fields() {
            match field {
                Field::Data(name) => drop(headers.insert(name, value.clone())),
                Field::Captured(name) => {
                    if !headers.contains_key(name) {
                        headers.insert(name, value.clone());
                    }
                }
            }
        }
    }

    /// Takes what the backend said to us off the response, records it, and gives the client its
    /// cookie where that is due. `backend_id` is the server that answered in the end.
    pub async fn to_client(self, backend_id: &str, status: StatusCode, headers: &mut HeaderMap) {
        let said = Said::take(headers);
        let Some(live) = &self.live else { return };
        let moved = self.shared.reissue && self.backend().is_some_and(|named| named != backend_id);
        let stays = live.origin != Origin::New && said.order.is_none() && !moved;
        if stays && live.is_quiet(&self.shared, &said.data) {
            return;
        }
        let Self { shared, live: Some(live), .. } = self else { return };
        if stays {
            return live.go_on(&shared, &said.data);
        }
        let Some(backend) = BackendId::parse(backend_id.as_bytes()) else {
            tracing::error!(backend_id, "not an id of a backend: a session goes unrecorded");
            return;
        };
        let may_set = caching::may_set_cookie(status, headers);
        let answer = Answer { shared: &shared, live, backend, headers, may_set };
        // Boxed for the same reason as in `open`.
        Box::pin(answer.give(&said)).await;
    }

    pub(super) fn capture(&mut self, request: &HeaderMap) {
        if let Some(live) = &mut self.live {
            live.captured = changed_captures(&self.shared.capture, request, &live.record);
        }
    }
}

/// The captured headers that a request brings and that the record has not, or has otherwise.
pub(super) fn changed_captures(
    names: &[HeaderName],
    request: &HeaderMap,
    record: &Record,
) -> Vec<(Field, HeaderValue)> {
    names
        .iter()
        .filter(|name| capture::differs(request, name, record.captured(name)))
        .filter_map(|name| Some((Field::Captured(name.clone()), capture::joined(request, name)?)))
        .collect()
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Session")
            .field("key", &self.live.as_ref().map(|live| live.key))
            .field("backend", &self.backend())
            .finish_non_exhaustive()
    }
}
