//! The task that carries queued writes to the remote store, in batches, until they are confirmed.

use std::{sync::Arc, time::Duration};

use super::{
    cache::Inner,
    id::Key,
    store::{Away, Listener as _, Write, Written},
};

/// Writes in one round trip.
const BATCH: usize = 200;
/// Between two tries, at first and at most; what the store refuses is tried less often.
const RETRY: Duration = Duration::from_millis(100);
const REFUSED: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Proxies that have waited for the same store do not all write at once when it is back.
const JITTER: Duration = Duration::from_millis(500);

/// Writes what is queued, for ever. What comes while a batch is under way makes up the next one,
/// so writes are gathered exactly as far as the store is slow, and wait for nothing else. The
/// breaker does not hold them up: a store that is too slow for requests still takes writes.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut pause = Duration::ZERO;
    loop {
        inner.written.notified().await;
        while inner.desk().queue.has_waiting() {
            let batch = inner.desk().queue.take(BATCH);
            match inner.remote.write(&batch).await {
                Ok(outcomes) if settle(&inner, &batch, &outcomes) => pause = Duration::ZERO,
                Ok(_) => rest(&inner, &mut pause, REFUSED).await,
                Err(error) => {
                    put_back(&inner, &batch, &error);
                    rest(&inner, &mut pause, RETRY).await;
                }
            }
        }
    }
}

/// Waits, each time longer, but not much longer than until the store answers again.
async fn rest(inner: &Inner, pause: &mut Duration, least: Duration) {
    *pause = (*pause * 2).clamp(least, LONGEST_PAUSE);
    let jitter = JITTER.min(*pause).mul_f64(fastrand::f64());
    let answers = async {
        if inner.breaker.is_open() {
            inner.breaker.closed().await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = tokio::time::sleep(*pause) => {}
        () = answers => {}
    }
    tokio::time::sleep(jitter).await;
}

/// True if the store took all it will ever take of the batch.
fn settle(inner: &Arc<Inner>, batch: &[(Key, Write)], outcomes: &[Written]) -> bool {
    inner.breaker.succeed();
    let mut refused = None;
    for ((key, write), outcome) in batch.iter().zip(outcomes) {
        let mut desk = inner.desk();
        // A look-up that began before this was confirmed may have read what was before.
        desk.overtake(key);
        let dropped = desk.queue.settle(key, outcome);
        drop(desk);
        inner.count_dropped(dropped);
        match outcome {
            Written::Done => {
                inner.stats.writes.add(1);
                if *write != Write::Delete {
                    inner.confirm(*key);
                }
            }
            Written::Gone => inner.changed(&[*key]),
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
    let dropped: Vec<_> = batch.iter().filter_map(|(key, _)| desk.queue.put_back(key)).collect();
    drop(desk);
    inner.count_dropped(dropped);
    inner.failed(error);
}
