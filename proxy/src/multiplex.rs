//! HTTP/2 connections to servers.
//!
//! Owns the ones of this thread, which many requests share: a new one is opened only when all of a
//! server's are full, by one request for all that wait. Each has a task of its own, since no
//! request is there for as long as it is. Never sends a request.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::{sync::watch, time::timeout};

use crate::{
    backend::Backend,
    body::Http2Upload,
    clock::{Tick, ticks},
    error::Failure,
    pool,
    settings::Limits,
    stream::Stream,
    tls::Connector,
    worker::{BUFFER, Worker},
};

/// Most requests at once on one connection, whatever the server allows.
const MOST_STREAMS: usize = 100;
/// What a server may send of one response before the client has read it, and of all on a
/// connection: clients that do not read fill their own windows, and must not fill everybody's.
const STREAM_WINDOW: u32 = 128 * 1024;
const WINDOW: u32 = 16 * 1024 * 1024;
/// How long one that nobody uses is kept.
const KEEP: Duration = Duration::from_secs(60);

/// A server's connections, and the one that is being opened.
#[derive(Default)]
struct Shared {
    open: Vec<Line>,
    opening: Option<watch::Receiver<Option<Result<(), Failure>>>>,
}

/// One connection.
struct Line {
    sender: SendRequest<Http2Upload>,
    /// Knows what the server allows; none: it has ended, and whoever was about to send on it has
    /// been told. Locked only because a task might move; nobody ever waits.
    connection: Arc<Mutex<Option<Connection>>>,
    /// How many requests it has.
    used: Arc<AtomicUsize>,
    unused_since: Option<Tick>,
}

thread_local! {
    static SHARED: RefCell<BTreeMap<u32, Shared>> = const { RefCell::new(BTreeMap::new()) };
}

/// A request's place on a connection.
#[derive(Debug)]
pub(crate) struct Lease(Arc<AtomicUsize>);

impl Drop for Lease {
    fn drop(&mut self) {
        // ORDERING: Relaxed, here and below; all of it is on one thread.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place on a connection to this server, which is opened if there is none.
///
/// # Errors
///
/// Why none can be opened.
pub(crate) async fn lease(
    backend: &Arc<Backend>,
    worker: &Arc<Worker>,
) -> Result<(SendRequest<Http2Upload>, Lease), Failure> {
    loop {
        let mut opening = match SHARED.with_borrow_mut(|shared| {
            let shared = shared.entry(backend.serial()).or_default();
            shared.lease().ok_or_else(|| shared.opening(backend, worker))
        }) {
            Ok(leased) => return Ok(leased),
            Err(opening) => opening,
        };
        // Its task tells before it ends, unless the whole thread ends.
        let opened = opening.wait_for(Option::is_some).await;
        opened.map_or(Err(Failure::Connect), |opened| opened.unwrap_or(Ok(())))?;
    }
}

/// Closes what nobody has used for long, or what the server has closed.
pub(crate) fn sweep(now: Tick) {
    SHARED.with_borrow_mut(|shared| {
        shared.retain(|_, shared| {
            shared.open.retain_mut(|line| {
                let unused = line.used.load(Ordering::Relaxed) == 0;
                line.unused_since = line.unused_since.or(Some(now)).filter(|_| unused);
                let long = |since: Tick| now.saturating_sub(since) >= ticks(KEEP);
                !line.sender.is_closed() && !line.unused_since.is_some_and(long)
            });
            !shared.open.is_empty() || shared.opening.is_some()
        });
    });
}

impl Shared {
    fn lease(&mut self) -> Option<(SendRequest<Http2Upload>, Lease)> {
        self.open.retain(|line| !line.sender.is_closed());
        let line = self.open.iter().find(|line| line.has_room())?;
        line.used.fetch_add(1, Ordering::Relaxed);
        Some((line.sender.clone(), Lease(Arc::clone(&line.used))))
    }

    /// What is being opened; begun now if nobody has.
    fn opening(
        &mut self,
        backend: &Arc<Backend>,
        worker: &Arc<Worker>,
    ) -> watch::Receiver<Option<Result<(), Failure>>> {
        if let Some(opening) = &self.opening {
            return opening.clone();
        }
        let (told, opening) = watch::channel(None);
        let (backend, worker) = (Arc::clone(backend), Arc::clone(worker));
        tokio::spawn(async move {
            let opened = connect(&backend, &worker.proxy.limits, &worker.proxy.connector).await;
            let outcome = SHARED.with_borrow_mut(|shared| {
                let shared = shared.entry(backend.serial()).or_default();
                shared.opening = None;
                opened.map(|line| shared.open.push(line))
            });
            // Nobody may wait any more.
            let _ = told.send(Some(outcome.map_err(|error| pool::failure(&backend, &error))));
        });
        self.opening = Some(opening.clone());
        opening
    }
}

async fn connect(backend: &Backend, limits: &Limits, tls: &Connector) -> io::Result<Line> {
    let (sender, connection) = open(backend, limits, tls).await?;
    let connection = Arc::new(Mutex::new(Some(connection)));
    let (running, id) = (Arc::clone(&connection), backend.id().to_owned());
    tokio::spawn(async move {
        let ended = poll_fn(|cx| match &mut *lock(&running) {
            Some(connection) => Pin::new(connection).poll(cx),
            None => Poll::Ready(Ok(())),
        });
        let ended = ended.await;
        *lock(&running) = None;
        if let Err(error) = ended {
            tracing::debug!(server = id, %error, "an HTTP/2 connection ended");
        }
    });
    let line = Line { sender, connection, used: Arc::default(), unused_since: None };
    // What would be sent before the server has said how much it takes, it might refuse. That is the
    // first that it says; hyper does not tell when.
    let said = async {
        while !line.has_room() && !line.sender.is_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(limits.handshake, said).await.map_err(|_| io::ErrorKind::TimedOut)?;
    if line.has_room() { Ok(line) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
}

fn lock(connection: &Mutex<Option<Connection>>) -> MutexGuard<'_, Option<Connection>> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    fn has_room(&self) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        lock(&self.connection).as_ref().is_some_and(|connection| {
            used < connection.current_max_send_streams().min(MOST_STREAMS)
        })
    }
}

type Connection = http2::Connection<TokioIo<Stream>, Http2Upload, TokioExecutor>;

/// Opens a connection, which whoever gets it has to poll.
///
/// # Errors
///
/// When the server does not take it in time, or does not speak HTTP/2.
pub(crate) async fn open(
    backend: &Backend,
    limits: &Limits,
    tls: &Connector,
) -> io::Result<(SendRequest<Http2Upload>, Connection)> {
    let stream = pool::open(backend, limits, tls, true).await?;
    // A server that is gone without a word is found by TCP. Pings of HTTP/2 would find it too, but
    // gRPC servers close connections on which they come often.
    let probe = TcpKeepalive::new().with_time(KEEP);
    SockRef::from(stream.socket()).set_tcp_keepalive(&probe)?;
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_max_send_streams(0)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(u32::try_from(BUFFER).unwrap_or(u32::MAX))
        .max_send_buf_size(BUFFER)
        .handshake(TokioIo::new(stream));
    handshake.await.map_err(io::Error::other)
}
