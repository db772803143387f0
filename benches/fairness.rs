//! Question: how fair are the turns while members come and go?
//!
//! The greatest difference of turns between two members that are there all the time, when one more
//! comes and goes beside them. Who promises 1 and does not keep it fails the run.

use std::{fmt::Write as _, time::Duration};

use rondel_peers::{CHURNED, Churn, Mode, Report, Samples, interleaved, pickers, short};

const MEMBERS: usize = 8;
const RATES: [u32; 6] = [0, 10, 100, 1_000, 10_000, 100_000];
const ROUNDS: usize = 3;
const TIME: u64 = 500;

fn main() {
    let mode = Mode::asked_for();
    if !mode.has_tables() {
        return;
    }
    let threads = pickers();
    let mut report = Report::begin(
        "fairness",
        "How far apart are the turns of two members that stay, by updates a second?",
    );
    report.line(&format!(
        "{MEMBERS} members that stay and one that comes and goes; threads that pick: {threads}; \
         {} ms; medians of {} rounds",
        mode.of(TIME),
        mode.rounds(ROUNDS),
    ));
    let mut table: Vec<String> =
        CHURNED.iter().map(|contender| format!("{:<34}", contender.name)).collect();
    let mut head = format!("\n{:<34}", "updates a second:");
    for rate in RATES {
        let _ = write!(head, "{rate:>11}");
        let churn = Churn {
            members: MEMBERS,
            threads,
            updates: Some(u64::from(rate)),
            time: Duration::from_millis(mode.of(TIME)),
        };
        let rounds = interleaved(mode.rounds(ROUNDS), CHURNED.len(), |contender| {
            CHURNED[contender].churn(&churn)
        });
        for ((contender, rounds), line) in CHURNED.iter().zip(rounds).zip(&mut table) {
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 turns")]
            let samples: Samples = rounds.iter().map(|churned| churned.difference as f64).collect();
            let _ = write!(line, "{:>11}", short(samples.median()));
            let axis = ("updates/s", f64::from(rate));
            report.row(contender.name, axis, "turns apart", &samples);
        }
    }
    report.line(&head);
    for line in table {
        report.line(&line);
    }
    report.end();
}
