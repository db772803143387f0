//! The store as requests see it when it is far away: a local copy of the records in use, in front
//! of a [`Remote`]. A copy is good as long as the store reports changes by itself and reports none;
//! without such reports it is good for five seconds.
//!
//! A look-up is made once however many requests want it, and in a task of its own: a request that
//! gives up waiting stops nothing. Reads and writes of the copy that come from the wire are made
//! under one lock together with the state of the queue, in this order of truth: what we wrote and
//! the store has not confirmed, over what the store says, over what we knew. The path of a known
//! session takes no lock at all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use super::{
    breaker::Breaker,
    change::Change,
    epoch::{Epoch, FRESH},
    id::Key,
    queue::Queue,
    record::{Lifetime, Record},
    stats::Stats,
    store::{Away, BoxFuture, Budget, Listener, Loaded, Remote, Store, StoreState, WAIT, Write},
    table::{Row, Table},
    time, writer,
};

/// Another proxy sends the cookie of a new session a moment before its record: so a record that is
/// not there is looked for once more.
const SECOND_LOOK: Duration = Duration::from_millis(5);
const PROBE_TIMEOUT: Duration = Duration::from_millis(200);
const CAPACITY: u64 = 64 * 1024 * 1024;
/// Records whose writes wait for the store.
const QUEUE: usize = 10_000;

/// A remote store behind its local copy.
#[derive(Debug)]
pub(crate) struct Cached(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) remote: Box<dyn Remote>,
    pub(crate) breaker: Breaker,
    pub(crate) stats: Arc<Stats>,
    /// Rung when there is something to write.
    pub(crate) written: Notify,
    /// Rung when the store has confirmed writes.
    pub(crate) confirmed: Notify,
    lifetime: Lifetime,
    table: Table,
    desk: Mutex<Desk>,
    /// Changed only by who holds the desk.
    epoch: Epoch,
    background: Handle,
}

/// What is under way between us and the store.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) queue: Queue,
    flights: HashMap<Key, Flight>,
}

/// A look-up on its way.
#[derive(Debug)]
struct Flight {
    landed: watch::Receiver<Option<Loaded>>,
    /// The record changed meanwhile: what the flight brings may be older than that.
    overtaken: bool,
}

impl Cached {
    /// Starts the tasks that write and probe on `background`.
    pub(crate) fn new(
        remote: Box<dyn Remote>,
        lifetime: Lifetime,
        stats: &Arc<Stats>,
        background: &Handle,
    ) -> Self {
        let inner = Arc::new(Inner {
            remote,
            breaker: Breaker::new(),
            stats: Arc::clone(stats),
            written: Notify::new(),
            confirmed: Notify::new(),
            lifetime,
            table: Table::new(CAPACITY, || {}),
            desk: Mutex::new(Desk { queue: Queue::new(QUEUE), flights: HashMap::new() }),
            epoch: Epoch::default(),
            background: background.clone(),
        });
        background.spawn(writer::run(Arc::clone(&inner)));
        background.spawn(probe(Arc::clone(&inner)));
        background.spawn(inner.remote.watch(Arc::clone(&inner) as Arc<dyn Listener>));
        Self(inner)
    }
}

impl Store for Cached {
    fn peek(&self, key: &Key, now: u64) -> Option<Loaded> {
        let look = |row: &Row| {
            self.0.epoch.holds(row.fresh).then(|| match &row.record {
                Some(record) => Loaded::Found(Arc::clone(record)),
                None => Loaded::Gone,
            })
        };
        self.0.table.look(key, now, look).flatten()
    }

