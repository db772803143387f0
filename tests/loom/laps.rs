//! What has no single moment: laps, and moves of a private cursor, against everything that changes
//! the ring. No story of the sequential meaning tells these; each is held to what its page says.

use std::sync::Arc;

use rondel::{Key, Ring, pin};

use crate::{
    explore::{Explored, is_full, search},
    harness::Clock,
};

/// A change of `[0, 1, 2]`, whose keys it gets.
type Change = fn(&Ring<u32>, &[Key]);

/// The changes, each with the members that are there all the time.
const CHANGES: [(Change, &[u32]); 10] = [
    (|ring, _| _ = ring.push_front(3), &[0, 1, 2]),
    (|ring, _| _ = ring.push_back(3), &[0, 1, 2]),
    (|ring, keys| assert!(ring.insert_before(keys[1], 3).is_ok()), &[0, 1, 2]),
    (|ring, keys| assert!(ring.insert_after(keys[1], 3).is_ok()), &[0, 1, 2]),
    (|ring, keys| assert!(ring.remove(keys[0])), &[1, 2]),
    (|ring, keys| assert!(ring.remove(keys[1])), &[0, 2]),
    (|ring, keys| assert!(ring.remove(keys[2])), &[0, 1]),
    (|ring, _| assert!(ring.pop_front(&pin()).is_some()), &[1, 2]),
    (|ring, _| assert!(ring.pop_back(&pin()).is_some()), &[0, 1]),
    (|ring, keys| assert!(ring.remove(keys[1]) && ring.remove(keys[2])), &[0]),
];

/// Explores `look` against every change; it gets the ring, the keys, and who stays.
#[track_caller]
fn against_every_change(look: fn(&Ring<u32>, &[Key], &[u32]), floors: [usize; 2]) {
    let preemptions = if is_full() { 3 } else { 2 };
    let mut sum = Explored::default();
    for (change, staying) in CHANGES {
        sum += search(
            Some(preemptions),
            2,
            Arc::new(move || {
                let ring = Arc::new(Ring::new());
                let keys = [0, 1, 2].map(|value| ring.push_back(value));
                let gate = Clock::new(false);
                let (other, others_gate) = (Arc::clone(&ring), gate.clone());
                let changing = loom::thread::spawn(move || {
                    others_gate.invoked();
                    change(&other, &keys);
                });
                gate.invoked();
                look(&ring, &keys, staying);
                changing.join().expect("the change is made");
            }),
        );
    }
    sum.tell(Some(preemptions), CHANGES.len());
    sum.meets_floor(floors);
}

/// Who stays is met once, in order, and nobody twice.
fn check_lap(mut met: Vec<u32>, staying: &[u32]) {
    let stayed: Vec<u32> = met.iter().copied().filter(|value| staying.contains(value)).collect();
    assert_eq!(stayed, staying, "of a lap over {met:?}");
    let length = met.len();
    met.sort_unstable();
    met.dedup();
    assert_eq!(met.len(), length, "somebody was met twice: {met:?}");
}

#[test]
fn a_lap_forward_against_every_change() {
    against_every_change(
        |ring, _, staying| check_lap(ring.iter(&pin()).map(|entry| *entry).collect(), staying),
        [2_900, 390],
    );
}

#[test]
fn a_lap_backward_against_every_change() {
    against_every_change(
        |ring, _, staying| {
            let guard = pin();
            let mut met: Vec<u32> = ring.iter(&guard).rev().map(|entry| *entry).collect();
            met.reverse();
            check_lap(met, staying);
        },
        [8_200, 3_400],
    );
}

#[test]
fn a_lap_from_both_ends_against_every_change() {
    against_every_change(
        |ring, _, staying| {
            let guard = pin();
            let mut lap = ring.iter(&guard);
            let mut met = Vec::from_iter(lap.next().map(|entry| *entry));
            let mut back = Vec::from_iter(lap.next_back().map(|entry| *entry));
            met.extend(lap.next().map(|entry| *entry));
            back.extend(lap.next_back().map(|entry| *entry));
            met.extend(lap.map(|entry| *entry));
            met.extend(back.into_iter().rev());
            check_lap(met, staying);
        },
        [4_800, 1_700],
    );
}

/// A move forward passes over nobody who stays, and comes to nobody who had left before it.
#[test]
fn a_private_cursor_forward_against_every_change() {
    against_every_change(
        |ring, keys, staying| {
            let guard = pin();
            let Some(mut cursor) = ring.cursor_at(keys[1]) else {
                return assert!(!staying.contains(&1));
            };
            let next = cursor.move_next(&guard).map(|entry| *entry);
            match next {
                Some(2 | 3) => {}
                Some(0) => assert!(!staying.contains(&2), "2 was passed over"),
                _ => panic!("from 1 to {next:?}"),
            }
        },
        [2_600, 1_100],
    );
}

/// A move backward passes over nobody who stays.
#[test]
fn a_private_cursor_backward_against_every_change() {
    against_every_change(
        |ring, keys, staying| {
            let guard = pin();
            let Some(mut cursor) = ring.cursor_at(keys[1]) else {
                return assert!(!staying.contains(&1));
            };
            let previous = cursor.move_prev(&guard).map(|entry| *entry);
            match previous {
                Some(0 | 3) => {}
                // Past the front, to the last.
                Some(2) => assert!(!staying.contains(&0), "0 was passed over"),
                Some(1) => assert!(!staying.contains(&0) && !staying.contains(&2)),
                _ => panic!("from 1 to {previous:?}"),
            }
        },
        [2_600, 320],
    );
}

/// Nobody who stays is passed over or comes twice in a lap, whoever else comes or goes between the
/// claim and the turns.
#[test]
fn leased_turns_and_the_next_ones_against_every_change() {
    against_every_change(
        |ring, _, staying| {
            let mut lease = ring.lease(2);
            let guard = pin();
            let mut turns: Vec<u32> =
                std::iter::from_fn(|| lease.next(&guard)).map(|entry| *entry).collect();
            turns.extend((0..2).filter_map(|_| ring.next(&guard)).map(|entry| *entry));
            let in_order = turns.iter().filter(|turn| staying.contains(turn));
            assert!(
                in_order.zip(staying.iter().cycle()).all(|(turn, expected)| turn == expected),
                "turns of {turns:?}, while {staying:?} stayed"
            );
        },
        [17_000, 4_700],
    );
}
