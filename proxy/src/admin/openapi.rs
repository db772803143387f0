//! The description of the API, for programs.
//!
//! Owns the text; `tests/admin.rs` holds the server to it.

pub(super) const TEXT: &str = include_str!("../../openapi.json");
