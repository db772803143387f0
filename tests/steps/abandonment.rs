//! A thread dies between two steps, by unwinding: the others finish what it began.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rondel::steps::Step;

use crate::{
    common::{Random, alone, seed, times},
    every_trace, others,
    progress::counted_too_much,
    scene::{Call, Half, Scene, dying, survives},
};

#[test]
fn others_finish_what_is_abandoned_at_any_step() {
    let _alone = alone();
    let mut random = Random::new(seed());
    let mut deaths = 0;
    for (half, call, trace) in every_trace() {
        // The collector runs what is left to it on any thread, and may not be unwound: it is
        // stopped in `progress`.
        if call == Call::Reclaim {
            continue;
        }
        for (death, step) in trace.into_iter().enumerate() {
            if step == Step::Claimed {
                break;
            }
            let died = catch_unwind(AssertUnwindSafe(|| die_at(half, call, death, &mut random)));
            assert!(died.is_ok(), "{half:?}, {call:?} abandoned at step {death}, {step:?}");
            deaths += 1;
        }
    }
    println!("{deaths} deaths");
    assert!(deaths > 1000, "only {deaths} deaths");
}

fn die_at(half: Half, call: Call, death: usize, random: &mut Random) {
    let scene = Scene::new(half, call);
    let outcome = survives(|| scene.make(dying(move |_, number| number == death)));
    assert!(outcome.is_none(), "it dies");
    let left = others::work(&scene, times(200, 20), random);
    scene.assert_whole(&left, 1 + counted_too_much(half));
    scene.close();
}
