//! One client connection as the requests on it see it.
//!
//! Owns who the client is and until when it, or the server that it waits for, has time. Never
//! does I/O and never sleeps: `connection.rs` watches the deadline that is set here.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
    },
    time::Duration,
};

use hyper::{Request, header::HeaderValue};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    addresses::Seat,
    backend::Backend,
    clock::{Tick, ticks},
    connection::Meter,
    error::Failure,
    headers::HostValues,
    proxy::Proxy,
    record::Record,
    worker::{OpenConnection, Worker},
};

/// What a connection is doing, which decides what its deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between two requests.
    Idle,
    /// Some bytes of a head have come.
    Head,
    /// A request is being answered; on HTTP/2, one at least.
    Busy,
    /// The first bytes are those of HTTP/2, which goes on elsewhere.
    Http2,
}

/// Whether the client's next request may be read (`scan/requests.rs`): one at a time, so that what
/// comes behind a request is looked at only once it is clear what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// A request is being answered.
    Shut,
    /// And the next one waits.
    Parked,
    /// It waits no longer, and must be told.
    Opened,
}

/// A client connection, shared by its task, its requests and, after an upgrade, its tunnel. On
/// HTTP/2, where requests run side by side, each has one of its own beside the connection's.
///
/// All of them run on one thread, so the atomics below are plain loads and stores: they are there
/// because tasks are `Send`, and none of them is ever contended.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) worker: Arc<Worker>,
    pub(crate) peer: IpAddr,
    /// Whether the forwarding headers that it sends are believed.
    pub(crate) trusted: bool,
    /// Whether it came over TLS.
    pub(crate) secure: bool,
    /// The peer's address as `X-Forwarded-For` names it.
    pub(crate) forwarded_for: HeaderValue,
    /// Values made from the first request's `Host`; few clients ever use a second.
    pub(crate) host_values: OnceLock<HostValues>,
    phase: AtomicU8,
    deadline: AtomicU32,
    /// Until when it has to read on, if it is being answered and does not.
    write_deadline: AtomicU32,
    /// Since when more of a request's body is waited for.
    awaited_since: AtomicU32,
    /// Whether the response has begun.
    answering: AtomicBool,
    gate: AtomicU8,
    /// Whether the last whole URL that it asked for ended with its host.
    without_path: AtomicBool,
    /// Why what the client sent was not given to hyper.
    refusal: OnceLock<Failure>,
    /// HTTP/2: requests that are being answered.
    streams: AtomicU32,
    /// HTTP/2: what of it is of no use.
    meter: Meter,
    place: Place,
}

