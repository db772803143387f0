//! Positions of one's own.

use std::thread;

use rondel::{Cursor, pin};

use crate::ring_of;

fn value(cursor: &Cursor<'_, u32>) -> Option<u32> {
    cursor.current(&pin()).map(|entry| *entry)
}

#[test]
fn start_before_the_first_and_go_round_both_ways() {
    let (ring, _) = ring_of(3);
    let guard = pin();
    let mut cursor = ring.cursor();
    assert_eq!(value(&cursor), None);
    let forward: Vec<_> = (0..4).map(|_| *cursor.move_next(&guard).unwrap()).collect();
    assert_eq!(forward, [0, 1, 2, 0]);
    assert_eq!(value(&cursor), Some(0));
    let backward: Vec<_> = (0..4).map(|_| *cursor.move_prev(&guard).unwrap()).collect();
    assert_eq!(backward, [2, 1, 0, 2]);
}

#[test]
fn step_back_from_before_the_first_onto_the_last() {
    let (ring, _) = ring_of(3);
    assert_eq!(*ring.cursor().move_prev(&pin()).unwrap(), 2);
}

#[test]
fn begin_on_the_member_they_are_told() {
    let (ring, keys) = ring_of(3);
    let guard = pin();
    let mut cursor = ring.cursor_at(keys[1]).unwrap();
    assert_eq!(value(&cursor), Some(1));
    assert_eq!(*cursor.move_next(&guard).unwrap(), 2);
    let mut cursor = ring.cursor_at(keys[1]).unwrap();
    assert_eq!(*cursor.move_prev(&guard).unwrap(), 0);
}

#[test]
fn on_a_removed_member_show_nothing_and_go_on_from_its_place() {
    let (ring, keys) = ring_of(4);
    let guard = pin();
    let mut forward = ring.cursor_at(keys[1]).unwrap();
    let mut backward = ring.cursor_at(keys[1]).unwrap();
    ring.remove(keys[1]);
    assert_eq!(value(&forward), None);
    assert_eq!(*forward.move_next(&guard).unwrap(), 2);
    assert_eq!(*backward.move_prev(&guard).unwrap(), 0);
}

#[test]
fn start_again_when_the_member_and_the_one_before_are_removed() {
    let (ring, keys) = ring_of(4);
    let guard = pin();
    let mut cursor = ring.cursor_at(keys[2]).unwrap();
    ring.remove(keys[2]);
    ring.remove(keys[1]);
    assert_eq!(*cursor.move_next(&guard).unwrap(), 0);
}

#[test]
fn on_a_first_member_that_was_removed_go_on_to_the_new_first() {
    let (ring, keys) = ring_of(2);
    let guard = pin();
    let mut cursor = ring.cursor_at(keys[0]).unwrap();
    ring.remove(keys[0]);
    assert_eq!(*cursor.move_next(&guard).unwrap(), 1);
}

#[test]
fn in_a_ring_that_was_emptied_come_to_nobody_and_then_to_the_new() {
    let (ring, keys) = ring_of(2);
    let guard = pin();
    let mut cursor = ring.cursor_at(keys[1]).unwrap();
    ring.clear();
    assert!(cursor.move_next(&guard).is_none());
    assert!(cursor.move_prev(&guard).is_none());
    ring.push_back(9);
    assert_eq!(*cursor.move_prev(&guard).unwrap(), 9);
}

#[test]
fn see_members_inserted_beside_them() {
    let (ring, keys) = ring_of(2);
    let guard = pin();
    let mut cursor = ring.cursor_at(keys[0]).unwrap();
    ring.insert_after(keys[0], 8).unwrap();
    assert_eq!(*cursor.move_next(&guard).unwrap(), 8);
    ring.insert_before(keys[1], 9).unwrap();
    assert_eq!(*cursor.move_next(&guard).unwrap(), 9);
    assert_eq!(*cursor.move_prev(&guard).unwrap(), 8);
}

#[test]
fn may_be_taken_to_another_thread() {
    let (ring, keys) = ring_of(3);
    let mut cursor = ring.cursor_at(keys[0]).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || assert_eq!(*cursor.move_next(&pin()).unwrap(), 1));
    });
}
