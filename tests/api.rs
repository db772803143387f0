//! Every call alone: one behaviour per test.

#![cfg(not(rondel_loom))]

use std::{
    collections::HashSet,
    mem::size_of,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use rondel::{Cursor, Guard, InsertError, Key, Lease, Ring, pin};

use crate::common::counted::{Counted, Tally};

mod common;

/// A ring of the numbers from 0, and their keys.
fn ring_of(members: u32) -> (Ring<u32>, Vec<Key>) {
    let ring = Ring::new();
    let keys = (0..members).map(|value| ring.push_back(value)).collect();
    (ring, keys)
}

fn turns(ring: &Ring<u32>, count: usize) -> Vec<u32> {
    let guard = pin();
    (0..count).map_while(|_| ring.next(&guard)).map(|entry| *entry).collect()
}

/// The members from the front; from the back they are the same, backwards.
fn lap(ring: &Ring<u32>) -> Vec<u32> {
    let guard = pin();
    let forward: Vec<_> = ring.iter(&guard).map(|entry| *entry).collect();
    let mut backward: Vec<_> = ring.iter(&guard).rev().map(|entry| *entry).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(forward.len(), ring.len());
    forward
}

#[track_caller]
fn assert_panics(call: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err(), "no panic");
}

mod turns {
    use super::*;

    #[test]
    fn an_empty_ring_has_nobody_to_show() {
        let ring: Ring<u32> = Ring::new();
        let guard = pin();
        assert!(ring.is_empty());
        assert_eq!(ring.len(), 0);
        assert!(ring.next(&guard).is_none());
        assert!(ring.next_where(&guard, |_| true).is_none());
        assert!(ring.next_cloned().is_none());
        assert!(ring.front(&guard).is_none());
        assert!(ring.back(&guard).is_none());
        assert!(ring.pop_front(&guard).is_none());
        assert!(ring.pop_back(&guard).is_none());
        assert!(ring.iter(&guard).next().is_none());
        assert!(ring.iter(&guard).next_back().is_none());
        assert!(ring.cursor().move_next(&guard).is_none());
        assert!(ring.cursor().move_prev(&guard).is_none());
        assert!(ring.lease(3).next(&guard).is_none());
    }

    #[test]
    fn a_single_member_has_every_turn() {
        let (ring, keys) = ring_of(1);
        assert_eq!(turns(&ring, 3), [0, 0, 0]);
        let guard = pin();
        assert_eq!(ring.next(&guard).unwrap().key(), keys[0]);
        assert_eq!(ring.front(&guard).unwrap().key(), ring.back(&guard).unwrap().key());
    }

    #[test]
    fn two_members_alternate() {
        let (ring, _) = ring_of(2);
        assert_eq!(turns(&ring, 5), [0, 1, 0, 1, 0]);
    }

    #[test]
    fn a_full_rotation_shows_every_member_in_order() {
        let (ring, _) = ring_of(100);
        let lap: Vec<u32> = (0..100).collect();
        assert_eq!(turns(&ring, 100), lap);
        assert_eq!(turns(&ring, 100), lap);
    }

    #[test]
    fn a_ring_that_was_emptied_starts_again_with_the_next_member() {
        let (ring, keys) = ring_of(2);
        assert_eq!(turns(&ring, 2), [0, 1]);
        for key in keys {
            assert!(ring.remove(key));
        }
        assert_eq!(turns(&ring, 1), []);
        ring.push_back(2);
        ring.push_front(3);
        assert_eq!(turns(&ring, 3), [3, 2, 3]);
    }

    #[test]
    fn next_cloned_takes_a_turn_like_next() {
        let (ring, _) = ring_of(3);
        assert_eq!(ring.next_cloned(), Some(0));
        assert_eq!(turns(&ring, 1), [1]);
        assert_eq!(ring.next_cloned(), Some(2));
    }

    #[test]
    fn neither_a_lap_nor_a_look_moves_the_cursor() {
        let (ring, keys) = ring_of(3);
        assert_eq!(turns(&ring, 1), [0]);
        let guard = pin();
        assert_eq!(lap(&ring), [0, 1, 2]);
        ring.front(&guard).unwrap();
        ring.back(&guard).unwrap();
        ring.get(keys[2], &guard).unwrap();
        ring.cursor().move_next(&guard).unwrap();
        assert_eq!(turns(&ring, 1), [1]);
    }
}

