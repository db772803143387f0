//! The checks of this repository, each as a command: `cargo xtask` lists them.
//!
//! Uses nothing but the standard library, so that it builds in a second on a bare machine.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to a person")]

mod bench_proxy;
mod browser;
mod container;
mod chart;
mod drawings;
mod histories;
mod lint;
mod models;
mod mutants;
mod proxy;
mod record;
mod regress;
mod report;
mod rules;
mod run;
mod sanitize;
mod soak;
mod steps;
mod targets;
mod test;

use std::process::ExitCode;

use run::Outcome;

/// A name, what it takes, what it does and how long, and the function.
type Command = (&'static str, &'static str, &'static str, fn(&[String]) -> Outcome);

const COMMANDS: &[Command] = &[
    ("test", "", "every test; installs what they need, ~8 min", test::all),
    ("lint", "", "format, clippy, docs, own rules, package, ~3 min", lint::all),
    ("browser", "", "the dashboard in a real Chromium, which it installs, ~1 min", browser::all),
    ("rules", "", "this repository's own rules alone, ~1 s", rules::all),
    ("models", "[full]", "the ring under loom, ~3 min (full ~1 h)", models::all),
    (
        "mutants",
        "[all|NAME]",
        "weakens the ring, sees a model fail, ~3 min (all ~30)",
        mutants::all,
    ),
    ("steps", "", "a thread stops, or dies, at each step; tiny words, ~2 min", steps::all),
    ("targets", "", "the ring where words are narrow, or bytes in another order", targets::all),
    ("histories", "[MINUTES]", "overlapping calls of real threads, 10 min", histories::all),
    ("soak", "[MINUTES] [--record]", "churn, and what memory and turns come to, 30 min", soak::all),
    ("policies", "", "the proxy's policies over real servers, ~4 min", proxy::policies),
    (
        "mixed",
        "[REQUESTS]",
        "a million requests of all kinds, and what stays, ~5 min",
        proxy::mixed,
    ),
    ("session-cost", "", "what sessions cost a request, ~6 min", proxy::session_cost),
    ("dashboards", "", "what 100 open dashboards cost clients, ~5 min", proxy::dashboards),
    (
        "container",
        "",
        "the binary of the container file, run as there; wants root, ~4 min",
        container::all,
    ),
    ("chaos", "[MINUTES]", "everything fails at random under load, 10 min", proxy::chaos),
    (
        "report",
        "[--draw | STUDY...]",
        "the studies of the ring, and their charts, ~8 min",
        report::all,
    ),
    ("regress", "[--strict]", "picks and updates against the record, ~2 min", regress::all),
    ("miri", "[SEEDS|quick]", "the ring under Miri (nightly), 16 seeds ~10 min", sanitize::miri),
    (
        "bench-proxy",
        "[FLAG...]",
        "the proxy beside haproxy, nginx and pingora, ~15 min",
        bench_proxy::all,
    ),
    ("mutate-http", "", "requests with any byte changed, by one judge, ~10 min", test::mutate_http),
    ("fuzz-http", "[MINUTES]", "the same, as a fuzzer likes it (nightly), 10 min", test::fuzz_http),
    (
        "hostile",
        "",
        "crowds of slow clients; slowhttptest, which it installs, ~5 min",
        test::hostile,
    ),
    (
        "compare-http",
        "",
        "strange requests at nginx and haproxy too: docs/http.md, ~2 min",
        test::compare_http,
    ),
    ("tsan", "[quick]", "the ring under ThreadSanitizer (nightly), ~5 min", sanitize::thread),
    ("asan", "[quick]", "the ring under AddressSanitizer (nightly), ~3 min", sanitize::address),
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
    println!("usage: cargo xtask COMMAND\n");
    for (name, takes, what, _) in COMMANDS {
        println!("  {name:12} {takes:20} {what}");
    }
}
