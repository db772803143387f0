//! Question: what does one pick cost, alone and with other threads, against the usual ways?
//!
//! First a table: the contenders take turns in rounds of one run, so that whatever else the machine
//! does hits them all; medians are compared with the ring's. Then criterion's own report on the
//! same rounds, one contender after the other, for its plots: `target/criterion/report/index.html`.
//! On a machine with fewer cores than threads only the ratios mean anything, if that.

use std::{
    env, fs,
    time::{Duration, Instant},
};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};

mod peers;

use crate::peers::{ALL, Contender, MEMBERS, ratio};

const THREADS: [usize; 3] = [1, 2, 4];
const ROUNDS: usize = 15;
const PICKS: u64 = 3_000_000;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    // Only `cargo bench` without a filter asks for all of it; `cargo test` just tries each once.
    let arguments: Vec<_> = env::args().skip(1).collect();
    if arguments == ["--bench"] {
        print_table();
    }
    for threads in THREADS {
        let mut group = criterion.benchmark_group(format!("next by {}", thread_count(threads)));
        for contender in &ALL {
            measure(&mut group, contender, threads);
        }
        group.finish();
    }
    criterion.final_summary();
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, contender: &Contender, threads: usize) {
    group.bench_function(BenchmarkId::from_parameter(contender.name), |bencher| {
        bencher.iter_custom(|picks| contender.round(threads, picks));
    });
}

/// Nanoseconds per pick of all contenders and numbers of threads.
#[expect(clippy::print_stdout, reason = "a bench is run to be read")]
fn print_table() {
    let begin = Instant::now();
    println!("machine: {}", machine());
    println!(
        "{MEMBERS} members, medians of {ROUNDS} interleaved rounds of {PICKS} picks, in ns per pick"
    );
    for threads in THREADS {
        println!(
            "\n{:<28}{:>8} {:>15} {:>12}",
            thread_count(threads),
            "median",
            "min..max",
            "of ring's"
        );
        let times = interleaved_rounds(threads);
        let ring = median(&times[0]);
        for (contender, times) in ALL.iter().zip(&times) {
            let (least, most) = (times[0], times[times.len() - 1]);
            let median = median(times);
            let range = format!("{least:.1}..{most:.1}");
            println!("{:<28}{median:>8.1} {range:>15} {:>11.2}x", contender.name, median / ring);
        }
    }
    println!("\n(the table took {:.0?})\n", begin.elapsed());
}

fn thread_count(threads: usize) -> String {
    if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}

/// The sorted times of each contender, in nanoseconds per pick.
fn interleaved_rounds(threads: usize) -> [Vec<f64>; ALL.len()] {
    let mut times = [const { Vec::new() }; ALL.len()];
    for round in 0..=ROUNDS {
        for place in 0..ALL.len() {
            // Nobody always comes after the same other.
            let contender = (place + round) % ALL.len();
            let time = ALL[contender].round(threads, PICKS);
            // The first round warms up.
            if round > 0 {
                times[contender].push(ratio(u64::try_from(time.as_nanos()).expect("short"), PICKS));
            }
        }
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    times
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown CPU", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores, {} {}", env::consts::ARCH, env::consts::OS)
}
