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

use crate::{
    files,
    run::{Ended, Outcome, Run, root},
    sanitize,
};

/// How many mutants the quick form tries: every so many of the list.
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

use Killer::{Leak, Model, Reclaimed, Small, Test};

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
                    Leak(_) => sanitize::miri_run()?.args(&command),
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
            Model(name) => vec![(alone.clone(), "2", name), (alone, "", name), (over, "", name)],
            Reclaimed(name) => vec![(over, "", name)],
            Small => vec![("small".to_owned(), "", "")],
            Leak(test) => vec![("--test api".to_owned(), "", test)],
            Test("lib") => vec![("test --package rondel --lib".to_owned(), "", "")],
            Test(file) => {
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

const SLOT: &str = "src/raw/slot.rs";
const TABLE: &str = "src/raw/table.rs";
const LIST: &str = "src/raw/list.rs";
const TURN: &str = "src/raw/turn.rs";
const CLAIMS: &str = "src/raw/claims.rs";
const WORD: &str = "src/raw/word.rs";
const RECLAIM: &str = "src/raw/reclaim.rs";

/// Alphabetical by place: orderings first, rules after.
const MUTANTS: &[Mutant] = &[
    mutant(
        "E1: a link is published Relaxed",
        SLOT,
        "self.next.compare_exchange(old.0, new.0, Ordering::Release, Ordering::Relaxed)",
        "self.next.compare_exchange(old.0, new.0, Ordering::Relaxed, Ordering::Relaxed)",
        Model(""),
    ),
    mutant(
        "E4: a hint is only Release",
        SLOT,
        "self.prev.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed)",
        "self.prev.compare_exchange(old.0, new.0, Ordering::Release, Ordering::Relaxed)",
        Model(""),
    ),
    mutant(
        "E4: a hint is only Acquire",
        SLOT,
        "self.prev.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed)",
        "self.prev.compare_exchange(old.0, new.0, Ordering::Acquire, Ordering::Relaxed)",
        Model(""),
    ),
    mutant(
        "E1: a link is loaded Relaxed",
        SLOT,
        "Link(self.next.load(Ordering::Acquire))",
        "Link(self.next.load(Ordering::Relaxed))",
        Model(""),
    ),
    mutant(
        "E2: the cursor is read Relaxed",
        TURN,
        "Position(self.cursor.position.load(Ordering::Acquire))",
        "Position(self.cursor.position.load(Ordering::Relaxed))",
        Model(""),
    ),
    mutant(
        "E2: the echo is read Relaxed",
        TURN,
        "Position(self.cursor.echo.load(Ordering::Acquire))",
        "Position(self.cursor.echo.load(Ordering::Relaxed))",
        Model(""),
    ),
    mutant(
        "E2: the echo is stored Relaxed",
        TURN,
        "self.cursor.echo.store(to.0, Ordering::Release);",
        "self.cursor.echo.store(to.0, Ordering::Relaxed);",
        Model(""),
    ),
    mutant(
        "E2: the cursor moves Relaxed",
        TURN,
        ".compare_exchange(from.0, to.0, Ordering::Release, Ordering::Relaxed)",
        ".compare_exchange(from.0, to.0, Ordering::Relaxed, Ordering::Relaxed)",
        Model(""),
    ),
    mutant(
        "E4: a hint is loaded Relaxed",
        SLOT,
        "Hint(self.prev.load(Ordering::Acquire))",
        "Hint(self.prev.load(Ordering::Relaxed))",
        Model(""),
    ),
    mutant(
        "E4: unlinked is said Relaxed",
        SLOT,
        "fetch_or(Hint::UNLINKED, Ordering::Release)",
        "fetch_or(Hint::UNLINKED, Ordering::Relaxed)",
        Model("insert_before_a_member"),
    ),
    mutant(
        "E6: a free slot is pushed Relaxed",
        TABLE,
        "top.moved_to(index).0,\n                    Ordering::Release,",
        "top.moved_to(index).0,\n                    Ordering::Relaxed,",
        Model("table"),
    ),
    mutant(
        "E6: the free list is read Relaxed",
        TABLE,
        "Position(self.free.top.load(Ordering::Acquire))",
        "Position(self.free.top.load(Ordering::Relaxed))",
        Model("table"),
    ),
    mutant(
        "E6: the free list has no version",
        WORD,
        "(self.0 >> INDEX_BITS).wrapping_add(1)",
        "(self.0 >> INDEX_BITS)",
        Model("table"),
    ),
    mutant(
        "E7: a segment is published Relaxed",
        TABLE,
        "slots.cast(),\n            Ordering::Release,",
        "slots.cast(),\n            Ordering::Relaxed,",
        Model("table"),
    ),
    mutant(
        "E7: another's segment is adopted Relaxed",
        TABLE,
        "Ordering::Release,\n            Ordering::Acquire,",
        "Ordering::Release,\n            Ordering::Relaxed,",
        Model("table"),
    ),
    mutant(
        "E7: a segment is looked for Relaxed",
        TABLE,
        "!entry.load(Ordering::Acquire)",
        "!entry.load(Ordering::Relaxed)",
        Model("table"),
    ),
    mutant(
        "A: the cursor steps off onto a removed member",
        TURN,
        "if self.link(before).is_removed() {\n                    return false;\n                }",
        "",
        Model("remove"),
    ),
    mutant(
        "B: the version stands still",
        WORD,
        "(self.0 >> INDEX_BITS).wrapping_add(1)",
        "(self.0 >> INDEX_BITS)",
        Model("turns"),
    ),
    mutant(
        "C: nobody steps off",
        LIST,
        "if !self.step_off(index, before) {",
        "if false && !self.step_off(index, before) {",
        Model("turns"),
    ),
    mutant(
        "C: the cursor steps off after the unlinking",
        LIST,
        "if !self.step_off(index, before) {\n            return false;\n        }\n        step!(SteppedOff);\n        let gone = self.link(index);\n        if !self.slot(before).relink(busy, busy.past(gone)) {\n            return false;\n        }",
        "let gone = self.link(index);\n        if !self.slot(before).relink(busy, busy.past(gone)) {\n            return false;\n        }\n        self.step_off(index, before);",
        Model("turns"),
    ),
    mutant(
        "E: elsewhere is concluded by a load",
        TURN,
        "if self.move_cursor(cursor, to) {\n                return true;",
        "if to == cursor.index() || self.move_cursor(cursor, to) {\n                return true;",
        Model("turns"),
    ),
    mutant(
        "F: a hint is not verified after it was installed",
        LIST,
        "if !self.link(before).is_removed() {\n                return;\n            }\n            let Some(live)",
        "if true {\n                return;\n            }\n            let Some(live)",
        Model(""),
    ),
    mutant(
        "an insert does not look at its successor",
        LIST,
        "if self.link(after).is_removed() {",
        "if false && self.link(after).is_removed() {",
        Model("insert"),
    ),
    mutant(
        "an insert ignores a busy link",
        LIST,
        "if link.is_busy() {\n                self.finish",
        "if false {\n                self.finish",
        Model("pops"),
    ),
    mutant(
        "a removal does not make the link busy",
        LIST,
        "let busy = link.busy();\n        if !link.is_busy() && !self.slot(before).relink(link, busy) {",
        "let busy = link;\n        if false {",
        Model("insert_before_a_member"),
    ),
    mutant(
        "busy is forgotten when the busy slot goes",
        WORD,
        "(gone.0 & (Self::BUSY | INDEX_MASK))",
        "(gone.0 & INDEX_MASK)",
        Model("behind_one_that_comes_and_goes"),
    ),
    mutant(
        "a pick takes a removed member",
        TURN,
        "if link.is_removed() { Hop::Again } else { Hop::To",
        "if false { Hop::Again } else { Hop::To",
        Model("turns"),
    ),
    mutant(
        "a pick in the first segment takes a removed member",
        TURN,
        "(!link.is_removed()).then_some((next, slot, link))",
        "Some((next, slot, link))",
        Model("turns"),
    ),
    mutant(
        "a lease in the first segment claims a removed member's turn",
        CLAIMS,
        "(!link.is_removed()).then_some(index)",
        "Some(index)",
        Model("lease"),
    ),
    mutant(
        "a pick goes on from a removed member",
        TURN,
        "if link.is_removed() {\n            return Hop::Again;",
        "if false {\n            return Hop::Again;",
        Small,
    ),
    mutant(
        "a pick past the end does not look back",
        TURN,
        "if self.link(at) != link {",
        "if false {",
        Model("past_the_end"),
    ),
    mutant(
        "a pick in the first segment does not look back past the end",
        TURN,
        "if at.link() != link || next == u64::from(SENTINEL) {",
        "if next == u64::from(SENTINEL) {",
        Model("past_the_end"),
    ),
    mutant(
        "next_where walks once",
        TURN,
        "if self.is_hops_away(cursor.index(), index, hops, guard)\n                        && self",
        "if self",
        Model("next_where"),
    ),
    mutant(
        "pop_front does not make the link busy",
        LIST,
        "if !self.slot(SENTINEL).relink(head, head.busy()) {",
        "if false {",
        Model("pops"),
    ),
    mutant(
        "pop_front takes what a remover removed",
        LIST,
        "if self.link(first).is_popped() {",
        "if true {",
        Model("pops"),
    ),
    mutant(
        "a hint is believed",
        LIST,
        "if at != SENTINEL && !hint.member().is_live_in(link) {",
        "if false {",
        Test("lib"),
    ),
    mutant(
        "a hint's generation is not checked",
        LIST,
        "!hint.member().is_live_in(link)",
        "!link.is_live()",
        Test("lib"),
    ),
    mutant(
        "a key's generation is not checked",
        WORD,
        "(self.0 ^ link.0) & (GENERATION_MASK | Link::REMOVED | Link::SPENT) == 0",
        "link.is_live()",
        Reclaimed("reuse"),
    ),
    mutant(
        "a slot keeps its generation",
        WORD,
        "Self(Self::SPENT | (generation + (1 << INDEX_BITS)))",
        "Self(Self::SPENT | generation)",
        Reclaimed("reuse"),
    ),
    mutant(
        "no grace period",
        RECLAIM,
        "guard.defer(move || core.reclaim(member));",
        "let _ = guard; core.reclaim(member);",
        Reclaimed("turns"),
    ),
    mutant(
        "a value is claimed twice",
        RECLAIM,
        "|| !slot.relink(link, link.vacated())",
        "|| { slot.relink(link, link.vacated()); false }",
        Reclaimed("a_ring_goes"),
    ),
    mutant(
        "a segment outlives its table",
        TABLE,
        "drop(unsafe { Box::from_raw(all) });",
        "let _ = all;",
        Leak("of_a_ring_drops"),
    ),
    mutant(
        "what waits for its grace period keeps its ring for good",
        RECLAIM,
        "let core = Arc::clone(self);",
        "let core = Arc::clone(self); mem::forget(Arc::clone(self));",
        Leak("of_a_ring_drops"),
    ),
    mutant(
        "a vacant slot's value is dropped with the ring",
        RECLAIM,
        "if link.is_vacant() || !member",
        "if !member",
        Test("api"),
    ),
    mutant(
        "the ring does not drop what it holds",
        "src/ring.rs",
        "self.core.close();",
        "",
        Test("api"),
    ),
];
