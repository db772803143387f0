//! Panics of the caller's code, which lose nothing and leak nothing.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use rondel::{Ring, pin};

use crate::{
    assert_panics,
    common::{
        counted::{Counted, Tally},
        elsewhere, pin_until,
    },
};

fn counted(tally: &Arc<Tally>, members: u32) -> Ring<Counted> {
    (0..members).map(|name| tally.value(name)).collect()
}

fn names(ring: &Ring<Counted>) -> Vec<u32> {
    ring.iter(&pin()).map(|entry| entry.name()).collect()
}

#[test]
fn in_accept_cost_nobody_a_turn() {
    let tally = Tally::new();
    let ring = counted(&tally, 3);
    ring.next(&pin()).unwrap();
    assert_panics(|| {
        ring.next_where(&pin(), |value| if value.name() == 2 { panic!("2") } else { false });
    });
    assert_eq!(ring.next(&pin()).unwrap().name(), 1);
    assert_eq!(names(&ring), [0, 1, 2]);
    drop(ring);
    tally.assert_all_dropped();
}

#[test]
fn in_keep_leave_the_members_not_asked_yet() {
    let tally = Tally::new();
    let ring = counted(&tally, 4);
    assert_panics(|| ring.retain(|value| if value.name() == 2 { panic!("2") } else { false }));
    assert_eq!(names(&ring), [2, 3]);
    assert_eq!(ring.len(), 2);
    drop(ring);
    tally.assert_all_dropped();
}

#[test]
fn in_clone_take_the_turn_and_nothing_else() {
    struct Brittle(u32);
    impl Clone for Brittle {
        fn clone(&self) -> Self {
            assert_ne!(self.0, 0, "brittle");
            Self(self.0)
        }
    }
    let ring: Ring<Brittle> = (0..2).map(Brittle).collect();
    assert_panics(|| {
        ring.next_cloned();
    });
    assert_eq!(ring.next_cloned().unwrap().0, 1);
    assert_eq!(ring.len(), 2);
}

/// Counts its drops, and panics in some.
struct Explosive {
    explodes: bool,
    drops: Arc<AtomicUsize>,
}

impl Drop for Explosive {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Relaxed);
        assert!(!self.explodes, "explosive");
    }
}

fn explosives(drops: &Arc<AtomicUsize>, explode: fn(usize) -> bool) -> Ring<Explosive> {
    (0..10).map(|place| Explosive { explodes: explode(place), drops: Arc::clone(drops) }).collect()
}

#[test]
fn in_a_drop_with_the_ring_are_passed_on_once_all_values_are_dropped() {
    let drops = Arc::new(AtomicUsize::new(0));
    let ring = explosives(&drops, |place| place % 3 == 0);
    assert_panics(|| drop(ring));
    assert_eq!(drops.load(Relaxed), 10);
}

#[test]
#[cfg_attr(miri, ignore = "a panic within another shows where it came from, which takes minutes")]
fn in_a_drop_with_the_ring_do_not_abort_one_that_is_on_its_way() {
    let drops = Arc::new(AtomicUsize::new(0));
    let ring = explosives(&drops, |_| true);
    assert_panics(|| {
        let _ring = ring;
        panic!("first");
    });
    assert_eq!(drops.load(Relaxed), 10);
}

#[test]
fn in_a_drop_after_a_removal_stop_no_other_drop_and_reach_no_caller() {
    let drops = Arc::new(AtomicUsize::new(0));
    let ring = explosives(&drops, |place| place % 2 == 0);
    // A thread that ends hands on what waits to be dropped.
    elsewhere(|| ring.clear());
    pin_until("the removed are dropped", || drops.load(Relaxed) == 10);
    ring.push_back(Explosive { explodes: false, drops: Arc::clone(&drops) });
    assert_eq!(ring.len(), 1);
    drop(ring);
    assert_eq!(drops.load(Relaxed), 11);
}
