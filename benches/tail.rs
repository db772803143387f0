//! Question: what is the tail of one pick, and does every thread get its share?
//!
//! Times every single pick, by `HdrHistogram`. The figures hold the clock's own cost, which the
//! first lines show: it makes the threads contend less than those of `next` do, whose picks follow
//! each other at once. With more threads than cores the maximum is the scheduler's.

use std::{fmt::Write as _, time::Duration};

use rondel_peers::{ALL, Mode, Report, Samples, Tail, interleaved, short};

const THREADS: [u32; 5] = [1, 2, 4, 8, 16];
const ROUNDS: usize = 5;
const TIME: u64 = 100;

/// What is shown of a round, and how.
type Figure = (&'static str, fn(&Tail) -> f64);

const FIGURES: [Figure; 6] = [
    ("p50 ns", |tail| at(tail, 0.5)),
    ("p99 ns", |tail| at(tail, 0.99)),
    ("p99.9 ns", |tail| at(tail, 0.999)),
    ("max ns", |tail| at(tail, 1.0)),
    ("least share", |tail| tail.shares[0]),
    ("greatest share", |tail| tail.shares[tail.shares.len() - 1]),
];

#[expect(clippy::cast_precision_loss, reason = "less than a minute")]
fn at(tail: &Tail, quantile: f64) -> f64 {
    tail.nanoseconds.value_at_quantile(quantile) as f64
}

fn main() {
    let mode = Mode::asked_for();
    if !mode.has_tables() {
        return;
    }
    let mut report =
        Report::begin("tail", "What does one pick take, and what share does each thread get?");
    report.line("nanoseconds, the clock's own cost included; 1 is a thread's due share");
    for threads in THREADS {
        let mut head = format!("\nthreads: {threads:<29}");
        for (name, _) in FIGURES {
            let _ = write!(head, "{name:>16}");
        }
        report.line(&head);
        let time = Duration::from_millis(mode.of(TIME));
        let rounds = interleaved(mode.rounds(ROUNDS), ALL.len(), |contender| {
            ALL[contender].tail(threads as usize, time)
        });
        for (contender, rounds) in ALL.iter().zip(rounds) {
            let mut line = format!("{:<38}", contender.name);
            for (name, figure) in FIGURES {
                let samples: Samples = rounds.iter().map(figure).collect();
                let _ = write!(line, "{:>16}", short(samples.median()));
                report.row(contender.name, ("threads", f64::from(threads)), name, &samples);
            }
            report.line(&line);
        }
    }
    report.end();
}
