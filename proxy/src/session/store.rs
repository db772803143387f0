//! What the rest of the session layer sees of a store, and what a far-away store has to offer.
//!
//! [`Store`] answers at once or within the budget of a request, and says so when it does not
//! know. [`Remote`] is the other end of a wire: it may be slow or gone, and whoever calls it has to
//! live with that. The Redis client stands behind [`Remote`] and nowhere else.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{change::Change, id::Key, record::Record};

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The answer to "what is kept under this key?".
#[derive(Clone, Debug)]
pub(crate) enum Loaded {
    Found(Arc<Record>),
    /// The store answered: there is no such record.
    Gone,
    /// The store did not answer in time. What is known here may be old, or nothing.
    Away(Option<Arc<Record>>),
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreState {
    /// It is in this process, and always there.
    Embedded,
    Up,
    Away,
}

impl StoreState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Up => "up",
            Self::Away => "away",
        }
    }
}

/// The store of the sessions, as the request path uses it.
pub(crate) trait Store: Send + Sync + fmt::Debug {
    /// What is known here and now, without waiting and without an allocation; `None`: ask `load`.
    /// `now`: the Unix second.
    fn peek(&self, key: &Key, now: u64) -> Option<Loaded>;

    /// Asks the store, as long as the budget lasts.
    fn load<'a>(&'a self, key: &'a Key, budget: &'a mut Budget) -> BoxFuture<'a, Loaded>;

    /// Takes a change. It is seen by `peek` when this returns, and is written in the background.
    fn save(&self, key: Key, change: Change);

    /// Ends a session, for good.
    fn delete(&self, key: Key);

    /// Waits until what was saved under the key is in the store, as long as the budget lasts. If it
    /// is not by then it is forgotten, and the answer is false.
    fn settle<'a>(&'a self, key: &'a Key, budget: &'a mut Budget) -> BoxFuture<'a, bool>;

    /// Waits until it is known whether it answers, `limit` at most.
    fn settled(&self, _limit: Duration) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Whether it answers, as far as is known.
    fn state(&self) -> StoreState;

    /// Waits until everything saved is in the store, `limit` at most.
    fn flush(&self, limit: Duration) -> BoxFuture<'_, bool>;
}

/// How long a request may still wait for the store, all its waits taken together.
#[derive(Debug)]
pub(crate) struct Budget(Duration);

impl Budget {
    pub(crate) fn new() -> Self {
        Self(WAIT)
    }

    /// What the future gives, if it does so within the budget.
    pub(crate) async fn wait<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let start = Instant::now();
        let given = timeout_at(start + self.0, future).await.ok();
        self.0 = self.0.saturating_sub(start.elapsed());
        given
    }
}

/// How long a request waits for the store. 20 ms are promised; the timer rounds up by one, and
/// waking up takes its time.
pub(crate) const WAIT: Duration = Duration::from_millis(17);

/// One write to a remote store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Save(Change),
    Delete,
}

/// What became of one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Done,
    /// The record was not there to be changed: it has ended, or somebody ended it.
    Gone,
    /// The store would not take it now: full, read-only.
    Refused(String),
    /// The store will never take it.
    Hopeless(String),
}

/// The store did not answer; says why, and never with a secret in it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Away(pub(crate) String);

/// Who wants to know what others change in a store.
pub(crate) trait Listener: Send + Sync {
    /// Somebody else changed these records.
    fn changed(&self, keys: &[Key]);

    /// Anything may have changed. `reported`: from now on every change is told.
    fn doubt_everything(&self, reported: bool);
}

/// A store at the other end of a wire.
pub(crate) trait Remote: Send + Sync + fmt::Debug + 'static {
    /// Waits until a first connection was made, or failed.
    fn tried(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Whether it answers.
    fn ping(&self) -> BoxFuture<'_, Result<(), Away>>;

    /// Tells of changes by others, for ever; a store that knows of none says nothing.
    fn watch(&self, _listener: Arc<dyn Listener>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn fetch(&self, key: Key) -> BoxFuture<'_, Result<Option<Record>, Away>>;

    /// Writes a batch; one outcome for each write, in order.
    fn write<'a>(&'a self, batch: &'a [(Key, Write)]) -> BoxFuture<'a, Result<Vec<Written>, Away>>;
}
