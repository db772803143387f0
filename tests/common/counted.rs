//! Values whose lives are counted.
//!
//! A ring moves a dropped value out of its slot, and leaves the old bytes behind. So whether a
//! value lives is written not into it but into a register that outlasts it: a use after the drop,
//! or a second drop, through whatever stale copy, is found in there.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed},
};

use super::sequential::Name;

// ORDERING: Relaxed throughout. The register must not order what the ring fails to order.

/// The first chunk of the register holds so many lives, and each one twice as many as the last.
const FIRST: usize = 64;

const ALIVE: u8 = 1;
const DROPPED: u8 = 2;

/// Counts the lives of the values that it makes.
pub(crate) struct Tally {
    created: AtomicUsize,
    dropped: AtomicUsize,
    dropped_twice: AtomicUsize,
    used_dead: AtomicUsize,
    /// One byte for each value that was ever made.
    lives: [OnceLock<Box<[AtomicU8]>>; 26],
}

impl Tally {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            created: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            dropped_twice: AtomicUsize::new(0),
            used_dead: AtomicUsize::new(0),
            lives: [const { OnceLock::new() }; 26],
        })
    }

    /// A new value.
    pub(crate) fn value(self: &Arc<Self>, name: Name) -> Counted {
        let number = self.created.fetch_add(1, Relaxed);
        self.life(number).store(ALIVE, Relaxed);
        Counted { name, number, tally: Arc::clone(self) }
    }

    pub(crate) fn created(&self) -> usize {
        self.created.load(Relaxed)
    }

    pub(crate) fn dropped(&self) -> usize {
        self.dropped.load(Relaxed)
    }

    pub(crate) fn alive(&self) -> usize {
        self.created() - self.dropped()
    }

    /// No value was dropped twice, or used after its drop. A panic in a drop would not tell: the
    /// ring catches it.
    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        assert_eq!(self.dropped_twice.load(Relaxed), 0, "values dropped twice");
        assert_eq!(self.used_dead.load(Relaxed), 0, "uses of a dropped value");
    }

    /// Every value is dropped, once, if not now then soon: another thread of the process may have
    /// taken on the drop of one, even though the ring is gone.
    #[cfg(not(rondel_loom))]
    #[track_caller]
    pub(crate) fn await_all_dropped(&self) {
        super::pin_until("all values are dropped", || self.alive() == 0);
        self.assert_sound();
    }

    /// Every value was dropped, and once.
    #[track_caller]
    pub(crate) fn assert_all_dropped(&self) {
        self.assert_sound();
        assert_eq!(self.alive(), 0, "values of {} never dropped", self.created());
    }

    fn life(&self, number: usize) -> &AtomicU8 {
        let chunk = ((number + FIRST) / FIRST).ilog2();
        let length = FIRST << chunk;
        let lives = self.lives[chunk as usize]
            .get_or_init(|| (0..length).map(|_| AtomicU8::new(0)).collect());
        &lives[number + FIRST - length]
    }
}

/// A value with a name. Every use of it checks that it was not dropped.
pub(crate) struct Counted {
    name: Name,
    number: usize,
    tally: Arc<Tally>,
}

impl Counted {
    /// The name, once it is sure that the value lives.
    #[track_caller]
    pub(crate) fn name(&self) -> Name {
        if self.tally.life(self.number).load(Relaxed) != ALIVE {
            self.tally.used_dead.fetch_add(1, Relaxed);
            panic!("value {} was used after its drop", self.number);
        }
        self.name
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.tally.value(self.name())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        match self.tally.life(self.number).swap(DROPPED, Relaxed) {
            ALIVE => self.tally.dropped.fetch_add(1, Relaxed),
            _ => self.tally.dropped_twice.fetch_add(1, Relaxed),
        };
    }
}
