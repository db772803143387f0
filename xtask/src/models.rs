//! The ring's models: every interleaving of a few calls, over the real reclamation.

use crate::run::{Outcome, Run};

/// All models, over the real reclamation and without any; `full` leaves fewer bounds.
pub(crate) fn all(arguments: &[String]) -> Outcome {
    let form = match arguments {
        [] => "quick",
        [full] if full == "full" => "full",
        _ => return Err("takes nothing, or `full`".to_owned()),
    };
    for alias in ["loom-protocol", "loom"] {
        Run::cargo(alias).env("RONDEL_MODELS", form).check()?;
    }
    Ok(())
}