/// What is let go when everything that uses the connection is gone.
#[derive(Debug)]
enum Place {
    Connection(#[expect(dead_code, reason = "it is held")] Admission),
    /// One of several requests on this connection.
    Stream(Arc<Client>),
}

/// A connection's place among those that are open, and among those that may be.
#[derive(Debug)]
#[expect(dead_code, reason = "they are held")]
pub(crate) struct Admission {
    pub(crate) open: OpenConnection,
    pub(crate) permit: OwnedSemaphorePermit,
    pub(crate) seat: Option<Seat>,
}

const NO_DEADLINE: Tick = 0;
const PASSED: Tick = Tick::MAX;

impl Client {
    pub(crate) fn new(
        worker: Arc<Worker>,
        peer: SocketAddr,
        secure: bool,
        admission: Admission,
    ) -> Arc<Self> {
        let peer = peer.ip().to_canonical();
        let trusted = worker.proxy.is_trusted(peer);
        let forwarded_for = HeaderValue::try_from(peer.to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        let client = Arc::new(Self {
            worker,
            peer,
            trusted,
            secure,
            forwarded_for,
            host_values: OnceLock::new(),
            phase: AtomicU8::new(Phase::Idle as u8),
            deadline: AtomicU32::new(NO_DEADLINE),
            write_deadline: AtomicU32::new(NO_DEADLINE),
            awaited_since: AtomicU32::new(NO_DEADLINE),
            answering: AtomicBool::new(false),
            gate: AtomicU8::new(Gate::Open as u8),
            without_path: AtomicBool::new(false),
            refusal: OnceLock::new(),
            streams: AtomicU32::new(0),
            meter: Meter::default(),
            place: Place::Connection(admission),
        });
        client.rest();
        client
    }

    /// What the client speaks, as URLs name it.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// The same client as one of its requests on HTTP/2 sees it.
    pub(crate) fn stream(self: &Arc<Self>) -> Arc<Self> {
        self.streams.fetch_add(1, Ordering::Relaxed);
        self.meter.request();
        self.enter(Phase::Busy, self.stall());
        Arc::new(Self {
            worker: Arc::clone(&self.worker),
            peer: self.peer,
            trusted: self.trusted,
            secure: self.secure,
            forwarded_for: self.forwarded_for.clone(),
            host_values: self.host_values.clone(),
            phase: AtomicU8::new(Phase::Busy as u8),
            deadline: AtomicU32::new(NO_DEADLINE),
            write_deadline: AtomicU32::new(NO_DEADLINE),
            awaited_since: AtomicU32::new(NO_DEADLINE),
            answering: AtomicBool::new(false),
            gate: AtomicU8::new(Gate::Open as u8),
            without_path: AtomicBool::new(false),
            refusal: OnceLock::new(),
            streams: AtomicU32::new(0),
            meter: Meter::default(),
            place: Place::Stream(Arc::clone(self)),
        })
    }

    /// A request has come; the connection is busy until the returned value is dropped.
    pub(crate) fn begin(self: Arc<Self>) -> Exchange {
        self.enter(Phase::Busy, NO_DEADLINE);
        self.awaited_since.store(NO_DEADLINE, Ordering::Relaxed);
        self.answering.store(false, Ordering::Relaxed);
        Exchange { record: Record::begin(&self.worker), client: self }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Busy,
            _ => Phase::Http2,
        }
    }

    /// Bytes came in. Between two requests they begin the next one's head.
    pub(crate) fn bytes_came(&self) {
        if self.phase() == Phase::Idle {
            self.enter(Phase::Head, self.worker.clock.after(self.worker.proxy.limits.head));
        }
    }

    pub(crate) fn may_ask(&self) -> bool {
        let gate = self.gate.load(Ordering::Relaxed);
        gate == Gate::Open as u8 || gate == Gate::Opened as u8
    }

    /// A request has come whole, at least its head.
    pub(crate) fn asks(&self) {
        self.gate.store(Gate::Shut as u8, Ordering::Relaxed);
    }

    /// Another one has come before that is answered.
    pub(crate) fn park(&self) {
        self.gate.store(Gate::Parked as u8, Ordering::Relaxed);
    }

    /// Whether a request that waited can be read now; said once.
    pub(crate) fn is_called(&self) -> bool {
        let called = self.gate.load(Ordering::Relaxed) == Gate::Opened as u8;
        if called {
            self.gate.store(Gate::Open as u8, Ordering::Relaxed);
        }
        called
    }

    fn open_gate(&self) {
        let parked = self.gate.load(Ordering::Relaxed) == Gate::Parked as u8;
        let gate = if parked { Gate::Opened } else { Gate::Open };
        self.gate.store(gate as u8, Ordering::Relaxed);
    }

    /// hyper reads a URL without a path as one of `/`; for OPTIONS it is `*` (RFC 9112, 3.2.4).
    pub(crate) fn asks_without_path(&self) -> bool {
        self.without_path.load(Ordering::Relaxed)
    }

    pub(crate) fn set_without_path(&self, without: bool) {
        self.without_path.store(without, Ordering::Relaxed);
    }

    /// What the client sent is not read. A first reason stands.
    pub(crate) fn refuse(&self, why: Failure) {
        let _ = self.refusal.set(why);
    }

    /// # Errors
    ///
    /// When the request that hyper has read only stands for one that was refused.
    pub(crate) fn check_refusal(&self) -> Result<(), Failure> {
        self.refusal.get().map_or(Ok(()), |why| Err(*why))
    }

    /// The connection turns out to be one of HTTP/2.
    pub(crate) fn found_http2(&self) {
        self.enter(Phase::Http2, NO_DEADLINE);
    }

