//! When a value is dropped, and when its slot is used again: not before nobody can see it, and then
//! before long.

#![cfg(not(rondel_loom))]

use std::{
    cell::RefCell,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use rondel::{Key, Ring, pin};

use crate::common::{
    alone,
    counted::{Counted, Tally},
    elsewhere, pin_until,
    sequential::Name,
    slot_of, times,
};

mod common;

/// What a thread may keep to itself before it hands it on: the length of the reclamation's bag.
const BAG: usize = 64;

/// More members than fit into some bags, which are smaller under Miri.
const MANY: Name = if cfg!(miri) { 50 } else { 1000 };

/// Does enough for everything to be dropped that may be, and more.
fn pin_for_long() {
    elsewhere(|| {
        for _ in 0..times(20_000, 500) {
            drop(pin());
        }
    });
}

#[test]
fn a_removed_value_stays_while_a_guard_shows_it_and_then_goes() {
    let _alone = alone();
    let tally = Tally::new();
    let ring = Ring::new();
    let key = ring.push_back(tally.value(7));
    let guard = pin();
    let entry = ring.get(key, &guard).unwrap();
    elsewhere(|| assert!(ring.remove(key)));
    pin_for_long();
    assert_eq!(entry.name(), 7);
    assert_eq!(tally.dropped(), 0);
    drop(guard);
    pin_until("the value is dropped", || tally.dropped() == 1);
    tally.assert_sound();
}

#[test]
fn a_popped_value_stays_while_a_guard_shows_it_and_then_goes() {
    let _alone = alone();
    let tally = Tally::new();
    let ring: Ring<Counted> = (0..2).map(|name| tally.value(name)).collect();
    elsewhere(|| {
        let guard = pin();
        let popped = [ring.pop_front(&guard).unwrap(), ring.pop_back(&guard).unwrap()];
        pin_for_long();
        assert_eq!(popped.map(|entry| entry.name()), [0, 1]);
        assert_eq!(tally.dropped(), 0);
    });
    pin_until("the values are dropped", || tally.dropped() == 2);
    tally.assert_sound();
}

#[test]
fn values_go_while_their_ring_lives_on() {
    let _alone = alone();
    let tally = Tally::new();
    let ring: Ring<Counted> = (0..MANY).map(|name| tally.value(name)).collect();
    elsewhere(|| ring.retain(|value| value.name() % 10 == 0));
    let staying = ring.len();
    assert_eq!(staying, MANY as usize / 10);
    pin_until("the removed are dropped", || tally.alive() == staying);
    tally.assert_sound();
    assert_eq!(ring.iter(&pin()).filter(|entry| entry.name() % 10 == 0).count(), staying);
    drop(ring);
    tally.await_all_dropped();
}

#[test]
fn a_thread_that_goes_on_keeps_no_more_than_a_bag_of_them() {
    let _alone = alone();
    let tally = Tally::new();
    let ring: Ring<Counted> = (0..MANY).map(|name| tally.value(name)).collect();
    elsewhere(|| {
        ring.clear();
        pin_until("most are dropped", || tally.alive() <= BAG);
    });
    // Now that the thread has ended.
    tally.await_all_dropped();
}

#[test]
fn a_stalled_guard_delays_every_drop_and_then_all_come() {
    let _alone = alone();
    let tally = Tally::new();
    let ring = Ring::new();
    let churn = |rounds| {
        let keys = (0..rounds).map(|_| ring.push_back(tally.value(0)));
        let slots = keys.map(|key| {
            assert!(ring.remove(key));
            slot_of(key)
        });
        slots.max().expect("some rounds")
    };
    let rounds = times(5_000, 100);

    let guard = pin();
    let grown = elsewhere(|| churn(rounds));
    assert!(grown >= rounds, "no slot is used again");
    assert_eq!(tally.dropped(), 0, "no value is dropped");
    drop(guard);

    pin_until("all are dropped", || tally.alive() == 0);
    let later = elsewhere(|| churn(rounds));
    assert!(later <= grown, "slot {later}, though there were {grown} to use again");
    tally.await_all_dropped();
}

#[test]
fn slots_are_used_again_so_a_small_ring_stays_small() {
    let _alone = alone();
    let ring = Ring::new();
    let rounds = times(50_000, 60);
    let mut largest = 0;
    for _ in 0..4 {
        ring.push_back(0_u64);
    }
    for round in 0..rounds {
        let key = ring.push_back(round as u64);
        largest = largest.max(slot_of(key));
        ring.next_cloned().expect("members");
        ring.pop_front(&pin()).expect("members");
    }
    // Some bags that wait for their grace period; nothing that grows with the rounds.
    let bound = 10 * BAG;
    assert!(largest < bound, "slot {largest} after {rounds} rounds");
}

#[test]
fn slots_are_used_again_under_the_churn_of_several_threads() {
    let _alone = alone();
    let ring = Ring::new();
    let rounds = times(100_000, 60);
    let threads = 3;
    let over = AtomicBool::new(false);
    let largest = thread::scope(|scope| {
        // Picks all the while, and so is pinned when others want to reclaim.
        scope.spawn(|| {
            while !over.load(SeqCst) {
                ring.next_cloned();
            }
        });
        let churners: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut largest = 0;
                    let mut own: Vec<Key> = Vec::new();
                    for round in 0..rounds / threads {
                        let key = ring.push_front(round);
                        largest = largest.max(slot_of(key));
                        own.push(key);
                        if own.len() > 3 {
                            assert!(ring.remove(own.swap_remove(round % 4)));
                        }
                    }
                    largest
                })
            })
            .collect();
        let largest: Vec<_> = churners.into_iter().map(|churner| churner.join().unwrap()).collect();
        over.store(true, SeqCst);
        largest.into_iter().max().unwrap()
    });
    // A thread that is not scheduled while pinned delays the others for some milliseconds; so the
    // bound is a loose one.
    assert!(cfg!(miri) || largest < rounds / 2, "slot {largest} after {rounds} rounds");
}

