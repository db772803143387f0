//! Sessions: who a client is, and what its backends want to remember, whichever of them serves.
//!
//! Owns the rules: when a session begins, what a request is given of it, what a response may
//! change, when a cookie is set. Where records are kept, and what happens when that place does not
//! answer, is the business of `store`. Never waits for the store longer than a request may, and
//! never writes a cookie, a token or a value into a log.
//!
//! ```text
//! request  -> open: token? pass by : cookie -> MAC -> record -> Session
//!             Session::to_backend: Rondel-Session, its data, captured headers
//! response -> Session::to_client: take Rondel-* off, record changes, set the cookie where due
//! ```

mod answer;
mod breaker;
mod cache;
mod caching;
mod capture;
mod cookie;
mod epoch;
mod id;
mod jwt;
mod memo;
mod memory;
mod near;
mod queue;
mod record;
mod redis;
mod stats;
mod store;
mod table;
mod time;
mod writer;

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::runtime::Handle;

use self::{
    answer::{Answer, Order, SESSION, Said},
    cache::Cached,
    cookie::{BackendId, Cookies},
    id::{Id, Key},
    memo::Verified,
    memory::Memory,
    record::{Field, Lifetime, Record},
    redis::Redis,
    store::{Budget, Loaded, Store, StoreState},
};
pub use self::{
    capture::check_capture_header,
    cookie::check_cookie_name,
    redis::check_redis_url,
    stats::{Counter, Stats},
};

/// What the settings say about sessions.
#[derive(Clone)]
pub struct SessionSettings {
    /// Name of the cookie.
    pub cookie: String,
    /// Keys of the cookie's MAC: the first signs, all verify. Empty: a random one.
    pub secrets: Vec<Vec<u8>>,
    /// A session ends when it was not used for so long.
    pub idle: Duration,
    /// A session ends when it is so old.
    pub max: Duration,
    /// Request headers to remember; each checked by [`check_capture_header`].
    pub capture: Vec<HeaderName>,
    /// What happens while the store is away.
    pub fail: SessionFail,
    /// Where records are kept; `None`: in this process.
    pub redis: Option<String>,
    /// Whether clients come over TLS.
    pub secure: bool,
    /// Whether the cookie follows the client to another server, so that it can go back to that.
    pub reissue: bool,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            cookie: "rondel_sid".to_owned(),
            secrets: Vec::new(),
            idle: Duration::from_secs(30 * 60),
            max: Duration::from_secs(24 * 60 * 60),
            capture: Vec::new(),
            fail: SessionFail::Open,
            redis: None,
            secure: false,
            reissue: false,
        }
    }
}

/// What a request gets while the store is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionFail {
    /// It is served, with what is known.
    Open,
    /// It is refused.
    Closed,
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionSetupError {
    /// The name of the cookie.
    #[error("session cookie: {0}")]
    Cookie(String),
    /// The URL of Redis.
    #[error("{0}")]
    Redis(String),
    /// A key of the MAC is empty.
    #[error("the session secret has an empty key")]
    EmptySecret,
    /// The operating system gives no random bytes.
    #[error("no random bytes for the session secret: {0}")]
    Random(getrandom::Error),
}

/// The store is away, and requests are not to be served without it.
#[derive(Debug, thiserror::Error)]
#[error("the session store does not answer")]
pub struct StoreUnavailable;

/// The sessions of this process, shared by all workers.
pub struct Sessions(Arc<Shared>);

struct Shared {
    cookies: Cookies,
    lifetime: Lifetime,
    capture: Vec<HeaderName>,
    fail: SessionFail,
    reissue: bool,
    store: Box<dyn Store>,
    stats: Arc<Stats>,
}

/// The session of one request, from [`Sessions::open`] to [`Session::to_client`].
pub struct Session {
    shared: Arc<Shared>,
    /// `None`: the request goes without a session.
    live: Option<Live>,
    kind: SessionKind,
}

