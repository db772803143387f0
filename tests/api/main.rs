//! Every call alone: one behaviour per test.

#![cfg(not(rondel_loom))]

use std::panic::{AssertUnwindSafe, catch_unwind};

use rondel::{Key, Ring, pin};

#[path = "../common/mod.rs"]
mod common;
mod cursors;
mod end;
mod inserts;
mod keys;
mod laps;
mod leases;
mod next_where;
mod panics;
mod removals;
mod traits;
mod turns;

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
