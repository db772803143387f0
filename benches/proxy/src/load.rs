//! Clients: HTTP/1.1 in clear and over TLS by hand, so that they cost next to nothing; HTTP/2 by
//! hyper.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::{
    cell::{Ask, Pace},
    contender::Door,
    tls,
};

/// Headers as a browser sends them.
const HEADERS: &str = "Host: localhost\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)\r\n\
                       Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n\
                       Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n";

/// What has a request to make, and waits for its answer.
pub(crate) enum Client {
    Clear(Http1<TcpStream>),
    Tls(Box<Http1<tokio_rustls::client::TlsStream<TcpStream>>>),
    Http2(http2::SendRequest<Empty<Bytes>>, Ask),
}

impl Client {
    /// A new connection, with a session if the proxy gives one.
    pub(crate) async fn connect(door: Door, address: SocketAddr, ask: Ask) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        match door {
            Door::Clear => Ok(Self::Clear(Http1::new(stream, ask).await?)),
            Door::Tls => {
                let stream = tls::connector(b"http/1.1").connect(tls::server_name(), stream);
                Ok(Self::Tls(Box::new(Http1::new(stream.await?, ask).await?)))
            }
            Door::Http2 => {
                let stream = tls::connector(b"h2").connect(tls::server_name(), stream).await?;
                let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
                let (send, connection) = shaken.map_err(io::Error::other)?;
                tokio::spawn(connection);
                let mut client = Self::Http2(send, ask);
                client.ask().await?;
                Ok(client)
            }
        }
    }

    /// Another that asks over the same connection, where one can carry several requests.
    fn another(&self) -> Option<Self> {
        match self {
            Self::Http2(send, ask) => Some(Self::Http2(send.clone(), *ask)),
            _ => None,
        }
    }

    pub(crate) async fn ask(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(client) => client.ask().await,
            Self::Tls(client) => client.ask().await,
            Self::Http2(send, ask) => {
                let Ask::Get(size) = *ask else {
                    return Err(io::Error::other("HTTP/2 is measured by GET"));
                };
                let request = Request::get(format!("https://localhost/{size}"));
                let request = request.body(Empty::new()).map_err(io::Error::other)?;
                send.ready().await.map_err(io::Error::other)?;
                let answer = send.send_request(request).await.map_err(io::Error::other)?;
                let status = answer.status();
                let body = answer.into_body().collect().await.map_err(io::Error::other)?;
                let length = body.to_bytes().len();
                if status != 200 || length != size {
                    return Err(io::Error::other(format!("{status}, {length} bytes")));
                }
                Ok(())
            }
        }
    }
}

/// One connection of HTTP/1.1.
pub(crate) struct Http1<S> {
    stream: S,
    request: Vec<u8>,
    /// Of the answer's body.
    size: usize,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    async fn new(stream: S, ask: Ask) -> io::Result<Self> {
        let request = |cookie: &str| match ask {
            Ask::Get(size) => format!("GET /{size} HTTP/1.1\r\n{HEADERS}{cookie}\r\n").into_bytes(),
            Ask::Post(size) => {
                let head = format!(
                    "POST /100 HTTP/1.1\r\n{HEADERS}{cookie}Content-Length: {size}\r\n\r\n"
                );
                let mut request = head.into_bytes();
                request.resize(request.len() + size, b'x');
                request
            }
        };
        let size = if let Ask::Get(size) = ask { size } else { 100 };
        let mut client = Self { stream, request: request(""), size, buffer: vec![0; 16 << 10] };
        let head = client.ask_for_head().await?;
        if let Some(pair) = cookie(&head) {
            client.request = request(&format!("Cookie: {pair}\r\n"));
        }
        Ok(client)
    }

    async fn ask(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.request).await?;
        self.stream.flush().await?;
        self.take_answer().await.map(drop)
    }

    async fn ask_for_head(&mut self) -> io::Result<Vec<u8>> {
        self.stream.write_all(&self.request).await?;
        self.stream.flush().await?;
        let end = self.take_answer().await?;
        Ok(self.buffer[..end].to_vec())
    }

    /// Reads one answer whole; returns where its head ends in the buffer.
    async fn take_answer(&mut self) -> io::Result<usize> {
        let mut filled = 0;
        let end = loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err(io::Error::other("closed instead of an answer"));
            }
            filled += read;
            if let Some(end) = head_end(&self.buffer[..filled]) {
                break end;
            }
        };
        let head = &self.buffer[..end];
        if !head.starts_with(b"HTTP/1.1 200") || content_length(head) != Some(self.size) {
            return Err(io::Error::other(String::from_utf8_lossy(head).into_owned()));
        }
        let mut left = (end + self.size).saturating_sub(filled);
        while left > 0 {
            // Behind the head, which the caller may look at.
            let room = (self.buffer.len() - end).min(left);
            let read = self.stream.read(&mut self.buffer[end..end + room]).await?;
            if read == 0 {
                return Err(io::Error::other("closed in the midst of an answer"));
            }
            left -= read;
        }
        Ok(end)
    }
}

pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

pub(crate) fn content_length(head: &[u8]) -> Option<usize> {
    field(head, "content-length")?.parse().ok()
}

/// The `name=value` of a cookie that the answer sets.
fn cookie(head: &[u8]) -> Option<String> {
    field(head, "set-cookie")?.split(';').next().map(str::to_owned)
}

fn field<'h>(head: &'h [u8], wanted: &str) -> Option<&'h str> {
    std::str::from_utf8(head).ok()?.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

/// Whether somebody there answers.
pub(crate) async fn answers(door: Door, address: SocketAddr) -> bool {
    Client::connect(door, address, Ask::Get(100)).await.is_ok()
}

/// Clients at work, until they are stopped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<io::Result<()>>>,
}

struct Shared {
    /// 0: warms up. 1: is measured. 2: ends.
    phase: AtomicU8,
    times: Mutex<Histogram<u64>>,
    /// Requests that were due so far, if the pace is open.
    due: AtomicU64,
    begin: Instant,
}

/// The longest time that is told from longer ones: a minute, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// What an open pace sends at once, since timers are not finer.
const TICK: Duration = Duration::from_millis(1);

impl Load {
    pub(crate) fn start(clients: Vec<Client>, pace: Pace) -> Self {
        Self::of(clients.into_iter().map(|client| vec![client]), pace)
    }

    /// So many ask at once, each over its share of the connections, one after the other.
    pub(crate) fn in_turn(clients: Vec<Client>, at_once: usize) -> Self {
        let mut shares: Vec<Vec<Client>> = (0..at_once).map(|_| Vec::new()).collect();
        for (at, client) in clients.into_iter().enumerate() {
            shares[at % at_once].push(client);
        }
        Self::of(shares.into_iter(), Pace::Closed)
    }

    fn of(tasks: impl Iterator<Item = Vec<Client>>, pace: Pace) -> Self {
        let shared = Arc::new(Shared {
            phase: AtomicU8::new(0),
            // With bounds, since a value beyond them is recorded as the bound.
            times: Mutex::new(Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds in order")),
            due: AtomicU64::new(0),
            begin: Instant::now(),
        });
        let tasks =
            tasks.map(|clients| tokio::spawn(work(clients, pace, Arc::clone(&shared)))).collect();
        Self { shared, tasks }
    }

    pub(crate) fn measure(&self) {
        self.shared.phase.store(1, Relaxed);
    }

    /// Measured requests so far.
    pub(crate) fn count(&self) -> u64 {
        self.shared.times.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len()
    }

    /// The first error so far, if there is one.
    pub(crate) async fn check(&mut self) -> io::Result<()> {
        while let Some(at) = self.tasks.iter().position(JoinHandle::is_finished) {
            self.tasks.swap_remove(at).await.map_err(io::Error::other)??;
        }
        Ok(())
    }

    /// What the measured requests took, in nanoseconds.
    pub(crate) async fn stop(self) -> io::Result<Histogram<u64>> {
        self.shared.phase.store(2, Relaxed);
        for task in self.tasks {
            task.await.map_err(io::Error::other)??;
        }
        let times = self.shared.times.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(times.clone())
    }
}

async fn work(mut clients: Vec<Client>, pace: Pace, shared: Arc<Shared>) -> io::Result<()> {
    let mut next = 0;
    loop {
        let begin = match pace {
            Pace::Open(rate) => next_due(rate, &shared).await,
            _ => Instant::now(),
        };
        let phase = shared.phase.load(Relaxed);
        if phase == 2 {
            return Ok(());
        }
        next = (next + 1) % clients.len();
        clients[next].ask().await?;
        if phase == 1 {
            let nanos = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let mut times = shared.times.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            times.saturating_record(nanos);
        }
    }
}

/// When the next request begins: now, if it is in time; when it was due, if everybody was busy.
async fn next_due(rate: u32, shared: &Shared) -> Instant {
    let number = shared.due.fetch_add(1, Relaxed);
    let each_tick = u64::from(rate) / 1_000;
    let ticks = u32::try_from(number / each_tick.max(1)).unwrap_or(u32::MAX);
    let due = shared.begin + TICK * ticks;
    if due <= Instant::now() {
        return due;
    }
    sleep_until(due).await;
    Instant::now()
}

/// So many clients; over HTTP/2, eight to a connection.
pub(crate) async fn clients(
    door: Door,
    address: SocketAddr,
    ask: Ask,
    number: usize,
) -> io::Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(number);
    while clients.len() < number {
        let client = Client::connect(door, address, ask).await?;
        while clients.len() % 8 < 7 && clients.len() + 1 < number {
            let Some(another) = client.another() else { break };
            clients.push(another);
        }
        clients.push(client);
    }
    Ok(clients)
}
