//! Hearing of changes: Redis tells of every key of ours that somebody else writes.
//!
//! Broadcast by prefix, so that a session counts that we wrote and never read as well as one that
//! we read; without our own writes. Whenever a message may have been missed (the channel ran over,
//! a connection was lost or made anew, the slots moved) everything is doubtful, and tracking is
//! started again: Redis does not remember it for us.

use std::{io, sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientInterface, ClientLike, EventInterface, TrackingInterface},
    types::{
        client::{Invalidation, Toggle},
        config::Server,
    },
};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    task::JoinSet,
    time::timeout,
};

use super::{
    super::{id::Key, store::Listener},
    sentry::{Alarm, Login, Sentry},
};

const PAUSE: Duration = Duration::from_millis(50);
/// A server that refuses to tell of changes is not asked all the time.
const REFUSED: Duration = Duration::from_secs(1);
/// One message may tell of a hundred thousand changes.
const AT_ONCE: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(1);
/// In a row, each of them as long as a time-out, before the client is made to connect anew.
const MOST_FAILURES: u32 = 20;

/// Tells `listener` of changes, for ever. `login` is for the sentry, which hears of a `FLUSHALL`.
pub(super) async fn watch(client: Client, login: Login, listener: Arc<dyn Listener>) {
    let mut failures = 0;
    loop {
        if client.wait_for_connect().await.is_ok() {
            let news = News::of(&client);
            match begin(&client, &login).await {
                Ok(sentries) => {
                    failures = 0;
                    listener.doubt_everything(true);
                    let why = news.pass_on(&*listener, sentries).await;
                    tracing::debug!(why, "what is known of sessions may be old");
                    listener.doubt_everything(false);
                }
                Err(error) => {
                    tracing::debug!(%error, "Redis does not tell of changes yet");
                    if error.is_silence() {
                        failures += 1;
                    } else {
                        tokio::time::sleep(REFUSED).await;
                    }
                }
            }
            if failures >= MOST_FAILURES {
                failures = 0;
                // The client holds on to a server that hangs; another one may have taken over.
                let begun_anew = timeout(PATIENCE, client.force_reconnection()).await;
                tracing::debug!(?begun_anew, "connecting anew");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{}", .0.details())]
    Command(#[from] Error),
    #[error("the client does not say where it is connected")]
    Unknown,
    #[error("{0}")]
    Sentry(#[from] io::Error),
}

impl Refused {
    fn is_silence(&self) -> bool {
        match self {
            Self::Command(error) => *error.kind() == ErrorKind::Timeout,
            Self::Unknown => false,
            Self::Sentry(error) => error.kind() == io::ErrorKind::TimedOut,
        }
    }
}

async fn begin(client: &Client, login: &Login) -> Result<JoinSet<Alarm>, Refused> {
    let servers = client.active_connections();
    if servers.is_empty() {
        // The client learns of its connections by CLIENT ID, which may be forbidden.
        return Err(Refused::Unknown);
    }
    let mut sentries = JoinSet::new();
    for server in servers {
        if client.is_clustered() {
            track(&client.with_cluster_node(server.clone())).await?;
        } else {
            track(client).await?;
        }
        let beats = client.is_clustered() || client.client_config().server.is_sentinel();
        sentries.spawn(Sentry::post(&server, login, beats).await?.watch());
    }
    Ok(sentries)
}

async fn track(client: &impl ClientInterface) -> Result<(), Error> {
    // A prefix cannot be asked for twice on one connection.
    let none: Vec<String> = Vec::new();
    client.client_tracking::<(), _, _>(Toggle::Off, None, none, false, false, false, false).await?;
    client
        .client_tracking::<(), _, _>(Toggle::On, None, Key::PREFIX, true, false, false, true)
        .await
}

/// What the client says while it is connected.
struct News {
    changes: Receiver<Invalidation>,
    errors: Receiver<(Error, Option<Server>)>,
    reconnects: Receiver<Server>,
    moves: Receiver<Vec<fred::types::ClusterStateChange>>,
}

impl News {
    fn of(client: &Client) -> Self {
        Self {
            changes: client.invalidation_rx(),
            errors: client.error_rx(),
            reconnects: client.reconnect_rx(),
            moves: client.cluster_change_rx(),
        }
    }

    /// Until something may have been missed; says what.
    async fn pass_on(
        mut self,
        listener: &dyn Listener,
        mut sentries: JoinSet<Alarm>,
    ) -> &'static str {
        loop {
            tokio::select! {
                change = self.changes.recv() => match change {
                    Ok(change) => {
                        let keys = change.keys.iter();
                        let keys: Vec<_> =
                            keys.filter_map(|key| Key::parse(key.as_bytes())).collect();
                        for some in keys.chunks(AT_ONCE) {
                            listener.changed(some);
                            // Look-ups run on this thread too, and have no time to lose.
                            tokio::task::yield_now().await;
                        }
                    }
                    Err(RecvError::Lagged(_)) => return "too many changes at once",
                    Err(RecvError::Closed) => return "the client ended",
                },
                _ = self.errors.recv() => return "an error of the connection",
                _ = self.reconnects.recv() => return "a new connection",
                _ = self.moves.recv() => return "a change of the cluster",
                Some(alarm) = sentries.join_next() => return match alarm {
                    Ok(Alarm::Flushed) => "the database was emptied",
                    _ => "the connection that watches was lost",
                },
            }
        }
    }
}
