//! A thread that is stopped, or dies, between any two steps of any call: the others go on.
//!
//! Run by `cargo steps`, which compiles the ring under `--cfg rondel_steps`: then the ring calls a
//! handler of the test at each [`Step`]. First every call is made alone, to learn its steps; then
//! once for each of them, and there it is stopped, or abandoned.

#![cfg(all(rondel_steps, not(rondel_small)))]
#![expect(clippy::print_stdout, reason = "captured by the test harness, or asked for")]

use std::collections::BTreeSet;

use rondel::steps::Step;

#[path = "../common/mod.rs"]
mod common;
mod abandonment;
mod others;
mod progress;
mod scene;

use common::alone;
use scene::{Call, Half, Scene};

/// Every call, beside every half-done removal, and the steps that it makes.
fn every_trace() -> Vec<(Half, Call, Vec<Step>)> {
    let mut traces = Vec::new();
    for half in Half::ALL {
        for call in Call::ALL {
            let trace = Scene::new(half, call).trace();
            // Who finds the member gone already answers at once.
            if !trace.is_empty() {
                traces.push((half, call, trace));
            }
        }
    }
    assert!(2 * traces.len() > Half::ALL.len() * Call::ALL.len(), "most calls make steps");
    traces
}

/// Otherwise a step could be forgotten here, or be out of reach.
#[test]
fn every_step_is_made_by_some_call() {
    let _alone = alone();
    let made: BTreeSet<Step> = every_trace().into_iter().flat_map(|(.., trace)| trace).collect();
    let missing: Vec<_> = Step::ALL.iter().filter(|step| !made.contains(step)).collect();
    assert!(missing.is_empty(), "no call made these: {missing:?}");
}
