//! Any number of readers, and a counter that jumps whenever the length changes.

use std::sync::{
    RwLock,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::rotation::{Members, Rotation};

/// A vector behind a lock that readers share.
pub(crate) struct Shared<L> {
    members: L,
    turn: AtomicUsize,
}

/// Whose lock.
pub(crate) trait Lock: Sync {
    const NAME: &'static str;

    fn new(members: Vec<usize>) -> Self;
    fn read<A>(&self, work: impl FnOnce(&[usize]) -> A) -> A;
    fn write<A>(&self, work: impl FnOnce(&mut Vec<usize>) -> A) -> A;
}

impl Lock for RwLock<Vec<usize>> {
    const NAME: &'static str = "RwLock<Vec> + counter";

    fn new(members: Vec<usize>) -> Self {
        Self::new(members)
    }

    #[inline]
    fn read<A>(&self, work: impl FnOnce(&[usize]) -> A) -> A {
        work(&self.read().expect("no pick panics"))
    }

    fn write<A>(&self, work: impl FnOnce(&mut Vec<usize>) -> A) -> A {
        work(&mut self.write().expect("no pick panics"))
    }
}

impl Lock for parking_lot::RwLock<Vec<usize>> {
    const NAME: &'static str = "parking_lot::RwLock<Vec> + counter";

    fn new(members: Vec<usize>) -> Self {
        Self::new(members)
    }

    #[inline]
    fn read<A>(&self, work: impl FnOnce(&[usize]) -> A) -> A {
        work(&self.read())
    }

    fn write<A>(&self, work: impl FnOnce(&mut Vec<usize>) -> A) -> A {
        work(&mut self.write())
    }
}

impl<L: Lock> Rotation for Shared<L> {
    const NAME: &'static str = L::NAME;
    type Local<'r>
        = ()
    where
        Self: 'r;

    fn with_members(members: usize) -> Self {
        Self { members: L::new((0..members).collect()), turn: AtomicUsize::new(0) }
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        self.members.read(|members| members[self.turn.fetch_add(1, Relaxed) % members.len()])
    }
}

impl<L: Lock> Members for Shared<L> {
    type Ticket = usize;
    const FAIR: bool = false;

    fn tickets(&self) -> Vec<usize> {
        self.members.read(<[usize]>::to_vec)
    }

    fn push(&self, member: usize) -> usize {
        self.members.write(|members| members.push(member));
        member
    }

    fn remove(&self, member: usize) {
        self.members.write(|members| {
            let place = members.iter().position(|&other| other == member).expect("a member");
            members.remove(place);
        });
    }
}
