//! Where client connections come in.
//!
//! Owns the listeners and the worker threads, one current-thread runtime each, that accept from
//! them; and the end of both. Never reads from a connection.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::{Arc, PoisonError},
    thread,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
};

use crate::{
    access_log::AccessLog,
    client::Admission,
    clock::TICK,
    connection,
    metrics::Place,
    multiplex, pool,
    proxy::Proxy,
    stop::Stop,
    worker::{OpenConnection, Worker},
};

/// Clients that are let in one after the other, before others have a turn.
const AT_ONCE: u32 = 8;
/// How long a client may take to shake hands with a listener that is about to be closed.
const HANDSHAKE: Duration = Duration::from_millis(50);
/// How long a stop waits for the session store, and for the access log, once all requests are
/// answered.
const FLUSH: Duration = Duration::from_secs(2);

/// Opens one listener per worker on the same address, so that the kernel deals connections out to
/// them and no worker wakes another. With port 0 all share the port that the first one gets.
///
/// # Errors
///
/// When the address cannot be bound.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<StdListener>> {
    let first = listen(address)?;
    let address = first.local_addr()?;
    let rest = (1..workers).map(|_| listen(address));
    std::iter::once(Ok(first)).chain(rest).collect()
}

/// Whether another process listens there already, and would have to share: a version that is to be
/// taken over from, or one that was forgotten.
pub fn is_taken(address: SocketAddr) -> bool {
    // Without `SO_REUSEPORT`, an address is given once.
    let bound = socket(address).and_then(|socket| socket.bind(&address.into()));
    bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// Serves on each of the listeners until `stop`. True: every request in flight was answered.
///
/// # Errors
///
/// When the threads cannot be started.
pub async fn serve(proxy: Arc<Proxy>, listeners: Vec<StdListener>, stop: Stop) -> io::Result<bool> {
    let connections = proxy.limits.connections.unwrap_or_else(connections_by_open_files);
    let permits = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
    if let Some(target) = &proxy.log_to {
        // A second call would find the first one's.
        let _ = proxy.access_log.set(AccessLog::start(target)?);
    }
    let mut workers = Vec::new();
    let of = listeners.len();
    for (number, listener) in listeners.into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let worker = Arc::new(Worker::new(Arc::clone(&proxy), stop.clone(), Place { number, of }));
        let registered = Arc::downgrade(&worker);
        proxy.workers.lock().unwrap_or_else(PoisonError::into_inner).push(registered);
        let permits = Arc::clone(&permits);
        let (report, ended) = oneshot::channel();
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let drained = runtime.block_on(worker.run(listener, permits));
            // Whatever still runs is cut here, with its runtime.
            drop(runtime);
            // If nobody waits for it any more, nobody needs to know.
            let _ = report.send(drained);
        })?;
        workers.push(ended);
    }
    let mut drained = true;
    for ended in workers {
        drained &= ended.await.unwrap_or(false);
    }
    if let Some(sessions) = &proxy.sessions
        && !sessions.flush(FLUSH).await
    {
        tracing::warn!("the session store did not take everything in time");
    }
    if let Some(log) = proxy.access_log.get() {
        let written = tokio::select! {
            written = tokio::time::timeout(FLUSH, log.finish()) => written.is_ok(),
            () = stop.cutting() => false,
        };
        if !written {
            tracing::warn!("the access log did not take everything in time");
        }
    }
    Ok(drained)
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `::` means every address, of both families, on every system.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<StdListener> {
    const BACKLOG: i32 = 4096;
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    leave_unsent(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// How much of an answer the kernel holds for a client beyond what the network takes. By default
/// that is megabytes: a crowd that asks for large answers and reads none would have them all copied
/// there before anybody else's turn comes, and the kernel's memory filled. Connections inherit it.
#[cfg(target_os = "linux")]
fn leave_unsent(listener: &Socket) -> io::Result<()> {
    const UNSENT: u32 = 128 * 1024;
    listener.set_tcp_notsent_lowat(UNSENT)
}

#[cfg(not(target_os = "linux"))]
fn leave_unsent(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// Gives a connection of HTTP/2 all of the kernel's room again: there the client's windows and our
/// own limits bound what waits, and the answers to its pings and settings have to find a place, or
/// a flood of these would stop being read, and not be seen for what it is.
#[cfg(target_os = "linux")]
pub(crate) fn leave_room(client: &TcpStream) {
    // Refused only by a socket that is gone.
    let _ = socket2::SockRef::from(client).set_tcp_notsent_lowat(u32::MAX);
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn leave_room(_: &TcpStream) {}

/// Each connection can need a second one, to a server, and the process has files of its own.
fn connections_by_open_files() -> usize {
    const OWN: u64 = 64;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = limit.unwrap_or(1 << 20).saturating_sub(OWN) / 2;
    usize::try_from(files).unwrap_or(usize::MAX).max(1)
}

impl Worker {
    async fn run(self: Arc<Self>, listener: StdListener, permits: Arc<Semaphore>) -> bool {
        tokio::spawn(Arc::clone(&self).tick());
        match TcpListener::from_std(listener) {
            Ok(listener) => self.accept(listener, &permits).await,
            Err(error) => tracing::error!(%error, "cannot listen"),
        }
        tokio::select! {
            () = self.closed() => true,
            () = tokio::time::sleep(self.proxy.drain) => false,
            () = self.stop.cutting() => false,
        }
    }

    /// Keeps the clock, and closes server connections that nobody has used for too long.
    async fn tick(self: Arc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.clock.advance();
            self.retries.refill();
            pool::sweep(self.clock.now());
            multiplex::sweep(self.clock.now());
        }
    }

    async fn accept(self: &Arc<Self>, listener: TcpListener, permits: &Arc<Semaphore>) {
        let mut backoff = Backoff::default();
        let mut at_once = 0;
        let waits = loop {
            // However many come at once, those that are here already have their turn in between.
            at_once += 1;
            if at_once == AT_ONCE {
                at_once = 0;
                tokio::task::yield_now().await;
            }
            let accepted = tokio::select! {
                biased;
                () = self.stop.draining() => break None,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(client) => client,
                Err(error) => {
                    backoff.after(&error).await;
                    continue;
                }
            };
            backoff = Backoff::default();
            // Above the limit this client waits here, and those that come behind it in the kernel's
            // queue. A permit that is taken before there is a client would be one that another
            // worker lacks.
            let permit = tokio::select! {
                biased;
                permit = Arc::clone(permits).acquire_owned() => permit,
                () = self.stop.draining() => break Some((stream, peer)),
            };
            let Ok(permit) = permit else { break None };
            self.spawn(stream, peer, permit);
        };
        self.accept_last(listener, waits, permits).await;
    }

    /// Closing a listener resets what waits in its queue, and what is still shaking hands. So new
    /// clients are first turned away from it, the last ones taken, and only then is it closed.
    async fn accept_last(
        self: &Arc<Self>,
        listener: TcpListener,
        waits: Option<(TcpStream, SocketAddr)>,
        permits: &Arc<Semaphore>,
    ) {
        if let Err(error) = ignore_new_clients(&listener) {
            tracing::debug!(%error, "cannot turn new clients away");
        }
        let last = async {
            if let Some((stream, peer)) = waits
                && let Ok(permit) = Arc::clone(permits).acquire_owned().await
            {
                self.spawn(stream, peer, permit);
            }
            while let Ok(permit) = Arc::clone(permits).acquire_owned().await
                && let Ok((stream, peer)) = listener.accept().await
            {
                self.spawn(stream, peer, permit);
            }
        };
        // What is cut takes no time at all.
        tokio::select! {
            _ = tokio::time::timeout(HANDSHAKE, last) => {}
            () = self.stop.cutting() => {}
        }
        let Ok(listener) = listener.into_std() else { return };
        while let Ok(permit) = Arc::clone(permits).try_acquire_owned()
            && let Ok((stream, peer)) = listener.accept()
        {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.spawn(stream, peer, permit);
            }
        }
    }

    fn spawn(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        // Without it a small answer may wait for the acknowledgement of the one before. It fails
        // only on a connection that is gone, which the first read will tell.
        let _ = stream.set_nodelay(true);
        let admission = Admission { open: OpenConnection::count(self), permit, seat: None };
        tokio::spawn(connection::open(Arc::clone(self), stream, peer, admission));
    }
}

/// The kernel drops the first packet of each new connection to this socket. The client sends it
/// again after a second; by then the socket is closed, and the packet finds the listener of the
/// process that has taken over, or is refused if there is none.
#[cfg(target_os = "linux")]
fn ignore_new_clients(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};
    // Classic BPF over the TCP header: byte 13 holds the flags.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

#[cfg(not(target_os = "linux"))]
fn ignore_new_clients(_: &TcpListener) -> io::Result<()> {
    Ok(())
}

/// How long accepting rests after an error. It never ends the worker: what fails now (no more
/// file descriptors, no memory) goes on as soon as some connection ends.
#[derive(Debug, Default)]
struct Backoff {
    errors: u32,
}

impl Backoff {
    async fn after(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            return; // about one client that left early, not about us
        }
        let pause = Duration::from_millis(5 << self.errors.min(8));
        if self.errors == 0 {
            tracing::warn!(%error, "cannot accept connections");
        }
        self.errors += 1;
        tokio::time::sleep(pause.min(Duration::from_secs(1))).await;
    }
}
