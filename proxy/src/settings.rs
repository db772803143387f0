//! What the operator asked for.
//!
//! `Args` is what was typed, `Settings` can be trusted. Owns the flags, and the reading of the
//! files they name. Never starts anything.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Parser, ValueEnum};
use hyper::header::HeaderName;
use ipnet::IpNet;

use crate::{
    backend::ServerSpec,
    servers,
    session::{self, SessionFail, SessionSettings},
};

/// A round-robin load balancer that keeps sessions.
#[derive(Clone, Debug, Parser)]
#[command(name = "rondel-proxy", version, about)]
pub struct Args {
    /// Servers, one a line: a URL and, where wanted, weight=N max=N name=ID backup
    #[arg(short, long, value_name = "FILE", env = "RONDEL_FILE")]
    file: PathBuf,

    /// Port to listen on
    #[arg(short, long, value_name = "PORT", env = "RONDEL_PORT", default_value_t = 7777)]
    port: u16,

    /// Address to listen on
    #[arg(long, value_name = "ADDR", env = "RONDEL_BIND", default_value = "0.0.0.0", value_parser = parse_bind)]
    bind: IpAddr,

    /// Dashboard, API and metrics: only `off` can be chosen yet
    #[arg(long, value_name = "ADDR", env = "RONDEL_ADMIN", default_value = "off", value_parser = parse_admin)]
    admin: String,

    /// Keep sessions in Redis, so that several proxies share them
    #[arg(long, value_name = "URL", env = "RONDEL_REDIS", value_parser = parse_redis)]
    redis: Option<String>,

    /// How the next server is chosen
    #[arg(long, value_enum, env = "RONDEL_ALGORITHM", default_value = "rr")]
    algorithm: Algorithm,

    /// Whether a client goes back to the server it had
    #[arg(long, value_enum, env = "RONDEL_AFFINITY", default_value = "none")]
    affinity: Affinity,

    /// Keep sessions
    #[arg(long, value_enum, env = "RONDEL_SESSION", default_value = "on")]
    session: Switch,

    /// Name of the session cookie
    #[arg(long, value_name = "NAME", env = "RONDEL_SESSION_COOKIE", default_value = "rondel_sid", value_parser = parse_cookie_name)]
    session_cookie: String,

    /// Keys that sign the cookie, one a line: the first signs, all verify [default: a random one]
    #[arg(long, value_name = "FILE", env = "RONDEL_SESSION_SECRET_FILE")]
    session_secret_file: Option<PathBuf>,

    /// A session ends after this time without a request
    #[arg(long, value_name = "DUR", env = "RONDEL_SESSION_IDLE", default_value = "30m", value_parser = parse_time)]
    session_idle: Duration,

    /// A session ends after this time in any case
    #[arg(long, value_name = "DUR", env = "RONDEL_SESSION_MAX", default_value = "24h", value_parser = parse_time)]
    session_max: Duration,

    /// A request header to keep in the session; may be repeated
    #[arg(long, value_name = "NAME", env = "RONDEL_SESSION_HEADER", value_delimiter = ',', value_parser = session::check_capture_header)]
    session_header: Vec<HeaderName>,

    /// While the store is away: serve (open) or refuse (closed)
    #[arg(long, value_enum, env = "RONDEL_SESSION_FAIL", default_value = "open")]
    session_fail: Fail,

    /// Believe the forwarding headers of these clients; may be repeated
    #[arg(long, value_name = "CIDR", env = "RONDEL_TRUSTED_PROXY", value_delimiter = ',', value_parser = parse_net)]
    trusted_proxy: Vec<IpNet>,

    /// The Host that a server sees: the client's, or its own
    #[arg(long, value_enum, env = "RONDEL_HOST", default_value = "pass")]
    host: HostPolicy,

    /// Threads that serve [default: one per core]
    #[arg(long, value_name = "N", env = "RONDEL_WORKERS")]
    workers: Option<NonZeroUsize>,

    /// How long a stop waits for requests in flight
    #[arg(long, value_name = "DUR", env = "RONDEL_DRAIN", default_value = "30s", value_parser = parse_wait)]
    drain: Duration,

    /// Start a small server for each loopback address of the file that nobody serves
    #[arg(long, env = "RONDEL_DEMO")]
    demo: bool,

    /// Check flags and files, report every error, and exit
    #[arg(long)]
    check: bool,
}

impl Args {
    /// None: sessions are off.
    fn sessions(&self, secrets: Vec<Vec<u8>>) -> Option<SessionSettings> {
        (self.session == Switch::On).then(|| SessionSettings {
            cookie: self.session_cookie.clone(),
            secrets,
            idle: self.session_idle,
            max: self.session_max,
            capture: self.session_header.clone(),
            fail: match self.session_fail {
                Fail::Open => SessionFail::Open,
                Fail::Closed => SessionFail::Closed,
            },
            redis: self.redis.clone(),
            secure: false,
            reissue: self.affinity == Affinity::Prefer,
        })
    }
}

/// The one of the algorithms that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    /// Ring order
    Rr,
}

/// Whether a client goes back to the server it had, which its session cookie names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Affinity {
    /// Every server serves any request
    None,
    /// It does if that server can take it; if not, another one does, and is its own from then on
    Prefer,
    /// It does, and is refused (503) if that server cannot take it
    Strict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fail {
    Open,
    Closed,
}

/// Whose name a server reads in `Host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HostPolicy {
    /// What the client sent
    Pass,
    /// The server's own, as in the servers file
    Backend,
}

