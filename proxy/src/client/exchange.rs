//! One request on a connection.
//!
//! Owns what is known of it while it is answered, and the time that its client and its server have.
//! Never says whether its connection lives on (`times.rs`, `gate.rs`).

use std::sync::{Arc, atomic::Ordering};

use hyper::Request;

use crate::{
    backend::Backend,
    clock::{Tick, ticks},
    error::Failure,
    proxy::Proxy,
    record::Record,
};

use super::{
    Client, Phase,
    times::{NO_DEADLINE, PASSED},
};

impl Client {
    /// A request has come; the connection is busy until the returned value is dropped.
    pub(crate) fn begin(self: Arc<Self>) -> Exchange {
        self.enter(Phase::Busy, NO_DEADLINE);
        self.times.awaited_since.store(NO_DEADLINE, Ordering::Relaxed);
        self.times.answering.store(false, Ordering::Relaxed);
        Exchange { record: Record::begin(&self.worker), client: self }
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
        client.times.deadline.store(due, Ordering::Relaxed);
    }

    /// Nothing is being waited for.
    pub(crate) fn clear_deadline(&self) {
        self.client.times.deadline.store(NO_DEADLINE, Ordering::Relaxed);
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.client.times.deadline.load(Ordering::Relaxed) != NO_DEADLINE
    }

    pub(crate) fn has_expired(&self) -> bool {
        self.client.times.deadline.load(Ordering::Relaxed) == PASSED
    }

    /// Whether it is the client that is waited for, with more of its request's body.
    pub(crate) fn awaits_client(&self) -> bool {
        self.client.times.awaited_since.load(Ordering::Relaxed) != NO_DEADLINE
    }

    /// The server does not take what has come of the body, so nobody waits for the client.
    pub(crate) fn server_is_slow(&self) {
        if self.client.ends_waiting().is_some() {
            self.await_server();
        }
    }

    /// The response has begun.
    pub(crate) fn answers(&self) {
        self.client.times.answering.store(true, Ordering::Relaxed);
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
        self.client.gate.open();
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
        let waits = client.times.awaited_since.load(Ordering::Relaxed) != NO_DEADLINE;
        if waits || client.times.answering.load(Ordering::Relaxed) {
            return;
        }
        let (limits, clock) = (&client.worker.proxy.limits, &client.worker.clock);
        client.times.awaited_since.store(clock.now(), Ordering::Relaxed);
        let mut due = clock.after(limits.response);
        if limits.body_rate > 0 {
            let left = ticks(limits.body_window).saturating_sub(self.waited);
            due = due.min(clock.now().saturating_add(left).saturating_add(1));
        }
        client.times.deadline.store(due, Ordering::Relaxed);
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
        if client.times.deadline.load(Ordering::Relaxed) != NO_DEADLINE {
            client.times.deadline.store(clock.after(limits.response), Ordering::Relaxed);
        }
    }
}
