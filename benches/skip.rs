//! Question: what does passing over unhealthy members do to their neighbours?
//!
//! Eight members, of which the third and the fourth are not healthy. Who takes "the next one that
//! will do" without a common position gives both their turns to the fifth, which then has three
//! times as many as before, and fails next.

use rondel_peers::{Mode, Report, SKIPPING, Skipped, by_contender, interleaved};

const THREADS: [u32; 3] = [1, 2, 4];
const ROUNDS: usize = 11;
const PICKS: u64 = 300_000;

fn main() {
    let mode = Mode::asked_for();
    if !mode.has_tables() {
        return;
    }
    let mut report =
        Report::begin("skip", "What does passing over two members do to the others' turns?");
    for threads in THREADS {
        report.line(&format!("\n8 members, 2 of them unhealthy, threads: {threads}"));
        let rounds = interleaved(mode.rounds(ROUNDS), SKIPPING.len(), |contender| {
            SKIPPING[contender].skip(threads as usize, mode.of(PICKS))
        });
        let samples = |figure: fn(&Skipped) -> f64| {
            by_contender(SKIPPING.iter().map(|contender| contender.name), &rounds, figure)
        };
        let axis = ("threads", f64::from(threads));
        report.compare(axis, "turns of the 5th", &samples(|round| round.turns[2]), &[]);
        report.line("");
        let most = |round: &Skipped| round.turns.iter().copied().fold(0.0, f64::max);
        for (contender, samples) in samples(most) {
            report.row(contender, axis, "most turns", &samples);
        }
        report.compare(axis, "ns per pick", &samples(|round| round.each), &[("of the ring's", 0)]);
    }
    report.end();
}
