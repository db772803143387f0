//! Runs under the tools that watch memory. All need a nightly tool chain.

use crate::run::{Outcome, Run};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The tests that are about memory, or about threads. (The others make the same calls, for longer.)
const TESTS: &str = "--lib --test api --test reclaim --test stress --test linearizability";

/// Undefined behaviour and data races, on many schedules. `[SEEDS]`: how many, 16 if none. Then one
/// schedule on a 32-bit target, and one on a big-endian one.
pub(crate) fn miri(arguments: &[String]) -> Outcome {
    let seeds = match arguments {
        [] => 16,
        [seeds] => seeds.parse::<u32>().map_err(|_| format!("`{seeds}` is no number of seeds"))?,
        _ => return Err("takes the number of seeds".to_owned()),
    };
    needs_nightly("miri rust-src")?;
    // Tree borrows and permissive provenance: crossbeam-epoch tags its pointers as integers.
    // Leaks are ignored for its global collector, whose own nodes are never freed; that every
    // value is dropped is checked by the tests' own counts, and AddressSanitizer checks for leaks.
    let flags = "-Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-ignore-leaks \
                 -Zmiri-preemption-rate=0.3 -Zmiri-disable-isolation";
    let run = |arguments: &str, flags: &str| {
        Run::cargo("+nightly miri test --package rondel --target-dir target/miri")
            .args(arguments)
            .env("MIRIFLAGS", flags)
            // A panic that is expected would take minutes to show where it came from.
            .env("RUST_BACKTRACE", "0")
            .check()
    };
    run(TESTS, &format!("{flags} -Zmiri-many-seeds=0..{seeds}"))?;
    for target in ["i686-unknown-linux-gnu", "s390x-unknown-linux-gnu"] {
        run(&format!("--lib --test api --target {target}"), flags)?;
    }
    Ok(())
}

/// Data races. Blind to orderings that the processor does not reorder; own fences are not used.
pub(crate) fn thread(_: &[String]) -> Outcome {
    needs_nightly("rust-src")?;
    // crossbeam-epoch sees the sanitizer, and takes a form without fences, which it understands.
    sanitized("thread", "-Zbuild-std --target-dir target/tsan", "")
}

/// Use after free and leaks, with a collector that frees as soon as it may.
pub(crate) fn address(_: &[String]) -> Outcome {
    needs_nightly("")?;
    sanitized("address", "--target-dir target/asan", "--cfg crossbeam_sanitize")
}

fn sanitized(sanitizer: &str, arguments: &str, flags: &str) -> Outcome {
    Run::cargo(
        "+nightly test --no-fail-fast --package rondel --lib --tests --profile loom --target",
    )
    .arg(TARGET)
    .args(arguments)
    // It forbids calls of the system, which the sanitizer makes.
    .args("-- --skip a_pick_does_not_call_the_system")
    .env("RUSTFLAGS", &format!("-Zsanitizer={sanitizer} {flags}"))
    .env("ASAN_OPTIONS", "detect_stack_use_after_return=1:detect_leaks=1")
    .check()
}

fn needs_nightly(components: &str) -> Outcome {
    let add = format!("component add --toolchain nightly {components}");
    if !Run::cargo("+nightly --version").works() {
        return Err("needs a nightly tool chain: rustup toolchain install nightly".to_owned());
    }
    if components.is_empty() { Ok(()) } else { Run::program("rustup", &add).check() }
}
