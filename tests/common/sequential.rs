//! What each call means when nobody else calls: the ring as a list and a position.
//!
//! Plain enough to be right at a glance, it is what every other test trusts. Knows nothing of the
//! real ring, and needs nothing but `std`, so that it serves real threads and loom models alike.
//!
//! Members are told apart by small numbers that the test hands out, never one twice. A test keeps
//! its own map from these names to the ring's keys.

/// The test's name for a member.
pub(crate) type Name = u32;

/// Where to insert.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum At {
    Front,
    Back,
    Before(Name),
    After(Name),
}

/// Whom a `next_where` accepts, or a `retain` keeps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Accept {
    All,
    Nobody,
    Only(Name),
    AllBut(Name),
    Odd,
}

impl Accept {
    pub(crate) fn wants(self, name: Name) -> bool {
        match self {
            Self::All => true,
            Self::Nobody => false,
            Self::Only(wanted) => name == wanted,
            Self::AllBut(refused) => name != refused,
            Self::Odd => name % 2 == 1,
        }
    }
}

/// A call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Op {
    /// `push_front`, `push_back`, `insert_before` or `insert_after` of a new member.
    Insert(At, Name),
    Remove(Name),
    Contains(Name),
    Get(Name),
    Front,
    Back,
    PopFront,
    PopBack,
    Next,
    NextWhere(Accept),
    /// `lease`, all of whose turns are taken at once. Not more turns than a lease can have.
    Lease(usize),
    Retain(Accept),
    Clear,
    Len,
    /// A lap from the front.
    Iter,
    /// A lap from the back.
    IterBack,
}

/// What a call returned.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Ret {
    /// Of `Retain` and `Clear`.
    Nothing,
    /// Of `Insert`: whether it was not refused. Of `Remove` and `Contains`: the answer.
    Bool(bool),
    /// Of `Get`, `Front`, `Back`, the pops, `Next` and `NextWhere`.
    Member(Option<Name>),
    /// Of `Iter`, `IterBack` and `Lease`.
    Members(Vec<Name>),
    /// Of `Len`.
    Count(usize),
}

/// A sequence and a cursor.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct State {
    members: Vec<Name>,
    /// How many members there are up to the one returned last, this one included; 0 is before the
    /// first.
    cursor: usize,
}

impl State {
    /// These members, with the cursor before the first.
    pub(crate) fn new(members: impl IntoIterator<Item = Name>) -> Self {
        Self { members: members.into_iter().collect(), cursor: 0 }
    }

    /// The same members, with the cursor on `name`.
    #[must_use]
    pub(crate) fn with_cursor_on(mut self, name: Name) -> Self {
        self.cursor = self.place_of(name).expect("the cursor is on a member") + 1;
        self
    }

    pub(crate) fn members(&self) -> &[Name] {
        &self.members
    }

    /// The member that the cursor is on.
    pub(crate) fn cursor(&self) -> Option<Name> {
        self.cursor.checked_sub(1).map(|place| self.members[place])
    }

    /// Carries out one call.
    pub(crate) fn apply(&mut self, op: Op) -> Ret {
        match op {
            Op::Insert(at, name) => Ret::Bool(self.insert(at, name)),
            Op::Remove(name) => Ret::Bool(self.remove(name)),
            Op::Contains(name) => Ret::Bool(self.members.contains(&name)),
            Op::Get(name) => Ret::Member(self.members.contains(&name).then_some(name)),
            Op::Front => Ret::Member(self.members.first().copied()),
            Op::Back => Ret::Member(self.members.last().copied()),
            Op::PopFront => Ret::Member(self.pop(self.members.first().copied())),
            Op::PopBack => Ret::Member(self.pop(self.members.last().copied())),
            Op::Next => Ret::Member(self.next(Accept::All)),
            Op::NextWhere(accept) => Ret::Member(self.next(accept)),
            Op::Lease(turns) => {
                Ret::Members((0..turns).map_while(|_| self.next(Accept::All)).collect())
            }
            Op::Retain(accept) => {
                self.retain(accept);
                Ret::Nothing
            }
            Op::Clear => {
                self.retain(Accept::Nobody);
                Ret::Nothing
            }
            Op::Len => Ret::Count(self.members.len()),
            Op::Iter => Ret::Members(self.members.clone()),
            Op::IterBack => Ret::Members(self.members.iter().rev().copied().collect()),
        }
    }

    fn place_of(&self, name: Name) -> Option<usize> {
        self.members.iter().position(|&member| member == name)
    }

    fn insert(&mut self, at: At, name: Name) -> bool {
        let place = match at {
            At::Front => Some(0),
            At::Back => Some(self.members.len()),
            At::Before(anchor) => self.place_of(anchor),
            At::After(anchor) => self.place_of(anchor).map(|place| place + 1),
        };
        let Some(place) = place else { return false };
        self.members.insert(place, name);
        // The cursor stays on its member, which may have moved up by one.
        if place < self.cursor {
            self.cursor += 1;
        }
        true
    }

    fn remove(&mut self, name: Name) -> bool {
        let Some(place) = self.place_of(name) else { return false };
        self.members.remove(place);
        // The cursor stays on its member, or goes back from the removed one to the one before.
        if place < self.cursor {
            self.cursor -= 1;
        }
        true
    }

    fn pop(&mut self, name: Option<Name>) -> Option<Name> {
        name.inspect(|&name| assert!(self.remove(name)))
    }

    fn retain(&mut self, accept: Accept) {
        for name in self.members.clone() {
            if !accept.wants(name) {
                self.remove(name);
            }
        }
    }

    /// The turn of the first member after the cursor that is accepted, in one lap.
    fn next(&mut self, accept: Accept) -> Option<Name> {
        let lap = (self.cursor..self.members.len()).chain(0..self.cursor);
        let place = lap.into_iter().find(|&place| accept.wants(self.members[place]))?;
        self.cursor = place + 1;
        Some(self.members[place])
    }
}