mod inserts {
    use super::*;

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
        assert!(error.to_string().contains("not in this ring"), "{error}");
        assert!(format!("{error:?}").contains("InsertError"));
    }

    #[test]
    fn a_ring_grows_past_several_segments() {
        let members = if cfg!(miri) { 300 } else { 100_000 };
        let (ring, keys) = ring_of(members);
        let guard = pin();
        assert_eq!(ring.len(), members as usize);
        assert!(ring.iter(&guard).map(|entry| *entry).eq(0..members));
        assert!(ring.iter(&guard).rev().map(|entry| *entry).eq((0..members).rev()));
        assert!((0..members).all(|value| *ring.next(&guard).unwrap() == value));
        assert!(
            (0..members).zip(&keys).all(|(value, &key)| *ring.get(key, &guard).unwrap() == value)
        );
        assert!(keys.iter().all(|&key| ring.remove(key)));
        assert!(ring.is_empty());
    }
}

mod removals {
    use super::*;

    #[test]
    fn of_the_member_returned_last_leaves_its_successor_next() {
        let (ring, keys) = ring_of(3);
        assert_eq!(turns(&ring, 2), [0, 1]);
        assert!(ring.remove(keys[1]));
        assert_eq!(turns(&ring, 3), [2, 0, 2]);
    }

    #[test]
    fn of_the_first_with_the_cursor_on_it_goes_back_before_the_first() {
        let (ring, keys) = ring_of(2);
        assert_eq!(turns(&ring, 1), [0]);
        assert!(ring.remove(keys[0]));
        ring.push_front(2);
        assert_eq!(turns(&ring, 2), [2, 1]);
    }

    #[test]
    fn of_the_last_with_the_cursor_on_it_does_not_skip_a_later_one() {
        let (ring, keys) = ring_of(2);
        assert_eq!(turns(&ring, 2), [0, 1]);
        assert!(ring.remove(keys[1]));
        ring.push_back(2);
        assert_eq!(turns(&ring, 2), [2, 0]);
    }

    #[test]
    fn of_the_cursor_and_then_its_predecessor_still_leaves_the_successor_next() {
        let (ring, keys) = ring_of(4);
        assert_eq!(turns(&ring, 3), [0, 1, 2]);
        assert!(ring.remove(keys[2]));
        assert!(ring.remove(keys[1]));
        assert_eq!(turns(&ring, 2), [3, 0]);
    }

    #[test]
    fn right_after_the_cursor_costs_only_the_removed_its_turn() {
        let (ring, keys) = ring_of(3);
        assert_eq!(turns(&ring, 1), [0]);
        assert!(ring.remove(keys[1]));
        assert_eq!(turns(&ring, 3), [2, 0, 2]);
    }

    #[test]
    fn right_before_the_cursor_changes_nobodys_turn() {
        let (ring, keys) = ring_of(3);
        assert_eq!(turns(&ring, 2), [0, 1]);
        assert!(ring.remove(keys[0]));
        assert_eq!(turns(&ring, 3), [2, 1, 2]);
    }

    #[test]
    fn happen_once() {
        let (ring, keys) = ring_of(2);
        assert!(ring.remove(keys[0]));
        assert!(!ring.remove(keys[0]));
        assert_eq!(ring.len(), 1);
    }

    #[test]
    fn are_shown_by_an_entry_that_is_still_held() {
        let (ring, keys) = ring_of(1);
        let guard = pin();
        let entry = ring.get(keys[0], &guard).unwrap();
        assert!(!entry.is_removed());
        assert!(ring.remove(keys[0]));
        assert!(entry.is_removed());
        assert_eq!(*entry.value(), 0);
    }

    #[test]
    fn of_everybody_leave_an_empty_ring_and_a_fresh_start() {
        let (ring, keys) = ring_of(50);
        turns(&ring, 17);
        assert!(keys.iter().rev().all(|&key| ring.remove(key)));
        assert_eq!(lap(&ring), []);
        assert_eq!(turns(&ring, 1), []);
    }

    #[test]
    fn pops_take_the_ends() {
        let (ring, keys) = ring_of(4);
        let guard = pin();
        let first = ring.pop_front(&guard).unwrap();
        let last = ring.pop_back(&guard).unwrap();
        assert_eq!((*first, first.key(), first.is_removed()), (0, keys[0], true));
        assert_eq!((*last, last.key(), last.is_removed()), (3, keys[3], true));
        assert_eq!(lap(&ring), [1, 2]);
        assert_eq!(*ring.pop_back(&guard).unwrap(), 2);
        assert_eq!(*ring.pop_back(&guard).unwrap(), 1);
        assert!(ring.pop_back(&guard).is_none());
        assert!(ring.pop_front(&guard).is_none());
    }

    #[test]
    fn pops_move_the_cursor_as_a_removal_does() {
        let (ring, _) = ring_of(3);
        assert_eq!(turns(&ring, 1), [0]);
        assert_eq!(*ring.pop_front(&pin()).unwrap(), 0);
        assert_eq!(turns(&ring, 2), [1, 2]);
        assert_eq!(*ring.pop_back(&pin()).unwrap(), 2);
        assert_eq!(turns(&ring, 2), [1, 1]);
    }

