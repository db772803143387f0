//! The studies of the ring: runs them, and draws what they found.

use std::fs;

use crate::{
    chart::{Frame, Series, lines, rows as rows_chart},
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
    draw(&record)
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
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    record::rows(&text)
}

const THREADS: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];

/// Those that a chart has room for; the file has them all.
const SHOWN: [&str; 9] = [
    "ring, pin per pick",
    "ring, guard kept",
    "ring, lease(16)",
    "Mutex<(index, Vec)>",
    "parking_lot::Mutex<(index, Vec)>",
    "RwLock<Vec> + counter",
    "ArcSwap<Vec> + counter",
    "left-right + counter",
    "bare fetch_add (the floor)",
];

const CHANGING: [&str; 8] = [
    "ring, pin per pick",
    "Mutex<VecDeque>",
    "parking_lot::Mutex<(index, Vec)>",
    "RwLock<Vec> + counter",
    "ArcSwap<Vec> + counter",
    "left-right + counter",
    "picker rebuilt, from the first",
    "picker rebuilt, from anywhere",
];

fn draw(record: &Record) -> Outcome {
    let labels = |places: &[f64]| places.iter().map(f64::to_string).collect::<Vec<_>>();
    let frame = |title: &str, subtitle: &str, across: &str, measure: &str, study: &str| Frame {
        title: title.to_owned(),
        subtitle: subtitle.to_owned(),
        across: across.to_owned(),
        measure: measure.to_owned(),
        source: format!("{}; {}; cargo xtask report {study}", record.machine, record.date),
    };
    let chosen = |study: &str, names: &[&str], measure: &str, places: &[f64]| -> Vec<Series> {
        let figures = |name: &&str| record.figures(study, name, measure, places);
        let series = names.iter().map(|name| (name, figures(name)));
        series
            .filter(|(_, figures)| figures.iter().any(Option::is_some))
            .map(|(name, figures)| Series { name: (*name).to_owned(), figures })
            .collect()
    };
    let bars = "medians of interleaved rounds, with quartiles";

    write(
        "next",
        &lines(
            &frame(
                "A pick, by threads",
                &format!(
                    "8 members; {bars}; the time of all threads together, so less is more throughput"
                ),
                "threads",
                "nanoseconds per pick",
                "next",
            ),
            &labels(&THREADS),
            &chosen("next", &SHOWN, "ns per pick", &THREADS),
            0.5,
        ),
    )?;

    let sizes = [1.0, 4.0, 64.0, 1024.0, 65_536.0];
    write(
        "size",
        &lines(
            &frame(
                "A pick, by members",
                &format!("1 thread; {bars}"),
                "members",
                "nanoseconds per pick",
                "size",
            ),
            &labels(&sizes),
            &chosen("size", &SHOWN, "ns per pick", &sizes),
            0.5,
        ),
    )?;

    let rates = [0.0, 1e3, 1e5, 1e7];
    let rate_labels = ["0", "1,000", "100,000", "as many as possible"].map(str::to_owned);
    write(
        "churn",
        &lines(
            &frame(
                "Picks while members come and go",
                &format!("8 members and one that comes and goes; {bars}"),
                "updates per second",
                "million picks per second (more is better)",
                "churn",
            ),
            &rate_labels,
            &chosen("churn", &CHANGING, "million picks/s", &rates),
            0.01,
        ),
    )?;

    let sizes = [8.0, 64.0, 1024.0, 8_192.0, 65_536.0];
    write(
        "update",
        &lines(
            &frame(
                "An update, by members",
                &format!("one member more, one that may be anywhere less; nobody picks; {bars}"),
                "members",
                "nanoseconds per update",
                "update",
            ),
            &labels(&sizes),
            &chosen("update", &CHANGING[..6], "ns per update", &sizes),
            10.0,
        ),
    )?;

    let rates = [0.0, 10.0, 100.0, 1e3, 1e4, 1e5];
    write(
        "fairness",
        &lines(
            &frame(
                "How far apart the turns of two members get that both stay",
                &format!("8 members that stay and one that comes and goes, half a second; {bars}"),
                "updates per second",
                "greatest difference of turns (less than 1 is drawn at the bottom)",
                "fairness",
            ),
            &labels(&rates),
            &chosen("fairness", &CHANGING, "turns apart", &rates),
            0.5,
        ),
    )?;

    draw_rows(record, &frame)
}

