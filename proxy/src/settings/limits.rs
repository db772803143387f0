//! What the proxy bears.

use std::time::Duration;

/// How long, and how much.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Until a server takes the connection.
    pub connect: Duration,
    /// Until a server sends the next bytes that are due.
    pub response: Duration,
    /// Until a client's request has a whole head.
    pub head: Duration,
    /// Between two requests of a client.
    pub idle: Duration,
    /// A request's head in bytes.
    pub head_bytes: usize,
    /// Until TLS is agreed on, with a client or a server, and until a PROXY header is there.
    pub handshake: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// Client connections at once; none: what the open-files limit allows.
    pub connections: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            response: Duration::from_secs(60),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            head_bytes: 32 * 1024,
            handshake: Duration::from_secs(5),
            streams: 100,
            connections: None,
        }
    }
}
