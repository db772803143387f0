//! Random histories. Threads make short bursts of random calls on a ring of a few members, so that
//! they meet. Every burst ends with calls in quiet that show the whole state, from which the next
//! begins, and is checked as one history. The checks take as long as the calls; so some bursts are
//! made first, and then all threads check them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use rondel::pin;

use crate::common::{
    Random,
    counted::{Counted, Tally},
    idle,
    linear::{Call, Recorder, check},
    meeting::Meeting,
    seed,
    sequential::{Accept, At, Name, Op, Ret, State},
    subject::Subject,
    times,
};

/// Bursts on one ring. Then there is a new one, with new threads and other kinds of calls.
const BURSTS: usize = if cfg!(miri) { 8 } else { 100 };
/// Bursts that are made before they are checked.
const UNCHECKED: usize = 25;
/// The most calls in a burst, of all threads together.
const CALLS: usize = 48;
/// More names than the bursts can give out.
#[expect(clippy::cast_possible_truncation, reason = "a few thousand")]
const NAMES: Name = (BURSTS * (CALLS + 10)) as Name;

#[test]
fn bursts_of_overlapping_calls_are_linearizable() {
    let mut random = Random::new(seed());
    let (mut calls, mut overlapping) = (0, 0);
    for _ in 0..times(100, 4) {
        let tally = Tally::new();
        let arena = Arena::new(&mut random, &tally);
        let threads = arena.threads;
        thread::scope(|scope| {
            for thread in 0..threads {
                let (arena, random) = (&arena, random.fork());
                scope.spawn(move || arena.attend(thread, random));
            }
        });
        calls += BURSTS * arena.calls_each * threads;
        overlapping += arena.overlapping.load(SeqCst);
        drop(arena);
        tally.await_all_dropped();
    }
    #[cfg(rondel_steps)]
    #[expect(clippy::print_stdout, reason = "for the command that sums it up")]
    {
        println!("{calls} calls, {overlapping} overlapping, {} pauses", rondel::steps::pauses());
    }
    // Otherwise this test would pass, and check nothing.
    assert!(overlapping > calls / 1000, "only {overlapping} of {calls} calls overlapped another");
}

/// A kind of call that a burst may be made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Push,
    InsertBefore,
    InsertAfter,
    Remove,
    Ask,
    Ends,
    PopFront,
    PopBack,
    Next,
    NextWhere,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Push,
        Self::InsertBefore,
        Self::InsertAfter,
        Self::Remove,
        Self::Ask,
        Self::Ends,
        Self::PopFront,
        Self::PopBack,
        Self::Next,
        Self::NextWhere,
    ];

    /// Few kinds at a time meet more often than all of them.
    fn some(random: &mut Random) -> Vec<Self> {
        let mut kinds: Vec<_> = Self::ALL.into_iter().filter(|_| random.one_in(2)).collect();
        if kinds.is_empty() {
            kinds.push(Self::Next);
        }
        kinds
    }
}

/// One ring, the threads that use it, and what is known between the bursts.
struct Arena {
    threads: usize,
    /// Calls of each thread in a burst.
    calls_each: usize,
    kinds: Vec<Kind>,
    subject: Subject<Counted>,
    clock: AtomicU64,
    last_name: AtomicU32,
    meeting: Meeting,
    /// The state at the beginning of a burst.
    state: Mutex<State>,
    /// The calls of a burst.
    calls: Mutex<Vec<Call>>,
    /// Bursts that were made.
    unchecked: Mutex<Vec<Story>>,
    /// Calls of all bursts that overlapped one of another thread.
    overlapping: AtomicUsize,
}

/// What is to be checked: the calls of a burst, and those in quiet after it.
struct Story {
    initial: State,
    history: Vec<Call>,
}

impl Arena {
    fn new(random: &mut Random, tally: &Arc<Tally>) -> Self {
        // Two cores show most when each has one thread; one call each meets more surely than many,
        // and many come further from where they began.
        let threads = if random.one_in(3) { random.within(3..5) } else { 2 };
        let most = CALLS / threads;
        let tally = Arc::clone(tally);
        Self {
            threads,
            calls_each: random.choose(&[1, 2, 4, most, most]).expect("not empty"),
            kinds: Kind::some(random),
            subject: Subject::new(NAMES, move |name| tally.value(name)),
            clock: AtomicU64::new(0),
            last_name: AtomicU32::new(0),
            meeting: Meeting::of(threads),
            state: Mutex::new(State::default()),
            calls: Mutex::new(Vec::new()),
            unchecked: Mutex::new(Vec::new()),
            overlapping: AtomicUsize::new(0),
        }
    }

    fn attend(&self, thread: usize, mut random: Random) {
        let _attendance = self.meeting.attend();
        for burst in 1..=BURSTS {
            if thread == 0 {
                in_quiet(|| self.set_up(&mut random));
            }
            self.meeting.wait();
            let calls = self.burst(thread, &mut random);
            self.calls.lock().expect("no panic").extend(calls);
            self.meeting.wait();
            if thread == 0 {
                in_quiet(|| self.look_back());
            }
            if burst % UNCHECKED == 0 || burst == BURSTS {
                self.check();
            }
        }
    }

