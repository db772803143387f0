//! How the ring works inside, for those who change it or want to believe it.
//!
//! Not part of the API. The order of reading: [`internals`], [`orderings`], [`limits`], [`costs`]; then
//! what was checked: [`models`], [`mutants`].

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
