//! The policies against each other in simulated time.
//!
//! A discrete-event simulation around the proxy's own roster, ring and policies: requests arrive at
//! random (Poisson), servers have a few workers and a queue each, and all policies get the same
//! arrivals and the same work. Times are in units of the mean service time of a good server. To see
//! the table, which is that of `docs/scheduling.md`:
//! `cargo test -p rondel-proxy --test simulation -- --nocapture --test-threads 1`

#![expect(clippy::print_stdout, reason = "the table is for people")]
#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rondel_proxy::{
    backend::InFlight, health::Outcome, policy::Algorithm, roster::Roster, servers,
};

/// Nanoseconds of simulated time in one mean service time: a service of a millisecond.
const UNIT: f64 = 1e6;
const REQUESTS: usize = 60_000;
const WARM_UP: usize = 5_000;
const STOP_EVERY: f64 = 400.0;
const STOP: f64 = 40.0;
const SEED: u64 = 0x726f_6e64_656c;

const ALL: [(&str, Algorithm); 5] = [
    ("rr", Algorithm::Rr),
    ("sigma", Algorithm::Sigma),
    ("least-conn", Algorithm::LeastConn),
    ("p2c", Algorithm::P2c),
    ("peak-ewma", Algorithm::PeakEwma),
];

/// A pool and the load on it.
struct Scenario {
    name: &'static str,
    /// How many times as long as a good server each one takes.
    slowness: &'static [f64],
    /// What each server works at together.
    workers: usize,
    /// Of what all servers together can do.
    load: f64,
    stalls: Stalls,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stalls {
    Never,
    /// Each server, by chance: 20 units of every 420 it takes ten times as long.
    Slow,
    /// Every 400 units one server does nothing for 40, as those of `policies.rs`.
    Stop,
}

/// In nanoseconds.
struct Percentiles {
    p50: u64,
    p99: u64,
    p999: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Done { server: usize, job: Job },
    Stop { server: usize },
    StallBegins { server: usize },
    StallEnds { server: usize },
}

/// What occupies a worker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Request(usize),
    Stop,
}

struct Server {
    busy: usize,
    queue: VecDeque<Job>,
    stalled: bool,
}

struct Simulation<'s> {
    scenario: &'s Scenario,
    random: fastrand::Rng,
    now: u64,
    clock: Arc<AtomicU64>,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    servers: Vec<Server>,
    roster: Roster,
    /// Of each request: how much work it is, when it came, and where it is.
    work: Vec<f64>,
    came: Vec<u64>,
    held: Vec<Option<InFlight>>,
    took: Vec<u64>,
}

impl<'s> Simulation<'s> {
    fn new(scenario: &'s Scenario, algorithm: Algorithm) -> Self {
        let names = (0..scenario.slowness.len()).map(|at| format!("http://s{at} name={at}"));
        let specs = servers::parse(&names.collect::<Vec<_>>().join("\n")).unwrap();
        let clock = Arc::new(AtomicU64::new(0));
        let roster = Roster::simulated(specs, algorithm, Arc::clone(&clock));
        // The policies' own dice.
        fastrand::seed(SEED);
        let server = |_: &f64| Server { busy: 0, queue: VecDeque::new(), stalled: false };
        Self {
            scenario,
            random: fastrand::Rng::with_seed(SEED),
            now: 0,
            clock,
            events: BinaryHeap::new(),
            servers: scenario.slowness.iter().map(server).collect(),
            roster,
            work: Vec::new(),
            came: Vec::new(),
            held: Vec::new(),
            took: vec![0; REQUESTS],
        }
    }

    fn run(mut self) -> Percentiles {
        // Whatever depends on the policy must not change what comes: all draws come first.
        let can_do: f64 = self.scenario.slowness.iter().map(|slow| 1.0 / slow).sum();
        let rate = self.scenario.load * can_do * workers(self.scenario);
        let mut arrivals = Vec::new();
        let mut time = 0.0;
        for _ in 0..REQUESTS {
            time += exponential(&mut self.random) / rate;
            arrivals.push(nanos(time));
            self.work.push(exponential(&mut self.random));
            self.held.push(None);
        }
        match self.scenario.stalls {
            Stalls::Never => {}
            Stalls::Slow => self.plan_slowness(time),
            Stalls::Stop => self.plan_stops(time),
        }
        for (request, at) in arrivals.into_iter().enumerate() {
            while self.events.peek().is_some_and(|Reverse((due, _))| *due <= at) {
                self.step();
            }
            self.set_time(at);
            self.came.push(at);
            self.arrive(request);
        }
        while !self.events.is_empty() {
            self.step();
        }
        percentiles(&mut self.took[WARM_UP..])
    }

