//! Random calls on the ring and on its model, one after the other: every result is the same.
//!
//! A failing sequence is shown after proptest has made it as short as it can.

#![cfg(not(rondel_loom))]

use proptest::{collection::vec, prelude::*, sample::Index};
use rondel::{Cursor, Guard, pin};

use crate::common::{
    counted::{Counted, Tally},
    sequential::{Accept, At, Name, Op, State},
    subject::Subject,
    times,
};

mod common;

/// What to do next, before it is known to which member.
#[derive(Clone, Debug)]
enum Command {
    PushFront,
    PushBack,
    InsertBefore(Target),
    InsertAfter(Target),
    Remove(Target),
    Contains(Target),
    Get(Target),
    Front,
    Back,
    PopFront,
    PopBack,
    Next,
    NextWhere(Wanted),
    Lease(usize),
    Retain(Wanted),
    Clear,
    Len,
    Iter,
    IterBack,
    /// Lets go of what was seen, so that slots are used again.
    Repin,
    /// The private cursor.
    PlaceCursor(Target),
    MoveNext,
    MovePrev,
    Current,
}

#[derive(Clone, Debug)]
enum Target {
    Member(Index),
    /// Any member of the past or the present.
    Known(Index),
}

#[derive(Clone, Debug)]
enum Wanted {
    All,
    Nobody,
    Odd,
    Only(Target),
    AllBut(Target),
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        7 => any::<Index>().prop_map(Target::Member),
        1 => any::<Index>().prop_map(Target::Known),
    ]
}

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        Just(Wanted::All),
        Just(Wanted::Nobody),
        Just(Wanted::Odd),
        target().prop_map(Wanted::Only),
        target().prop_map(Wanted::AllBut),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => Just(Command::PushFront),
        6 => Just(Command::PushBack),
        6 => target().prop_map(Command::InsertBefore),
        6 => target().prop_map(Command::InsertAfter),
        15 => target().prop_map(Command::Remove),
        3 => target().prop_map(Command::Contains),
        3 => target().prop_map(Command::Get),
        3 => Just(Command::Front),
        3 => Just(Command::Back),
        3 => Just(Command::PopFront),
        3 => Just(Command::PopBack),
        24 => Just(Command::Next),
        9 => wanted().prop_map(Command::NextWhere),
        3 => (0..20_usize).prop_map(Command::Lease),
        1 => wanted().prop_map(Command::Retain),
        1 => Just(Command::Clear),
        3 => Just(Command::Len),
        3 => Just(Command::Iter),
        3 => Just(Command::IterBack),
        3 => Just(Command::Repin),
        3 => target().prop_map(Command::PlaceCursor),
        6 => Just(Command::MoveNext),
        6 => Just(Command::MovePrev),
        3 => Just(Command::Current),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: u32::try_from(times(256, 3)).expect("not that many"),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_result_is_that_of_the_model(commands in vec(command(), 0..150)) {
        let tally = Tally::new();
        let made = tally.clone();
        let most_names = Name::try_from(commands.len()).expect("a short list");
        let subject = Subject::new(most_names, move |name| made.value(name));
        let mut run = Run::new(&subject);
        for command in &commands {
            run.carry_out(command);
        }
        run.finish();
        prop_assert_eq!(tally.created(), run.values, "no value was made on the quiet");
        drop(subject);
        tally.assert_all_dropped();
    }
}

/// The ring and the model, side by side.
struct Run<'r> {
    subject: &'r Subject<Counted>,
    guard: Guard,
    state: State,
    /// Names that were inserted.
    known: Vec<Name>,
    values: usize,
    cursor: (Cursor<'r, Counted>, Private),
}

impl<'r> Run<'r> {
    fn new(subject: &'r Subject<Counted>) -> Self {
        Self {
            subject,
            guard: pin(),
            state: State::default(),
            known: Vec::new(),
            values: 0,
            cursor: (subject.ring.cursor(), Private::default()),
        }
    }

    fn carry_out(&mut self, command: &Command) {
        match command {
            Command::PushFront => self.insert(At::Front),
            Command::PushBack => self.insert(At::Back),
            Command::InsertBefore(target) => self.at(target, |run, at| run.insert(At::Before(at))),
            Command::InsertAfter(target) => self.at(target, |run, at| run.insert(At::After(at))),
            Command::Remove(target) => self.at(target, |run, at| run.call(Op::Remove(at))),
            Command::Contains(target) => self.at(target, |run, at| run.call(Op::Contains(at))),
            Command::Get(target) => self.at(target, |run, at| run.call(Op::Get(at))),
            Command::Front => self.call(Op::Front),
            Command::Back => self.call(Op::Back),
            Command::PopFront => self.call(Op::PopFront),
            Command::PopBack => self.call(Op::PopBack),
            Command::Next => self.call(Op::Next),
            Command::NextWhere(wanted) => self.call(Op::NextWhere(self.accept(wanted))),
            Command::Lease(turns) => self.call(Op::Lease(*turns)),
            Command::Retain(wanted) => self.call(Op::Retain(self.accept(wanted))),
            Command::Clear => self.call(Op::Clear),
            Command::Len => self.call(Op::Len),
            Command::Iter => self.call(Op::Iter),
            Command::IterBack => self.call(Op::IterBack),
            Command::Repin => self.guard.repin(),
            Command::PlaceCursor(target) => self.at(target, Self::place_cursor),
            Command::MoveNext => self.move_cursor(true),
            Command::MovePrev => self.move_cursor(false),
            Command::Current => {
                let (cursor, private) = &self.cursor;
                let current = cursor.current(&self.guard).map(|entry| entry.name());
                assert_eq!(current, private.current(&self.state));
            }
        }
    }