#[test]
fn a_ring_may_be_dropped_on_another_thread() {
    let _alone = alone();
    let tally = Tally::new();
    let ring: Ring<Counted> = (0..100).map(|name| tally.value(name)).collect();
    ring.retain(|value| value.name() % 2 == 0);
    elsewhere(move || drop(ring));
    tally.await_all_dropped();
}

#[test]
fn the_last_owner_of_a_shared_ring_drops_it() {
    let _alone = alone();
    let tally = Tally::new();
    let ring: Arc<Ring<Counted>> = Arc::new((0..10).map(|name| tally.value(name)).collect());
    let barrier = Barrier::new(3);
    thread::scope(|scope| {
        for _ in 0..3 {
            let (barrier, ring) = (&barrier, Arc::clone(&ring));
            scope.spawn(move || {
                barrier.wait();
                ring.pop_front(&pin()).expect("members");
            });
        }
        drop(ring);
    });
    tally.await_all_dropped();
}

/// A value whose drop inserts into, and removes from, another ring.
struct Restless {
    other: Arc<Ring<usize>>,
    drops: Arc<AtomicUsize>,
}

impl Drop for Restless {
    fn drop(&mut self) {
        let key = self.other.push_back(self.drops.fetch_add(1, SeqCst));
        self.other.push_back(0);
        assert!(self.other.remove(key));
    }
}

#[test]
fn a_drop_may_use_another_ring() {
    let _alone = alone();
    let other = Arc::new(Ring::new());
    let drops = Arc::new(AtomicUsize::new(0));
    let restless = || Restless { other: Arc::clone(&other), drops: Arc::clone(&drops) };
    let ring = Ring::new();
    for _ in 0..MANY {
        ring.push_back(restless());
    }
    elsewhere(|| ring.clear());
    pin_until("all are dropped", || drops.load(SeqCst) == MANY as usize);
    assert_eq!(other.len(), MANY as usize);
    ring.push_back(restless());
    drop(ring);
    assert_eq!(other.len(), MANY as usize + 1);
}

/// Calls a ring when its thread ends, once the thread has let go of its place in the reclamation.
struct LastWords {
    ring: Arc<Ring<Counted>>,
    tally: Arc<Tally>,
}

impl Drop for LastWords {
    fn drop(&mut self) {
        let key = self.ring.push_back(self.tally.value(1));
        assert_eq!(self.ring.next_cloned().expect("members").name(), 0);
        assert!(self.ring.remove(key));
    }
}

#[test]
fn a_ring_may_be_used_while_a_thread_ends() {
    thread_local! {
        static LAST_WORDS: RefCell<Option<LastWords>> = const { RefCell::new(None) };
    }
    let _alone = alone();
    let tally = Tally::new();
    let ring = Arc::new(Ring::from_iter([tally.value(0)]));
    elsewhere(|| {
        // Made before the thread's place in the reclamation, so it is dropped after that.
        let words = LastWords { ring: Arc::clone(&ring), tally: Arc::clone(&tally) };
        LAST_WORDS.set(Some(words));
        drop(pin());
    });
    pin_until("the removed and the clone are dropped", || tally.alive() == 1);
    assert_eq!(tally.created(), 3);
    drop(ring);
    tally.await_all_dropped();
}
