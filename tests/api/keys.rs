//! What a key names, and for how long.

use std::{collections::HashSet, mem::size_of};

use rondel::{Key, Ring, pin};

use crate::{
    common::{pin_until, slot_of},
    lap, ring_of,
};

#[test]
fn name_their_member_wherever_it_is_met() {
    let (ring, keys) = ring_of(3);
    let guard = pin();
    assert_eq!(ring.next(&guard).unwrap().key(), keys[0]);
    assert_eq!(ring.get(keys[1], &guard).unwrap().key(), keys[1]);
    assert_eq!(ring.back(&guard).unwrap().key(), keys[2]);
    assert!(ring.iter(&guard).map(|entry| entry.key()).eq(keys));
}

#[test]
fn that_are_stale_name_nobody() {
    let (ring, keys) = ring_of(2);
    let guard = pin();
    assert!(ring.remove(keys[0]));
    assert!(!ring.contains(keys[0]));
    assert!(ring.get(keys[0], &guard).is_none());
    assert!(!ring.remove(keys[0]));
    assert!(ring.insert_before(keys[0], 9).is_err());
    assert!(ring.insert_after(keys[0], 9).is_err());
    assert!(ring.cursor_at(keys[0]).is_none());
    assert_eq!(lap(&ring), [1]);
}

#[test]
fn of_another_ring_are_refused() {
    let (ring, keys) = ring_of(2);
    let (other, _) = ring_of(2);
    let guard = pin();
    assert!(!other.contains(keys[0]));
    assert!(other.get(keys[0], &guard).is_none());
    assert!(!other.remove(keys[0]));
    assert!(other.insert_before(keys[0], 9).is_err());
    assert!(other.insert_after(keys[0], 9).is_err());
    assert!(other.cursor_at(keys[0]).is_none());
    assert_eq!((lap(&ring), lap(&other)), (vec![0, 1], vec![0, 1]));
}

#[test]
fn of_a_ring_that_is_gone_are_refused_by_one_in_its_place() {
    let (ring, keys) = ring_of(1);
    drop(ring);
    let (next, _) = ring_of(1);
    assert!(!next.contains(keys[0]));
}

#[test]
fn are_never_given_twice_though_slots_are() {
    let enough = if cfg!(miri) { 10 } else { 1_000 };
    let ring = Ring::new();
    let (mut keys, mut slots) = (HashSet::new(), HashSet::new());
    let mut slots_used_again = 0;
    pin_until("slots are used again", || {
        for value in 0..100 {
            let key = ring.push_back(value);
            assert!(ring.remove(key));
            assert!(keys.insert(key), "{key:?} was given twice");
            slots_used_again += usize::from(!slots.insert(slot_of(key)));
        }
        slots_used_again >= enough
    });
    assert!(keys.iter().all(|&key| !ring.contains(key) && !ring.remove(key)));
}

#[test]
fn cost_nothing_more_when_optional() {
    assert_eq!(size_of::<Option<Key>>(), size_of::<Key>());
}

#[test]
fn tell_members_of_two_rings_apart() {
    let (_ring, keys) = ring_of(2);
    let (_other, others) = ring_of(2);
    let all: HashSet<_> = keys.iter().chain(&others).collect();
    assert_eq!(all.len(), 4);
}
