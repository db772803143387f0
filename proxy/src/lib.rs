//! The reference load balancer of the `rondel` crate.
//!
//! # The life of a request
//!
//! | step | file |
//! | --- | --- |
//! | a worker accepts the connection | `accept` |
//! | what two parsers could read differently as bytes never gets to hyper | `scan` |
//! | hyper reads heads from it until client, stop or time end it | `connection` |
//! | the request is answered, left to right | `proxy::answer` |
//! | what they could read differently as a head neither | `framing` |
//! | the client's session is read | [`session`] |
//! | headers that end here are taken off, who asked is written down | `headers` |
//! | the ring says whose turn it is | `pick`, unless the cookie does: `affinity` |
//! | the server is asked, and if it is safe another one | `forward`, over connections of `pool` |
//! | the answer streams back | `body`, or `tunnel` after an upgrade |
//! | a failure becomes a response | `respond` |
//! | at the end, whatever it was, the request is counted | `record`, in `metrics` |
//!
//! Beside it, [`health`] finds out how servers are, [`reload`] brings the [`roster`] in line with
//! its file, and [`supervisor`] tells the service manager that all is well.
//!
//! Each worker is one thread with its own runtime, listener and server connections; all share the
//! ring and the sessions.

#![forbid(unsafe_code)]

// Plain data, which any step may use.
pub mod backend;
pub mod access_log;
mod clock;
mod error;
mod file;
mod load;
mod metrics;
pub mod servers;
pub mod settings;
pub mod spec;
mod stop;
mod stream;
pub mod tls;

// The path of a request, in its order.
mod accept;
mod addresses;
mod worker;
mod client;
mod record;
mod scan;
mod proxy_protocol;
mod connection;
mod proxy;
mod framing;
pub mod session;
mod headers;
mod ids;
mod trailers;
mod trace;
pub mod policy;
pub mod roster;
pub mod health;
mod pick;
mod affinity;
mod forward;
mod resend;
mod pool;
mod multiplex;
mod body;
mod tunnel;
mod respond;

// Beside the path.
pub mod admin;
mod config;
mod watch;
pub mod reload;
pub mod supervisor;
pub mod demo;
pub mod telemetry;

pub use accept::{bind, is_taken, serve};
pub use proxy::{Proxy, SetupError};
pub use stop::Stop;