    fn plan_stops(&mut self, end: f64) {
        let mut time = STOP_EVERY;
        while time < end {
            let server = self.random.usize(..self.servers.len());
            self.events.push(Reverse((nanos(time), Event::Stop { server })));
            time += STOP_EVERY;
        }
    }

    fn plan_slowness(&mut self, end: f64) {
        for server in 0..self.servers.len() {
            let mut time = 0.0;
            loop {
                time += 400.0 * exponential(&mut self.random);
                if time > end {
                    break;
                }
                self.events.push(Reverse((nanos(time), Event::StallBegins { server })));
                time += 20.0 * exponential(&mut self.random);
                self.events.push(Reverse((nanos(time), Event::StallEnds { server })));
            }
        }
    }

    fn step(&mut self) {
        let Some(Reverse((due, event))) = self.events.pop() else { return };
        self.set_time(due);
        match event {
            Event::StallBegins { server } => self.servers[server].stalled = true,
            Event::StallEnds { server } => self.servers[server].stalled = false,
            Event::Stop { server } => {
                (0..self.scenario.workers).for_each(|_| self.give(server, Job::Stop));
            }
            Event::Done { server, job } => {
                if let Job::Request(request) = job {
                    self.took[request] = self.now - self.came[request];
                    let held = self.held[request].take().unwrap();
                    self.roster.report(&held, Outcome::Good);
                }
                self.servers[server].busy -= 1;
                if let Some(next) = self.servers[server].queue.pop_front() {
                    self.begin(server, next);
                }
            }
        }
    }

    fn arrive(&mut self, request: usize) {
        let picked = self.roster.next().unwrap();
        let server: usize = picked.backend().id().parse().unwrap();
        self.held[request] = Some(picked);
        self.give(server, Job::Request(request));
    }

    fn give(&mut self, server: usize, job: Job) {
        if self.servers[server].busy < self.scenario.workers {
            self.begin(server, job);
        } else {
            self.servers[server].queue.push_back(job);
        }
    }

    fn begin(&mut self, server: usize, job: Job) {
        let stall = if self.servers[server].stalled { 10.0 } else { 1.0 };
        let takes = match job {
            Job::Request(request) => self.work[request] * self.scenario.slowness[server] * stall,
            Job::Stop => STOP,
        };
        self.servers[server].busy += 1;
        self.events.push(Reverse((self.now + nanos(takes), Event::Done { server, job })));
    }

