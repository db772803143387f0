//! The flags, as they are typed.
//!
//! Owns their names, defaults and help texts, and what can be written of them. Never looks at two
//! of them at once (`check.rs`).

use std::{io, net::IpAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Command, CommandFactory as _, Parser, ValueEnum};
use http::uri::PathAndQuery;
use hyper::header::HeaderName;
use ipnet::IpNet;

use super::{
    Affinity, HostPolicy,
    generate::Generate,
    limits::LimitArgs,
    parse::{
        AdminAddress, parse_admin, parse_bind, parse_cookie_name, parse_net, parse_path,
        parse_redis, parse_target, parse_time, parse_wait, parse_z0,
    },
};
use crate::{access_log::Target, policy::Algorithm, session, spec::ServerSpec};

/// A round-robin load balancer that keeps sessions.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "rondel-proxy",
    version,
    args_conflicts_with_subcommands = true,
    override_usage = "rondel-proxy -f FILE [OPTIONS]\n       \
                      rondel-proxy completions SHELL\n       \
                      rondel-proxy man\n       \
                      rondel-proxy reference",
    after_help = "Each flag can be set in the environment too, as RONDEL_ and its name in capitals \
                  (RONDEL_SESSION_IDLE=1h), and in the file of --config. A flag wins over the \
                  environment, and that over the file.\n\
                  Exit codes: 0 clean stop, 64 bad usage, 71 an address cannot be bound, \
                  78 bad configuration."
)]
pub struct Args {
    /// Servers, one a line: a URL and, where wanted, weight=N max=N name=ID h2 backup
    #[arg(short, long, value_name = "FILE", env = "RONDEL_FILE")]
    pub(super) file: Option<PathBuf>,

    /// Configuration in TOML: any of these flags by its long name, and `[[servers]]`
    #[arg(long, value_name = "FILE", env = "RONDEL_CONFIG")]
    pub(super) config: Option<PathBuf>,

    /// Those of the configuration, unless another file is named.
    #[arg(skip)]
    pub(super) servers: Option<Vec<ServerSpec>>,

    /// Port to listen on
    #[arg(short, long, value_name = "PORT", env = "RONDEL_PORT", default_value_t = 7777)]
    pub(super) port: u16,

