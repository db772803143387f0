//! Rounds of picks while members come and go.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread::{self, available_parallelism},
    time::{Duration, Instant},
};

use crate::{
    picks::{BATCH, Start, difference, sum, together},
    rotation::Members,
    sample::ratio,
};

/// Where "as many updates as possible" is drawn on the axis of updates per second.
pub const UNBOUNDED: f64 = 1e7;

/// Threads that pick beside the one that updates: one for each further core.
#[must_use]
pub fn pickers() -> usize {
    available_parallelism().map_or(1, usize::from).saturating_sub(1).clamp(1, 8)
}

/// What is to go on in a round.
#[derive(Clone, Copy, Debug)]
pub struct Churn {
    /// Members that stay for the whole round; one more comes and goes.
    pub members: usize,
    /// Threads that pick; one more updates.
    pub threads: usize,
    /// Updates per second, each of them one member more or one less; as many as possible if `None`.
    pub updates: Option<u64>,
    /// How long it goes on.
    pub time: Duration,
}

/// What a round came to.
#[derive(Clone, Copy, Debug)]
pub struct Churned {
    /// Picks per second, of all threads together.
    pub picks: f64,
    /// Updates per second.
    pub updates: f64,
    /// The greatest difference of turns between two members that stayed.
    pub difference: u64,
}

pub(crate) fn round<R: Members>(churn: &Churn) -> Churned {
    let rotation = R::with_members(churn.members);
    let start = Start::of(churn.threads + 1);
    let ended = AtomicBool::new(false);
    let (updates, turns, time) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let begin = start.wait();
            let updates = update(&rotation, churn, begin);
            let time = begin.elapsed();
            ended.store(true, Relaxed);
            (updates, time)
        });
        let turns = together(churn.threads, || {
            let mut local = rotation.local();
            // The one that comes and goes has the last place, and is not compared.
            let mut turns = vec![0_u64; churn.members + 1];
            start.wait();
            while !ended.load(Relaxed) {
                for _ in 0..BATCH {
                    turns[rotation.next(&mut local)] += 1;
                }
            }
            turns
        });
        let (updates, time) = writer.join().expect("no update panics");
        (updates, turns, time)
    });
    let turns = sum(&turns);
    let difference = difference(&turns[..churn.members]);
    assert!(difference <= 1 || !R::FAIR, "{}: turns {difference} apart", R::NAME);
    Churned {
        picks: ratio(turns.iter().sum(), 1) / time.as_secs_f64(),
        updates: ratio(updates, 1) / time.as_secs_f64(),
        difference,
    }
}

/// Adds and removes a member in turn until time is up; how often.
fn update<R: Members>(rotation: &R, churn: &Churn, begin: Instant) -> u64 {
    let end = begin + churn.time;
    let mut guest = None;
    let mut updates = 0;
    if churn.updates == Some(0) {
        wait_until(end);
        return updates;
    }
    let period =
        churn.updates.map(|updates| Duration::from_secs(1) / u32::try_from(updates).expect("few"));
    let mut due = begin;
    while Instant::now() < end {
        if let Some(period) = period {
            due += period;
            wait_until(due.min(end));
        }
        guest = match guest.take() {
            None => Some(rotation.push(churn.members)),
            Some(ticket) => {
                rotation.remove(ticket);
                None
            }
        };
        updates += 1;
    }
    updates
}

/// Sleeps for as long as it pays, and spins for the rest.
fn wait_until(due: Instant) {
    const SPUN: Duration = Duration::from_micros(200);
    if let Some(slept) = due.saturating_duration_since(Instant::now()).checked_sub(SPUN) {
        thread::sleep(slept);
    }
    while Instant::now() < due {
        std::hint::spin_loop();
    }
}
