//! What the operator asked for.
//!
//! `Args` is what was typed, `Settings` can be trusted. Owns the flags, and the reading of the
//! files they name. Never starts anything.

mod generate;
mod layers;
mod limits;
mod parse;
mod reference;
mod summary;
mod tls;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use clap::{Command, CommandFactory as _, Parser, ValueEnum};
use http::uri::PathAndQuery;
use hyper::header::HeaderName;
use ipnet::IpNet;

use self::{
    generate::Generate,
    parse::{
        AdminAddress, check_target, parse_admin, parse_bind, parse_cookie_name, parse_net,
        parse_path, parse_redis, parse_target, parse_time, parse_wait, parse_z0, read_secrets,
        read_token,
    },
};
pub use self::{layers::Refusal, limits::Limits, summary::Summary};
use crate::{
    access_log::Target,
    admin::AdminSettings,
    backend::ServerSpec,
    health::HealthSettings,
    policy::Algorithm,
    reload::Source,
    session::{self, SessionFail, SessionSettings},
    tls::{Certificates, Roots},
};

/// A round-robin load balancer that keeps sessions.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "rondel-proxy",
    version,
    about,
    args_conflicts_with_subcommands = true,
    override_usage = "rondel-proxy -f FILE [OPTIONS]\n       rondel-proxy completions SHELL\n       rondel-proxy man\n       rondel-proxy reference",
    after_help = "Each flag can be set in the environment too, as RONDEL_ and its name in capitals \
                  (RONDEL_SESSION_IDLE=1h), and in the file of --config. A flag wins over the \
                  environment, and that over the file.\n\
                  Exit codes: 0 clean stop, 64 bad usage, 71 an address cannot be bound, \
                  78 bad configuration."
)]
pub struct Args {
    /// Servers, one a line: a URL and, where wanted, weight=N max=N name=ID h2 backup
    #[arg(short, long, value_name = "FILE", env = "RONDEL_FILE")]
    file: Option<PathBuf>,

    /// Configuration in TOML: any of these flags by its long name, and `[[servers]]`
    #[arg(long, value_name = "FILE", env = "RONDEL_CONFIG")]
    config: Option<PathBuf>,

    /// Those of the configuration, unless another file is named.
    #[arg(skip)]
    servers: Option<Vec<ServerSpec>>,

    /// Port to listen on
    #[arg(short, long, value_name = "PORT", env = "RONDEL_PORT", default_value_t = 7777)]
    port: u16,

    /// Address to listen on
    #[arg(long, value_name = "ADDR", env = "RONDEL_BIND", default_value = "0.0.0.0", value_parser = parse_bind)]
    bind: IpAddr,

    /// Where dashboard, API and metrics are, or `off` [default: 127.0.0.1:7778]
    #[arg(long, value_name = "ADDR", env = "RONDEL_ADMIN", value_parser = parse_admin, help_heading = "Dashboard, API and metrics")]
    admin: Option<AdminAddress>,

