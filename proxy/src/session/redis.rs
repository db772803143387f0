//! Redis, over fred: only this file and those below it know the client.
//!
//! Everything here may fail at any time and says so; nothing here decides what that means for a
//! request. Writes are idempotent and date their own end, since a command that timed out may still
//! be carried out later.

mod connect;
mod sentry;
mod tracking;

use std::{fmt, sync::Arc, time::Duration};

use fred::{
    clients::{Client, Pipeline, WithOptions},
    error::{Error, ErrorKind},
    interfaces::{ClientLike, EventInterface, HashesInterface, KeysInterface},
    types::{Value, config::Options},
};
use tokio::runtime::Handle;

pub use self::connect::check_redis_url;
use self::sentry::Login;
use super::{
    change::Change,
    id::Key,
    record::Record,
    store::{Away, BoxFuture, Listener, Remote, Write, Written},
    time,
};

/// No request waits for a write, so a slow store has the time it needs.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(20);

pub(crate) struct Redis {
    client: Client,
    /// For the connections that watch.
    login: Login,
    /// Seconds for which it is remembered that a session was ended.
    remember: u64,
    lookups: WithOptions<Client>,
    writes: WithOptions<Client>,
}

impl Redis {
    /// Starts a client on `background`. It connects when it can, again and again. No session is
    /// older than `max` seconds.
    pub(crate) fn start(url: &str, max: u64, background: &Handle) -> Result<Self, String> {
        let config = connect::config(url)?;
        let login = connect::login(&config);
        let client = {
            let _inside = background.enter();
            connect::builder(config).build().map_err(|error| error.details().to_owned())?
        };
        background.spawn(connect::keep(client.clone()));
        background.spawn(connect::report_a_late_start(client.clone()));
        let options = |timeout| Options {
            timeout: Some(timeout),
            max_attempts: Some(1),
            fail_fast: true,
            ..Options::default()
        };
        Ok(Self {
            lookups: client.with_options(&options(LOOKUP_TIMEOUT)),
            writes: client.with_options(&options(WRITE_TIMEOUT)),
            client,
            login,
            remember: max,
        })
    }

    /// Which of the changes find their record. One that began elsewhere and ended meanwhile must
    /// not come back as a stump of a few fields.
    async fn present(&self, batch: &[(Key, Write)]) -> Result<Vec<bool>, Away> {
        let pipeline = Pipeline::from(self.writes.clone());
        let mut asked = 0;
        for (key, write) in batch {
            if needs_presence(write) {
                queue::<Value>(pipeline.exists(key.to_string())).await?;
                asked += 1;
            }
        }
        let mut answers = self.send(pipeline, asked).await?.into_iter();
        let present = |write| {
            // An error is no "no": the write itself will meet it again.
            !needs_presence(write)
                || !matches!(answers.next(), Some(Ok(answer)) if answer.as_i64() == Some(0))
        };
        Ok(batch.iter().map(|(_, write)| write).map(present).collect())
    }

    /// Deletes records that were begun by this batch and ended by somebody before.
    async fn take_back(
        &self,
        batch: &[(Key, Write)],
        answers: &[Vec<Result<Value, Error>>],
    ) -> Result<(), Away> {
        let ended = batch.iter().zip(answers).filter(|((_, write), own)| is_ended(write, own));
        let pipeline = Pipeline::from(self.writes.clone());
        let mut commands = 0;
        for ((key, _), _) in ended {
            queue::<Value>(pipeline.del(key.to_string())).await?;
            commands += 1;
        }
        if commands == 0 { Ok(()) } else { self.send(pipeline, commands).await.map(drop) }
    }

    async fn send(
        &self,
        pipeline: Pipeline<WithOptions<Client>>,
        commands: usize,
    ) -> Result<Vec<Result<Value, Error>>, Away> {
        let answers = pipeline.try_all::<Value>().await;
        match answers.first() {
            Some(Err(error)) if !is_reply(error) => Err(away(error)),
            _ if answers.len() == commands => Ok(answers),
            _ => Err(Away("an answer is missing".to_owned())),
        }
    }
}

