//! TLS, towards clients and towards servers.
//!
//! Owns what both have in common: the cryptography, and the reading of PEM files.

mod certificates;
mod connector;

use std::{path::Path, sync::Arc};

use tokio_rustls::rustls::{
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, pem::PemObject as _},
};

pub(crate) use certificates::Acceptor;
pub use certificates::{Certificates, Pair, follow};
pub use connector::Roots;
pub(crate) use connector::{Connector, TlsFault};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The certificates of a PEM file, in its order.
fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let name = file.display();
    let text = std::fs::read(file).map_err(|error| format!("{name}: {error}"))?;
    let read = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let chain = read.map_err(|error| format!("{name}: it is no PEM file: {error}"))?;
    if chain.is_empty() {
        return Err(format!("{name}: there is no certificate in it"));
    }
    Ok(chain)
}
