//! Sessions: who a client is, and what its backends want to remember, whichever of them serves.
//!
//! Owns when a session begins and which one a request has; what the request is given of it, and
//! what the response may change, is in `request` and `answer`. Where records are kept, and what
//! happens when that place does not answer, is the business of `store`. Never waits for the store
//! longer than a request may, and never writes a cookie, a token or a value into a log.
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
mod change;
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
mod request;
mod settings;
mod stats;
mod store;
mod table;
mod time;
mod writer;

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::runtime::Handle;

pub(crate) use self::request::SessionKind;
use self::{
    cache::Cached,
    cookie::Cookies,
    id::Id,
    memo::Verified,
    memory::Memory,
    record::{Field, Lifetime, Record},
    redis::Redis,
    request::{Live, Origin, changed_captures},
    store::{Budget, Loaded, Store, StoreState},
};
pub use self::{
    capture::check_capture_header,
    cookie::check_cookie_name,
    redis::check_redis_url,
    request::Session,
    settings::{SessionFail, SessionSettings, SessionSetupError},
    stats::{Counter, Stats},
};

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

impl Sessions {
    /// Opens the store; its tasks run on `background`, which has to outlive the workers. Starts
    /// without the store if that is away.
    ///
    /// # Errors
    ///
    /// If the settings cannot be used; never because the store is away.
    pub fn new(settings: SessionSettings, background: &Handle) -> Result<Self, SessionSetupError> {
        check_cookie_name(&settings.cookie).map_err(SessionSetupError::Cookie)?;
        let secrets = settings.signing_keys()?;
        let cookies = Cookies::new(&settings.cookie, &secrets, settings.secure)
            .ok_or(SessionSetupError::EmptySecret)?;
        let lifetime = settings.lifetime();
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
        let mut session = match self.0.at_hand(request) {
            Ok(session) => session,
            // Boxed: hardly any request gets here, and every one would have to make room for it.
            Err(cookie) => Box::pin(self.0.ask(request, cookie)).await?,
        };
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
    /// The session of a request for which nobody has to be asked; else what its cookie says.
    fn at_hand(self: &Arc<Self>, request: &HeaderMap) -> Result<Session, Option<Arc<Verified>>> {
        let session = |live, kind| Session { shared: Arc::clone(self), live, kind };
        if jwt::bears_token(request) {
            return Ok(session(None, SessionKind::Bypass));
        }
        let verified = self.cookies.read(request).ok_or(None)?;
        let now = time::now();
        let Some(Loaded::Found(record)) = self.store.peek(&verified.key, now) else {
            return Err(Some(verified));
        };
        let live = Live::known(verified, record, Origin::Known, now);
        Ok(session(Some(live), SessionKind::Hit))
    }

    /// The session of a request that the store has to be asked for, or that is new.
    async fn ask(
        self: &Arc<Self>,
        request: &HeaderMap,
        cookie: Option<Arc<Verified>>,
    ) -> Result<Session, StoreUnavailable> {
        let mut budget = Budget::new();
        let (known, otherwise) = match cookie {
            Some(verified) => (self.known(verified, &mut budget).await?, SessionKind::Miss),
            None => (None, SessionKind::New),
        };
        let (live, kind) = match known {
            Some(live) if live.origin == Origin::Known => (Some(live), SessionKind::Hit),
            Some(live) => (Some(live), SessionKind::Unconfirmed),
            None => (self.begin(request, &mut budget).await?, otherwise),
        };
        let live = live.map(|live| Live { budget, ..live });
        Ok(Session { shared: Arc::clone(self), live, kind })
    }

    /// The session of a good cookie; `None` if its record is gone.
    async fn known(
        &self,
        verified: Arc<Verified>,
        budget: &mut Budget,
    ) -> Result<Option<Live>, StoreUnavailable> {
        let key = verified.key;
        let now = time::now();
        let loaded = match self.store.peek(&key, now) {
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
                let unknown = || Arc::new(Record::new(key, now, ""));
                (record.unwrap_or_else(unknown), Origin::Unconfirmed)
            }
        };
        Ok(Some(Live::known(verified, record, origin, now)))
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
        let now = time::now();
        let mut record = Record::new(key, now, "");
        if self.fail == SessionFail::Closed {
            for (field, value) in changed_captures(&self.capture, request, &record) {
                self.edit(&mut record, &field, Some(&value));
            }
            self.store.save(key, record.as_change(self.lifetime));
            if !self.store.settle(&key, budget).await {
                return Err(StoreUnavailable);
            }
        }
        Ok(Some(Live {
            id,
            key,
            cookie: None,
            record: Arc::new(record),
            origin: Origin::New,
            opened: now,
            captured: Vec::new(),
            budget: Budget::new(),
        }))
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

impl fmt::Debug for Sessions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sessions").field("store", &self.0.store).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
