//! The ring's models: every interleaving of a few calls, over the real reclamation.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    files,
    run::{Outcome, Run, root},
};

/// All models, without any reclamation and over the real one; `full` leaves fewer bounds, and
/// writes the table of all models into the docs.
pub(crate) fn all(arguments: &[String]) -> Outcome {
    let is_full = match arguments {
        [] => false,
        [full] if full == "full" => true,
        _ => return Err("takes nothing, or `full`".to_owned()),
    };
    let explore = |alias| {
        let run = Run::cargo(alias).env("RONDEL_MODELS", if is_full { "full" } else { "quick" });
        run.args("-- --nocapture").env("RUST_BACKTRACE", "0").watched()
    };
    let (alone, over) = (explore("loom-protocol")?, explore("loom")?);
    if is_full {
        files::write(root().join("src/docs/models.md"), table(&alone, &over))?;
    }
    Ok(())
}

const HEAD: &str = "\
What each model explored: executions, and the seconds that they took, two searches at a time. A
number of preemptions bounds how often a thread is stopped where it could go on; `any` is every
interleaving. *not all*: there are more executions within the bound than a search may take
(`RONDEL_MODEL_EXECUTIONS`). Without reclamation there are fewer steps, so that more is explored.
Written by `cargo xtask models full`.

| model | preemptions | without reclamation | over the real one |
| --- | --- | --- | --- |
";

/// One row for each model and bound, and the sums.
fn table(alone: &str, over: &str) -> String {
    let mut rows: BTreeMap<(&str, &str), [String; 2]> = BTreeMap::new();
    let mut sums = [(0, 0.0); 2];
    for (column, text) in [alone, over].into_iter().enumerate() {
        for explored in text.lines().filter_map(Explored::from) {
            let Explored { model, preemptions, executions, seconds, is_cut } = explored;
            let cut = if is_cut { ", *not all*" } else { "" };
            rows.entry((model, preemptions)).or_default()[column] =
                format!("{executions}, {seconds:.1} s{cut}");
            sums[column].0 += executions;
            sums[column].1 += seconds;
        }
    }
    let mut table = HEAD.to_owned();
    for ((model, preemptions), [alone, over]) in &rows {
        let _ = writeln!(table, "| `{model}` | {preemptions} | {alone} | {over} |");
    }
    let [alone, over] = sums.map(|(executions, seconds)| format!("{executions}, {seconds:.0} s"));
    let _ = writeln!(table, "| in all | | {alone} | {over} |");
    table
}

/// A line that a model has printed: see `tests/loom/explore.rs`.
struct Explored<'l> {
    model: &'l str,
    preemptions: &'l str,
    executions: u64,
    seconds: f64,
    is_cut: bool,
}

impl<'l> Explored<'l> {
    fn from(line: &'l str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["model", model, _, "x", preemptions, _, executions, _, seconds, rest @ ..] =
            &words[..]
        else {
            return None;
        };
        Some(Self {
            model,
            preemptions,
            executions: executions.parse().ok()?,
            seconds: seconds.parse().ok()?,
            is_cut: !matches!(rest, [] | ["s"]),
        })
    }
}
