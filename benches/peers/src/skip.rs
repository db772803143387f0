//! Rounds of picks past members that are not healthy.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use crate::{
    picks::{Apart, BATCH, Start, span, sum, together},
    rotation::Skipping,
    sample::ratio,
};

/// What a round came to.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// Nanoseconds per pick, of all threads together.
    pub each: f64,
    /// The turns of each healthy member, in order, as multiples of their mean.
    pub turns: Vec<f64>,
}

const MEMBERS: usize = 8;

/// Two neighbours are not well: the third one shows who takes over their turns.
fn is_healthy(member: usize) -> bool {
    member != 2 && member != 3
}

pub(crate) fn round<R: Skipping>(threads: usize, picks: u64) -> Skipped {
    let rotation = Apart(R::with_members(MEMBERS));
    let rotation = &rotation.0;
    let start = Start::of(threads);
    let taken_on = Apart(AtomicU64::new(0));
    let finished = together(threads, || {
        let mut local = rotation.local();
        let mut turns = vec![0_u64; MEMBERS];
        let begin = start.wait();
        while taken_on.0.fetch_add(BATCH, Relaxed) < picks {
            for _ in 0..BATCH {
                turns[rotation.next_where(&mut local, is_healthy)] += 1;
            }
        }
        ((begin, Instant::now()), turns)
    });
    let (times, turns): (Vec<_>, Vec<_>) = finished.into_iter().unzip();
    let turns = sum(&turns);
    let all: u64 = turns.iter().sum();
    let healthy = (0..MEMBERS).filter(|&member| is_healthy(member)).count() as u64;
    let refused: u64 = (0..MEMBERS).filter(|&member| !is_healthy(member)).map(|m| turns[m]).sum();
    assert_eq!(refused, 0, "{}: picks of members that were refused", R::NAME);
    Skipped {
        each: span(&times).as_secs_f64() * 1e9 / ratio(all, 1),
        turns: (0..MEMBERS)
            .filter(|&member| is_healthy(member))
            .map(|member| ratio(turns[member] * healthy, all))
            .collect(),
    }
}
