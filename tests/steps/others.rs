//! What the other threads do meanwhile, and that they get what they should.

use std::{sync::Arc, thread};

use rondel::{Key, pin};

use crate::{
    common::{Random, sequential::Name},
    scene::{STABLE, Scene},
};

/// Members that the others insert have names from here on.
const PASSING: Name = 1000;

/// Has two threads make so many calls on the ring, and checks every result; the members that they
/// leave in it.
pub(crate) fn work(scene: &Arc<Scene>, calls: usize, random: &mut Random) -> Vec<Key> {
    let (mut one, mut other) = (random.fork(), random.fork());
    thread::scope(|scope| {
        scope.spawn(move || pick(scene, calls / 2, &mut one));
        let churner = scope.spawn(move || churn(scene, calls / 2, &mut other));
        churner.join().expect("its panic is shown above")
    })
}

/// Takes turns: those of the members that stay are a plain rotation.
fn pick(scene: &Scene, calls: usize, random: &mut Random) {
    let is_stable = |name: Name| STABLE.contains(&name);
    let mut last: Option<Name> = None;
    let mut turn = |name: Name| {
        if !is_stable(name) {
            return;
        }
        if let Some(last) = last {
            assert_eq!(name, (last + 1) % 4, "the turn after {last}");
        }
        last = Some(name);
    };
    for _ in 0..calls {
        let guard = pin();
        match random.within(0..8) {
            0 => {
                let accepted = scene.ring.next_where(&guard, |value| is_stable(value.name()));
                turn(accepted.expect("stable members").name());
            }
            1 => {
                let mut lease = scene.ring.lease(random.within(1..6));
                while let Some(entry) = lease.next(&guard) {
                    turn(entry.name());
                }
            }
            _ => turn(scene.ring.next(&guard).expect("stable members").name()),
        }
    }
}

/// Inserts and removes, everywhere.
fn churn(scene: &Scene, calls: usize, random: &mut Random) -> Vec<Key> {
    let Scene { ring, tally, stable, .. } = scene;
    let mut own: Vec<Key> = Vec::new();
    let mut name = PASSING;
    let mut done = 0;
    while done < calls {
        let guard = pin();
        name += 1;
        let value = tally.value(name);
        done += 2;
        match random.within(0..8) {
            // Taken at once: nobody else inserts at the ends.
            0 => {
                let key = ring.push_front(value);
                assert_eq!(ring.pop_front(&guard).expect("just pushed").key(), key);
                assert!(!ring.contains(key));
            }
            1 => {
                let key = ring.push_back(value);
                assert_eq!(ring.pop_back(&guard).expect("just pushed").key(), key);
                assert!(!ring.remove(key));
            }
            2 if done % 16 == 0 => {
                let lap: Vec<_> = ring.iter(&guard).map(|entry| entry.name()).collect();
                let there: Vec<_> =
                    lap.iter().copied().filter(|name| STABLE.contains(name)).collect();
                assert_eq!(there, STABLE, "a lap shows who stays, once and in order: {lap:?}");
            }
            choice if own.len() < 6 => {
                let at = random.choose(stable).expect("stable members");
                let inserted = if choice % 2 == 0 {
                    ring.insert_after(at, value)
                } else {
                    ring.insert_before(at, value)
                };
                let key = inserted.expect("a stable member is there");
                assert_eq!(ring.get(key, &guard).expect("just inserted").name(), name);
                own.push(key);
            }
            _ => {
                let key = own.swap_remove(random.within(0..own.len()));
                assert!(ring.remove(key), "nobody else removes it");
                assert!(ring.get(key, &guard).is_none(), "removed");
            }
        }
    }
    own
}
