//! Crowds of clients that take their time: others go on as before, memory stays bounded, and
//! nothing of the crowd is left in the end.
//!
//! What a well-behaved client waits for is measured from the moment at which the crowd begins to
//! come. A measured time on a busy machine can be off, so each crowd has a few tries to do no harm;
//! memory and connections have none. `slowhttptest`, which has other ideas of the same, is run by
//! `cargo xtask hostile`.

#![expect(clippy::print_stdout, reason = "the figures are for people")]

mod support;

use std::{
    future::Future,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream as StdStream},
    pin::Pin,
    process::Stdio,
    time::{Duration, Instant},
};

use support::{Server, Wire, process::ProxyProcess, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::Mutex,
    task::JoinHandle,
    time::sleep,
};

const LIMITS: [&str; 8] = [
    "--head-timeout",
    "5s",
    "--idle-timeout",
    "5s",
    "--max-connections-per-address",
    "2600",
    "--workers",
    "1",
];
/// Most memory that a connection of a crowd may cost, in KiB: the buffer for a head, twice.
const HEAD: u64 = 64;
/// And one that is answered: itself, the one to its server, and what either has in hand.
const ANSWER: u64 = 2 * (64 + 16);
const TRIES: usize = 4;

/// One crowd at a time: they would be each other's noise.
static ALONE: Mutex<()> = Mutex::const_new(());

type Crowd = fn(SocketAddr) -> Pin<Box<dyn Future<Output = ()> + Send>>;

async fn connect(to: SocketAddr, from: [u8; 4]) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind((from, 0).into()).ok()?;
    // Who reads slowly has not much room either.
    socket.set_recv_buffer_size(4_096).ok()?;
    socket.connect(to).await.ok()
}

/// Says the begin, then a piece a second for as long as it is listened to.
fn crawl(
    to: SocketAddr,
    begin: &'static [u8],
    piece: &'static [u8],
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let Some(mut stream) = connect(to, [127, 0, 0, 9]).await else { return };
        if stream.write_all(begin).await.is_err() {
            return;
        }
        loop {
            sleep(Duration::from_secs(1)).await;
            if stream.write_all(piece).await.is_err() {
                return;
            }
        }
    })
}