    /// A token that changes and reads must bring; required if the address is not loopback
    #[arg(
        long,
        value_name = "FILE",
        env = "RONDEL_ADMIN_TOKEN_FILE",
        help_heading = "Dashboard, API and metrics"
    )]
    admin_token_file: Option<PathBuf>,

    /// A further name that the admin listener may be called by; may be repeated
    #[arg(
        long,
        value_name = "NAME",
        env = "RONDEL_ADMIN_HOST",
        value_delimiter = ',',
        help_heading = "Dashboard, API and metrics"
    )]
    admin_host: Vec<String>,

    /// Write a line for each request to a file, or to standard output (-)
    #[arg(long, value_name = "FILE|-", env = "RONDEL_ACCESS_LOG", value_parser = parse_target, help_heading = "Logs")]
    access_log: Option<Target>,

    /// Begin a W3C trace for a request that belongs to none
    #[arg(long, value_enum, env = "RONDEL_TRACE", default_value = "on", help_heading = "Logs")]
    trace: Switch,

    /// Keep sessions in Redis, so that several proxies share them
    #[arg(long, value_name = "URL", env = "RONDEL_REDIS", value_parser = parse_redis, help_heading = "Sessions")]
    redis: Option<String>,

    /// How the next server is chosen
    #[arg(
        long,
        value_enum,
        env = "RONDEL_ALGORITHM",
        default_value = "rr",
        help_heading = "Scheduling"
    )]
    algorithm: Algorithm,

    /// With sigma: how many standard deviations above the mean are passed over
    #[arg(long, value_name = "Z", env = "RONDEL_SIGMA_Z0", default_value = "0", value_parser = parse_z0, help_heading = "Scheduling")]
    sigma_z0: f64,

    /// Probe servers, and eject those that fail requests
    #[arg(long, value_enum, env = "RONDEL_HEALTH", default_value = "on", help_heading = "Health")]
    health: Switch,

    /// What a probe asks for; a status below 500 is good
    #[arg(long, value_name = "PATH", env = "RONDEL_HEALTH_PATH", default_value = "/", value_parser = parse_path, help_heading = "Health")]
    health_path: PathAndQuery,

    /// Time between two probes of a server
    #[arg(long, value_name = "DUR", env = "RONDEL_HEALTH_INTERVAL", default_value = "5s", value_parser = parse_time, help_heading = "Health")]
    health_interval: Duration,

    /// How long a server that is new or comes back takes to get all of its turns
    #[arg(long, value_name = "DUR", env = "RONDEL_SLOW_START", default_value = "0s", value_parser = parse_wait, help_heading = "Scheduling")]
    slow_start: Duration,

    /// Whether a client goes back to the server it had
    #[arg(
        long,
        value_enum,
        env = "RONDEL_AFFINITY",
        default_value = "none",
        help_heading = "Scheduling"
    )]
    affinity: Affinity,

    /// Keep sessions
    #[arg(
        long,
        value_enum,
        env = "RONDEL_SESSION",
        default_value = "on",
        help_heading = "Sessions"
    )]
    session: Switch,

    /// Name of the session cookie
    #[arg(long, value_name = "NAME", env = "RONDEL_SESSION_COOKIE", default_value = "rondel_sid", value_parser = parse_cookie_name, help_heading = "Sessions")]
    session_cookie: String,

    /// Keys that sign the cookie, one a line: the first signs, all verify [default: a random one]
    #[arg(
        long,
        value_name = "FILE",
        env = "RONDEL_SESSION_SECRET_FILE",
        help_heading = "Sessions"
    )]
    session_secret_file: Option<PathBuf>,

    /// A session ends after this time without a request
    #[arg(long, value_name = "DUR", env = "RONDEL_SESSION_IDLE", default_value = "30m", value_parser = parse_time, help_heading = "Sessions")]
    session_idle: Duration,

    /// A session ends after this time in any case
    #[arg(long, value_name = "DUR", env = "RONDEL_SESSION_MAX", default_value = "24h", value_parser = parse_time, help_heading = "Sessions")]
    session_max: Duration,

    /// A request header to keep in the session; may be repeated
    #[arg(long, value_name = "NAME", env = "RONDEL_SESSION_HEADER", value_delimiter = ',', value_parser = session::check_capture_header, help_heading = "Sessions")]
    session_header: Vec<HeaderName>,

    /// While the store is away: serve (open) or refuse (closed)
    #[arg(
        long,
        value_enum,
        env = "RONDEL_SESSION_FAIL",
        default_value = "open",
        help_heading = "Sessions"
    )]
    session_fail: Fail,

    /// Believe the forwarding headers of these clients; may be repeated
    #[arg(long, value_name = "CIDR", env = "RONDEL_TRUSTED_PROXY", value_delimiter = ',', value_parser = parse_net, help_heading = "Requests")]
    trusted_proxy: Vec<IpNet>,

    /// Connections of these clients, and no others, begin with a PROXY protocol header (v1 or v2),
    /// which names the real client; may be repeated
    #[arg(long, value_name = "CIDR", env = "RONDEL_PROXY_PROTOCOL", value_delimiter = ',', value_parser = parse_net, help_heading = "Requests")]
    proxy_protocol: Vec<IpNet>,

    /// The Host that a server sees: the client's, or its own
    #[arg(
        long,
        value_enum,
        env = "RONDEL_HOST",
        default_value = "pass",
        help_heading = "Requests"
    )]
    host: HostPolicy,

    /// Serve over TLS with this certificate chain, in PEM; may be repeated, and the client's SNI
    /// chooses. Files are followed when they change
    #[arg(
        long,
        value_name = "FILE",
        env = "RONDEL_TLS_CERT",
        value_delimiter = ',',
        help_heading = "TLS"
    )]
    tls_cert: Vec<PathBuf>,

    /// The certificate's private key, one for each --tls-cert in the same order [default: in the
    /// certificate's file]
    #[arg(
        long,
        value_name = "FILE",
        env = "RONDEL_TLS_KEY",
        value_delimiter = ',',
        help_heading = "TLS"
    )]
    tls_key: Vec<PathBuf>,

    /// Who may vouch for https servers, in PEM [default: whom this system trusts]
    #[arg(long, value_name = "FILE", env = "RONDEL_CA", help_heading = "TLS")]
    ca: Option<PathBuf>,

    #[command(flatten)]
    limits: limits::LimitArgs,

    /// Threads that serve [default: one per core]
    #[arg(long, value_name = "N", env = "RONDEL_WORKERS", help_heading = "Process")]
    workers: Option<NonZeroUsize>,

    /// How long a stop waits for requests in flight
    #[arg(long, value_name = "DUR", env = "RONDEL_DRAIN", default_value = "30s", value_parser = parse_wait, help_heading = "Process")]
    drain: Duration,

    /// Start a small server for each loopback address of the file that nobody serves
    #[arg(long, env = "RONDEL_DEMO", help_heading = "Process")]
    demo: bool,

    /// Check flags and files, report every error, and exit
    #[arg(long, help_heading = "Process")]
    check: bool,

    #[command(subcommand)]
    generate: Option<Generate>,
}

