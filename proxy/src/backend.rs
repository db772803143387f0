//! One server behind the proxy.
//!
//! Owns what is known of it: its name, where it listens, what state it is in, how many requests it
//! has in hand. Never opens a connection (`pool.rs`), never decides who is asked (`pick.rs`) and
//! never finds out how it is (`health.rs`).

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::header::HeaderValue;

use crate::{
    health::Streaks,
    load::{Load, Totals},
    metrics::{PerWorker, ServerNumbers},
    policy::Latency,
    spec::ServerSpec,
};

/// What a server is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It takes its turns.
    Up,
    /// Its health checks fail.
    Down,
    /// It has failed clients, and rests for a while.
    Ejected,
    /// It finishes what it has, and gets nothing new.
    Draining,
    /// It is new or has come back, and takes this many percent of its turns.
    Starting(u8),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
            Self::Starting(_) => "starting",
        })
    }
}

/// Why a server does not take all of its turns; each reason comes and goes by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) draining: bool,
    pub(crate) down: bool,
    /// Until when; times are those of the roster.
    pub(crate) ejected: Option<Duration>,
    /// How often it was ejected of late.
    pub(crate) rests: u32,
    /// When it last came, or came back from being down, ejected or drained.
    pub(crate) returned: Option<Duration>,
    /// Percent of its turns that it takes.
    pub(crate) ramp: u8,
    /// It is in no rotation any more.
    pub(crate) retired: bool,
}

impl Condition {
    fn good() -> Self {
        Self { ramp: FULL, ..Self::default() }
    }

    /// The reason that matters most.
    pub(crate) fn state(self) -> State {
        match self {
            Self { draining: true, .. } => State::Draining,
            Self { down: true, .. } => State::Down,
            Self { ejected: Some(_), .. } => State::Ejected,
            Self { ramp, .. } if ramp < FULL => State::Starting(ramp),
            _ => State::Up,
        }
    }
}

/// All turns, in percent.
pub(crate) const FULL: u8 = 100;

/// How many requests a server was given, and how many of these it failed.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) failures: AtomicU64,
}

/// A server in the rotation, shared by all workers.
pub struct Backend {
    id: String,
    https: bool,
    h2: AtomicBool,
    /// Whether the log was told since TLS last worked.
    tls_failing: AtomicBool,
    host: String,
    port: u16,
    /// Names this backend in the workers' pools; never used twice in a process.
    serial: u32,
    /// `host:port`, ready to be sent as `Host`.
    authority: HeaderValue,
    /// Where it listens. Empty: not resolved yet, or to be resolved again.
    addresses: Mutex<Arc<[SocketAddr]>>,
    weight: AtomicU16,
    /// [`u32::MAX`]: no limit.
    max: AtomicU32,
    backup: AtomicBool,
    condition: Mutex<Condition>,
    /// What follows from the condition for a turn, so that a request reads one number: the percent
    /// of its turns that it takes, or [`OUT`], or [`DRAINING`].
    turns: AtomicU8,
    load: Load,
    pub(crate) counters: Counters,
    pub(crate) latency: Latency,
    pub(crate) streaks: Streaks,
    numbers: PerWorker<ServerNumbers>,
}

const OUT: u8 = 0;
const DRAINING: u8 = u8::MAX;

impl Backend {
    /// Takes the server into service, and counts it in the sums over its pool, if these are needed.
    /// Names other than `localhost` are resolved by the first connection to them.
    pub(crate) fn new(spec: ServerSpec, totals: Option<Arc<Totals>>) -> Arc<Self> {
        static SERIALS: AtomicU32 = AtomicU32::new(0);
        let authority = HeaderValue::try_from(spec.authority())
            .unwrap_or_else(|_| HeaderValue::from_static("localhost"));
        let addresses = Mutex::new(known_addresses(&spec.host, spec.port).into());
        let backend = Self {
            // ORDERING: Relaxed; only that no two are the same matters.
            serial: SERIALS.fetch_add(1, Ordering::Relaxed),
            authority,
            addresses,
            weight: AtomicU16::new(spec.weight),
            max: AtomicU32::new(spec.max.unwrap_or(u32::MAX)),
            backup: AtomicBool::new(spec.backup),
            condition: Mutex::new(Condition::good()),
            turns: AtomicU8::new(FULL),
            load: Load::new(totals),
            counters: Counters::default(),
            latency: Latency::default(),
            streaks: Streaks::default(),
            numbers: PerWorker::default(),
            id: spec.id,
            https: spec.https,
            h2: AtomicBool::new(spec.h2),
            tls_failing: AtomicBool::new(false),
            host: spec.host,
            port: spec.port,
        };
        backend.count_share(Condition::good());
        Arc::new(backend)
    }

