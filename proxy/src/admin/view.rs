//! What can be seen of the proxy from outside, as plain data.
//!
//! Owns the reading and adding up of everybody's numbers, and a short memory of them, so that rates
//! and quantiles tell of the last seconds and not of the whole life. Never changes anything.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::{
    access_log::AccessLog,
    backend::{Backend, State},
    metrics::{Class, Distribution, Fault, ServerTotals},
    proxy::Proxy,
    session::SessionKind,
    stop::Stop,
};

/// The proxy at one moment.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub(super) version: &'static str,
    /// Seconds since the epoch.
    pub(super) started: u64,
    pub(super) stopping: bool,
    pub(super) requests: Requests,
    /// Lines that the access log has lost.
    pub(super) log_lines_dropped: u64,
    pub(super) connections: Connections,
    pub(super) sessions: SessionsView,
    pub(super) servers: Vec<ServerView>,
    /// The ids of the servers in the order of their turns, one for each turn of a lap.
    pub(super) ring: Vec<String>,
    /// Whose turn the last one was.
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Requests {
    pub(super) in_flight: u64,
    #[serde(serialize_with = "by_class")]
    pub(super) by_class: [u64; Class::ALL.len()],
    pub(super) retries: u64,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Connections {
    pub(super) open: u64,
    pub(super) total: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct SessionsView {
    /// `off`, `embedded`, or whether Redis is `up` or `away`.
    pub(super) store: &'static str,
    pub(super) requests: BTreeMap<&'static str, u64>,
    pub(super) events: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct ServerView {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) url: String,
    pub(super) weight: u16,
    pub(super) max: Option<u32>,
    pub(super) backup: bool,
    /// Whether it is spoken to in HTTP/2.
    pub(super) h2: bool,
    pub(super) state: String,
    /// Percent of its turns that it takes.
    pub(super) ramp: u8,
    pub(super) in_flight: u32,
    /// Turns that it was given.
    pub(super) picks: u64,
    /// Requests that it answered.
    pub(super) requests: u64,
    #[serde(serialize_with = "by_class")]
    pub(super) by_class: [u64; Class::ALL.len()],
    #[serde(serialize_with = "by_fault")]
    pub(super) failures: [u64; Fault::ALL.len()],
    pub(super) errors: u64,
    pub(super) sent_bytes: u64,
    /// Over the last seconds.
    pub(super) recent: Recent,
    #[serde(skip)]
    pub(super) totals: ServerTotals,
}

/// A server's last seconds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Recent {
    /// Answers a second.
    pub(super) rate: f64,
    /// Errors a second.
    pub(super) error_rate: f64,
    /// Milliseconds; none: it answered nothing.
    pub(super) first_byte_p50: Option<f64>,
    pub(super) first_byte_p99: Option<f64>,
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
}

/// How often the numbers are remembered, and for how long.
const STEP: Duration = Duration::from_millis(2_500);
const STEPS: usize = 4;

/// Looks at the proxy, and remembers what it saw.
pub(super) struct Observer {
    proxy: Arc<Proxy>,
    stop: Stop,
    started: u64,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    samples: VecDeque<(Instant, HashMap<u32, ServerTotals>)>,
    /// How many turns each worker had dealt when it was last looked at, and whose the last was.
    dealt: Vec<u64>,
    cursor: Option<u32>,
}

impl Observer {
    pub(super) fn new(proxy: Arc<Proxy>, stop: Stop) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { proxy, stop, started, memory: Mutex::default() }
    }

    pub(super) async fn remember(self: Arc<Self>) {
        let mut interval = tokio::time::interval(STEP);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let servers = self.proxy.roster.servers();
            let sample =
                servers.iter().map(|server| (server.serial(), ServerTotals::of(server))).collect();
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.samples.push_back((Instant::now(), sample));
            if memory.samples.len() > STEPS {
                memory.samples.pop_front();
            }
        }
    }

    pub(super) fn view(&self) -> View {
        let servers = self.proxy.roster.servers();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.look_at_cursor(&self.proxy);
        let cursor = servers.iter().find(|server| Some(server.serial()) == memory.cursor);
        View {
            version: env!("CARGO_PKG_VERSION"),
            started: self.started,
            stopping: self.stop.is_draining(),
            requests: self.requests(),
            log_lines_dropped: self.proxy.access_log.get().map_or(0, AccessLog::dropped),
            connections: self.connections(),
            sessions: self.sessions(),
            ring: self.proxy.roster.turns(),
            cursor: cursor.map(|server| server.id().to_owned()),
            servers: servers.iter().map(|server| memory.server(server)).collect(),
        }
    }

    /// One server as it is now.
    pub(super) fn server(&self, backend: &Backend) -> ServerView {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).server(backend)
    }

    pub(super) fn servers(&self) -> Vec<ServerView> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        self.proxy.roster.servers().iter().map(|server| memory.server(server)).collect()
    }

    fn requests(&self) -> Requests {
        let metrics = &self.proxy.metrics;
        // What has ended is read first: a request that ends in between looks as if it were still
        // in flight, and not as if there were fewer than none.
        let by_class = std::array::from_fn(|class| metrics.sum(|worker| &worker.ended[class]));
        let begun = metrics.sum(|worker| &worker.begun);
        Requests {
            in_flight: begun.saturating_sub(by_class.iter().sum()),
            by_class,
            retries: metrics.sum(|worker| &worker.retries),
            received_bytes: metrics.sum(|worker| &worker.received),
            sent_bytes: metrics.sum(|worker| &worker.sent),
        }
    }

    fn connections(&self) -> Connections {
        let metrics = &self.proxy.metrics;
        let closed = metrics.sum(|worker| &worker.connections_closed);
        let total = metrics.sum(|worker| &worker.connections_opened);
        Connections { open: total.saturating_sub(closed), total }
    }

    fn sessions(&self) -> SessionsView {
        let Some(sessions) = &self.proxy.sessions else {
            let (requests, events) = Default::default();
            return SessionsView { store: "off", requests, events };
        };
        let count = |kind: SessionKind| {
            (kind.name(), self.proxy.metrics.sum(|worker| &worker.sessions[kind as usize]))
        };
        let stats = sessions.stats();
        let events = [
            ("created", &stats.created),
            ("lookups", &stats.lookups),
            ("degraded", &stats.degraded),
            ("expired", &stats.expired),
            ("values_dropped", &stats.values_dropped),
            ("writes", &stats.writes),
            ("writes_dropped", &stats.writes_dropped),
            ("evicted", &stats.evicted),
        ];
        SessionsView {
            store: sessions.store_state().name(),
            requests: SessionKind::ALL.map(count).into(),
            events: events.map(|(name, counter)| (name, counter.count())).into(),
        }
    }
}

