//! The ring's models: every interleaving of a few calls, over the real reclamation.

use crate::run::{Outcome, Run};

/// All models: quick ones, or `full`: two threads unbounded, three threads at bound 3.
pub(crate) fn all(arguments: &[String]) -> Outcome {
    match arguments {
        [] => Run::cargo("loom").check(),
        [full] if full == "full" => Run::cargo("loom").env("RONDEL_MODELS", "full").check(),
        _ => Err("takes nothing, or `full`".to_owned()),
    }
}
