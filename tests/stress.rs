//! Threads mix all calls on a ring so small that neighbours meet, and then the books must balance.
//!
//! In each phase the threads start at once and do what they like; between phases, in quiet, the
//! ring must be whole: as many members as were inserted and not removed, the same from both ends,
//! each with its turn; and not one value lost, dropped twice, or used after its drop.

#![cfg(not(rondel_loom))]

use std::{
    collections::HashSet,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use rondel::{Cursor, Entry, Guard, Key, Ring, pin};

use crate::common::{
    Random,
    counted::{Counted, Tally},
    idle,
    meeting::Meeting,
    pin_until, seed, times,
};

mod common;

/// Members that the threads keep the ring at, more or less.
const MEMBERS: usize = 6;

#[test]
fn threads_that_mix_all_calls_leave_the_ring_whole() {
    let mut random = Random::new(seed());
    for threads in [2, 3, 4] {
        let arena = Arena::new(threads);
        let phases = times(150, 2);
        thread::scope(|scope| {
            for thread in 0..threads {
                let (arena, random) = (&arena, random.fork());
                scope.spawn(move || {
                    let _attendance = arena.meeting.attend();
                    let mut actor = Actor::new(arena, random);
                    for _ in 0..phases {
                        arena.meeting.wait();
                        actor.phase(if cfg!(miri) { 40 } else { 500 });
                        arena.meeting.wait();
                        if thread == 0 {
                            arena.assert_whole();
                        }
                    }
                });
            }
        });
        let Arena { ring, tally, .. } = arena;
        pin_until("all that was removed is dropped", || tally.alive() == ring.len());
        tally.assert_sound();
        drop(ring);
        tally.await_all_dropped();
    }
}

#[test]
fn a_retain_beside_other_calls_leaves_only_whom_it_kept() {
    let mut random = Random::new(seed());
    let arena = Arena::new(3);
    for _ in 0..times(200, 4) {
        thread::scope(|scope| {
            for _ in 0..MEMBERS {
                arena.ring.push_back(arena.value());
            }
            scope.spawn(|| arena.ring.retain(|value| value.name() % 2 == 1));
            let (arena, mut random) = (&arena, random.fork());
            scope.spawn(move || {
                for _ in 0..MEMBERS {
                    let guard = pin();
                    look(if random.one_in(2) {
                        arena.ring.pop_back(&guard)
                    } else {
                        arena.ring.next(&guard)
                    });
                }
            });
        });
        let guard = pin();
        let kept: Vec<_> = arena.ring.iter(&guard).map(|entry| entry.name()).collect();
        assert!(kept.iter().all(|name| name % 2 == 1), "{kept:?}");
        assert_eq!(arena.ring.len(), kept.len());
        arena.ring.clear();
        assert!(arena.ring.is_empty());
    }
    let Arena { ring, tally, .. } = arena;
    drop(ring);
    tally.await_all_dropped();
}

#[test]
fn of_many_removers_of_one_member_one_wins() {
    let threads = 3;
    let mut random = Random::new(seed());
    let ring = Ring::new();
    let meeting = Meeting::of(threads);
    let key = Mutex::new(ring.push_back(0));
    let wins = AtomicUsize::new(0);
    let rounds = times(2_000, 20);
    thread::scope(|scope| {
        for thread in 0..threads {
            let (ring, meeting, key, wins, mut random) =
                (&ring, &meeting, &key, &wins, random.fork());
            scope.spawn(move || {
                let _attendance = meeting.attend();
                for round in 0..rounds {
                    meeting.wait();
                    let target = *key.lock().expect("no panic");
                    meeting.wait();
                    let guard = pin();
                    let won = match random.within(0..4) {
                        0 => ring.pop_front(&guard).is_some(),
                        1 => ring.pop_back(&guard).is_some(),
                        _ => ring.remove(target),
                    };
                    wins.fetch_add(usize::from(won), SeqCst);
                    assert!(ring.next(&guard).is_none(), "whoever won, it has left");
                    meeting.wait();
                    if thread == 0 {
                        assert_eq!(wins.swap(0, SeqCst), 1, "round {round}");
                        assert_eq!(ring.len(), 0);
                        *key.lock().expect("no panic") = ring.push_back(round);
                    }
                }
            });
        }
    });
}

#[test]
fn laps_from_both_ends_show_those_who_stay_once_and_in_order() {
    let mut random = Random::new(seed());
    let ring = Ring::new();
    let stay: Vec<_> = (0..3).map(|name| ring.push_back(name)).collect();
    let over = AtomicBool::new(false);
    let guests = u32::MAX;
    thread::scope(|scope| {
        for _ in 0..2 {
            let (ring, stay, over, mut random) = (&ring, &stay, &over, random.fork());
            scope.spawn(move || {
                while !over.load(SeqCst) {
                    let beside = stay[random.within(0..stay.len())];
                    let one = ring.insert_after(beside, guests).expect("it stays");
                    let other = ring.insert_before(beside, guests).expect("it stays");
                    // At the ends too.
                    let (first, last) = (ring.push_front(guests), ring.push_back(guests));
                    assert!([one, other, last, first].into_iter().all(|key| ring.remove(key)));
                }
            });
        }
        let laps = times(60_000, 100);
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..laps {
                assert_lap_in_order(&ring, &stay, &mut random);
            }
        }));
        over.store(true, SeqCst);
        result.unwrap_or_else(|panic| panic::resume_unwind(panic));
    });
    assert_eq!(ring.len(), stay.len());
}

