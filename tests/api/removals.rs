//! What a removal takes, and what it leaves alone.

use rondel::pin;

use crate::{lap, ring_of, turns};

#[test]
fn of_the_member_returned_last_leaves_its_successor_next() {
    let (ring, keys) = ring_of(3);
    assert_eq!(turns(&ring, 2), [0, 1]);
    assert!(ring.remove(keys[1]));
    assert_eq!(turns(&ring, 3), [2, 0, 2]);
}

#[test]
fn of_the_first_with_the_cursor_on_it_goes_back_before_the_first() {
    let (ring, keys) = ring_of(2);
    assert_eq!(turns(&ring, 1), [0]);
    assert!(ring.remove(keys[0]));
    ring.push_front(2);
    assert_eq!(turns(&ring, 2), [2, 1]);
}

#[test]
fn of_the_last_with_the_cursor_on_it_does_not_skip_a_later_one() {
    let (ring, keys) = ring_of(2);
    assert_eq!(turns(&ring, 2), [0, 1]);
    assert!(ring.remove(keys[1]));
    ring.push_back(2);
    assert_eq!(turns(&ring, 2), [2, 0]);
}

#[test]
fn of_the_cursor_and_then_its_predecessor_still_leaves_the_successor_next() {
    let (ring, keys) = ring_of(4);
    assert_eq!(turns(&ring, 3), [0, 1, 2]);
    assert!(ring.remove(keys[2]));
    assert!(ring.remove(keys[1]));
    assert_eq!(turns(&ring, 2), [3, 0]);
}

#[test]
fn right_after_the_cursor_costs_only_the_removed_its_turn() {
    let (ring, keys) = ring_of(3);
    assert_eq!(turns(&ring, 1), [0]);
    assert!(ring.remove(keys[1]));
    assert_eq!(turns(&ring, 3), [2, 0, 2]);
}

#[test]
fn right_before_the_cursor_changes_nobodys_turn() {
    let (ring, keys) = ring_of(3);
    assert_eq!(turns(&ring, 2), [0, 1]);
    assert!(ring.remove(keys[0]));
    assert_eq!(turns(&ring, 3), [2, 1, 2]);
}

#[test]
fn happen_once() {
    let (ring, keys) = ring_of(2);
    assert!(ring.remove(keys[0]));
    assert!(!ring.remove(keys[0]));
    assert_eq!(ring.len(), 1);
}

#[test]
fn are_shown_by_an_entry_that_is_still_held() {
    let (ring, keys) = ring_of(1);
    let guard = pin();
    let entry = ring.get(keys[0], &guard).unwrap();
    assert!(!entry.is_removed());
    assert!(ring.remove(keys[0]));
    assert!(entry.is_removed());
    assert_eq!(*entry.value(), 0);
}

#[test]
fn of_everybody_leave_an_empty_ring_and_a_fresh_start() {
    let (ring, keys) = ring_of(50);
    turns(&ring, 17);
    assert!(keys.iter().rev().all(|&key| ring.remove(key)));
    assert_eq!(lap(&ring), []);
    assert_eq!(turns(&ring, 1), []);
}

#[test]
fn pops_take_the_ends() {
    let (ring, keys) = ring_of(4);
    let guard = pin();
    let first = ring.pop_front(&guard).unwrap();
    let last = ring.pop_back(&guard).unwrap();
    assert_eq!((*first, first.key(), first.is_removed()), (0, keys[0], true));
    assert_eq!((*last, last.key(), last.is_removed()), (3, keys[3], true));
    assert_eq!(lap(&ring), [1, 2]);
    assert_eq!(*ring.pop_back(&guard).unwrap(), 2);
    assert_eq!(*ring.pop_back(&guard).unwrap(), 1);
    assert!(ring.pop_back(&guard).is_none());
    assert!(ring.pop_front(&guard).is_none());
}

#[test]
fn pops_move_the_cursor_as_a_removal_does() {
    let (ring, _) = ring_of(3);
    assert_eq!(turns(&ring, 1), [0]);
    assert_eq!(*ring.pop_front(&pin()).unwrap(), 0);
    assert_eq!(turns(&ring, 2), [1, 2]);
    assert_eq!(*ring.pop_back(&pin()).unwrap(), 2);
    assert_eq!(turns(&ring, 2), [1, 1]);
}

#[test]
fn retain_keeps_whom_it_is_told_and_asks_in_order() {
    let (ring, _) = ring_of(6);
    let mut asked = Vec::new();
    ring.retain(|&value| {
        asked.push(value);
        value % 2 == 0
    });
    assert_eq!(asked, [0, 1, 2, 3, 4, 5]);
    assert_eq!(lap(&ring), [0, 2, 4]);
}

#[test]
fn clear_leaves_nobody_and_a_ring_that_works() {
    let (ring, keys) = ring_of(40);
    turns(&ring, 7);
    ring.clear();
    assert!(ring.is_empty());
    assert!(keys.iter().all(|&key| !ring.contains(key)));
    ring.push_back(1);
    assert_eq!(turns(&ring, 2), [1, 1]);
}
