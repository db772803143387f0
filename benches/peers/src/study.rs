//! A study of picks along one axis, all contenders at each place of it.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion};

use crate::{
    kinds::ALL,
    report::{Mode, Report},
    sample::{by_contender, interleaved},
};

const ROUNDS: usize = 21;
/// Fifteen laps of 65,536 members.
const PICKS: u64 = 1_000_000;

/// What a study varies, and what it compares with.
#[derive(Clone, Copy, Debug)]
pub struct Study {
    /// As the record calls it.
    pub name: &'static str,
    /// What it asks.
    pub question: &'static str,
    /// What is varied.
    pub axis: &'static str,
    /// Where it is looked at.
    pub places: &'static [u32],
    /// Members and threads at a place.
    pub at: fn(u32) -> (usize, usize),
    /// Names of ratios, and whom in [`ALL`] they compare with.
    pub references: &'static [(&'static str, usize)],
}

impl Study {
    /// First tables: the contenders take turns in rounds of one run, so that whatever else the
    /// machine does hits them all, and are compared within each round. Then criterion's own report
    /// on the same rounds, one contender after the other, for its plots:
    /// `target/criterion/report/index.html`.
    pub fn run(&self) {
        let mode = Mode::asked_for();
        if mode.has_tables() {
            self.print_tables(mode);
        }
        if mode.has_plots() {
            self.plot();
        }
    }

    fn print_tables(&self, mode: Mode) {
        let mut report = Report::begin(self.name, self.question);
        for &place in self.places {
            let (members, threads) = (self.at)(place);
            report.line(&format!("\nmembers: {members}, threads: {threads}"));
            let rounds = interleaved(mode.rounds(ROUNDS), ALL.len(), |contender| {
                ALL[contender].picks(members, threads, mode.of(PICKS))
            });
            let names = ALL.iter().map(|contender| contender.name);
            let samples = by_contender(names, &rounds, |picked| picked.each);
            let axis = (self.axis, f64::from(place));
            report.compare(axis, "ns per pick", &samples, self.references);
        }
        report.end();
    }

    fn plot(&self) {
        let mut criterion = Criterion::default()
            .sample_size(10)
            .warm_up_time(Duration::from_millis(100))
            .measurement_time(Duration::from_millis(500))
            .configure_from_args();
        for &place in self.places {
            let (members, threads) = (self.at)(place);
            let mut group = criterion.benchmark_group(format!("next, {} {place}", self.axis));
            for contender in &ALL {
                group.bench_function(BenchmarkId::from_parameter(contender.name), |bencher| {
                    bencher.iter_custom(|picks| contender.picks(members, threads, picks).time);
                });
            }
            group.finish();
        }
        criterion.final_summary();
    }
}
