//! How much each server has in hand, and all of them together.
//!
//! Owns the count of a server's requests in flight, its share in the rotation, and the sums of both
//! over the pool. Never decides anything (`policy`).
//!
//! A server's count and share lie in one word, so that each change of either sees the other as it
//! was: what is added to the sums depends on nothing else, and the sums are exact whenever nobody
//! is in the middle of a change, whatever the order in which changes met.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

/// The requests in flight of one server.
#[derive(Debug)]
pub(crate) struct Load {
    /// High half: the share that is counted in the sums, 0 if none. Low half: requests in flight.
    word: AtomicU64,
    /// None: nobody needs the sums, so nobody pays for them.
    totals: Option<Arc<Totals>>,
}

/// Sums over all servers that are counted.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    share: AtomicI64,
    in_flight: AtomicI64,
    /// Of each server's requests squared, divided by its share; in units of 1/[`SQUARES`].
    squares: AtomicI64,
}

/// Fixed point: a square divided by the largest share keeps eight bits after the point.
pub(crate) const SQUARES: i64 = 1 << 16;

/// The sums as they were read, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) share: i64,
    pub(crate) in_flight: i64,
    pub(crate) squares: i64,
}

/// Both halves of the word.
#[derive(Clone, Copy)]
struct Word {
    share: u32,
    in_flight: u32,
}

impl Load {
    pub(crate) fn new(totals: Option<Arc<Totals>>) -> Self {
        Self { word: AtomicU64::new(0), totals }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        // ORDERING: Relaxed, here and below: numbers, which order nothing.
        Word::from(self.word.load(Ordering::Relaxed)).in_flight
    }

    /// One request more. Gives how many there were before.
    pub(crate) fn enter(&self) -> u32 {
        let before = Word::from(self.word.fetch_add(1, Ordering::Relaxed));
        self.count(before, Word { in_flight: before.in_flight.wrapping_add(1), ..before });
        before.in_flight
    }

    /// One request less.
    pub(crate) fn leave(&self) {
        let before = Word::from(self.word.fetch_sub(1, Ordering::Relaxed));
        self.count(before, Word { in_flight: before.in_flight.wrapping_sub(1), ..before });
    }

    /// From now on the server is counted with this share, its requests in flight included; with 0
    /// it is not counted.
    pub(crate) fn set_share(&self, share: u32) {
        let set = |word| Some(u64::from(Word { share, ..Word::from(word) }));
        let update = self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, set);
        let before = Word::from(update.unwrap_or_else(|word| word));
        self.count(before, Word { share, ..before });
    }

    fn count(&self, before: Word, after: Word) {
        let Some(totals) = &self.totals else { return };
        let add = |sum: &AtomicI64, before: i64, after: i64| {
            if before != after {
                sum.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
            }
        };
        add(&totals.share, before.share.into(), after.share.into());
        add(&totals.in_flight, before.counted(), after.counted());
        add(&totals.squares, before.square(), after.square());
    }
}

impl Totals {
    pub(crate) fn read(&self) -> Sums {
        Sums {
            share: self.share.load(Ordering::Relaxed),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            squares: self.squares.load(Ordering::Relaxed),
        }
    }
}

impl Word {
    fn counted(self) -> i64 {
        if self.share == 0 { 0 } else { self.in_flight.into() }
    }

    /// A function of this word alone, so that what is added when it grows is what is taken off when
    /// it shrinks, however the division rounds.
    fn square(self) -> i64 {
        let in_flight = i64::from(self.in_flight);
        in_flight
            .wrapping_mul(in_flight)
            .wrapping_mul(SQUARES)
            .checked_div(self.share.into())
            .unwrap_or(0)
    }
}

impl From<u64> for Word {
    #[expect(clippy::cast_possible_truncation, reason = "each takes its half")]
    fn from(word: u64) -> Self {
        Self { share: (word >> 32) as u32, in_flight: word as u32 }
    }
}

impl From<Word> for u64 {
    fn from(word: Word) -> Self {
        Self::from(word.share) << 32 | Self::from(word.in_flight)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn sums_of(loads: &[(u32, u32)]) -> Sums {
        let words = loads.iter().map(|&(share, in_flight)| Word { share, in_flight });
        words.fold(Sums { share: 0, in_flight: 0, squares: 0 }, |sums, word| Sums {
            share: sums.share + i64::from(word.share),
            in_flight: sums.in_flight + word.counted(),
            squares: sums.squares + word.square(),
        })
    }

    #[test]
    fn the_sums_are_exact_whatever_changes_meet() {
        let totals = Arc::new(Totals::default());
        let loads: Vec<_> = (0..3).map(|_| Load::new(Some(Arc::clone(&totals)))).collect();
        for load in &loads {
            load.set_share(1);
        }
        thread::scope(|scope| {
            for thread in 0..4 {
                let loads = &loads;
                scope.spawn(move || {
                    for step in 0..5_000 {
                        let load = &loads[(thread + step) % 3];
                        load.enter();
                        if thread == 0 {
                            load.set_share(u32::try_from(step % 4).unwrap());
                        }
                        if step % 5 != 0 {
                            load.leave();
                        }
                    }
                });
            }
        });
        let shares = [3, 0, 7];
        loads.iter().zip(shares).for_each(|(load, share)| load.set_share(share));
        let left: Vec<_> =
            loads.iter().zip(shares).map(|(load, share)| (share, load.in_flight())).collect();
        assert_eq!(left.iter().map(|(_, count)| count).sum::<u32>(), 4 * 1_000);
        assert_eq!(totals.read(), sums_of(&left));
    }

    #[test]
    fn a_server_that_is_not_counted_leaves_nothing_in_the_sums() {
        let totals = Arc::new(Totals::default());
        let load = Load::new(Some(Arc::clone(&totals)));
        load.enter();
        load.set_share(5);
        load.enter();
        assert_eq!(totals.read(), sums_of(&[(5, 2)]));
        load.set_share(0);
        assert_eq!(totals.read(), sums_of(&[]));
        load.leave();
        assert_eq!((load.in_flight(), totals.read()), (1, sums_of(&[])));
    }
}
