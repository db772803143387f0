//! The long runs of the proxy, and its measurements.
//!
//! What measures wants a machine with nothing else to do.

use crate::{
    run::{Outcome, Run, number},
    test::install,
};

/// The policies: in simulation, which takes no quiet, and over real servers.
pub(crate) fn policies(_: &[String]) -> Outcome {
    test("simulation").args("--nocapture --test-threads 1").check()?;
    test("policies").args("--ignored --nocapture").check()
}

/// `[REQUESTS]`, a million if none.
pub(crate) fn mixed(arguments: &[String]) -> Outcome {
    let requests = number(arguments, "requests")?.unwrap_or(1_000_000);
    install("redis-server", "--version", "redis-server")?;
    test("mixed").args("--nocapture").env("RONDEL_REQUESTS", &requests.to_string()).check()
}

/// `[MINUTES]`, ten if none.
pub(crate) fn chaos(arguments: &[String]) -> Outcome {
    let minutes = number(arguments, "minutes")?.unwrap_or(10);
    install("redis-server", "--version", "redis-server")?;
    let seconds = (60 * minutes).to_string();
    test("chaos").args("--nocapture").env("RONDEL_CHAOS_SECONDS", &seconds).check()
}

pub(crate) fn sizing(_: &[String]) -> Outcome {
    test("sizing").arg("--nocapture").check()
}

pub(crate) fn session_cost(_: &[String]) -> Outcome {
    install("redis-server", "--version", "redis-server")?;
    bench("session_cost").check()
}

pub(crate) fn dashboards(_: &[String]) -> Outcome {
    bench("dashboards").check()
}

fn test(name: &str) -> Run {
    Run::cargo(&format!("test --profile measure --package rondel-proxy --test {name} --"))
}

fn bench(name: &str) -> Run {
    Run::cargo(&format!("bench --package rondel-proxy --bench {name}"))
}
