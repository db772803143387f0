//! The certificates that clients see.
//!
//! Owns their files, the choice among them by the name that a client asks for, and their exchange
//! while connections go on: a handshake takes what is there when it begins, and no connection is
//! ever closed for a new one. What cannot be read changes nothing.

use std::{
    collections::HashMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_rustls::{
    TlsAcceptor, TlsStream,
    rustls::{
        ServerConfig,
        crypto::ring::Ticketer,
        pki_types::{PrivateKeyDer, pem::PemObject as _},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
};
use webpki::EndEntityCert;

use super::{provider, read_chain};
use crate::watch::{Watch, quiet};

/// A certificate and its key, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// May be the same file.
    pub key: PathBuf,
}

/// What the pairs of files were when they were last good.
#[derive(Clone)]
pub struct Certificates {
    pairs: Arc<[Pair]>,
    chosen: Arc<RwLock<Arc<Chosen>>>,
}

/// Keys by the names that their certificates are for.
struct Chosen {
    /// Lower case; those that begin with `*.` stand for one label more. Several keys of a name are
    /// of several kinds, for clients that know one of them only.
    names: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For who asks for no name, or for one that nobody has: the first pair's.
    first: Arc<CertifiedKey>,
    /// What the files were, to see whether they have changed.
    read: Vec<CertifiedKey>,
}

impl Certificates {
    /// Reads all of the files. There is at least one pair.
    ///
    /// # Errors
    ///
    /// All that is wrong, each with its file.
    pub fn read(pairs: Vec<Pair>) -> Result<Self, Vec<String>> {
        let chosen = Chosen::read(&pairs)?;
        Ok(Self { pairs: pairs.into(), chosen: Arc::new(RwLock::new(Arc::new(chosen))) })
    }

    /// How many pairs there are.
    pub fn count(&self) -> usize {
        self.pairs.len()
    }

    /// Reads the files again. True: they have changed.
    fn read_again(&self) -> Result<bool, Vec<String>> {
        let new = Chosen::read(&self.pairs)?;
        let mut chosen = self.chosen.write().unwrap_or_else(PoisonError::into_inner);
        let changed = !chosen.is_same(&new);
        if changed {
            *chosen = Arc::new(new);
        }
        Ok(changed)
    }

    fn now(&self) -> Arc<Chosen> {
        Arc::clone(&self.chosen.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("pairs", &self.pairs).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = self.now();
        let named = hello.server_name().and_then(|name| chosen.named(name));
        let fits =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let key = named.and_then(|keys| keys.iter().find(fits).or(keys.first()));
        Some(Arc::clone(key.unwrap_or(&chosen.first)))
    }
}

impl Chosen {
    fn read(pairs: &[Pair]) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut read = Vec::new();
        for pair in pairs {
            match read_pair(pair) {
                Ok(key) => read.push(key),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut names: HashMap<String, Vec<Arc<CertifiedKey>>> = HashMap::new();
        let mut first = None;
        for key in &read {
            let shared = Arc::new(key.clone());
            for name in names_of(key) {
                names.entry(name).or_default().push(Arc::clone(&shared));
            }
            first.get_or_insert(shared);
        }
        let first = first.ok_or_else(|| vec!["no certificate is named".to_owned()])?;
        Ok(Self { names, first, read })
    }

    fn named(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let name = name.to_ascii_lowercase();
        let wild = || self.names.get(&format!("*.{}", name.split_once('.')?.1));
        self.names.get(&name).or_else(wild).map(Vec::as_slice)
    }

    /// A certificate holds its public key, and so says which private one belongs to it.
    fn is_same(&self, other: &Self) -> bool {
        self.read.iter().map(|key| &key.cert).eq(other.read.iter().map(|key| &key.cert))
    }
}

fn read_pair(pair: &Pair) -> Result<CertifiedKey, String> {
    let chain = read_chain(&pair.cert)?;
    let name = pair.key.display();
    let text = std::fs::read(&pair.key).map_err(|error| format!("{name}: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| format!("{name}: there is no private key in it that is not encrypted"))?;
    CertifiedKey::from_der(chain, key, &provider())
        .map_err(|error| format!("{name}: it cannot be used with {}: {error}", pair.cert.display()))
}

fn names_of(key: &CertifiedKey) -> Vec<String> {
    let cert = key.end_entity_cert().ok().and_then(|cert| EndEntityCert::try_from(cert).ok());
    let names = cert.iter().flat_map(|cert| cert.valid_dns_names().map(str::to_ascii_lowercase));
    names.collect()
}

/// Shakes hands with clients.
#[derive(Clone)]
pub(crate) struct Acceptor(TlsAcceptor);

impl Acceptor {
    pub(crate) fn new(certificates: &Certificates) -> Result<Self, String> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let mut config =
            builder.with_no_client_auth().with_cert_resolver(Arc::new(certificates.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Clients that come back shake hands in short, and nothing is kept for them here.
        config.ticketer = Ticketer::new().map_err(|error| error.to_string())?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// The client has `time` for its part, which is also all that it can hold up.
    pub(crate) async fn accept(
        &self,
        socket: TcpStream,
        time: Duration,
    ) -> io::Result<TlsStream<TcpStream>> {
        let shaken = timeout(time, self.0.accept(socket)).await;
        shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(TlsStream::Server)
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

/// For file systems that tell nothing, such as those of other machines.
const LOOK: Duration = Duration::from_secs(10);
/// How long the folders are to be quiet before the files are read: a new certificate and its new
/// key are two files, and one is there before the other.
const QUIET: Duration = Duration::from_millis(200);

/// Keeps the certificates in line with their files, for as long as `asked` has a sender. A message
/// there asks for a reload at once.
pub async fn follow(certificates: Certificates, mut asked: mpsc::Receiver<()>) {
    let (tell, mut events) = mpsc::channel(1);
    let mut watch = Watch::new(tell);
    let mut failed = None;
    loop {
        let files = certificates.pairs.iter().flat_map(|pair| [&*pair.cert, &*pair.key]);
        watch.folders_of(&files.collect::<Vec<&Path>>());
        let ask = tokio::select! {
            ask = asked.recv() => match ask {
                Some(()) => true,
                None => return,
            },
            _ = events.recv() => false,
            () = tokio::time::sleep(LOOK) => false,
        };
        if !ask {
            quiet(&mut events, QUIET).await;
        }
        match certificates.read_again() {
            Ok(changed) => {
                failed = None;
                if changed || ask {
                    tracing::info!(count = certificates.count(), changed, "certificates reloaded");
                }
            }
            // Said once, and not at every look.
            Err(errors) if failed.as_ref() == Some(&errors) && !ask => {}
            Err(errors) => {
                for error in &errors {
                    tracing::error!("{error}");
                }
                tracing::error!("certificates not reloaded: all stay as they were");
                failed = Some(errors);
            }
        }
    }
}
