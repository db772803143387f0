//! Proxies as they are run, each a process of its own, and load on them; for figures that two
//! builds, or two flags, can be compared by.
//!
//! The load, its backend and all that watches run on core 0, the proxies on core 1. What is measured
//! is CPU time per request, and the contenders take turns every few hundred milliseconds: on a
//! machine that others use as well, that is what can be repeated.

#![expect(dead_code, reason = "each bench uses its own part of it")]
#![expect(unreachable_pub, reason = "shared by several benches")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    runtime::Runtime,
};

/// How an answer ends.
const BODY: &str = "a hundred bytes of what a server has to say, which is as much as it takes to tell the end from it";

/// What a browser sends, but for a cookie.
pub fn request(cookie: &str) -> String {
    format!(
        "GET /index.html HTTP/1.1\r\nHost: www.example.com\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         Accept-Language: de,en-US;q=0.7,en;q=0.3\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n{cookie}\r\n"
    )
}

/// Keeps this process to a core; threads that it starts later stay there too.
pub fn pin(process: u32, core: usize) {
    let pinned = Command::new("taskset")
        .args(["-cp", &core.to_string(), &process.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(pinned.is_ok_and(|status| status.success()), "taskset cannot pin to core {core}");
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A server that always says the same, on a thread of its own.
pub fn backend() -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        runtime().block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
            // For as many as the proxy may open at once.
            let listener = socket.listen(4096).unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream));
            }
        });
    });
    told.recv().unwrap()
}

async fn answer(mut stream: TcpStream) {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
    let mut read = Vec::with_capacity(4096);
    while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
        if read.ends_with(b"\r\n\r\n") {
            read.clear();
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// A proxy that runs on core 1.
pub struct Contender {
    pub name: &'static str,
    pub address: SocketAddr,
    pub admin: Option<SocketAddr>,
    child: Child,
    _servers: tempfile::NamedTempFile,
}

impl Contender {
    pub fn start(name: &'static str, backend: SocketAddr, flags: &[&str]) -> Self {
        let mut servers = tempfile::NamedTempFile::new().unwrap();
        writeln!(servers, "http://{backend}").unwrap();
        let mut child = Command::new("taskset")
            .args(["-c", "1", env!("CARGO_BIN_EXE_rondel-proxy")])
            .args(["-p", "0", "--bind", "127.0.0.1", "--workers", "1", "--health", "off", "-f"])
            .arg(servers.path())
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let (address, admin) = loop {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "{name} ended at once");
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            if event["message"] == "listening" {
                let at = |field: &str| event[field].as_str().unwrap().parse();
                break (at("address").unwrap(), at("admin").ok());
            }
        };
        thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { name, address, admin, child, _servers: servers }
    }

    /// CPU time of its threads whose name begins so, in nanoseconds.
    pub fn cpu(&self, threads: &str) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let of = |task: fs::DirEntry| {
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            let times = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let ran = times.split(' ').next().and_then(|text| text.parse::<u64>().ok());
            if name.starts_with(threads) { ran.unwrap_or(0) } else { 0 }
        };
        tasks.filter_map(Result::ok).map(of).sum()
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Clients that ask without a pause, each over a connection of its own.
pub struct Load {
    clients: Vec<(TcpStream, String)>,
}

/// What a window of load came to.
pub struct Window {
    pub answers: u64,
    /// Of each request; not sorted.
    pub times: Vec<Duration>,
}

impl Load {
    /// `first` is what a client sends first; what it sends from then on has the cookie that it got,
    /// or `otherwise`.
    pub async fn new(proxy: SocketAddr, clients: usize, otherwise: &str) -> Self {
        let mut connected = Vec::new();
        for _ in 0..clients {
            let mut stream = TcpStream::connect(proxy).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let answer = ask(&mut stream, request("").as_bytes()).await;
            connected.push((stream, request(&cookie(&answer).unwrap_or(otherwise.to_owned()))));
        }
        Self { clients: connected }
    }

    pub async fn run(&mut self, time: Duration) -> Window {
        let end = Instant::now() + time;
        let asking: Vec<_> = self
            .clients
            .drain(..)
            .map(|(mut stream, request)| {
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    let mut sent = Instant::now();
                    while sent < end {
                        ask(&mut stream, request.as_bytes()).await;
                        let now = Instant::now();
                        times.push(now - sent);
                        sent = now;
                    }
                    (stream, request, times)
                })
            })
            .collect();
        let mut window = Window { answers: 0, times: Vec::new() };
        for asked in asking {
            let (stream, request, times) = asked.await.unwrap();
            window.answers += times.len() as u64;
            window.times.extend(times);
            self.clients.push((stream, request));
        }
        window
    }
}

/// One request and its whole answer.
pub async fn ask(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::with_capacity(1024);
    while !answer.ends_with(BODY.as_bytes()) {
        let count = stream.read_buf(&mut answer).await.unwrap();
        assert!(count > 0, "the proxy hung up: {}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    answer
}

/// The line that brings back the cookie of an answer.
pub fn cookie(answer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(answer).unwrap();
    let set = text.lines().find_map(|line| line.strip_prefix("set-cookie: "))?;
    Some(format!("Cookie: {}\r\n", set.split(';').next().unwrap()))
}

/// A sorted list's value at this share of it.
pub fn at<T: Copy>(sorted: &[T], share: f64) -> T {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index"
    )]
    let index = (sorted.len() as f64 * share) as usize;
    sorted[index.min(sorted.len() - 1)]
}

/// The median, with the quartiles around it.
pub fn middle(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (at(&values, 0.5), at(&values, 0.25), at(&values, 0.75))
}
