//! Runs under the tools that watch memory. All need a nightly tool chain.

use crate::{
    run::{Outcome, Run},
    test::install,
};

/// A collector that goes with its test: what is there at the end is a leak.
const OWN_COLLECTOR: &str = "--cfg rondel_own_collector";

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What the quick forms run under a sanitizer: the tests that end soonest, and still share and
/// reclaim members.
const QUICK: &str = "--test api --test reclaim";

/// Tree borrows and permissive provenance: crossbeam-epoch tags its pointers as integers.
const MIRI: &str = "-Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-preemption-rate=0.3 \
                    -Zmiri-disable-isolation";

/// Undefined behaviour, data races and leaks. `[SEEDS]`: on how many schedules to run what shares a
/// ring among threads, 16 if none. The tests of one thread run on one, here, on a 32-bit target, and
/// on a big-endian one.
pub(crate) fn miri(arguments: &[String]) -> Outcome {
    let seeds = match arguments {
        [] => 16,
        [quick] if quick == "quick" => return miri_on("--lib --test api", 1),
        [seeds] => seeds.parse().map_err(|_| format!("`{seeds}` is no number of seeds"))?,
        _ => return Err("takes the number of seeds, or `quick`".to_owned()),
    };
    miri_on("--lib --test api", 1)?;
    // The tests of the checker itself share nothing, and search for minutes here.
    miri_on("--test reclaim --test stress --test linearizability -- --skip checker", seeds)?;
    for (processor, debian) in [("i686", "i386"), ("s390x", "s390x")] {
        // Something that the benches depend on compiles C for the target, though nothing calls it.
        let compiler = format!("{processor}-linux-gnu-gcc");
        let packages = format!("gcc-{processor}-linux-gnu libc6-dev-{debian}-cross");
        install(&compiler, "--version", &packages)?;
        miri_on(&format!("--lib --test api --target {processor}-unknown-linux-gnu"), 1)?;
    }
    Ok(())
}

fn miri_on(tests: &str, seeds: u32) -> Outcome {
    miri_run()?
        .args(tests)
        .env("MIRIFLAGS", &format!("{MIRI} -Zmiri-many-seeds=0..{seeds}"))
        .check()
}

/// `cargo miri test` of the ring, which finds what is never freed too.
pub(crate) fn miri_run() -> Outcome<Run> {
    needs_nightly("miri rust-src")?;
    // Below wherever it runs: from one that it shared, a copy's build would be taken for the ring's.
    Ok(Run::cargo("+nightly miri test --package rondel --target-dir target/miri")
        .env("MIRIFLAGS", MIRI)
        .env("RUSTFLAGS", OWN_COLLECTOR)
        // A panic that is expected would take minutes to show where it came from.
        .env("RUST_BACKTRACE", "0"))
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
    let flags = format!("--cfg crossbeam_sanitize {OWN_COLLECTOR}");
    sanitized("address", tests, "--target-dir target/asan", &flags)
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
