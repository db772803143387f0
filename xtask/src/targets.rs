//! The ring on machines that are not like this one.

use crate::run::{Outcome, Run};

/// With 64-bit atomics: 32 bits wide, big-endian, without an operating system.
const SUPPORTED: [&str; 3] =
    ["i686-unknown-linux-gnu", "s390x-unknown-linux-gnu", "wasm32-unknown-unknown"];

/// Without; of those that come with a standard library, so that nothing else is amiss.
const REFUSED: &str = "powerpc-unknown-linux-gnu";
const REFUSAL: &str = "rondel needs 64-bit atomics";

/// Compiles the ring where it is supported; where it is not, the compiler must say why.
pub(crate) fn all(_: &[String]) -> Outcome {
    let check = |target| {
        Run::program("rustup", "target add").arg(target).check()?;
        let check = "check --quiet --package rondel --target-dir target/targets --target";
        Outcome::Ok(Run::cargo(check).arg(target))
    };
    for target in SUPPORTED {
        check(target)?.check()?;
    }
    match check(REFUSED)?.output() {
        Err(why) if why.contains(REFUSAL) => {
            println!("{REFUSED}: refused, \"{REFUSAL}\"");
            Ok(())
        }
        Err(why) => Err(format!("{REFUSED} is refused for another reason: {why}")),
        Ok(_) => Err(format!("{REFUSED} is not refused")),
    }
}