    fn load<'a>(&'a self, key: &'a Key, budget: &'a mut Budget) -> BoxFuture<'a, Loaded> {
        Box::pin(async {
            if self.0.breaker.is_open() {
                return self.0.without_the_store(key);
            }
            let mut landed = self.0.board(*key);
            match budget.wait(landed.wait_for(Option::is_some)).await {
                Some(Ok(loaded)) => loaded.clone().unwrap_or(Loaded::Away(None)),
                _ => self.0.without_the_store(key),
            }
        })
    }

    fn save(&self, key: Key, change: Change) {
        self.0.save(key, change);
    }

    fn delete(&self, key: Key) {
        self.0.delete(key);
    }

    fn settle<'a>(&'a self, key: &'a Key, budget: &'a mut Budget) -> BoxFuture<'a, bool> {
        Box::pin(async {
            let open = self.0.breaker.is_open();
            let confirmed = self.0.confirmation(|queue| !queue.holds(key));
            if !open && budget.wait(confirmed).await.is_some() {
                return true;
            }
            self.0.desk().queue.forget(key);
            self.0.table.forget(key);
            false
        })
    }

    fn settled(&self, limit: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Whatever comes of it: a store that is away is no reason not to start.
            let _ = timeout(limit, self.0.remote.tried()).await;
        })
    }

    fn state(&self) -> StoreState {
        if self.0.breaker.is_open() { StoreState::Away } else { StoreState::Up }
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, bool> {
        Box::pin(async move { timeout(limit, self.0.confirmation(Queue::is_empty)).await.is_ok() })
    }
}

impl Inner {
    /// The lock is held for map operations only, never while waiting.
    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, key: Key, change: Change) {
        let mut desk = self.desk();
        if desk.queue.is_deleted(&key) {
            return;
        }
        desk.overtake(&key);
        if let Some(record) = Record::from_change(key, &change) {
            self.keep(key, Some(record), false);
        } else {
            let renew = |fresh| self.epoch.changed(fresh);
            self.table.change(key, &change, time::until(change.expires), renew);
        }
        let dropped = desk.queue.push(key, Write::Save(change));
        drop(desk);
        self.count_dropped(dropped);
        self.written.notify_one();
    }

    fn delete(&self, key: Key) {
        let mut desk = self.desk();
        desk.overtake(&key);
        self.keep(key, None, false);
        let dropped = desk.queue.push(key, Write::Delete);
        drop(desk);
        self.count_dropped(dropped);
        self.written.notify_one();
    }

    pub(crate) fn count_dropped(&self, dropped: impl IntoIterator<Item = Write>) {
        for write in dropped {
            self.stats.writes_dropped.add(1);
            if write == Write::Delete {
                tracing::error!("too many sessions ended while the store was away: one lives on");
            }
        }
    }

    /// The store has what we wrote, and does not report that. What somebody else wrote just before
    /// it may not have been reported either: so it is read once, and then it is known for good.
    pub(crate) fn confirm(self: &Arc<Self>, key: Key) {
        if self.epoch.is_reported()
            && !self.desk().queue.holds(&key)
            && self.table.look(&key, time::now(), |row| row.record.is_some()) == Some(true)
        {
            drop(self.board(key));
        }
    }

    /// Joins the look-up that is under way for a key, or starts one.
    fn board(self: &Arc<Self>, key: Key) -> watch::Receiver<Option<Loaded>> {
        let mut desk = self.desk();
        if let Some(flight) = desk.flights.get(&key) {
            return flight.landed.clone();
        }
        let (arrival, landed) = watch::channel(None);
        desk.flights.insert(key, Flight { landed: landed.clone(), overtaken: false });
        drop(desk);
        let inner = Arc::clone(self);
        self.background.spawn(async move {
            let read = inner.fetch(key).await;
            arrival.send_replace(Some(inner.land(key, read)));
        });
        landed
    }

    async fn fetch(&self, key: Key) -> Result<Option<Record>, Away> {
        let started = Instant::now();
        self.stats.lookups.add(1);
        let read = within(WAIT, self.remote.fetch(key)).await;
        if !matches!(read, Ok(None)) || started.elapsed() > SECOND_LOOK {
            return read;
        }
        tokio::time::sleep(SECOND_LOOK).await;
        within(WAIT.saturating_sub(started.elapsed()), self.remote.fetch(key)).await
    }

    /// Takes in what a look-up brought.
    fn land(&self, key: Key, read: Result<Option<Record>, Away>) -> Loaded {
        let mut desk = self.desk();
        let flight = desk.flights.remove(&key);
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                drop(desk);
                self.failed(&error);
                return self.without_the_store(&key);
            }
        };
        self.breaker.succeed();
        let now = time::now();
        let alive = |record: &Record| self.lifetime.end(record.created, record.seen) > now;
        let record = desk.queue.overlay(&key, read).filter(alive);
        if flight.is_some_and(|flight| !flight.overtaken) {
            self.keep(key, record.clone(), true);
        }
        record.map_or(Loaded::Gone, |record| Loaded::Found(Arc::new(record)))
    }

    /// The best answer there is while the store does not answer.
    fn without_the_store(&self, key: &Key) -> Loaded {
        let desk = self.desk();
        if desk.queue.is_deleted(key) {
            return Loaded::Gone;
        }
        match self.table.look(key, time::now(), |row| row.record.clone()) {
            Some(Some(record)) => Loaded::Away(Some(record)),
            Some(None) => Loaded::Gone,
            None => Loaded::Away(desk.unconfirmed(key).map(Arc::new)),
        }
    }

    pub(crate) fn failed(&self, error: &Away) {
        if self.breaker.fail() {
            tracing::warn!(%error, "the session store does not answer; going on without it");
        } else {
            tracing::debug!(%error, "the session store did not answer");
        }
    }

    /// Puts a copy into the table, that we read or wrote. The caller holds the desk.
    fn keep(&self, key: Key, record: Option<Record>, read: bool) {
        let fresh = self.epoch.fresh(read);
        let keep = record
            .as_ref()
            .map_or(FRESH, |record| time::until(self.lifetime.end(record.created, record.seen)));
        self.table.put(key, Row::new(record.map(Arc::new), fresh, keep));
    }

    async fn confirmation(&self, holds: impl Fn(&Queue) -> bool) {
        loop {
            let next = self.confirmed.notified();
            tokio::pin!(next);
            // From here on no confirmation is missed.
            next.as_mut().enable();
            if holds(&self.desk().queue) {
                return;
            }
            next.await;
        }
    }
}

