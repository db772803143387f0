//! The dashboard's tests, which need a browser.

use crate::{
    run::{Outcome, Run},
    test,
};

/// Installs Chromium where it is missing, and runs the tests that drive it.
pub(crate) fn all(_: &[String]) -> Outcome {
    test::install("chromium", "--version", "chromium")?;
    Run::cargo("test --package rondel-proxy --test dashboard -- --ignored --test-threads 1").check()
}
