//! Sessions: who a client is, over many requests and many backends.
//!
//! A stand-in with the types that the path of a request needs.

use std::time::Duration;

use hyper::{HeaderMap, StatusCode, header::HeaderName};
use tokio::runtime::Handle;

/// Plain data, from the flags.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// Name of the cookie.
    pub cookie: String,
    /// The keys of the secret file; the first signs, all verify. None: a random one.
    pub secrets: Vec<Vec<u8>>,
    /// A session ends after this time without a request.
    pub idle: Duration,
    /// A session ends after this time in any case.
    pub max: Duration,
    /// Request headers that are kept in the record.
    pub capture: Vec<HeaderName>,
    /// What to do when the store is away.
    pub fail: SessionFail,
    /// The store's URL; none: in this process.
    pub redis: Option<String>,
    /// Whether clients reach us over TLS.
    pub secure: bool,
}

/// See [`SessionSettings::fail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionFail {
    /// Serve without the record.
    Open,
    /// Refuse.
    Closed,
}

/// Sessions cannot be set up as asked.
#[derive(Debug, thiserror::Error)]
#[error("sessions cannot be set up")]
pub struct SessionSetupError;

/// The store is away, and `--session-fail closed` was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the session store is away")]
pub struct StoreUnavailable;

/// All sessions of this process.
#[derive(Debug)]
pub struct Sessions;

/// The session of one request.
#[derive(Debug)]
pub struct Session;

impl Sessions {
    /// Starts, with the store or without it.
    ///
    /// # Errors
    ///
    /// When the settings cannot be used.
    pub fn new(
        _settings: SessionSettings,
        _background: &Handle,
    ) -> Result<Self, SessionSetupError> {
        Ok(Self)
    }

    /// Reads the request's session.
    ///
    /// # Errors
    ///
    /// Only with `--session-fail closed`.
    #[expect(clippy::unused_async, reason = "the store is asked here")]
    pub async fn open(&self, _request: &HeaderMap) -> Result<Session, StoreUnavailable> {
        Ok(Session)
    }
}

impl Session {
    /// The backend in the client's cookie.
    pub fn backend(&self) -> Option<&str> {
        None
    }

    /// Adds what the record holds.
    pub fn to_backend(&self, _headers: &mut HeaderMap) {}

    /// Records what the backend set, and sets the cookie.
    #[expect(clippy::unused_async, reason = "the store is asked here")]
    pub async fn to_client(self, _backend: &str, _status: StatusCode, headers: &mut HeaderMap) {
        let _ = headers;
    }
}

/// Whether a header may be kept in a record.
///
/// # Errors
///
/// Says why it may not.
pub fn check_capture_header(name: &str) -> Result<HeaderName, String> {
    name.parse().map_err(|_| format!("`{name}` is no header name"))
}

/// Whether a store could be reached by this URL.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn check_redis_url(url: &str) -> Result<(), String> {
    if url.contains("://") { Ok(()) } else { Err(format!("`{url}` is no URL")) }
}
