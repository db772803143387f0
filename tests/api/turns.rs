//! Turns of a ring that nobody changes.

use rondel::{Ring, pin};

use crate::{lap, ring_of, turns};

#[test]
fn an_empty_ring_has_nobody_to_show() {
    let ring: Ring<u32> = Ring::new();
    let guard = pin();
    assert!(ring.is_empty());
    assert_eq!(ring.len(), 0);
    assert!(ring.next(&guard).is_none());
    assert!(ring.next_where(&guard, |_| true).is_none());
    assert!(ring.next_cloned().is_none());
    assert!(ring.front(&guard).is_none());
    assert!(ring.back(&guard).is_none());
    assert!(ring.pop_front(&guard).is_none());
    assert!(ring.pop_back(&guard).is_none());
    assert!(ring.iter(&guard).next().is_none());
    assert!(ring.iter(&guard).next_back().is_none());
    assert!(ring.cursor().move_next(&guard).is_none());
    assert!(ring.cursor().move_prev(&guard).is_none());
    assert!(ring.lease(3).next(&guard).is_none());
}

#[test]
fn a_single_member_has_every_turn() {
    let (ring, keys) = ring_of(1);
    assert_eq!(turns(&ring, 3), [0, 0, 0]);
    let guard = pin();
    assert_eq!(ring.next(&guard).unwrap().key(), keys[0]);
    assert_eq!(ring.front(&guard).unwrap().key(), ring.back(&guard).unwrap().key());
}

#[test]
fn two_members_alternate() {
    let (ring, _) = ring_of(2);
    assert_eq!(turns(&ring, 5), [0, 1, 0, 1, 0]);
}

#[test]
fn a_full_rotation_shows_every_member_in_order() {
    let (ring, _) = ring_of(100);
    let lap: Vec<u32> = (0..100).collect();
    assert_eq!(turns(&ring, 100), lap);
    assert_eq!(turns(&ring, 100), lap);
}

#[test]
fn a_ring_that_was_emptied_starts_again_with_the_next_member() {
    let (ring, keys) = ring_of(2);
    assert_eq!(turns(&ring, 2), [0, 1]);
    for key in keys {
        assert!(ring.remove(key));
    }
    assert_eq!(turns(&ring, 1), []);
    ring.push_back(2);
    ring.push_front(3);
    assert_eq!(turns(&ring, 3), [3, 2, 3]);
}

#[test]
fn next_cloned_takes_a_turn_like_next() {
    let (ring, _) = ring_of(3);
    assert_eq!(ring.next_cloned(), Some(0));
    assert_eq!(turns(&ring, 1), [1]);
    assert_eq!(ring.next_cloned(), Some(2));
}

#[test]
fn neither_a_lap_nor_a_look_moves_the_cursor() {
    let (ring, keys) = ring_of(3);
    assert_eq!(turns(&ring, 1), [0]);
    let guard = pin();
    assert_eq!(lap(&ring), [0, 1, 2]);
    ring.front(&guard).unwrap();
    ring.back(&guard).unwrap();
    ring.get(keys[2], &guard).unwrap();
    ring.cursor().move_next(&guard).unwrap();
    assert_eq!(turns(&ring, 1), [1]);
}
