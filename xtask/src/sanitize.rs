//! Runs under the tools that watch memory. All need a nightly tool chain.

use crate::run::{Outcome, Run};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Undefined behaviour, data races and leaks, on many schedules. `[SEEDS]`: how many, 16 if none.
pub(crate) fn miri(arguments: &[String]) -> Outcome {
    let seeds = match arguments {
        [] => 16,
        [seeds] => seeds.parse::<u32>().map_err(|_| format!("`{seeds}` is no number of seeds"))?,
        _ => return Err("takes the number of seeds".to_owned()),
    };
    needs_nightly("miri rust-src")?;
    // Tree borrows and permissive provenance: crossbeam-epoch tags its pointers as integers.
    // Leaks are ignored for its global collector, which outlives the main thread; that every
    // value is dropped is checked by the tests' own counts.
    let flags = format!(
        "-Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-ignore-leaks \
         -Zmiri-many-seeds=0..{seeds} -Zmiri-preemption-rate=0.3 -Zmiri-disable-isolation"
    );
    Run::cargo("+nightly miri test --package rondel --target-dir target/miri --lib --test api --test reclaim --test stress --test linearizability")
        .env("MIRIFLAGS", &flags)
        .check()
}

/// Data races. Blind to orderings that the processor does not reorder; own fences are not used.
pub(crate) fn thread(_: &[String]) -> Outcome {
    needs_nightly("rust-src")?;
    Run::cargo("+nightly test --package rondel --lib --tests --release -Zbuild-std --target-dir target/tsan")
        .arg("--target").arg(TARGET)
        .env("RUSTFLAGS", "-Zsanitizer=thread")
        .check()
}

/// Use after free and leaks, with a collector that frees as soon as it may.
pub(crate) fn address(_: &[String]) -> Outcome {
    needs_nightly("")?;
    Run::cargo("+nightly test --package rondel --lib --tests --release --target-dir target/asan")
        .arg("--target")
        .arg(TARGET)
        .env("RUSTFLAGS", "-Zsanitizer=address --cfg crossbeam_sanitize")
        .env("ASAN_OPTIONS", "detect_stack_use_after_return=1")
        .check()
}

fn needs_nightly(components: &str) -> Outcome {
    let add = format!("component add --toolchain nightly {components}");
    if !Run::cargo("+nightly --version").works() {
        return Err("needs a nightly tool chain: rustup toolchain install nightly".to_owned());
    }
    if components.is_empty() { Ok(()) } else { Run::program("rustup", &add).check() }
}
