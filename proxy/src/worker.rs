//! One serving thread, as what runs on it sees it.
//!
//! Owns what the connections of one thread share, and counts them. Never accepts (`accept.rs`).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Notify;

use crate::{
    clock::Clock,
    forward::RetryBudget,
    metrics::{Place, WorkerNumbers},
    proxy::Proxy,
    settings::Limits,
    stop::Stop,
};

/// Most that is read or written at once.
pub(crate) const BUFFER: usize = 64 * 1024;

/// How much of its requests' bodies an HTTP/2 client may send before they are passed on.
pub(crate) const HTTP2_WINDOW: u32 = 1024 * 1024;

/// What the connections of one thread share.
pub(crate) struct Worker {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) clock: Clock,
    pub(crate) retries: RetryBudget,
    pub(crate) http: http1::Builder,
    pub(crate) http2: http2::Builder<TokioExecutor>,
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
        let http2 = http2_within(&proxy.limits);
        Self {
            proxy,
            clock: Clock::new(),
            retries: RetryBudget::new(),
            http,
            http2,
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

/// HTTP/2 with clients. A hostile one is let go where it costs more than it asks for: too large a
/// head, too many CONTINUATION frames, streams that are reset before they are looked at or that
/// break the rules, and no answer to a ping.
fn http2_within(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(HTTP2_WINDOW)
        // What a client that does not read can make us keep for each of its streams.
        .max_send_buf_size(BUFFER)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    http2
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
