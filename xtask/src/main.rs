//! The checks of this repository, each as a command: `cargo xtask` lists them.
//!
//! Uses nothing but the standard library, so that it builds in a second on a bare machine.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to a person")]

mod autobahn;
mod bench_proxy;
mod browser;
mod builds;
mod chart;
mod container;
mod deny;
mod drawings;
mod examples;
mod files;
mod histories;
mod links;
mod lint;
mod manifest;
mod models;
mod mutants;
mod package;
mod proxy;
mod record;
mod regress;
mod release;
mod report;
mod rules;
mod run;
mod sanitize;
mod sites;
mod soak;
mod steps;
mod targets;
mod test;

use std::process::ExitCode;

use run::Outcome;

/// A name, what it takes, what it does and how long, and the function.
type Command = (&'static str, &'static str, &'static str, fn(&[String]) -> Outcome);

/// In the order in which a person needs them: what every change must pass, the ring, the proxy, a
/// release.
#[rustfmt::skip]
const COMMANDS: &[Command] = &[
    ("test", "", "every test; installs what they need, ~10 min", test::all),
    ("lint", "", "format, clippy, docs, links, own rules, ~3 min", lint::all),
    ("rules", "", "this repository's own rules alone, ~1 s", rules::all),
    ("commands", "", "writes this list into CONTRIBUTING.md, ~1 s", write_list),

    ("crate", "", "the crate's own tests and examples, on any system, ~2 min", test::of_crate),
    ("examples", "", "each example, and that it prints what it says, ~20 s", examples::all),
    ("models", "[full]", "the ring under loom, ~3 min (full ~1 h)", models::all),
    ("mutants", "[all|NAME]", "weakens the ring, sees a model fail, ~3 min (all ~15)", mutants::all),
    ("steps", "", "a thread stops, or dies, at each step; tiny words, ~2 min", steps::all),
    ("histories", "[MINUTES]", "overlapping calls of real threads, 10 min", histories::all),
    ("targets", "", "the ring where words are narrow, or bytes in another order, ~3 min", targets::all),
    ("miri", "[SEEDS|quick]", "the ring under Miri (nightly), 16 seeds ~40 min", sanitize::miri),
    ("tsan", "[quick]", "the ring under ThreadSanitizer (nightly), ~5 min", sanitize::thread),
    ("asan", "[quick]", "the ring under AddressSanitizer (nightly), ~3 min", sanitize::address),
    ("soak", "[MINUTES] [--record]", "churn, and what memory and turns come to, 30 min", soak::all),
    ("report", "[--draw | STUDY...]", "the studies of the ring, and their charts, ~8 min", report::all),
    ("regress", "[--strict]", "picks and updates against the record, ~2 min", regress::all),

    ("browser", "", "the dashboard in a real Chromium, which it installs, ~1 min", browser::all),
    ("chaos", "[MINUTES]", "everything fails at random under load, 10 min", proxy::chaos),
    ("policies", "", "the proxy's policies over real servers, ~5 min", proxy::policies),
    ("container", "", "the binary of the container file, run as there; wants root, ~4 min", container::all),
    ("mixed", "[REQUESTS]", "a million requests of all kinds, and what stays, ~5 min", proxy::mixed),
    ("session-cost", "", "what sessions cost a request, ~6 min", proxy::session_cost),
    ("sizing", "", "the memory that docs/sizing.md promises, ~5 min", proxy::sizing),
    ("dashboards", "", "what 100 open dashboards cost clients, ~5 min", proxy::dashboards),
    ("bench-proxy", "[FLAG...]", "the proxy beside haproxy, nginx and pingora, ~15 min", bench_proxy::all),
    ("mutate-http", "", "requests with any byte changed, by one judge, ~10 min", test::mutate_http),
    ("fuzz-http", "[MINUTES]", "the same, as a fuzzer likes it (nightly), 10 min", test::fuzz_http),
    ("hostile", "", "crowds of slow clients; slowhttptest, which it installs, ~6 min", test::hostile),
    ("autobahn", "[CASE...]", "517 WebSocket cases with the proxy and without (Python 2.7), ~20 min", autobahn::all),
    ("compare-http", "", "strange requests at nginx and haproxy too: docs/http.md, ~2 min", test::compare_http),

    ("sites", "", "links to other sites are answered; needs the network, ~1 min", sites::all),
    ("docs", "", "the crate's pages as docs.rs builds them (nightly), ~40 s", builds::docs),
    ("api", "", "no dependency's type in the crate's API (nightly), ~10 s", builds::api),
    ("deny", "[advisories]", "licences, bans, sources; installs cargo-deny, ~5 s", deny::all),
    ("msrv", "", "the oldest compilers that are promised, ~1 min", builds::msrv),
    ("package", "[--allow-dirty]", "publishes nothing, but tries all of it, ~10 s", package::all),
    ("minimal", "", "the oldest dependencies (nightly; after `package`), ~10 s", builds::minimal),
    ("cross", "", "that the crate compiles for Windows, macOS, 32 bits, wasm, ~20 s", builds::cross),
    ("release", "VERSION [--execute]", "all checks, then tags and publishes, ~20 min", release::all),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        list();
        return ExitCode::from(64);
    };
    let Some((.., command)) = COMMANDS.iter().find(|(known, ..)| known == name) else {
        eprintln!("xtask: there is no command `{name}`");
        list();
        return ExitCode::from(64);
    };
    match command(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {name}: {why}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    println!("usage: cargo xtask COMMAND\n\n{}", listed());
}

/// A line for each command.
fn listed() -> String {
    let line = |(name, takes, what, _): &Command| format!("{name:12} {takes:20} {what}\n");
    COMMANDS.iter().map(line).collect()
}

/// Writes the list into the page for contributors, in the place of the one that is there.
fn write_list(_: &[String]) -> Outcome {
    let page = run::root().join("CONTRIBUTING.md");
    let text = files::read(&page)?;
    let parts = text.split_once("```text\n").zip(text.split_once("\n```\n"));
    let ((head, _), (_, tail)) = parts.ok_or("CONTRIBUTING.md has no list of commands")?;
    let text = format!("{head}```text\n{}```\n{tail}", listed());
    files::write(&page, text)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use crate::{COMMANDS, listed, run::root};

    /// Mended by `cargo xtask commands`.
    #[test]
    fn contributing_lists_every_command_and_how_long_it_takes() {
        let page = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap().replace('\r', "");
        assert!(page.contains(&listed()), "not as `cargo xtask commands` writes it");
    }

    #[test]
    fn every_command_has_one_name_and_says_how_long_it_takes() {
        let names: BTreeSet<_> = COMMANDS.iter().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), COMMANDS.len());
        for (name, _, what, _) in COMMANDS {
            let time = what.rsplit(", ").next().unwrap();
            assert!(
                time.ends_with(['n', 's', 'h', ')']) && time.contains(char::is_numeric),
                "{name}"
            );
        }
    }
}
