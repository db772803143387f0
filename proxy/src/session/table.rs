//! Records in memory: bounded by their size, each with its own end.
//!
//! The embedded store is one of these, and the cache in front of Redis is another. Knows nothing
//! of where a record comes from.

use std::{
    fmt,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use moka::{
    Expiry, notification::RemovalCause, ops::compute::Op, policy::EvictionPolicy, sync::Cache,
};

use super::{change::Change, epoch::Fresh, id::Key, memo::Owner, near, record::Record};

/// A map from keys to rows.
#[derive(Clone)]
pub(crate) struct Table {
    rows: Cache<Key, Arc<Row>, BuildHasherDefault<KeyHasher>>,
    /// Tells its rows from those of other tables in this process.
    owner: Owner,
}

/// What is known under one key.
#[derive(Debug)]
pub(crate) struct Row {
    /// `None`: known to be gone.
    pub(crate) record: Option<Arc<Record>>,
    /// Until when this needs no second look.
    pub(crate) fresh: Fresh,
    /// How long the row is kept, from when it was put.
    pub(crate) keep: Duration,
    /// Set once it is not in the table any more.
    gone: AtomicBool,
}

impl Table {
    /// `on_evicted` is called for each record that had to go for lack of room.
    pub(crate) fn new(bytes: u64, on_evicted: impl Fn() + Send + Sync + 'static) -> Self {
        let rows = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, row: &Arc<Row>| row.weight())
            // A new session must find room, however popular the older ones are.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(KeepEach)
            // Called for whatever leaves, at once unless it has come to its end by itself.
            .eviction_listener(move |_, row: Arc<Row>, cause| {
                row.leave_table();
                if cause == RemovalCause::Size && row.record.is_some() {
                    on_evicted();
                }
            })
            .build_with_hasher(BuildHasherDefault::default());
        Self { rows, owner: Owner::new() }
    }

    /// What `read` makes of the row of this key in this Unix second.
    pub(crate) fn look<R>(&self, key: &Key, second: u64, read: impl Fn(&Row) -> R) -> Option<R> {
        near::look(self.owner, key, second, &read).or_else(|| {
            let row = self.rows.get(key)?;
            let made = read(&row);
            near::remember(self.owner, *key, second, row);
            Some(made)
        })
    }

    pub(crate) fn put(&self, key: Key, row: Row) {
        self.rows.insert(key, Arc::new(row));
    }

    pub(crate) fn forget(&self, key: &Key) {
        self.rows.invalidate(key);
    }

    /// Carries out a change where the record is known and not gone; changes of one key come one
    /// after the other. `keep`: for how long the changed row is kept; `renew` says how fresh it is
    /// then.
    pub(crate) fn change(
        &self,
        key: Key,
        change: &Change,
        keep: Duration,
        renew: impl FnOnce(Fresh) -> Fresh,
    ) {
        self.rows.entry(key).and_compute_with(|entry| {
            let Some(row) = entry.map(moka::Entry::into_value) else { return Op::Nop };
            let Some(known) = &row.record else { return Op::Nop };
            let mut record = Record::clone(known);
            record.apply(change);
            Op::Put(Arc::new(Row::new(Some(Arc::new(record)), renew(row.fresh), keep)))
        });
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Table").field("rows", &self.rows.entry_count()).finish_non_exhaustive()
    }
}

impl Row {
    pub(crate) fn new(record: Option<Arc<Record>>, fresh: Fresh, keep: Duration) -> Self {
        Self { record, fresh, keep, gone: AtomicBool::new(false) }
    }

    /// Whether it is what the table says still.
    pub(crate) fn is_in_table(&self) -> bool {
        // ORDERING: Acquire pairs with the Release below: who sees that it is gone sees what has
        // taken its place.
        !self.gone.load(Ordering::Acquire)
    }

    pub(super) fn leave_table(&self) {
        self.gone.store(true, Ordering::Release);
    }

    fn weight(&self) -> u32 {
        let record = self.record.as_ref().map_or(0, |record| record.weight());
        u32::try_from(record + 200).unwrap_or(u32::MAX)
    }
}

/// Keys are hashes already, and nobody can choose one: its text has only to be folded.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            let mixed = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            self.0 = mixed ^ (mixed >> 32);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Every row says how long it is kept, and a change says it anew.
struct KeepEach;

impl Expiry<Key, Arc<Row>> for KeepEach {
    fn expire_after_create(&self, _: &Key, row: &Arc<Row>, _: Instant) -> Option<Duration> {
        Some(row.keep)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        row: &Arc<Row>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(row.keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{id::Id, time};

    fn seen(table: &Table, key: &Key) -> Option<u64> {
        table.look(key, time::now(), |row| row.record.as_ref().map_or(0, |record| record.created))
    }

    fn row(key: Key, created: u64) -> Row {
        let record = Arc::new(Record::new(key, created, "b"));
        Row::new(Some(record), Fresh::Always, Duration::from_secs(60))
    }

    #[test]
    fn what_a_thread_has_read_hides_no_change_that_comes_later() {
        let (table, key) = (Table::new(1 << 20, || {}), Id::random().unwrap().key());
        let set = Change { begins: None, seen: 9, expires: u64::MAX, edits: Vec::new() };
        for round in 1..1_000 {
            assert_eq!(seen(&table, &key), None);
            table.put(key, row(key, round));
            assert_eq!(seen(&table, &key), Some(round));
            table.put(key, row(key, round + 1));
            assert_eq!(seen(&table, &key), Some(round + 1));
            table.change(key, &set, Duration::from_secs(60), |fresh| fresh);
            let last =
                table.look(&key, time::now(), |row| row.record.as_ref().map(|record| record.seen));
            assert_eq!(last, Some(Some((round + 1).max(9))));
            table.forget(&key);
        }
    }

    #[test]
    fn what_one_thread_changes_another_one_sees() {
        let (table, key) = (Table::new(1 << 20, || {}), Id::random().unwrap().key());
        table.put(key, row(key, 1));
        std::thread::scope(|scope| {
            let (ask, asked) = std::sync::mpsc::channel::<u64>();
            let (tell, told) = std::sync::mpsc::channel();
            let shared = &table;
            scope.spawn(move || {
                for created in asked {
                    shared.put(key, row(key, created));
                    tell.send(created).unwrap();
                }
            });
            for created in 2..2_000 {
                assert_eq!(seen(&table, &key), Some(created - 1));
                ask.send(created).unwrap();
                assert_eq!(told.recv().unwrap(), created);
            }
        });
    }
}
