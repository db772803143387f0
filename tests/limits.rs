//! What happens at the end of indices, generations and versions.
//!
//! Run by `cargo small`, which compiles the ring under `--cfg rondel_small`, with words that are
//! tiny: 6 bits of index, so 61 members; 3 bits of generation, so 7 members of a slot one after the
//! other; 4 bits of version, so 16 moves of the cursor, or of the free list's top, and it is back
//! where it was.

#![cfg(rondel_small)]

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use rondel::{
    Key, Ring, pin,
    steps::{self, Step},
};

use crate::common::{
    alone,
    counted::{Counted, Tally},
    elsewhere, pin_until, slot_of,
};

mod common;

/// Members that a ring has room for.
const MEMBERS: usize = 61;
/// Members that a slot can have, one after the other.
const LIVES: usize = 7;
/// Changes after which a version comes round.
const VERSIONS: usize = 16;

fn assert_full(ring: &Ring<Counted>, value: Counted) {
    let panic = catch_unwind(AssertUnwindSafe(|| ring.push_back(value))).expect_err("it is full");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(message.starts_with("a ring holds at most 61 members, "), "{message}");
}

#[test]
fn a_full_ring_panics_with_a_clear_message_and_stays_usable() {
    let _alone = alone();
    let tally = Tally::new();
    let ring = Ring::new();
    let keys: Vec<Key> = (0..61).map(|name| ring.push_back(tally.value(name))).collect();
    assert_eq!(keys.len(), MEMBERS);
    for _ in 0..3 {
        assert_full(&ring, tally.value(99));
    }
    assert_eq!(tally.alive(), MEMBERS, "a refused value is dropped");
    assert_eq!(ring.len(), MEMBERS);
    let turns: Vec<_> = (0..MEMBERS).map(|_| ring.next(&pin()).unwrap().name()).collect();
    assert_eq!(turns, (0..61).collect::<Vec<_>>());
    // Room again, once the grace period is over.
    elsewhere(|| assert!(ring.remove(keys[30])));
    pin_until("the removed is dropped", || tally.alive() == MEMBERS - 1);
    ring.push_back(tally.value(61));
    assert_full(&ring, tally.value(99));
    drop(ring);
    tally.assert_all_dropped();
}

#[test]
fn a_worn_out_slot_is_left_unused_and_its_keys_never_come_back() {
    let _alone = alone();
    let tally = Tally::new();
    let ring = Ring::new();
    let mut keys = Vec::new();
    // One member at a time: so it is always the slot that was freed last, until that is worn out.
    for name in 0..u32::try_from(MEMBERS * LIVES).unwrap() {
        elsewhere(|| {
            keys.push(ring.push_back(tally.value(name)));
            assert_eq!(ring.next_cloned().map(|value| value.name()), Some(name));
            assert!(ring.remove(keys[keys.len() - 1]));
        });
        pin_until("the removed is dropped", || tally.alive() == 0);
    }
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "no key came twice");
    for slot in 1..=MEMBERS {
        let lives = keys.iter().filter(|key| slot_of(**key) == slot).count();
        assert_eq!(lives, LIVES, "members of slot {slot}");
    }
    // All slots are worn out: the ring is used up, and still says so.
    assert_full(&ring, tally.value(99));
    assert!(ring.is_empty() && ring.next(&pin()).is_none());
    for key in keys {
        assert!(!ring.contains(key) && !ring.remove(key));
        assert!(ring.insert_after(key, tally.value(99)).is_err());
    }
    drop(ring);
    tally.assert_all_dropped();
}

/// What an abandoned call costs: a slot, until the ring goes.
#[test]
fn whoever_dies_costs_one_slot_at_most() {
    let _alone = alone();
    let mut costs = HashSet::new();
    for inserts in [true, false] {
        for death in 0.. {
            let tally = Tally::new();
            let ring: Ring<Counted> = (0..9).map(|name| tally.value(name)).collect();
            elsewhere(|| ring.retain(|value| value.name() > 4));
            pin_until("there are free slots", || tally.alive() == ring.len());
            let died = elsewhere(|| dies_at(&ring, &tally, inserts, death));
            let settled = |alive| alive == ring.iter(&pin()).count();
            // The dead thread's removal may wait for its grace period still, or for ever.
            let patience = Instant::now() + Duration::from_millis(200);
            while !settled(tally.alive()) && Instant::now() < patience {
                elsewhere(|| ring.next_cloned());
            }
            let there = ring.iter(&pin()).count();
            let room = (0..).take_while(|_| {
                let value = tally.value(50);
                catch_unwind(AssertUnwindSafe(|| ring.push_back(value))).is_ok()
            });
            let cost = MEMBERS - there - room.count();
            assert!(cost <= 1, "death {death} costs {cost} slots");
            costs.insert(cost);
            drop(ring);
            tally.assert_all_dropped();
            if !died {
                assert!(death > 5, "it made {death} steps");
                assert_eq!(cost, 0);
                break;
            }
        }
    }
    assert_eq!(costs.len(), 2, "some deaths cost a slot");
}

fn dies_at(ring: &Ring<Counted>, tally: &Arc<Tally>, inserts: bool, death: usize) -> bool {
    let mut number = 0;
    let handler = move |_| {
        if number == death {
            std::panic::resume_unwind(Box::new("died"));
        }
        number += 1;
    };
    let victim = ring.front(&pin()).expect("members").key();
    let call = || {
        if inserts {
            ring.insert_after(victim, tally.value(40)).map(drop).map_err(drop)
        } else {
            ring.remove(victim);
            Ok(())
        }
    };
    catch_unwind(AssertUnwindSafe(|| steps::with(handler, call))).is_err()
}

