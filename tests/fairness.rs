//! Turns are fair, whatever else is inserted or removed.
//!
//! Some members stay while a test lasts, the *stable* ones, and others come and go all the time,
//! right beside them and at both ends. With one picker the order of all turns is known, and the
//! promise is exact: the turns of the stable members alone are a plain rotation. Then in every
//! window the numbers of their turns differ by one at most. With several pickers their sums are
//! compared.

#![cfg(not(rondel_loom))]

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use rondel::{Key, Lease, Ring, pin};

use crate::common::{Random, meeting::Meeting, seed, times};

mod common;

/// Members that stay have the names from 0 on; the others have this one.
const PASSING: u32 = u32::MAX;

fn ring_of(stable: u32) -> (Ring<u32>, Vec<Key>) {
    let ring = Ring::new();
    let keys = (0..stable).map(|name| ring.push_back(name)).collect();
    (ring, keys)
}

/// Two threads that insert and remove beside the stable members until it is over.
struct Churn<'r> {
    ring: &'r Ring<u32>,
    stable: &'r [Key],
    actions: AtomicUsize,
    over: AtomicBool,
}

impl<'r> Churn<'r> {
    fn new(ring: &'r Ring<u32>, stable: &'r [Key]) -> Self {
        Self { ring, stable, actions: AtomicUsize::new(0), over: AtomicBool::new(false) }
    }

    /// The turns of each of the threads that pick: `pick` is called there until it has been so
    /// often, and until a fair number of members have come and gone, and some had turns.
    fn turns(
        &self,
        random: &mut Random,
        pickers: usize,
        picks: usize,
        pick: impl Fn(&mut Random, &mut Vec<u32>) + Sync,
    ) -> Vec<Vec<u32>> {
        self.actions.store(0, SeqCst);
        self.over.store(false, SeqCst);
        let picker = |mut random| {
            let mut turns = Vec::new();
            let (mut count, mut passing) = (0, 0);
            while count < picks || passing < 3 || self.actions.load(SeqCst) < picks / 4 {
                pick(&mut random, &mut turns);
                count += 1;
                passing += usize::from(turns.last() == Some(&PASSING));
            }
            turns
        };
        thread::scope(|scope| {
            for _ in 0..2 {
                let random = random.fork();
                scope.spawn(|| self.go_on(random));
            }
            let pickers: Vec<_> = (0..pickers)
                .map(|_| {
                    let (picker, random) = (&picker, random.fork());
                    scope.spawn(move || picker(random))
                })
                .collect();
            let turns: Vec<_> = pickers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            self.over.store(true, SeqCst);
            turns.into_iter().map(|turns| turns.expect("its panic is shown above")).collect()
        })
    }

    /// Inserts and removes members until it is over, and leaves none behind.
    fn go_on(&self, mut random: Random) {
        let mut passing: Vec<Key> = Vec::new();
        while !self.over.load(SeqCst) {
            self.act(&mut random, &mut passing);
            self.actions.fetch_add(1, SeqCst);
        }
        assert!(passing.into_iter().all(|key| self.ring.remove(key)));
    }

    fn act(&self, random: &mut Random, passing: &mut Vec<Key>) {
        let Self { ring, stable, .. } = self;
        match random.within(0..8) {
            // As many pops as pushes, each after its push: so no stable member is ever popped.
            0 => {
                ring.push_front(PASSING);
                assert_eq!(*ring.pop_front(&pin()).expect("just pushed"), PASSING);
            }
            1 => {
                ring.push_back(PASSING);
                assert_eq!(*ring.pop_back(&pin()).expect("just pushed"), PASSING);
            }
            2..=4 if passing.len() < 4 => {
                // Between stable members, never at the ends, where it might be popped.
                let place = random.within(0..stable.len() - 1);
                let (mut before, mut after) = (stable[place + 1], stable[place]);
                if random.one_in(3) && !passing.is_empty() {
                    before = passing[0];
                    after = before;
                }
                let inserted = if random.one_in(2) {
                    ring.insert_after(after, PASSING)
                } else {
                    ring.insert_before(before, PASSING)
                };
                passing.push(inserted.expect("nobody else removes it"));
            }
            _ if !passing.is_empty() => {
                let key = passing.swap_remove(random.within(0..passing.len()));
                assert!(ring.remove(key), "nobody else removes it");
            }
            _ => {}
        }
    }
}