    /// Address to listen on
    #[arg(
        long,
        value_name = "ADDR",
        env = "RONDEL_BIND",
        default_value = "0.0.0.0",
        value_parser = parse_bind
    )]
    pub(super) bind: IpAddr,

    /// Where dashboard, API and metrics are, or `off` [default: 127.0.0.1:7778]
    #[arg(
        long,
        value_name = "ADDR",
        env = "RONDEL_ADMIN",
        value_parser = parse_admin,
        help_heading = "Dashboard, API and metrics"
    )]
    pub(super) admin: Option<AdminAddress>,

    /// A token that changes and reads must bring; required if the address is not loopback
    #[arg(
        long,
        value_name = "FILE",
        env = "RONDEL_ADMIN_TOKEN_FILE",
        help_heading = "Dashboard, API and metrics"
    )]
    pub(super) admin_token_file: Option<PathBuf>,

    /// A further name that the admin listener may be called by; may be repeated
    #[arg(
        long,
        value_name = "NAME",
        env = "RONDEL_ADMIN_HOST",
        value_delimiter = ',',
        help_heading = "Dashboard, API and metrics"
    )]
    pub(super) admin_host: Vec<String>,

    /// Write a line for each request to a file, or to standard output (-)
    #[arg(
        long,
        value_name = "FILE|-",
        env = "RONDEL_ACCESS_LOG",
        value_parser = parse_target,
        help_heading = "Logs"
    )]
    pub(super) access_log: Option<Target>,

    /// Begin a W3C trace for a request that belongs to none
    #[arg(long, value_enum, env = "RONDEL_TRACE", default_value = "on", help_heading = "Logs")]
    pub(super) trace: Switch,

    /// Keep sessions in Redis, so that several proxies share them
    #[arg(
        long,
        value_name = "URL",
        env = "RONDEL_REDIS",
        value_parser = parse_redis,
        help_heading = "Sessions"
    )]
    pub(super) redis: Option<String>,

    /// How the next server is chosen
    #[arg(
        long,
        value_enum,
        env = "RONDEL_ALGORITHM",
        default_value = "rr",
        help_heading = "Scheduling"
    )]
    pub(super) algorithm: Algorithm,

    /// With sigma: pass over servers more than this many standard deviations above the mean
    #[arg(
        long,
        value_name = "Z",
        env = "RONDEL_SIGMA_Z0",
        default_value = "0",
        value_parser = parse_z0,
        help_heading = "Scheduling"
    )]
    pub(super) sigma_z0: f64,

    /// Probe servers, and eject those that fail requests
    #[arg(long, value_enum, env = "RONDEL_HEALTH", default_value = "on", help_heading = "Health")]
    pub(super) health: Switch,

    /// What a probe asks for; a status below 500 is good
    #[arg(
        long,
        value_name = "PATH",
        env = "RONDEL_HEALTH_PATH",
        default_value = "/",
        value_parser = parse_path,
        help_heading = "Health"
    )]
    pub(super) health_path: PathAndQuery,

    /// Time between two probes of a server
    #[arg(
        long,
        value_name = "DUR",
        env = "RONDEL_HEALTH_INTERVAL",
        default_value = "5s",
        value_parser = parse_time,
        help_heading = "Health"
    )]
    pub(super) health_interval: Duration,

    /// How long a server that is new or comes back takes to get all of its turns
    #[arg(
        long,
        value_name = "DUR",
        env = "RONDEL_SLOW_START",
        default_value = "0s",
        value_parser = parse_wait,
        help_heading = "Scheduling"
    )]
    pub(super) slow_start: Duration,

    /// Whether a client goes back to the server it had
    #[arg(
        long,
        value_enum,
        env = "RONDEL_AFFINITY",
        default_value = "none",
        help_heading = "Scheduling"
    )]
    pub(super) affinity: Affinity,

    /// Keep sessions
    #[arg(
        long,
        value_enum,
        env = "RONDEL_SESSION",
        default_value = "on",
        help_heading = "Sessions"
    )]
    pub(super) session: Switch,

    /// Name of the session cookie
    #[arg(
        long,
        value_name = "NAME",
        env = "RONDEL_SESSION_COOKIE",
        default_value = "rondel_sid",
        value_parser = parse_cookie_name,
        help_heading = "Sessions"
    )]
    pub(super) session_cookie: String,

    /// Keys that sign the cookie, one a line: the first signs, all verify [default: a random one]
    #[arg(
        long,
        value_name = "FILE",
        env = "RONDEL_SESSION_SECRET_FILE",
        help_heading = "Sessions"
    )]
    pub(super) session_secret_file: Option<PathBuf>,

    /// A session ends after this time without a request
    #[arg(
        long,
        value_name = "DUR",
        env = "RONDEL_SESSION_IDLE",
        default_value = "30m",
        value_parser = parse_time,
        help_heading = "Sessions"
    )]
    pub(super) session_idle: Duration,

    /// A session ends after this time in any case
    #[arg(
        long,
        value_name = "DUR",
        env = "RONDEL_SESSION_MAX",
        default_value = "24h",
        value_parser = parse_time,
        help_heading = "Sessions"
    )]
    pub(super) session_max: Duration,

    /// A request header to keep in the session; may be repeated
    #[arg(
        long,
        value_name = "NAME",
        env = "RONDEL_SESSION_HEADER",
        value_delimiter = ',',
        value_parser = session::check_capture_header,
        help_heading = "Sessions"
    )]
    pub(super) session_header: Vec<HeaderName>,

    /// While the store is away: serve (open) or refuse (closed)
    #[arg(
        long,
        value_enum,
        env = "RONDEL_SESSION_FAIL",
        default_value = "open",
        help_heading = "Sessions"
    )]
    pub(super) session_fail: Fail,

    /// Believe the forwarding headers of these clients; may be repeated
    #[arg(
        long,
        value_name = "CIDR",
        env = "RONDEL_TRUSTED_PROXY",
        value_delimiter = ',',
        value_parser = parse_net,
        help_heading = "Requests"
    )]
    pub(super) trusted_proxy: Vec<IpNet>,

    /// Connections of these clients, and no others, begin with a PROXY protocol header (v1 or v2),
    /// which names the real client; may be repeated
    #[arg(
        long,
        value_name = "CIDR",
        env = "RONDEL_PROXY_PROTOCOL",
        value_delimiter = ',',
        value_parser = parse_net,
        help_heading = "Requests"
    )]
    pub(super) proxy_protocol: Vec<IpNet>,

    /// The Host that a server sees: the client's, or its own
    #[arg(
        long,
        value_enum,
        env = "RONDEL_HOST",
        default_value = "pass",
        help_heading = "Requests"
    )]
    pub(super) host: HostPolicy,

    /// Serve over TLS with this certificate chain, in PEM; may be repeated, and the client's SNI
    /// chooses. Files are followed when they change
    #[arg(
        long,
        value_name = "FILE",
        env = "RONDEL_TLS_CERT",
        value_delimiter = ',',
        help_heading = "TLS"
    )]
    pub(super) tls_cert: Vec<PathBuf>,

    /// The certificate's private key, one for each --tls-cert in the same order [default: in the
    /// certificate's file]
    #[arg(
        long,
        value_name = "FILE",
        env = "RONDEL_TLS_KEY",
        value_delimiter = ',',
        help_heading = "TLS"
    )]
    pub(super) tls_key: Vec<PathBuf>,

    /// Who may vouch for https servers, in PEM [default: whom this system trusts]
    #[arg(long, value_name = "FILE", env = "RONDEL_CA", help_heading = "TLS")]
    pub(super) ca: Option<PathBuf>,

    #[command(flatten)]
    pub(super) limits: LimitArgs,

    /// Threads that serve [default: one per core]
    #[arg(long, value_name = "N", env = "RONDEL_WORKERS", help_heading = "Process")]
    pub(super) workers: Option<NonZeroUsize>,

    /// How long a stop waits for requests in flight
    #[arg(
        long,
        value_name = "DUR",
        env = "RONDEL_DRAIN",
        default_value = "30s",
        value_parser = parse_wait,
        help_heading = "Process"
    )]
    pub(super) drain: Duration,

    /// Start a small server for each loopback address of the file that nobody serves
    #[arg(long, env = "RONDEL_DEMO", help_heading = "Process")]
    pub(super) demo: bool,

    /// Check flags and files, report every error, and exit
    #[arg(long, help_heading = "Process")]
    pub(super) check: bool,

    #[command(subcommand)]
    pub(super) generate: Option<Generate>,
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
    pub(super) fn flags() -> Command {
        Self::command().mut_args(|arg| arg.hide_env(true))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Fail {
    Open,
    Closed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }
}
