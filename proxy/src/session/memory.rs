//! The embedded store: sessions live as long as the process, and in this process alone.

use std::{future::ready, sync::Arc, time::Duration};

use super::{
    change::Change,
    epoch::Fresh,
    id::Key,
    record::Record,
    stats::Stats,
    store::{BoxFuture, Budget, Loaded, Store, StoreState},
    table::{Row, Table},
    time,
};

/// Half a million small sessions.
const CAPACITY: u64 = 256 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Memory {
    table: Table,
}

impl Memory {
    pub(crate) fn new(stats: &Arc<Stats>) -> Self {
        Self::with_capacity(CAPACITY, stats)
    }

    fn with_capacity(bytes: u64, stats: &Arc<Stats>) -> Self {
        let stats = Arc::clone(stats);
        Self { table: Table::new(bytes, move || stats.evicted.add(1)) }
    }

    fn find(&self, key: &Key, now: u64) -> Loaded {
        match self.table.look(key, now, |row| row.record.clone()).flatten() {
            Some(record) => Loaded::Found(record),
            None => Loaded::Gone,
        }
    }
}

impl Store for Memory {
    fn peek(&self, key: &Key, now: u64) -> Option<Loaded> {
        Some(self.find(key, now))
    }

    fn load<'a>(&'a self, key: &'a Key, _: &'a mut Budget) -> BoxFuture<'a, Loaded> {
        Box::pin(ready(self.find(key, time::now())))
    }

    fn save(&self, key: Key, change: Change) {
        let keep = time::until(change.expires);
        match Record::from_change(key, &change) {
            Some(record) => {
                let record = Some(Arc::new(record));
                self.table.put(key, Row::new(record, Fresh::Always, keep));
            }
            None => self.table.change(key, &change, keep, |fresh| fresh),
        }
    }

    fn delete(&self, key: Key) {
        self.table.forget(&key);
    }

    fn settle<'a>(&'a self, _: &'a Key, _: &'a mut Budget) -> BoxFuture<'a, bool> {
        Box::pin(ready(true))
    }

    fn state(&self) -> StoreState {
        StoreState::Embedded
    }

    fn flush(&self, _: Duration) -> BoxFuture<'_, bool> {
        Box::pin(ready(true))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::session::{
        id::Id,
        record::{Field, Lifetime},
    };

    const LIFETIME: Lifetime = Lifetime { idle: 60, max: 600 };

    fn store() -> Memory {
        Memory::new(&Arc::default())
    }

    fn key() -> Key {
        Id::random().unwrap().key()
    }

    fn begin(store: &Memory, key: Key) {
        store.save(key, Record::new(key, time::now(), "b").as_change(LIFETIME));
    }

    fn set(name: &'static str, text: &'static str) -> Change {
        let field = Field::data(HeaderName::from_static(name)).unwrap();
        let now = time::now();
        let edits = vec![(field, Some(HeaderValue::from_static(text)))];
        Change { begins: None, seen: now, expires: now + 60, edits }
    }

    fn fields(store: &Memory, key: &Key) -> Option<usize> {
        match store.peek(key, time::now()) {
            Some(Loaded::Found(record)) => Some(record.fields().count()),
            _ => None,
        }
    }

    #[test]
    fn a_change_adds_to_the_record() {
        let (store, key) = (store(), key());
        assert_eq!(fields(&store, &key), None);
        begin(&store, key);
        store.save(key, set("rondel-session-a", "1"));
        store.save(key, set("rondel-session-b", "2"));
        assert_eq!(fields(&store, &key), Some(2));
    }

    #[test]
    fn a_late_change_does_not_bring_a_deleted_session_back() {
        let (store, key) = (store(), key());
        begin(&store, key);
        store.delete(key);
        store.save(key, set("rondel-session-a", "1"));
        assert_eq!(fields(&store, &key), None);
    }

    #[test]
    fn a_record_ends_at_its_expiry() {
        let (store, key) = (store(), key());
        let mut change = Record::new(key, time::now(), "b").as_change(LIFETIME);
        change.expires = time::now();
        store.save(key, change);
        assert_eq!(fields(&store, &key), None);
    }

    #[test]
    fn changes_from_many_threads_lose_no_field() {
        let (store, key) = (store(), key());
        begin(&store, key);
        let names = ["a", "b", "c", "d"].map(|name| format!("rondel-session-{name}"));
        std::thread::scope(|scope| {
            for name in &names {
                scope.spawn(|| {
                    let field = Field::data(name.parse().unwrap()).unwrap();
                    for turn in 0..200_u32 {
                        let edits = vec![(field.clone(), Some(HeaderValue::from(turn)))];
                        let change =
                            Change { begins: None, seen: 0, expires: time::now() + 60, edits };
                        store.save(key, change);
                    }
                });
            }
        });
        assert_eq!(fields(&store, &key), Some(4));
        let Some(Loaded::Found(record)) = store.peek(&key, time::now()) else { panic!("gone") };
        assert!(record.fields().all(|(_, value)| value == "199"));
    }

    #[test]
    fn the_store_is_bounded_and_counts_what_it_gives_up() {
        let stats = Arc::new(Stats::default());
        let store = Memory::with_capacity(100_000, &stats);
        let keys: Vec<_> = (0..1_000).map(|_| key()).collect();
        for key in &keys {
            begin(&store, *key);
        }
        let newest = keys.last().unwrap();
        // The table tidies up as it is used.
        for _ in 0..1_000 {
            assert_eq!(fields(&store, newest), Some(0), "a new session finds room");
        }
        let left = keys.iter().filter(|key| fields(&store, key).is_some()).count();
        assert!(left < 500, "{left} of 1000 fit into 100 kB");
        assert!(stats.evicted.count() >= 500);
    }
}
