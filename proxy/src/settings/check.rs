//! From what was typed to what can be trusted.
//!
//! Owns what flags mean together, and the reading of the files that they name: every error of all
//! of them is found at once. Never starts anything.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
};

use super::{
    Affinity, Settings,
    args::{Args, Fail, Switch},
    parse::{AdminAddress, check_target, read_secrets, read_token},
};
use crate::{
    admin::AdminSettings,
    health::HealthSettings,
    reload::Source,
    session::{SessionFail, SessionSettings},
    tls::Roots,
};

/// On this machine alone; what can be changed there needs no token.
const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7778);

/// Every error of the flags taken together and of the files that they name, the latter with file
/// and line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct BadConfiguration(pub Vec<String>);

impl TryFrom<Args> for Settings {
    type Error = BadConfiguration;

    fn try_from(mut args: Args) -> Result<Self, BadConfiguration> {
        let mut errors = Vec::new();
        let source = args.source();
        let listen = (args.bind, args.port).into();
        let servers = args.servers.take().map_or_else(|| source.read(), Ok);
        let servers = servers.and_then(|servers| source.none_is(listen, servers));
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
            listen,
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

impl Args {
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

fn one_per_core() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
