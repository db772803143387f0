//! Where a new member stands, and when its turn comes.

use rondel::{InsertError, Ring, pin};

use crate::{common::counted::Tally, lap, ring_of, turns};

#[test]
fn members_stand_where_they_were_inserted() {
    let ring = Ring::new();
    let two = ring.push_back(2);
    ring.push_front(0);
    ring.insert_before(two, 1).unwrap();
    ring.insert_after(two, 3).unwrap();
    ring.push_back(4);
    assert_eq!(lap(&ring), [0, 1, 2, 3, 4]);
}

#[test]
fn before_the_first_turn_the_front_is_next() {
    let ring = Ring::new();
    ring.push_back(1);
    ring.push_front(0);
    assert_eq!(turns(&ring, 2), [0, 1]);
}

#[test]
fn a_member_right_after_the_cursor_is_next() {
    let (ring, keys) = ring_of(3);
    assert_eq!(turns(&ring, 2), [0, 1]);
    ring.insert_after(keys[1], 10).unwrap();
    assert_eq!(turns(&ring, 3), [10, 2, 0]);
}

#[test]
fn a_member_right_before_the_cursor_waits_for_the_next_lap() {
    let (ring, keys) = ring_of(3);
    assert_eq!(turns(&ring, 2), [0, 1]);
    ring.insert_before(keys[1], 10).unwrap();
    assert_eq!(turns(&ring, 5), [2, 0, 10, 1, 2]);
}

#[test]
fn of_two_after_the_cursor_the_later_is_next() {
    let (ring, keys) = ring_of(2);
    assert_eq!(turns(&ring, 1), [0]);
    ring.insert_after(keys[0], 10).unwrap();
    ring.insert_after(keys[0], 11).unwrap();
    assert_eq!(turns(&ring, 4), [11, 10, 1, 0]);
}

#[test]
fn behind_the_last_with_the_cursor_there_is_next() {
    let (ring, _) = ring_of(2);
    assert_eq!(turns(&ring, 2), [0, 1]);
    ring.push_back(2);
    assert_eq!(turns(&ring, 2), [2, 0]);
}

#[test]
fn in_front_with_the_cursor_on_the_last_is_next_too() {
    let (ring, _) = ring_of(2);
    assert_eq!(turns(&ring, 2), [0, 1]);
    ring.push_front(2);
    assert_eq!(turns(&ring, 3), [2, 0, 1]);
}

#[test]
fn a_refused_insert_gives_the_value_back() {
    let tally = Tally::new();
    let ring = Ring::new();
    let gone = ring.push_back(tally.value(0));
    let foreign = Ring::from_iter([tally.value(1)]).push_back(tally.value(2));
    assert!(ring.remove(gone));
    for at in [gone, foreign] {
        let before = ring.insert_before(at, tally.value(10)).unwrap_err();
        let after = ring.insert_after(at, tally.value(11)).unwrap_err();
        assert_eq!(before.into_inner().name(), 10);
        assert_eq!(after.into_inner().name(), 11);
    }
    assert!(ring.is_empty());
    drop(ring);
    tally.assert_all_dropped();
}

#[test]
fn a_refused_insert_needs_no_debug_of_the_value() {
    struct Plain;
    let ring = Ring::new();
    let gone = ring.push_back(Plain);
    ring.remove(gone);
    let error: InsertError<Plain> = ring.insert_after(gone, Plain).unwrap_err();
    let error: &dyn std::error::Error = &error;
    assert!(error.to_string().contains("in this ring"), "{error}");
    assert!(format!("{error:?}").contains("InsertError"));
}

#[test]
fn a_ring_grows_past_several_segments() {
    let members = if cfg!(miri) { 100 } else { 100_000 };
    let (ring, keys) = ring_of(members);
    let guard = pin();
    assert_eq!(ring.len(), members as usize);
    assert!(ring.iter(&guard).map(|entry| *entry).eq(0..members));
    assert!(ring.iter(&guard).rev().map(|entry| *entry).eq((0..members).rev()));
    assert!((0..members).all(|value| *ring.next(&guard).unwrap() == value));
    assert!((0..members).zip(&keys).all(|(value, &key)| *ring.get(key, &guard).unwrap() == value));
    assert!(keys.iter().all(|&key| ring.remove(key)));
    assert!(ring.is_empty());
}