struct Live {
    id: Id,
    key: Key,
    /// What the client's cookie says.
    cookie: Option<Arc<Verified>>,
    record: Arc<Record>,
    origin: Origin,
    /// Headers to remember that are new or different in this request.
    captured: Vec<(Field, HeaderValue)>,
    /// What is left of the time for which this request may wait for the store.
    budget: Budget,
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
enum Origin {
    /// The client has no cookie for it yet.
    New,
    Known,
    /// The cookie is good, and the store does not answer.
    Unconfirmed,
}

impl Sessions {
    /// Opens the store; its tasks run on `background`, which has to outlive the workers. Starts
    /// without the store if that is away.
    ///
    /// # Errors
    ///
    /// If the settings cannot be used; never because the store is away.
    pub fn new(settings: SessionSettings, background: &Handle) -> Result<Self, SessionSetupError> {
        check_cookie_name(&settings.cookie).map_err(SessionSetupError::Cookie)?;
        let secrets = secrets(settings.secrets)?;
        let cookies = Cookies::new(&settings.cookie, &secrets, settings.secure)
            .ok_or(SessionSetupError::EmptySecret)?;
        let lifetime =
            Lifetime { idle: whole_seconds(settings.idle), max: whole_seconds(settings.max) };
        let stats = Arc::new(Stats::default());
        let store: Box<dyn Store> = match &settings.redis {
            None => Box::new(Memory::new(&stats)),
            Some(url) => {
                let redis = Redis::start(url, lifetime.max, background)
                    .map_err(SessionSetupError::Redis)?;
                Box::new(Cached::new(Box::new(redis), lifetime, &stats, background))
            }
        };
        Ok(Self(Arc::new(Shared {
            cookies,
            lifetime,
            capture: settings.capture,
            fail: settings.fail,
            reissue: settings.reissue,
            store,
            stats,
        })))
    }

    /// Reads the session of a request: none for one that brings a token of its own, the known one
    /// of a good cookie, else a new one. Waits 20 ms for the store at most.
    ///
    /// # Errors
    ///
    /// If the store is away and requests are not to be served without it.
    pub async fn open(&self, request: &HeaderMap) -> Result<Session, StoreUnavailable> {
        let shared = &self.0;
        let mut budget = Budget::new();
        let (live, kind) = if jwt::bears_token(request) {
            (None, SessionKind::Bypass)
        } else {
            let (known, otherwise) = match shared.cookies.read(request) {
                Some(verified) => (shared.known(verified, &mut budget).await?, SessionKind::Miss),
                None => (None, SessionKind::New),
            };
            match known {
                Some(live) if live.origin == Origin::Known => (Some(live), SessionKind::Hit),
                Some(live) => (Some(live), SessionKind::Unconfirmed),
                None => (shared.begin(request, &mut budget).await?, otherwise),
            }
        };
        let live = live.map(|live| Live { budget, ..live });
        let mut session = Session { shared: Arc::clone(shared), live, kind };
        session.capture(request);
        Ok(session)
    }

    /// Waits until everything is in the store, for a clean stop; false if that took longer.
    pub async fn flush(&self, limit: Duration) -> bool {
        self.0.store.flush(limit).await
    }

    /// Waits until it is known whether the store answers, `limit` at most. Whoever serves before
    /// that gives backends sessions without their data, and they begin to count from nothing.
    pub(crate) async fn settled(&self, limit: Duration) {
        self.0.store.settled(limit).await;
    }

    /// Whether the store answers, as far as is known.
    pub(crate) fn store_state(&self) -> StoreState {
        self.0.store.state()
    }

    /// What happened so far.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }
}

impl Shared {
    /// The session of a good cookie; `None` if its record is gone.
    async fn known(
        &self,
        verified: Arc<Verified>,
        budget: &mut Budget,
    ) -> Result<Option<Live>, StoreUnavailable> {
        let key = verified.key;
        let loaded = match self.store.peek(&key) {
            Some(loaded) => loaded,
            None => self.store.load(&key, budget).await,
        };
        let (record, origin) = match loaded {
            Loaded::Found(record) => (record, Origin::Known),
            Loaded::Gone => {
                self.stats.expired.add(1);
                return Ok(None);
            }
            Loaded::Away(_) if self.fail == SessionFail::Closed => return Err(StoreUnavailable),
            Loaded::Away(record) => {
                self.stats.degraded.add(1);
                let unknown = || Arc::new(Record::new(key, time::now(), ""));
                (record.unwrap_or_else(unknown), Origin::Unconfirmed)
            }
        };
        Ok(Some(Live::new(verified.ticket.id, key, Some(verified), record, origin)))
    }

