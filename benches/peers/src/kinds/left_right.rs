//! Two vectors: one for the readers, one for the only writer.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use left_right::{Absorb, ReadHandle, ReadHandleFactory, WriteHandle};

use crate::rotation::{Members, Rotation};

/// A change that each of the two vectors goes through.
enum Change {
    Joins(usize),
    Leaves(usize),
}

impl Absorb<Change> for Vec<usize> {
    fn absorb_first(&mut self, change: &mut Change, _: &Self) {
        match *change {
            Change::Joins(member) => self.push(member),
            Change::Leaves(member) => {
                let place = self.iter().position(|&other| other == member).expect("a member");
                self.remove(place);
            }
        }
    }

    fn sync_with(&mut self, first: &Self) {
        self.clone_from(first);
    }
}

/// And a counter that jumps whenever the length changes.
pub(crate) struct LeftRight {
    writer: Mutex<WriteHandle<Vec<usize>, Change>>,
    readers: ReadHandleFactory<Vec<usize>>,
    turn: AtomicUsize,
}

impl LeftRight {
    /// Makes the change in one vector, and waits for the readers to leave the other.
    fn change(&self, change: Change) {
        self.writer.lock().expect("no update panics").append(change).publish();
    }
}

impl Rotation for LeftRight {
    const NAME: &'static str = "left-right + counter";
    type Local<'r> = ReadHandle<Vec<usize>>;

    fn with_members(members: usize) -> Self {
        let (writer, reader) = left_right::new_from_empty((0..members).collect());
        Self { writer: Mutex::new(writer), readers: reader.factory(), turn: AtomicUsize::new(0) }
    }

    fn local(&self) -> Self::Local<'_> {
        self.readers.handle()
    }

    #[inline]
    fn next(&self, reader: &mut Self::Local<'_>) -> usize {
        let members = reader.enter().expect("the writer is there");
        members[self.turn.fetch_add(1, Relaxed) % members.len()]
    }
}

impl Members for LeftRight {
    type Ticket = usize;
    const FAIR: bool = false;

    fn tickets(&self) -> Vec<usize> {
        self.readers.handle().enter().expect("the writer is there").clone()
    }

    fn push(&self, member: usize) -> usize {
        self.change(Change::Joins(member));
        member
    }

    fn remove(&self, member: usize) {
        self.change(Change::Leaves(member));
    }
}
