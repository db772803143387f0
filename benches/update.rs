//! Question: what does it cost to add a member and to remove one, by the number of members, and
//! what does it cost those who pick meanwhile?
//!
//! A new member comes last; the one that goes may be anywhere, as those that fail are. The
//! further tables are about the largest of them: how a thread that picks fares while another one
//! updates.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use rondel_peers::{CHURNED, Churn, Mode, Report, UNBOUNDED, by_contender, interleaved};

/// Members, and how many updates make a round: those of the largest copy half a megabyte.
const SIZES: [(u32, u64); 5] =
    [(8, 20_000), (64, 20_000), (1024, 5_000), (8_192, 500), (65_536, 300)];
const ROUNDS: usize = 9;
const MOST: usize = 65_536;
const TIME: u64 = 50;

fn main() {
    let mode = Mode::asked_for();
    if mode.has_tables() {
        let mut report =
            Report::begin("update", "What does an update cost (one member more, one less)?");
        print_costs(mode, &mut report);
        print_readers(mode, &mut report);
        report.end();
    }
    if mode.has_plots() {
        plot();
    }
}

fn print_costs(mode: Mode, report: &mut Report) {
    for (members, updates) in SIZES {
        report.line(&format!("\nnobody picks, members: {members}"));
        let rounds = interleaved(mode.rounds(ROUNDS), CHURNED.len(), |contender| {
            let updates = mode.of(updates);
            let time = CHURNED[contender].update(members as usize, updates);
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            let each = time.as_secs_f64() * 1e9 / updates as f64;
            each
        });
        let names = CHURNED.iter().map(|contender| contender.name);
        let samples = by_contender(names, &rounds, |each| *each);
        let axis = ("members", f64::from(members));
        report.compare(axis, "ns per update", &samples, &[("of the ring's", 0)]);
    }
}

/// How many times slower a reader is while another thread updates: as often as all of them can,
/// and as fast as each of them can, which is hundreds of times as fast for some as for others.
fn print_readers(mode: Mode, report: &mut Report) {
    let time = Duration::from_millis(mode.of(TIME));
    let quiet = Churn { members: MOST, threads: 1, updates: Some(0), time };
    for rate in [Some(10_000), None] {
        let rounds = interleaved(mode.rounds(ROUNDS), CHURNED.len(), |contender| {
            let alone = CHURNED[contender].churn(&quiet);
            let beside = CHURNED[contender].churn(&Churn { updates: rate, ..quiet });
            (alone.picks / beside.picks, beside.updates)
        });
        let shown = rate.map_or("as many as possible".to_owned(), |rate| rate.to_string());
        report.line(&format!(
            "\none thread picks, one updates, members: {MOST}, updates a second: {shown}"
        ));
        #[expect(clippy::cast_precision_loss, reason = "10,000")]
        let axis = ("updates/s", rate.map_or(UNBOUNDED, |rate| rate as f64));
        let samples = |figure: fn(&(f64, f64)) -> f64| {
            by_contender(CHURNED.iter().map(|contender| contender.name), &rounds, figure)
        };
        report.compare(axis, "reader slower by", &samples(|(slower, _)| *slower), &[]);
        report.line("");
        report.compare(axis, "updates/s", &samples(|(_, updates)| *updates), &[]);
    }
}

fn plot() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    for (members, _) in SIZES {
        let mut group = criterion.benchmark_group(format!("update, members {members}"));
        for contender in &CHURNED {
            group.bench_function(BenchmarkId::from_parameter(contender.name), |bencher| {
                bencher.iter_custom(|updates| contender.update(members as usize, updates));
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