/// Stops at the first step of this kind.
fn stop_at(step: Step, has_stopped: SyncSender<()>, go_on: Receiver<()>) -> impl FnMut(Step) {
    let mut stops = Some((has_stopped, go_on));
    move |reached| {
        if reached == step {
            if let Some((has_stopped, go_on)) = stops.take() {
                has_stopped.send(()).expect("somebody waits");
                go_on.recv().expect("somebody lets it go on");
            }
        }
    }
}

/// Makes `call` on a thread that stops at `step`, `meanwhile` while it stands there, and then lets
/// it go on.
fn around<R: Send>(step: Step, call: impl FnOnce() -> R + Send, meanwhile: impl FnOnce()) -> R {
    let (has_stopped, stopped) = mpsc::sync_channel(0);
    let (lets_go_on, go_on) = mpsc::sync_channel(0);
    thread::scope(|scope| {
        let victim = scope.spawn(move || steps::with(stop_at(step, has_stopped, go_on), call));
        stopped.recv().expect("it reaches the step");
        meanwhile();
        lets_go_on.send(()).expect("it waits");
        victim.join().expect("its panic is shown above")
    })
}

/// A picker stands between the read and the exchange of the cursor while the version comes round,
/// and the member that it is about to install goes. It takes a turn that is nobody's any more. That
/// is all: the value is there under its pin, and the next pickers find their way.
#[test]
fn a_version_that_comes_round_costs_a_turn_and_no_more() {
    let _alone = alone();
    let tally = Tally::new();
    let ring: Ring<Counted> = (0..4).map(|name| tally.value(name)).collect();
    assert_eq!(ring.next(&pin()).unwrap().name(), 0);
    let one = {
        let guard = pin();
        ring.iter(&guard).nth(1).unwrap().key()
    };
    let took = around(
        Step::NextFound,
        || {
            let guard = pin();
            ring.next(&guard).map(|entry| (entry.name(), entry.is_removed()))
        },
        || {
            // A removal changes the version once, a turn once: back on member 0 after 16.
            assert!(ring.remove(one));
            for _ in 0..VERSIONS - 1 {
                assert_ne!(ring.next(&pin()).unwrap().name(), 1);
            }
            assert_eq!(ring.next_where(&pin(), |_| false).map(|entry| entry.name()), None);
        },
    );
    assert_eq!(took, Some((1, true)), "the version came round: the exchange succeeded");
    // With a guard that is held all the time, so that the slot is not reclaimed to the rescue.
    let guard = pin();
    let turns: Vec<_> = (0..6).map(|_| ring.next(&guard).unwrap().name()).collect();
    assert_eq!(turns, [0, 2, 3, 0, 2, 3]);
    drop(guard);
    drop(ring);
    tally.assert_all_dropped();
}

/// An insert stands between the read and the exchange of the free list's top while its version
/// comes round: the slot below, which it is about to make the top, is a member's by then.
#[test]
fn a_free_slot_is_never_handed_out_twice_even_if_the_version_comes_round() {
    let _alone = alone();
    let tally = Tally::new();
    let ring: Arc<Ring<Counted>> = Arc::new((0..20).map(|name| tally.value(name)).collect());
    elsewhere(|| ring.retain(|value| value.name() > 4));
    pin_until("there are free slots", || tally.alive() == ring.len());
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = || {
        let (ring, tally, kept) = (Arc::clone(&ring), Arc::clone(&tally), Arc::clone(&kept));
        move || kept.lock().unwrap().push(ring.push_front(tally.value(21)))
    };
    let stalled = around(
        Step::FreeRead,
        || ring.push_front(tally.value(20)),
        || {
            // Each takes the top slot, the one below for good, and gives the top one back.
            refused(&ring, &tally, keep());
            refused(&ring, &tally, keep());
            // Six changes so far, and two with each of these.
            (6..VERSIONS).step_by(2).for_each(|_| refused(&ring, &tally, || {}));
        },
    );
    let mut keys = std::mem::take(&mut *kept.lock().unwrap());
    keys.push(stalled);
    keys.extend((30..36).map(|name| ring.push_back(tally.value(name))));
    let slots: HashSet<_> = keys.iter().map(|key| slot_of(*key)).collect();
    assert_eq!(slots.len(), keys.len(), "a slot was handed out twice: {keys:?}");
    let there: HashSet<Key> = ring.iter(&pin()).map(|entry| entry.key()).collect();
    assert!(keys.iter().all(|key| there.contains(key)));
    drop(ring);
    tally.assert_all_dropped();
}

/// An insert whose anchor leaves once it has a slot; then `meanwhile`, then the slot is given back.
fn refused(ring: &Arc<Ring<Counted>>, tally: &Arc<Tally>, meanwhile: impl FnOnce() + 'static) {
    let anchor = ring.back(&pin()).expect("members").key();
    let mut meanwhile = Some(meanwhile);
    let other = Arc::clone(ring);
    let handler = move |step| {
        if step == Step::Prepared {
            if let Some(meanwhile) = meanwhile.take() {
                assert!(other.remove(anchor));
                meanwhile();
            }
        }
    };
    let result = steps::with(handler, || ring.insert_before(anchor, tally.value(22)));
    assert!(result.is_err(), "its anchor has left");
}
