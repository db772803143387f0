//! The proxy beside haproxy, nginx and pingora: builds all, compares, keeps and draws the figures.

use std::collections::BTreeMap;

use crate::{
    chart::{self, Figure, Frame, Series},
    files, record,
    run::{Outcome, Run, root},
    test::install,
};

/// Cells of the chart, and how its legend calls them.
const CHARTED: [(&str, &str); 5] = [
    ("GET 0.1 KiB c=8", "8 conns"),
    ("GET 0.1 KiB c=64", "64 conns"),
    ("GET 0.1 KiB c=512", "512 conns"),
    ("TLS GET 0.1 KiB c=64", "TLS"),
    ("HTTP/2 GET 0.1 KiB c=64", "HTTP/2"),
];

/// Arguments go on to `proxy-bench`. Only a run of everything is recorded. `draw` records and draws
/// the last one again.
pub(crate) fn all(arguments: &[String]) -> Outcome {
    let csv = root().join("target/bench-proxy.csv");
    if arguments == ["draw"] {
        return save(&files::read(&csv)?);
    }
    install("haproxy", "-v", "haproxy")?;
    install("nginx", "-v", "nginx-light")?;
    install("strace", "-V", "strace")?;
    install("redis-server", "--version", "redis-server")?;
    install("cmake", "--version", "cmake")?; // pingora's compression needs it
    Run::cargo("build --release --package rondel-proxy --package proxy-bench").check()?;
    Run::cargo("build --release --manifest-path benches/proxy/pingora/Cargo.toml")
        .args("--target-dir target/pingora-proxy")
        .check()?;
    Run::program("target/release/proxy-bench", "--rondel target/release/rondel-proxy")
        .args("--pingora target/pingora-proxy/release/proxy-bench-pingora --csv")
        .arg(&csv.to_string_lossy())
        .args(&arguments.join(" "))
        .check()?;
    let parts = ["--cells", "--contenders", "--endurance"];
    let is_whole = !arguments.iter().any(|flag| parts.contains(&flag.as_str()));
    if is_whole { save(&files::read(&csv)?) } else { Ok(()) }
}

fn save(csv: &str) -> Outcome {
    let date = Run::program("date", "-u +%F").output()?.trim().to_owned();
    let machine = record::machine();
    let assets = root().join("assets");
    files::write(assets.join(format!("proxy-{date}.csv")), format!("# {machine}\n{csv}"))?;
    let source = format!("{machine}; {date}; cargo xtask bench-proxy");
    files::write(assets.join("proxy.svg"), drawing(csv, &source)?)
}

fn drawing(csv: &str, source: &str) -> Outcome<String> {
    let mut names: Vec<&str> = Vec::new();
    let mut rounds: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for line in csv.lines().skip(1) {
        // "cell","contender",round,CPU time, ...
        let mut quoted = line.split('"');
        let (Some(cell), Some(contender), Some(rest)) =
            (quoted.nth(1), quoted.nth(1), quoted.next())
        else {
            return Err(format!("not a row of figures: {line}"));
        };
        let cpu = rest.split(',').nth(2).and_then(|figure| figure.parse().ok());
        rounds.entry((contender, cell)).or_default().extend::<Option<f64>>(cpu);
        if !names.contains(&contender) {
            names.push(contender);
        }
    }
    for times in rounds.values_mut() {
        times.sort_by(f64::total_cmp);
    }
    let figure = |name, cell| {
        let times = rounds.get(&(name, cell)).filter(|times| !times.is_empty())?;
        let at = |quarter: usize| times[(times.len() - 1) * quarter / 4];
        Some(Figure { median: at(2), low: at(1), high: at(3) })
    };
    let series: Vec<Series> = names
        .iter()
        .map(|name| Series {
            name: (*name).to_owned(),
            colour: 0,
            figures: CHARTED.iter().map(|(cell, _)| figure(name, cell)).collect(),
        })
        .collect();
    let frame = Frame {
        title: "CPU time of a request through a proxy",
        conditions: "one worker, answers of 100 bytes, keep-alive on both sides; medians and quartiles",
        across: "microseconds of CPU per request",
        measure: "",
        source: source.to_owned(),
    };
    Ok(chart::rows(&frame, &CHARTED.map(|(_, legend)| legend), &series, 10.0))
}
