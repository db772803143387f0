//! What the tests share: seeds and counts here, the rest a file each.
//!
//! Every random test prints its seed, which a failing test shows. Environment variables:
//!
//! - `RONDEL_SEED=n` runs a random test again with the seed that it printed;
//! - `RONDEL_SOAK=n` makes everything that is repeated n times as long.

#![allow(dead_code, reason = "each test binary uses a part, and no two the same")]

use std::{
    env,
    hash::{BuildHasher, RandomState},
    hint,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

pub(crate) mod counted;
pub(crate) mod linear;
#[cfg(not(rondel_loom))]
pub(crate) mod meeting;
pub(crate) mod sequential;
#[cfg(not(rondel_loom))]
pub(crate) mod subject;

/// How often to repeat: `normal` times `RONDEL_SOAK`, or `miri` times under Miri, which is some
/// thousand times slower.
pub(crate) fn times(normal: usize, miri: usize) -> usize {
    if cfg!(miri) { miri } else { normal * from_env("RONDEL_SOAK").map_or(1, soak_factor) }
}

fn soak_factor(value: u64) -> usize {
    usize::try_from(value).expect("RONDEL_SOAK fits a usize").max(1)
}

fn from_env(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable}={value} is not a number")))
}

/// A new seed, or that of `RONDEL_SEED`. Printed: the test harness shows it if the test fails.
pub(crate) fn seed() -> u64 {
    let seed = from_env("RONDEL_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    #[expect(clippy::print_stderr, reason = "captured by the test harness, shown on failure")]
    {
        eprintln!("to run this again: RONDEL_SEED={seed}");
    }
    seed
}

/// Random numbers that depend on the seed alone (`SplitMix64`, G. L. Steele et al., 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another generator, for a thread of its own.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.number())
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in `range`, which is not empty.
    pub(crate) fn within(&mut self, range: Range<usize>) -> usize {
        let span = u64::try_from(range.len()).expect("a range fits");
        range.start + usize::try_from(self.number() % span).expect("less than the span")
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.within(0..n) == 0
    }

    pub(crate) fn choose<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.within(0..from.len())])
    }
}

/// Does nothing for so many steps, a few to a nanosecond. A call takes some ten nanoseconds; so
/// threads that idle for a random time now and then meet at its every step.
pub(crate) fn idle(steps: usize) {
    for _ in 0..steps {
        hint::black_box(());
    }
}

/// Pins and unpins until `done`, which lets the reclamation go on: it does a little of its work
/// now and then when a thread pins. Fails after a time that no machine needs.
#[track_caller]
pub(crate) fn pin_until(what: &str, mut done: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(if cfg!(miri) { 600 } else { 30 });
    while !done() {
        assert!(Instant::now() < patience, "waited in vain until {what}");
        for _ in 0..256 {
            drop(rondel::pin());
        }
        thread::yield_now();
    }
}

/// All rings of a process wait for all guards of it, so tests that wait for a drop take this first,
/// and run one at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` on a thread that ends with it, and so hands on all that it removed.
pub(crate) fn elsewhere<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(work).join().expect("its panic is shown above"))
}

/// Which slot of its ring a key names, from the text that it is shown as.
#[cfg(not(rondel_loom))]
pub(crate) fn slot_of(key: rondel::Key) -> usize {
    // `Key(ring:slot.generation)`
    let text = format!("{key:?}");
    text.split([':', '.']).nth(1).and_then(|slot| slot.parse().ok()).expect("a slot's number")
}
