//! Real servers, real clients and the proxy between them, over real sockets on free ports.

#![expect(dead_code, reason = "each test binary uses its own part of it")]
#![expect(unreachable_pub, reason = "shared by several test binaries")]
#![expect(clippy::unused_async, reason = "what starts something must be called in a runtime")]
#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

pub mod cases;
pub mod client;
pub mod naive;
pub mod oracle;
pub mod recorder;
pub mod strict;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
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
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
        BufReader,
    },
    net::{TcpListener, TcpSocket, TcpStream},
    process::{Child, ChildStderr, Command},
    runtime::Handle,
    task::JoinHandle,
};

pub mod http2;
pub mod tls;

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

/// One end of a connection that speaks HTTP/1, byte by byte as the test wants it.
pub struct Wire<S = TcpStream> {
    pub stream: S,
    read: Vec<u8>,
}

/// The head of a request or a response, as it came.
#[derive(Clone, Debug)]
pub struct Head {
    pub start: String,
    pub fields: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Head {
    /// All values of a field, in their order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} comes several times: {values:?}");
        values.first().copied()
    }

    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The word of `Rondel-Error`.
    pub fn error(&self) -> &str {
        self.head.field("rondel-error").unwrap_or("")
    }
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::new(within(TcpStream::connect(address)).await.unwrap())
    }

    /// The same from this address, which is one of the loopback's.
    pub async fn connect_from(from: [u8; 4], to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        Self::new(within(socket.connect(to)).await.unwrap())
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// These bytes, unless the other side has ended the connection.
    pub async fn write_some(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// More bytes; false at the end of the stream.
    async fn fill(&mut self) -> io::Result<bool> {
        Ok(within(self.stream.read_buf(&mut self.read)).await? > 0)
    }

    /// Everything up to the end of the connection; a reset is an end as well.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill().await.unwrap_or(false) {}
        std::mem::take(&mut self.read)
    }

    pub async fn read_exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < count {
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.read.split_off(count);
        Ok(std::mem::replace(&mut self.read, rest))
    }

    async fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.read_exact(end + 2).await?;
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next head, or none if the connection ends before one.
    pub async fn read_head(&mut self) -> Option<Head> {
        let start = self.read_line().await.ok()?;
        self.read_fields_of(start).await
    }

    /// The trailers, whose last chunk has been read; without a start line.
    pub async fn read_fields(&mut self) -> Option<Head> {
        self.read_fields_of(String::new()).await
    }

    async fn read_fields_of(&mut self, start: String) -> Option<Head> {
        let mut fields = Vec::new();
        loop {
            let line = self.read_line().await.ok()?;
            if line.is_empty() {
                return Some(Head { start, fields });
            }
            let (name, value) = line.split_once(':').unwrap();
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The body that belongs to this head; an error if it breaks off.
    pub async fn read_body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.field("transfer-encoding") == Some("chunked") {
            let mut body = Vec::new();
            loop {
                let chunk = self.read_chunk().await?;
                if chunk.is_empty() {
                    return Ok(body);
                }
                body.extend(chunk);
            }
        }
        match head.field("content-length") {
            Some(length) => self.read_exact(length.parse().unwrap()).await,
            None if head.start.starts_with("HTTP/") => Ok(self.read_to_end().await),
            None => Ok(Vec::new()),
        }
    }

    /// One chunk; empty: the last one.
    pub async fn read_chunk(&mut self) -> io::Result<Vec<u8>> {
        let size = usize::from_str_radix(&self.read_line().await?, 16).unwrap();
        let chunk = self.read_exact(size).await?;
        assert_eq!(self.read_line().await?, "");
        Ok(chunk)
    }

    /// One chunk; empty: the last one, and the trailers are still to come.
    pub async fn read_chunk_or_end(&mut self) -> io::Result<Vec<u8>> {
        let size = usize::from_str_radix(&self.read_line().await?, 16).unwrap();
        if size == 0 {
            return Ok(Vec::new());
        }
        let chunk = self.read_exact(size).await?;
        assert_eq!(self.read_line().await?, "");
        Ok(chunk)
    }

    /// The whole answer to a request that was sent before.
    pub async fn read_answer(&mut self) -> Answer {
        let head = self.read_head().await.expect("no answer");
        let body = match head.status() {
            204 | 304 => Vec::new(),
            _ => self.read_body(&head).await.expect("the answer breaks off"),
        };
        Answer { head, body }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.write(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        self.read_answer().await
    }

    /// Whether the other side has ended the connection, in whatever way.
    pub async fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !self.fill().await.unwrap_or(false)
    }
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
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
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

/// The proxy as a process of its own.
pub struct ProxyProcess {
    pub child: Child,
    pub address: SocketAddr,
    /// Where its admin listener is, if it has one.
    pub admin: Option<SocketAddr>,
    /// What it said until it listened.
    pub before: Vec<String>,
    stderr: Option<BufReader<ChildStderr>>,
    folder: tempfile::TempDir,
}

impl ProxyProcess {
    pub async fn start(servers: &str, flags: &[&str]) -> Self {
        Self::start_on(0, servers, flags, &[]).await
    }

    pub async fn start_on(
        port: u16,
        servers: &str,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("servers.txt");
        std::fs::write(&file, servers).unwrap();
        let mut child = Command::new(binary())
            .envs(environment.iter().copied())
            .args(["-p", &port.to_string(), "--bind", "127.0.0.1", "-f"])
            .arg(&file)
            .args(if flags.contains(&"--health") { &[][..] } else { &["--health", "off"] })
            .args(flags)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut before = Vec::new();
        let (address, admin) = loop {
            let mut line = String::new();
            assert!(within(stderr.read_line(&mut line)).await.unwrap() > 0, "it ended at once");
            let event: serde_json::Value = serde_json::from_str(&line).expect("one event a line");
            if event["message"] == "listening" {
                let at = |name: &str| event[name].as_str().unwrap().parse();
                break (at("address").unwrap(), at("admin").ok());
            }
            before.push(line);
        };
        Self { child, address, admin, before, stderr: Some(stderr), folder }
    }

    /// Its servers file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("servers.txt")
    }

    /// What it says next on stderr that has this in it.
    pub async fn says(&mut self, what: &str) -> String {
        let stderr = self.stderr.as_mut().unwrap();
        loop {
            let mut line = String::new();
            let read = within(stderr.read_line(&mut line)).await.unwrap();
            assert!(read > 0, "it ended without a word of `{what}`");
            if line.contains(what) {
                return line;
            }
        }
    }

    /// Keeps all that it says from now on, and gives it once it has ended.
    pub fn keep(&mut self) -> JoinHandle<Vec<u8>> {
        let (mut stderr, mut kept) = (self.stderr.take().unwrap(), Vec::new());
        tokio::spawn(async move {
            stderr.read_to_end(&mut kept).await.unwrap();
            kept
        })
    }

    /// Lets it say what it likes from now on, and does not listen.
    pub fn ignore(&mut self) {
        let mut stderr = self.stderr.take().unwrap();
        tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
    }

    /// A word to its admin listener.
    pub async fn administer(&self, method: &str, path: &str, body: &str) -> Answer {
        let at = self.admin.expect("an admin listener");
        let mut wire = Wire::connect(at).await;
        let length = body.len();
        wire.write(format!(
            "{method} {path} HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
        .await;
        wire.read_answer().await
    }

    /// The value of a sample, its labels as they are written.
    pub async fn metric(&self, sample: &str) -> u64 {
        let page = self.administer("GET", "/metrics", "").await;
        let line = page.text().lines().find_map(|line| line.strip_prefix(&format!("{sample} ")));
        line.unwrap_or_else(|| panic!("no {sample}")).parse().unwrap()
    }

    /// How many files it has open.
    pub fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id().unwrap())).unwrap().count()
    }

    /// How much memory it has, in KiB.
    pub fn memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Its exit code, once it has ended.
    pub async fn ended(&mut self) -> i32 {
        within(self.child.wait()).await.unwrap().code().expect("a signal killed it")
    }
}

pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_rondel-proxy"))
}
