//! Values whose drop panics, with a payload whose drop panics as well: all others are dropped still.

#![cfg(not(any(rondel_loom, rondel_small)))]

use std::{
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use rondel::Ring;

use crate::common::{elsewhere, pin_until};

mod common;

const VALUES: usize = 10;

struct Value {
    drops: Arc<AtomicUsize>,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.drops.fetch_add(1, SeqCst);
        panic_any(Payload);
    }
}

struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        // The first is passed on, caught by the test, and forgotten there.
        panic!("a payload");
    }
}

fn ring() -> (Ring<Value>, Arc<AtomicUsize>) {
    let drops = Arc::new(AtomicUsize::new(0));
    let value = |_| Value { drops: Arc::clone(&drops) };
    ((0..VALUES).map(value).collect(), drops)
}

#[test]
fn that_panic_stop_no_drop_when_the_ring_goes() {
    let (ring, drops) = ring();
    let payload = catch_unwind(AssertUnwindSafe(|| drop(ring))).expect_err("it is passed on");
    assert!(payload.is::<Payload>(), "the first panic, not that of a payload");
    std::mem::forget(payload);
    assert_eq!(drops.load(SeqCst), VALUES);
}

#[test]
fn that_panic_stop_no_drop_after_a_removal() {
    let (ring, drops) = ring();
    // A thread that ends hands on what waits to be dropped.
    elsewhere(|| ring.clear());
    pin_until("the removed are dropped", || drops.load(SeqCst) == VALUES);
}