    /// A session for a client that has none. Its record is written when the response sets the
    /// cookie; unless nothing is to be served without it, in which case it has to be there now.
    async fn begin(
        &self,
        request: &HeaderMap,
        budget: &mut Budget,
    ) -> Result<Option<Live>, StoreUnavailable> {
        let Ok(id) = Id::random() else {
            tracing::error!("no random bytes: a request goes without a session");
            return Ok(None);
        };
        let key = id.key();
        let mut record = Record::new(key, time::now(), "");
        if self.fail == SessionFail::Closed {
            for (field, value) in changed_captures(&self.capture, request, &record) {
                self.edit(&mut record, &field, Some(&value));
            }
            self.store.save(key, record.as_change(self.lifetime));
            if !self.store.settle(&key, budget).await {
                return Err(StoreUnavailable);
            }
        }
        Ok(Some(Live::new(id, key, None, Arc::new(record), Origin::New)))
    }

    /// Takes one edit into a record; true if that changed it. What the limits refuse is dropped.
    fn edit(&self, record: &mut Record, field: &Field, value: Option<&HeaderValue>) -> bool {
        record.edit(field, value).unwrap_or_else(|refusal| {
            self.stats.values_dropped.add(1);
            let name = field.in_hash();
            tracing::warn!(name, reason = ?refusal, "a session value was dropped");
            false
        })
    }
}

impl Live {
    fn new(
        id: Id,
        key: Key,
        cookie: Option<Arc<Verified>>,
        record: Arc<Record>,
        origin: Origin,
    ) -> Self {
        Self { id, key, cookie, record, origin, captured: Vec::new(), budget: Budget::new() }
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
        let moved = self.shared.reissue && self.backend().is_some_and(|named| named != backend_id);
        let Self { shared, live: Some(live), .. } = self else { return };
        if live.origin != Origin::New && said.order.is_none() && !moved {
            return live.go_on(&shared, &said.data);
        }
        let Some(backend) = BackendId::parse(backend_id.as_bytes()) else {
            tracing::error!(backend_id, "not an id of a backend: a session goes unrecorded");
            return;
        };
        let may_set = caching::may_set_cookie(status, headers);
        let answer = Answer { shared: &shared, live, backend, headers, may_set };
        match said.order {
            Some(Order::Destroy) => answer.destroy(),
            // A new session gets an id that nobody knows anyway.
            _ if answer.live.origin == Origin::New => answer.begin(&said.data).await,
            None => answer.move_on(&said.data),
            _ if may_set => answer.rotate(&said.data),
            _ => {
                tracing::warn!("a session was not rotated: caches may share the response");
                answer.live.go_on(&shared, &said.data);
            }
        }
    }

    fn capture(&mut self, request: &HeaderMap) {
        if let Some(live) = &mut self.live {
            live.captured = changed_captures(&self.shared.capture, request, &live.record);
        }
    }
}

/// The captured headers that a request brings and that the record has not, or has otherwise.
fn changed_captures(
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

fn secrets(given: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, SessionSetupError> {
    if given.is_empty() {
        tracing::warn!(
            "no session secret is set: sessions end when this process does, \
             and no other one knows them"
        );
        let mut random = vec![0; 32];
        getrandom::fill(&mut random).map_err(SessionSetupError::Random)?;
        return Ok(vec![random]);
    }
    if given.iter().any(Vec::is_empty) {
        return Err(SessionSetupError::EmptySecret);
    }
    if given.iter().any(|secret| secret.len() < 16) {
        tracing::warn!("a session secret has fewer than 16 bytes, which can be guessed");
    }
    Ok(given)
}

/// Ends are kept in whole seconds; none is sooner than one.
fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

impl fmt::Debug for SessionSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the secrets, and not the URL, which may hold a password.
        out.debug_struct("SessionSettings")
            .field("cookie", &self.cookie)
            .field("secrets", &self.secrets.len())
            .field("idle", &self.idle)
            .field("max", &self.max)
            .field("capture", &self.capture)
            .field("fail", &self.fail)
            .field("redis", &self.redis.is_some())
            .field("secure", &self.secure)
            .field("reissue", &self.reissue)
            .finish()
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sessions").field("store", &self.0.store).finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Session")
            .field("key", &self.live.as_ref().map(|live| live.key))
            .field("backend", &self.backend())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