/// One lap, from whichever ends: nobody is shown twice, and those who stay as they stand.
fn assert_lap_in_order(ring: &Ring<u32>, stay: &[Key], random: &mut Random) {
    let guard = pin();
    let mut iter = ring.iter(&guard);
    let (mut front, mut back) = (Vec::new(), Vec::new());
    loop {
        idle(random.within(0..30));
        let (shown, next) = if random.one_in(2) {
            (&mut front, iter.next())
        } else {
            (&mut back, iter.next_back())
        };
        let Some(entry) = next else { break };
        shown.push(entry.key());
        assert!(shown.len() < 10_000, "this lap has no end");
    }
    assert!(iter.next().is_none() && iter.next_back().is_none(), "the lap is over");
    front.extend(back.into_iter().rev());
    let distinct: HashSet<_> = front.iter().collect();
    assert_eq!(distinct.len(), front.len(), "nobody twice: {front:?}");
    front.retain(|key| stay.contains(key));
    assert_eq!(front, stay);
}

/// One ring and its books.
struct Arena {
    ring: Ring<Counted>,
    tally: Arc<Tally>,
    last_name: AtomicU32,
    inserted: AtomicUsize,
    removed: AtomicUsize,
    meeting: Meeting,
    /// The members after a phase, as one thread saw them.
    members: Mutex<Vec<Key>>,
}

impl Arena {
    fn new(threads: usize) -> Self {
        Self {
            ring: Ring::new(),
            tally: Tally::new(),
            last_name: AtomicU32::new(0),
            inserted: AtomicUsize::new(0),
            removed: AtomicUsize::new(0),
            meeting: Meeting::of(threads),
            members: Mutex::new(Vec::new()),
        }
    }

    fn value(&self) -> Counted {
        self.tally.value(self.last_name.fetch_add(1, SeqCst))
    }

    /// Everything that must hold while nobody acts.
    fn assert_whole(&self) {
        let Self { ring, tally, .. } = self;
        let guard = pin();
        let lap: Vec<_> = ring.iter(&guard).map(|entry| entry.key()).collect();
        let mut backward: Vec<_> = ring.iter(&guard).rev().map(|entry| entry.key()).collect();
        backward.reverse();
        assert_eq!(lap, backward, "the same from both ends");
        assert_eq!(lap.len(), self.inserted.load(SeqCst) - self.removed.load(SeqCst));
        assert_eq!(lap.len(), ring.len());
        assert_eq!(lap.first().copied(), ring.front(&guard).map(|entry| entry.key()));
        assert_eq!(lap.last().copied(), ring.back(&guard).map(|entry| entry.key()));
        assert!(lap.iter().all(|&key| ring.contains(key)));

        let turns: Vec<_> = lap.iter().filter_map(|_| ring.next(&guard)).collect();
        assert_rotation(&lap, turns.iter().map(Entry::key), "turns");
        let found = lap.iter().filter_map(|_| ring.next_where(&guard, |_| true));
        assert_rotation(&lap, found.map(|entry| entry.key()), "turns with a wish");
        let mut lease = ring.lease(lap.len());
        let leased = std::iter::from_fn(|| lease.next(&guard));
        assert_rotation(&lap, leased.map(|entry| entry.key()), "leased turns");
        let mut cursor = ring.cursor();
        let walk = lap.iter().filter_map(|_| cursor.move_next(&guard));
        assert_rotation(&lap, walk.map(|entry| entry.key()), "a private walk");
        for entry in turns {
            look(Some(entry));
        }
        assert!(tally.alive() >= lap.len());
        tally.assert_sound();
        *self.members.lock().expect("no panic") = lap;
    }
}

/// That `turns` is one lap, from wherever it begins.
#[track_caller]
fn assert_rotation(lap: &[Key], turns: impl Iterator<Item = Key>, what: &str) {
    let turns: Vec<_> = turns.collect();
    let begin = turns.first().and_then(|first| lap.iter().position(|key| key == first));
    let mut rotated = lap.to_vec();
    rotated.rotate_left(begin.unwrap_or(0));
    assert_eq!(turns, rotated, "{what}");
}

/// One thread and what it knows.
struct Actor<'a> {
    arena: &'a Arena,
    random: Random,
    /// Of members, and of some that have left.
    keys: Vec<Key>,
    cursor: Cursor<'a, Counted>,
}

impl<'a> Actor<'a> {
    fn new(arena: &'a Arena, random: Random) -> Self {
        Self { arena, random, keys: Vec::new(), cursor: arena.ring.cursor() }
    }

