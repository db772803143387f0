//! Members taken from the ends.

use crate::{
    common::sequential::{
        At::{Back, Front},
        Op::{Contains, Insert, Next, PopBack, PopFront, Remove},
    },
    harness::Model,
};

#[test]
fn pops_from_both_ends_of_one_member() {
    Model::of(&[0]).thread(&[PopFront]).thread(&[PopBack]).timed().explore([1_400, 1_600]);
}

#[test]
fn pops_from_both_ends_of_two_members() {
    Model::of(&[0, 1]).thread(&[PopFront]).thread(&[PopBack]).timed().explore([2_600, 3_500]);
}

#[test]
fn two_pops_from_the_front() {
    Model::of(&[0, 1])
        .after(&[Next])
        .thread(&[PopFront])
        .thread(&[PopFront])
        .timed()
        .explore([2_300, 3_500]);
}

#[test]
fn pop_front_against_push_front() {
    Model::of(&[0])
        .thread(&[PopFront])
        .thread(&[Insert(Front, 1), Contains(0)])
        .timed()
        .explore([810, 630]);
}

#[test]
fn pop_front_against_removal_of_the_first() {
    Model::of(&[0, 1]).thread(&[PopFront]).thread(&[Remove(0)]).timed().explore([3_600, 8_000]);
}

#[test]
fn pop_front_against_next() {
    Model::of(&[0, 1])
        .after(&[Next])
        .thread(&[PopFront])
        .thread(&[Next])
        .timed()
        .explore([630, 490]);
}

#[test]
fn pop_back_against_push_back() {
    Model::of(&[0])
        .thread(&[PopBack])
        .thread(&[Insert(Back, 1), Contains(0)])
        .timed()
        .explore([1_100, 870]);
}