    /// Its id, as the session cookie carries it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What a line of a servers file would say of it as it is now.
    pub fn spec(&self) -> ServerSpec {
        // ORDERING: Relaxed, here and in what follows: settings, each of which stands for itself.
        let max = self.max.load(Ordering::Relaxed);
        ServerSpec {
            id: self.id.clone(),
            https: self.https,
            h2: self.speaks_http2(),
            host: self.host.clone(),
            port: self.port,
            weight: self.weight(),
            max: (max != u32::MAX).then_some(max),
            backup: self.is_backup(),
        }
    }

    /// Its URL in the one normal form.
    pub fn url(&self) -> String {
        self.spec().url()
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    /// Whether it is spoken to in HTTP/2.
    pub(crate) fn speaks_http2(&self) -> bool {
        self.h2.load(Ordering::Relaxed)
    }

    /// Says why once, and not for every request.
    pub(crate) fn tls_failed(&self, why: &str) {
        if self.tls_failing.swap(true, Ordering::Relaxed) {
            tracing::debug!(server = self.id(), why, "no TLS connection");
        } else {
            tracing::warn!(server = self.id(), why, "no TLS connection to this server");
        }
    }

    pub(crate) fn tls_works(&self) {
        self.tls_failing.store(false, Ordering::Relaxed);
    }

    /// Its share of the turns.
    pub fn weight(&self) -> u16 {
        self.weight.load(Ordering::Relaxed)
    }

    /// Whether it serves only when no other server can.
    pub fn is_backup(&self) -> bool {
        self.backup.load(Ordering::Relaxed)
    }

    /// What it is good for now.
    pub fn state(&self) -> State {
        self.condition().state()
    }

    pub(crate) fn condition(&self) -> Condition {
        *self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes one of the reasons, and what follows from them. Gives the state before and after.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Condition)) -> (State, State) {
        let mut condition = self.condition.lock().unwrap_or_else(PoisonError::into_inner);
        let before = condition.state();
        change(&mut condition);
        let turns = match condition.state() {
            State::Draining => DRAINING,
            State::Down | State::Ejected => OUT,
            State::Starting(percent) => percent.clamp(1, FULL),
            State::Up => FULL,
        };
        self.turns.store(turns, Ordering::Relaxed);
        self.count_share(*condition);
        (before, condition.state())
    }

    /// What the servers file or an operator changed; the weight's turns are the roster's business.
    pub(crate) fn adopt(&self, spec: &ServerSpec) {
        self.weight.store(spec.weight, Ordering::Relaxed);
        self.max.store(spec.max.unwrap_or(u32::MAX), Ordering::Relaxed);
        self.backup.store(spec.backup, Ordering::Relaxed);
        self.h2.store(spec.h2, Ordering::Relaxed);
        self.change(|_| {});
    }

    /// It is in no rotation any more: what it still has in hand is nobody's share, also when
    /// something is found out about it later.
    pub(crate) fn retire(&self) {
        self.change(|condition| condition.retired = true);
    }

    fn count_share(&self, condition: Condition) {
        let counts = matches!(condition.state(), State::Up | State::Starting(_));
        let counts = counts && !condition.retired && !self.is_backup();
        self.load.set_share(if counts { self.weight().into() } else { 0 });
    }

    pub(crate) fn serial(&self) -> u32 {
        self.serial
    }

    pub(crate) fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Requests that it has in hand.
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    /// Requests that it was given so far.
    pub fn requests(&self) -> u64 {
        self.counters.requests.load(Ordering::Relaxed)
    }

    /// Requests of these that it failed: no answer in time, or one with a status of 500 and above.
    pub fn failures(&self) -> u64 {
        self.counters.failures.load(Ordering::Relaxed)
    }

    /// What the workers count of it.
    pub(crate) fn numbers(&self) -> &PerWorker<ServerNumbers> {
        &self.numbers
    }

    /// Whether it may be given one more request now.
    pub(crate) fn has_room(&self) -> bool {
        let max = self.max.load(Ordering::Relaxed);
        max == u32::MAX || self.in_flight() < max
    }

