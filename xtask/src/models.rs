//! The ring's models: every interleaving of a few calls, over the real reclamation.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use crate::run::{Outcome, Run, root};

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
        let table = table(&alone, &over);
        fs::write(root().join("src/docs/models.md"), table).map_err(|error| error.to_string())?;
    }
    Ok(())
}

const HEAD: &str = "\
What each model explored: executions, and seconds. A number of preemptions bounds how often a thread
is stopped where it could go on; `any` is every interleaving. *not all*: there are more executions
within the bound than a search may take (`RONDEL_MODEL_EXECUTIONS`). Without reclamation there are
fewer steps, so that more is explored. Written by `cargo xtask models full`.

| model | preemptions | without reclamation | over the real one |
| --- | --- | --- | --- |
";

/// One row for each model and bound.
fn table(alone: &str, over: &str) -> String {
    let mut rows: BTreeMap<(&str, &str), [String; 2]> = BTreeMap::new();
    for (column, text) in [alone, over].into_iter().enumerate() {
        for line in text.lines() {
            let Some(explored) = Explored::from(line) else { continue };
            rows.entry((explored.model, explored.preemptions)).or_default()[column] =
                explored.result;
        }
    }
    let mut table = HEAD.to_owned();
    for ((model, preemptions), [alone, over]) in &rows {
        let _ = writeln!(table, "| `{model}` | {preemptions} | {alone} | {over} |");
    }
    table
}

/// A line that a model has printed: see `tests/loom/explore.rs`.
struct Explored<'l> {
    model: &'l str,
    preemptions: &'l str,
    result: String,
}

impl<'l> Explored<'l> {
    fn from(line: &'l str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["model", model, _, "x", preemptions, _, executions, _, seconds, rest @ ..] =
            &words[..]
        else {
            return None;
        };
        let cut = if rest.is_empty() || rest == ["s"] { "" } else { ", *not all*" };
        Some(Self { model, preemptions, result: format!("{executions}, {seconds} s{cut}") })
    }
}