impl Listener for Inner {
    fn changed(&self, keys: &[Key]) {
        let mut desk = self.desk();
        for key in keys {
            desk.overtake(key);
            self.table.forget(key);
        }
    }

    /// Nothing known is fresh any more. It is still better than nothing while the store is away.
    fn doubt_everything(&self, reported: bool) {
        let mut desk = self.desk();
        self.epoch.advance(reported);
        desk.flights.values_mut().for_each(|flight| flight.overtaken = true);
        drop(desk);
        if reported {
            // Whoever promises to report has answered.
            self.breaker.hint();
        }
    }
}

impl Desk {
    /// What a flight for this key brings may be old now.
    pub(crate) fn overtake(&mut self, key: &Key) {
        if let Some(flight) = self.flights.get_mut(key) {
            flight.overtaken = true;
        }
    }

    /// What we wrote of a record that we do not know.
    fn unconfirmed(&self, key: &Key) -> Option<Record> {
        let mut record = None;
        for write in self.queue.unconfirmed(key) {
            let Write::Save(change) = write else { return None };
            record.get_or_insert_with(|| Record::new(*key, change.seen, "")).apply(change);
        }
        record
    }
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Away>>,
) -> Result<T, Away> {
    timeout(limit, answer).await.unwrap_or_else(|_| Err(Away("no answer in time".to_owned())))
}

async fn probe(inner: Arc<Inner>) {
    let ping = || {
        let inner = Arc::clone(&inner);
        async move {
            let answered = within(PROBE_TIMEOUT, inner.remote.ping()).await.is_ok();
            if answered {
                tracing::info!("the session store answers again");
            }
            answered
        }
    };
    inner.breaker.tend(ping).await;
}

#[cfg(test)]
mod tests;
