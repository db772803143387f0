//! Records in memory: bounded by their size, each with its own end.
//!
//! The embedded store is one of these, and the cache in front of Redis is another. Knows nothing
//! of where a record comes from.

use std::{
    fmt,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
    time::{Duration, Instant},
};

use moka::{
    Expiry, notification::RemovalCause, ops::compute::Op, policy::EvictionPolicy, sync::Cache,
};

use super::{
    epoch::Fresh,
    id::Key,
    record::{Change, Record},
};

/// A map from keys to rows.
#[derive(Clone)]
pub(crate) struct Table(Cache<Key, Row, BuildHasherDefault<KeyHasher>>);

/// What is known under one key.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// `None`: known to be gone.
    pub(crate) record: Option<Arc<Record>>,
    /// Until when this needs no second look.
    pub(crate) fresh: Fresh,
    /// How long the row is kept, from when it was put.
    pub(crate) keep: Duration,
}

impl Table {
    /// `on_evicted` is called for each record that had to go for lack of room.
    pub(crate) fn new(bytes: u64, on_evicted: impl Fn() + Send + Sync + 'static) -> Self {
        Self(
            Cache::builder()
                .max_capacity(bytes)
                .weigher(|_, row: &Row| row.weight())
                // A new session must find room, however popular the older ones are.
                .eviction_policy(EvictionPolicy::lru())
                .expire_after(KeepEach)
                .eviction_listener(move |_, row: Row, cause| {
                    if cause == RemovalCause::Size && row.record.is_some() {
                        on_evicted();
                    }
                })
                .build_with_hasher(BuildHasherDefault::default()),
        )
    }

    pub(crate) fn row(&self, key: &Key) -> Option<Row> {
        self.0.get(key)
    }

    pub(crate) fn put(&self, key: Key, row: Row) {
        self.0.insert(key, row);
    }

    pub(crate) fn forget(&self, key: &Key) {
        self.0.invalidate(key);
    }

    /// Carries out a change where the record is known and not gone; changes of one key come one
    /// after the other. `keep`: for how long the changed row is kept.
    /// `renew` says how fresh it is then.
    pub(crate) fn change(
        &self,
        key: Key,
        change: &Change,
        keep: Duration,
        renew: impl FnOnce(Fresh) -> Fresh,
    ) {
        self.0.entry(key).and_compute_with(|entry| {
            let Some(row) = entry.map(moka::Entry::into_value) else { return Op::Nop };
            let Some(known) = row.record else { return Op::Nop };
            let mut record = Record::clone(&known);
            record.apply(change);
            Op::Put(Row { record: Some(Arc::new(record)), fresh: renew(row.fresh), keep })
        });
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Table").field("rows", &self.0.entry_count()).finish()
    }
}

impl Row {
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

impl Expiry<Key, Row> for KeepEach {
    fn expire_after_create(&self, _: &Key, row: &Row, _: Instant) -> Option<Duration> {
        Some(row.keep)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        row: &Row,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(row.keep)
    }
}
