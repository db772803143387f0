//! Connections to servers.
//!
//! Owns opening them, and the idle ones of this thread: most recently used first, at most 1,024 a
//! server, and only for as long as the server can be expected to keep its end. Never sends a
//! request.
//!
//! A connection has no task of its own: whoever uses it polls it (`forward.rs`, `body.rs`), and an
//! idle one is polled by nobody. What a server did to it meanwhile shows in the first poll, before
//! anything is sent, and hyper then gives the request back.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    time::Duration,
};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    backend::Backend,
    body::Upload,
    clock::{TICK, Tick, ticks},
    error::Failure,
    resend::{Keep, Kept},
    scan::{Expected, Responses, Scanned},
    settings::Limits,
    stream::Stream,
    tls::{Connector, TlsFault},
    worker::BUFFER,
};

pub(crate) type ServerIo = TokioIo<Scanned<Kept<Stream>, Responses>>;
pub(crate) type Connection = http1::Connection<ServerIo, Upload>;

/// A connection to a server.
pub(crate) struct Upstream {
    pub(crate) sender: SendRequest<Upload>,
    pub(crate) connection: Connection,
    /// Tells the connection what is to come.
    pub(crate) expected: Expected,
    /// And what of it to keep.
    pub(crate) keep: Keep,
    /// Whether it has carried a request before.
    pub(crate) reused: bool,
    /// How long it may lie idle.
    idle: Tick,
}

/// Servers that say nothing close after 5 s at the earliest (Node, uvicorn).
const KEEP: Duration = Duration::from_secs(4);
/// Whatever a server says: what it closes meanwhile is noticed only by the next use, and that of one
/// that was removed by nobody.
const KEEP_MOST: Duration = Duration::from_secs(60);
/// A burst of requests leaves as many, and the next one finds them.
const MOST_IDLE: usize = 1_024;
/// The largest head of a response. hyper's buffer must have a byte more than it.
const HEAD: usize = BUFFER - 1;

struct Idle {
    upstream: Box<Upstream>,
    until: Tick,
}

thread_local! {
    // Per thread, so that taking and giving cost no lock and no connection moves between runtimes.
    static IDLE: RefCell<BTreeMap<u32, VecDeque<Idle>>> = const { RefCell::new(BTreeMap::new()) };
}

/// The idle connection to this server that was used last, if there is one.
pub(crate) fn take(backend: &Backend, now: Tick) -> Option<Box<Upstream>> {
    IDLE.with_borrow_mut(|idle| {
        let stack = idle.get_mut(&backend.serial())?;
        let last = stack.pop_back()?;
        if last.until > now {
            return Some(last.upstream);
        }
        // Those below have lain idle for longer still, unless they were promised a longer life.
        stack.retain(|idle| idle.until > now);
        stack.pop_back().map(|idle| idle.upstream)
    })
}

/// Keeps a connection for the next request, if it has a chance to be alive then.
pub(crate) fn give(backend: &Backend, mut upstream: Box<Upstream>, now: Tick) {
    if upstream.idle == 0 {
        return;
    }
    upstream.reused = true;
    let until = now.saturating_add(upstream.idle);
    IDLE.with_borrow_mut(|idle| {
        let stack = idle.entry(backend.serial()).or_default();
        if stack.len() >= MOST_IDLE {
            stack.pop_front();
        }
        stack.push_back(Idle { upstream, until });
    });
}

/// Closes what has lain idle for too long.
pub(crate) fn sweep(now: Tick) {
    IDLE.with_borrow_mut(|idle| {
        idle.retain(|_, stack| {
            stack.retain(|idle| idle.until > now);
            !stack.is_empty()
        });
    });
}

