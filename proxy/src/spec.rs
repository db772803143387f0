//! What somebody has said of a server: a line of the servers file, an entry of a configuration, a
//! request to the API.
//!
//! Owns its fields and the names that follow from them. Never reads a file (`servers.rs`), and knows
//! nothing of how the server is (`backend.rs`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// A server as one line of the servers file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSpec {
    /// `name=`, or derived from the URL.
    pub id: String,
    /// Whether it is spoken to over TLS.
    pub https: bool,
    /// Whether it is spoken to in HTTP/2.
    pub h2: bool,
    /// The host as it was written, IPv6 without brackets, in lower case.
    pub host: String,
    /// The port, 80 if none was written, or 443 with https.
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
        if self.port == Self::default_port(self.https) {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    pub(crate) fn default_port(https: bool) -> u16 {
        if https { 443 } else { 80 }
    }

    /// The URL in its one normal form: two lines that name one server have the same.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.https { "https" } else { "http" }, self.authority())
    }

    /// Whether it is whoever listens there, as far as an address says so: `localhost`, and what is
    /// this machine's. No name is resolved.
    pub(crate) fn is_at(&self, listen: SocketAddr) -> bool {
        let at = listen.ip().to_canonical();
        let takes = |ip: IpAddr| {
            // Every address of this machine, of both families or of its own. Only those can be
            // bound.
            let every = at.is_unspecified() && (at.is_ipv6() || ip.is_ipv4());
            ip == at || (every && UdpSocket::bind((ip, 0)).is_ok())
        };
        let named = match self.host.parse::<IpAddr>() {
            Ok(ip) => takes(ip.to_canonical()),
            Err(_) if self.host == "localhost" => {
                takes(Ipv4Addr::LOCALHOST.into()) || takes(Ipv6Addr::LOCALHOST.into())
            }
            Err(_) => false,
        };
        self.port == listen.port() && named
    }

    /// The id of a server without a name: the same in every proxy and after every restart, and
    /// without a dot, so that it can stand in a cookie.
    pub fn derived_id(url: &str) -> String {
        let mut id = URL_SAFE_NO_PAD.encode(Sha256::digest(url));
        id.truncate(11);
        id
    }
}
