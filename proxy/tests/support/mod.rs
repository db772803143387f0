//! Real servers, real clients and the proxy between them, over real sockets on free ports.

#![expect(dead_code, reason = "each test binary uses its own part of it")]
#![expect(unreachable_pub, reason = "shared by several test binaries")]
#![expect(clippy::unused_async, reason = "what starts something must be called in a runtime")]
#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

pub mod cases;
pub mod client;
pub mod http2;
pub mod naive;
pub mod oracle;
pub mod ports;
pub mod process;
pub mod recorder;
pub mod strict;
pub mod tls;

mod wire;

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rondel_proxy::{
    Proxy, Stop,
    admin::{self, AdminSettings},
    roster::Roster,
    servers,
    settings::{Limits, Settings},
};
use tokio::{net::TcpSocket, runtime::Handle, task::JoinHandle};

pub use self::wire::{Answer, Head, Wire};

/// No test waits for longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What `future` gives, or a failed test instead of one that hangs.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("took too long")
}

/// Waits until it is so.
pub async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A server that does with each connection what the test says.
pub struct Server {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<Head>>>,
    accepting: JoinHandle<()>,
    running: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Server {
    pub async fn start<F>(talk: impl Fn(Wire, Recorder) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_on(free_address().await, talk).await
    }

    pub async fn start_on<F>(
        address: SocketAddr,
        talk: impl Fn(Wire, Recorder) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let socket =
            if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(4096).unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let running = Arc::new(Mutex::new(Vec::new()));
        let accepting = tokio::spawn({
            let (heads, connections) = (Arc::clone(&heads), Arc::clone(&connections));
            let running = Arc::clone(&running);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::Relaxed);
                    let recorder = Recorder(Arc::clone(&heads));
                    let talk = tokio::spawn(talk(Wire::new(stream), recorder));
                    running.lock().unwrap().push(talk);
                }
            }
        });
        Self { address, connections, heads, accepting, running }
    }

    /// A server that answers every request with its name, and keeps connections.
    pub async fn named(name: &'static str) -> Self {
        Self::start(move |wire, recorder| answer_with(name, wire, recorder)).await
    }

    /// A server that answers with the body that it got.
    pub async fn echo() -> Self {
        Self::start(|mut wire, recorder| async move {
            while let Some(head) = wire.read_head().await {
                let Ok(body) = wire.read_body(&head).await else { return };
                recorder.record(head);
                wire.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()))
                    .await;
                wire.write(&body).await;
            }
        })
        .await
    }

    /// The line that names it in a servers file.
    pub fn line(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked so far.
    pub fn heads(&self) -> Vec<Head> {
        self.heads.lock().unwrap().clone()
    }

    pub fn hits(&self) -> usize {
        self.heads.lock().unwrap().len()
    }

    /// Dies at once: its listener and all of its connections go.
    pub async fn kill(&self) {
        self.accepting.abort();
        let running = std::mem::take(&mut *self.running.lock().unwrap());
        for talk in running {
            talk.abort();
            let _ = talk.await;
        }
        until(|| self.accepting.is_finished()).await;
    }
}

/// Where a server notes what it was asked.
#[derive(Clone)]
pub struct Recorder(Arc<Mutex<Vec<Head>>>);

impl Recorder {
    pub fn record(&self, head: Head) {
        self.0.lock().unwrap().push(head);
    }

    /// The same for what has no head of HTTP/1.
    pub fn note(&self, what: &str) {
        self.record(Head { start: what.to_owned(), fields: Vec::new() });
    }
}

pub async fn answer_with(name: &'static str, mut wire: Wire, recorder: Recorder) {
    while let Some(head) = wire.read_head().await {
        if wire.read_body(&head).await.is_err() {
            return;
        }
        recorder.record(head);
        wire.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()))
            .await;
    }
}

/// An address of the loopback that nobody listens on.
pub async fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, ports::free_port()).into()
}

/// The proxy in this process, with one worker unless the test wants more.
pub struct TestProxy {
    pub address: SocketAddr,
    pub roster: Arc<Roster>,
    pub stop: Stop,
    /// Where its admin listener is, if the test wants one.
    pub admin: Option<SocketAddr>,
    administering: Option<JoinHandle<io::Result<()>>>,
    serving: JoinHandle<io::Result<bool>>,
}

impl TestProxy {
    pub async fn start(servers: impl AsRef<str>) -> Self {
        Self::start_with(servers, |_| {}).await
    }

    pub async fn before(servers: &[&Server]) -> Self {
        Self::start(lines(servers)).await
    }

    pub async fn start_with(servers: impl AsRef<str>, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::for_servers(servers::parse(servers.as_ref()).unwrap());
        change(&mut settings);
        let listeners = rondel_proxy::bind(settings.listen, settings.workers.get()).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let stop = Stop::new();
        let admin_settings = settings.admin.clone();
        let proxy = Proxy::new(settings, &Handle::current()).unwrap();
        let roster = Arc::clone(proxy.roster());
        let (admin, administering) = match admin_settings {
            Some(settings) => {
                let listener = admin::bind(settings.listen).unwrap();
                let address = listener.local_addr().unwrap();
                let serving = admin::serve(listener, Arc::clone(&proxy), settings, stop.clone());
                (Some(address), Some(tokio::spawn(serving)))
            }
            None => (None, None),
        };
        let serving = tokio::spawn(rondel_proxy::serve(proxy, listeners, stop.clone()));
        Self { address, roster, stop, admin, administering, serving }
    }

    pub async fn connect(&self) -> Wire {
        Wire::connect(self.address).await
    }

    /// One request over a connection of its own.
    pub async fn get(&self, path: &str) -> Answer {
        self.connect().await.get(path).await
    }

    /// These bytes, over a connection of their own.
    pub async fn ask(&self, request: &str) -> Answer {
        let mut wire = self.connect().await;
        wire.write(request).await;
        wire.read_answer().await
    }

    /// Waits for the end that `stop` asked for; true: nothing was cut.
    pub async fn ended(mut self) -> bool {
        within(&mut self.serving).await.unwrap().unwrap()
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.stop.cut();
        if let Some(administering) = &self.administering {
            administering.abort();
        }
    }
}

/// An admin listener on a free port, which needs this token, if any.
pub fn admin(token: Option<&str>) -> AdminSettings {
    AdminSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        explicit: true,
        token: token.map(str::to_owned),
        hosts: Vec::new(),
    }
}

pub fn lines(servers: &[&Server]) -> String {
    servers.iter().map(|server| server.line() + "\n").collect()
}

/// Limits that a test need not wait for.
pub fn short_limits() -> Limits {
    Limits {
        response: Duration::from_millis(500),
        head: Duration::from_millis(500),
        ..Limits::default()
    }
}
