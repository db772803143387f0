//! Inserts against what happens to their neighbours.

use crate::{
    common::sequential::{
        At::{After, Back, Before, Front},
        Op::{Back as Last, Front as First, Insert, Next, Remove},
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
        .explore([5_100, 3_500]);
}

#[test]
fn insert_before_a_member_that_is_removed() {
    Model::of(&[0, 1])
        .after(&[Next, Next])
        .thread(&[Insert(Before(1), 2)])
        .thread(&[Remove(1)])
        .timed()
        .explore([4_400, 2_800]);
}

#[test]
fn insert_after_the_neighbour_of_a_member_that_is_removed() {
    Model::of(&[0, 1])
        .after(&[Next, Next])
        .thread(&[Insert(After(0), 2)])
        .thread(&[Remove(1)])
        .timed()
        .explore([5_100, 3_200]);
}

#[test]
fn insert_before_the_neighbour_of_a_member_that_is_removed() {
    Model::of(&[0, 1])
        .after(&[Next])
        .thread(&[Insert(Before(1), 2)])
        .thread(&[Remove(0)])
        .timed()
        .explore([2_100, 1_700]);
}

#[test]
fn two_inserts_in_one_gap() {
    Model::of(&[0, 1])
        .thread(&[Insert(After(0), 2)])
        .thread(&[Insert(Before(1), 3)])
        .timed()
        .explore([570, 180]);
}

#[test]
fn pushes_at_both_ends_of_an_empty_ring() {
    Model::of(&[])
        .thread(&[Insert(Back, 0), First])
        .thread(&[Insert(Front, 1), Last])
        .timed()
        .explore([16_000, 900]);
}
