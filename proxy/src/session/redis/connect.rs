//! What the URL of Redis means, and staying connected to what it names.

use std::time::Duration;

use fred::{
    clients::Client,
    error::Error,
    interfaces::{ClientLike, EventInterface as _},
    socket2::TcpKeepalive,
    types::{
        Builder, RespVersion,
        config::{
            Config, ReconnectError, ReconnectPolicy, Server, ServerConfig, TcpConfig, TlsConfig,
            TlsConnector, UnresponsiveConfig,
        },
    },
};
use tokio::time::timeout;

use super::sentry::{ASK, Login, QUIET, RETRIES};

const SCHEMES: [&str; 6] = [
    "redis://",
    "rediss://",
    "redis-cluster://",
    "rediss-cluster://",
    "redis-sentinel://",
    "rediss-sentinel://",
];

/// Checks a `--redis` URL. The message never repeats it: there may be a password in it.
///
/// # Errors
///
/// Says what is wrong with the URL.
pub fn check_redis_url(url: &str) -> Result<(), String> {
    config(url).map(drop)
}

pub(super) fn config(url: &str) -> Result<Config, String> {
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

/// What the connections that watch have to show.
pub(super) fn login(config: &Config) -> Login {
    Login {
        name: config.username.clone(),
        password: config.password.clone(),
        tls: config.tls.as_ref().map(|TlsConfig { connector, .. }| {
            let TlsConnector::Rustls(connector) = connector;
            connector.clone()
        }),
    }
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

pub(super) fn builder(config: Config) -> Builder {
    let mut builder = Builder::from_config(config);
    // Without a policy a client never comes back; without the limits below it waits for ever.
    builder.set_policy(ReconnectPolicy::new_exponential(0, 50, 2_000, 2));
    builder.with_performance_config(|performance| {
        performance.default_command_timeout = Duration::from_millis(50);
        // Each of the client's channels has so much room from its start, 850 bytes for a place.
        // Invalidations come in bursts, and who lags behind doubts every copy.
        performance.broadcast_channel_capacity = 4_096;
    });
    builder.with_connection_config(|connection| {
        connection.connection_timeout = Duration::from_secs(1);
        connection.internal_command_timeout = Duration::from_secs(1);
        connection.max_command_attempts = 1;
        connection.max_command_buffer_len = 10_000;
        connection.reconnect_on_auth_error = true;
        let keepalive =
            TcpKeepalive::new().with_time(QUIET).with_interval(ASK).with_retries(RETRIES);
        connection.tcp =
            TcpConfig { nodelay: Some(true), keepalive: Some(keepalive), ..TcpConfig::default() };
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
pub(super) async fn keep(client: Client) {
    loop {
        match client.connect().await {
            Ok(Err(error)) => tracing::debug!(%error, "the Redis client stopped"),
            Ok(Ok(())) => tracing::debug!("the Redis client stopped"),
            Err(_) => tracing::debug!("the Redis client ended unexpectedly"),
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Says where it was looked for, and what came of it; a URL may have a password in it.
pub(super) async fn report_a_late_start(client: Client) {
    let mut errors = client.error_rx();
    if matches!(timeout(Duration::from_secs(1), client.wait_for_connect()).await, Ok(Ok(()))) {
        return;
    }
    let hosts = client.client_config().server.hosts();
    let at = hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let error = errors
        .try_recv()
        .map_or("it does not answer".to_owned(), |(error, _)| error.details().to_owned());
    tracing::warn!(at, error, "Redis is not there yet; starting without it");
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
