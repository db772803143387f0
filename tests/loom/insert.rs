//! Inserts against what happens to their neighbours.

use crate::{
    common::sequential::{
        At::{After, Back, Before, Front},
        Op::{Back as Last, Contains, Front as First, Insert, Next, PopFront, Remove},
    },
    harness::Model,
};

#[test]
fn insert_after_a_member_that_is_removed() {
    Model::of(&[0, 1])
        .after(&[Next])
        .thread(&[Insert(After(0), 2)])
        .thread(&[Remove(0)])
        .timed()
        .explore([230, 46]);
}

#[test]
fn insert_before_a_member_that_is_removed() {
    Model::of(&[0, 1])
        .after(&[Next, Next])
        .thread(&[Insert(Before(1), 2)])
        .thread(&[Remove(1)])
        .timed()
        .explore([1_100, 980]);
}

#[test]
fn insert_after_the_neighbour_of_a_member_that_is_removed() {
    Model::of(&[0, 1])
        .after(&[Next, Next])
        .thread(&[Insert(After(0), 2)])
        .thread(&[Remove(1)])
        .timed()
        .explore([3_100, 3_400]);
}

#[test]
fn insert_before_the_neighbour_of_a_member_that_is_removed() {
    Model::of(&[0, 1])
        .after(&[Next])
        .thread(&[Insert(Before(1), 2)])
        .thread(&[Remove(0)])
        .timed()
        .explore([1_800, 2_600]);
}

#[test]
fn two_inserts_in_one_gap() {
    Model::of(&[0, 1])
        .thread(&[Insert(After(0), 2)])
        .thread(&[Insert(Before(1), 3)])
        .timed()
        .explore([300, 110]);
}

#[test]
fn pushes_at_both_ends_of_an_empty_ring() {
    Model::of(&[])
        .thread(&[Insert(Back, 0), First])
        .thread(&[Insert(Front, 1), Last])
        .timed()
        .explore([7_000, 330]);
}

/// The insert's expectation of its predecessor's link comes back, but for the busy bit, which the
/// member that came and went in between has handed on.
#[test]
fn insert_before_a_member_that_is_removed_behind_one_that_comes_and_goes() {
    Model::of(&[1, 4])
        .after(&[Next])
        .thread(&[Insert(Before(1), 2)])
        .thread(&[PopFront])
        .thread(&[Insert(Front, 3), Remove(1)])
        .explore([60_000, 20_000]);
}

/// Who has seen the removal must find the cursor where the removal left it, and the new member's
/// turn not passed over.
#[test]
fn insert_in_front_of_a_member_that_was_seen_to_be_removed() {
    Model::of(&[0, 1])
        .after(&[Next, Next])
        .thread(&[Remove(1)])
        .thread(&[Contains(1), Insert(After(0), 2), Next])
        .explore([15_000, 15_000]);
}
