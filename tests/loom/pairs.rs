//! Every pair of calls that can meet on neighbouring members, with the cursor at every place.
//!
//! The other models are the races that somebody thought of; these are all of them, for two threads
//! that make one call each around the middle one of three members.

use std::{ops::RangeInclusive, sync::Arc};

use crate::{
    common::sequential::{
        Accept,
        At::{After, Back, Before, Front},
        Name,
        Op::{
            self, Back as Last, Contains, Front as First, Get, Insert, Next, NextWhere, PopBack,
            PopFront, Remove, Retain,
        },
    },
    explore::{Explored, is_full, search},
    harness::Model,
};

const CALLS: usize = 16;

/// Every call around member 1 of `[0, 1, 2]`; an insert's member is `new`.
fn calls(new: Name) -> [Op; CALLS] {
    [
        Insert(Before(1), new),
        Insert(After(1), new),
        Insert(Front, new),
        Insert(Back, new),
        Remove(0),
        Remove(1),
        Remove(2),
        PopFront,
        PopBack,
        Retain(Accept::AllBut(1)),
        Next,
        NextWhere(Accept::AllBut(1)),
        Get(1),
        Contains(1),
        First,
        Last,
    ]
}

/// The calls of these numbers, each against itself and all later ones.
#[track_caller]
fn against_the_rest(firsts: RangeInclusive<usize>, floors: [usize; 2]) {
    // There are many of them, and without reclamation fewer steps.
    let preemptions = match (is_full(), cfg!(rondel_loom_protocol)) {
        (true, true) => 3,
        (true, false) | (false, true) => 2,
        (false, false) => 1,
    };
    let mut sum = Explored::default();
    let mut models = 0;
    for first in firsts {
        for second in first..CALLS {
            for turns in 0..4 {
                let model = Model::of(&[0, 1, 2])
                    .after(&[Next; 3][..turns])
                    .thread(&[calls(3)[first]])
                    .thread(&[calls(4)[second]])
                    .timed();
                sum += search(Some(preemptions), 2, Arc::new(move || model.run()));
                models += 1;
            }
        }
    }
    sum.tell(Some(preemptions), models);
    sum.meets_floor(floors);
}

#[test]
fn insert_before_against_every_call() {
    against_the_rest(0..=0, [3_500, 5_200]);
}

#[test]
fn insert_after_against_every_call() {
    against_the_rest(1..=1, [3_700, 6_100]);
}

#[test]
fn push_front_against_every_call() {
    against_the_rest(2..=2, [3_000, 4_600]);
}

#[test]
fn push_back_against_every_call() {
    against_the_rest(3..=3, [2_300, 4_100]);
}

#[test]
fn remove_of_the_one_before_against_every_call() {
    against_the_rest(4..=4, [4_000, 15_000]);
}

#[test]
fn remove_against_every_call() {
    against_the_rest(5..=5, [3_900, 13_000]);
}

#[test]
fn remove_of_the_one_after_against_every_call() {
    against_the_rest(6..=6, [2_900, 11_000]);
}

#[test]
fn pop_front_against_every_call() {
    against_the_rest(7..=7, [1_900, 6_900]);
}

#[test]
fn pop_back_against_every_call() {
    against_the_rest(8..=8, [2_500, 11_000]);
}

#[test]
fn retain_against_every_call() {
    against_the_rest(9..=9, [1_500, 3_500]);
}

#[test]
fn turns_and_looks_against_each_other() {
    against_the_rest(10..=CALLS - 1, [1_400, 630]);
}