    fn call(&mut self, op: Op) {
        assert_eq!(self.subject.call(op, &self.guard), self.state.apply(op), "{op:?}");
    }

    fn insert(&mut self, at: At) {
        let name = Name::try_from(self.values).expect("a short list");
        self.values += 1;
        self.call(Op::Insert(at, name));
        if self.state.members().contains(&name) {
            self.known.push(name);
        }
    }

    /// Does something with a member, if there is one.
    fn at(&mut self, target: &Target, act: impl FnOnce(&mut Self, Name)) {
        if let Some(name) = self.name(target) {
            act(self, name);
        }
    }

    fn name(&self, target: &Target) -> Option<Name> {
        let (index, names) = match target {
            Target::Member(index) => (index, self.state.members()),
            Target::Known(index) => (index, &*self.known),
        };
        (!names.is_empty()).then(|| *index.get(names))
    }

    fn accept(&self, wanted: &Wanted) -> Accept {
        match wanted {
            Wanted::All => Accept::All,
            Wanted::Nobody => Accept::Nobody,
            Wanted::Odd => Accept::Odd,
            Wanted::Only(target) => self.name(target).map_or(Accept::All, Accept::Only),
            Wanted::AllBut(target) => self.name(target).map_or(Accept::All, Accept::AllBut),
        }
    }

    fn place_cursor(&mut self, at: Name) {
        let key = self.subject.key(at).expect("a known name");
        let place = Private::on(at, &self.state);
        match (self.subject.ring.cursor_at(key), place) {
            (Some(cursor), Some(private)) => self.cursor = (cursor, private),
            (None, None) => {}
            (cursor, private) => panic!("{cursor:?} where the model says {private:?}"),
        }
    }

    fn move_cursor(&mut self, forward: bool) {
        let (cursor, private) = &mut self.cursor;
        let (moved, expected) = if forward {
            (cursor.move_next(&self.guard), private.move_next(&self.state))
        } else {
            (cursor.move_prev(&self.guard), private.move_prev(&self.state))
        };
        assert_eq!(moved.map(|entry| entry.name()), expected, "forward: {forward}");
    }

    /// All that can be seen of the state.
    fn finish(&mut self) {
        self.call(Op::Iter);
        self.call(Op::IterBack);
        self.call(Op::Len);
        for _ in 0..=self.state.members().len() {
            self.call(Op::Next);
        }
        for name in 0..Name::try_from(self.values).expect("a short list") {
            if self.subject.key(name).is_some() {
                self.call(Op::Contains(name));
            }
        }
    }
}

/// A private cursor's model: the member it is on, and the one that preceded that when it came
/// there. `None` is before the first.
#[derive(Default, Debug)]
struct Private {
    at: Option<Name>,
    before: Option<Name>,
}

impl Private {
    fn on(at: Name, state: &State) -> Option<Self> {
        let members = state.members();
        let place = members.iter().position(|&member| member == at)?;
        let before = place.checked_sub(1).map(|place| members[place]);
        Some(Self { at: Some(at), before })
    }

    fn current(&self, state: &State) -> Option<Name> {
        self.at.filter(|at| state.members().contains(at))
    }

    fn move_next(&mut self, state: &State) -> Option<Name> {
        let members = state.members();
        let place = |name: Option<Name>| members.iter().position(|&member| Some(member) == name);
        let successor = match (self.at, place(self.at), place(self.before)) {
            (Some(_), Some(at), _) => at + 1,
            (Some(_), None, Some(before)) => before + 1,
            _ => 0,
        };
        let onto = members.get(successor).or_else(|| members.first()).copied();
        self.come_to(onto, state)
    }

    fn move_prev(&mut self, state: &State) -> Option<Name> {
        let members = state.members();
        let place = |name: Option<Name>| members.iter().position(|&member| Some(member) == name);
        let onto = match (self.at, place(self.at), place(self.before)) {
            (Some(_), Some(at), _) => at.checked_sub(1),
            (Some(_), None, before) => before,
            (None, ..) => None,
        };
        let onto = onto.map(|place| members[place]).or_else(|| members.last().copied());
        self.come_to(onto, state)
    }

    fn come_to(&mut self, onto: Option<Name>, state: &State) -> Option<Name> {
        *self = onto.and_then(|name| Self::on(name, state)).unwrap_or_default();
        self.at
    }
}
