//! What the operator reads: events on stderr.
//!
//! Owns the set-up, and is called by `main.rs` alone: a library that installs a global subscriber
//! takes that choice from its embedder.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// From now on events go to stderr, as text for a person at a terminal and as JSON for a program;
/// `RUST_LOG` chooses which (`info` if it is not set).
pub fn start() {
    let chosen = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let events = tracing_subscriber::fmt()
        .with_env_filter(chosen)
        .with_writer(io::stderr)
        .with_target(false);
    if io::stderr().is_terminal() {
        events.with_ansi(true).init();
    } else {
        events.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    }
}
