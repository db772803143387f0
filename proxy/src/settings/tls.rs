//! TLS as the flags have it.
//!
//! Owns the rule which key belongs to which certificate. Never reads a file itself (`tls.rs`).

use super::Args;
use crate::tls::{Certificates, Pair, Roots};

impl Args {
    /// None: clients come in clear.
    pub(super) fn certificates(&self) -> Result<Option<Certificates>, Vec<String>> {
        let (certs, keys) = (&self.tls_cert, &self.tls_key);
        if certs.is_empty() && keys.is_empty() {
            return Ok(None);
        }
        // One file may hold both, as HAProxy has it.
        let keys = if keys.is_empty() { certs } else { keys };
        if certs.len() != keys.len() {
            let (certs, keys) = (certs.len(), keys.len());
            return Err(vec![format!(
                "--tls-cert is there {certs} times and --tls-key {keys} times: each certificate \
                 has its key, in the same order, or all have it in their own files"
            )]);
        }
        let pairs = certs.iter().zip(keys);
        let pairs = pairs.map(|(cert, key)| Pair { cert: cert.clone(), key: key.clone() });
        Certificates::read(pairs.collect()).map(Some)
    }

    pub(super) fn roots(&self) -> Result<Roots, String> {
        self.ca.as_deref().map_or(Ok(Roots::of_system()), Roots::of_file)
    }
}