impl Args {
    /// What was asked for instead of serving, ready to be written.
    ///
    /// # Errors
    ///
    /// When it cannot be put together.
    pub fn generated(&self) -> io::Result<Option<Vec<u8>>> {
        self.generate.as_ref().map(|asked| asked.write(Self::flags())).transpose()
    }

    /// The flags as people are shown them: that each has a variable is said once.
    fn flags() -> Command {
        Self::command().mut_args(|arg| arg.hide_env(true))
    }

    fn source(&self) -> Source {
        match (&self.file, &self.config) {
            (Some(file), _) => Source::Servers(file.clone()),
            (None, config) => Source::Config(config.clone().unwrap_or_default()),
        }
    }

    /// None: it is off.
    fn admin(&self) -> Result<Option<AdminSettings>, String> {
        let listen = match self.admin {
            Some(AdminAddress::Off) => return Ok(None),
            Some(AdminAddress::At(address)) => address,
            None => DEFAULT_ADMIN,
        };
        let token = self.admin_token_file.as_deref().map(read_token).transpose()?;
        if token.is_none() && !listen.ip().to_canonical().is_loopback() {
            return Err(format!(
                "--admin {listen}: whoever reaches this address could change the proxy: \
                 --admin-token-file is required where it is not loopback"
            ));
        }
        let hosts = self.admin_host.clone();
        Ok(Some(AdminSettings { listen, explicit: self.admin.is_some(), token, hosts }))
    }

    /// None: nobody is probed or ejected.
    fn health(&self) -> Option<HealthSettings> {
        let (path, interval) = (self.health_path.clone(), self.health_interval);
        (self.health == Switch::On).then_some(HealthSettings { path, interval })
    }

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
            secure: !self.tls_cert.is_empty(),
            reissue: self.affinity == Affinity::Prefer,
        })
    }
}