    fn phase(&mut self, calls: usize) {
        self.keys.truncate(4);
        self.keys.extend(&*self.arena.members.lock().expect("no panic"));
        let mut left = calls;
        while left > 0 {
            // Now and then a guard is held for long, and keeps all that it was shown.
            let most = if self.random.one_in(10) { 200 } else { 5 };
            let with_guard = self.random.within(1..most).min(left);
            let guard = pin();
            let mut shown = Vec::new();
            for _ in 0..with_guard {
                shown.extend(self.act(&guard));
            }
            for entry in shown {
                look(Some(entry));
            }
            left -= with_guard;
        }
    }

    /// One call; the entry that it returned.
    fn act<'g>(&mut self, guard: &'g Guard) -> Option<Entry<'g, Counted>>
    where
        'a: 'g,
    {
        let ring = &self.arena.ring;
        match self.random.within(0..20) {
            0..=4 => self.insert(),
            5..=7 => self.remove(),
            8 | 9 => return self.pop(guard),
            10..=12 => return ring.next(guard),
            13 => return ring.next_where(guard, |value| value.name() % 3 == 0),
            14 => drop(ring.next_cloned().map(|value| value.name())),
            15 => {
                let mut lease = ring.lease(self.random.within(0..8));
                while let Some(entry) = lease.next(guard) {
                    look(Some(entry));
                }
            }
            16 => self.walk(guard),
            17 => self.lap(guard),
            18 => {
                look(ring.front(guard));
                return ring.back(guard);
            }
            _ => {
                let key = self.random.choose(&self.keys)?;
                let entry = ring.get(key, guard)?;
                assert_eq!(entry.key(), key);
                return Some(entry);
            }
        }
        None
    }

    fn insert(&mut self) {
        let Arena { ring, inserted, .. } = self.arena;
        if ring.len() >= MEMBERS + 2 {
            return;
        }
        let value = self.arena.value();
        let name = value.name();
        let beside = self.random.choose(&self.keys);
        let key = match (self.random.within(0..5), beside) {
            (0 | 1, Some(at)) => ring.insert_before(at, value),
            (2 | 3, Some(at)) => ring.insert_after(at, value),
            (place, _) if place % 2 == 0 => Ok(ring.push_front(value)),
            _ => Ok(ring.push_back(value)),
        };
        match key {
            Ok(key) => {
                inserted.fetch_add(1, SeqCst);
                self.keys.push(key);
            }
            Err(error) => assert_eq!(error.into_inner().name(), name),
        }
    }

    /// Few members, but now and then none at all.
    fn may_remove(&mut self) -> bool {
        self.arena.ring.len() > MEMBERS - 3 || self.random.one_in(20)
    }

    fn remove(&mut self) {
        if self.keys.is_empty() || !self.may_remove() {
            return;
        }
        let place = self.random.within(0..self.keys.len());
        let key = self.keys[place];
        // A stale key stays known for a while.
        if self.random.one_in(2) {
            self.keys.swap_remove(place);
        }
        if self.arena.ring.remove(key) {
            self.arena.removed.fetch_add(1, SeqCst);
        }
        assert!(!self.arena.ring.contains(key), "removed, by whomsoever");
    }

    fn pop<'g>(&mut self, guard: &'g Guard) -> Option<Entry<'g, Counted>>
    where
        'a: 'g,
    {
        if !self.may_remove() {
            return None;
        }
        let Arena { ring, removed, .. } = self.arena;
        let front = self.random.one_in(2);
        let entry = if front { ring.pop_front(guard) } else { ring.pop_back(guard) }?;
        removed.fetch_add(1, SeqCst);
        assert!(entry.is_removed() && !ring.remove(entry.key()));
        Some(entry)
    }

    fn walk(&mut self, guard: &Guard) {
        if self.random.one_in(4) {
            let at = self.random.choose(&self.keys);
            if let Some(cursor) = at.and_then(|key| self.arena.ring.cursor_at(key)) {
                self.cursor = cursor;
            }
        }
        for _ in 0..4 {
            look(self.cursor.current(guard));
            look(if self.random.one_in(2) {
                self.cursor.move_next(guard)
            } else {
                self.cursor.move_prev(guard)
            });
        }
    }

    /// A lap from the front shows everybody who was there all the time, and from whichever ends
    /// nobody twice.
    fn lap(&mut self, guard: &Guard) {
        let ring = &self.arena.ring;
        let witness = self.random.choose(&self.keys).and_then(|key| ring.get(key, guard));
        let forward = self.random.one_in(2);
        let mut shown = HashSet::new();
        let mut iter = ring.iter(guard);
        loop {
            let front = forward || self.random.one_in(2);
            let Some(entry) = (if front { iter.next() } else { iter.next_back() }) else { break };
            assert!(shown.insert(entry.key()), "{:?} was shown twice", entry.key());
            look(Some(entry));
        }
        if let Some(witness) = witness.filter(|entry| !entry.is_removed()) {
            assert!(shown.contains(&witness.key()), "{:?} was there all the time", witness.key());
        }
    }
}

/// The value lives, for as long as the entry is held.
fn look(entry: Option<Entry<'_, Counted>>) {
    if let Some(entry) = entry {
        entry.name();
    }
}
