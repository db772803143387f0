//! Turns claimed at once.

use std::thread;

use rondel::{Lease, pin};

use crate::{
    common::{pin_until, slot_of},
    ring_of, turns,
};

fn rest(lease: &mut Lease<'_, u32>) -> Vec<u32> {
    let guard = pin();
    std::iter::from_fn(|| lease.next(&guard)).map(|entry| *entry).collect()
}

#[test]
fn claim_consecutive_turns_at_once() {
    let (ring, _) = ring_of(5);
    assert_eq!(turns(&ring, 1), [0]);
    let mut lease = ring.lease(3);
    assert_eq!(turns(&ring, 1), [4]);
    assert_eq!(rest(&mut lease), [1, 2, 3]);
    assert_eq!(turns(&ring, 1), [0]);
}

#[test]
fn of_more_turns_than_members_go_round() {
    let (ring, _) = ring_of(3);
    assert_eq!(rest(&mut ring.lease(7)), [0, 1, 2, 0, 1, 2, 0]);
    assert_eq!(turns(&ring, 1), [1]);
}

#[test]
fn claim_at_most_their_maximum() {
    let (ring, _) = ring_of(1);
    let mut lease = ring.lease(usize::MAX);
    assert_eq!(lease.remaining(), Lease::<u32>::MAX);
    assert_eq!(rest(&mut lease).len(), Lease::<u32>::MAX);
}

#[test]
fn of_no_turns_claim_none() {
    let (ring, _) = ring_of(2);
    let mut lease = ring.lease(0);
    assert_eq!(lease.remaining(), 0);
    assert!(lease.next(&pin()).is_none());
    assert_eq!(turns(&ring, 1), [0]);
}

#[test]
fn are_renewed_once_they_are_used_up() {
    let (ring, _) = ring_of(3);
    let mut lease = ring.lease(2);
    let guard = pin();
    assert_eq!(*lease.next(&guard).unwrap(), 0);
    lease.renew(5, &guard); // one turn is left: it is kept, and no other is claimed
    assert_eq!(rest(&mut lease), [1]);
    lease.renew(4, &guard);
    assert_eq!(lease.remaining(), 4);
    assert_eq!(turns(&ring, 1), [0]);
    assert_eq!(rest(&mut lease), [2, 0, 1, 2]);
}

#[test]
fn pass_over_members_that_were_removed() {
    let (ring, keys) = ring_of(4);
    let mut lease = ring.lease(4);
    let guard = pin();
    assert_eq!(*lease.next(&guard).unwrap(), 0);
    ring.remove(keys[1]);
    ring.remove(keys[2]);
    assert_eq!(lease.remaining(), 3);
    assert_eq!(*lease.next(&guard).unwrap(), 3);
    assert_eq!(lease.remaining(), 0);
    assert!(lease.next(&guard).is_none());
    assert!(lease.next(&guard).is_none());
}

#[test]
fn do_not_show_a_member_that_took_a_removed_ones_slot() {
    let (ring, keys) = ring_of(1);
    let mut lease = ring.lease(2);
    // A thread that ends hands on what waits for the slot to be free.
    thread::scope(|scope| {
        scope.spawn(|| assert!(ring.remove(keys[0])));
    });
    pin_until("the slot is used again", || slot_of(ring.push_back(1)) == slot_of(keys[0]));
    assert_eq!(rest(&mut lease), []);
}

#[test]
fn that_are_dropped_early_have_used_their_turns() {
    let (ring, _) = ring_of(5);
    assert_eq!(*ring.lease(3).next(&pin()).unwrap(), 0);
    assert_eq!(turns(&ring, 3), [3, 4, 0]);
}

#[test]
fn do_not_include_members_inserted_later() {
    let (ring, keys) = ring_of(2);
    let mut lease = ring.lease(3);
    ring.insert_after(keys[0], 9).unwrap();
    assert_eq!(rest(&mut lease), [0, 1, 0]);
}