impl Memory {
    /// Each worker says whose its last turn was; the shared cursor stands where the worker that
    /// moved it last has put it.
    fn look_at_cursor(&mut self, proxy: &Proxy) {
        for (number, worker) in proxy.metrics.workers.iter().enumerate() {
            let dealt = worker.dealt.count();
            if self.dealt.len() <= number {
                self.dealt.push(0);
            }
            if std::mem::replace(&mut self.dealt[number], dealt) != dealt {
                self.cursor = u32::try_from(worker.last.count()).ok();
            }
        }
    }

    fn server(&self, backend: &Backend) -> ServerView {
        let totals = ServerTotals::of(backend);
        let spec = backend.spec();
        let state = backend.state();
        ServerView {
            url: spec.url(),
            name: spec.id.clone(),
            id: spec.id,
            weight: spec.weight,
            max: spec.max,
            backup: spec.backup,
            h2: spec.h2,
            state: state.to_string(),
            ramp: match state {
                State::Up => 100,
                State::Starting(percent) => percent,
                _ => 0,
            },
            in_flight: backend.in_flight(),
            picks: totals.picked,
            requests: totals.requests(),
            by_class: totals.answered,
            failures: totals.failed,
            errors: totals.errors(),
            sent_bytes: totals.sent,
            recent: self.recent(backend, &totals),
            totals,
        }
    }

    fn recent(&self, backend: &Backend, now: &ServerTotals) -> Recent {
        let Some((then, sample)) = self.samples.front() else { return Recent::default() };
        let none = ServerTotals::default();
        let earlier = sample.get(&backend.serial()).unwrap_or(&none);
        let seconds = then.elapsed().as_secs_f64().max(0.25);
        let whole = now.whole.since(&earlier.whole);
        let first_byte = now.first_byte.since(&earlier.first_byte);
        Recent {
            rate: per_second(now.requests(), earlier.requests(), seconds),
            error_rate: per_second(now.errors(), earlier.errors(), seconds),
            first_byte_p50: milliseconds(&first_byte, 0.5),
            first_byte_p99: milliseconds(&first_byte, 0.99),
            p50: milliseconds(&whole, 0.5),
            p99: milliseconds(&whole, 0.99),
        }
    }
}

fn per_second(now: u64, then: u64, seconds: f64) -> f64 {
    let count = u32::try_from(now.saturating_sub(then)).unwrap_or(u32::MAX);
    f64::from(count) / seconds
}

fn milliseconds(times: &Distribution, q: f64) -> Option<f64> {
    times.quantile(q).map(|time| time.as_secs_f64() * 1_000.0)
}

fn by_class<S: Serializer>(counts: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    named(Class::ALL.map(Class::name).iter().zip(counts), serializer)
}

fn by_fault<S: Serializer>(counts: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    named(Fault::ALL.map(Fault::name).iter().zip(counts), serializer)
}

fn named<'a, S: Serializer>(
    counts: impl Iterator<Item = (&'a &'static str, &'a u64)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (name, count) in counts {
        map.serialize_entry(name, count)?;
    }
    map.end()
}
