//! The floor: no members at all.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::rotation::Rotation;

/// What one shared word costs, which nobody who counts turns can do without.
pub(crate) struct Bare {
    turn: AtomicUsize,
    mask: usize,
}

impl Rotation for Bare {
    const NAME: &'static str = "bare fetch_add (the floor)";
    type Local<'r> = ();

    fn with_members(members: usize) -> Self {
        // So that the floor has no division in it.
        assert!(members.is_power_of_two(), "the studies take powers of two");
        Self { turn: AtomicUsize::new(0), mask: members - 1 }
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        self.turn.fetch_add(1, Relaxed) & self.mask
    }
}
