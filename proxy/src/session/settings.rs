//! What can be chosen about sessions, and what is made of it before the first request.

use std::{fmt, time::Duration};

use http::HeaderName;

use super::record::Lifetime;

/// What the settings say about sessions.
#[derive(Clone)]
pub struct SessionSettings {
    /// Name of the cookie.
    pub cookie: String,
    /// Keys of the cookie's MAC: the first signs, all verify. Empty: a random one.
    pub secrets: Vec<Vec<u8>>,
    /// A session ends when it was not used for so long.
    pub idle: Duration,
    /// A session ends when it is so old.
    pub max: Duration,
    /// Request headers to remember; each checked by
    /// [`check_capture_header`](super::check_capture_header).
    pub capture: Vec<HeaderName>,
    /// What happens while the store is away.
    pub fail: SessionFail,
    /// Where records are kept; `None`: in this process.
    pub redis: Option<String>,
    /// Whether clients come over TLS.
    pub secure: bool,
    /// Whether the cookie follows the client to another server, so that it can go back to that.
    pub reissue: bool,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            cookie: "rondel_sid".to_owned(),
            secrets: Vec::new(),
            idle: Duration::from_secs(30 * 60),
            max: Duration::from_secs(24 * 60 * 60),
            capture: Vec::new(),
            fail: SessionFail::Open,
            redis: None,
            secure: false,
            reissue: false,
        }
    }
}

/// What a request gets while the store is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionFail {
    /// It is served, with what is known.
    Open,
    /// It is refused.
    Closed,
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionSetupError {
    /// The name of the cookie.
    #[error("session cookie: {0}")]
    Cookie(String),
    /// The URL of Redis.
    #[error("{0}")]
    Redis(String),
    /// A key of the MAC is empty.
    #[error("the session secret has an empty key")]
    EmptySecret,
    /// The operating system gives no random bytes.
    #[error("no random bytes for the session secret: {0}")]
    Random(getrandom::Error),
}

impl SessionSettings {
    /// The keys of the MAC; a random one if none is given.
    pub(super) fn signing_keys(&self) -> Result<Vec<Vec<u8>>, SessionSetupError> {
        if self.secrets.is_empty() {
            tracing::warn!(
                "no session secret is set: sessions end when this process does, \
                 and no other one knows them"
            );
            let mut random = vec![0; 32];
            getrandom::fill(&mut random).map_err(SessionSetupError::Random)?;
            return Ok(vec![random]);
        }
        if self.secrets.iter().any(Vec::is_empty) {
            return Err(SessionSetupError::EmptySecret);
        }
        if self.secrets.iter().any(|secret| secret.len() < 16) {
            tracing::warn!("a session secret has fewer than 16 bytes, which can be guessed");
        }
        Ok(self.secrets.clone())
    }

    pub(super) fn lifetime(&self) -> Lifetime {
        Lifetime { idle: whole_seconds(self.idle), max: whole_seconds(self.max) }
    }
}

impl fmt::Debug for SessionSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the secrets, and not the URL, which may hold a password.
        out.debug_struct("SessionSettings")
            .field("cookie", &self.cookie)
            .field("secrets", &self.secrets.len())
            .field("idle", &self.idle)
            .field("max", &self.max)
            .field("capture", &self.capture)
            .field("fail", &self.fail)
            .field("redis", &self.redis.is_some())
            .field("secure", &self.secure)
            .field("reissue", &self.reissue)
            .finish()
    }
}

/// Ends are kept in whole seconds; none is sooner than one.
fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}
