//! The policies against each other over real sockets: `cargo xtask policies`.
//!
//! Four servers that work at two requests at a time, whose service takes 1, 1, 1 and 4 ms on average
//! (exponential), and every 400 ms one that stalls for 40: a pool of the simulation's too. The load
//! is open: requests are sent when they are due, at 60 % of what the servers can do, and a request's
//! time begins then, whether or not the one before has been answered. All policies are given the
//! same requests, which bring the work that they are with them, and the same stalls; rounds are
//! interleaved, and what all rounds took counts together. A round whose requests were sent late is no
//! measurement, and is done again.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]
#![expect(clippy::print_stdout, reason = "the table is for people")]

mod support;

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rondel_proxy::policy::Algorithm;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Server, TestProxy, Wire};
use tokio::sync::{mpsc as async_mpsc, oneshot};

const SLOWNESS: [f64; 4] = [1.0, 1.0, 1.0, 4.0];
/// Requests that a server works at together.
const HANDS: usize = 2;
const UNIT: Duration = Duration::from_millis(1);
#[expect(clippy::cast_precision_loss, reason = "two")]
const PACE: f64 = LOAD * HANDS as f64;
const LOAD: f64 = 0.6;
/// No longer, since under `rr` the queue of the slow server grows all the while, and each request in
/// it holds four descriptors of this process.
const ROUND: Duration = Duration::from_secs(4);
const ROUNDS: u64 = 10;
/// In ms: with a p99 above it, requests were not sent when they were due.
const LATEST: f64 = 1.0;
const WARM_UP: Duration = Duration::from_millis(500);
const STALL_EVERY: Duration = Duration::from_millis(400);
const STALL: Duration = Duration::from_millis(40);

const ALL: [(&str, Algorithm); 5] = [
    ("rr", Algorithm::Rr),
    ("sigma", Algorithm::Sigma),
    ("least-conn", Algorithm::LeastConn),
    ("p2c", Algorithm::P2c),
    ("peak-ewma", Algorithm::PeakEwma),
];

/// Some work, and who waits for its end.
type Job = (Duration, Option<oneshot::Sender<()>>);

/// What a server does its work with: threads, since the timers of a runtime are too coarse. They
/// take what comes in its order.
fn hands() -> mpsc::Sender<Job> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..HANDS {
        let jobs = Arc::clone(&jobs);
        thread::spawn(move || {
            loop {
                let job = jobs.lock().unwrap().recv();
                let Ok((work, done)) = job else { return };
                thread::sleep(work);
                // Nobody waits for a stall, and a client may have left.
                done.map(|done| done.send(()));
            }
        });
    }
    sender
}

async fn serve(mut wire: Wire, hands: mpsc::Sender<Job>, slowness: f64) {
    while let Some(head) = wire.read_head().await {
        let work: f64 = head.field("x-work").unwrap().parse().unwrap();
        let (done, ended) = oneshot::channel();
        hands.send((UNIT.mul_f64(work * slowness), Some(done))).unwrap();
        ended.await.unwrap();
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    }
}

fn exponential(random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}

