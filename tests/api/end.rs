//! The end of a ring.

use std::sync::Arc;

use rondel::{Ring, pin};

use crate::common::{
    counted::{Counted, Tally},
    pin_until,
};

#[test]
fn of_a_ring_drops_its_members() {
    let tally = Tally::new();
    let ring: Ring<Counted> = (0..100).map(|name| tally.value(name)).collect();
    assert_eq!(tally.alive(), 100);
    drop(ring);
    tally.assert_all_dropped();
}

#[test]
fn of_a_ring_drops_at_once_what_waits_for_a_guard() {
    let tally = Tally::new();
    let guard = pin();
    let ring: Ring<Counted> = (0..10).map(|name| tally.value(name)).collect();
    ring.pop_front(&guard).unwrap();
    ring.retain(|value| value.name() % 2 == 0);
    assert_eq!(tally.dropped(), 0, "the guard keeps the removed");
    drop(ring);
    tally.assert_all_dropped();
    drop(guard);
    pin_until("what waited is let go", || Arc::strong_count(&tally) == 1);
    tally.assert_all_dropped();
}

#[test]
fn of_an_empty_ring_is_nothing() {
    drop(Ring::<Counted>::new());
}
