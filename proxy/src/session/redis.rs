//! Redis, over fred: the only file that knows the client.
//!
//! Everything here may fail at any time and says so; nothing here decides what that means for a
//! request. Writes are idempotent and date their own end, since a command that timed out may still
//! be carried out later.

mod sentry;
mod tracking;

use std::{fmt, sync::Arc, time::Duration};

use fred::{
    clients::{Client, Pipeline, WithOptions},
    error::{Error, ErrorKind},
    interfaces::{ClientLike, EventInterface, HashesInterface, KeysInterface},
    types::{
        Builder, RespVersion, Value,
        config::{
            Config, Options, ReconnectError, ReconnectPolicy, Server, ServerConfig, TcpConfig,
            TlsConfig, TlsConnector, UnresponsiveConfig,
        },
    },
};
use tokio::{runtime::Handle, time::timeout};

use self::sentry::Login;
use super::{
    id::Key,
    record::{Change, Record},
    store::{Away, BoxFuture, Listener, Remote, Write, Written},
    time,
};

const SCHEMES: [&str; 6] = [
    "redis://",
    "rediss://",
    "redis-cluster://",
    "rediss-cluster://",
    "redis-sentinel://",
    "rediss-sentinel://",
];

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

/// Checks a `--redis` URL. The message never repeats it: there may be a password in it.
///
/// # Errors
///
/// Says what is wrong with the URL.
pub fn check_redis_url(url: &str) -> Result<(), String> {
    config(url).map(drop)
}

impl Redis {
    /// Starts a client on `background`. It connects when it can, again and again. No session is
    /// older than `max` seconds.
    pub(crate) fn start(url: &str, max: u64, background: &Handle) -> Result<Self, String> {
        let config = config(url)?;
        let login = Login {
            name: config.username.clone(),
            password: config.password.clone(),
            tls: config.tls.as_ref().map(|TlsConfig { connector, .. }| {
                let TlsConnector::Rustls(connector) = connector;
                connector.clone()
            }),
        };
        let client = {
            let _inside = background.enter();
            builder(config).build().map_err(|error| error.details().to_owned())?
        };
        background.spawn(keep_connected(client.clone()));
        background.spawn(report_a_late_start(client.clone()));
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

fn config(url: &str) -> Result<Config, String> {
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        let schemes = SCHEMES.join(", ");
        return Err(format!("the URL of Redis must begin with one of {schemes}"));
    }
    let wrong = |error: Error| format!("the URL of Redis is not usable: {}", error.details());
    let mut config = Config::from_url(url).map_err(wrong)?;
    config.fail_fast = false; // start without it
    config.version = RespVersion::RESP3;
    plain_hosts(&mut config.server);
    Ok(config)
}

/// fred hands hosts to the resolver as the URL spells them, and it knows no brackets.
fn plain_hosts(servers: &mut ServerConfig) {
    let plain = |server: &mut Server| {
        if let Some(host) = server.host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            *server = Server::new(host.to_owned(), server.port);
        }
    };
    match servers {
        ServerConfig::Centralized { server } => plain(server),
        ServerConfig::Clustered { hosts, .. } | ServerConfig::Sentinel { hosts, .. } => {
            hosts.iter_mut().for_each(plain);
        }
    }
}

fn builder(config: Config) -> Builder {
    let mut builder = Builder::from_config(config);
    // Without a policy a client never comes back; without the limits below it waits for ever.
    builder.set_policy(ReconnectPolicy::new_exponential(0, 50, 2_000, 2));
    builder.with_performance_config(|performance| {
        performance.default_command_timeout = Duration::from_millis(50);
        // Invalidation messages come in bursts, and a lag loses them all.
        performance.broadcast_channel_capacity = 65_536;
    });
    builder.with_connection_config(|connection| {
        connection.connection_timeout = Duration::from_secs(1);
        connection.internal_command_timeout = Duration::from_secs(1);
        connection.max_command_attempts = 1;
        connection.max_command_buffer_len = 10_000;
        connection.reconnect_on_auth_error = true;
        connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
        connection.unresponsive = UnresponsiveConfig {
            max_timeout: Some(Duration::from_secs(2)),
            interval: Duration::from_millis(500),
        };
        connection.reconnect_errors = vec![
            ReconnectError::ClusterDown,
            ReconnectError::Loading,
            ReconnectError::MasterDown,
            ReconnectError::ReadOnly,
        ];
    });
    builder
}

/// Some errors end the client's own attempts; here they begin anew.
async fn keep_connected(client: Client) {
    loop {
        match client.connect().await {
            Ok(Err(error)) => tracing::debug!(%error, "the Redis client stopped"),
            Ok(Ok(())) => tracing::debug!("the Redis client stopped"),
            Err(_) => tracing::debug!("the Redis client ended unexpectedly"),
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn report_a_late_start(client: Client) {
    if !matches!(timeout(Duration::from_secs(1), client.wait_for_connect()).await, Ok(Ok(()))) {
        tracing::warn!("Redis is not there yet; starting without it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urls_of_all_kinds_of_deployment_are_understood() {
        for url in [
            "redis://127.0.0.1",
            "redis://127.0.0.1:6379",
            "redis://user:pass%40word@localhost:6379/3",
            "redis://:pass@[::1]:6379/0",
            "rediss://localhost:6380",
            "redis-cluster://a:7000?node=b:7001&node=c:7002",
            "redis-sentinel://a:26379?sentinelServiceName=main&node=b:26379",
        ] {
            check_redis_url(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        }
    }

    #[test]
    fn a_bad_url_is_refused_without_repeating_it() {
        for url in [
            "",
            "localhost:6379",
            "http://:hunter2@localhost",
            "redis://:hunter2@",
            "redis://:hunter2@localhost:99999",
            "redis://:hunter2@localhost/db",
            "redis-sentinel://:hunter2@localhost:26379",
        ] {
            let error = check_redis_url(url).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_ipv6_host_loses_its_brackets() {
        let config = config("redis://[::1]:7000").unwrap();
        assert_eq!(config.server.hosts(), [Server::new("::1", 7000)]);
    }
}
