//! Every test, and what they need.

use crate::{
    models,
    run::{Outcome, Run},
};

/// Runs everything that must pass before a change is taken.
pub(crate) fn all(_: &[String]) -> Outcome {
    install_redis()?;
    Run::cargo("test --workspace").check()?;
    models::all(&[])
}

/// Measures, so it wants a quiet machine; the simulation beside it does not.
pub(crate) fn policies(_: &[String]) -> Outcome {
    let test = "test --release --package rondel-proxy --test";
    Run::cargo(&format!("{test} simulation -- --nocapture --test-threads 1")).check()?;
    Run::cargo(&format!("{test} policies -- --ignored --nocapture")).check()
}

/// The session tests start a real `redis-server` each: without one they fail, never skip.
fn install_redis() -> Outcome {
    if Run::program("redis-server", "--version").works() {
        return Ok(());
    }
    let install = |apt: &str| -> Outcome {
        let (program, prefix) = apt.split_once(' ').unwrap_or((apt, ""));
        Run::program(program, &format!("{prefix} update")).check()?;
        Run::program(
            program,
            &format!("{prefix} install --yes --no-install-recommends redis-server"),
        )
        .env("DEBIAN_FRONTEND", "noninteractive")
        .check()
    };
    let is_root = Run::program("sh", "-c").arg("test \"$(id -u)\" = 0").works();
    let installed = if !Run::program("apt-get", "--version").works() {
        Err("this system has no apt-get".to_owned())
    } else if is_root {
        install("apt-get")
    } else {
        install("sudo apt-get")
    };
    installed.map_err(|why| {
        format!(
            "the tests need a redis-server (7.0 or later) in PATH, and installing it failed: {why}.\n\
             Install it yourself (Debian, Ubuntu: apt-get install redis-server; Fedora: dnf install \
             redis; macOS: brew install redis) and run this again."
        )
    })
}
