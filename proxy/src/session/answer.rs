//! What a response does to a session.
//!
//! Takes the backend's words to us off the response, carries them out, and sets or clears the
//! cookie where the response may carry one.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{Entry, SET_COOKIE},
};

use super::{
    SessionFail, Shared, caching,
    change::{Change, Edits},
    cookie::{BackendId, Ticket},
    id::Id,
    record::{Field, Record},
    request::{Live, Origin},
    store::Loaded,
    time,
};

/// To a backend: the key of the record. From a backend: `rotate` or `destroy`.
pub(super) const SESSION: HeaderName = HeaderName::from_static("rondel-session");

/// What a backend said to us in a response.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) order: Option<Order>,
    /// Data headers and their values; `None`: to be deleted.
    pub(super) data: Edits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Rotate,
    Destroy,
}

impl Said {
    pub(super) fn take(headers: &mut HeaderMap) -> Self {
        let ours = |name: &&HeaderName| name.as_str().starts_with("rondel-");
        let mut said = Self::default();
        let Some(first) = headers.keys().position(|name| ours(&name)) else { return said };
        let names: Vec<_> = headers.keys().skip(first).filter(ours).cloned().collect();
        for name in names {
            let Entry::Occupied(entry) = headers.entry(name) else { continue };
            let (name, values) = entry.remove_entry_mult();
            for value in values {
                said.hear(&name, &value);
            }
        }
        said
    }

    fn hear(&mut self, name: &HeaderName, value: &HeaderValue) {
        let text = value.as_bytes().trim_ascii();
        if *name == SESSION {
            match text {
                _ if text.eq_ignore_ascii_case(b"destroy") => self.order = Some(Order::Destroy),
                _ if text.eq_ignore_ascii_case(b"rotate") => {
                    self.order = self.order.or(Some(Order::Rotate));
                }
                _ => tracing::debug!("a backend gave an unknown order for a session"),
            }
        } else if let Some(field) = Field::data(name.clone()) {
            // A copy of its own: the value is a piece of the whole response head in memory.
            let value = HeaderValue::from_bytes(text).ok().filter(|value| !value.is_empty());
            self.data.push((field, value));
        }
    }
}

impl Live {
    /// Whether a response that gives no orders, to a client that has its cookie, leaves all as it
    /// is, as most do.
    pub(super) fn is_quiet(&self, shared: &Shared, data: &Edits) -> bool {
        data.is_empty() && self.captured.is_empty() && !self.is_due(shared)
    }

    /// Whether this use of the session is to be written down.
    fn is_due(&self, shared: &Shared) -> bool {
        self.origin == Origin::Known
            && self.opened >= self.record.seen + shared.lifetime.touch_interval()
    }

    /// A response that gives no orders, to a client that has its cookie.
    pub(super) fn go_on(mut self, shared: &Shared, data: &Edits) {
        let due = self.is_due(shared);
        if self.is_quiet(shared, data) || !self.catch_up(shared) {
            return;
        }
        let mut record = Record::clone(&self.record);
        let edits = self.edits(shared, &mut record, data);
        if due || !edits.is_empty() {
            let now = time::now();
            let expires = shared.lifetime.end(record.created, now);
            shared.store.save(self.key, Change { begins: None, seen: now, expires, edits });
        }
    }

    /// Takes in what other responses did to the session since this request was read. False if one
    /// of them ended it: nothing of it may live on.
    fn catch_up(&mut self, shared: &Shared) -> bool {
        match shared.store.peek(&self.key, time::now()) {
            Some(Loaded::Gone) => return false,
            Some(Loaded::Found(latest)) => self.record = latest,
            // What the request was given is still the best there is.
            Some(Loaded::Away(_)) | None => {}
        }
        true
    }

    /// Takes captured headers and data into a record; gives what changed.
    fn edits(&self, shared: &Shared, record: &mut Record, data: &Edits) -> Edits {
        let captured = self.captured.iter().map(|(field, value)| (field, Some(value)));
        let data = data.iter().map(|(field, value)| (field, value.as_ref()));
        captured
            .chain(data)
            .filter(|(field, value)| shared.edit(record, field, *value))
            .map(|(field, value)| (field.clone(), value.cloned()))
            .collect()
    }
}

/// A response on its way to the client, and what has to be done with its session.
pub(super) struct Answer<'a> {
    pub(super) shared: &'a Shared,
    pub(super) live: Live,
    pub(super) backend: BackendId,
    pub(super) headers: &'a mut HeaderMap,
    pub(super) may_set: bool,
}

impl Answer<'_> {
    /// What a session needs that begins, ends, gets another id or another server.
    pub(super) async fn give(self, said: &Said) {
        match said.order {
            Some(Order::Destroy) => self.destroy(),
            // A new session gets an id that nobody knows anyway.
            _ if self.live.origin == Origin::New => self.begin(&said.data).await,
            None => self.move_on(&said.data),
            _ if self.may_set => self.rotate(&said.data),
            _ => {
                tracing::warn!("a session was not rotated: caches may share the response");
                self.live.go_on(self.shared, &said.data);
            }
        }
    }

    /// The first response to a client.
    async fn begin(mut self, data: &Edits) {
        let closed = self.shared.fail == SessionFail::Closed;
        if !self.may_set {
            // Without the cookie nobody will ever ask for the record.
            if closed {
                self.shared.store.delete(self.live.key);
            }
            return;
        }
        let key = self.live.key;
        let mut record = Record::clone(&self.live.record);
        record.created = time::now();
        record.seen = record.created;
        self.backend.as_str().clone_into(&mut record.backend);
        self.live.edits(self.shared, &mut record, data);
        self.shared.store.save(key, record.as_change(self.shared.lifetime));
        self.shared.stats.created.add(1);
        if closed {
            self.shared.store.settle(&key, &mut self.live.budget).await;
        }
        self.set_cookie(self.live.id);
    }

    /// Another server answered than the one that the cookie names.
    fn move_on(mut self, data: &Edits) {
        if self.may_set && self.live.catch_up(self.shared) {
            self.set_cookie(self.live.id);
        }
        self.live.go_on(self.shared, data);
    }

    /// A new id for the same record.
    fn rotate(mut self, data: &Edits) {
        if !self.live.catch_up(self.shared) {
            return;
        }
        let Ok(id) = Id::random() else {
            tracing::error!("no random bytes: a session was ended instead of rotated");
            return self.destroy();
        };
        let key = id.key();
        let mut record = Record::clone(&self.live.record);
        record.key = key.header_value();
        record.seen = time::now();
        self.backend.as_str().clone_into(&mut record.backend);
        self.live.edits(self.shared, &mut record, data);
        self.shared.store.save(key, record.as_change(self.shared.lifetime));
        self.shared.store.delete(self.live.key);
        self.set_cookie(id);
    }

    /// Record and cookie gone.
    fn destroy(self) {
        if self.live.origin != Origin::New || self.shared.fail == SessionFail::Closed {
            self.shared.store.delete(self.live.key);
        }
        if self.may_set {
            self.headers.append(SET_COOKIE, self.shared.cookies.clear());
            caching::make_private(self.headers);
        }
    }

    fn set_cookie(&mut self, id: Id) {
        let ticket = Ticket { id, backend: self.backend };
        self.headers.append(SET_COOKIE, self.shared.cookies.set(&ticket));
        caching::make_private(self.headers);
    }
}
