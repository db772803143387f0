//! How many executions a model explores, and how many it must.
//!
//! Also included by the crate's own unit models: needs nothing but loom.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

/// Explores the executions of `body`, which runs `threads` threads, and fails if there were fewer
/// than the floor: the first over the real reclamation, the second without any.
///
/// | | quick | full (`RONDEL_MODELS=full`) |
/// | --- | --- | --- |
/// | two threads | 2 preemptions; 3 without reclamation | any number |
/// | three threads | none; 1 without reclamation | 1; 3 without reclamation |
///
/// `RONDEL_PREEMPTIONS` overrules. `RONDEL_FLOORS=off` is for mutants, which may leave less to
/// explore and are not found out by that.
#[expect(clippy::print_stdout, reason = "the table of models is there to be read")]
#[track_caller]
pub(crate) fn explore(threads: usize, floors: [usize; 2], body: impl Fn() + Send + Sync + 'static) {
    let variable = |name| std::env::var(name).ok();
    let full = variable("RONDEL_MODELS").is_some_and(|form| form == "full");
    let alone = cfg!(rondel_loom_protocol);
    let floor = floors[usize::from(alone)];
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 100_000;
    builder.preemption_bound = match (threads, full, alone) {
        (2, true, _) => None,
        (2, false, false) => Some(2),
        (2, false, true) | (_, true, true) => Some(3),
        (_, true, false) | (_, false, true) => Some(1),
        (_, false, false) => {
            println!("three threads over the real reclamation: in the full form");
            return;
        }
    };
    if let Some(bound) = variable("RONDEL_PREEMPTIONS").filter(|bound| !bound.is_empty()) {
        builder.preemption_bound = Some(bound.parse().expect("a number of preemptions"));
    }
    let explored = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&explored);
    let began = Instant::now();
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        body();
    });
    let explored = explored.load(Relaxed);
    let test = std::thread::current();
    println!(
        "model {:<70} {explored:>9} executions {:>8.1} s",
        test.name().unwrap_or("?"),
        began.elapsed().as_secs_f64()
    );
    let no_floors = variable("RONDEL_FLOORS").is_some_and(|floors| floors == "off");
    assert!(
        explored >= floor || no_floors,
        "only {explored} executions, {floor} expected: is --cfg crossbeam_loom set?"
    );
}
