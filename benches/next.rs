//! Question: does a pick get slower as threads are added, and what does it cost beside the usual
//! ways?
//!
//! First tables: the contenders take turns in rounds of one run, so that whatever else the machine
//! does hits them all, and are compared within each round. Then criterion's own report on the same
//! rounds, one contender after the other, for its plots: `target/criterion/report/index.html`.
//! With more threads than cores only the ratios mean anything, if that.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use rondel_peers::{ALL, Mode, Report, Samples, interleaved};

const MEMBERS: usize = 8;
const THREADS: [u32; 5] = [1, 2, 4, 8, 16];
const ROUNDS: usize = 21;
const PICKS: u64 = 1_000_000;

fn main() {
    let mode = Mode::asked_for();
    if mode.has_tables() {
        print_tables(mode);
    }
    if mode.has_plots() {
        plot();
    }
}

fn print_tables(mode: Mode) {
    let mut report = Report::begin(
        "next",
        "What does a pick cost, by threads? (nanoseconds of all threads together)",
    );
    let references = [("of the ring's", 0), ("of the floor's", ALL.len() - 1)];
    for threads in THREADS {
        report.line(&format!("\n{MEMBERS} members, threads: {threads}"));
        let rounds = interleaved(mode.rounds(ROUNDS), ALL.len(), |contender| {
            ALL[contender].picks(MEMBERS, threads as usize, mode.of(PICKS)).each
        });
        let samples: Vec<_> =
            ALL.iter().map(|c| c.name).zip(rounds.into_iter().map(Samples::new)).collect();
        report.compare(("threads", f64::from(threads)), "ns per pick", &samples, &references);
    }
    report.end();
}

fn plot() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    for threads in THREADS {
        let mut group = criterion.benchmark_group(format!("next, threads {threads}"));
        for contender in &ALL {
            group.bench_function(BenchmarkId::from_parameter(contender.name), |bencher| {
                bencher.iter_custom(|picks| contender.picks(MEMBERS, threads as usize, picks).time);
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
