//! The reference load balancer of the `rondel` crate.

pub mod session;
