//! How a model is set up, run, and judged.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use rondel::{Entry, Key, Ring, pin};

use crate::{
    common::{
        linear::{self, Call},
        sequential::{At, Name, Op, Ret, State},
    },
    explore::explore,
};

/// Names are below this.
const NAMES: usize = 16;

/// A few threads, a few calls each, on a small ring.
#[derive(Clone)]
pub(crate) struct Model {
    members: Vec<Name>,
    before: Vec<Op>,
    threads: Vec<Vec<Op>>,
    has_clock: bool,
    reclaims: bool,
    reclaims_meanwhile: bool,
}

impl Model {
    /// A ring of `members`, with the cursor before the first.
    pub(crate) fn of(members: &[Name]) -> Self {
        Self {
            members: members.to_vec(),
            before: Vec::new(),
            threads: Vec::new(),
            has_clock: false,
            reclaims: false,
            reclaims_meanwhile: false,
        }
    }

    /// Calls that are made first, one after the other.
    pub(crate) fn after(mut self, ops: &[Op]) -> Self {
        self.before = ops.to_vec();
        self
    }

    /// Gives what `after` removed its grace period, so that its slots are used again.
    pub(crate) fn reclaimed(mut self) -> Self {
        self.reclaims = true;
        self
    }

    /// One more thread ends the grace period of what `after` removed.
    pub(crate) fn while_reclaimed(mut self) -> Self {
        self.reclaims_meanwhile = true;
        self
    }

    /// Calls that one thread makes.
    pub(crate) fn thread(mut self, ops: &[Op]) -> Self {
        self.threads.push(ops.to_vec());
        self
    }

    /// A call that returned before another began, on whatever thread, comes before it. Costs two
    /// more steps a call; without it only the calls of one thread are known to have an order.
    pub(crate) fn timed(mut self) -> Self {
        self.has_clock = true;
        self
    }

    /// Explores the model: see [`explore`].
    #[track_caller]
    pub(crate) fn explore(self, floors: [usize; 2]) {
        let threads = self.threads.len() + usize::from(self.reclaims_meanwhile);
        explore(threads, floors, move || self.run());
    }

    /// One execution.
    pub(crate) fn run(&self) {
        let tally = Arc::new(Tally::default());
        let ring = Arc::new(Ring::new());
        let mut hand =
            Hand { ring: Arc::clone(&ring), tally: Arc::clone(&tally), keys: HashMap::new() };
        let mut initial = State::default();
        let inserts = self.members.iter().map(|&name| Op::Insert(At::Back, name));
        for op in inserts.chain(self.before.iter().copied()) {
            assert_eq!(hand.make(op), initial.apply(op), "{op:?}, alone");
        }
        if self.reclaims {
            reclaim();
        }

        let reclaiming = self.reclaims_meanwhile.then(|| loom::thread::spawn(reclaim));
        let clock = Clock::new(self.has_clock);
        let (last, others) = self.threads.split_last().expect("a model has threads");
        let running: Vec<_> = others
            .iter()
            .enumerate()
            .map(|(thread, ops)| {
                let (mut hand, ops, clock) = (hand.clone(), ops.clone(), clock.clone());
                loom::thread::spawn(move || hand.perform(thread, &ops, &clock))
            })
            .collect();
        let mut history = hand.perform(others.len(), last, &clock);
        for thread in running {
            history.extend(thread.join().expect("a thread of a model does not panic"));
        }
        if let Some(reclaiming) = reclaiming {
            reclaiming.join().expect("reclamation does not panic");
        }
        history.extend(hand.quiet());
        if let Err(why) = linear::check(&initial, &history) {
            panic!("{why}");
        }
        assert!(ring.hints_are_exact(), "a hint is out of date in a quiet ring");
        drop((ring, hand));
        tally.check();
    }
}

/// Ends the grace period of everything that was removed. Nobody else is pinned.
pub(crate) fn reclaim() {
    for _ in 0..8 {
        crossbeam_epoch::pin().flush();
    }
}

/// Stamps for calls, and the gate that they begin at.
///
/// loom looks for a race with the *last* access of a word only. A thread that loads a word and then
/// exchanges it hides the exchange from the loads that others made before, and so the order in which
/// the exchange comes first may never be tried. An exchange that all threads make, with none before
/// it, has them begin in every order; what a load could have seen in between, loom tries by itself,
/// since a load may return an older value.
#[derive(Clone)]
pub(crate) struct Clock {
    time: Arc<loom::sync::atomic::AtomicU64>,
    orders: bool,
}

impl Clock {
    /// One that `orders` calls that do not overlap, or is a gate alone.
    pub(crate) fn new(orders: bool) -> Self {
        Self { time: Arc::new(loom::sync::atomic::AtomicU64::new(1)), orders }
    }

