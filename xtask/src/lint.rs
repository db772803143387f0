//! What a reader would object to, found by machine.

use crate::{
    rules,
    run::{Outcome, Run},
};

/// Format, lints, docs, links and own rules.
pub(crate) fn all(_: &[String]) -> Outcome {
    Run::cargo("fmt --all --check").check()?;
    rules::all(&[])?;
    Run::cargo("clippy --workspace --all-targets -- --deny warnings").check()?;
    // The models compile under a cfg of their own.
    Run::cargo("clippy --package rondel --lib --test loom --target-dir target/loom")
        .arg("--config")
        .arg("build.rustflags=['--cfg','rondel_loom','--cfg','crossbeam_loom','--deny','warnings']")
        .check()?;
    // And so do the tests that stop threads, and those that come to the end of numbers: not both
    // at once, since neither is there under the other's cfg.
    Run::cargo("clippy --package rondel --lib --tests --target-dir target/steps")
        .arg("--config")
        .arg("build.rustflags=['--cfg','rondel_steps','--deny','warnings']")
        .check()?;
    Run::cargo("clippy --package rondel --lib --tests --target-dir target/small")
        .arg("--config")
        .arg("build.rustflags=['--cfg','rondel_steps','--cfg','rondel_small','--deny','warnings']")
        .check()?;
    Run::cargo("doc --workspace --no-deps --document-private-items")
        .env("RUSTDOCFLAGS", "--deny warnings")
        .check()
}
