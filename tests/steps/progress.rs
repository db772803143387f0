//! A thread is stopped between two steps: the others go on, for as long as they like.

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
};

use crate::{
    alone,
    common::{Random, seed, times},
    every_trace, others,
    scene::{Call, Half, Outcome, Scene},
};

/// Calls that the others make while the thread is stopped at one step.
const CALLS: usize = 800;
/// Calls that they make, all stops together, at the least.
const FLOOR: usize = 1_000_000;

#[test]
fn others_go_on_while_a_thread_is_stopped_at_any_step() {
    let _alone = alone();
    let mut random = Random::new(seed());
    let calls = times(CALLS, 20);
    let mut made = 0;
    for (half, call, trace) in every_trace() {
        for stop in 0..trace.len() {
            // The many removals of `Reclaim` repeat themselves.
            if call == Call::Reclaim && stop > 20 && !random.one_in(64) {
                continue;
            }
            stop_at(half, call, stop, calls, &mut random);
            made += calls;
        }
    }
    println!("{made} calls of others while a thread was stopped");
    assert!(made >= FLOOR, "only {made} calls");
}

fn stop_at(half: Half, call: Call, stop: usize, calls: usize, random: &mut Random) {
    let scene = Scene::new(half, call);
    let (has_stopped, stopped) = mpsc::sync_channel(1);
    let (go_on, may_go_on) = mpsc::sync_channel(1);
    let victim = {
        let scene = Arc::clone(&scene);
        thread::spawn(move || scene.make(stop_once(stop, has_stopped, may_go_on)))
    };
    // Its steps may be fewer this time; then it has ended, which does no harm.
    let _ = stopped.recv();
    let left = others::work(&scene, calls, random);
    let _ = go_on.send(());
    let outcome = victim.join().unwrap_or_else(|_| panic!("{half:?}, {call:?}, step {stop}"));
    assert_plausible(half, call, stop, &outcome);
    let taken = matches!(call, Call::PopFront | Call::PopBack);
    // A call that takes from an end may take what the others left there.
    scene.assert_whole(if taken { &[] } else { &left }, counted_too_much(half));
    scene.close();
}

fn stop_once(
    stop: usize,
    has_stopped: SyncSender<()>,
    may_go_on: Receiver<()>,
) -> impl FnMut(rondel::steps::Step) {
    let mut number = 0;
    move |_| {
        if number == stop {
            let _ = has_stopped.send(());
            let _ = may_go_on.recv();
        }
        number += 1;
    }
}

/// A removal that was abandoned before it was counted stays counted as a member.
pub(crate) fn counted_too_much(half: Half) -> usize {
    use rondel::steps::Step;
    let step = match half {
        Half::Removal(step) | Half::PopFront(step) | Half::PopBack(step) => step,
        _ => return 0,
    };
    usize::from(matches!(step, Step::Marked | Step::FrontMarked))
}

fn assert_plausible(half: Half, call: Call, stop: usize, outcome: &Outcome) {
    let is_right = match (call, outcome) {
        (Call::Next | Call::NextWhere | Call::PopFront | Call::PopBack, Outcome::Took(Some(_)))
        | (Call::Lease, Outcome::Claimed(7))
        | (
            Call::PushFront | Call::PushBack | Call::InsertBefore | Call::InsertAfter,
            Outcome::Inserted(true),
        )
        | (Call::Refused, Outcome::Inserted(false))
        | (Call::Retain | Call::Reclaim, Outcome::Done) => true,
        (Call::Remove, Outcome::Removed(won)) => *won != matches!(half, Half::Removal(_)),
        (Call::LapBack, Outcome::Saw(names)) => {
            let stable: Vec<_> = names.iter().copied().filter(|&name| name < 4).collect();
            stable == [3, 2, 1, 0]
        }
        _ => false,
    };
    assert!(is_right, "{half:?}, {call:?} stopped at step {stop}: {outcome:?}");
}
