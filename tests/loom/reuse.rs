//! Slots that are used again while somebody still names their last member.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use rondel::Ring;

use crate::{
    common::sequential::{
        At::{After, Back},
        Op::{Contains, Insert, Next, Remove},
    },
    explore::explore,
    harness::{Clock, Model, reclaim},
};

#[test]
fn an_old_key_names_nothing_while_its_slot_is_used_again() {
    Model::of(&[0, 1])
        .after(&[Next, Remove(0)])
        .reclaimed()
        .thread(&[Remove(0), Contains(0)])
        .thread(&[Insert(Back, 2), Next])
        .explore([410, 1]);
}

#[test]
fn a_picker_while_a_slot_is_vacated_and_used_again() {
    Model::of(&[0, 1])
        .after(&[Next])
        .thread(&[Next])
        .thread(&[Remove(1), Insert(Back, 2), Remove(2), Insert(Back, 3)])
        .explore([73_000, 1]);
}

#[test]
fn two_inserts_share_the_free_slots() {
    Model::of(&[0, 1, 2])
        .after(&[Remove(0), Remove(1)])
        .reclaimed()
        .thread(&[Insert(Back, 3)])
        .thread(&[Insert(After(2), 4)])
        .explore([510, 1]);
}

#[test]
fn an_insert_while_the_slot_that_it_takes_is_vacated() {
    Model::of(&[0, 1])
        .after(&[Remove(0)])
        .while_reclaimed()
        .thread(&[Insert(Back, 2), Next, Next])
        .explore([4_100, 1]);
}

/// Both would drop the value of a member that was removed before: whoever vacates its slot does.
#[test]
fn a_ring_goes_while_what_it_removed_is_reclaimed() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    explore(2, [100, 1], || {
        let drops = Arc::new(AtomicUsize::new(0));
        let ring = Ring::new();
        assert!(ring.remove(ring.push_back(Counted(Arc::clone(&drops)))));
        // Out of this thread's bag, so that another may end its grace period.
        crossbeam_epoch::pin().flush();
        let gate = Clock::new(false);
        let others_gate = gate.clone();
        let reclaiming = loom::thread::spawn(move || {
            others_gate.invoked();
            reclaim();
        });
        gate.invoked();
        drop(ring);
        reclaiming.join().expect("reclamation does not panic");
        assert_eq!(drops.load(Relaxed), 1);
    });
}
