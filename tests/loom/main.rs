//! Models: every interleaving of a few calls, and every value that a load may return, over the
//! ring's own code and the real reclamation. Run by `cargo xtask models`.
//!
//! Each model checks, in every execution, that the results of all calls can be told as one story
//! of the sequential meaning ([`common::linear`]), that the ring is as that story leaves it (laps
//! both ways, then turns), and that every value is dropped exactly once. loom itself checks that
//! no value is read while it is written or dropped. Each model states how many executions it must
//! have explored at the least: without `--cfg crossbeam_loom` there would be a handful, and all
//! would pass.
//!
//! Under `--cfg rondel_loom_protocol` nothing is reclaimed before the ring goes: fewer steps, so
//! that three threads, and more preemptions, can be explored.

#![cfg(rondel_loom)]

#[path = "../common/mod.rs"]
mod common;
mod explore;
mod harness;

mod insert;
mod laps;
mod pairs;
mod pops;
mod remove;
#[cfg(not(rondel_loom_protocol))]
mod reuse;
mod turns;