fn draw_rows(record: &Record, frame: &impl Fn(&str, &str, &str, &str, &str) -> Frame) -> Outcome {
    let of_rows = |study: &str, names: &[String], measures: &[&str], place: f64| -> Vec<Series> {
        let figures = |name: &str| {
            let one = |measure: &&str| record.figures(study, name, measure, &[place])[0];
            measures.iter().map(one).collect()
        };
        names.iter().map(|name| Series { name: name.clone(), figures: figures(name) }).collect()
    };
    let names = |study: &str| {
        let mut names: Vec<String> = Vec::new();
        for row in record.rows.iter().filter(|row| row.study == study) {
            if !names.contains(&row.contender) {
                names.push(row.contender.clone());
            }
        }
        names
    };
    let tail = ["p50 ns", "p99 ns", "p99.9 ns", "max ns"];
    write(
        "tail",
        &rows_chart(
            &frame(
                "The tail of one pick, with two threads",
                "8 members; medians of interleaved rounds, with quartiles; the clock's own cost included",
                "nanoseconds",
                "",
                "tail",
            ),
            &["p50", "p99", "p99.9", "maximum"].map(str::to_owned),
            &of_rows("tail", &names("tail"), &tail, 2.0),
            10.0,
        ),
    )?;
    write(
        "skip",
        &rows_chart(
            &frame(
                "Who takes over the turns of members that are not healthy",
                "8 members, the 3rd and the 4th are not healthy; 1 is a healthy member's due",
                "turns of the 5th member, as a multiple of its due",
                "",
                "skip",
            ),
            &[],
            &of_rows("skip", &names("skip"), &["turns of the 5th"], 1.0),
            0.5,
        ),
    )
}

fn write(name: &str, svg: &str) -> Outcome {
    let path = root().join(format!("assets/{name}.svg"));
    fs::write(&path, svg).map_err(|error| format!("{}: {error}", path.display()))
}

/// How much worse than recorded a ratio may be before it is worth a look: rounds on a shared
/// machine differ by less.
const TOLERATED: f64 = 1.25;

/// `[--strict]`: measures picks and updates again, and compares their ratios with those of the
/// record. Warns; fails only if it is to be strict.
pub(crate) fn regress(arguments: &[String]) -> Outcome {
    let strict = match arguments {
        [] => false,
        [strict] if strict == "--strict" => true,
        _ => return Err("takes nothing, or `--strict`".to_owned()),
    };
    let Some(record) = Record::newest()? else {
        return Err("nothing is recorded under assets: cargo xtask report".to_owned());
    };
    let machine = record::machine();
    if machine != record.machine {
        println!("warning: recorded on another machine ({}), this is {machine}", record.machine);
    }
    let mut warnings = Vec::new();
    let mut compared = 0;
    for study in ["next", "update"] {
        for row in measured(study, "brief")? {
            // Everybody else as a multiple of the ring: less means that the ring lost ground.
            if row.measure != "of the ring's" {
                continue;
            }
            let known = record.figures(study, &row.contender, &row.measure, &[row.place])[0];
            let Some(known) = known else { continue };
            compared += 1;
            if known.median > row.figure.median * TOLERATED && known.low > row.figure.high {
                warnings.push(format!(
                    "{study} at {}: {} took {:.2} times the ring's time, and now {:.2}",
                    row.place, row.contender, known.median, row.figure.median
                ));
            }
        }
    }
    println!("\n{compared} ratios compared with those of {}", record.date);
    for warning in &warnings {
        println!("warning: {warning}");
    }
    match (compared, strict && !warnings.is_empty()) {
        (0, _) => Err("the record has none of these figures".to_owned()),
        (_, true) => Err(format!("{} ratios are worse than recorded", warnings.len())),
        _ => Ok(()),
    }
}