    /// Its HTTP/2 begins: idle until the first request.
    pub(crate) fn begin_http2(&self) {
        self.rest();
    }

    /// So many bytes came in on HTTP/2. False: too many of them were of no use.
    pub(crate) fn bears(&self, bytes: usize) -> bool {
        self.meter.read(bytes, self.worker.clock.now())
    }

    /// A part of a body went through.
    pub(crate) fn body_moved(&self, bytes: usize) {
        if let Place::Stream(connection) = &self.place {
            connection.meter.moved(bytes);
            connection.deadline.store(connection.stall(), Ordering::Relaxed);
        }
    }

    /// HTTP/2: when it is certain that no request moves because the client does not read. Those that
    /// wait for a server end before that.
    fn stall(&self) -> Tick {
        self.worker.clock.after(self.worker.proxy.limits.response * 2)
    }

    /// The client no longer wants the answer to this request.
    pub(crate) fn taken_back(&self) {
        if let Place::Stream(connection) = &self.place {
            connection.meter.taken_back();
        }
    }

    pub(crate) fn deadline(&self) -> Option<Tick> {
        let deadline = match self.deadline.load(Ordering::Relaxed) {
            NO_DEADLINE | PASSED => Tick::MAX,
            tick => tick,
        };
        let first = match self.write_deadline.load(Ordering::Relaxed) {
            NO_DEADLINE => deadline,
            tick => tick.min(deadline),
        };
        (first != Tick::MAX).then_some(first)
    }

    /// What was tried to be written to it was taken, or not.
    pub(crate) fn reads(&self, does: bool) {
        if does {
            self.write_deadline.store(NO_DEADLINE, Ordering::Relaxed);
        } else if self.write_deadline.load(Ordering::Relaxed) == NO_DEADLINE {
            let due = self.worker.clock.after(self.worker.proxy.limits.idle);
            self.write_deadline.store(due, Ordering::Relaxed);
        }
    }

    /// Whether the deadline that has passed is that for reading on.
    pub(crate) fn has_stopped_reading(&self) -> bool {
        let due = self.write_deadline.load(Ordering::Relaxed);
        due != NO_DEADLINE && self.deadline() == Some(due)
    }

    /// Said by the connection's task once the deadline is over.
    pub(crate) fn expire(&self) {
        self.deadline.store(PASSED, Ordering::Relaxed);
    }

    /// An idle connection is to be closed; it is given a little time for its last bytes.
    pub(crate) fn linger(&self) {
        self.enter(Phase::Idle, self.worker.clock.after(self.worker.proxy.limits.head));
    }

    /// We are about to end: what comes on an idle connection has to come soon.
    pub(crate) fn hurry(&self) {
        const SOON: Duration = Duration::from_millis(500);
        self.enter(Phase::Idle, self.worker.clock.after(SOON));
    }

    /// Since when it was waited for, if it was.
    fn ends_waiting(&self) -> Option<Tick> {
        match self.awaited_since.load(Ordering::Relaxed) {
            NO_DEADLINE => None,
            since => {
                self.awaited_since.store(NO_DEADLINE, Ordering::Relaxed);
                Some(since)
            }
        }
    }

    fn rest(&self) {
        self.enter(Phase::Idle, self.worker.clock.after(self.worker.proxy.limits.idle));
    }

    fn enter(&self, phase: Phase, deadline: Tick) {
        // ORDERING: Relaxed here and above; one thread.
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.deadline.store(deadline, Ordering::Relaxed);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let Place::Stream(connection) = &self.place else { return };
        if let Some(values) = self.host_values.get() {
            // A client seldom asks for a second host.
            let _ = connection.host_values.set(values.clone());
        }
        if connection.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            if self.worker.stop.is_draining() {
                connection.hurry();
            } else {
                connection.rest();
            }
        }
    }
}

/// One request being answered. Whoever holds it keeps the connection busy.
#[derive(Debug)]
pub(crate) struct Exchange {
    client: Arc<Client>,
    pub(crate) record: Record,
}

