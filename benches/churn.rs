//! Question: does a pick get slower while members come and go, and how many can?
//!
//! One thread updates, at a given rate or as fast as it can; the others, one for each further core,
//! pick. Both sides are reported: who makes readers wait shows in the first table, who makes the
//! writer wait in the second.

use std::time::Duration;

use rondel_peers::{
    CHURNED, Churn, Churned, Mode, Report, UNBOUNDED, by_contender, interleaved, pickers,
};

const MEMBERS: usize = 8;
/// Updates per second; the last is as many as possible.
const RATES: [Option<u64>; 4] = [Some(0), Some(1_000), Some(100_000), None];
const ROUNDS: usize = 9;
const TIME: u64 = 50;

fn main() {
    let mode = Mode::asked_for();
    if !mode.has_tables() {
        return;
    }
    let threads = pickers();
    let mut report =
        Report::begin("churn", "What do picks and updates cost each other? (millions a second)");
    for rate in RATES {
        let shown = rate.map_or_else(|| "as many as possible".to_owned(), |rate| rate.to_string());
        report.line(&format!(
            "\n{MEMBERS} members and one that comes and goes; threads that pick: {threads}; \
             updates a second: {shown}"
        ));
        let churn = Churn {
            members: MEMBERS,
            threads,
            updates: rate,
            time: Duration::from_millis(mode.of(TIME)),
        };
        let rounds = interleaved(mode.rounds(ROUNDS), CHURNED.len(), |contender| {
            CHURNED[contender].churn(&churn)
        });
        #[expect(clippy::cast_precision_loss, reason = "round numbers")]
        let axis = ("updates/s", rate.map_or(UNBOUNDED, |rate| rate as f64));
        let samples = |figure: fn(&Churned) -> f64| {
            by_contender(CHURNED.iter().map(|contender| contender.name), &rounds, figure)
        };
        let picks = samples(|churned| churned.picks / 1e6);
        let updates = samples(|churned| churned.updates / 1e6);
        report.compare(axis, "million picks/s", &picks, &[("of the ring's", 0)]);
        if rate.is_none() {
            report.line("");
            report.compare(axis, "million updates/s", &updates, &[("of the ring's", 0)]);
        } else {
            for (contender, updates) in updates {
                report.row(contender, axis, "million updates/s", &updates);
            }
        }
    }
    report.end();
}