/// Everything that the proxy needs to know to run; checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients connect to.
    pub listen: SocketAddr,
    /// The rotation, in its order.
    pub servers: Vec<ServerSpec>,
    /// None: sessions are off.
    pub sessions: Option<SessionSettings>,
    /// See [`Affinity`].
    pub affinity: Affinity,
    /// Clients whose forwarding headers are believed.
    pub trusted: Vec<IpNet>,
    /// See [`HostPolicy`].
    pub host: HostPolicy,
    /// Threads that serve.
    pub workers: NonZeroUsize,
    /// How long a stop waits for requests in flight.
    pub drain: Duration,
    /// How long others are waited for.
    pub limits: Limits,
    /// Whether servers that nobody runs are to be played.
    pub demo: bool,
    /// Whether only these settings were to be checked.
    pub check: bool,
}

/// How long, and how much.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Until a server takes the connection.
    pub connect: Duration,
    /// Until a server sends the next bytes that are due.
    pub response: Duration,
    /// Until a client's request has a whole head.
    pub head: Duration,
    /// Between two requests of a client.
    pub idle: Duration,
    /// A request's head in bytes.
    pub head_bytes: usize,
    /// Client connections at once; none: what the open-files limit allows.
    pub connections: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            response: Duration::from_secs(60),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            head_bytes: 32 * 1024,
            connections: None,
        }
    }
}

impl Settings {
    /// What the flags leave at their defaults, for these servers: what a test or an embedder
    /// starts from.
    pub fn for_servers(servers: Vec<ServerSpec>) -> Self {
        Self {
            listen: (IpAddr::from([127, 0, 0, 1]), 0).into(),
            servers,
            sessions: None,
            affinity: Affinity::None,
            trusted: Vec::new(),
            host: HostPolicy::Pass,
            workers: NonZeroUsize::MIN,
            drain: Duration::from_secs(30),
            limits: Limits::default(),
            demo: false,
            check: false,
        }
    }
}

/// Every error of the files that the flags name, each with file and line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct BadConfiguration(pub Vec<String>);

impl TryFrom<Args> for Settings {
    type Error = BadConfiguration;

    fn try_from(args: Args) -> Result<Self, BadConfiguration> {
        let mut errors = Vec::new();
        let servers = read_servers(&args.file).unwrap_or_else(|found| {
            errors.extend(found);
            Vec::new()
        });
        let secrets = match &args.session_secret_file {
            Some(file) if args.session == Switch::On => read_secrets(file),
            _ => Ok(Vec::new()),
        };
        let secrets = secrets.unwrap_or_else(|error| {
            errors.push(error);
            Vec::new()
        });
        if args.session == Switch::Off && args.affinity != Affinity::None {
            errors.push("--affinity needs sessions: the server stands in their cookie".to_owned());
        }
        if !errors.is_empty() {
            return Err(BadConfiguration(errors));
        }
        Ok(Self {
            listen: (args.bind, args.port).into(),
            servers,
            sessions: args.sessions(secrets),
            affinity: args.affinity,
            trusted: args.trusted_proxy,
            host: args.host,
            workers: args.workers.unwrap_or_else(one_per_core),
            drain: args.drain,
            limits: Limits::default(),
            demo: args.demo,
            check: args.check,
        })
    }
}

fn one_per_core() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn read_servers(file: &Path) -> Result<Vec<ServerSpec>, Vec<String>> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| vec![format!("{name}: {error}")])?;
    servers::parse(&text)
        .map_err(|errors| errors.0.iter().map(|error| format!("{name}:{error}")).collect())
}

/// Keys shorter than the MAC's own strength would make the cookie guessable.
fn read_secrets(file: &Path) -> Result<Vec<Vec<u8>>, String> {
    const SHORTEST: usize = 16;
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    let keys = text.lines().map(str::trim).zip(1..).filter(|(key, _)| !key.is_empty());
    let mut secrets = Vec::new();
    for (key, line) in keys {
        if key.len() < SHORTEST {
            return Err(format!("{name}:{line}: a key has at least {SHORTEST} characters"));
        }
        secrets.push(key.as_bytes().to_vec());
    }
    if secrets.is_empty() {
        return Err(format!("{name}: there is no key in it"));
    }
    Ok(secrets)
}

fn parse_bind(value: &str) -> Result<IpAddr, String> {
    let bare = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(value);
    match bare {
        "localhost" => Ok([127, 0, 0, 1].into()),
        _ => bare.parse().map_err(|_| "an IPv4 or IPv6 address is expected".to_owned()),
    }
}

fn parse_admin(value: &str) -> Result<String, String> {
    if value == "off" {
        Ok(value.to_owned())
    } else {
        Err("the admin listener is not there yet: only `off` can be chosen".to_owned())
    }
}

fn parse_redis(value: &str) -> Result<String, String> {
    session::check_redis_url(value).map(|()| value.to_owned())
}

fn parse_cookie_name(value: &str) -> Result<String, String> {
    session::check_cookie_name(value).map(|()| value.to_owned())
}

fn parse_time(value: &str) -> Result<Duration, String> {
    match parse_wait(value)? {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        time => Ok(time),
    }
}

fn parse_wait(value: &str) -> Result<Duration, String> {
    humantime::parse_duration(value)
        .map_err(|error| format!("{error} (say for example 90s or 30m)"))
}

fn parse_net(value: &str) -> Result<IpNet, String> {
    value
        .parse::<IpNet>()
        .or_else(|_| value.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "a network such as 10.0.0.0/8 or an address is expected".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_single_address_is_a_network_of_one() {
        assert_eq!(parse_net("::1").unwrap().to_string(), "::1/128");
        assert!(parse_net("10.0.0.0/40").is_err());
    }
}
