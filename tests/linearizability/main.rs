//! Recorded histories of overlapping calls can be told one after the other.

#![cfg(not(rondel_loom))]

mod bursts;
mod checker;
#[path = "../common/mod.rs"]
mod common;
mod duels;
