//! What the operator reads: events on stderr.
//!
//! Owns the set-up, and is called by `main.rs` alone: a library that installs a global subscriber
//! takes that choice from its embedder.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// From now on events go to stderr; `RUST_LOG` chooses which (`info` if it is not set).
pub fn start() {
    let chosen = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(chosen)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}
