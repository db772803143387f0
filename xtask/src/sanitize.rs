//! Runs under the tools that watch memory. All need a nightly tool chain.

use crate::run::{Outcome, Run};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The tests that are about memory, or about threads. (The others make the same calls, for longer.)
const TESTS: &str = "--lib --test api --test reclaim --test stress --test linearizability";

/// What the quick forms run under a sanitizer: the tests that end soonest, and still share and
/// reclaim members. Under Miri one churn of those would take ten minutes.
const QUICK: &str = "--test api --test reclaim";
const QUICK_MIRI: &str = "--lib --test api";

/// Undefined behaviour and data races, on many schedules. `[SEEDS]`: how many, 16 if none. Then one
/// schedule on a 32-bit target, and one on a big-endian one.
pub(crate) fn miri(arguments: &[String]) -> Outcome {
    let (tests, seeds) = match arguments {
        [] => (TESTS, 16),
        [quick] if quick == "quick" => (QUICK_MIRI, 1),
        [seeds] => (TESTS, seeds.parse().map_err(|_| format!("`{seeds}` is no number of seeds"))?),
        _ => return Err("takes the number of seeds, or `quick`".to_owned()),
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
    run(tests, &format!("{flags} -Zmiri-many-seeds=0..{seeds}"))?;
    if tests == QUICK_MIRI {
        return Ok(());
    }
    for target in ["i686-unknown-linux-gnu", "s390x-unknown-linux-gnu"] {
        run(&format!("--lib --test api --target {target}"), flags)?;
    }
    Ok(())
}

/// Data races. Blind to orderings that the processor does not reorder; own fences are not used.
pub(crate) fn thread(arguments: &[String]) -> Outcome {
    let tests = sanitized_tests(arguments)?;
    needs_nightly("rust-src")?;
    // crossbeam-epoch sees the sanitizer, and takes a form without fences, which it understands.
    sanitized("thread", tests, "-Zbuild-std --target-dir target/tsan", "")
}

/// Use after free and leaks, with a collector that frees as soon as it may.
pub(crate) fn address(arguments: &[String]) -> Outcome {
    let tests = sanitized_tests(arguments)?;
    needs_nightly("")?;
    sanitized("address", tests, "--target-dir target/asan", "--cfg crossbeam_sanitize")
}

fn sanitized_tests(arguments: &[String]) -> Outcome<&'static str> {
    match arguments {
        [] => Ok("--lib --tests"),
        [quick] if quick == "quick" => Ok(QUICK),
        _ => Err("takes nothing, or `quick`".to_owned()),
    }
}

fn sanitized(sanitizer: &str, tests: &str, arguments: &str, flags: &str) -> Outcome {
    Run::cargo("+nightly test --no-fail-fast --package rondel --profile loom --target")
        .arg(TARGET)
        .args(tests)
        .args(arguments)
        // They count calls of the system and of the allocator, and a sanitizer makes both.
        .args("-- --skip a_pick_does_not")
        .env("RUSTFLAGS", &format!("-Zsanitizer={sanitizer} {flags}"))
        .env("ASAN_OPTIONS", "detect_stack_use_after_return=1:detect_leaks=1")
        .check()
}

pub(crate) fn needs_nightly(components: &str) -> Outcome {
    let add = format!("component add --toolchain nightly {components}");
    if !Run::cargo("+nightly --version").works() {
        Run::program("rustup", "toolchain install nightly --profile minimal").check()?;
    }
    if components.is_empty() { Ok(()) } else { Run::program("rustup", &add).check() }
}