    fn set_time(&mut self, now: u64) {
        self.now = now;
        self.clock.store(now, Ordering::Relaxed);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
fn workers(scenario: &Scenario) -> f64 {
    scenario.workers as f64
}

fn exponential(random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and small")]
fn nanos(units: f64) -> u64 {
    (units * UNIT) as u64
}

fn percentiles(took: &mut [u64]) -> Percentiles {
    took.sort_unstable();
    let at = |per_mille: usize| took[took.len() * per_mille / 1_000];
    Percentiles { p50: at(500), p99: at(990), p999: at(999) }
}

/// Runs every policy, shows the table, holds that of the docs against it, and gives the p99 of
/// `rr`, `sigma` and `least-conn`.
fn compare(scenario: &Scenario) -> [f64; 3] {
    let mut table = format!("\n{:58}{:>9}{:>9}{:>9}\n", scenario.name, "p50", "p99", "p99.9");
    let (mut p99, mut wrong) = (Vec::new(), Vec::new());
    let documented = documented(scenario.name);
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let units = |nanos: u64| nanos as f64 / UNIT;
    for ((name, algorithm), documented) in ALL.into_iter().zip(documented) {
        let Percentiles { p50, p99: p, p999 } = Simulation::new(scenario, algorithm).run();
        let figures = [units(p50), units(p), units(p999)];
        let [p50, p, p999] = figures;
        writeln!(table, "  {name:56}{p50:9.2}{p:9.2}{p999:9.2}").unwrap();
        if documented.iter().zip(figures).any(|(said, is)| (said - is).abs() > 0.02 * is) {
            wrong.push(format!("{name} is {figures:.2?}, and the docs say {documented:?}"));
        }
        p99.push(p);
    }
    print!("{table}");
    assert!(wrong.is_empty(), "{}: {}", scenario.name, wrong.join("; "));
    [p99[0], p99[1], p99[2]]
}

/// What `docs/scheduling.md` says of this pool: the three figures of each policy, in their order.
fn documented(pool: &str) -> Vec<[f64; 3]> {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scheduling.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let row = docs.lines().find_map(|line| line.strip_prefix(&format!("| {pool} | ")));
    let row = row.unwrap_or_else(|| panic!("the docs do not tell of `{pool}`"));
    let cells: Vec<_> = row.trim_end_matches(" |").split(" | ").collect();
    assert_eq!(cells.len(), ALL.len(), "{pool}");
    let figures = |cell: &str| {
        let figures: Vec<f64> = cell.split(" / ").map(|figure| figure.parse().unwrap()).collect();
        figures.try_into().unwrap()
    };
    cells.into_iter().map(figures).collect()
}

#[test]
fn equal_servers_sigma_is_as_good_as_least_conn_and_no_worse_than_rr() {
    let [rr, sigma, least_conn] = compare(&Scenario {
        name: "8 equal, load 0.7",
        slowness: &[1.0; 8],
        workers: 4,
        load: 0.7,
        stalls: Stalls::Never,
    });
    assert!(sigma <= 1.05 * least_conn && sigma <= rr, "{rr} {sigma} {least_conn}");
}

/// What must hold wherever servers differ or stall.
fn compare_unlike(scenario: &Scenario) {
    let [rr, sigma, least_conn] = compare(scenario);
    assert!(sigma <= 1.05 * least_conn && sigma < 0.5 * rr, "{rr} {sigma} {least_conn}");
}

#[test]
fn servers_that_differ_sigma_is_as_good_as_least_conn_and_far_below_rr() {
    compare_unlike(&Scenario {
        name: "6 fast, 2 at a third, load 0.6",
        slowness: &[1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 3.0],
        workers: 4,
        load: 0.6,
        stalls: Stalls::Never,
    });
}

#[test]
fn servers_that_stall_sigma_is_as_good_as_least_conn_and_far_below_rr() {
    compare_unlike(&Scenario {
        name: "8 equal, at times ten times as slow, load 0.5",
        slowness: &[1.0; 8],
        workers: 4,
        load: 0.5,
        stalls: Stalls::Slow,
    });
}

#[test]
fn two_servers_sigma_is_as_good_as_least_conn_and_far_below_rr() {
    compare_unlike(&Scenario {
        name: "2, one at half, load 0.6",
        slowness: &[1.0, 2.0],
        workers: 4,
        load: 0.6,
        stalls: Stalls::Never,
    });
}

#[test]
fn one_slow_server_of_four_that_work_at_one_request_each_changes_nothing() {
    compare_unlike(&Scenario {
        name: "1/1/1/4, one worker each, load 0.6",
        slowness: &[1.0, 1.0, 1.0, 4.0],
        workers: 1,
        load: 0.6,
        stalls: Stalls::Never,
    });
}

#[test]
fn the_servers_that_are_measured_too_sigma_is_as_good_as_least_conn_and_far_below_rr() {
    compare_unlike(&Scenario {
        name: "1/1/1/4, two workers each, which stop at times, load 0.6",
        slowness: &[1.0, 1.0, 1.0, 4.0],
        workers: 2,
        load: 0.6,
        stalls: Stalls::Stop,
    });
}

#[test]
fn a_seed_always_gives_the_same_result() {
    let slowness = &[1.0, 2.0];
    let scenario = Scenario { name: "", slowness, workers: 2, load: 0.5, stalls: Stalls::Slow };
    let run = || Simulation::new(&scenario, Algorithm::PeakEwma).run();
    assert_eq!((run().p50, run().p999), (run().p50, run().p999));
}
