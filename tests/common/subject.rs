//! The real ring behind the calls of the model.

use std::sync::OnceLock;

use rondel::{Entry, Guard, Key, Ring};

use super::{
    counted::Counted,
    idle,
    sequential::{At, Name, Op, Ret},
};

/// A value that tells the member's name.
pub(crate) trait Named: Send + Sync + 'static {
    fn name(&self) -> Name;
}

impl Named for Name {
    fn name(&self) -> Name {
        *self
    }
}

impl Named for Counted {
    fn name(&self) -> Name {
        Counted::name(self)
    }
}

/// A ring, and what its members' keys are.
pub(crate) struct Subject<T> {
    pub(crate) ring: Ring<T>,
    make: Box<dyn Fn(Name) -> T + Send + Sync>,
    keys: Box<[OnceLock<Key>]>,
}

impl<T: Named> Subject<T> {
    /// An empty ring for members with names below `names`, whose values come from `make`.
    pub(crate) fn new(names: Name, make: impl Fn(Name) -> T + Send + Sync + 'static) -> Self {
        let keys = (0..names).map(|_| OnceLock::new()).collect();
        Self { ring: Ring::new(), make: Box::new(make), keys }
    }

    /// The member's key, if it is, or was, in the ring.
    pub(crate) fn key(&self, name: Name) -> Option<Key> {
        self.keys[name as usize].get().copied()
    }

    /// Makes a call. The members that it names were inserted before.
    ///
    /// # Panics
    ///
    /// If an entry's key is not that of the member whose value it has.
    pub(crate) fn call(&self, op: Op, guard: &Guard) -> Ret {
        let ring = &self.ring;
        let known = |name| self.key(name).expect("a name that was given out");
        match op {
            Op::Insert(at, name) => Ret::Bool(self.insert(at, name)),
            Op::Remove(name) => Ret::Bool(ring.remove(known(name))),
            Op::Contains(name) => Ret::Bool(ring.contains(known(name))),
            Op::Get(name) => self.shown(ring.get(known(name), guard)),
            Op::Front => self.shown(ring.front(guard)),
            Op::Back => self.shown(ring.back(guard)),
            Op::PopFront => self.shown(ring.pop_front(guard)),
            Op::PopBack => self.shown(ring.pop_back(guard)),
            Op::Next => self.shown(ring.next(guard)),
            Op::NextWhere(accept) => self.shown(ring.next_where(guard, |value| {
                // Some take long to decide upon, so that much happens on the way.
                idle(value.name() as usize % 4 * 400);
                accept.wants(value.name())
            })),
            Op::Lease(turns) => {
                let mut lease = ring.lease(turns);
                let turns = std::iter::from_fn(|| lease.next(guard));
                Ret::Members(turns.map(|entry| self.name_of(entry)).collect())
            }
            Op::Retain(accept) => {
                ring.retain(|value| accept.wants(value.name()));
                Ret::Nothing
            }
            Op::Clear => {
                ring.clear();
                Ret::Nothing
            }
            Op::Len => Ret::Count(ring.len()),
            Op::Iter => Ret::Members(ring.iter(guard).map(|entry| self.name_of(entry)).collect()),
            Op::IterBack => {
                Ret::Members(ring.iter(guard).rev().map(|entry| self.name_of(entry)).collect())
            }
        }
    }

    fn insert(&self, at: At, name: Name) -> bool {
        let value = (self.make)(name);
        let at_key = |anchor| self.key(anchor).expect("a name that was given out");
        let inserted = match at {
            At::Front => Ok(self.ring.push_front(value)),
            At::Back => Ok(self.ring.push_back(value)),
            At::Before(anchor) => self.ring.insert_before(at_key(anchor), value),
            At::After(anchor) => self.ring.insert_after(at_key(anchor), value),
        };
        match inserted {
            Ok(key) => {
                self.keys[name as usize].set(key).expect("a name is given out once");
                true
            }
            Err(error) => {
                assert_eq!(error.into_inner().name(), name, "the value comes back");
                false
            }
        }
    }

    fn shown(&self, entry: Option<Entry<'_, T>>) -> Ret {
        Ret::Member(entry.map(|entry| self.name_of(entry)))
    }

    fn name_of(&self, entry: Entry<'_, T>) -> Name {
        let name = entry.name();
        // The inserter may not have written the key down yet.
        if let Some(key) = self.key(name) {
            assert_eq!(entry.key(), key, "an entry names the member whose value it shows");
        }
        name
    }
}