/// On this machine alone; what can be changed there needs no token.
const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7778);

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
    /// Where they come from, if they can be read again.
    pub source: Option<Source>,
    /// How the next one is chosen.
    pub algorithm: Algorithm,
    /// None: nobody is probed or ejected.
    pub health: Option<HealthSettings>,
    /// How long a server that comes back takes to be given all of its turns again.
    pub slow_start: Duration,
    /// For [`Algorithm::Sigma`]: the threshold in standard deviations.
    pub sigma_z0: f64,
    /// None: sessions are off.
    pub sessions: Option<SessionSettings>,
    /// See [`Affinity`].
    pub affinity: Affinity,
    /// What clients see over TLS; none: they come in clear.
    pub certificates: Option<Certificates>,
    /// Who may vouch for https servers.
    pub roots: Roots,
    /// Clients whose forwarding headers are believed.
    pub trusted: Vec<IpNet>,
    /// Whose connections begin with a PROXY protocol header.
    pub proxy_protocol: Vec<IpNet>,
    /// See [`HostPolicy`].
    pub host: HostPolicy,
    /// Threads that serve.
    pub workers: NonZeroUsize,
    /// How long a stop waits for requests in flight.
    pub drain: Duration,
    /// How long others are waited for.
    pub limits: Limits,
    /// None: nobody looks on, and nothing is counted.
    pub admin: Option<AdminSettings>,
    /// None: there is no access log.
    pub access_log: Option<Target>,
    /// Whether a request without a trace begins one.
    pub trace: bool,
    /// Whether servers that nobody runs are to be played.
    pub demo: bool,
    /// Whether only these settings were to be checked.
    pub check: bool,
}

impl Settings {
    /// What the flags leave at their defaults, for these servers: what a test or an embedder
    /// starts from.
    pub fn for_servers(servers: Vec<ServerSpec>) -> Self {
        Self {
            listen: (IpAddr::from([127, 0, 0, 1]), 0).into(),
            servers,
            source: None,
            algorithm: Algorithm::Rr,
            sigma_z0: 0.0,
            health: None,
            slow_start: Duration::ZERO,
            sessions: None,
            affinity: Affinity::None,
            certificates: None,
            roots: Roots::of_system(),
            trusted: Vec::new(),
            proxy_protocol: Vec::new(),
            host: HostPolicy::Pass,
            workers: NonZeroUsize::MIN,
            drain: Duration::from_secs(30),
            limits: Limits::default(),
            admin: None,
            access_log: None,
            trace: true,
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

    fn try_from(mut args: Args) -> Result<Self, BadConfiguration> {
        let mut errors = Vec::new();
        let source = args.source();
        let servers = args.servers.take().map_or_else(|| source.read(), Ok);
        let servers = servers.unwrap_or_else(|found| {
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
        let certificates = args.certificates().unwrap_or_else(|found| {
            errors.extend(found);
            None
        });
        let roots = args.roots().unwrap_or_else(|error| {
            errors.push(error);
            Roots::of_system()
        });
        let admin = args.admin().unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        errors.extend(args.access_log.as_ref().and_then(|target| check_target(target).err()));
        if !errors.is_empty() {
            return Err(BadConfiguration(errors));
        }
        Ok(Self {
            listen: (args.bind, args.port).into(),
            servers,
            source: Some(source),
            algorithm: args.algorithm,
            sigma_z0: args.sigma_z0,
            health: args.health(),
            slow_start: args.slow_start,
            sessions: args.sessions(secrets),
            affinity: args.affinity,
            certificates,
            roots,
            trusted: args.trusted_proxy,
            proxy_protocol: args.proxy_protocol,
            host: args.host,
            workers: args.workers.unwrap_or_else(one_per_core),
            drain: args.drain,
            limits: args.limits.into(),
            admin,
            access_log: args.access_log,
            trace: args.trace == Switch::On,
            demo: args.demo,
            check: args.check,
        })
    }
}

fn one_per_core() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }
}
