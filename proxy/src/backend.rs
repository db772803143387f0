//! One server behind the proxy.
//!
//! Owns what is known of it: its name, where it listens, how many requests it has in hand. Never
//! opens a connection (`pool.rs`) and never decides who is asked (`pick.rs`).

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::header::HeaderValue;
use sha2::{Digest as _, Sha256};

use crate::metrics::{PerWorker, ServerNumbers};

/// A server as one line of the servers file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSpec {
    /// `name=`, or derived from the URL.
    pub id: String,
    /// The host as it was written, IPv6 without brackets, in lower case.
    pub host: String,
    /// The port, 80 if none was written.
    pub port: u16,
    /// Its share of the turns.
    pub weight: u16,
    /// Most requests at once, if limited.
    pub max: Option<u32>,
    /// Serves only when no other server can.
    pub backup: bool,
}

impl ServerSpec {
    /// `host:port` as it goes into a URL or a `Host` field; the default port is left out.
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }

    /// The URL in its one normal form: two lines that name one server have the same.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// The id of a server without a name: the same in every proxy and after every restart, and
    /// without a dot, so that it can stand in a cookie.
    pub fn derived_id(url: &str) -> String {
        let mut id = URL_SAFE_NO_PAD.encode(Sha256::digest(url));
        id.truncate(11);
        id
    }
}

/// A server in the rotation, shared by all workers.
pub struct Backend {
    spec: ServerSpec,
    /// Names this backend in the workers' pools; never used twice in a process.
    serial: u32,
    /// `host:port`, ready to be sent as `Host`.
    authority: HeaderValue,
    /// Where it listens. Empty: not resolved yet, or to be resolved again.
    addresses: Mutex<Arc<[SocketAddr]>>,
    in_flight: AtomicU32,
    numbers: PerWorker<ServerNumbers>,
}

impl Backend {
    /// Takes the server into service. Names other than `localhost` are resolved by the first
    /// connection, never by the request path.
    pub fn new(spec: ServerSpec) -> Arc<Self> {
        static SERIALS: AtomicU32 = AtomicU32::new(0);
        let authority = HeaderValue::try_from(spec.authority())
            .unwrap_or_else(|_| HeaderValue::from_static("localhost"));
        let addresses = Mutex::new(known_addresses(&spec.host, spec.port).into());
        Arc::new(Self {
            // ORDERING: Relaxed; only that no two are the same matters.
            serial: SERIALS.fetch_add(1, Ordering::Relaxed),
            authority,
            addresses,
            in_flight: AtomicU32::new(0),
            numbers: PerWorker::default(),
            spec,
        })
    }

    /// Its id, as the session cookie carries it.
    pub fn id(&self) -> &str {
        &self.spec.id
    }

    /// What the servers file says of it.
    pub fn spec(&self) -> &ServerSpec {
        &self.spec
    }

    pub(crate) fn serial(&self) -> u32 {
        self.serial
    }

    pub(crate) fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Requests that it has in hand.
    pub fn in_flight(&self) -> u32 {
        // ORDERING: Relaxed; a count, which orders nothing.
        self.in_flight.load(Ordering::Relaxed)
    }

    /// What the workers count of it.
    pub(crate) fn numbers(&self) -> &PerWorker<ServerNumbers> {
        &self.numbers
    }

    /// Whether it may be given one more request now.
    pub(crate) fn has_room(&self) -> bool {
        self.spec.max.is_none_or(|max| self.in_flight() < max)
    }

    /// Counts one request in, if there is room for it: what `has_room` saw may be taken by now.
    pub(crate) fn enter(self: Arc<Self>) -> Result<InFlight, Arc<Self>> {
        // ORDERING: Relaxed; the count alone decides.
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let entered = InFlight(self);
        match entered.0.spec.max {
            Some(max) if before >= max => Err(Arc::clone(&entered.0)),
            _ => Ok(entered),
        }
    }

    /// Where to connect to: what is known, or what the resolver says now.
    pub(crate) async fn addresses(&self) -> std::io::Result<Arc<[SocketAddr]>> {
        let known = Arc::clone(&self.addresses.lock().unwrap_or_else(PoisonError::into_inner));
        if !known.is_empty() {
            return Ok(known);
        }
        let found: Arc<[SocketAddr]> =
            tokio::net::lookup_host((self.spec.host.as_str(), self.spec.port)).await?.collect();
        self.remember(Arc::clone(&found));
        Ok(found)
    }

    /// None of its addresses answered: a name may have moved, so ask the resolver next time.
    pub(crate) fn forget_addresses(&self) {
        self.remember(known_addresses(&self.spec.host, self.spec.port).into());
    }

    /// `answered` is tried first from now on.
    pub(crate) fn prefer(&self, answered: SocketAddr) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = addresses.iter().copied().filter(|other| *other != answered);
        *addresses = std::iter::once(answered).chain(rest).collect();
    }

    fn remember(&self, found: Arc<[SocketAddr]>) {
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("id", &self.spec.id)
            .field("url", &self.spec.url())
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

/// One request in a backend's hands; dropping it counts the request out.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Backend>);

impl InFlight {
    pub(crate) fn backend(&self) -> &Arc<Backend> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // ORDERING: Relaxed; a count, which orders nothing.
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The addresses that need no resolver. `localhost` is always the loopback (RFC 6761, 6.3), and
/// development servers listen on either family of it.
fn known_addresses(host: &str, port: u16) -> Vec<SocketAddr> {
    if host == "localhost" {
        return vec![
            (IpAddr::from([127, 0, 0, 1]), port).into(),
            (IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), port).into(),
        ];
    }
    host.parse::<IpAddr>().map(|ip| vec![(ip, port).into()]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers;

    #[test]
    fn a_full_backend_takes_nothing_more_and_a_finished_request_makes_room() {
        let spec = servers::parse("http://10.0.0.1 max=1").unwrap().remove(0);
        let backend = Backend::new(spec);
        let first = Arc::clone(&backend).enter().unwrap();
        assert!(!backend.has_room());
        assert!(Arc::clone(&backend).enter().is_err());
        assert_eq!(backend.in_flight(), 1, "the refused one must not stay counted");
        drop(first);
        assert!(Arc::clone(&backend).enter().is_ok());
    }

    #[test]
    fn localhost_and_literal_addresses_need_no_resolver() {
        assert_eq!(known_addresses("localhost", 1).len(), 2);
        assert_eq!(known_addresses("::1", 1), ["[::1]:1".parse().unwrap()]);
        assert!(known_addresses("example.org", 1).is_empty());
    }
}
