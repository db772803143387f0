//! What the ring does when a thread stops or dies between two steps, and at the end of its words.

use crate::run::{Outcome, Run};

/// Both aliases of `.cargo/config.toml`.
pub(crate) fn all(_: &[String]) -> Outcome {
    Run::cargo("steps").check()?;
    Run::cargo("small").check()
}
