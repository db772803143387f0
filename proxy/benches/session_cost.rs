//! What do sessions cost a whole request, from end to end? `cargo xtask session-cost`
//!
//! CPU time per request of a known session, with the embedded store and with Redis, against
//! `--session off`; and how much longer the first request of a session takes that the proxy has to
//! look up.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![expect(clippy::print_stdout, reason = "figures for people")]

mod load;
#[path = "../tests/support/ports.rs"]
mod ports;
#[path = "../tests/support/redis.rs"]
#[expect(dead_code, reason = "tests use the rest of it")]
mod redis;

use std::{
    io::Write as _,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use load::{Contender, Load, ask, at, backend, cookie, middle, request};
use redis::RedisServer;
use tempfile::NamedTempFile;
use tokio::net::TcpStream;

const WINDOW: Duration = Duration::from_millis(300);
const ROUNDS: usize = 40;
const CONNECTIONS: [usize; 3] = [8, 64, 512];
const COLD: usize = 4_000;
/// What the contract allows.
const MOST: f64 = 1.03;

fn main() -> ExitCode {
    load::pin(std::process::id(), 0);
    let redis = RedisServer::start();
    let mut secret = NamedTempFile::new().unwrap();
    writeln!(secret, "the secret of these proxies").unwrap();
    let secret = secret.path().to_str().unwrap();
    let backend = backend();
    let start = |name, more: &[&str]| {
        Contender::start(name, backend, &[&["--admin", "off"], more].concat())
    };
    let shared = ["--session-secret-file", secret, "--redis", &redis.url()].map(str::to_owned);
    let shared: Vec<&str> = shared.iter().map(String::as_str).collect();
    let contenders = [
        start("off", &["--session", "off"]),
        start("embedded", &["--session-secret-file", secret]),
        start("redis", &shared),
    ];
    let runtime = load::runtime();
    let mut over = Vec::new();
    for connections in CONNECTIONS {
        over.extend(runtime.block_on(compare(&contenders, connections, &redis)));
    }
    let other = start("another over the same redis", &shared);
    runtime.block_on(cold(contenders[2].address, other.address));
    for (name, ratio) in &over {
        println!("{name} costs {ratio:.3} of `off`, and {MOST} is allowed");
    }
    if over.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints a line of the table. Gives those contenders that cost more than is allowed.
async fn compare(
    contenders: &[Contender; 3],
    connections: usize,
    redis: &RedisServer,
) -> Vec<(String, f64)> {
    // As long as a real one, which a proxy without sessions passes on as well.
    let otherwise =
        "Cookie: rondel_sid=v1.AAAAAAAAAAAAAAAAAAAAAA.127.0.0.1:12345.AAAAAAAAAAAAAAAAAAAAAA\r\n";
    let mut loads = Vec::new();
    for contender in contenders {
        let mut load = Load::new(contender.address, connections, otherwise).await;
        load.run(Duration::from_secs(1)).await;
        loads.push(load);
    }
    // What was written is read once behind the write, and then Redis has nothing to do.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let calls = || ["hgetall", "hset", "exists", "expireat"].map(|command| redis.calls(command));
    let before = calls();
    let mut costs: [Vec<f64>; 3] = Default::default();
    for round in 0..ROUNDS {
        let order: [usize; 3] = if round % 2 == 0 { [0, 1, 2] } else { [2, 1, 0] };
        for which in order {
            let start = contenders[which].cpu("");
            let window = loads[which].run(WINDOW).await;
            let spent = contenders[which].cpu("") - start;
            #[expect(clippy::cast_precision_loss, reason = "a ratio")]
            costs[which].push(spent as f64 / window.answers as f64 / 1e3);
        }
    }
    assert_eq!(calls(), before, "a known session costs no command");
    let [off, embedded, redis] = costs;
    let ratio = |with: &[f64]| {
        middle(with.iter().zip(&off).map(|(with, without)| with / without).collect())
    };
    let mut over = Vec::new();
    println!("{connections} connections, CPU time per request, median of {ROUNDS} rounds:");
    println!("  off       {:6.2} us", middle(off.clone()).0);
    for (name, costs) in [("embedded", &embedded), ("redis", &redis)] {
        let (median, low, high) = ratio(costs);
        let cost = middle(costs.clone()).0;
        println!("  {name:9} {cost:6.2} us, {median:.3} of off (quartiles {low:.3} to {high:.3})");
        if median > MOST {
            over.push((format!("{name} at {connections} connections"), median));
        }
    }
    over
}

/// Sessions that began at another proxy: the first request looks them up, the second does not.
async fn cold(proxy: SocketAddr, other: SocketAddr) {
    let mut stream = TcpStream::connect(other).await.unwrap();
    let mut requests = Vec::new();
    for _ in 0..COLD {
        let answer = ask(&mut stream, request("").as_bytes()).await;
        requests.push(request(&cookie(&answer).expect("a new session")));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for request in &requests {
        for times in [&mut first, &mut second] {
            let sent = Instant::now();
            let answer = ask(&mut stream, request.as_bytes()).await;
            times.push(sent.elapsed());
            assert_eq!(cookie(&answer), None, "the session is known");
        }
    }
    println!("{COLD} sessions that began at another proxy, one request after the other:");
    for (name, times) in [("looked up", &mut first), ("known", &mut second)] {
        times.sort();
        let [p50, p99] = [0.5, 0.99].map(|share| at(times, share).as_secs_f64() * 1e6);
        println!("  {name:9} p50 {p50:6.0} us, p99 {p99:6.0} us");
    }
    let added = |share| (at(&first, share).saturating_sub(at(&second, share))).as_secs_f64() * 1e6;
    println!("  a look-up adds {:.0} us at p50 and {:.0} us at p99", added(0.5), added(0.99));
}
