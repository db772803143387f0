//! A ring with a half-done removal in it, and a call that meets it.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    rc::Rc,
    sync::Arc,
};

use rondel::{
    Key, Ring, pin,
    steps::{self, Step},
};

use crate::common::{
    counted::{Counted, Tally},
    pin_until,
    sequential::Name,
    slot_of,
};

/// `front.. stable stable LEAVES stable stable back..`, with the cursor on the one that leaves.
pub(crate) const FRONT: [Name; 2] = [10, 11];
pub(crate) const STABLE: [Name; 4] = [0, 1, 2, 3];
pub(crate) const LEAVES: Name = 20;
pub(crate) const BACK: [Name; 2] = [30, 31];
/// The member that the call inserts.
pub(crate) const NEW: Name = 40;
/// Fills the table up to the end of a segment.
pub(crate) const FILLER: Name = 50;

/// Slots of the table's first segment that are for members.
const SEGMENT: usize = 31;

/// What somebody left half-done before the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Half {
    /// Nothing.
    Nothing,
    /// Nothing, and the cursor is on the last member.
    AtTheEnd,
    /// Nothing, and the table is full to the end of a segment.
    Brimful,
    /// The removal of `LEAVES`, up to this step.
    Removal(Step),
    /// A `pop_front`, up to this step.
    PopFront(Step),
    /// A `pop_back`, up to this step.
    PopBack(Step),
}

impl Half {
    pub(crate) const ALL: [Self; 14] = [
        Self::Nothing,
        Self::AtTheEnd,
        Self::Brimful,
        Self::Removal(Step::Marked),
        Self::Removal(Step::Busy),
        Self::Removal(Step::OffRead),
        Self::Removal(Step::SteppedOff),
        Self::Removal(Step::Unlinked),
        Self::Removal(Step::SaidUnlinked),
        Self::PopFront(Step::FrontBusy),
        Self::PopFront(Step::FrontMarked),
        Self::PopFront(Step::SteppedOff),
        Self::PopBack(Step::Marked),
        Self::PopBack(Step::SteppedOff),
    ];
}

/// The call that is looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Call {
    Next,
    NextWhere,
    Lease,
    PushFront,
    PushBack,
    InsertBefore,
    InsertAfter,
    /// An insert whose anchor leaves while it is under way.
    Refused,
    Remove,
    PopFront,
    PopBack,
    Retain,
    LapBack,
    /// Removals enough for the thread to drop what others can see no more.
    Reclaim,
}

impl Call {
    pub(crate) const ALL: [Self; 14] = [
        Self::Next,
        Self::NextWhere,
        Self::Lease,
        Self::PushFront,
        Self::PushBack,
        Self::InsertBefore,
        Self::InsertAfter,
        Self::Refused,
        Self::Remove,
        Self::PopFront,
        Self::PopBack,
        Self::Retain,
        Self::LapBack,
        Self::Reclaim,
    ];
}

/// What the call came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Took(Option<Name>),
    Claimed(usize),
    Inserted(bool),
    Removed(bool),
    Saw(Vec<Name>),
    Done,
}

pub(crate) struct Scene {
    pub(crate) ring: Ring<Counted>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) stable: Vec<Key>,
    pub(crate) half: Half,
    pub(crate) call: Call,
    leaves: Key,
}

impl Scene {
    pub(crate) fn new(half: Half, call: Call) -> Arc<Self> {
        let tally = Tally::new();
        let ring = Ring::new();
        let push = |name: Name| ring.push_back(tally.value(name));
        let _front = FRONT.map(push);
        let mut stable = STABLE[..2].iter().map(|&name| push(name)).collect::<Vec<_>>();
        let leaves = push(LEAVES);
        stable.extend(STABLE[2..].iter().map(|&name| push(name)));
        let _back = BACK.map(push);
        if half == Half::Brimful {
            while slot_of(ring.insert_after(stable[0], tally.value(FILLER)).expect("it stays"))
                < SEGMENT
            {}
        } else {
            // So that there are free slots. A thread that ends hands on what it removed.
            std::thread::scope(|scope| {
                scope.spawn(|| (0..4).for_each(|_| assert!(ring.remove(push(FILLER)))));
            });
            pin_until("the free slots are free", || tally.alive() == ring.len());
        }
        let on = if half == Half::AtTheEnd { BACK[1] } else { LEAVES };
        while ring.next(&pin()).expect("members").name() != on {}
        let scene = Arc::new(Self { ring, tally, stable, half, call, leaves });
        match half {
            Half::Nothing | Half::AtTheEnd | Half::Brimful => {}
            Half::Removal(step) => scene.leave_at(step, |ring| {
                ring.remove(leaves);
            }),
            Half::PopFront(step) => scene.leave_at(step, |ring| {
                ring.pop_front(&pin());
            }),
            Half::PopBack(step) => scene.leave_at(step, |ring| {
                ring.pop_back(&pin());
            }),
        }
        scene
    }

    fn leave_at(&self, step: Step, call: impl FnOnce(&Ring<Counted>)) {
        let dies = dying(move |reached, _| reached == step);
        let result = survives(|| steps::with(dies, || call(&self.ring)));
        assert!(result.is_none(), "{step:?} was never reached");
    }

