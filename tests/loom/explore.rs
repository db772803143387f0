//! How many executions a model explores, and how many it must.
//!
//! Also included by the crate's own unit models: needs nothing but loom.

use std::{
    env,
    ops::AddAssign,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Explores the executions of `body`, which runs `threads` threads, and fails if there were fewer
/// than the floor: the first over the real reclamation, the second without any.
///
/// | preemptions | quick | full (`RONDEL_MODELS=full`) |
/// | --- | --- | --- |
/// | two threads | 2; 3 without reclamation | 3, then any number |
/// | three threads | none; 1 without reclamation | 1, then 3 |
///
/// `RONDEL_PREEMPTIONS` overrules. A search ends after `RONDEL_MODEL_EXECUTIONS`, if unset 30,000 in
/// the quick form and 200,000 in the full one, and then the table says that these were not all. A
/// number of executions, not a time: so the table is the same on every machine. `RONDEL_FLOORS=off`
/// is for mutants, which may leave less to explore and are not found out by that.
#[track_caller]
pub(crate) fn explore(threads: usize, floors: [usize; 2], body: impl Fn() + Send + Sync + 'static) {
    let body = Arc::new(body);
    let bounds = bounds(threads);
    if bounds.is_empty() {
        tell(format_args!("three threads over the real reclamation: in the full form"));
        return;
    }
    let mut sum = Explored::default();
    let mut least = 0;
    for bound in bounds {
        let explored = search(bound, threads, Arc::clone(&body));
        explored.tell(bound, 1);
        let executions = explored.executions;
        assert!(executions >= least || explored.is_cut, "more preemptions, and fewer executions");
        least = executions;
        sum += explored;
    }
    sum.meets_floor(floors);
}

/// The bounds on preemptions to explore a model at, one after the other.
fn bounds(threads: usize) -> Vec<Option<usize>> {
    if let Some(bound) = variable("RONDEL_PREEMPTIONS").filter(|bound| !bound.is_empty()) {
        return vec![Some(bound.parse().expect("a number of preemptions"))];
    }
    match (threads, is_full(), cfg!(rondel_loom_protocol)) {
        (2, true, _) => vec![Some(3), None],
        (2, false, false) => vec![Some(2)],
        (2, false, true) => vec![Some(3)],
        (_, true, _) => vec![Some(1), Some(3)],
        (_, false, true) => vec![Some(1)],
        (_, false, false) => vec![],
    }
}

/// What a search came to.
#[derive(Default)]
pub(crate) struct Explored {
    pub(crate) executions: usize,
    pub(crate) time: Duration,
    /// It was stopped before it had seen all executions.
    pub(crate) is_cut: bool,
}

/// Executions between two looks of loom at how many there were.
const CHECKPOINT: usize = 1_000;

/// Explores the executions of so many threads with at most so many preemptions.
pub(crate) fn search(
    bound: Option<usize>,
    threads: usize,
    body: Arc<impl Fn() + Send + Sync + 'static>,
) -> Explored {
    let most = most_executions(threads);
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 100_000;
    builder.preemption_bound = bound;
    builder.max_permutations = Some(most);
    builder.checkpoint_interval = CHECKPOINT;
    let executions = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&executions);
    let began = Instant::now();
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        body();
    });
    let executions = executions.load(Relaxed);
    // loom leaves off right before the one that would be the last.
    Explored { executions, time: began.elapsed(), is_cut: executions + 1 >= most }
}

/// How many executions a search may take, in whole steps of `CHECKPOINT`: more for three threads,
/// of which there are few models.
fn most_executions(threads: usize) -> usize {
    let default = if is_full() { 200_000 } else { 30_000 };
    let most: usize = variable("RONDEL_MODEL_EXECUTIONS").map_or(default, |most| {
        most.parse().expect("RONDEL_MODEL_EXECUTIONS is a number of executions")
    });
    let most = if threads > 2 { 5 * most } else { most };
    most.next_multiple_of(CHECKPOINT).max(CHECKPOINT)
}

impl Explored {
    /// One line of the table, for the test that runs.
    pub(crate) fn tell(&self, bound: Option<usize>, models: usize) {
        let test = std::thread::current();
        let bound = bound.map_or("any".to_owned(), |bound| bound.to_string());
        tell(format_args!(
            "model {:<78} {models:>4} x {bound:>3} preemptions {:>9} executions {:>7.1} s{}",
            test.name().unwrap_or("?"),
            self.executions,
            self.time.as_secs_f64(),
            if self.is_cut { ", not all" } else { "" }
        ));
    }

    /// Fails if there were fewer executions than the floor: see [`explore`]. A search that was cut
    /// short has had enough of them.
    #[track_caller]
    pub(crate) fn meets_floor(&self, floors: [usize; 2]) {
        let floor = floors[usize::from(cfg!(rondel_loom_protocol))];
        let no_floors = variable("RONDEL_FLOORS").is_some_and(|floors| floors == "off");
        assert!(
            self.executions >= floor || self.is_cut || no_floors,
            "only {} executions, {floor} expected: is --cfg crossbeam_loom set?",
            self.executions
        );
    }
}

impl AddAssign for Explored {
    fn add_assign(&mut self, other: Self) {
        self.executions += other.executions;
        self.time += other.time;
        self.is_cut |= other.is_cut;
    }
}

pub(crate) fn is_full() -> bool {
    variable("RONDEL_MODELS").is_some_and(|form| form == "full")
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

#[expect(clippy::print_stdout, reason = "the table of models is there to be read")]
fn tell(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}
