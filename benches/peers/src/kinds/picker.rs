//! What balancers do that build a new picker whenever a member joins or leaves.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use arc_swap::ArcSwap;

use super::arc_swap::{with, without};
use crate::rotation::{Members, Rotation};

/// The members of one time, and their own counter.
struct Picker {
    members: Vec<usize>,
    turn: AtomicUsize,
}

impl Picker {
    fn from(start: usize, members: Vec<usize>) -> Self {
        Self { members, turn: AtomicUsize::new(start) }
    }

    #[inline]
    fn next(&self) -> usize {
        self.members[self.turn.fetch_add(1, Relaxed) % self.members.len()]
    }
}

/// Each new picker starts at the first member, as pingora's does.
pub(crate) struct FirstAgain(ArcSwap<Picker>);

/// Each new picker starts anywhere, as gRPC's do.
pub(crate) struct RandomStart(ArcSwap<Picker>);

fn first() -> usize {
    0
}

fn anywhere() -> usize {
    // A new key each time: std's only source of chance. The high half, as the low one would do too.
    usize::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or(0)
}

macro_rules! rebuilt_picker {
    ($way:ident, $name:literal, $start:ident) => {
        impl Rotation for $way {
            const NAME: &'static str = $name;
            type Local<'r> = ();

            fn with_members(members: usize) -> Self {
                Self(ArcSwap::from_pointee(Picker::from($start(), (0..members).collect())))
            }

            fn local(&self) {}

            #[inline]
            fn next(&self, (): &mut ()) -> usize {
                self.0.load().next()
            }
        }

        impl Members for $way {
            type Ticket = usize;
            const FAIR: bool = false;

            fn tickets(&self) -> Vec<usize> {
                self.0.load().members.clone()
            }

            fn push(&self, member: usize) -> usize {
                self.0.rcu(|old| Picker::from($start(), with(&old.members, member)));
                member
            }

            fn remove(&self, member: usize) {
                self.0.rcu(|old| Picker::from($start(), without(&old.members, member)));
            }
        }
    };
}

rebuilt_picker!(FirstAgain, "picker rebuilt, from the first", first);
rebuilt_picker!(RandomStart, "picker rebuilt, from anywhere", anywhere);