/// A name, how many, how many of them come a second, what each may cost, and what it does.
const CROWDS: [(&str, usize, u32, u64, Crowd); 9] = [
    ("slow heads", 500, 500, HEAD, |to| crawl(to, b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n")),
    ("slow bodies", 500, 500, HEAD, |to| {
        crawl(to, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n", b"x")
    }),
    ("huge heads", 300, 300, HEAD, |to| {
        const BEGIN: &[u8] = &[b'x'; 31_000];
        crawl(to, BEGIN, b"x")
    }),
    ("idle connections", 2_500, 1_000, HEAD, |to| {
        Box::pin(async move {
            let stream = connect(to, [127, 0, 0, 9]).await;
            sleep(Duration::from_secs(30)).await;
            drop(stream);
        })
    }),
    ("slow readers", 500, 200, ANSWER, |to| read_slowly(to)),
    ("slow readers, all at once", 100, 10_000, ANSWER, |to| read_slowly(to)),
    // Above the limit of `LIMITS` for one address.
    ("more than an address may have", 3_000, 1_000, HEAD, |to| {
        Box::pin(async move {
            loop {
                let Some(mut stream) = connect(to, [127, 0, 0, 9]).await else { return };
                // Those that are closed at once come again.
                let _ = stream.write_all(b"GET / HTTP/1.1\r\n").await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
                sleep(Duration::from_secs(1)).await;
            }
        })
    }),
    ("1,000 connections a second that ask nothing", 50, 10_000, HEAD, |to| churn(to, b"")),
    ("1,000 connections a second with a request each", 50, 10_000, HEAD, |to| {
        churn(to, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    }),
];

/// Asks for much, and reads none of it.
fn read_slowly(to: SocketAddr) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let Some(mut stream) = connect(to, [127, 0, 0, 9]).await else { return };
        let asked = stream.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
        sleep(Duration::from_secs(30)).await;
        drop((stream, asked));
    })
}

/// Twenty connections a second, one after the other.
fn churn(to: SocketAddr, says: &'static [u8]) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let mut turns = tokio::time::interval(Duration::from_millis(50));
        loop {
            turns.tick().await;
            let Some(mut stream) = connect(to, [127, 0, 0, 9]).await else { continue };
            if !says.is_empty() && stream.write_all(says).await.is_ok() {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    })
}

/// Brings the members of a crowd, at this rate.
fn bring(count: usize, rate: u32, crowd: Crowd, to: SocketAddr) -> JoinHandle<Vec<JoinHandle<()>>> {
    tokio::spawn(async move {
        let began = Instant::now();
        let mut members = Vec::new();
        for number in 0..count {
            let due = Duration::from_secs(number as u64) / rate;
            sleep(due.saturating_sub(began.elapsed())).await;
            members.push(tokio::spawn(crowd(to)));
        }
        members
    })
}

/// What a well-behaved client waits for, over old connections and new: the middle and the 99th
/// percentile. It has a thread of its own, so that it waits for the proxy and not for the crowd.
async fn waits(proxy: SocketAddr) -> (Duration, Duration) {
    const REQUESTS: usize = 1_000;
    let asking = move || {
        let mut times = Vec::with_capacity(REQUESTS);
        let mut stream = None;
        let mut answer = [0; 4_096];
        for number in 0..REQUESTS {
            let began = Instant::now();
            if number % 10 == 0 {
                stream = None;
            }
            let stream =
                stream.get_or_insert_with(|| StdStream::connect(proxy).expect("a connection"));
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("it is taken");
            let count = stream.read(&mut answer).expect("an answer");
            assert!(
                answer[..count].starts_with(b"HTTP/1.1 200 ") && answer[..count].ends_with(b"x")
            );
            times.push(began.elapsed());
            std::thread::sleep(Duration::from_millis(3));
        }
        times.sort_unstable();
        (times[REQUESTS / 2], times[REQUESTS * 99 / 100])
    };
    tokio::task::spawn_blocking(asking).await.expect("a client that is served")
}

async fn server() -> Server {
    const LARGE: usize = 4 << 20;
    let answer = |length: usize| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; length]].concat()
    };
    let answers = std::sync::Arc::new([answer(10), answer(LARGE)]);
    Server::start(move |mut wire, _| {
        let answers = std::sync::Arc::clone(&answers);
        async move {
            while let Some(head) = wire.read_head().await {
                if wire.read_body(&head).await.is_err() {
                    return;
                }
                let answer = &answers[usize::from(head.start.contains("/large"))];
                if wire.stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

/// How many files it has open with everything opened that it needs once.
async fn files_at_rest(proxy: &ProxyProcess) -> usize {
    Wire::connect(proxy.address).await.get("/").await;
    let mut files = 0;
    while std::mem::replace(&mut files, proxy.files()) != files {
        sleep(Duration::from_secs(1)).await;
    }
    files
}

/// On two cores, one is the proxy's.
fn pin(proxy: &ProxyProcess) {
    let pid = |id: u32| id.to_string();
    for (core, pid) in
        [("1", pid(proxy.child.id().expect("it runs"))), ("0", pid(std::process::id()))]
    {
        let pinned = std::process::Command::new("taskset")
            .args(["--all-tasks", "--cpu-list", "--pid", core, &pid])
            .stdout(Stdio::null())
            .status();
        assert!(pinned.expect("util-linux").success(), "two cores are needed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, so it wants a quiet machine: `cargo xtask hostile`"]
async fn crowds_cost_others_nothing_and_leave_nothing_behind() {
    let _alone = ALONE.lock().await;
    let server = server().await;
    let mut proxy = ProxyProcess::start(&server.line(), &LIMITS).await;
    proxy.ignore();
    pin(&proxy);
    waits(proxy.address).await;
    until(|| proxy.files() < 100).await;
    let before = proxy.files();
    for (what, count, rate, each, crowd) in CROWDS {
        let memory = proxy.memory();
        let mut tries = Vec::new();
        let mut peak = memory;
        let mut seen = (Duration::ZERO, Duration::ZERO);
        for _ in 0..TRIES {
            let (_, normal) = waits(proxy.address).await;
            let members = bring(count, rate, crowd, proxy.address);
            let (middle, crowded) = waits(proxy.address).await;
            let members = members.await.expect("a crowd");
            peak = peak.max(proxy.memory());
            members.iter().for_each(JoinHandle::abort);
            // Below a millisecond, the machine's own doings are measured.
            let ratio = crowded.as_secs_f64() / normal.as_secs_f64().max(0.001);
            tries.push(ratio);
            seen = (middle, crowded);
            until(|| proxy.files() <= before).await;
            if ratio <= 2.0 {
                break;
            }
        }
        let grown = peak - memory;
        println!(
            "{what} ({count}, {rate}/s): p50 {:.2?}, p99 {:.2?}, x {tries:.2?}; {grown} KiB more at most",
            seen.0, seen.1
        );
        assert!(tries.last().is_some_and(|ratio| *ratio <= 2.0), "{what}: {tries:?}");
        assert!(grown <= each * count as u64 + 4_096, "{what}: {grown} KiB");
    }
}

/// What remains is closed by the proxy's own limits, with the crowd still there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, so it wants a quiet machine: `cargo xtask hostile`"]
async fn the_limits_end_a_crowd_that_does_not_go_by_itself() {
    let _alone = ALONE.lock().await;
    let server = server().await;
    let mut proxy = ProxyProcess::start(&server.line(), &LIMITS).await;
    proxy.ignore();
    let before = files_at_rest(&proxy).await;
    for (what, count, _, _, crowd) in &CROWDS[..5] {
        let members: Vec<_> =
            (0..*count.min(&100)).map(|_| tokio::spawn(crowd(proxy.address))).collect();
        until(|| proxy.files() > before + 50).await;
        let began = Instant::now();
        until(|| proxy.files() <= before + 2).await;
        println!("{what}: over after {:?}", began.elapsed());
        members.iter().for_each(JoinHandle::abort);
    }
}

#[tokio::test]
#[ignore = "takes two minutes, and needs slowhttptest: `cargo xtask hostile`"]
async fn slowhttptest_finds_the_service_available_in_each_of_its_modes() {
    let _alone = ALONE.lock().await;
    let server = server().await;
    let mut proxy = ProxyProcess::start(&server.line(), &["--workers", "1"]).await;
    proxy.ignore();
    let before = files_at_rest(&proxy).await;
    let url = format!("http://{}/large", proxy.address);
    for (mode, flags) in [
        ("slow headers", "-H -i 2 -x 24"),
        ("slow bodies", "-B -i 2 -s 8192 -x 10"),
        ("ranges", "-R -a 10 -b 3000"),
        ("slow reading", "-X -w 512 -y 1024 -n 5 -z 32"),
    ] {
        let output = tokio::process::Command::new("slowhttptest")
            .args(flags.split(' '))
            .args(["-c", "1000", "-r", "200", "-l", "25", "-p", "3", "-u", &url])
            .stdin(Stdio::null())
            .output()
            .await
            .expect("it is installed by `cargo xtask hostile`");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = text.rsplit("service available:").next().unwrap_or("");
        println!("{mode}: service available: {}", last.lines().next().unwrap_or("?"));
        assert!(text.contains("service available:"), "{text}");
        assert!(!text.contains("service available:   NO"), "{mode}: {text}");
        until(|| proxy.files() <= before + 2).await;
    }
}
