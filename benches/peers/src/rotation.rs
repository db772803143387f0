//! What a contender is: a trait to implement, and a handle to run it by.

use crate::{
    churn::{self, Churn, Churned},
    picks::{self, Picked},
    skip::{self, Skipped},
    tail::{self, Tail},
    update,
};
use std::time::Duration;

/// A way to take turns among the numbers from 0 up.
pub trait Rotation: Sync {
    /// How tables and charts call it.
    const NAME: &'static str;

    /// What a thread keeps between two picks.
    type Local<'r>
    where
        Self: 'r;

    /// With so many members.
    fn with_members(members: usize) -> Self;

    /// For a thread that begins to pick.
    fn local(&self) -> Self::Local<'_>;

    /// The next turn.
    fn next<'r>(&'r self, local: &mut Self::Local<'r>) -> usize;

    /// How far apart the numbers of two members' turns may be once so many threads are done and
    /// nobody joined or left; `None` for who promises nothing.
    fn bound(_threads: usize) -> Option<u64> {
        Some(1)
    }
}

/// Whose members come and go while others pick.
pub trait Members: Rotation {
    /// What a member is removed by.
    type Ticket;

    /// Whether equal turns, to within one, are promised whatever joins or leaves.
    const FAIR: bool;

    /// The tickets of all members, in order.
    fn tickets(&self) -> Vec<Self::Ticket>;

    /// Adds a member after the last one.
    fn push(&self, member: usize) -> Self::Ticket;

    /// Removes a member, which may be anywhere.
    fn remove(&self, ticket: Self::Ticket);
}

/// Who can pass over members that are not wanted.
pub trait Skipping: Rotation {
    /// The next turn of a member that `accept` wants; there is one.
    fn next_where<'r>(
        &'r self,
        local: &mut Self::Local<'r>,
        accept: impl Fn(usize) -> bool + Copy,
    ) -> usize;
}

/// A contender, ready to run.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// See [`Rotation::NAME`].
    pub name: &'static str,
    picks: fn(usize, usize, u64) -> Picked,
    tail: fn(usize, Duration) -> Tail,
}

impl Contender {
    /// The handle of one way.
    #[must_use]
    pub const fn of<R: Rotation>() -> Self {
        Self { name: R::NAME, picks: picks::round::<R>, tail: tail::round::<R> }
    }

    /// So many picks among so many members, by so many threads.
    #[must_use]
    pub fn picks(&self, members: usize, threads: usize, picks: u64) -> Picked {
        (self.picks)(members, threads, picks)
    }

    /// The time of each single pick, by so many threads.
    #[must_use]
    pub fn tail(&self, threads: usize, time: Duration) -> Tail {
        (self.tail)(threads, time)
    }
}

/// A contender whose members can change.
#[derive(Clone, Copy, Debug)]
pub struct Changing {
    /// See [`Rotation::NAME`].
    pub name: &'static str,
    churn: fn(&Churn) -> Churned,
    update: fn(usize, u64) -> Duration,
}

impl Changing {
    /// The handle of one way.
    #[must_use]
    pub const fn of<R: Members>() -> Self {
        Self { name: R::NAME, churn: churn::round::<R>, update: update::round::<R> }
    }

    /// Picks while members come and go.
    #[must_use]
    pub fn churn(&self, churn: &Churn) -> Churned {
        (self.churn)(churn)
    }

    /// So many times: one member more, and one less, with nobody else there.
    #[must_use]
    pub fn update(&self, members: usize, updates: u64) -> Duration {
        (self.update)(members, updates)
    }
}

/// A contender that can pass over members.
#[derive(Clone, Copy, Debug)]
pub struct Skipper {
    /// See [`Rotation::NAME`].
    pub name: &'static str,
    skip: fn(usize, u64) -> Skipped,
}

impl Skipper {
    /// The handle of one way.
    #[must_use]
    pub const fn of<R: Skipping>() -> Self {
        Self { name: R::NAME, skip: skip::round::<R> }
    }

    /// So many picks by so many threads, past those members that are not healthy.
    #[must_use]
    pub fn skip(&self, threads: usize, picks: u64) -> Skipped {
        (self.skip)(threads, picks)
    }
}
