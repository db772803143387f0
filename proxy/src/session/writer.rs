//! The task that carries queued writes to the remote store, in batches, until they are confirmed.

use std::{sync::Arc, time::Duration};

use super::{
    cache::Inner,
    id::Key,
    store::{Away, Write, Written},
};

/// Writes in one round trip.
const BATCH: usize = 200;
const RETRY: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Writes what is queued, for ever. What comes while a batch is under way makes up the next one,
/// so writes are gathered exactly as far as the store is slow, and wait for nothing else.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut pause = FIRST_PAUSE;
    loop {
        inner.written.notified().await;
        while inner.desk().queue.has_waiting() {
            inner.breaker.closed().await;
            let batch = inner.desk().queue.take(BATCH);
            match inner.remote.write(&batch).await {
                Ok(outcomes) if settle(&inner, &batch, &outcomes) => pause = FIRST_PAUSE,
                Ok(_) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => {
                    put_back(&inner, &batch, &error);
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// True if the store took all it will ever take of the batch.
fn settle(inner: &Inner, batch: &[(Key, Write)], outcomes: &[Written]) -> bool {
    inner.breaker.succeed();
    let mut refused = None;
    for ((key, _), outcome) in batch.iter().zip(outcomes) {
        {
            let mut desk = inner.desk();
            // A look-up that began before this was confirmed may have read what was before.
            desk.overtake(key);
            desk.queue.settle(key, outcome);
        }
        match outcome {
            Written::Done => inner.stats.writes.add(1),
            Written::Gone => inner.invalidate(key),
            Written::Refused(reason) => refused = Some(reason),
            Written::Hopeless(reason) => {
                inner.stats.writes_dropped.add(1);
                tracing::warn!(%key, reason, "a session could not be written");
            }
        }
    }
    if let Some(reason) = refused {
        tracing::warn!(reason, "the session store takes no writes now; they are kept");
    }
    inner.confirmed.notify_waiters();
    refused.is_none()
}

fn put_back(inner: &Inner, batch: &[(Key, Write)], error: &Away) {
    let mut desk = inner.desk();
    let dropped = batch.iter().filter(|(key, _)| desk.queue.put_back(key)).count();
    drop(desk);
    inner.stats.writes_dropped.add(dropped);
    inner.failed(error);
}