    /// The steps that the call makes if nobody disturbs it.
    pub(crate) fn trace(self: &Arc<Self>) -> Vec<Step> {
        let trace = Rc::new(RefCell::new(Vec::new()));
        let into = Rc::clone(&trace);
        self.make(move |step| into.borrow_mut().push(step));
        trace.take()
    }

    /// Makes the call, with a handler for its steps.
    pub(crate) fn make(self: &Arc<Self>, mut handler: impl FnMut(Step) + 'static) -> Outcome {
        let mut meddler = (self.call == Call::Refused).then(|| Arc::clone(self));
        let handler = move |step| {
            if step == Step::Prepared {
                // The insert has found its place; now its anchor leaves.
                if let Some(scene) = meddler.take() {
                    scene.ring.remove(scene.anchor());
                }
            }
            handler(step);
        };
        steps::with(handler, || self.call())
    }

    fn anchor(&self) -> Key {
        // One that nobody else removes, nor has half removed.
        let at = match self.half {
            Half::Removal(_) => FRONT[1],
            _ => LEAVES,
        };
        let guard = pin();
        self.ring.iter(&guard).find(|entry| entry.name() == at).expect("it is there").key()
    }

    fn call(&self) -> Outcome {
        let Self { ring, tally, stable, leaves, .. } = self;
        let guard = pin();
        let inserted = |result: Result<Key, rondel::InsertError<Counted>>| match result {
            Ok(_) => Outcome::Inserted(true),
            Err(error) => {
                assert_eq!(error.into_inner().name(), NEW, "the value comes back");
                Outcome::Inserted(false)
            }
        };
        let new = || tally.value(NEW);
        match self.call {
            Call::Next => Outcome::Took(ring.next(&guard).map(|entry| entry.name())),
            Call::NextWhere => {
                let wanted = |value: &Counted| [STABLE[1], STABLE[3]].contains(&value.name());
                Outcome::Took(ring.next_where(&guard, wanted).map(|entry| entry.name()))
            }
            Call::Lease => Outcome::Claimed(ring.lease(7).remaining()),
            Call::PushFront => inserted(Ok(ring.push_front(new()))),
            Call::PushBack => inserted(Ok(ring.push_back(new()))),
            Call::InsertBefore => inserted(ring.insert_before(stable[2], new())),
            Call::InsertAfter => inserted(ring.insert_after(stable[1], new())),
            Call::Refused => inserted(ring.insert_before(self.anchor(), new())),
            Call::Remove => Outcome::Removed(ring.remove(*leaves)),
            Call::PopFront => Outcome::Took(ring.pop_front(&guard).map(|entry| entry.name())),
            Call::PopBack => Outcome::Took(ring.pop_back(&guard).map(|entry| entry.name())),
            Call::Retain => {
                ring.retain(|value| value.name() != LEAVES && value.name() != FRONT[1]);
                Outcome::Done
            }
            Call::LapBack => {
                Outcome::Saw(ring.iter(&guard).rev().map(|entry| entry.name()).collect())
            }
            Call::Reclaim => {
                drop(guard);
                for _ in 0..200 {
                    assert!(ring.remove(ring.push_back(tally.value(FILLER))));
                }
                Outcome::Done
            }
        }
    }

    /// That the ring is whole: once round from both ends and by turns, the same; all keys of
    /// `present` there, and the members that stay. `uncounted` removals never got to the count.
    pub(crate) fn assert_whole(&self, present: &[Key], uncounted: usize) {
        let guard = pin();
        let lap: Vec<Key> = self.ring.iter(&guard).map(|entry| entry.key()).collect();
        let mut back: Vec<Key> = self.ring.iter(&guard).rev().map(|entry| entry.key()).collect();
        back.reverse();
        assert_eq!(lap, back, "the same from both ends");
        let len = self.ring.len();
        assert!((lap.len()..=lap.len() + uncounted).contains(&len), "{len} counted of {lap:?}");
        for key in present.iter().chain(&self.stable) {
            assert!(lap.contains(key), "{key:?} was lost");
        }
        // Whoever is on the cursor, a lap of turns begins with its successor.
        let turns: Vec<Key> =
            lap.iter().map(|_| self.ring.next(&guard).expect("members").key()).collect();
        let first = lap.iter().position(|key| *key == turns[0]).expect("a member");
        let mut round = lap;
        round.rotate_left(first);
        assert_eq!(turns, round, "each has its turn");
        assert_eq!(self.ring.contains(self.leaves), turns.contains(&self.leaves));
        let twice: BTreeSet<_> = turns.iter().map(|key| slot_of(*key)).collect();
        assert_eq!(twice.len(), turns.len(), "no slot twice");
    }

    /// That nothing is left once the ring goes.
    pub(crate) fn close(self: Arc<Self>) {
        let Ok(Self { ring, tally, .. }) = Arc::try_unwrap(self) else {
            panic!("somebody still uses the ring")
        };
        drop(ring);
        tally.assert_all_dropped();
    }
}

/// A handler by which the thread dies at the first step that `dies` says; it is asked with the
/// step's number.
pub(crate) fn dying(mut dies: impl FnMut(Step, usize) -> bool) -> impl FnMut(Step) {
    let mut number = 0;
    move |step| {
        if dies(step, number) {
            // Not `panic!`, which would report it.
            resume_unwind(Box::new(Died));
        }
        number += 1;
    }
}

/// What `work` returns, or `None` if it died.
pub(crate) fn survives<R>(work: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => Some(result),
        Err(payload) if payload.is::<Died>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

struct Died;
