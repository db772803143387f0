//! The studies of the ring: runs them, and keeps what they found.

use std::fs;

use crate::{
    drawings, files,
    record::{self, Record, Row},
    run::{Outcome, Run, root},
};

/// The benches, in the order of the report; the last is a package of its own, for what it needs.
const STUDIES: [&str; 8] =
    ["next", "size", "churn", "tail", "update", "fairness", "skip", "pingora"];

/// `[--draw | STUDY…]`: all studies if none; those not named keep their figures of before.
pub(crate) fn all(arguments: &[String]) -> Outcome {
    let draw_only = arguments == ["--draw"];
    let named: Vec<&str> = match arguments {
        [] => STUDIES.to_vec(),
        _ if draw_only => Vec::new(),
        names => names.iter().map(String::as_str).collect(),
    };
    if let Some(unknown) = named.iter().find(|name| !STUDIES.contains(name)) {
        return Err(format!("there is no study `{unknown}`, only {}", STUDIES.join(", ")));
    }
    let mut record = Record::of_today()?;
    if let Some(newest) = Record::newest()?
        && (draw_only || newest.machine == record.machine)
    {
        let date = if draw_only { newest.date.clone() } else { record.date };
        record = Record { date, ..newest };
    }
    for study in named {
        record.take(measured(study, "tables")?);
        record.write()?;
    }
    drawings::draw(&record)
}

/// Runs one study; the rows that it wrote.
pub(crate) fn measured(study: &str, how: &str) -> Outcome<Vec<Row>> {
    let file = root().join("target").join(format!("bench-{study}.csv"));
    let _ = fs::remove_file(&file);
    let run = if study == "pingora" {
        // Its own workspace would have its own target folder, within the published one.
        Run::cargo("run --release --manifest-path benches/pingora/Cargo.toml")
            .args("--target-dir target/pingora -- --bench")
    } else {
        Run::cargo("bench --package rondel --bench").arg(study)
    };
    run.env("RONDEL_BENCH", how).env("RONDEL_BENCH_CSV", &file.to_string_lossy()).check()?;
    record::rows(&files::read(&file)?)
}
