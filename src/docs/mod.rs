//! Guides for those who use the ring; then how it works inside, for those who change it or want to
//! believe it.
//!
//! Not part of the API: these modules exist in the documentation alone.
//!
//! | to use it | |
//! | --- | --- |
//! | [`choosing`] | `next`, `next_where`, `lease` or a private cursor |
//! | [`weights`] | weights by several memberships |
//! | [`asynchronous`] | from async code |
//! | [`memory`] | what is kept, and what a reader that stalls can do |
//! | [`performance`] | what to expect, and what to do about it |
//!
//! | to believe it, in the order of reading | |
//! | --- | --- |
//! | [`internals`] | the algorithm, its invariants, and when each call takes effect |
//! | [`orderings`] | every ordering, and what it is for |
//! | [`limits`] | the end of each number; targets |
//! | [`costs`] | what a pick costs, and where that goes |
//! | [`models`], [`mutants`] | what was explored, and what was weakened to see it fail |
//! | [`conventions`] | why the API is as it is |

#[doc = include_str!("choosing.md")]
pub mod choosing {}

#[doc = include_str!("weights.md")]
pub mod weights {}

#[doc = include_str!("asynchronous.md")]
pub mod asynchronous {}

#[doc = include_str!("memory.md")]
pub mod memory {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("internals.md")]
pub mod internals {}

#[doc = include_str!("orderings.md")]
pub mod orderings {}

#[doc = include_str!("limits.md")]
pub mod limits {}

#[doc = include_str!("costs.md")]
pub mod costs {}

#[doc = include_str!("models.md")]
pub mod models {}

#[doc = include_str!("mutants.md")]
pub mod mutants {}

#[doc = include_str!("conventions.md")]
pub mod conventions {}
