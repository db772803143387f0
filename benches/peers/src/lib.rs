//! Ways to take turns, behind one trait, and what measures them.
//!
//! Owns what the benches of the ring have in common: the contenders (`kinds`, one file each), the
//! threads that use them (`picks`, `tail`, `churn`, `update`, `skip`: one for each kind of round),
//! and how the figures are compared and shown (`sample`, `report`, and `study` for those of picks).
//! Asks no question itself: each bench beside this folder asks one.
//!
//! Every round checks its own answer. Where a contender promises equal turns, a round that ends
//! with unequal ones panics: who gets this wrong is not fast but broken.

#![expect(clippy::missing_panics_doc, reason = "a measurement that goes wrong panics")]

mod churn;
mod kinds;
mod picks;
mod report;
mod rotation;
mod sample;
mod skip;
mod study;
mod tail;
mod update;

pub use crate::{
    churn::{Churn, Churned, UNBOUNDED, pickers},
    kinds::{ALL, CHURNED, SKIPPING},
    picks::Picked,
    report::{Mode, Report, short},
    rotation::{Changing, Contender, Members, Rotation, Skipper, Skipping},
    sample::{Samples, by_contender, interleaved},
    skip::Skipped,
    study::Study,
    tail::Tail,
};
