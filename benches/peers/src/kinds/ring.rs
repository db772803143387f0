//! The ring, in the ways it can be used.

use rondel::{Cursor, Guard, Key, Lease, Ring, pin};

use crate::rotation::{Members, Rotation, Skipping};

/// As an async program uses it: a pin for each pick.
pub(crate) struct Pinned(Ring<usize>);

impl Rotation for Pinned {
    const NAME: &'static str = "ring, pin per pick";
    type Local<'r> = ();

    fn with_members(members: usize) -> Self {
        Self((0..members).collect())
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        *self.0.next(&pin()).expect("members")
    }
}

impl Skipping for Pinned {
    #[inline]
    fn next_where(&self, (): &mut (), accept: impl Fn(usize) -> bool + Copy) -> usize {
        *self.0.next_where(&pin(), |&member| accept(member)).expect("a healthy member")
    }
}

/// As a thread of its own uses it: one guard, repinned for each pick.
pub(crate) struct Kept(Ring<usize>);

impl Rotation for Kept {
    const NAME: &'static str = "ring, guard kept";
    type Local<'r> = Guard;

    fn with_members(members: usize) -> Self {
        Self((0..members).collect())
    }

    fn local(&self) -> Guard {
        pin()
    }

    #[inline]
    fn next(&self, guard: &mut Guard) -> usize {
        guard.repin();
        *self.0.next(guard).expect("members")
    }
}

impl Skipping for Kept {
    #[inline]
    fn next_where(&self, guard: &mut Guard, accept: impl Fn(usize) -> bool + Copy) -> usize {
        guard.repin();
        *self.0.next_where(guard, |&member| accept(member)).expect("a healthy member")
    }
}

macro_rules! members_of_a_ring {
    ($($way:ident),*) => {$(
        impl Members for $way {
            type Ticket = Key;
            const FAIR: bool = true;

            fn tickets(&self) -> Vec<Key> {
                let guard = pin();
                self.0.iter(&guard).map(|entry| entry.key()).collect()
            }

            fn push(&self, member: usize) -> Key {
                self.0.push_back(member)
            }

            fn remove(&self, key: Key) {
                assert!(self.0.remove(key), "it was a member");
            }
        }
    )*};
}

members_of_a_ring!(Pinned, Kept);

/// Sixteen turns claimed at once.
pub(crate) struct Leased(Ring<usize>);

impl Rotation for Leased {
    const NAME: &'static str = "ring, lease(16)";
    type Local<'r> = (Guard, Lease<'r, usize>);

    fn with_members(members: usize) -> Self {
        Self((0..members).collect())
    }

    fn local(&self) -> Self::Local<'_> {
        (pin(), self.0.lease(0))
    }

    #[inline]
    fn next<'r>(&'r self, (guard, lease): &mut Self::Local<'r>) -> usize {
        loop {
            if let Some(entry) = lease.next(guard) {
                return *entry;
            }
            guard.repin();
            lease.renew(16, guard);
        }
    }
}

/// A position of each thread's own: nothing is shared, and nobody knows of the others' turns.
pub(crate) struct Private(Ring<usize>);

impl Rotation for Private {
    const NAME: &'static str = "ring, private Cursor";
    type Local<'r> = (Guard, Cursor<'r, usize>);

    fn with_members(members: usize) -> Self {
        Self((0..members).collect())
    }

    fn local(&self) -> Self::Local<'_> {
        (pin(), self.0.cursor())
    }

    #[inline]
    fn next<'r>(&'r self, (guard, cursor): &mut Self::Local<'r>) -> usize {
        guard.repin();
        *cursor.move_next(guard).expect("members")
    }

    /// Each thread's own turns are even.
    fn bound(threads: usize) -> Option<u64> {
        Some(threads as u64)
    }
}
