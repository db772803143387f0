//! Removals that meet.

use crate::{
    common::sequential::Op::{Contains, Get, Next, Remove},
    harness::Model,
};

#[test]
fn one_member_is_removed_once() {
    Model::of(&[0, 1])
        .after(&[Next])
        .thread(&[Remove(0), Next])
        .thread(&[Remove(0)])
        .timed()
        .explore([3_800, 4_900]);
}

#[test]
fn neighbours_are_removed_at_once() {
    Model::of(&[0, 1, 2])
        .after(&[Next])
        .thread(&[Remove(0)])
        .thread(&[Remove(1)])
        .timed()
        .explore([3_700, 8_200]);
}

#[test]
fn neighbours_are_removed_at_once_with_the_cursor_on_the_second() {
    Model::of(&[0, 1, 2])
        .after(&[Next, Next])
        .thread(&[Remove(0)])
        .thread(&[Remove(1)])
        .explore([3_800, 6_900]);
}

#[test]
fn three_neighbours_are_removed_at_once() {
    Model::of(&[0, 1, 2, 3])
        .after(&[Next, Next])
        .thread(&[Remove(0)])
        .thread(&[Remove(1)])
        .thread(&[Remove(2)])
        .explore([60_000, 7_900]);
}

#[test]
fn a_removed_member_is_not_found() {
    Model::of(&[0, 1])
        .after(&[Next])
        .thread(&[Remove(0)])
        .thread(&[Contains(0), Get(0), Next])
        .timed()
        .explore([7_400, 4_200]);
}

/// As above, with a member before the two: so it shows if the cursor steps off onto the first of
/// them when that has left already.
#[test]
fn neighbours_in_the_middle_are_removed_at_once_with_the_cursor_on_the_second() {
    Model::of(&[0, 1, 2, 3])
        .after(&[Next, Next, Next])
        .thread(&[Remove(1)])
        .thread(&[Remove(2)])
        .explore([4_400, 7_500]);
}
