//! Every test, and what they need.

use crate::{
    examples, models,
    run::{Outcome, Run, number, root},
    steps,
};

/// Runs everything that must pass before a change is taken.
pub(crate) fn all(_: &[String]) -> Outcome {
    // The session tests start a real `redis-server` each: without one they fail, never skip.
    install("redis-server", "--version", "redis-server")?;
    install("redis-cli", "--version", "redis-tools")?;
    install("systemd-analyze", "--version", "systemd")?;
    // The example backends of `docs/sessions.md` are run in their own languages.
    install("python3", "--version", "python3")?;
    install("node", "--version", "nodejs")?;
    // Clients of HTTP/2 that others wrote.
    install("curl", "--version", "curl")?;
    install("h2load", "--version", "nghttp2-client")?;
    install_grpc()?;
    // The configurations in `docs/migrating.md` are looked at by whom they are for.
    install("nginx", "-v", "nginx")?;
    install("haproxy", "-v", "haproxy")?;
    install("caddy", "version", "caddy")?;
    // The tests of upgrades speak the whole protocol through the proxy.
    install("/usr/bin/python3", "-m websockets --version", "python3-websockets")?;
    // To the end, so that a run tells of all that fails.
    Run::cargo("test --workspace --no-fail-fast").check()?;
    // Each round of a bench checks its own answer; this tries them all, and measures nothing.
    Run::cargo("test --package rondel --benches").check()?;
    examples::all(&[])?;
    models::all(&[])?;
    steps::all(&[])
}

/// The crate alone, which needs nothing but Rust, and runs on every system.
pub(crate) fn of_crate(_: &[String]) -> Outcome {
    Run::cargo("test --package rondel").check()?;
    examples::all(&[])
}

/// gRPC's reference implementation, in a Python of the workspace's own.
fn install_grpc() -> Outcome {
    const VERSION: &str = "grpcio==1.85.1";
    let python = "target/python/bin/python3";
    if Run::program(python, "-c").arg("import grpc").works() {
        return Ok(());
    }
    install("python3", "-m ensurepip --version", "python3-venv")?;
    Run::program("python3", "-m venv target/python").check()?;
    Run::program(python, "-m pip install --quiet").arg(VERSION).check()
}

/// What other proxies do with the raw requests of the tests; writes `docs/http.md`.
pub(crate) fn compare_http(_: &[String]) -> Outcome {
    install("nginx", "-v", "nginx")?;
    install("haproxy", "-v", "haproxy")?;
    Run::cargo("test --package rondel-proxy --test compare_http -- --ignored --nocapture").check()
}

/// Requests with any byte at any place changed, by the tests' judge.
pub(crate) fn mutate_http(_: &[String]) -> Outcome {
    let test = "test --release --package rondel-proxy --test mutations -- --ignored --nocapture";
    Run::cargo(test).check()
}

/// `slowhttptest`, in each of its modes.
pub(crate) fn hostile(_: &[String]) -> Outcome {
    install("slowhttptest", "-h", "slowhttptest")?;
    let test = "test --release --package rondel-proxy --test hostile --";
    Run::cargo(test).args("--ignored --nocapture --test-threads 1").check()
}

/// Bytes that a fuzzer thinks of, by the tests' judge.
pub(crate) fn fuzz_http(arguments: &[String]) -> Outcome {
    let minutes = number(arguments, "minutes")?.unwrap_or(10);
    if !Run::cargo("fuzz --version").works() {
        Run::cargo("install cargo-fuzz --locked").check()?;
    }
    let proxy = root().join("proxy");
    Run::cargo("+nightly fuzz run requests fuzz/corpus/requests fuzz/seeds --")
        .args("-dict=fuzz/http.dict -max_len=2048 -timeout=30 -detect_leaks=0")
        .arg(&format!("-max_total_time={}", minutes * 60))
        .inside(&proxy)
        .check()
}

/// Installs a program by the system's package manager where it is missing.
pub(crate) fn install(program: &str, works: &str, package: &str) -> Outcome {
    if Run::program(program, works).works() {
        return Ok(());
    }
    let install = |apt: &str| -> Outcome {
        let (apt, prefix) = apt.split_once(' ').unwrap_or((apt, ""));
        Run::program(apt, &format!("{prefix} update")).check()?;
        Run::program(apt, &format!("{prefix} install --yes --no-install-recommends {package}"))
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
            "these tests need {program} in PATH, and installing it failed: {why}.\n\
             Install it yourself (Debian, Ubuntu: apt-get install {package}) and run this again."
        )
    })
}
