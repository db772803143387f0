//! A thread is stopped between two steps: the others go on, for as long as they like.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
};

use rondel::steps::Step;

use crate::{
    common::{Random, alone, seed},
    every_trace, others,
    scene::{Call, Half, Outcome, Scene},
};

/// Calls that the others make while a thread is stopped at a step of a call, and how many if they
/// have made as many already at this step of this call, beside another half-done removal.
const MANY: usize = 1_000_000;
const FEW: usize = 800;

#[test]
fn others_make_a_million_calls_while_a_thread_is_stopped_at_any_step_of_any_call() {
    let _alone = alone();
    let mut random = Random::new(seed());
    let (mut all, mut done) = (BTreeSet::new(), BTreeSet::new());
    let mut made = 0;
    for (half, call, trace) in every_trace() {
        for (stop, step) in trace.into_iter().enumerate() {
            all.insert((call, step));
            let is_done = done.contains(&(call, step));
            // The many removals of `Reclaim` repeat themselves.
            if is_done && call == Call::Reclaim && stop > 20 && !random.one_in(64) {
                continue;
            }
            let calls = if is_done { FEW } else { MANY };
            // What is reclaimed, and when, is not the same each time.
            if stop_at(half, call, stop, calls, &mut random) == Some(step) {
                done.insert((call, step));
            }
            made += calls;
        }
    }
    println!("{} steps of calls, {made} calls of others meanwhile", done.len());
    let missing: Vec<_> = all.difference(&done).collect();
    assert!(missing.is_empty(), "never stopped at {missing:?}");
}

/// Stops the call once, and has the others work; the step at which it was.
fn stop_at(half: Half, call: Call, stop: usize, calls: usize, random: &mut Random) -> Option<Step> {
    let scene = Scene::new(half, call);
    let (has_stopped, stopped) = mpsc::sync_channel(1);
    let (go_on, may_go_on) = mpsc::sync_channel(1);
    let victim = {
        let scene = Arc::clone(&scene);
        thread::spawn(move || scene.make(stop_once(stop, has_stopped, may_go_on)))
    };
    // Its steps may be fewer this time; then it has ended, which does no harm.
    let reached = stopped.recv().ok();
    let left = others::work(&scene, calls, random);
    let _ = go_on.send(());
    let outcome = victim.join().unwrap_or_else(|_| panic!("{half:?}, {call:?}, step {stop}"));
    assert_plausible(half, call, stop, &outcome);
    let taken = matches!(call, Call::PopFront | Call::PopBack);
    // A call that takes from an end may take what the others left there.
    scene.assert_whole(if taken { &[] } else { &left }, counted_too_much(half));
    scene.close();
    reached
}

fn stop_once(
    stop: usize,
    has_stopped: SyncSender<Step>,
    may_go_on: Receiver<()>,
) -> impl FnMut(Step) {
    let mut number = 0;
    move |step| {
        if number == stop {
            let _ = has_stopped.send(step);
            let _ = may_go_on.recv();
        }
        number += 1;
    }
}

/// A removal that was abandoned before it was counted stays counted as a member.
pub(crate) fn counted_too_much(half: Half) -> usize {
    let (Half::Removal(step) | Half::PopFront(step) | Half::PopBack(step)) = half else { return 0 };
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