    /// Whether it is there for requests: neither down, nor ejected, nor draining.
    pub(crate) fn is_available(&self) -> bool {
        !matches!(self.turns.load(Ordering::Relaxed), OUT | DRAINING)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.turns.load(Ordering::Relaxed) == DRAINING
    }

    /// Whether it takes the turn that has come to it: one that has just come back takes only a part
    /// of them, so that its caches and pools can fill.
    pub(crate) fn takes_turn(&self) -> bool {
        match self.turns.load(Ordering::Relaxed) {
            OUT | DRAINING => false,
            FULL => true,
            percent => fastrand::u8(..FULL) < percent,
        }
    }

    /// Counts one request in, if there is room for it: what `has_room` saw may be taken by now.
    pub(crate) fn enter(self: Arc<Self>, began: Duration) -> Option<InFlight> {
        let before = self.load.enter();
        let full = before >= self.max.load(Ordering::Relaxed);
        // Counted out again where it goes no further.
        let entered = InFlight { backend: self, began };
        (!full).then_some(entered)
    }

    /// Where to connect to: what is known, or what the resolver says now.
    pub(crate) async fn addresses(&self) -> std::io::Result<Arc<[SocketAddr]>> {
        let known = Arc::clone(&self.addresses.lock().unwrap_or_else(PoisonError::into_inner));
        if !known.is_empty() {
            return Ok(known);
        }
        let found: Arc<[SocketAddr]> =
            tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect();
        self.remember(Arc::clone(&found));
        Ok(found)
    }

    /// None of its addresses answered: a name may have moved, so ask the resolver next time.
    pub(crate) fn forget_addresses(&self) {
        self.remember(known_addresses(&self.host, self.port).into());
    }

    /// `answered` is tried first from now on.
    pub(crate) fn prefer(&self, answered: SocketAddr) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = addresses.iter().copied().filter(|other| *other != answered);
        *addresses = std::iter::once(answered).chain(rest).collect();
    }

    fn remember(&self, found: Arc<[SocketAddr]>) {
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("id", &self.id)
            .field("url", &self.url())
            .field("state", &self.state())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

/// One request in a backend's hands; dropping it counts the request out.
#[derive(Debug)]
pub struct InFlight {
    backend: Arc<Backend>,
    /// When it was given to the backend, for a policy that is timed.
    began: Duration,
}

impl InFlight {
    /// Whose request it is.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    pub(crate) fn began(&self) -> Duration {
        self.began
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.backend.load.leave();
    }
}

/// The addresses that need no resolver. `localhost` is always the loopback (RFC 6761, 6.3), and
/// development servers listen on either family of it.
fn known_addresses(host: &str, port: u16) -> Vec<SocketAddr> {
    if host == "localhost" {
        return vec![
            (IpAddr::from([127, 0, 0, 1]), port).into(),
            (IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), port).into(),
        ];
    }
    host.parse::<IpAddr>().map(|ip| vec![(ip, port).into()]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers;

    #[test]
    fn a_full_backend_takes_nothing_more_and_a_finished_request_makes_room() {
        let spec = servers::parse("http://10.0.0.1 max=1").unwrap().remove(0);
        let backend = Backend::new(spec, None);
        let first = Arc::clone(&backend).enter(Duration::ZERO).unwrap();
        assert!(!backend.has_room());
        assert!(Arc::clone(&backend).enter(Duration::ZERO).is_none());
        assert_eq!(backend.in_flight(), 1, "the refused one must not stay counted");
        drop(first);
        assert!(Arc::clone(&backend).enter(Duration::ZERO).is_some());
    }

    #[test]
    fn a_server_that_has_left_is_not_counted_again_by_a_late_probe() {
        let totals = Arc::new(Totals::default());
        let spec = servers::parse("http://10.0.0.1 weight=3").unwrap().remove(0);
        let backend = Backend::new(spec, Some(Arc::clone(&totals)));
        assert_eq!(totals.read().share, 3);
        backend.retire();
        backend.change(|condition| condition.down = true);
        backend.change(|condition| condition.down = false);
        assert_eq!(totals.read().share, 0);
    }

    #[test]
    fn localhost_and_literal_addresses_need_no_resolver() {
        assert_eq!(known_addresses("localhost", 1).len(), 2);
        assert_eq!(known_addresses("::1", 1), ["[::1]:1".parse().unwrap()]);
        assert!(known_addresses("example.org", 1).is_empty());
    }
}
