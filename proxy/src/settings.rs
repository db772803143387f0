//! What the operator asked for.
//!
//! `Args` is what was typed (`args.rs`), `Settings` can be trusted; `check.rs` leads from one to
//! the other. Never starts anything.

mod args;
mod check;
mod generate;
mod layers;
mod limits;
mod parse;
mod reference;
mod summary;
mod tls;

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    time::Duration,
};

use clap::ValueEnum;
use ipnet::IpNet;

pub use self::{
    args::Args, check::BadConfiguration, layers::Refusal, limits::Limits, summary::Summary,
};
use crate::{
    access_log::Target,
    admin::AdminSettings,
    health::HealthSettings,
    policy::Algorithm,
    reload::Source,
    session::SessionSettings,
    spec::ServerSpec,
    tls::{Certificates, Roots},
};

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
    /// How long others are waited for, and how much is taken of them.
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

/// Whose name a server reads in `Host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HostPolicy {
    /// What the client sent
    Pass,
    /// The server's own, as in the servers file
    Backend,
}
