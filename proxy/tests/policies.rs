//! The policies against each other over real sockets: `cargo xtask policies`.
//!
//! Four servers with a worker each, whose service takes 1, 1, 1 and 4 units of time on average
//! (exponential), and every 400 units one that stalls for 40. The load is open: requests are
//! sent when they are due, at 60 % of what the servers can do, and a request's time begins then,
//! whether or not the one before has been answered. Rounds are interleaved, and of each figure the
//! median round counts.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]
#![expect(clippy::print_stdout, reason = "the table is for people")]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use rondel_proxy::policy::Algorithm;
use support::{Recorder, Server, TestProxy, Wire};
use tokio::time::{Instant, sleep_until};

const SLOWNESS: [f64; 4] = [1.0, 1.0, 1.0, 4.0];
const LOAD: f64 = 0.6;
const ROUNDS: usize = 3;
// In units.
const ROUND: u32 = 1_200;
const WARM_UP: u32 = 100;
const STALL_EVERY: u32 = 400;
const STALL: u32 = 40;

const ALL: [(&str, Algorithm); 5] = [
    ("rr", Algorithm::Rr),
    ("sigma", Algorithm::Sigma),
    ("least-conn", Algorithm::LeastConn),
    ("p2c", Algorithm::P2c),
    ("peak-ewma", Algorithm::PeakEwma),
];

/// When a server is free again. Requests queue for it in the order in which they come.
type Free = Arc<Mutex<Instant>>;

/// The unit of time; with less than a few milliseconds, the timers of a busy machine are measured.
fn unit() -> Duration {
    let millis = std::env::var("RONDEL_UNIT_MS").map_or(10, |ms| ms.parse().unwrap());
    Duration::from_millis(millis)
}

fn exponential() -> f64 {
    -(1.0 - fastrand::f64()).ln()
}

/// The end of a work that begins as soon as the server is free.
fn book(free: &Free, work: Duration) -> Instant {
    let mut free = free.lock().unwrap();
    *free = (*free).max(Instant::now()) + work;
    *free
}

async fn serve(mut wire: Wire, _: Recorder, free: Free, slowness: f64) {
    while wire.read_head().await.is_some() {
        sleep_until(book(&free, unit().mul_f64(slowness * exponential()))).await;
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    }
}

/// What requests took, and how late they were sent; sorted.
async fn round(algorithm: Algorithm, seed: u64) -> (Vec<Duration>, Vec<Duration>) {
    let mut servers = Vec::new();
    let mut queues = Vec::new();
    for slowness in SLOWNESS {
        let free: Free = Arc::new(Mutex::new(Instant::now()));
        queues.push(Arc::clone(&free));
        servers.push(
            Server::start(move |wire, recorder| serve(wire, recorder, Arc::clone(&free), slowness))
                .await,
        );
    }
    let lines = support::lines(&servers.iter().collect::<Vec<_>>());
    let proxy = TestProxy::start_with(lines, |settings| settings.algorithm = algorithm).await;

    let mut random = fastrand::Rng::with_seed(seed);
    let pause = unit().div_f64(LOAD * SLOWNESS.iter().map(|slowness| 1.0 / slowness).sum::<f64>());
    let idle: Arc<Mutex<Vec<Wire>>> = Arc::default();
    let took: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let begin = Instant::now();
    let (mut due, mut stall) = (begin, begin + unit() * STALL_EVERY);
    let mut late = Vec::new();
    let mut asking = Vec::new();
    while due < begin + unit() * ROUND {
        due += pause.mul_f64(-(1.0 - random.f64()).ln());
        if due > stall {
            stall += unit() * STALL_EVERY;
            book(&queues[random.usize(..queues.len())], unit() * STALL);
        }
        sleep_until(due).await;
        late.push(due.elapsed());
        let (idle, took, address) = (Arc::clone(&idle), Arc::clone(&took), proxy.address);
        asking.push(tokio::spawn(async move {
            let kept = idle.lock().unwrap().pop();
            let mut client = match kept {
                Some(client) => client,
                None => Wire::connect(address).await,
            };
            assert_eq!(client.get("/").await.status(), 200);
            if due > begin + unit() * WARM_UP {
                took.lock().unwrap().push(due.elapsed());
            }
            idle.lock().unwrap().push(client);
        }));
    }
    for asked in asking {
        asked.await.unwrap();
    }
    let mut took = std::mem::take(&mut *took.lock().unwrap());
    took.sort();
    late.sort();
    (took, late)
}

/// p50, p99 and p99.9 in milliseconds.
fn percentiles(took: &[Duration]) -> [f64; 3] {
    [500, 990, 999].map(|per_mille| took[took.len() * per_mille / 1_000].as_secs_f64() * 1e3)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes four minutes, and measures: `cargo xtask policies`"]
async fn measured_sigma_is_as_good_as_least_conn_and_far_below_rr() {
    let mut rounds: Vec<Vec<[f64; 3]>> = vec![Vec::new(); ALL.len()];
    let mut latest: f64 = 0.0;
    for number in 0..ROUNDS {
        for (at, (_, algorithm)) in ALL.iter().enumerate() {
            let (took, late) = round(*algorithm, number as u64).await;
            rounds[at].push(percentiles(&took));
            latest = latest.max(percentiles(&late)[1]);
        }
    }
    println!("\n{:16}{:>9}{:>9}{:>9}  ms, medians of {ROUNDS}", "", "p50", "p99", "p99.9");
    let mut p99 = Vec::new();
    for ((name, _), rounds) in ALL.iter().zip(&rounds) {
        let figures =
            [0, 1, 2].map(|which| median(rounds.iter().map(|round| round[which]).collect()));
        println!("{name:16}{:9.1}{:9.1}{:9.1}", figures[0], figures[1], figures[2]);
        p99.push(figures[1]);
    }
    let (rr, sigma, least_conn) = (p99[0], p99[1], p99[2]);
    println!("sigma / least-conn {:.2}, sigma / rr {:.2}", sigma / least_conn, sigma / rr);
    println!("p99 of how late requests were sent, in the worst round: {latest:.1} ms");
    let busy = "this machine is too busy to measure: RONDEL_UNIT_MS makes the unit larger";
    assert!(latest < unit().as_secs_f64() * 1e3, "{busy}");
    assert!(sigma < 0.5 * rr);
    // A measurement on a shared machine is not repeated to within 5 %; the simulation is.
    assert!(sigma < 1.25 * least_conn);
}
