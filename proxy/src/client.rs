//! One client connection as the requests on it see it.
//!
//! Owns who the client is and what of it is to be let go in the end. What it is doing, and until
//! when, is in `client/`. Never does I/O and never sleeps.

mod exchange;
mod gate;
mod times;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use hyper::header::HeaderValue;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    addresses::Seat,
    connection::Meter,
    error::Failure,
    headers::HostValues,
    worker::{OpenConnection, Worker},
};

use self::{gate::Gate, times::Times};

pub(crate) use self::{
    exchange::{Exchange, Progress},
    times::Phase,
};

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
    times: Times,
    pub(crate) gate: Gate,
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
            times: Times::default(),
            gate: Gate::default(),
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
        self.begin_stream();
        Arc::new(Self {
            worker: Arc::clone(&self.worker),
            peer: self.peer,
            trusted: self.trusted,
            secure: self.secure,
            forwarded_for: self.forwarded_for.clone(),
            host_values: self.host_values.clone(),
            times: Times::default(),
            gate: Gate::default(),
            without_path: AtomicBool::new(false),
            refusal: OnceLock::new(),
            streams: AtomicU32::new(0),
            meter: Meter::default(),
            place: Place::Stream(Arc::clone(self)),
        })
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

    /// So many bytes came in on HTTP/2. False: too many of them were of no use.
    pub(crate) fn bears(&self, bytes: usize) -> bool {
        self.meter.read(bytes, self.worker.clock.now())
    }

    /// A part of a body went through.
    pub(crate) fn body_moved(&self, bytes: usize) {
        if let Place::Stream(connection) = &self.place {
            connection.meter.moved(bytes);
            connection.put_off_stall();
        }
    }

    /// The client no longer wants the answer to this request.
    pub(crate) fn taken_back(&self) {
        if let Place::Stream(connection) = &self.place {
            connection.meter.taken_back();
        }
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
