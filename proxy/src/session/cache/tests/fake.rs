//! A store that does what a test says.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;
use crate::session::store::Written;

/// A store in this process that can be slow or away.
#[derive(Debug, Default)]
pub(super) struct Fake(pub(super) Arc<FakeState>);

#[derive(Debug)]
pub(super) struct FakeState {
    pub(super) records: Mutex<HashMap<Key, Record>>,
    pub(super) away: AtomicBool,
    pub(super) fetches: AtomicUsize,
    pub(super) batches: AtomicUsize,
    /// A fetch reads, and then waits for one of these before it answers.
    pub(super) answers: Semaphore,
    /// A batch waits for one of these before it is carried out.
    pub(super) turns: Semaphore,
}

impl Default for FakeState {
    fn default() -> Self {
        Self {
            records: Mutex::default(),
            away: AtomicBool::new(false),
            fetches: AtomicUsize::new(0),
            batches: AtomicUsize::new(0),
            answers: Semaphore::new(Semaphore::MAX_PERMITS),
            turns: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }
}

impl FakeState {
    pub(super) fn there(&self) -> Result<(), Away> {
        if self.away.load(Ordering::SeqCst) { Err(Away("away".into())) } else { Ok(()) }
    }

    pub(super) fn hold_answers(&self) {
        self.answers.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(super) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    pub(super) fn put(&self, key: Key, text: &'static str) {
        let mut record = Record::new(key, time::now(), "b");
        record.apply(&set(text));
        self.records.lock().unwrap().insert(key, record);
    }
}

impl Remote for Fake {
    fn ping(&self) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(async { self.0.there() })
    }

    fn fetch(&self, key: Key) -> BoxFuture<'_, Result<Option<Record>, Away>> {
        Box::pin(async move {
            self.0.there()?;
            self.0.fetches.fetch_add(1, Ordering::SeqCst);
            let read = self.0.records.lock().unwrap().get(&key).cloned();
            drop(self.0.answers.acquire().await);
            Ok(read)
        })
    }

    fn write<'a>(&'a self, batch: &'a [(Key, Write)]) -> BoxFuture<'a, Result<Vec<Written>, Away>> {
        Box::pin(async {
            self.0.there()?;
            drop(self.0.turns.acquire().await);
            self.0.batches.fetch_add(1, Ordering::SeqCst);
            let mut records = self.0.records.lock().unwrap();
            let outcomes = batch.iter().map(|(key, write)| match write {
                Write::Delete => {
                    records.remove(key);
                    Written::Done
                }
                Write::Save(change) => match records.get_mut(key) {
                    Some(record) => {
                        record.apply(change);
                        Written::Done
                    }
                    None => match Record::from_change(*key, change) {
                        Some(record) => {
                            records.insert(*key, record);
                            Written::Done
                        }
                        None => Written::Gone,
                    },
                },
            });
            Ok(outcomes.collect())
        })
    }
}
