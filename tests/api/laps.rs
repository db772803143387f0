//! Laps from both ends.

use std::collections::HashSet;

use rondel::{Ring, pin};

use crate::ring_of;

#[test]
fn from_both_ends_meet_in_the_middle() {
    for members in 0..6 {
        let (ring, _) = ring_of(members);
        let guard = pin();
        let mut iter = ring.iter(&guard);
        let mut shown = Vec::new();
        while let Some(front) = iter.next() {
            shown.push(*front);
            shown.extend(iter.next_back().map(|back| *back));
        }
        assert!(iter.next().is_none() && iter.next_back().is_none());
        shown.sort_unstable();
        assert_eq!(shown, (0..members).collect::<Vec<_>>());
    }
}

#[test]
fn pass_over_what_was_removed_ahead_of_either_end() {
    let (ring, keys) = ring_of(6);
    let guard = pin();
    let mut iter = ring.iter(&guard);
    assert_eq!(*iter.next().unwrap(), 0);
    assert_eq!(*iter.next_back().unwrap(), 5);
    ring.remove(keys[1]);
    ring.remove(keys[4]);
    assert_eq!(*iter.next().unwrap(), 2);
    assert_eq!(*iter.next_back().unwrap(), 3);
    assert!(iter.next().is_none());
    assert!(iter.next_back().is_none());
}

#[test]
fn go_on_when_the_member_shown_last_is_removed_at_either_end() {
    let (ring, keys) = ring_of(4);
    let guard = pin();
    let mut iter = ring.iter(&guard);
    assert_eq!(*iter.next().unwrap(), 0);
    assert_eq!(*iter.next_back().unwrap(), 3);
    ring.remove(keys[0]);
    ring.remove(keys[3]);
    assert_eq!(*iter.next_back().unwrap(), 2);
    assert_eq!(*iter.next().unwrap(), 1);
    assert!(iter.next().is_none());
}

#[test]
fn end_when_everybody_leaves() {
    let (ring, _) = ring_of(10);
    let guard = pin();
    let mut iter = ring.iter(&guard);
    assert_eq!(*iter.next().unwrap(), 0);
    assert_eq!(*iter.next_back().unwrap(), 9);
    ring.clear();
    assert!(iter.next().is_none());
    assert!(iter.next_back().is_none());
}

#[test]
fn show_nobody_twice_whatever_is_inserted_where_the_ends_stand() {
    let (ring, keys) = ring_of(4);
    let guard = pin();
    let mut iter = ring.iter(&guard);
    let mut shown = vec![*iter.next().unwrap(), *iter.next_back().unwrap()];
    for (place, &key) in keys.iter().enumerate() {
        let place = u32::try_from(place).unwrap();
        ring.insert_before(key, 10 + place).unwrap();
        ring.insert_after(key, 20 + place).unwrap();
    }
    while let Some(entry) = iter.next_back() {
        shown.push(*entry);
        shown.extend(iter.next().map(|entry| *entry));
    }
    let distinct: HashSet<_> = shown.iter().copied().collect();
    assert_eq!(distinct.len(), shown.len(), "{shown:?}");
    assert!((0..4).all(|stayed| distinct.contains(&stayed)), "{shown:?}");
}

#[test]
fn of_a_member_that_comes_to_an_empty_ring_end_all_the_same() {
    let ring = Ring::new();
    let guard = pin();
    let mut iter = ring.iter(&guard);
    ring.push_back(0);
    assert!(iter.by_ref().count() <= 1);
    assert!(iter.next_back().is_none());
}
