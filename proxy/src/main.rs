//! The command `rondel-proxy`: flags, settings, telemetry, serve, exit code.

#![forbid(unsafe_code)]

use std::{
    io::{self, Write as _},
    net::TcpListener,
    process::ExitCode,
    sync::Arc,
};

use clap::error::ErrorKind;
use rondel_proxy::{
    Proxy, Stop,
    admin::{self, AdminSettings},
    demo::{self, DemoServer},
    reload,
    settings::{Args, Refusal, Settings},
    supervisor::Supervisor,
    telemetry, tls,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

// The codes of sysexits.h that operators' tools know.
const BAD_USAGE: u8 = 64;
const NO_ADDRESS: u8 = 71;
const BAD_CONFIGURATION: u8 = 78;

fn main() -> ExitCode {
    let args = match Args::read(std::env::args_os()) {
        Ok(args) => args,
        Err(Refusal::Configuration(errors)) => {
            let _ = writeln!(io::stderr(), "{errors}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
        Err(Refusal::Usage(error)) => {
            // A closed stdout or stderr leaves nobody to tell.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(BAD_USAGE),
            };
        }
    };
    match args.generated() {
        Ok(None) => {}
        // Whoever stopped reading has enough of it.
        Ok(Some(text)) => {
            let _ = io::stdout().write_all(&text);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            return ExitCode::FAILURE;
        }
    }
    let settings = match Settings::try_from(args) {
        Ok(settings) => settings,
        Err(errors) => {
            let _ = writeln!(io::stderr(), "{errors}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    if settings.check {
        // A closed stdout leaves nobody to tell.
        let _ = writeln!(io::stdout(), "ok, servers: {}", settings.servers.len());
        return ExitCode::SUCCESS;
    }
    telemetry::start();
    raise_open_files_limit();
    match run(settings) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Gets ready, binds, serves until a signal ends it, and says how it went.
fn run(mut settings: Settings) -> anyhow::Result<ExitCode> {
    let admin = match settings.admin.clone().map(open_admin).transpose() {
        Ok(admin) => admin.flatten(),
        Err(code) => return Ok(code),
    };
    if admin.is_none() {
        // Or numbers would be counted that nobody can look at.
        settings.admin = None;
    }
    // Work beside the requests runs on this thread: signals, session store, admin listener.
    let background = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let drained = background.block_on(async {
        let stop = Stop::new();
        let (ask, asked) = mpsc::channel(1);
        let (ask_tls, asked_tls) = mpsc::channel(1);
        let supervisor = Supervisor::from_env();
        tokio::spawn(obey_signals(
            Signals::listen()?,
            stop.clone(),
            [ask, ask_tls],
            supervisor.clone(),
        ));
        let summary = settings.summary();
        let _demo = play_missing_servers(&settings).await;
        let source = settings.source.clone();
        let (address, workers) = (settings.listen, settings.workers.get());
        if let Some(certificates) = settings.certificates.clone() {
            tokio::spawn(tls::follow(certificates, asked_tls));
        }
        let proxy = Proxy::new(settings, background.handle())?;
        // Before there is anybody to wait for it.
        proxy.settled().await;
        let is_shared = rondel_proxy::is_taken(address);
        let listeners = match rondel_proxy::bind(address, workers) {
            Ok(listeners) => listeners,
            Err(error) => {
                tracing::error!(
                    "cannot listen on {address}: {error} (--port and --bind choose another)"
                );
                return Ok(None);
            }
        };
        let listen = listeners[0].local_addr()?;
        if is_shared {
            tracing::warn!(
                "{listen} is shared with another process: connections go to either until one stops"
            );
        }
        if let Some(source) = source {
            tokio::spawn(reload::follow(Arc::clone(proxy.roster()), source, listen, asked));
        }
        let admin_at = admin.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
        if let Some((listener, settings)) = admin {
            let proxy = Arc::clone(&proxy);
            tokio::spawn(admin::serve(listener, proxy, settings, stop.clone()));
        }
        tracing::info!(
            address = %listen,
            servers = summary.servers,
            workers = listeners.len(),
            admin = admin_at.map_or("off".to_owned(), |address| address.to_string()),
            algorithm = summary.algorithm,
            affinity = summary.affinity,
            health = summary.health,
            sessions = summary.sessions,
            tls = summary.tls,
            proxy_protocol = summary.proxy_protocol,
            access_log = summary.access_log,
            "listening"
        );
        supervisor.ready();
        tokio::spawn(supervisor.watch(Arc::downgrade(&proxy)));
        anyhow::Ok(Some(rondel_proxy::serve(proxy, listeners, stop).await?))
    })?;
    let Some(drained) = drained else { return Ok(ExitCode::from(NO_ADDRESS)) };
    if drained {
        tracing::info!("stopped");
    } else {
        tracing::warn!("stopped, with requests cut off");
    }
    Ok(ExitCode::SUCCESS)
}

/// The default address of the admin listener may belong to another proxy on this machine, which is
/// no reason not to serve; one that was asked for has to be there.
fn open_admin(settings: AdminSettings) -> Result<Option<(TcpListener, AdminSettings)>, ExitCode> {
    let at = settings.listen;
    match admin::bind(at) {
        Ok(listener) => {
            if settings.token.as_ref().is_some_and(|token| token.len() < 16) {
                tracing::warn!(
                    "the admin token has fewer than 16 characters, which can be guessed"
                );
            }
            Ok(Some((listener, settings)))
        }
        Err(error) if settings.explicit => {
            tracing::error!("cannot listen on {at} (--admin): {error}");
            Err(ExitCode::from(NO_ADDRESS))
        }
        Err(error) => {
            tracing::warn!(
                "no dashboard: cannot listen on {at}: {error} (--admin chooses another)"
            );
            Ok(None)
        }
    }
}

/// With `--demo`, whoever is in the servers file and does not run is played.
async fn play_missing_servers(settings: &Settings) -> Vec<DemoServer> {
    if !settings.demo {
        return Vec::new();
    }
    // Those that are played speak HTTP/1, in clear.
    let servers = settings.servers.iter().filter(|server| !server.https && !server.h2);
    let named: Vec<_> =
        servers.map(|server| (server.host.clone(), server.port, server.authority())).collect();
    demo::start(&named).await
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// The first one that ends asks for an orderly end, the second for an end. SIGHUP, what daemons
/// read their files again for, asks for a reload.
async fn obey_signals(
    mut signals: Signals,
    stop: Stop,
    reload: [mpsc::Sender<()>; 2],
    supervisor: Supervisor,
) {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => {}
            _ = signals.interrupt.recv() => {}
            _ = signals.hangup.recv() => {
                // Full: a reload that begins later than this signal is asked for already.
                for reload in &reload {
                    let _ = reload.try_send(());
                }
                continue;
            }
        }
        tracing::info!("stopping");
        supervisor.stopping();
        stop.next_step();
    }
}

/// Each client may need two file descriptors; the soft limit of most systems, 1024, is there for
/// programs that use `select`, which this one does not.
fn raise_open_files_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, ?current, "cannot raise the limit of open files");
    }
}
