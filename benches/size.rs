//! Question: does a pick get slower as members are added?
//!
//! One thread, so that nothing but the number of members changes: a pick of the ring reads the
//! member that follows, which is in no cache any more once there are enough of them.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use rondel_peers::{ALL, Mode, Report, Samples, interleaved};

const MEMBERS: [u32; 5] = [1, 4, 64, 1024, 65_536];
const ROUNDS: usize = 21;
/// Fifteen laps of the longest.
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
    let mut report = Report::begin("size", "What does a pick cost, by members? (one thread)");
    for members in MEMBERS {
        report.line(&format!("\n1 thread, members: {members}"));
        let rounds = interleaved(mode.rounds(ROUNDS), ALL.len(), |contender| {
            ALL[contender].picks(members as usize, 1, mode.of(PICKS)).each
        });
        let samples: Vec<_> =
            ALL.iter().map(|c| c.name).zip(rounds.into_iter().map(Samples::new)).collect();
        let axis = ("members", f64::from(members));
        report.compare(axis, "ns per pick", &samples, &[("of the ring's", 0)]);
    }
    report.end();
}

fn plot() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    for members in MEMBERS {
        let mut group = criterion.benchmark_group(format!("next, members {members}"));
        for contender in &ALL {
            group.bench_function(BenchmarkId::from_parameter(contender.name), |bencher| {
                bencher.iter_custom(|picks| contender.picks(members as usize, 1, picks).time);
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