impl Remote for Redis {
    fn tried(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let mut errors = self.client.error_rx();
            tokio::select! {
                _ = self.client.wait_for_connect() => {}
                _ = errors.recv() => {}
            }
        })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(async { self.lookups.ping(None).await.map_err(|error| away(&error)) })
    }

    fn watch(&self, listener: Arc<dyn Listener>) -> BoxFuture<'static, ()> {
        Box::pin(tracking::watch(self.client.clone(), self.login.clone(), listener))
    }

    fn fetch(&self, key: Key) -> BoxFuture<'_, Result<Option<Record>, Away>> {
        Box::pin(async move {
            let hash = match self.lookups.hgetall::<Value, _>(key.to_string()).await {
                Ok(hash) => hash.into_map().map_err(|error| away(&error))?,
                // Something that is no hash is no record of ours.
                Err(error) if *error.kind() == ErrorKind::InvalidArgument => return Ok(None),
                Err(error) => return Err(away(&error)),
            };
            let hash = hash.inner();
            let fields =
                hash.iter().filter_map(|(name, value)| Some((name.as_bytes(), value.as_bytes()?)));
            Ok(Record::from_hash(key, fields))
        })
    }

    fn write<'a>(&'a self, batch: &'a [(Key, Write)]) -> BoxFuture<'a, Result<Vec<Written>, Away>> {
        Box::pin(async move {
            let present = self.present(batch).await?;
            let pipeline = Pipeline::from(self.writes.clone());
            let mut commands = Vec::with_capacity(batch.len());
            for ((key, write), present) in batch.iter().zip(present) {
                commands.push(match write {
                    _ if !present => 0,
                    Write::Save(change) => save(&pipeline, key, change).await?,
                    Write::Delete => end(&pipeline, key, self.remember).await?,
                });
            }
            let answers = self.send(pipeline, commands.iter().sum()).await?;
            let mut answers = answers.into_iter();
            // Each write has its own answers, whatever becomes of the one before it.
            let outcomes: Vec<Vec<Result<Value, Error>>> =
                commands.iter().map(|count| answers.by_ref().take(*count).collect()).collect();
            self.take_back(batch, &outcomes).await?;
            Ok(batch.iter().zip(outcomes).map(|((_, write), own)| outcome(write, own)).collect())
        })
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Redis").finish_non_exhaustive()
    }
}

/// Adds the commands of one change to the pipeline; says how many.
async fn save(
    pipeline: &Pipeline<WithOptions<Client>>,
    key: &Key,
    change: &Change,
) -> Result<usize, Away> {
    let stone = key.tombstone();
    let key = key.to_string();
    let fields: Vec<(String, Value)> = change
        .to_set()
        .into_iter()
        .map(|(name, value)| (name, Value::Bytes(value.into())))
        .collect();
    queue::<Value>(pipeline.hset(key.clone(), fields)).await?;
    let emptied = change.to_delete();
    let mut commands = 2;
    if !emptied.is_empty() {
        queue::<Value>(pipeline.hdel(key.clone(), emptied)).await?;
        commands += 1;
    }
    queue::<Value>(pipeline.expire_at(key, second(change.expires), None)).await?;
    if change.begins.is_some() {
        queue::<Value>(pipeline.exists(stone)).await?;
        commands += 1;
    }
    Ok(commands)
}

/// Adds the commands that end a session; says how many. A proxy that began it may not know yet that
/// its write was carried out, and write it again: so it is remembered that this one is over. The
/// stone is set before the record goes, and whoever begins a record looks for the stone after it:
/// in every order of these four, no record is left.
async fn end(
    pipeline: &Pipeline<WithOptions<Client>>,
    key: &Key,
    remember: u64,
) -> Result<usize, Away> {
    let (stone, now) = (key.tombstone(), time::now());
    queue::<Value>(pipeline.hset(stone.clone(), ("ended", second(now)))).await?;
    queue::<Value>(pipeline.expire_at(stone, second(now.saturating_add(remember)), None)).await?;
    queue::<Value>(pipeline.del(key.to_string())).await?;
    Ok(3)
}

fn second(unix: u64) -> i64 {
    i64::try_from(unix).unwrap_or(i64::MAX)
}

/// Puts a command into a pipeline, which answers "queued" at once.
async fn queue<T>(command: impl Future<Output = Result<T, Error>>) -> Result<(), Away> {
    command.await.map(drop).map_err(|error| away(&error))
}

fn needs_presence(write: &Write) -> bool {
    matches!(write, Write::Save(Change { begins: None, .. }))
}

/// Whether a record was begun that somebody has ended already.
fn is_ended(write: &Write, answers: &[Result<Value, Error>]) -> bool {
    let begins = matches!(write, Write::Save(Change { begins: Some(_), .. }));
    begins && matches!(answers.last(), Some(Ok(stones)) if stones.as_i64() == Some(1))
}

fn outcome(write: &Write, answers: Vec<Result<Value, Error>>) -> Written {
    if is_ended(write, &answers) {
        return Written::Gone;
    }
    let mut outcome = Written::Gone;
    for answer in answers {
        match answer {
            Ok(_) => outcome = Written::Done,
            Err(error) if *error.kind() == ErrorKind::InvalidArgument => {
                return Written::Hopeless(error.details().to_owned());
            }
            Err(error) => return Written::Refused(error.details().to_owned()),
        }
    }
    outcome
}

/// Whether the server said this, so that it is there at least.
fn is_reply(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidArgument | ErrorKind::Unknown | ErrorKind::Auth)
        && !error.details().starts_with("Failed to send")
}

fn away(error: &Error) -> Away {
    Away(error.details().to_owned())
}