/// Says when requests are due, with the work that they are; gives how late it was with each.
fn arrivals(
    seed: u64,
    servers: &[mpsc::Sender<Job>],
    tell: &async_mpsc::UnboundedSender<(Instant, f64)>,
) -> Vec<Duration> {
    let mut random = fastrand::Rng::with_seed(seed);
    let capacity: f64 = SLOWNESS.iter().map(|slowness| 1.0 / slowness).sum();
    let pause = UNIT.div_f64(PACE * capacity);
    let begin = Instant::now();
    let (mut due, mut stall) = (begin, begin + STALL_EVERY);
    let mut late = Vec::new();
    while due < begin + ROUND {
        due += pause.mul_f64(exponential(&mut random));
        if due > stall {
            stall += STALL_EVERY;
            let server = &servers[random.usize(..servers.len())];
            for _ in 0..HANDS {
                server.send((STALL, None)).unwrap();
            }
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        late.push(due.elapsed());
        tell.send((due, exponential(&mut random))).unwrap();
    }
    late
}

/// What requests took, and how late they were sent.
async fn round(algorithm: Algorithm, seed: u64) -> (Vec<Duration>, Vec<Duration>) {
    let workers: Vec<_> = SLOWNESS.iter().map(|_| hands()).collect();
    let mut servers = Vec::new();
    for (hands, slowness) in workers.iter().cloned().zip(SLOWNESS) {
        servers.push(Server::start(move |wire, _| serve(wire, hands.clone(), slowness)).await);
    }
    let lines = support::lines(&servers.iter().collect::<Vec<_>>());
    let proxy = TestProxy::start_with(lines, |settings| settings.algorithm = algorithm).await;

    let (tell, mut told) = async_mpsc::unbounded_channel();
    let arriving = thread::spawn(move || arrivals(seed, &workers, &tell));
    let idle: Arc<Mutex<Vec<Wire>>> = Arc::default();
    let took: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let begin = Instant::now();
    let mut asking = Vec::new();
    while let Some((due, work)) = told.recv().await {
        let (idle, took, address) = (Arc::clone(&idle), Arc::clone(&took), proxy.address);
        asking.push(tokio::spawn(async move {
            let kept = idle.lock().unwrap().pop();
            let mut client = match kept {
                Some(client) => client,
                None => Wire::connect(address).await,
            };
            client.write(format!("GET / HTTP/1.1\r\nHost: x\r\nX-Work: {work}\r\n\r\n")).await;
            assert_eq!(client.read_answer().await.status(), 200);
            if due > begin + WARM_UP {
                took.lock().unwrap().push(due.elapsed());
            }
            idle.lock().unwrap().push(client);
        }));
    }
    for asked in asking {
        asked.await.unwrap();
    }
    let took = std::mem::take(&mut *took.lock().unwrap());
    (took, arriving.join().unwrap())
}

/// p50, p99 and p99.9 in milliseconds.
fn percentiles(took: &mut [Duration]) -> [f64; 3] {
    took.sort();
    [500, 990, 999].map(|per_mille| took[took.len() * per_mille / 1_000].as_secs_f64() * 1e3)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes five minutes, and measures: `cargo xtask policies`"]
async fn measured_sigma_is_as_good_as_least_conn_and_far_below_rr() {
    let rounds = std::env::var("RONDEL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let mut took: Vec<Vec<Duration>> = vec![Vec::new(); ALL.len()];
    let (mut number, mut spoilt) = (0, 0);
    while number < rounds {
        let (mut p99, mut latest) = (Vec::new(), 0.0_f64);
        let mut of_round = Vec::new();
        for (_, algorithm) in ALL {
            let (mut more, mut late) = round(algorithm, number).await;
            p99.push(percentiles(&mut more)[1]);
            latest = latest.max(percentiles(&mut late)[1]);
            of_round.push(more);
        }
        let ratio = p99[1] / p99[2];
        println!("round {number}: requests {latest:.2} ms late, sigma / least-conn {ratio:.3}");
        // Somebody else had the machine: nothing is told by what took how long then.
        if latest > LATEST {
            spoilt += 1;
            assert!(spoilt < rounds, "this machine is too busy to measure");
            continue;
        }
        took.iter_mut().zip(of_round).for_each(|(took, more)| took.extend(more));
        number += 1;
    }
    let head = format!("{} requests each, ms", took[0].len());
    println!("\n{:16}{:>9}{:>9}{:>9}  {head}", "", "p50", "p99", "p99.9");
    let mut p99 = Vec::new();
    for ((name, _), took) in ALL.iter().zip(&mut took) {
        let figures = percentiles(took);
        println!("{name:16}{:9.2}{:9.2}{:9.2}", figures[0], figures[1], figures[2]);
        p99.push(figures[1]);
    }
    let (rr, sigma, least_conn) = (p99[0], p99[1], p99[2]);
    println!("sigma / least-conn {:.3}, sigma / rr {:.3}", sigma / least_conn, sigma / rr);
    println!("{spoilt} rounds were spoilt by late requests, and done again");
    assert!(sigma < 0.5 * rr);
    assert!(sigma < 1.05 * least_conn);
}
