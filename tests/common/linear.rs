//! Whether a history of overlapping calls can be told as one story, call after call.
//!
//! The search is that of J. M. Wing and C. Gong, "Testing and verifying concurrent objects" (1993),
//! with the memory of G. Lowe, "Testing for linearizability" (2017): try every call that may come
//! first, then every one that may come after it, and never look twice at the same calls done with
//! the same state reached. Two things are known of this structure, and keep the search small:
//!
//! - a call whose result says that it changed nothing can be told as soon as it may come, since
//!   wherever else it stood, the calls around it would find the same;
//! - two members never change places, so a lap in the history says in which order those that it
//!   shows stand all the time.
//!
//! Needs nothing but `std`. The clock of the stamps is the caller's: for real threads an
//! `AtomicU64` with `SeqCst`, inside a loom model **one of loom's**. With a clock that loom does
//! not see, a call that ended before another one began would not happen before it, and the other
//! might rightly miss its effect.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use super::sequential::{Name, Op, Ret, State};

/// The most calls in one history.
pub(crate) const MAX_CALLS: usize = 128;

/// The most that is remembered in one search, some hundred bytes each.
const MAX_SEEN: usize = 4_000_000;

/// A call that ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    /// Calls of one thread come in the order of the history, whatever their stamps.
    pub(crate) thread: usize,
    pub(crate) op: Op,
    pub(crate) ret: Ret,
    /// The time before the call.
    pub(crate) invoked: u64,
    /// The time after it. A call comes before all those that were invoked later than this.
    pub(crate) returned: u64,
}

/// Writes down the calls of one thread.
pub(crate) struct Recorder<C> {
    thread: usize,
    clock: C,
    calls: Vec<Call>,
}

impl<C: Fn() -> u64> Recorder<C> {
    /// `clock` never says the same time twice, and never an earlier one than before.
    pub(crate) fn new(thread: usize, clock: C) -> Self {
        Self { thread, clock, calls: Vec::new() }
    }

    /// Makes a call, and writes it down.
    pub(crate) fn call(&mut self, op: Op, call: impl FnOnce() -> Ret) -> Ret {
        let invoked = (self.clock)();
        let ret = call();
        let returned = (self.clock)();
        self.calls.push(Call { thread: self.thread, op, ret: ret.clone(), invoked, returned });
        ret
    }

    pub(crate) fn into_calls(self) -> Vec<Call> {
        self.calls
    }
}

/// Whether some order of the calls, true to their times, gives every one of them its result.
///
/// `history` is the calls of all threads, those of each thread in their order.
pub(crate) fn is_linearizable(initial: &State, history: &[Call]) -> bool {
    check(initial, history).is_ok()
}

/// An order of the calls that explains all results, as places in `history`; or a text for a person
/// that shows how far the best attempt came.
///
/// # Panics
///
/// If the search comes to no end within bounds: then it is not known.
pub(crate) fn check(initial: &State, history: &[Call]) -> Result<Vec<usize>, String> {
    assert!(history.len() <= MAX_CALLS, "a history has at most {MAX_CALLS} calls");
    let mut search = Search {
        initial,
        history,
        before: history.iter().map(|call| must_come_before(history, call)).collect(),
        ranks: ranks(history),
        seen: HashSet::new(),
        order: Vec::new(),
        best: (Vec::new(), initial.clone()),
    };
    if search.tell(0, initial) { Ok(search.order) } else { Err(search.explain()) }
}

/// The calls that are known to come before `call`, as a set of places.
fn must_come_before(history: &[Call], call: &Call) -> u128 {
    let mut set = 0;
    let mut own = true;
    for (place, other) in history.iter().enumerate() {
        if std::ptr::eq(call, other) {
            own = false;
        } else if other.returned < call.invoked || (own && other.thread == call.thread) {
            set |= 1 << place;
        }
    }
    set
}

