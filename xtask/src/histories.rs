//! The ring's histories: real threads, in bursts of calls that overlap, for minutes.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use crate::run::{Outcome, Run, number};

/// Overlapping calls that each minute must come to: in fewer, little is shown.
const FLOOR_PER_MINUTE: u64 = 5_000_000;

/// So many times longer it may take on a machine that does other things too.
const PATIENCE: u32 = 4;

/// How long one run of the checker is, in its own unit: some seconds.
const LENGTH: &str = "5";

/// Checks histories for so many minutes, 10 if none, with pauses between the steps of the calls.
pub(crate) fn all(arguments: &[String]) -> Outcome {
    let minutes = number(arguments, "minutes")?.unwrap_or(10);
    let floor = minutes * FLOOR_PER_MINUTE;
    let sum = check(Duration::from_secs(60 * minutes), floor)?;
    println!(
        "{} calls, {} of them overlapping, {} pauses, 0 violations",
        sum.calls, sum.overlapping, sum.pauses
    );
    if sum.pauses == 0 {
        return Err("no thread ever paused: is --cfg rondel_steps set?".to_owned());
    }
    if sum.overlapping < floor {
        return Err(format!("fewer than {floor} calls overlapped another"));
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    calls: u64,
    overlapping: u64,
    pauses: u64,
}

/// Runs of the checker for that time, and on until `floor` is met or patience ends.
fn check(length: Duration, floor: u64) -> Outcome<Counts> {
    let began = Instant::now();
    let seeds = RandomState::new();
    let mut sum = Counts::default();
    for round in 0_u64.. {
        let elapsed = began.elapsed();
        if elapsed >= PATIENCE * length || (elapsed >= length && sum.overlapping >= floor) {
            break;
        }
        let seed = seeds.hash_one(round);
        // At every other step, or at few: then threads meet in the midst of long calls.
        let pauses = [2, 3, 4, 8][usize::try_from(round % 4).unwrap_or(0)];
        let counts = burst(seed, pauses).map_err(|why| format!("seed {seed}: {why}"))?;
        sum.calls += counts.calls;
        sum.overlapping += counts.overlapping;
        sum.pauses += counts.pauses;
        println!(
            "{:5.0} s  seed {seed:20}, a pause in {pauses} steps: {:9} calls, {:8} overlapping, 0 violations",
            began.elapsed().as_secs_f64(),
            counts.calls,
            counts.overlapping
        );
    }
    Ok(sum)
}

/// One run of the checker, some seconds.
fn burst(seed: u64, pauses: u64) -> Outcome<Counts> {
    let output =
        Run::cargo("test --quiet --target-dir target/steps --profile loom --package rondel")
            .arg("--config")
            .arg("build.rustflags=['--cfg','rondel_steps']")
            .args("--test linearizability bursts_of_overlapping_calls -- --nocapture")
            .env("RONDEL_SEED", &seed.to_string())
            .env("RONDEL_PAUSES", &pauses.to_string())
            .env("RONDEL_SOAK", LENGTH)
            .output()?;
    let line = output.lines().find(|line| line.contains(" overlapping, "));
    let numbers: Vec<u64> = line
        .unwrap_or_default()
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    let [calls, overlapping, pauses] = numbers[..] else {
        return Err(format!("the checker did not say what it checked:\n{output}"));
    };
    Ok(Counts { calls, overlapping, pauses })
}
