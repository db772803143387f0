//! The command `rondel-proxy`.
fn main() {}