    /// The time before a call.
    pub(crate) fn invoked(&self) -> u64 {
        if self.orders {
            return self.time.fetch_add(1, loom::sync::atomic::Ordering::SeqCst);
        }
        self.time.fetch_add(1, Relaxed);
        1
    }

    /// The time after it.
    fn returned(&self) -> u64 {
        if self.orders { self.time.fetch_add(1, loom::sync::atomic::Ordering::SeqCst) } else { 1 }
    }
}

/// How often each member was made and dropped. Not part of the model.
#[derive(Default)]
struct Tally {
    made: [AtomicUsize; NAMES],
    dropped: [AtomicUsize; NAMES],
}

impl Tally {
    fn check(&self) {
        for name in 0..NAMES {
            let (made, dropped) = (self.made[name].load(Relaxed), self.dropped[name].load(Relaxed));
            assert_eq!(made, dropped, "member {name}: {made} made, {dropped} dropped");
        }
    }
}

/// A member's value: its name, and an account of its life.
struct Watched {
    name: Name,
    tally: Arc<Tally>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.tally.dropped[self.name as usize].fetch_add(1, Relaxed);
    }
}

/// Makes calls on the real ring, by the names of the sequential one.
#[derive(Clone)]
struct Hand {
    ring: Arc<Ring<Watched>>,
    tally: Arc<Tally>,
    keys: HashMap<Name, Key>,
}

impl Hand {
    /// Makes the calls of one thread and writes them down.
    fn perform(&mut self, thread: usize, ops: &[Op], clock: &Clock) -> Vec<Call> {
        ops.iter()
            .map(|&op| {
                let invoked = clock.invoked();
                let ret = self.make(op);
                Call { thread, op, ret, invoked, returned: clock.returned() }
            })
            .collect()
    }

    /// Looks at everything once all threads have ended: laps, the count, and one lap of turns.
    fn quiet(&mut self) -> Vec<Call> {
        let turns = self.ring.len() + 1;
        let look = [Op::Len, Op::Iter, Op::IterBack, Op::Front, Op::Back];
        look.into_iter()
            .chain(std::iter::repeat_n(Op::Next, turns))
            .map(|op| Call {
                thread: usize::MAX,
                op,
                ret: self.make(op),
                invoked: u64::MAX - 1,
                returned: u64::MAX,
            })
            .collect()
    }

    fn make(&mut self, op: Op) -> Ret {
        let guard = pin();
        let ring = Arc::clone(&self.ring);
        let name = |entry: Entry<'_, Watched>| entry.name;
        match op {
            Op::Insert(at, name) => Ret::Bool(self.insert(at, name)),
            Op::Remove(name) => Ret::Bool(ring.remove(self.keys[&name])),
            Op::Contains(name) => Ret::Bool(ring.contains(self.keys[&name])),
            Op::Get(member) => Ret::Member(ring.get(self.keys[&member], &guard).map(name)),
            Op::Front => Ret::Member(ring.front(&guard).map(name)),
            Op::Back => Ret::Member(ring.back(&guard).map(name)),
            Op::PopFront => Ret::Member(ring.pop_front(&guard).map(name)),
            Op::PopBack => Ret::Member(ring.pop_back(&guard).map(name)),
            Op::Next => Ret::Member(ring.next(&guard).map(name)),
            Op::NextWhere(accept) => {
                Ret::Member(ring.next_where(&guard, |value| accept.wants(value.name)).map(name))
            }
            Op::Lease(turns) => {
                let mut lease = ring.lease(turns);
                Ret::Members(std::iter::from_fn(|| lease.next(&guard)).map(name).collect())
            }
            Op::Retain(accept) => {
                ring.retain(|value| accept.wants(value.name));
                Ret::Nothing
            }
            Op::Clear => {
                ring.clear();
                Ret::Nothing
            }
            Op::Len => Ret::Count(ring.len()),
            Op::Iter => Ret::Members(ring.iter(&guard).map(name).collect()),
            Op::IterBack => Ret::Members(ring.iter(&guard).rev().map(name).collect()),
        }
    }

    fn insert(&mut self, at: At, name: Name) -> bool {
        self.tally.made[name as usize].fetch_add(1, Relaxed);
        let value = Watched { name, tally: Arc::clone(&self.tally) };
        let inserted = match at {
            At::Front => Ok(self.ring.push_front(value)),
            At::Back => Ok(self.ring.push_back(value)),
            At::Before(anchor) => self.ring.insert_before(self.keys[&anchor], value),
            At::After(anchor) => self.ring.insert_after(self.keys[&anchor], value),
        };
        // A refused value comes back, and is dropped here.
        inserted.map(|key| self.keys.insert(name, key)).is_ok()
    }
}