/// The turns of these members alone are a plain rotation from the first of them on.
#[track_caller]
fn assert_rotation(turns: &[u32], members: &[u32]) {
    let turns: Vec<_> = turns.iter().copied().filter(|name| members.contains(name)).collect();
    assert!(turns.len() >= members.len(), "too few turns to tell: {turns:?}");
    for (place, &turn) in turns.iter().enumerate() {
        let expected = members[place % members.len()];
        assert_eq!(turn, expected, "turn {place} of the stable members");
    }
}

/// The numbers of turns differ by one at most.
#[track_caller]
fn assert_even(turns: &[u32], members: &[u32]) {
    let mut counts: HashMap<u32, usize> = members.iter().map(|&name| (name, 0)).collect();
    for name in turns {
        if let Some(count) = counts.get_mut(name) {
            *count += 1;
        }
    }
    let (least, most) = (counts.values().min(), counts.values().max());
    let (least, most) = (least.expect("members"), most.expect("members"));
    assert!(*least > 0, "too few turns to tell");
    assert!(most - least <= 1, "between {least} and {most} turns: {counts:?}");
}

#[test]
fn k_laps_are_k_turns_for_everybody() {
    for members in [1, 2, 3, 7, 64] {
        let (ring, _) = ring_of(members);
        let guard = pin();
        let mut turns = HashMap::new();
        for _ in 0..members * 10 {
            *turns.entry(*ring.next(&guard).unwrap()).or_insert(0) += 1;
        }
        assert_eq!(turns, (0..members).map(|name| (name, 10)).collect());
    }
}

#[test]
fn k_laps_of_several_threads_are_k_turns_for_everybody() {
    let (members, threads, laps) = (5_u32, 4, times(1_000, 10));
    let (ring, _) = ring_of(members);
    let turns = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let guard = pin();
                let own = (0..laps * members as usize).map(|_| *ring.next(&guard).unwrap());
                let own: Vec<_> = own.collect();
                turns.lock().unwrap().extend(own);
            });
        }
    });
    let turns = turns.into_inner().unwrap();
    for name in 0..members {
        assert_eq!(turns.iter().filter(|&&turn| turn == name).count(), laps * threads);
    }
}

#[test]
fn one_picker_sees_a_plain_rotation_of_those_who_stay() {
    let mut random = Random::new(seed());
    for stable in [2, 3, 5] {
        let (ring, keys) = ring_of(stable);
        let churn = Churn::new(&ring, &keys);
        let turns = churn.turns(&mut random, 1, times(10_000, 60), |random, turns| {
            // For some picks with one guard, so that slots are used again now and then.
            let guard = pin();
            for _ in 0..random.within(1..4) {
                turns.push(*ring.next(&guard).expect("stable members"));
            }
        });
        assert_rotation(&turns[0], &(0..stable).collect::<Vec<_>>());
        assert_eq!(ring.len(), stable as usize);
    }
}

#[test]
fn several_pickers_give_even_turns_to_those_who_stay() {
    let mut random = Random::new(seed());
    let (ring, keys) = ring_of(4);
    let churn = Churn::new(&ring, &keys);
    // Even after each of several runs: the difference does not add up.
    let mut turns = Vec::new();
    for _ in 0..times(5, 2) {
        let turned = churn.turns(&mut random, 3, times(4_000, 30), |_, turns| {
            turns.push(ring.next_cloned().expect("stable members"));
        });
        turns.extend(turned.concat());
        assert_even(&turns, &[0, 1, 2, 3]);
    }
}

#[test]
fn refused_members_give_their_neighbours_no_turn_more() {
    let mut random = Random::new(seed());
    let (ring, keys) = ring_of(6);
    let refused = [1, 2, 5];
    let churn = Churn::new(&ring, &keys);
    let turns = churn.turns(&mut random, 1, times(10_000, 60), |_, turns| {
        let guard = pin();
        let found = ring.next_where(&guard, |name| !refused.contains(name));
        turns.push(*found.expect("stable members that are accepted"));
    });
    assert!(turns[0].iter().all(|name| !refused.contains(name)));
    assert_rotation(&turns[0], &[0, 3, 4]);
}

