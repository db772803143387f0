//! Crowds of clients that take their time: others go on as before, memory stays bounded, and
//! nothing of the crowd is left in the end.
//!
//! A measured time on a busy machine can be off, so each crowd has a few tries to do no harm; memory
//! and connections have none. `slowhttptest`, which has other ideas of the same, is run by `cargo
//! xtask hostile`.

#![expect(clippy::print_stdout, reason = "the figures are for people")]

mod support;

use std::{future::Future, net::SocketAddr, pin::Pin, process::Stdio, time::Duration};

use support::{ProxyProcess, Server, Wire, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::Mutex,
    time::{Instant, sleep},
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
const EACH: u64 = 64;
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

const CROWDS: [(&str, usize, Crowd); 6] = [
    ("slow heads", 500, |to| crawl(to, b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n")),
    ("slow bodies", 500, |to| {
        crawl(to, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n", b"x")
    }),
    ("huge heads", 300, |to| {
        const HEAD: &[u8] = &[b'x'; 31_000];
        crawl(to, HEAD, b"x")
    }),
    ("idle connections", 2_500, |to| {
        Box::pin(async move {
            let stream = connect(to, [127, 0, 0, 9]).await;
            sleep(Duration::from_secs(30)).await;
            drop(stream);
        })
    }),
    ("slow readers", 100, |to| {
        Box::pin(async move {
            let Some(mut stream) = connect(to, [127, 0, 0, 9]).await else { return };
            let asked = stream.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
            sleep(Duration::from_secs(30)).await;
            drop((stream, asked));
        })
    }),
    ("more than an address may have", 3_000, |to| {
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
];

/// The 99th percentile of what a well-behaved client waits for, over old connections and new.
async fn p99(proxy: SocketAddr) -> Duration {
    let mut times = Vec::new();
    let mut wire = Wire::connect(proxy).await;
    for number in 0..400 {
        let began = Instant::now();
        if number % 10 == 0 {
            wire = Wire::connect(proxy).await;
        }
        assert_eq!(wire.get("/").await.status(), 200);
        times.push(began.elapsed());
        sleep(Duration::from_millis(2)).await;
    }
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Waits until what a crowd asks for at first has been done: until the proxy rests for most of a
/// fifth of a second.
async fn settled(proxy: &ProxyProcess) {
    sleep(Duration::from_millis(500)).await;
    let mut busy = Duration::MAX;
    while busy > Duration::from_millis(60) {
        let before = cpu(proxy);
        sleep(Duration::from_millis(200)).await;
        busy = cpu(proxy).saturating_sub(before);
    }
}

/// How long it has had a core.
fn cpu(proxy: &ProxyProcess) -> Duration {
    let tasks = format!("/proc/{}/task", proxy.child.id().expect("it runs"));
    let tasks = std::fs::read_dir(tasks).expect("its threads").flatten();
    let nanos = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

async fn server() -> Server {
    Server::start(|mut wire, _| async move {
        const LARGE: usize = 4 << 20;
        while let Some(head) = wire.read_head().await {
            if wire.read_body(&head).await.is_err() {
                return;
            }
            let large = head.start.contains("/large");
            let body = vec![b'x'; if large { LARGE } else { 10 }];
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let answer = [head.into_bytes(), body].concat();
            if wire.stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, so it wants a quiet machine: `cargo xtask hostile`"]
async fn crowds_of_slow_clients_cost_others_nothing_and_leave_nothing_behind() {
    let _alone = ALONE.lock().await;
    let server = server().await;
    let mut proxy = ProxyProcess::start(&server.line(), &LIMITS).await;
    proxy.ignore();
    p99(proxy.address).await;
    until(|| proxy.files() < 100).await;
    let before = proxy.files();
    for (what, count, crowd) in CROWDS {
        let memory = proxy.memory();
        let mut tries = Vec::new();
        let mut peak = memory;
        for _ in 0..TRIES {
            let normal = p99(proxy.address).await;
            let members: Vec<_> = (0..count).map(|_| tokio::spawn(crowd(proxy.address))).collect();
            settled(&proxy).await;
            let crowded = p99(proxy.address).await;
            peak = peak.max(proxy.memory());
            members.iter().for_each(tokio::task::JoinHandle::abort);
            // Below a millisecond, the machine's own doings are measured.
            let ratio = crowded.as_secs_f64() / normal.as_secs_f64().max(0.001);
            tries.push(ratio);
            if ratio <= 2.0 {
                break;
            }
            until(|| proxy.files() <= before).await;
        }
        let grown = peak - memory;
        println!("{what} x {count}: p99 x {tries:.2?}, {grown} KiB more at most");
        assert!(tries.last().is_some_and(|ratio| *ratio <= 2.0), "{what}: {tries:?}");
        assert!(grown <= EACH * count as u64 + 4_096, "{what}: {grown} KiB");
        until(|| proxy.files() <= before).await;
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
    let before = proxy.files();
    for (what, count, crowd) in &CROWDS[..5] {
        let members: Vec<_> =
            (0..*count.min(&100)).map(|_| tokio::spawn(crowd(proxy.address))).collect();
        until(|| proxy.files() > before + 50).await;
        let began = Instant::now();
        until(|| proxy.files() <= before + 2).await;
        println!("{what}: over after {:?}", began.elapsed());
        members.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test]
#[ignore = "takes two minutes, and needs slowhttptest: `cargo xtask hostile`"]
async fn slowhttptest_finds_the_service_available_in_each_of_its_modes() {
    let _alone = ALONE.lock().await;
    let server = server().await;
    let mut proxy = ProxyProcess::start(&server.line(), &["--workers", "1"]).await;
    proxy.ignore();
    let before = proxy.files();
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
