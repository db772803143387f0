//! Turns against everything that changes the ring.

use std::sync::Arc;

use rondel::{Ring, pin};

use crate::{
    common::sequential::{
        Accept,
        At::{After, Back, Before, Front},
        Op::{Insert, Next, NextWhere, Remove},
    },
    explore::explore,
    harness::{Clock, Model},
};

#[test]
fn next_against_removal_of_the_member_last_returned() {
    Model::of(&[0, 1, 2])
        .after(&[Next])
        .thread(&[Next])
        .thread(&[Remove(0)])
        .timed()
        .explore([2_300, 2_200]);
}

#[test]
fn next_against_removal_of_the_member_that_is_next() {
    Model::of(&[0, 1, 2])
        .after(&[Next])
        .thread(&[Next, Next])
        .thread(&[Remove(1)])
        .explore([5_500, 7_500]);
}

#[test]
fn next_against_removal_of_both_neighbours_of_the_cursor() {
    Model::of(&[0, 1, 2])
        .after(&[Next])
        .thread(&[Next])
        .thread(&[Remove(0), Remove(1)])
        .explore([15_000, 15_000]);
}

#[test]
fn next_against_an_insert_behind_the_cursor() {
    Model::of(&[0, 1])
        .after(&[Next])
        .thread(&[Next])
        .thread(&[Insert(After(0), 2)])
        .timed()
        .explore([150, 13]);
}

#[test]
fn next_past_the_end_against_pushes_at_both_ends() {
    Model::of(&[0])
        .after(&[Next])
        .thread(&[Next])
        .thread(&[Insert(Back, 1), Insert(Front, 2)])
        .explore([520, 39]);
}

/// The same where a pick has to leave its short way: the last member is beyond the first segment.
#[test]
fn next_past_the_end_from_beyond_the_first_segment_against_pushes_at_both_ends() {
    Model::of(&[0, 1, 2, 3])
        .after(&[Remove(0), Remove(1), Remove(2), Next])
        .thread(&[Next])
        .thread(&[Insert(Back, 4), Insert(Front, 5)])
        .explore([520, 39]);
}

#[test]
fn next_past_the_end_while_a_member_comes_and_goes_there() {
    Model::of(&[0, 1])
        .after(&[Next, Next])
        .thread(&[Next])
        .thread(&[Insert(Back, 2), Insert(Front, 3), Remove(2)])
        .explore([11_000, 13_000]);
}

#[test]
fn next_in_a_ring_that_becomes_empty() {
    Model::of(&[0]).thread(&[Next, Next]).thread(&[Remove(0)]).timed().explore([10_000, 15_000]);
}

#[test]
fn next_in_a_ring_that_was_empty() {
    Model::of(&[])
        .thread(&[Next, Next])
        .thread(&[Insert(Back, 0), Remove(0)])
        .explore([15_000, 15_000]);
}

#[test]
fn two_pickers_share_a_lap() {
    Model::of(&[0, 1, 2]).thread(&[Next, Next]).thread(&[Next]).timed().explore([230, 90]);
}

#[test]
fn two_pickers_against_a_removal() {
    Model::of(&[0, 1, 2])
        .after(&[Next])
        .thread(&[Next])
        .thread(&[Next])
        .thread(&[Remove(1)])
        .explore([60_000, 15_000]);
}

#[test]
fn next_against_insert_in_front_of_a_member_that_is_removed() {
    Model::of(&[0, 1])
        .after(&[Next, Next])
        .thread(&[Insert(Before(1), 2)])
        .thread(&[Remove(1), Next])
        .explore([2_300, 1_900]);
}

#[test]
fn next_where_against_removal() {
    Model::of(&[0, 1, 2])
        .after(&[Next])
        .thread(&[NextWhere(Accept::AllBut(1))])
        .thread(&[Remove(2)])
        .explore([4_100, 3_000]);
}

#[test]
fn next_where_against_inserts_on_its_way() {
    Model::of(&[0, 1, 2])
        .after(&[Next])
        .thread(&[NextWhere(Accept::AllBut(1))])
        .thread(&[Insert(After(0), 3), Insert(After(1), 4)])
        .explore([460, 50]);
}

/// A lease is two steps, the claim and the taking; what is removed in between is passed over.
#[test]
fn a_lease_against_removal() {
    explore(2, [1_500, 1_600], || {
        let ring = Arc::new(Ring::from_iter([0, 1, 2]));
        let one = {
            let guard = pin();
            assert_eq!(ring.next(&guard).map(|entry| *entry), Some(0));
            ring.iter(&guard).nth(1).expect("three members").key()
        };
        let other = Arc::clone(&ring);
        let gate = Clock::new(false);
        let others_gate = gate.clone();
        let remover = loom::thread::spawn(move || {
            others_gate.invoked();
            assert!(other.remove(one));
        });
        gate.invoked();
        let mut lease = ring.lease(2);
        let taken: Vec<i32> = {
            let guard = pin();
            std::iter::from_fn(|| lease.next(&guard)).map(|entry| *entry).collect()
        };
        remover.join().expect("the removal succeeds");
        let after = ring.next(&pin()).map(|entry| *entry);
        match *taken {
            // 1 and 2 were claimed, and 1 may have gone before its turn.
            [1, 2] | [2] => assert_eq!(after, Some(0)),
            [2, 0] => assert_eq!(after, Some(2)),
            _ => panic!("a lease of {taken:?}"),
        }
    });
}

#[test]
fn a_pick_while_the_table_grows() {
    Model::of(&[0, 1])
        .after(&[Next])
        .thread(&[Next, Next])
        .thread(&[Insert(Back, 2), Insert(Back, 3)])
        .explore([650, 68]);
}