#[test]
fn several_pickers_that_refuse_the_same_give_even_turns_to_the_others() {
    let mut random = Random::new(seed());
    let (ring, keys) = ring_of(6);
    let churn = Churn::new(&ring, &keys);
    let turns = churn.turns(&mut random, 3, times(5_000, 30), |_, turns| {
        let guard = pin();
        let found = ring.next_where(&guard, |&name| name == PASSING || name % 2 == 0);
        turns.push(*found.expect("stable members that are accepted"));
    });
    assert_even(&turns.concat(), &[0, 2, 4]);
}

#[test]
fn a_search_that_finds_nobody_costs_nobody_a_turn() {
    let mut random = Random::new(seed());
    let (ring, keys) = ring_of(3);
    let churn = Churn::new(&ring, &keys);
    let turns = churn.turns(&mut random, 1, times(10_000, 60), |_, turns| {
        let guard = pin();
        assert!(ring.next_where(&guard, |_| false).is_none());
        turns.push(*ring.next(&guard).expect("stable members"));
    });
    assert_rotation(&turns[0], &[0, 1, 2]);
}

#[test]
fn leased_turns_count_when_they_are_claimed() {
    let mut random = Random::new(seed());
    let (ring, keys) = ring_of(5);
    let churn = Churn::new(&ring, &keys);
    let turns = churn.turns(&mut random, 1, times(3_000, 20), |random, turns| {
        let guard = pin();
        turns.push(*ring.next(&guard).expect("stable members"));
        // Taken in the order of their claims, though both are open at once.
        let mut one = ring.lease(random.within(0..Lease::<u32>::MAX));
        let mut other = ring.lease(random.within(0..9));
        turns.extend(std::iter::from_fn(|| one.next(&guard)).map(|entry| *entry));
        turns.extend(std::iter::from_fn(|| other.next(&guard)).map(|entry| *entry));
    });
    assert_rotation(&turns[0], &[0, 1, 2, 3, 4]);
}

#[test]
fn leases_of_several_threads_that_are_used_up_leave_turns_even() {
    let mut random = Random::new(seed());
    let (ring, keys) = ring_of(5);
    let churn = Churn::new(&ring, &keys);
    let turns = churn.turns(&mut random, 3, times(2_000, 20), |random, turns| {
        let mut lease = ring.lease(random.within(1..20));
        let guard = pin();
        turns.extend(std::iter::from_fn(|| lease.next(&guard)).map(|entry| *entry));
    });
    assert_even(&turns.concat(), &[0, 1, 2, 3, 4]);
}

#[test]
fn a_new_member_has_its_turn_within_a_lap_and_the_pick_in_flight() {
    let members = 4;
    let newcomers = u32::try_from(times(500, 5)).unwrap();
    let (ring, keys) = ring_of(members);
    let mut random = Random::new(seed());
    let picks = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    let meeting = Meeting::of(2);
    let mut inserted = Vec::new();
    let turns = thread::scope(|scope| {
        let picker = scope.spawn(|| {
            meeting.wait();
            let mut turns = Vec::new();
            while !over.load(SeqCst) {
                turns.push(*ring.next(&pin()).expect("stable members"));
                picks.store(turns.len(), SeqCst);
            }
            turns
        });
        meeting.wait();
        for newcomer in members..members + newcomers {
            let beside = random.choose(&keys).unwrap();
            let key = ring.insert_after(beside, newcomer).expect("a stable member");
            let so_far = picks.load(SeqCst);
            inserted.push((newcomer, so_far));
            // It stays for more than a lap.
            while picks.load(SeqCst) < so_far + 3 * members as usize {
                thread::yield_now();
            }
            assert!(ring.remove(key));
        }
        over.store(true, SeqCst);
        picker.join().unwrap()
    });
    for (newcomer, so_far) in inserted {
        // One pick may have been on its way; then a lap.
        let lap = &turns[so_far..=so_far + members as usize + 1];
        assert!(lap.contains(&newcomer), "{newcomer} has no turn in {lap:?}");
    }
}
