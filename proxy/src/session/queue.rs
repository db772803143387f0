//! Writes on their way to a remote store: bounded, one for each record, the oldest first.
//!
//! A pure structure; the lock around it and the sending are elsewhere. A write stays known until
//! the store has confirmed it, so that what was read from the store can be completed with it.

use std::collections::{BTreeMap, HashMap};

use super::{
    id::Key,
    record::Record,
    store::{Write, Written},
};

/// Ends of sessions that wait, for each record that may: an end is nothing but a key, and a session
/// that was to end and lives on is worse than one that is forgotten.
const ENDS: usize = 10;

#[derive(Debug)]
pub(crate) struct Queue {
    waiting: HashMap<Key, Ticketed>,
    /// The keys of `waiting` that are to be saved, in the order in which their first change came.
    saves: BTreeMap<u64, Key>,
    /// Those that are to be deleted. They are small, go first, and are not given up for others.
    ends: BTreeMap<u64, Key>,
    /// Sent, and not confirmed yet.
    sent: HashMap<Key, Ticketed>,
    next_turn: u64,
    capacity: usize,
}

#[derive(Debug)]
struct Ticketed {
    turn: u64,
    write: Write,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            waiting: HashMap::new(),
            saves: BTreeMap::new(),
            ends: BTreeMap::new(),
            sent: HashMap::new(),
            next_turn: 0,
            capacity,
        }
    }

    /// Adds a write to what waits for its key. Gives back what had to be dropped for it.
    pub(crate) fn push(&mut self, key: Key, write: Write) -> Option<Write> {
        if self.is_deleted(&key) {
            return None;
        }
        let ticketed = if let Some(mut earlier) = self.remove(&key) {
            earlier.write.merge(write);
            earlier
        } else {
            self.next_turn += 1;
            Ticketed { turn: self.next_turn, write }
        };
        self.insert(key, ticketed);
        self.drop_oldest()
    }

    /// Takes up to `most` writes, ends first and then the oldest, to be sent.
    pub(crate) fn take(&mut self, most: usize) -> Vec<(Key, Write)> {
        let mut batch = Vec::new();
        while batch.len() < most {
            let next = self.ends.pop_first().or_else(|| self.saves.pop_first());
            let Some((_, key)) = next else { break };
            let Some(ticketed) = self.waiting.remove(&key) else { continue };
            batch.push((key, ticketed.write.clone()));
            self.sent.insert(key, ticketed);
        }
        batch
    }

    /// Settles a write that was sent; one that the store would not take now waits again. Gives back
    /// what had to be dropped for that.
    pub(crate) fn settle(&mut self, key: &Key, outcome: &Written) -> Option<Write> {
        match outcome {
            Written::Done | Written::Gone | Written::Hopeless(_) => {
                self.sent.remove(key);
                None
            }
            Written::Refused(_) => self.put_back(key),
        }
    }

    /// Puts a write that was sent back into its old place; what came since stays on top of it.
    /// Gives back what had to be dropped.
    pub(crate) fn put_back(&mut self, key: &Key) -> Option<Write> {
        let mut earlier = self.sent.remove(key)?;
        if let Some(later) = self.remove(key) {
            earlier.write.merge(later.write);
        }
        self.insert(*key, earlier);
        self.drop_oldest()
    }

    /// Forgets what waits for a key.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.remove(key);
    }

    /// Whether something for the key is not confirmed yet.
    pub(crate) fn holds(&self, key: &Key) -> bool {
        self.waiting.contains_key(key) || self.sent.contains_key(key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty()
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Completes what the store says with the writes that it has not confirmed.
    pub(crate) fn overlay(&self, key: &Key, read: Option<Record>) -> Option<Record> {
        self.unconfirmed(key).fold(read, |record, write| match write {
            Write::Delete => None,
            Write::Save(change) => match record {
                Some(mut record) => {
                    record.apply(change);
                    Some(record)
                }
                None => Record::from_change(*key, change),
            },
        })
    }

    /// Whether the session is being ended by us.
    pub(crate) fn is_deleted(&self, key: &Key) -> bool {
        self.unconfirmed(key).any(|write| *write == Write::Delete)
    }

    /// The unconfirmed writes of a key, the earlier first.
    pub(crate) fn unconfirmed(&self, key: &Key) -> impl Iterator<Item = &Write> {
        let sent = self.sent.get(key);
        let waiting = self.waiting.get(key);
        sent.into_iter().chain(waiting).map(|ticketed| &ticketed.write)
    }

    fn insert(&mut self, key: Key, ticketed: Ticketed) {
        self.order(&ticketed.write).insert(ticketed.turn, key);
        self.waiting.insert(key, ticketed);
    }

    fn remove(&mut self, key: &Key) -> Option<Ticketed> {
        let ticketed = self.waiting.remove(key)?;
        self.order(&ticketed.write).remove(&ticketed.turn);
        Some(ticketed)
    }

    fn order(&mut self, write: &Write) -> &mut BTreeMap<u64, Key> {
        match write {
            Write::Save(_) => &mut self.saves,
            Write::Delete => &mut self.ends,
        }
    }

    fn drop_oldest(&mut self) -> Option<Write> {
        let oldest = if self.saves.len() > self.capacity {
            self.saves.pop_first()
        } else if self.ends.len() > self.capacity * ENDS {
            self.ends.pop_first()
        } else {
            None
        };
        self.waiting.remove(&oldest?.1).map(|ticketed| ticketed.write)
    }
}

impl Write {
    /// Adds a later write. Nothing comes after the end of a session: ids are never used again.
    fn merge(&mut self, later: Write) {
        match (&mut *self, later) {
            (Self::Save(change), Self::Save(later)) => change.merge(later),
            (Self::Save(_), Self::Delete) => *self = Self::Delete,
            (Self::Delete, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::session::{
        change::Change,
        id::Id,
        record::{Field, Lifetime},
    };

    const LIFETIME: Lifetime = Lifetime { idle: 1_800, max: 86_400 };

    fn key(number: u8) -> Key {
        Id::from_bytes([number; 16]).key()
    }

    fn begin(key: Key) -> Write {
        Write::Save(Record::new(key, 1, "b").as_change(LIFETIME))
    }

    fn set(name: &'static str, text: &'static str) -> Write {
        let field = Field::data(HeaderName::from_static(name)).unwrap();
        let edits = vec![(field, Some(HeaderValue::from_static(text)))];
        Write::Save(Change { begins: None, seen: 1, expires: 9, edits })
    }

    fn keys(batch: &[(Key, Write)]) -> Vec<Key> {
        batch.iter().map(|(key, _)| *key).collect()
    }

    #[test]
    fn writes_of_one_record_become_one() {
        let mut queue = Queue::new(10);
        queue.push(key(1), begin(key(1)));
        queue.push(key(2), begin(key(2)));
        queue.push(key(1), set("rondel-session-a", "1"));
        queue.push(key(1), set("rondel-session-a", "2"));
        let batch = queue.take(10);
        assert_eq!(keys(&batch), [key(1), key(2)]);
        let Write::Save(change) = &batch[0].1 else { panic!("a save") };
        assert!(change.begins.is_some());
        assert_eq!(change.edits.len(), 1);
        assert_eq!(change.edits[0].1.as_ref().unwrap(), "2");
    }

    #[test]
    fn the_oldest_is_dropped_when_there_are_too_many() {
        let mut queue = Queue::new(2);
        assert!(queue.push(key(1), begin(key(1))).is_none());
        assert!(queue.push(key(2), begin(key(2))).is_none());
        assert!(queue.push(key(1), set("rondel-session-a", "1")).is_none(), "no new record");
        assert!(queue.push(key(3), begin(key(3))).is_some());
        assert_eq!(keys(&queue.take(10)), [key(2), key(3)]);
    }

    #[test]
    fn an_end_goes_first_and_is_not_dropped_for_a_record() {
        let mut queue = Queue::new(2);
        queue.push(key(1), begin(key(1)));
        queue.push(key(1), Write::Delete);
        queue.push(key(2), Write::Delete);
        for number in 3..9 {
            queue.push(key(number), begin(key(number)));
        }
        assert_eq!(keys(&queue.take(10)), [key(1), key(2), key(7), key(8)]);
        // Not even for a thousand ends, and then it is said.
        let mut queue = Queue::new(2);
        let dropped: Vec<_> =
            (0..21).filter_map(|number| queue.push(key(number), Write::Delete)).collect();
        assert_eq!(dropped, [Write::Delete]);
    }

    #[test]
    fn a_write_that_failed_goes_back_to_its_place_under_later_ones() {
        let mut queue = Queue::new(10);
        queue.push(key(1), begin(key(1)));
        queue.push(key(2), begin(key(2)));
        assert_eq!(keys(&queue.take(1)), [key(1)]);
        queue.push(key(1), set("rondel-session-a", "late"));
        queue.put_back(&key(1));
        let batch = queue.take(10);
        assert_eq!(keys(&batch), [key(1), key(2)]);
        let Write::Save(change) = &batch[0].1 else { panic!("a save") };
        assert!(change.begins.is_some() && change.edits.len() == 1);
        for (key, _) in &batch {
            queue.settle(key, &Written::Done);
        }
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_dropped_for_a_write_that_was_refused_is_given_back() {
        let mut queue = Queue::new(1);
        queue.push(key(1), begin(key(1)));
        assert_eq!(keys(&queue.take(1)), [key(1)]);
        assert!(queue.push(key(2), begin(key(2))).is_none());
        assert_eq!(queue.settle(&key(1), &Written::Refused("full".into())), Some(begin(key(1))));
        assert_eq!(keys(&queue.take(9)), [key(2)]);
    }

    #[test]
    fn nothing_comes_after_the_end_of_a_session() {
        let mut queue = Queue::new(10);
        queue.push(key(1), begin(key(1)));
        queue.push(key(1), Write::Delete);
        queue.push(key(1), set("rondel-session-a", "late"));
        assert_eq!(queue.take(10), [(key(1), Write::Delete)]);
        queue.push(key(1), begin(key(1)));
        queue.put_back(&key(1));
        assert_eq!(queue.take(10), [(key(1), Write::Delete)], "also when it has to be sent again");
        queue.push(key(1), begin(key(1)));
        queue.settle(&key(1), &Written::Done);
        assert!(queue.is_empty(), "and while it was on its way");
    }

    #[test]
    fn an_end_overtakes_a_beginning_that_failed() {
        let mut queue = Queue::new(10);
        queue.push(key(1), begin(key(1)));
        queue.take(10);
        queue.push(key(1), Write::Delete);
        assert!(queue.is_deleted(&key(1)));
        queue.settle(&key(1), &Written::Refused("full".into()));
        assert_eq!(queue.take(10), [(key(1), Write::Delete)]);
    }

    #[test]
    fn what_is_not_confirmed_completes_what_was_read() {
        let mut queue = Queue::new(10);
        let value = |queue: &Queue, read| {
            let record = queue.overlay(&key(1), read)?;
            Some(record.fields().map(|(_, value)| value.clone()).collect::<Vec<_>>())
        };
        let stored = || Some(Record::new(key(1), 1, "b"));
        assert_eq!(value(&queue, None), None);
        queue.push(key(1), set("rondel-session-a", "1"));
        assert_eq!(value(&queue, None), None, "a change alone is no record");
        queue.take(10);
        queue.push(key(1), set("rondel-session-b", "2"));
        assert_eq!(value(&queue, stored()).unwrap(), ["1", "2"]);
        queue.push(key(1), Write::Delete);
        assert_eq!(value(&queue, stored()), None);
        queue.push(key(2), begin(key(2)));
        assert!(queue.overlay(&key(2), None).is_some(), "the store does not know it yet");
    }

    #[test]
    fn a_forgotten_write_is_not_sent() {
        let mut queue = Queue::new(10);
        queue.push(key(1), begin(key(1)));
        queue.push(key(2), begin(key(2)));
        queue.forget(&key(1));
        assert!(!queue.holds(&key(1)));
        assert_eq!(keys(&queue.take(10)), [key(2)]);
    }
}