/// Whether a call with this result has changed nothing, whatever the state.
fn changed_nothing(call: &Call) -> bool {
    match (call.op, &call.ret) {
        (Op::Insert(..) | Op::Remove(_), Ret::Bool(done)) => !done,
        (Op::PopFront | Op::PopBack | Op::Next | Op::NextWhere(_), Ret::Member(found)) => {
            found.is_none()
        }
        (op, _) => matches!(
            op,
            Op::Contains(_) | Op::Get(_) | Op::Front | Op::Back | Op::Len | Op::Iter | Op::IterBack
        ),
    }
}

/// The places of members in the longest lap.
fn ranks(history: &[Call]) -> HashMap<Name, usize> {
    let laps = history.iter().filter_map(|call| match (call.op, &call.ret) {
        (Op::Iter, Ret::Members(members)) => Some(members),
        _ => None,
    });
    let longest = laps.max_by_key(|members| members.len());
    longest.into_iter().flatten().copied().zip(0..).collect()
}

struct Search<'h> {
    initial: &'h State,
    history: &'h [Call],
    before: Vec<u128>,
    ranks: HashMap<Name, usize>,
    /// Calls done and the state they led to, which led nowhere.
    seen: HashSet<(u128, State)>,
    order: Vec<usize>,
    /// The longest story so far, and where it ended.
    best: (Vec<usize>, State),
}

impl Search<'_> {
    /// Goes on with the story from `state`, once the calls `done` are told.
    fn tell(&mut self, done: u128, state: &State) -> bool {
        if self.order.len() == self.history.len() {
            return true;
        }
        if !self.seen.insert((done, state.clone())) {
            return false;
        }
        if self.order.len() > self.best.0.len() {
            self.best = (self.order.clone(), state.clone());
        }
        assert!(
            self.seen.len() <= MAX_SEEN,
            "it is not known whether some order explains these calls, from {:?}: {:#?}",
            self.initial,
            self.history
        );
        let history = self.history;
        let free = |place: &usize| self.is_free(done, *place);
        let places: Vec<_> = (0..history.len()).filter(free).collect();
        let tellable = |place: &&usize| {
            let call = &history[**place];
            changed_nothing(call) && state.clone().apply(call.op) == call.ret
        };
        if let Some(&place) = places.iter().find(tellable) {
            return self.tell_next(done, place, state);
        }
        places.into_iter().any(|place| {
            let call = &history[place];
            let mut after = state.clone();
            after.apply(call.op) == call.ret
                && self.keeps_order(&after)
                && self.tell_next(done, place, &after)
        })
    }

    fn tell_next(&mut self, done: u128, place: usize, after: &State) -> bool {
        self.order.push(place);
        let is_told = self.tell(done | 1 << place, after);
        if !is_told {
            self.order.pop();
        }
        is_told
    }

    /// Whether the members stand as the lap shows them.
    fn keeps_order(&self, state: &State) -> bool {
        state.members().iter().filter_map(|name| self.ranks.get(name)).is_sorted()
    }

    fn is_free(&self, done: u128, place: usize) -> bool {
        done & 1 << place == 0 && self.before[place] & !done == 0
    }

    fn explain(&self) -> String {
        let initial = self.initial;
        let mut text =
            format!("no order of these calls explains their results, from {initial:?}:\n");
        for call in self.history {
            push_call(&mut text, call);
        }
        let (order, state) = &self.best;
        let _ = writeln!(text, "the longest story that does ({} calls):", order.len());
        let mut done = 0;
        for &place in order {
            push_call(&mut text, &self.history[place]);
            done |= 1 << place;
        }
        let _ = writeln!(
            text,
            "comes to {state:?}, where none of these can follow, or not where the lap shows it:"
        );
        for place in (0..self.history.len()).filter(|&place| self.is_free(done, place)) {
            let call = &self.history[place];
            let would = state.clone().apply(call.op);
            let _ = write!(text, "  (would return {would:?})");
            push_call(&mut text, call);
        }
        text
    }
}

fn push_call(text: &mut String, call: &Call) {
    let Call { thread, op, ret, invoked, returned } = call;
    let _ = writeln!(text, "  thread {thread} at {invoked:>4}..{returned:<4} {op:?} -> {ret:?}");
}
