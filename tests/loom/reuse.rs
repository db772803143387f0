//! Slots that are used again while somebody still names their last member.

use crate::{
    common::sequential::{
        At::{After, Back},
        Op::{Contains, Insert, Next, Remove},
    },
    harness::Model,
};

#[test]
fn an_old_key_names_nothing_while_its_slot_is_used_again() {
    Model::of(&[0, 1])
        .after(&[Next, Remove(0)])
        .reclaimed()
        .thread(&[Remove(0), Contains(0)])
        .thread(&[Insert(Back, 2), Next])
        .explore([240, 1]);
}

#[test]
fn a_picker_while_a_slot_is_vacated_and_used_again() {
    Model::of(&[0, 1])
        .after(&[Next])
        .thread(&[Next])
        .thread(&[Remove(1), Insert(Back, 2), Remove(2), Insert(Back, 3)])
        .explore([58_000, 1]);
}

#[test]
fn two_inserts_share_the_free_slots() {
    Model::of(&[0, 1, 2])
        .after(&[Remove(0), Remove(1)])
        .reclaimed()
        .thread(&[Insert(Back, 3)])
        .thread(&[Insert(After(2), 4)])
        .explore([430, 1]);
}

#[test]
fn an_insert_while_the_slot_that_it_takes_is_vacated() {
    Model::of(&[0, 1])
        .after(&[Remove(0)])
        .while_reclaimed()
        .thread(&[Insert(Back, 2), Next, Next])
        .explore([4_100, 1]);
}
