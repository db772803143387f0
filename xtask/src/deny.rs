//! What dependencies may be: `deny.toml`.

use crate::run::{Outcome, Run};

const VERSION: &str = "0.20.2";

/// Licences, bans and sources, which the lock file and the registry's index tell. `[advisories]`:
/// the list of known defects instead, which has to be fetched.
pub(crate) fn all(arguments: &[String]) -> Outcome {
    let what = match arguments {
        [] => "bans licenses sources",
        [advisories] if advisories == "advisories" => "advisories",
        _ => return Err("takes nothing, or `advisories`".to_owned()),
    };
    if !Run::cargo("deny --version").works() {
        // Without optimization: it is built in a minute, and has nothing to compute.
        Run::cargo("install cargo-deny --locked --debug --version")
            .arg(VERSION)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .check()?;
    }
    Run::cargo("deny --workspace check --hide-inclusion-graph").args(what).check()
}
