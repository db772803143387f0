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
    explore::{Explored, is_full, meets_floor, search},
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
    // Without reclamation there are fewer steps.
    let preemptions = match (is_full(), cfg!(rondel_loom_protocol)) {
        (true, true) => 4,
        (true, false) => 3,
        (false, true) => 2,
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
    meets_floor(sum.executions, floors);
}

#[test]
fn insert_before_against_every_call() {
    against_the_rest(0..=0, [2_800, 2_900]);
}

#[test]
fn insert_after_against_every_call() {
    against_the_rest(1..=1, [2_800, 3_100]);
}

#[test]
fn push_front_against_every_call() {
    against_the_rest(2..=2, [2_200, 2_400]);
}

#[test]
fn push_back_against_every_call() {
    against_the_rest(3..=3, [1_900, 2_200]);
}

#[test]
fn remove_of_the_one_before_against_every_call() {
    against_the_rest(4..=4, [2_700, 7_100]);
}

#[test]
fn remove_against_every_call() {
    against_the_rest(5..=5, [2_700, 6_100]);
}

#[test]
fn remove_of_the_one_after_against_every_call() {
    against_the_rest(6..=6, [2_000, 5_900]);
}

#[test]
fn pop_front_against_every_call() {
    against_the_rest(7..=7, [1_500, 4_200]);
}

#[test]
fn pop_back_against_every_call() {
    against_the_rest(8..=8, [1_800, 6_400]);
}

#[test]
fn retain_against_every_call() {
    against_the_rest(9..=9, [1_100, 1_700]);
}

#[test]
fn turns_and_looks_against_each_other() {
    against_the_rest(10..=CALLS - 1, [1_400, 430]);
}
