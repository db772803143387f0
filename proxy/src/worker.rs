//! One serving thread, as what runs on it sees it.
//!
//! Owns what the connections of one thread share, and counts them. Never accepts (`accept.rs`).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hyper::server::conn::http1;
use tokio::sync::Notify;

use crate::{
    clock::Clock,
    forward::RetryBudget,
    metrics::{Place, WorkerNumbers},
    proxy::Proxy,
    stop::Stop,
};

/// Most that is read or written at once.
pub(crate) const BUFFER: usize = 64 * 1024;

/// What the connections of one thread share.
pub(crate) struct Worker {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) clock: Clock,
    pub(crate) retries: RetryBudget,
    pub(crate) http: http1::Builder,
    pub(crate) stop: Stop,
    pub(crate) place: Place,
    open: AtomicUsize,
    all_closed: Notify,
}

impl Worker {
    pub(crate) fn new(proxy: Arc<Proxy>, stop: Stop, place: Place) -> Self {
        let mut http = http1::Builder::new();
        // The connection's own timer also covers the time that a head may take.
        http.header_read_timeout(None)
            .max_header_size(proxy.limits.head_bytes)
            .max_buf_size(BUFFER.max(proxy.limits.head_bytes));
        Self {
            proxy,
            clock: Clock::new(),
            retries: RetryBudget::new(),
            http,
            stop,
            place,
            open: AtomicUsize::new(0),
            all_closed: Notify::new(),
        }
    }

    /// What this worker counts.
    pub(crate) fn numbers(&self) -> &WorkerNumbers {
        self.proxy.metrics.workers.of(self.place)
    }

    /// Resolves once no connection is open, its tunnels included.
    pub(crate) async fn closed(&self) {
        loop {
            let changed = self.all_closed.notified();
            // ORDERING: Acquire pairs with the Release of the last connection's end.
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("open", &self.open).finish_non_exhaustive()
    }
}

/// Counts one connection of a worker for as long as anything uses it.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Worker>);

impl OpenConnection {
    pub(crate) fn count(worker: &Arc<Worker>) -> Self {
        // ORDERING: Relaxed; who waits for zero waits on this same thread.
        worker.open.fetch_add(1, Ordering::Relaxed);
        worker.numbers().connections_opened.add(1);
        Self(Arc::clone(worker))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.numbers().connections_closed.add(1);
        // ORDERING: Release; see `closed`, which then knows that the connection's work is done.
        if self.0.open.fetch_sub(1, Ordering::Release) == 1 {
            self.0.all_closed.notify_waiters();
        }
    }
}