    #[test]
    fn retain_keeps_whom_it_is_told_and_asks_in_order() {
        let (ring, _) = ring_of(6);
        let mut asked = Vec::new();
        ring.retain(|&value| {
            asked.push(value);
            value % 2 == 0
        });
        assert_eq!(asked, [0, 1, 2, 3, 4, 5]);
        assert_eq!(lap(&ring), [0, 2, 4]);
    }

    #[test]
    fn clear_leaves_nobody_and_a_ring_that_works() {
        let (ring, keys) = ring_of(40);
        turns(&ring, 7);
        ring.clear();
        assert!(ring.is_empty());
        assert!(keys.iter().all(|&key| !ring.contains(key)));
        ring.push_back(1);
        assert_eq!(turns(&ring, 2), [1, 1]);
    }
}

mod keys {
    use super::*;

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
        common::pin_until("slots are used again", || {
            for value in 0..100 {
                let key = ring.push_back(value);
                assert!(ring.remove(key));
                assert!(keys.insert(key), "{key:?} was given twice");
                slots_used_again += usize::from(!slots.insert(common::slot_of(key)));
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
}

mod next_where {
    use super::*;

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
}

mod leases {
    use super::*;

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
        common::pin_until("the slot is used again", || {
            common::slot_of(ring.push_back(1)) == common::slot_of(keys[0])
        });
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
}

mod laps {
    use super::*;

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
}

mod private_cursors {
    use super::*;

    fn value(cursor: &Cursor<'_, u32>) -> Option<u32> {
        cursor.current(&pin()).map(|entry| *entry)
    }

    #[test]
    fn start_before_the_first_and_go_round_both_ways() {
        let (ring, _) = ring_of(3);
        let guard = pin();
        let mut cursor = ring.cursor();
        assert_eq!(value(&cursor), None);
        let forward: Vec<_> = (0..4).map(|_| *cursor.move_next(&guard).unwrap()).collect();
        assert_eq!(forward, [0, 1, 2, 0]);
        assert_eq!(value(&cursor), Some(0));
        let backward: Vec<_> = (0..4).map(|_| *cursor.move_prev(&guard).unwrap()).collect();
        assert_eq!(backward, [2, 1, 0, 2]);
    }

    #[test]
    fn step_back_from_before_the_first_onto_the_last() {
        let (ring, _) = ring_of(3);
        assert_eq!(*ring.cursor().move_prev(&pin()).unwrap(), 2);
    }

    #[test]
    fn begin_on_the_member_they_are_told() {
        let (ring, keys) = ring_of(3);
        let guard = pin();
        let mut cursor = ring.cursor_at(keys[1]).unwrap();
        assert_eq!(value(&cursor), Some(1));
        assert_eq!(*cursor.move_next(&guard).unwrap(), 2);
        let mut cursor = ring.cursor_at(keys[1]).unwrap();
        assert_eq!(*cursor.move_prev(&guard).unwrap(), 0);
    }

    #[test]
    fn on_a_removed_member_show_nothing_and_go_on_from_its_place() {
        let (ring, keys) = ring_of(4);
        let guard = pin();
        let mut forward = ring.cursor_at(keys[1]).unwrap();
        let mut backward = ring.cursor_at(keys[1]).unwrap();
        ring.remove(keys[1]);
        assert_eq!(value(&forward), None);
        assert_eq!(*forward.move_next(&guard).unwrap(), 2);
        assert_eq!(*backward.move_prev(&guard).unwrap(), 0);
    }

    #[test]
    fn start_again_when_the_member_and_the_one_before_are_removed() {
        let (ring, keys) = ring_of(4);
        let guard = pin();
        let mut cursor = ring.cursor_at(keys[2]).unwrap();
        ring.remove(keys[2]);
        ring.remove(keys[1]);
        assert_eq!(*cursor.move_next(&guard).unwrap(), 0);
    }

    #[test]
    fn on_a_first_member_that_was_removed_go_on_to_the_new_first() {
        let (ring, keys) = ring_of(2);
        let guard = pin();
        let mut cursor = ring.cursor_at(keys[0]).unwrap();
        ring.remove(keys[0]);
        assert_eq!(*cursor.move_next(&guard).unwrap(), 1);
    }

    #[test]
    fn in_a_ring_that_was_emptied_come_to_nobody_and_then_to_the_new() {
        let (ring, keys) = ring_of(2);
        let guard = pin();
        let mut cursor = ring.cursor_at(keys[1]).unwrap();
        ring.clear();
        assert!(cursor.move_next(&guard).is_none());
        assert!(cursor.move_prev(&guard).is_none());
        ring.push_back(9);
        assert_eq!(*cursor.move_prev(&guard).unwrap(), 9);
    }

    #[test]
    fn see_members_inserted_beside_them() {
        let (ring, keys) = ring_of(2);
        let guard = pin();
        let mut cursor = ring.cursor_at(keys[0]).unwrap();
        ring.insert_after(keys[0], 8).unwrap();
        assert_eq!(*cursor.move_next(&guard).unwrap(), 8);
        ring.insert_before(keys[1], 9).unwrap();
        assert_eq!(*cursor.move_next(&guard).unwrap(), 9);
        assert_eq!(*cursor.move_prev(&guard).unwrap(), 8);
    }

    #[test]
    fn may_be_taken_to_another_thread() {
        let (ring, keys) = ring_of(3);
        let mut cursor = ring.cursor_at(keys[0]).unwrap();
        thread::scope(|scope| {
            scope.spawn(move || assert_eq!(*cursor.move_next(&pin()).unwrap(), 1));
        });
    }
}

mod traits {
    use super::*;

    #[test]
    fn a_ring_is_collected_extended_and_shown_front_to_back() {
        let mut ring: Ring<u32> = [1, 2].into_iter().collect();
        ring.extend([3, 4]);
        assert_eq!(lap(&ring), [1, 2, 3, 4]);
        assert_eq!(format!("{ring:?}"), "[1, 2, 3, 4]");
        assert!(Ring::<u32>::default().is_empty());
    }

    #[test]
    fn what_threads_share_is_send_and_sync() {
        fn shared<T: Send + Sync>() {}
        shared::<Ring<String>>();
        shared::<Key>();
        shared::<InsertError<String>>();
        shared::<Lease<'_, String>>();
        shared::<Cursor<'_, String>>();
    }

    #[test]
    fn handles_are_copied() {
        fn copied<T: Copy>() {}
        copied::<Key>();
        copied::<rondel::Entry<'_, String>>(); // though a `String` is not
    }

    #[test]
    fn everything_public_can_be_shown() {
        let (ring, keys) = ring_of(1);
        let guard: Guard = pin();
        let entry = ring.next(&guard).unwrap();
        let texts = [
            format!("{guard:?}"),
            format!("{:?}", keys[0]),
            format!("{entry:?}"),
            format!("{:?}", ring.lease(1)),
            format!("{:?}", ring.cursor()),
            format!("{:?}", ring.iter(&guard)),
        ];
        assert!(texts.iter().all(|text| !text.is_empty()));
        assert!(texts[2].contains("value: 0"), "{}", texts[2]);
    }

    #[test]
    fn values_of_no_size_and_of_a_large_alignment_are_held_like_others() {
        #[derive(Clone, Copy)]
        #[repr(align(128))]
        struct Wide(u8);
        let nothing: Ring<()> = [(); 3].into_iter().collect();
        assert_eq!(nothing.iter(&pin()).count(), 3);
        let wide: Ring<Wide> = (0..40).map(Wide).collect();
        let guard = pin();
        for turn in 0..80 {
            let entry = wide.next(&guard).unwrap();
            assert_eq!(entry.0, turn % 40);
            assert_eq!(std::ptr::from_ref(entry.value()).align_offset(128), 0);
        }
    }

    #[test]
    fn a_repinned_guard_serves_the_next_pick() {
        let (ring, _) = ring_of(3);
        let mut guard = pin();
        for turn in 0..9 {
            guard.repin();
            assert_eq!(*ring.next(&guard).unwrap(), turn % 3);
        }
    }

    #[test]
    fn one_guard_serves_several_rings() {
        let (one, _) = ring_of(1);
        let other = Ring::from_iter(["a"]);
        let guard = pin();
        let (number, letter) = (one.next(&guard).unwrap(), other.next(&guard).unwrap());
        assert_eq!((*number, *letter), (0, "a"));
    }
}

mod panics {
    use super::*;

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
        (0..10)
            .map(|place| Explosive { explodes: explode(place), drops: Arc::clone(drops) })
            .collect()
    }

    #[test]
    fn in_a_drop_with_the_ring_are_passed_on_once_all_values_are_dropped() {
        let drops = Arc::new(AtomicUsize::new(0));
        let ring = explosives(&drops, |place| place % 3 == 0);
        assert_panics(|| drop(ring));
        assert_eq!(drops.load(Relaxed), 10);
    }

    #[test]
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
        thread::scope(|scope| {
            scope.spawn(|| ring.clear());
        });
        common::pin_until("the removed are dropped", || drops.load(Relaxed) == 10);
        ring.push_back(Explosive { explodes: false, drops: Arc::clone(&drops) });
        assert_eq!(ring.len(), 1);
        drop(ring);
        assert_eq!(drops.load(Relaxed), 11);
    }
}

mod the_end {
    use super::*;

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
        common::pin_until("what waited is let go", || Arc::strong_count(&tally) == 1);
        tally.assert_all_dropped();
    }

    #[test]
    fn of_an_empty_ring_is_nothing() {
        drop(Ring::<Counted>::new());
    }
}
