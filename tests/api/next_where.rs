//! Turns of some members only.

use rondel::pin;

use crate::{ring_of, turns};

#[test]
fn passes_over_the_refused_who_keep_their_neighbours_turns() {
    let (ring, _) = ring_of(4);
    let guard = pin();
    assert_eq!(*ring.next_where(&guard, |value| value % 2 == 1).unwrap(), 1);
    assert_eq!(*ring.next_where(&guard, |value| value % 2 == 1).unwrap(), 3);
    assert_eq!(*ring.next_where(&guard, |value| value % 2 == 1).unwrap(), 1);
    assert_eq!(turns(&ring, 1), [2]);
}

#[test]
fn asks_each_member_once_from_the_cursor_on_and_stops_after_one_lap() {
    let (ring, _) = ring_of(4);
    assert_eq!(turns(&ring, 2), [0, 1]);
    let mut asked = Vec::new();
    let guard = pin();
    let nobody = ring.next_where(&guard, |&value| {
        asked.push(value);
        false
    });
    assert!(nobody.is_none());
    assert_eq!(asked, [2, 3, 0, 1]);
}

#[test]
fn leaves_the_cursor_where_it_was_when_nobody_is_wanted() {
    let (ring, _) = ring_of(3);
    assert!(ring.next_where(&pin(), |_| false).is_none());
    assert_eq!(turns(&ring, 1), [0]);
    assert!(ring.next_where(&pin(), |_| false).is_none());
    assert_eq!(turns(&ring, 1), [1]);
}

#[test]
fn from_before_the_first_asks_all_from_the_front() {
    let (ring, _) = ring_of(3);
    let mut asked = Vec::new();
    assert!(
        ring.next_where(&pin(), |&value| {
            asked.push(value);
            false
        })
        .is_none()
    );
    assert_eq!(asked, [0, 1, 2]);
}

#[test]
fn wraps_round_to_members_before_the_cursor() {
    let (ring, _) = ring_of(4);
    assert_eq!(turns(&ring, 3), [0, 1, 2]);
    assert_eq!(*ring.next_where(&pin(), |&value| value == 1).unwrap(), 1);
    assert_eq!(turns(&ring, 1), [2]);
}

#[test]
fn may_return_the_member_under_the_cursor_after_a_full_lap() {
    let (ring, _) = ring_of(3);
    assert_eq!(turns(&ring, 2), [0, 1]);
    assert_eq!(*ring.next_where(&pin(), |&value| value == 1).unwrap(), 1);
    assert_eq!(turns(&ring, 1), [2]);
}

#[test]
fn takes_no_turn_of_a_member_that_was_removed_while_it_asked() {
    let (ring, keys) = ring_of(3);
    let guard = pin();
    let found = ring.next_where(&guard, |&value| {
        ring.remove(keys[0]);
        value == 0 || value == 2
    });
    assert_eq!(*found.unwrap(), 2);
}

#[test]
fn ends_when_everybody_leaves_as_it_asks() {
    let (ring, keys) = ring_of(3);
    let guard = pin();
    assert!(ring.next_where(&guard, |&value| ring.remove(keys[value as usize])).is_none());
    assert!(ring.is_empty());
}