impl Exchange {
    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        &self.client.worker.proxy
    }

    /// From now on the server has its time again.
    pub(crate) fn await_server(&self) {
        let client = &self.client;
        let due = client.worker.clock.after(client.worker.proxy.limits.response);
        client.deadline.store(due, Ordering::Relaxed);
    }

    /// Nothing is being waited for.
    pub(crate) fn clear_deadline(&self) {
        self.client.deadline.store(NO_DEADLINE, Ordering::Relaxed);
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.client.deadline.load(Ordering::Relaxed) != NO_DEADLINE
    }

    pub(crate) fn has_expired(&self) -> bool {
        self.client.deadline.load(Ordering::Relaxed) == PASSED
    }

    /// Whether it is the client that is waited for, with more of its request's body.
    pub(crate) fn awaits_client(&self) -> bool {
        self.client.awaited_since.load(Ordering::Relaxed) != NO_DEADLINE
    }

    /// The server does not take what has come of the body, so nobody waits for the client.
    pub(crate) fn server_is_slow(&self) {
        if self.client.ends_waiting().is_some() {
            self.await_server();
        }
    }

    /// The response has begun.
    pub(crate) fn answers(&self) {
        self.client.answering.store(true, Ordering::Relaxed);
    }

    /// What of the request is logged in the end.
    pub(crate) fn note<B>(&mut self, request: &Request<B>) {
        self.record.note(&self.client, request);
    }

    /// It is this server's turn.
    pub(crate) fn picked(&self, server: &Backend) {
        self.record.picked(&self.client.worker, server);
    }

    /// A server failed the request; maybe another one is asked.
    pub(crate) fn server_failed(&mut self, server: &Arc<Backend>, why: Failure) {
        self.record.server_failed(&self.client.worker, server, why);
    }

    /// The server stopped in the middle of its answer.
    pub(crate) fn broke_off(&mut self) {
        self.record.broke_off(&self.client.worker);
    }

    /// For the part of an exchange that has a life of its own, such as a request's body.
    pub(crate) fn share(&self) -> Progress {
        Progress { client: Arc::clone(&self.client), bytes: 0, waited: 0 }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.record.end(&self.client.worker);
        self.client.rest();
        self.client.open_gate();
    }
}

/// Lets a request's body tell that it moves, and holds its client to a rate.
///
/// Only the time counts in which the client is waited for: a server that takes the body slowly is
/// not the client's fault. Once the response has begun, both may take the time that they like.
#[derive(Debug)]
pub(crate) struct Progress {
    client: Arc<Client>,
    /// That came in this window.
    bytes: u64,
    /// How much of this window the client has been waited for.
    waited: Tick,
}

impl Progress {
    /// Nothing more has come.
    pub(crate) fn waits(&self) {
        let client = &*self.client;
        let waits = client.awaited_since.load(Ordering::Relaxed) != NO_DEADLINE;
        if waits || client.answering.load(Ordering::Relaxed) {
            return;
        }
        let (limits, clock) = (&client.worker.proxy.limits, &client.worker.clock);
        client.awaited_since.store(clock.now(), Ordering::Relaxed);
        let mut due = clock.after(limits.response);
        if limits.body_rate > 0 {
            let left = ticks(limits.body_window).saturating_sub(self.waited);
            due = due.min(clock.now().saturating_add(left).saturating_add(1));
        }
        client.deadline.store(due, Ordering::Relaxed);
    }

    /// The rest of the body is not wanted.
    pub(crate) fn refuse(&self, why: Failure) {
        self.client.refuse(why);
    }

    /// A part of the body has come. The server has its time to take it.
    pub(crate) fn moved(&mut self, bytes: usize) {
        let client = &*self.client;
        let (limits, clock) = (&client.worker.proxy.limits, &client.worker.clock);
        client.worker.numbers().received.add(bytes as u64);
        client.body_moved(bytes);
        if let Some(since) = client.ends_waiting() {
            self.waited = self.waited.saturating_add(clock.now().saturating_sub(since));
        }
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes >= limits.body_rate.saturating_mul(limits.body_window.as_secs().max(1)) {
            (self.bytes, self.waited) = (0, 0);
        }
        if client.deadline.load(Ordering::Relaxed) != NO_DEADLINE {
            client.deadline.store(clock.after(limits.response), Ordering::Relaxed);
        }
    }
}
