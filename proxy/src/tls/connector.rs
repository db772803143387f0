//! TLS to servers.
//!
//! Owns whom we trust and what a handshake that fails means, in words. Nothing is ever sent to a
//! server whose certificate does not hold.

use std::{
    fmt, io,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector, TlsStream,
    rustls::{CertificateError, ClientConfig, Error, RootCertStore, pki_types::ServerName},
};

use super::{provider, read_chain};

/// Who may vouch for servers.
#[derive(Clone, Debug, Default)]
pub struct Roots(Option<Arc<RootCertStore>>);

impl Roots {
    /// Those that this system trusts; read when the first server needs them.
    pub fn of_system() -> Self {
        Self(None)
    }

    /// Those of a PEM file, and nobody else.
    ///
    /// # Errors
    ///
    /// When it has none, or one that is malformed.
    pub fn of_file(file: &Path) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        for (number, certificate) in (1..).zip(read_chain(file)?) {
            let added = store.add(certificate);
            added.map_err(|error| {
                format!("{}: its certificate no. {number} is malformed: {error}", file.display())
            })?;
        }
        Ok(Self(Some(Arc::new(store))))
    }
}

/// Why there is no TLS connection to a server, as far as clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsFault {
    Expired,
    NotYetValid,
    WrongName,
    UnknownIssuer,
    BadCertificate,
    NoHttp2,
    Other,
}

impl TlsFault {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "its certificate has expired",
            Self::NotYetValid => "its certificate is not valid yet",
            Self::WrongName => "its certificate is for another name",
            Self::UnknownIssuer => "its certificate is not from an authority that is trusted here",
            Self::BadCertificate => "its certificate is not valid",
            Self::NoHttp2 => "it does not speak HTTP/2",
            Self::Other => "the TLS handshake failed",
        }
    }

    /// None: it was not TLS that failed.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        let why = match error.get_ref()?.downcast_ref::<HandshakeError>()? {
            HandshakeError::NoHttp2 => return Some(Self::NoHttp2),
            HandshakeError::Tls(Error::InvalidCertificate(why)) => why,
            _ => return Some(Self::Other),
        };
        Some(match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            _ => Self::BadCertificate,
        })
    }
}

/// Shakes hands with servers.
pub(crate) struct Connector {
    roots: Roots,
    /// For HTTP/1.1 and for HTTP/2. Made when the first server needs them.
    ready: OnceLock<Result<[TlsConnector; 2], String>>,
}

impl Connector {
    pub(crate) fn new(roots: Roots) -> Self {
        Self { roots, ready: OnceLock::new() }
    }

    /// Finds the system's authorities now, and not when the first request waits for them.
    pub(crate) fn prepare(&self) {
        if let Err(error) = self.connectors() {
            tracing::error!(%error, "no TLS to servers");
        }
    }

    /// Shakes hands with the server of this name on the other end.
    pub(crate) async fn connect(
        &self,
        socket: TcpStream,
        host: &str,
        http2: bool,
        time: Duration,
    ) -> io::Result<TlsStream<TcpStream>> {
        let shaken = timeout(time, self.shake(socket, host, http2)).await;
        shaken.unwrap_or(Err(HandshakeError::TooSlow)).map_err(io::Error::other)
    }

    async fn shake(
        &self,
        socket: TcpStream,
        host: &str,
        http2: bool,
    ) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let ours = |why: &str| HandshakeError::Ours(why.to_owned());
        let connectors = self.connectors().map_err(ours)?;
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned());
        let name = name.map_err(|_| ours("no certificate can have its name"))?;
        let shaken = connectors[usize::from(http2)].connect(name, socket).await;
        let stream = shaken.map_err(HandshakeError::from)?;
        if http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(HandshakeError::NoHttp2);
        }
        Ok(TlsStream::Client(stream))
    }

    fn connectors(&self) -> Result<&[TlsConnector; 2], &str> {
        self.ready.get_or_init(|| self.make()).as_ref().map_err(String::as_str)
    }

    fn make(&self) -> Result<[TlsConnector; 2], String> {
        let roots = match &self.roots.0 {
            Some(roots) => Arc::clone(roots),
            None => Arc::new(system_roots()?),
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok([&b"http/1.1"[..], b"h2"].map(|protocol| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        }))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
        return Err(format!("this system names no authorities that it trusts (--ca can) {why}"));
    }
    Ok(store)
}

/// Why there is no TLS, in full.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error(transparent)]
    Tls(Error),
    #[error(transparent)]
    Broken(io::Error),
    #[error("it took too long")]
    TooSlow,
    #[error("HTTP/2 was not agreed on")]
    NoHttp2,
    #[error("{0}")]
    Ours(String),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).cloned();
        tls.map_or_else(|| Self::Broken(error), Self::Tls)
    }
}
