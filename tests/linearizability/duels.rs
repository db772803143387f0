//! Two threads that meet at one place, over and over, where a counterexample was found or is to be
//! feared: the smallest histories, many of them.

use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use rondel::{Key, Ring, pin};

use crate::common::{Random, idle, meeting::Meeting, seed, times};

/// Of a member that nobody asks for.
const PLAIN: u32 = 0;

/// The cursor is on the last member, which leaves while another is inserted before it. If the
/// insert succeeds it came first, so the cursor went back to the new member; if it is refused, to
/// the one before. Either way the end of the list is next.
#[test]
fn an_insert_before_a_member_that_leaves_gets_the_cursor_or_is_refused() {
    let ring = Ring::new();
    let stays = ring.push_back(PLAIN);
    duel(
        times(20_000, 50),
        || cursor_on_a_new_last(&ring),
        |last| ring.remove(last),
        |last| ring.insert_before(last, PLAIN).ok(),
        |_, removed, inserted| {
            assert!(removed);
            let guard = pin();
            assert_eq!(ring.next(&guard).map(|entry| entry.key()), Some(stays));
            assert!(inserted.is_none_or(|key| ring.remove(key)));
        },
    );
}

/// The cursor is on the last member, which leaves. Who is told so, and then inserts behind the one
/// before, has inserted right behind the cursor.
#[test]
fn an_insert_by_who_knows_of_a_removal_is_next() {
    let ring = Ring::new();
    let stays = ring.push_back(PLAIN);
    duel(
        times(20_000, 50),
        || cursor_on_a_new_last(&ring),
        |last| ring.remove(last),
        |last| {
            let mut asked = 0;
            while ring.contains(last) {
                asked += 1;
                if asked % 1000 == 0 || cfg!(miri) {
                    thread::yield_now();
                }
            }
            ring.insert_after(stays, PLAIN).expect("it stays")
        },
        |_, _, inserted| {
            let guard = pin();
            assert_eq!(ring.next(&guard).map(|entry| entry.key()), Some(inserted));
            assert!(ring.remove(inserted));
        },
    );
}

/// Two members come while a third is asked, one before it and then one behind it. Whoever sees the
/// later one must have seen the earlier, and that is nearer.
#[test]
fn a_search_does_not_pass_over_a_member_that_came_before_the_one_it_finds() {
    let ring = Ring::new();
    ring.push_back(PLAIN);
    let refused = ring.push_back(PLAIN);
    let cursor = || {
        let guard = pin();
        while ring.next(&guard).map(|entry| entry.key()) == Some(refused) {}
    };
    duel(
        times(20_000, 50),
        cursor,
        |()| {
            let nearer = ring.insert_before(refused, 1).expect("it stays");
            (nearer, ring.insert_after(refused, 2).expect("it stays"))
        },
        |()| {
            let guard = pin();
            let found = ring.next_where(&guard, |&name| {
                if name == PLAIN {
                    // The others are quick.
                    idle(4_000);
                }
                name != PLAIN
            });
            found.map(|entry| *entry)
        },
        |(), (nearer, farther), found| {
            assert_ne!(found, Some(2), "the nearer one was there");
            assert!(ring.remove(nearer) && ring.remove(farther));
        },
    );
}

fn cursor_on_a_new_last(ring: &Ring<u32>) -> Key {
    let guard = pin();
    let last = ring.push_back(PLAIN);
    while ring.next(&guard).map(|entry| entry.key()) != Some(last) {}
    last
}

/// Sets a scene, lets two threads act in it at once, and looks at what came of it; so often, or for
/// a second, whichever comes first: a machine that is busy shows nothing by taking longer.
fn duel<S: Copy + Send, A: Send, B>(
    rounds: usize,
    mut set: impl FnMut() -> S,
    one: impl Fn(S) -> A + Sync,
    other: impl Fn(S) -> B,
    mut look: impl FnMut(S, A, B),
) {
    let mut random = Random::new(seed());
    let meeting = Meeting::of(2);
    let (scene, outcome) = (Mutex::new(None), Mutex::new(None));
    thread::scope(|scope| {
        let mut random_of_one = random.fork();
        let (meeting, scene, outcome, one) = (&meeting, &scene, &outcome, &one);
        scope.spawn(move || {
            let _attendance = meeting.attend();
            loop {
                meeting.wait();
                let Some(scene): Option<S> = *scene.lock().expect("no panic") else { break };
                meeting.wait();
                idle(random_of_one.within(0..100));
                *outcome.lock().expect("no panic") = Some(one(scene));
                meeting.wait();
            }
        });
        let _attendance = meeting.attend();
        let end = Instant::now() + Duration::from_secs(times(1, 1000) as u64);
        for _ in 0..rounds {
            if Instant::now() > end {
                break;
            }
            let set = set();
            *scene.lock().expect("no panic") = Some(set);
            meeting.wait();
            meeting.wait();
            idle(random.within(0..100));
            let of_other = other(set);
            meeting.wait();
            let of_one = outcome.lock().expect("no panic").take().expect("it acted");
            look(set, of_one, of_other);
        }
        *scene.lock().expect("no panic") = None;
        meeting.wait();
    });
}
