//! The rules that no linter knows. Each names the file and line of what breaks it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    links,
    run::{Outcome, root},
};

/// How many lines above a use its comment may end.
const NEAR: usize = 8;
/// Past this many lines of code, a file has a second idea in it.
const LONG: usize = 400;

struct Source {
    path: PathBuf,
    lines: Vec<String>,
}

/// Checks every rule and lists every breach.
pub(crate) fn all(_: &[String]) -> Outcome {
    let mut breaches = Vec::new();
    let sources = sources(&root())?;
    if sources.len() < 10 {
        return Err(format!("only {} source files found: is this the workspace?", sources.len()));
    }
    for source in &sources {
        for (number, line) in source.lines.iter().enumerate() {
            for rule in [
                atomics_come_from_sync,
                orderings_are_explained,
                safety_names_an_invariant,
                nothing_is_left_to_do,
            ] {
                if let Some(why) = rule(source, number, line) {
                    breaches.push(format!("{}:{}: {why}", source.path.display(), number + 1));
                }
            }
        }
        if let Some(why) = is_too_long(source) {
            breaches.push(format!("{}: {why}", source.path.display()));
        }
    }
    breaches.extend(links::dead()?);
    if breaches.is_empty() {
        println!("rules: {} files keep them", sources.len());
        return Ok(());
    }
    Err(format!("{} breaches\n{}", breaches.len(), breaches.join("\n")))
}

/// A model that runs over other atomics than the program proves nothing.
fn atomics_come_from_sync(source: &Source, _: usize, line: &str) -> Option<&'static str> {
    let named =
        ["core", "std", "loom"].iter().any(|of| line.contains(&format!("{of}::sync::atomic")));
    (source.is_ring() && !source.path.ends_with("src/sync.rs") && named)
        .then_some("atomics come from `crate::sync` alone")
}

fn orderings_are_explained(source: &Source, number: usize, line: &str) -> Option<&'static str> {
    let used = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"]
        .iter()
        .any(|ordering| line.contains(&format!("Ordering::{ordering}")));
    (source.is_ring() && used && !source.is_said_near(number, "ORDERING:"))
        .then_some("an ordering says why, in a comment that begins with `ORDERING:`")
}

fn safety_names_an_invariant(source: &Source, _: usize, line: &str) -> Option<&'static str> {
    let names = line.split_once("// SAFETY:").is_none_or(|(_, claim)| {
        claim.trim_start().starts_with('N')
            && claim.trim_start()[1..].starts_with(|digit: char| digit.is_ascii_digit())
    });
    (source.is_ring() && !names).then_some("a SAFETY comment begins with the invariant it rests on")
}

fn nothing_is_left_to_do(source: &Source, _: usize, line: &str) -> Option<&'static str> {
    let left = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "XX".to_owned() + "X"];
    (!source.path.ends_with("rules.rs") && left.iter().any(|word| line.contains(word)))
        .then_some("what is left to do belongs into an issue")
}

fn is_too_long(source: &Source) -> Option<String> {
    let code = source.lines.iter().map(|line| line.trim());
    let code =
        code.take_while(|line| !line.starts_with("#[cfg(all(test") && *line != "#[cfg(test)]");
    let count = code.filter(|line| !line.is_empty() && !line.starts_with("//")).count();
    (source.is_shipped() && count > LONG)
        .then(|| format!("{count} lines of code: past {LONG} a file has a second idea in it"))
}

impl Source {
    fn is_ring(&self) -> bool {
        self.path.starts_with("src")
    }

    fn is_shipped(&self) -> bool {
        self.is_ring() || self.path.starts_with("proxy/src")
    }

    fn is_said_near(&self, number: usize, what: &str) -> bool {
        self.lines[number.saturating_sub(NEAR)..=number].iter().any(|line| line.contains(what))
    }
}

/// All Rust files of the workspace, with paths from its root.
fn sources(root: &Path) -> Outcome<Vec<Source>> {
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches", "examples", "proxy", "xtask"] {
        collect(root, Path::new(folder), &mut found)
            .map_err(|error| format!("{folder}: {error}"))?;
    }
    Ok(found)
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) -> std::io::Result<()> {
    if !root.join(folder).is_dir() || folder.ends_with("target") {
        return Ok(());
    }
    for entry in fs::read_dir(root.join(folder))? {
        let path = folder.join(entry?.file_name());
        if root.join(&path).is_dir() {
            collect(root, &path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(root.join(&path))?;
            found.push(Source { path, lines: text.lines().map(str::to_owned).collect() });
        }
    }
    Ok(())
}
