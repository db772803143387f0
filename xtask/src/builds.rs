//! Builds of the crate that no test makes: old compilers, old dependencies, other targets, the
//! documentation as docs.rs builds it, and the question what its API shows of others.

use std::{fs, path::Path};

use crate::{
    files, manifest, package,
    run::{Outcome, Run, root},
    sanitize::needs_nightly,
};

/// Targets that only have to compile: no linker, and nobody to run them, is needed for that.
const TARGETS: [&str; 5] = [
    "aarch64-apple-darwin",
    "aarch64-unknown-linux-gnu",
    "i686-unknown-linux-gnu",
    "wasm32-unknown-unknown",
    "x86_64-pc-windows-gnu",
];

/// Each package with the oldest compiler that its manifest names.
pub(crate) fn msrv(_: &[String]) -> Outcome {
    let check = |package: &str, arguments: &str| {
        let version = manifest::text(package, "rust-version")?;
        Run::program("rustup", "toolchain install --profile minimal").arg(&version).check()?;
        Run::cargo(&format!("+{version} check --target-dir target/msrv"))
            .args(arguments)
            .args("--locked")
            .check()
    };
    // The crate's tests and examples may use what its users need not have.
    check("Cargo.toml", "--package rondel --lib")?;
    check("proxy/Cargo.toml", "--package rondel-proxy")
}

/// The crate with the oldest dependencies that its manifest admits, by the oldest compiler.
pub(crate) fn minimal(_: &[String]) -> Outcome {
    needs_nightly("")?;
    let version = manifest::text("Cargo.toml", "rust-version")?;
    Run::program("rustup", "toolchain install --profile minimal").arg(&version).check()?;
    // In a copy, whose lock file is its own.
    let copy = root().join("target/minimal");
    copy_crate(&copy)?;
    Run::cargo("+nightly -Zdirect-minimal-versions generate-lockfile").inside(&copy).check()?;
    Run::cargo(&format!("+{version} check --lib --locked --target-dir ../msrv"))
        .inside(&copy)
        .check()
}

/// The crate for targets that this machine is not.
pub(crate) fn cross(_: &[String]) -> Outcome {
    Run::program("rustup", "target add").args(&TARGETS.join(" ")).check()?;
    for target in TARGETS {
        Run::cargo("check --package rondel --lib --target-dir target/targets --target")
            .arg(target)
            .check()?;
    }
    Ok(())
}

/// The crate's pages, as docs.rs builds them, without a warning; and their examples.
pub(crate) fn docs(_: &[String]) -> Outcome {
    needs_nightly("")?;
    Run::cargo("+nightly rustdoc --package rondel --lib --target-dir target/docs")
        .args("-Zrustdoc-map -- --cfg docsrs --deny warnings")
        .check()?;
    // Only a nightly compiler compares the codes of examples that must not compile.
    Run::cargo("+nightly test --package rondel --doc --target-dir target/docs").check()
}

/// That no type of a dependency is in the crate's API, so that each can be changed without a
/// breaking release. The manifest declares no dependency public, and the compiler checks that.
pub(crate) fn api(_: &[String]) -> Outcome {
    needs_nightly("")?;
    Run::cargo("+nightly rustc --package rondel --lib --profile check -Zpublic-dependency")
        .args("--target-dir target/api -- --deny exported-private-dependencies")
        .check()
}

/// Copies what is published: the manifest as it is published too, with no path in it.
fn copy_crate(to: &Path) -> Outcome {
    let packaged = package::unpacked()?;
    let _ = fs::remove_dir_all(to);
    files::copy(&packaged, to)?;
    let lock = to.join("Cargo.lock");
    fs::remove_file(&lock).map_err(files::failed(&lock))?;
    // Else cargo would take it for a lost member of this workspace.
    let manifest = to.join("Cargo.toml");
    files::write(&manifest, format!("{}\n[workspace]\n", files::read(&manifest)?))
}
