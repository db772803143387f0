//! Telling the service manager how we are, as systemd's `Type=notify` and its watchdog want it.
//!
//! Owns the protocol of `sd_notify(3)`: one datagram a message. Without a service manager nothing
//! happens. Never ends anything.

use std::{
    env, io,
    os::unix::net::UnixDatagram,
    sync::{Arc, Weak},
    time::Duration,
};

use crate::{clock::Tick, proxy::Proxy, worker::Worker};

/// Whoever started us, if it wants to be told.
#[derive(Clone, Debug)]
pub struct Supervisor {
    socket: Option<Arc<UnixDatagram>>,
    /// How long it waits for a sign of life.
    patience: Option<Duration>,
}

impl Supervisor {
    /// As the environment says.
    pub fn from_env() -> Self {
        let socket = env::var("NOTIFY_SOCKET").ok().map(|address| connect(&address));
        let socket = match socket.transpose() {
            Ok(socket) => socket.map(Arc::new),
            Err(error) => {
                tracing::warn!(%error, "cannot talk to the service manager");
                None
            }
        };
        let meant =
            env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
        let micros = env::var("WATCHDOG_USEC").ok().filter(|_| meant);
        let patience = micros.and_then(|micros| micros.parse().ok()).map(Duration::from_micros);
        Self { socket, patience }
    }

    /// Clients are served from now on.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Gives a sign of life as long as every worker does: one that hangs is to be noticed, and not
    /// hidden by a thread that does nothing else. Ends with the proxy.
    pub async fn watch(self, proxy: Weak<Proxy>) {
        let (Some(patience), Some(_)) = (self.patience, &self.socket) else { return };
        let mut beats = Vec::new();
        loop {
            tokio::time::sleep((patience / 3).max(Duration::from_millis(500))).await;
            let Some(proxy) = proxy.upgrade() else { return };
            let now: Vec<Tick> = proxy.workers().iter().map(|worker| worker.clock.now()).collect();
            if all_alive(&beats, &now) {
                self.tell("WATCHDOG=1");
            } else {
                tracing::error!("a worker hangs");
            }
            beats = now;
        }
    }

    fn tell(&self, message: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(message.as_bytes())
        {
            tracing::warn!(%error, message, "cannot tell the service manager");
        }
    }
}

/// Each clock has gone on. Workers that have ended since are on their way out in good order.
fn all_alive(before: &[Tick], now: &[Tick]) -> bool {
    before.len() != now.len() || before.iter().zip(now).all(|(before, now)| before != now)
}

fn connect(address: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match address.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::{linux::net::SocketAddrExt as _, unix::net::SocketAddr};
            socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?;
        }
        _ => socket.connect(address)?,
    }
    Ok(socket)
}

impl Proxy {
    fn workers(&self) -> Vec<Arc<Worker>> {
        let workers = self.workers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        workers.iter().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_stands_still_is_a_worker_that_hangs() {
        assert!(all_alive(&[], &[1, 1]));
        assert!(all_alive(&[1, 1], &[3, 2]));
        assert!(!all_alive(&[1, 1], &[3, 1]));
        assert!(all_alive(&[1, 1], &[1]));
    }
}
