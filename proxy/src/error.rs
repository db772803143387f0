//! Why a request was not answered by a server.
//!
//! Owns the one match from a failure to what the client is told. Never answers itself
//! (`respond.rs`).

use hyper::StatusCode;

/// Why the proxy answers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the request is malformed: {0}")]
    Syntax(&'static str),
    #[error("the request's target is too long")]
    TargetTooLong,
    #[error("the request's head is too large")]
    HeadTooLarge,
    #[error("the request's framing is ambiguous: {0}")]
    Framing(&'static str),
    #[error("the request's Host is not usable: {0}")]
    Host(&'static str),
    #[error("the request's target is not usable: {0}")]
    Target(&'static str),
    #[error("the request's body is too large")]
    BodyTooLarge,
    #[error("the request's body is malformed or broke off")]
    RequestBody,
    #[error("this method is not served here")]
    Method,
    #[error("the request asks to go no further than this proxy")]
    LastHop,
    #[error("the request did not arrive in time")]
    RequestTimeout,
    #[error("the expectation cannot be met")]
    Expectation,
    #[error("no server can take the request now")]
    NoBackend,
    #[error("the server of this session cannot take the request now")]
    Bound,
    #[error("the session store cannot be asked now")]
    Store,
    #[error("the server cannot be reached")]
    Connect,
    #[error("the server did not take the connection in time")]
    ConnectTimeout,
    #[error("there is no secure connection to the server: {0}")]
    Tls(&'static str),
    #[error("the server closed the connection without an answer")]
    Cut,
    #[error("the server's answer is malformed")]
    BadResponse,
    #[error("the server did not answer in time")]
    Timeout,
}

impl Failure {
    /// The status that the client gets, and the word of `Rondel-Error`.
    pub(crate) fn status_and_word(self) -> (StatusCode, &'static str) {
        match self {
            Self::Syntax(_) => (StatusCode::BAD_REQUEST, "bad-request"),
            Self::TargetTooLong => (StatusCode::URI_TOO_LONG, "target-too-long"),
            Self::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large"),
            Self::Framing(_) => (StatusCode::BAD_REQUEST, "bad-framing"),
            Self::Host(_) => (StatusCode::BAD_REQUEST, "bad-host"),
            Self::Target(_) => (StatusCode::BAD_REQUEST, "bad-target"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            Self::RequestBody => (StatusCode::BAD_REQUEST, "bad-body"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            // What it asks of the one who goes no further is what can be asked of him.
            Self::LastHop => (StatusCode::OK, "last-hop"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request-timeout"),
            Self::Expectation => (StatusCode::EXPECTATION_FAILED, "expectation"),
            Self::NoBackend => (StatusCode::SERVICE_UNAVAILABLE, "no-backend"),
            Self::Bound => (StatusCode::SERVICE_UNAVAILABLE, "affinity"),
            Self::Store => (StatusCode::SERVICE_UNAVAILABLE, "session-store"),
            Self::Connect | Self::ConnectTimeout => (StatusCode::BAD_GATEWAY, "connect"),
            Self::Tls(_) => (StatusCode::BAD_GATEWAY, "tls"),
            Self::Cut => (StatusCode::BAD_GATEWAY, "cut"),
            Self::BadResponse => (StatusCode::BAD_GATEWAY, "bad-response"),
            Self::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
        }
    }

    /// Whether the next request on this connection could be read differently by client and proxy.
    pub(crate) fn poisons_connection(self) -> bool {
        matches!(
            self,
            Self::Syntax(_)
                | Self::TargetTooLong
                | Self::HeadTooLarge
                | Self::Framing(_)
                | Self::Host(_)
                | Self::Target(_)
                | Self::BodyTooLarge
                | Self::RequestBody
                | Self::Method
                | Self::RequestTimeout
        )
    }
}
