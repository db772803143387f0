//! The name of a session: 16 random bytes that only the client holds, and the record's key.
//!
//! The key is a hash of the bytes, so a copy of the store yields no usable cookie. Nothing here
//! prints an id.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use sha2::{Digest, Sha256};

/// Bytes of randomness in an id: 128 bits.
pub(crate) const ID_BYTES: usize = 16;

/// The secret half of a session's name, as it stands in the cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id([u8; ID_BYTES]);

impl Id {
    /// A new id from the operating system's random source.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; ID_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(crate) fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; ID_BYTES] {
        &self.0
    }

    /// The key of the record: base64url of SHA-256 of the bytes, cut to 22 characters.
    pub(crate) fn key(&self) -> Key {
        let mut text = [0; 43];
        let digest = Sha256::digest(self.0);
        let written = URL_SAFE_NO_PAD.encode_slice(digest, &mut text);
        debug_assert_eq!(written, Ok(text.len()), "32 bytes are 43 characters");
        let mut key = [0; Key::HASH];
        key.copy_from_slice(&text[..Key::HASH]);
        Key(key)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Id(..)")
    }
}

/// The public half: where the record is kept. Shown to backends and in the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; Key::HASH]);

impl Hash for Key {
    /// Without its length, which is always the same.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl Key {
    /// What every key in the store begins with.
    pub(crate) const PREFIX: &str = "rondel:s:";
    const HASH: usize = 22;

    /// Where it is remembered that the session was ended: in the same slot of a cluster.
    pub(crate) fn tombstone(&self) -> String {
        format!("rondel:x:{{{self}}}")
    }

    /// A number that is as good as random, for a place in a table.
    pub(crate) fn spread(&self) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&self.0[..8]);
        // The text has its own pattern; a multiplication spreads it, and the top bits are the best.
        u64::from_le_bytes(word).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
    }

    /// The key as a header value, for `Rondel-Session`.
    pub(crate) fn header_value(&self) -> HeaderValue {
        // A key is base64url behind a fixed prefix; the fallback is never taken.
        HeaderValue::from_str(&self.to_string()).unwrap_or(HeaderValue::from_static(""))
    }

    /// Reads a whole key as it stands in the store.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        Some(Self(text.strip_prefix(Self::PREFIX.as_bytes())?.try_into().ok()?))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(Self::PREFIX)?;
        self.0.iter().try_for_each(|byte| fmt::Write::write_char(out, char::from(*byte)))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_cut_hash_of_the_bytes() {
        // printf '\0%.0s' {1..16} | sha256sum: 374708ff f7719dd5 979ec875 d56cd228 6f6d3cf7 ...
        let key = Id::from_bytes([0; 16]).key();
        assert_eq!(key.to_string(), "rondel:s:N0cI__dxndWXnsh11WzSKG");
        assert_eq!(Key::parse(key.to_string().as_bytes()), Some(key));
    }

    #[test]
    fn ids_differ_and_are_never_printed() {
        let (one, two) = (Id::random().unwrap(), Id::random().unwrap());
        assert!(one != two);
        assert_eq!(format!("{one:?}"), "Id(..)");
    }
}
