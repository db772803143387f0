//! A vector that is replaced as a whole, and a counter that jumps whenever its length changes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use arc_swap::{ArcSwap, Cache};

use crate::rotation::{Members, Rotation, Skipping};

/// Loads the vector for each pick.
pub(crate) struct Loaded {
    members: ArcSwap<Vec<usize>>,
    turn: AtomicUsize,
}

impl Rotation for Loaded {
    const NAME: &'static str = "ArcSwap<Vec> + counter";
    type Local<'r> = ();

    fn with_members(members: usize) -> Self {
        Self { members: ArcSwap::from_pointee((0..members).collect()), turn: AtomicUsize::new(0) }
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        let members = self.members.load();
        members[self.turn.fetch_add(1, Relaxed) % members.len()]
    }
}

/// From the place that is due, on to the first that will do: its turns come on top of one's own.
impl Skipping for Loaded {
    #[inline]
    fn next_where(&self, (): &mut (), accept: impl Fn(usize) -> bool + Copy) -> usize {
        let members = self.members.load();
        let mut place = self.turn.fetch_add(1, Relaxed) % members.len();
        while !accept(members[place]) {
            place += 1;
            if place == members.len() {
                place = 0;
            }
        }
        members[place]
    }
}

impl Members for Loaded {
    type Ticket = usize;
    const FAIR: bool = false;

    fn tickets(&self) -> Vec<usize> {
        self.members.load().to_vec()
    }

    fn push(&self, member: usize) -> usize {
        self.members.rcu(|members| with(members, member));
        member
    }

    fn remove(&self, member: usize) {
        self.members.rcu(|members| without(members, member));
    }
}

/// A copy with room for the one who joins: none is made twice.
pub(super) fn with(members: &[usize], member: usize) -> Vec<usize> {
    let mut copy = Vec::with_capacity(members.len() + 1);
    copy.extend_from_slice(members);
    copy.push(member);
    copy
}

/// A copy of the parts before and after the one who leaves.
pub(super) fn without(members: &[usize], member: usize) -> Vec<usize> {
    let place = members.iter().position(|&other| other == member).expect("a member");
    [&members[..place], &members[place + 1..]].concat()
}

/// Each thread keeps the vector, and looks whether it is still the one.
pub(crate) struct Cached(Loaded);

impl Rotation for Cached {
    const NAME: &'static str = "ArcSwap Cache + counter";
    type Local<'r> = Cache<&'r ArcSwap<Vec<usize>>, Arc<Vec<usize>>>;

    fn with_members(members: usize) -> Self {
        Self(Loaded::with_members(members))
    }

    fn local(&self) -> Self::Local<'_> {
        Cache::new(&self.0.members)
    }

    #[inline]
    fn next(&self, cache: &mut Self::Local<'_>) -> usize {
        let members = cache.load();
        members[self.0.turn.fetch_add(1, Relaxed) % members.len()]
    }
}

/// Draws again from the shared counter until somebody will do.
pub(crate) struct Redrawn(Loaded);

impl Rotation for Redrawn {
    const NAME: &'static str = "ArcSwap<Vec> + counter, drawn again";
    type Local<'r> = ();

    fn with_members(members: usize) -> Self {
        Self(Loaded::with_members(members))
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, local: &mut ()) -> usize {
        self.0.next(local)
    }
}

impl Skipping for Redrawn {
    #[inline]
    fn next_where(&self, (): &mut (), accept: impl Fn(usize) -> bool + Copy) -> usize {
        let members = self.0.members.load();
        loop {
            let member = members[self.0.turn.fetch_add(1, Relaxed) % members.len()];
            if accept(member) {
                return member;
            }
        }
    }
}