/// Opens a connection to the server.
///
/// # Errors
///
/// When none of its addresses takes it in time.
pub(crate) async fn connect(
    backend: &Backend,
    limits: &Limits,
    tls: &Connector,
) -> io::Result<Box<Upstream>> {
    let stream = open(backend, limits, tls, false).await?;
    let (expected, keep) = (Expected::default(), Keep::default());
    let stream = Kept::new(stream, keep.clone());
    let stream = Scanned::new(stream, Responses::new(expected.clone()), HEAD);
    let handshake = http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(io::Error::other)?;
    Ok(Box::new(Upstream { sender, connection, expected, keep, reused: false, idle: ticks(KEEP) }))
}

/// A socket and, if the server wants it, TLS over that.
pub(crate) async fn open(
    backend: &Backend,
    limits: &Limits,
    tls: &Connector,
    http2: bool,
) -> io::Result<Stream> {
    let socket = timeout(limits.connect, dial(backend, limits.connect)).await;
    let socket = socket.unwrap_or_else(|_| Err(unheard()));
    let socket = socket.inspect_err(|_| backend.forget_addresses())?;
    socket.set_nodelay(true)?;
    if !backend.is_https() {
        return Ok(Stream::Clear(socket));
    }
    let shaken = Box::pin(tls.connect(socket, backend.host(), http2, limits.handshake)).await?;
    backend.tls_works();
    Ok(Stream::Tls(Box::new(shaken)))
}

/// Why there is no connection, to be told to the client; the log says it in full.
pub(crate) fn failure(backend: &Backend, error: &io::Error) -> Failure {
    let why = reason(error);
    if let Some(fault) = TlsFault::of(error) {
        backend.tls_failed(&why);
        return Failure::Tls(fault.as_str());
    }
    tracing::debug!(server = backend.id(), why, "cannot connect");
    let unheard = error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Unheard>);
    if unheard { Failure::ConnectTimeout } else { Failure::Connect }
}

/// The server said neither yes nor no.
#[derive(Debug, thiserror::Error)]
#[error("no answer to the connection request in time")]
struct Unheard;

fn unheard() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, Unheard)
}

/// What failed, for people.
pub(crate) fn reason(error: &io::Error) -> String {
    match TlsFault::of(error) {
        Some(fault) => format!("{}: {error}", fault.as_str()),
        None => error.to_string(),
    }
}

/// One address after the other. Each gets half of the time that is left, so that one which
/// swallows packets leaves some for the next; the last gets all of it.
async fn dial(backend: &Backend, time: Duration) -> io::Result<TcpStream> {
    let end = Instant::now() + time;
    let addresses = backend.addresses().await?;
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (at, address) in addresses.iter().enumerate() {
        let left = end.saturating_duration_since(Instant::now());
        let share = if at + 1 == addresses.len() { left } else { left / 2 };
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) if is_self(&stream, *address) => {}
            Ok(Ok(stream)) => {
                if at > 0 {
                    backend.prefer(*address);
                }
                return Ok(stream);
            }
            Ok(Err(error)) => failure = error,
            Err(_) => failure = unheard(),
        }
    }
    Err(failure)
}

/// TCP can connect a port of the ephemeral range to itself when nobody listens there.
fn is_self(stream: &TcpStream, peer: SocketAddr) -> bool {
    stream.local_addr().is_ok_and(|local| local == peer)
}

impl Upstream {
    /// The server says how long it keeps an idle connection: ours must end before that.
    pub(crate) fn set_keep_alive(&mut self, seconds: u32) {
        self.idle = kept(seconds);
    }
}

fn kept(seconds: u32) -> Tick {
    let said = ticks(Duration::from_secs(seconds.into()));
    let margin = if seconds > 1 { ticks(Duration::from_secs(1)) } else { 2 };
    said.saturating_sub(margin).min(ticks(KEEP_MOST))
}

const _: () = assert!(TICK.as_millis() * 4 == 1000, "`margin` counts on ticks of a quarter second");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_ends_before_the_server_ends_it_and_within_a_minute() {
        let seconds = |seconds| ticks(Duration::from_secs(seconds));
        assert_eq!([0, 1, 5].map(kept), [0, seconds(1) - 2, seconds(4)]);
        assert_eq!([3_600, u32::MAX].map(kept), [seconds(60); 2]);
    }
}
