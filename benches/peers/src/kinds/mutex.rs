//! Members behind a lock that one thread holds at a time.

use std::{collections::VecDeque, sync::Mutex};

use crate::rotation::{Members, Rotation, Skipping};

/// A queue that is rotated by one for each turn.
pub(crate) struct Rotated(Mutex<VecDeque<usize>>);

impl Rotation for Rotated {
    const NAME: &'static str = "Mutex<VecDeque>";
    type Local<'r> = ();

    fn with_members(members: usize) -> Self {
        Self(Mutex::new((0..members).collect()))
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        let mut members = self.0.lock().expect("no pick panics");
        members.rotate_left(1);
        *members.back().expect("members")
    }
}

impl Skipping for Rotated {
    #[inline]
    fn next_where(&self, (): &mut (), accept: impl Fn(usize) -> bool + Copy) -> usize {
        let mut members = self.0.lock().expect("no pick panics");
        loop {
            members.rotate_left(1);
            let member = *members.back().expect("members");
            if accept(member) {
                return member;
            }
        }
    }
}

impl Members for Rotated {
    type Ticket = usize;
    const FAIR: bool = true;

    fn tickets(&self) -> Vec<usize> {
        self.0.lock().expect("no pick panics").iter().copied().collect()
    }

    fn push(&self, member: usize) -> usize {
        self.0.lock().expect("no pick panics").push_back(member);
        member
    }

    fn remove(&self, member: usize) {
        let mut members = self.0.lock().expect("no pick panics");
        let place = members.iter().position(|&other| other == member).expect("a member");
        members.remove(place);
    }
}

/// A vector and the place of the next turn.
pub(crate) struct Indexed<L>(L);

/// Who waits in the kernel, and who spins first.
pub(crate) trait Lock: Sync {
    const NAME: &'static str;

    fn new(next: usize, members: Vec<usize>) -> Self;
    fn with<A>(&self, work: impl FnOnce(&mut (usize, Vec<usize>)) -> A) -> A;
}

impl Lock for Mutex<(usize, Vec<usize>)> {
    const NAME: &'static str = "Mutex<(index, Vec)>";

    fn new(next: usize, members: Vec<usize>) -> Self {
        Self::new((next, members))
    }

    #[inline]
    fn with<A>(&self, work: impl FnOnce(&mut (usize, Vec<usize>)) -> A) -> A {
        work(&mut self.lock().expect("no pick panics"))
    }
}

impl Lock for parking_lot::Mutex<(usize, Vec<usize>)> {
    const NAME: &'static str = "parking_lot::Mutex<(index, Vec)>";

    fn new(next: usize, members: Vec<usize>) -> Self {
        Self::new((next, members))
    }

    #[inline]
    fn with<A>(&self, work: impl FnOnce(&mut (usize, Vec<usize>)) -> A) -> A {
        work(&mut self.lock())
    }
}

#[inline]
fn turn((next, members): &mut (usize, Vec<usize>)) -> usize {
    let member = members[*next];
    *next += 1;
    if *next == members.len() {
        *next = 0;
    }
    member
}

impl<L: Lock> Rotation for Indexed<L> {
    const NAME: &'static str = L::NAME;
    type Local<'r>
        = ()
    where
        Self: 'r;

    fn with_members(members: usize) -> Self {
        Self(L::new(0, (0..members).collect()))
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        self.0.with(turn)
    }
}

impl<L: Lock> Skipping for Indexed<L> {
    #[inline]
    fn next_where(&self, (): &mut (), accept: impl Fn(usize) -> bool + Copy) -> usize {
        self.0.with(|locked| {
            loop {
                let member = turn(locked);
                if accept(member) {
                    return member;
                }
            }
        })
    }
}

impl<L: Lock> Members for Indexed<L> {
    type Ticket = usize;
    // The index moves along with what it names.
    const FAIR: bool = true;

    fn tickets(&self) -> Vec<usize> {
        self.0.with(|(_, members)| members.clone())
    }

    fn push(&self, member: usize) -> usize {
        self.0.with(|(_, members)| members.push(member));
        member
    }

    fn remove(&self, member: usize) {
        self.0.with(|(next, members)| {
            let place = members.iter().position(|&other| other == member).expect("a member");
            members.remove(place);
            if place < *next {
                *next -= 1;
            }
            if *next == members.len() {
                *next = 0;
            }
        });
    }
}
