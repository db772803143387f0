//! The ring with one line weakened at a time: for each, some model or test must fail.
//!
//! A mutant that survives is a missing model or a line that is not needed. The list is the
//! evidence that the models look where they should; `src/docs/mutants.md` is its report.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use self::table::MUTANTS;
use crate::{
    files,
    run::{Ended, Outcome, Run, root},
    sanitize,
};

mod table;

/// How many mutants the quick form tries, or one more: every so many of the list.
const SAMPLE: usize = 6;

/// How long the tests may take that are to find one.
const PATIENCE: Duration = Duration::from_mins(30);

struct Mutant {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    killer: Killer,
}

#[derive(Clone, Copy)]
enum Killer {
    /// A model without reclamation, or all whose names contain this; or else one with.
    Model(&'static str),
    /// The same, over the real reclamation at once.
    Reclaimed(&'static str),
    /// The tests of one file.
    Test(&'static str),
    /// The tests of what happens at the end of every number.
    Small,
    /// The tests of that name under Miri, which sees what is never freed.
    Leak(&'static str),
}

const fn mutant(
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    killer: Killer,
) -> Mutant {
    Mutant { name, file, from, to, killer }
}

/// `[all]`, or a part of a name: a sample by default.
pub(crate) fn all(arguments: &[String]) -> Outcome {
    let mutants: Vec<&Mutant> = match arguments {
        [] => MUTANTS.iter().step_by(MUTANTS.len() / SAMPLE).collect(),
        [all] if all == "all" => MUTANTS.iter().collect(),
        [part] => MUTANTS.iter().filter(|mutant| mutant.name.contains(part)).collect(),
        _ => return Err("takes nothing, `all`, or a part of a mutant's name".to_owned()),
    };
    if mutants.is_empty() {
        return Err(format!("no mutant has `{}` in its name", arguments.join(" ")));
    }
    // All of them, so that the sample tells of one that has come out of use.
    for mutant in MUTANTS {
        mutant.text()?;
    }
    let tree = copy_tree()?;
    let mut survivors = Vec::new();
    let mut report = String::from(REPORT);
    for mutant in &mutants {
        let began = Instant::now();
        let killer = mutant.killer(&tree)?;
        let verdict = killer.as_deref().unwrap_or("NOBODY");
        println!("{:5.1} s  {} | {verdict}", began.elapsed().as_secs_f64(), mutant.name);
        let _ = writeln!(report, "| {} | `{}` | {verdict} |", mutant.name, mutant.file);
        if killer.is_none() {
            survivors.push(mutant.name);
        }
    }
    println!("{} mutants, {} survived", mutants.len(), survivors.len());
    if mutants.len() == MUTANTS.len() {
        files::write(root().join("src/docs/mutants.md"), report)?;
    }
    if survivors.is_empty() { Ok(()) } else { Err(format!("survivors: {survivors:?}")) }
}

const REPORT: &str = "\
Each line of the ring that a proof rests upon, weakened or left out, and the first model or test
that failed for it. Written by `cargo xtask mutants all`.

| mutant | in | found by |
| --- | --- | --- |
";

impl Mutant {
    /// The first model or test that fails for this mutant.
    fn killer(&self, tree: &Path) -> Outcome<Option<String>> {
        let file = tree.join(self.file);
        let original = self.text()?;
        files::write(&file, original.replace(self.from, self.to))?;
        let killer = self.first_to_fail(tree);
        files::write(&file, original)?;
        killer
    }

    /// The file that the mutant changes, at one place.
    fn text(&self) -> Outcome<String> {
        let text = files::read(root().join(self.file))?;
        if text.matches(self.from).count() == 1 {
            return Ok(text);
        }
        Err(format!("{}: `{}` does not occur once in {}", self.name, self.from, self.file))
    }

    fn first_to_fail(&self, tree: &Path) -> Outcome<Option<String>> {
        let transcript = tree.join("../transcript");
        for (command, preemptions, filter) in self.commands() {
            let run = || {
                let run = match self.killer {
                    Killer::Leak(_) => sanitize::miri_run()?.args(&command),
                    _ => Run::cargo(&command),
                };
                Outcome::Ok(
                    run.inside(tree)
                        .env("RONDEL_PREEMPTIONS", preemptions)
                        // A mutant that only leaves less to explore has not been found out.
                        .env("RONDEL_FLOORS", "off")
                        .env("RONDEL_MODEL_EXECUTIONS", "200000"),
                )
            };
            if !run()?.arg("--no-run").works() {
                return Err(format!("{} does not compile", self.name));
            }
            match run()?.arg(filter).ends_within(PATIENCE, &transcript, a_test_failed)? {
                Ended::Well => {}
                Ended::Badly => {
                    return Ok(Some(first_failure(&files::read(&transcript)?)));
                }
                // Neither found nor survived: a machine that is busy must not find mutants.
                Ended::Never => return Err(format!("{}: `{command}` does not end", self.name)),
            }
        }
        Ok(None)
    }

    /// The commands of which one is to fail; for each, how many preemptions its models may make if
    /// not as many as in the quick form, and the filter of its tests.
    fn commands(&self) -> Vec<(String, &'static str, &'static str)> {
        let (alone, over) = ("loom-protocol".to_owned(), "loom".to_owned());
        match self.killer {
            // Most are found soon.
            Killer::Model(name) => {
                vec![(alone.clone(), "2", name), (alone, "", name), (over, "", name)]
            }
            Killer::Reclaimed(name) => vec![(over, "", name)],
            Killer::Small => vec![("small".to_owned(), "", "")],
            Killer::Leak(test) => vec![("--test api".to_owned(), "", test)],
            Killer::Test("lib") => vec![("test --package rondel --lib".to_owned(), "", "")],
            Killer::Test(file) => {
                vec![(format!("test --release --package rondel --test {file}"), "", "")]
            }
        }
    }
}

/// The others need not end.
fn a_test_failed(transcript: &str) -> bool {
    failed_tests(transcript).next().is_some()
}

fn failed_tests(transcript: &str) -> impl Iterator<Item = &str> {
    transcript.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
}

fn first_failure(transcript: &str) -> String {
    if transcript.contains("error: memory leaked") {
        return "Miri's look at what was never freed".to_owned();
    }
    // One that ends its whole process has no such line, and its thread has its name.
    let panicked = || transcript.split_once("thread '")?.1.split_once('\'').map(|(name, _)| name);
    let failed = failed_tests(transcript).next().or_else(panicked);
    failed.map_or_else(|| "a test that ends badly".to_owned(), |name| format!("`{name}`"))
}

/// A copy of what the mutants need, so that the working tree stays as it is. It lies within the
/// workspace, whose `.cargo/config.toml` it shares, and has a `target` of its own.
fn copy_tree() -> Outcome<PathBuf> {
    let tree = root().join("target/mutants/tree");
    let _ = fs::remove_dir_all(&tree);
    for part in [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "src",
        "tests",
        "benches",
        "proxy/Cargo.toml",
        "proxy/benches",
        "proxy/examples",
        "xtask/Cargo.toml",
    ] {
        files::copy(&root().join(part), &tree.join(part))?;
    }
    for member in ["proxy", "xtask"] {
        let folder = tree.join(member).join("src");
        files::make_folder(&folder)?;
        files::write(folder.join("main.rs"), "fn main() {}\n")?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{MUTANTS, first_failure};

    /// So that a change of the ring that leaves a mutant behind is told at once.
    #[test]
    fn every_mutant_changes_one_place_and_has_a_name_of_its_own() {
        for mutant in MUTANTS {
            mutant.text().unwrap();
            assert_ne!(mutant.from, mutant.to, "{}", mutant.name);
        }
        let names: BTreeSet<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), MUTANTS.len());
    }

    #[test]
    fn what_failed_first_is_named_however_it_failed() {
        let failed = "test a ... ok\ntest m::b ... FAILED\ntest c ... FAILED\n";
        assert_eq!(first_failure(failed), "`m::b`");
        assert_eq!(first_failure("\nthread 'm::d' (12) panicked at x\n"), "`m::d`");
        assert_eq!(
            first_failure("test e ... ok\nerror: memory leaked: 8 bytes\n"),
            "Miri's look at what was never freed"
        );
        assert_eq!(first_failure("killed"), "a test that ends badly");
    }
}