    /// Brings the ring to two to four members, or to none or one at times.
    fn set_up(&self, random: &mut Random) {
        let guard = pin();
        let mut state = self.state.lock().expect("no panic");
        let wanted = if random.one_in(4) { random.within(0..2) } else { random.within(2..5) };
        let mut call = |op| assert_eq!(self.subject.call(op, &guard), state.apply(op), "{op:?}");
        for _ in 0..4 {
            call(Op::Insert(At::Back, self.new_name()));
        }
        while self.subject.ring.len() > wanted {
            call(if random.one_in(2) { Op::PopFront } else { Op::PopBack });
        }
        for _ in 0..random.within(0..3) {
            call(Op::Next);
        }
    }

    /// One thread's calls of a burst.
    fn burst(&self, thread: usize, random: &mut Random) -> Vec<Call> {
        let mut names = self.state.lock().expect("no panic").members().to_vec();
        let mut recorder = Recorder::new(thread, || self.clock.fetch_add(1, SeqCst));
        let mut guard = pin();
        let keep_guard = random.one_in(2);
        let mut op = self.some_call(&names, random);
        self.meeting.wait();
        for _ in 0..self.calls_each {
            if !keep_guard {
                guard.repin();
            }
            idle(random.within(0..100));
            let ret = recorder.call(op, || self.subject.call(op, &guard));
            if let (Op::Insert(_, name), Ret::Bool(true)) = (op, ret) {
                names.push(name);
            }
            op = self.some_call(&names, random);
        }
        recorder.into_calls()
    }

    fn some_call(&self, names: &[Name], random: &mut Random) -> Op {
        let kind = random.choose(&self.kinds).expect("some kinds");
        let Some(name) = self.some_name(names, random) else {
            return match kind {
                Kind::Next => Op::Next,
                Kind::PopFront => Op::PopFront,
                Kind::PopBack => Op::PopBack,
                Kind::Ends => Op::Front,
                _ => Op::Insert(At::Front, self.new_name()),
            };
        };
        let either = random.one_in(2);
        match kind {
            Kind::Push => Op::Insert(if either { At::Front } else { At::Back }, self.new_name()),
            Kind::InsertBefore => Op::Insert(At::Before(name), self.new_name()),
            Kind::InsertAfter => Op::Insert(At::After(name), self.new_name()),
            Kind::Remove => Op::Remove(name),
            Kind::Ask if either => Op::Contains(name),
            Kind::Ask => Op::Get(name),
            Kind::Ends if either => Op::Front,
            Kind::Ends => Op::Back,
            Kind::PopFront => Op::PopFront,
            Kind::PopBack => Op::PopBack,
            Kind::Next => Op::Next,
            Kind::NextWhere => {
                let accepts = [Accept::Odd, Accept::Only(name), Accept::AllBut(name)];
                Op::NextWhere(random.choose(&accepts).expect("not empty"))
            }
        }
    }

    /// A member that this thread knows of, or one that any thread has just inserted, or that left
    /// long ago.
    fn some_name(&self, names: &[Name], random: &mut Random) -> Option<Name> {
        let last = self.last_name.load(SeqCst);
        let name = match random.within(0..10) {
            0 => random.within(0..last as usize + 1).try_into().ok(),
            1 | 2 => last.checked_sub(random.within(0..4).try_into().expect("small")),
            _ => random.choose(names),
        };
        name.filter(|&name| self.subject.key(name).is_some())
    }

    fn new_name(&self) -> Name {
        self.last_name.fetch_add(1, SeqCst) + 1
    }

    /// Adds the calls that show the state, and begins the next story with it.
    fn look_back(&self) {
        let mut state = self.state.lock().expect("no panic");
        let mut history = std::mem::take(&mut *self.calls.lock().expect("no panic"));
        let overlaps = |one: &&Call| {
            let meets = |other: &Call| {
                other.thread != one.thread
                    && other.invoked < one.returned
                    && one.invoked < other.returned
            };
            history.iter().any(meets)
        };
        self.overlapping.fetch_add(history.iter().filter(overlaps).count(), SeqCst);
        // That it found nobody is no promise of one moment, and it changes nothing.
        history
            .retain(|call| !(matches!(call.op, Op::NextWhere(_)) && call.ret == Ret::Member(None)));
        let shown = self.quiet_calls(&mut history);
        let story = Story { initial: std::mem::replace(&mut *state, shown), history };
        self.unchecked.lock().expect("no panic").push(story);
    }

    /// Calls that show the members, from both ends, and by their turns; the state that they leave.
    fn quiet_calls(&self, history: &mut Vec<Call>) -> State {
        let guard = pin();
        let mut recorder = Recorder::new(self.threads, || self.clock.fetch_add(1, SeqCst));
        let mut call = |op| recorder.call(op, || self.subject.call(op, &guard));
        let Ret::Members(members) = call(Op::Iter) else { unreachable!("the result of a lap") };
        call(Op::IterBack);
        call(Op::Len);
        let last = (0..=members.len()).map(|_| call(Op::Next)).last();
        history.extend(recorder.into_calls());
        match last {
            // If it is of nobody who is there, no order of the calls explains it.
            Some(Ret::Member(Some(name))) if members.contains(&name) => {
                State::new(members).with_cursor_on(name)
            }
            _ => State::new(members),
        }
    }

    /// Checks what there is to check, together with the other threads.
    fn check(&self) {
        let next = || self.unchecked.lock().expect("no panic").pop();
        while let Some(Story { initial, history }) = next() {
            if let Err(text) = check(&initial, &history) {
                panic!("{text}");
            }
        }
    }
}

/// Makes calls that nobody else overlaps: without pauses between their steps.
fn in_quiet(calls: impl FnOnce()) {
    #[cfg(rondel_steps)]
    rondel::steps::with(drop, calls);
    #[cfg(not(rondel_steps))]
    calls();
}
