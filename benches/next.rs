//! Question: does a pick get slower as threads are added, and what does it cost beside the usual
//! ways?
//!
//! With more threads than cores only the ratios mean anything, if that.

use rondel_peers::{ALL, Study};

fn main() {
    let study = Study {
        name: "next",
        question: "What does a pick cost, by threads? (nanoseconds of all threads together)",
        axis: "threads",
        places: &[1, 2, 4, 8, 16],
        at: |threads| (8, threads as usize),
        references: &[("of the ring's", 0), ("of the floor's", ALL.len() - 1)],
    };
    study.run();
}
