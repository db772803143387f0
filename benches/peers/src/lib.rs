//! The contenders: ways to hand out members in turn, behind one trait, and the threads that use
//! them.
//!
//! Every round checks its own answer: the turns of all threads together are spread evenly over the
//! members, to within one. A contender that gets this wrong is not fast but broken.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, RwLock,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use rondel::{Guard, Ring, pin};

/// A way to take turns among the numbers from 0 to `MEMBERS - 1`.
pub(crate) trait Rotation: Sync {
    const NAME: &'static str;

    /// What a thread keeps between two picks.
    type Local<'r>
    where
        Self: 'r;

    fn new() -> Self;
    fn local(&self) -> Self::Local<'_>;
    fn next(&self, local: &mut Self::Local<'_>) -> usize;
}

pub(crate) const MEMBERS: usize = 8;

/// A contender, ready to run.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    run: fn(usize, u64) -> Duration,
}

impl Contender {
    const fn of<R: Rotation>() -> Self {
        Self { name: R::NAME, run: run::<R> }
    }

    /// How long so many threads took, together, for so many picks.
    pub(crate) fn round(&self, threads: usize, picks: u64) -> Duration {
        (self.run)(threads, picks)
    }
}

/// The ring first: the others are compared with it.
pub(crate) const ALL: [Contender; 7] = [
    Contender::of::<RingPinned>(),
    Contender::of::<RingKept>(),
    Contender::of::<MutexDeque>(),
    Contender::of::<MutexIndex>(),
    Contender::of::<RwLockCounter>(),
    Contender::of::<ArcSwapCounter>(),
    Contender::of::<BareCounter>(),
];

/// Picks that a thread takes on before it asks whether there are more to do. All threads pick until
/// the end: none is left to finish alone.
const BATCH: u64 = 256;

/// The time from the first thread's first pick to the last one's last, for `picks` picks.
fn run<R: Rotation>(threads: usize, picks: u64) -> Duration {
    let rotation = R::new();
    let ready = AtomicUsize::new(0);
    let taken_on = AtomicU64::new(0);
    let thread = || {
        let mut local = rotation.local();
        let mut turns = [0_u64; MEMBERS];
        // Spinning: who waits in the kernel begins when the others have finished.
        ready.fetch_add(1, SeqCst);
        while ready.load(SeqCst) < threads {
            thread::yield_now();
        }
        let begin = Instant::now();
        while taken_on.fetch_add(BATCH, Relaxed) < picks {
            for _ in 0..BATCH {
                turns[rotation.next(&mut local)] += 1;
            }
        }
        (begin, Instant::now(), turns)
    };
    let finished: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(thread)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no pick panics")).collect()
    });

    let mut sums = [0; MEMBERS];
    for (.., turns) in &finished {
        sums.iter_mut().zip(turns).for_each(|(sum, turns)| *sum += turns);
    }
    let (least, most) = sums.iter().fold((u64::MAX, 0), |(l, m), &n| (l.min(n), m.max(n)));
    assert!(most - least <= 1, "{}: uneven turns {sums:?}", R::NAME);

    let begin = finished.iter().map(|(begin, ..)| *begin).min().expect("a thread");
    let end = finished.iter().map(|(_, end, _)| *end).max().expect("a thread");
    (end - begin).mul_f64(ratio(picks, sums.iter().sum()))
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 picks")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// The ring, as an async program uses it: a pin for each pick.
struct RingPinned(Ring<usize>);

impl Rotation for RingPinned {
    const NAME: &'static str = "ring, pin per pick";
    type Local<'r> = ();

    fn new() -> Self {
        Self((0..MEMBERS).collect())
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        *self.0.next(&pin()).expect("members")
    }
}

/// The ring, as a thread of its own uses it: one guard, repinned for each pick.
struct RingKept(Ring<usize>);

impl Rotation for RingKept {
    const NAME: &'static str = "ring, guard kept";
    type Local<'r> = Guard;

    fn new() -> Self {
        Self((0..MEMBERS).collect())
    }

    fn local(&self) -> Guard {
        pin()
    }

    #[inline]
    fn next(&self, guard: &mut Guard) -> usize {
        guard.repin();
        *self.0.next(guard).expect("members")
    }
}

struct MutexDeque(Mutex<VecDeque<usize>>);

impl Rotation for MutexDeque {
    const NAME: &'static str = "Mutex<VecDeque>";
    type Local<'r> = ();

    fn new() -> Self {
        Self(Mutex::new((0..MEMBERS).collect()))
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        let mut members = self.0.lock().expect("no pick panics");
        members.rotate_left(1);
        *members.back().expect("members")
    }
}

struct MutexIndex(Mutex<(usize, Vec<usize>)>);

impl Rotation for MutexIndex {
    const NAME: &'static str = "Mutex<(index, Vec)>";
    type Local<'r> = ();

    fn new() -> Self {
        Self(Mutex::new((0, (0..MEMBERS).collect())))
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        let mut locked = self.0.lock().expect("no pick panics");
        let (index, members) = &mut *locked;
        let member = members[*index];
        *index += 1;
        if *index == members.len() {
            *index = 0;
        }
        member
    }
}

/// Any number of readers, and a counter that jumps whenever the length changes.
struct RwLockCounter {
    members: RwLock<Vec<usize>>,
    turn: AtomicUsize,
}

impl Rotation for RwLockCounter {
    const NAME: &'static str = "RwLock<Vec> + counter";
    type Local<'r> = ();

    fn new() -> Self {
        Self { members: RwLock::new((0..MEMBERS).collect()), turn: AtomicUsize::new(0) }
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        let members = self.members.read().expect("no pick panics");
        members[self.turn.fetch_add(1, Relaxed) % members.len()]
    }
}

struct ArcSwapCounter {
    members: ArcSwap<Vec<usize>>,
    turn: AtomicUsize,
}

impl Rotation for ArcSwapCounter {
    const NAME: &'static str = "ArcSwap<Vec> + counter";
    type Local<'r> = ();

    fn new() -> Self {
        Self { members: ArcSwap::from_pointee((0..MEMBERS).collect()), turn: AtomicUsize::new(0) }
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        let members = self.members.load();
        members[self.turn.fetch_add(1, Relaxed) % members.len()]
    }
}

/// No members at all: what one shared word costs, which nobody who counts turns can do without.
struct BareCounter(AtomicUsize);

impl Rotation for BareCounter {
    const NAME: &'static str = "bare fetch_add (the floor)";
    type Local<'r> = ();

    fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        self.0.fetch_add(1, Relaxed) % MEMBERS
    }
}
