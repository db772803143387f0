//! What each chart of the studies shows.

use crate::{
    chart::{self, Frame, Series},
    files,
    record::Record,
    run::{Outcome, root},
};

/// A chart with a line for each contender.
struct Lines {
    study: &'static str,
    title: &'static str,
    conditions: &'static str,
    across: &'static str,
    /// How the bench calls what it measured, and how the chart does.
    measure: (&'static str, &'static str),
    contenders: &'static [&'static str],
    /// Where along the axis, and what is written there.
    places: &'static [(f64, &'static str)],
    /// What is less is as good as nothing.
    least: f64,
}

/// A chart with a row for each contender that was measured.
struct Rows {
    study: &'static str,
    title: &'static str,
    conditions: &'static str,
    across: &'static str,
    /// How the bench calls what it measured, and the legend.
    measures: &'static [(&'static str, &'static str)],
    place: f64,
    least: f64,
}

/// Those that a chart has room for; the file has them all.
const SHOWN: &[&str] = &[
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

const CHANGING: &[&str] = &[
    "ring, pin per pick",
    "Mutex<VecDeque>",
    "parking_lot::Mutex<(index, Vec)>",
    "RwLock<Vec> + counter",
    "ArcSwap<Vec> + counter",
    "left-right + counter",
    "picker rebuilt, from the first",
    "picker rebuilt, from anywhere",
];

/// The ring's own are blue and violet; kin share a colour where no chart has both.
fn colour(name: &str) -> usize {
    match name {
        "ring, pin per pick" => 0,
        "ring, guard kept" => 1,
        "ring, lease(16)" => 2,
        "Mutex<VecDeque>" | "Mutex<(index, Vec)>" => 3,
        "parking_lot::Mutex<(index, Vec)>" => 4,
        "RwLock<Vec> + counter" => 5,
        "ArcSwap<Vec> + counter" => 6,
        "left-right + counter" => 7,
        "picker rebuilt, from the first" => 9,
        _ => 8,
    }
}

const LINES: [Lines; 5] = [
    Lines {
        study: "next",
        title: "A pick, by threads",
        conditions: "8 members; the time of all threads together, so less is more throughput",
        across: "threads",
        measure: ("ns per pick", "nanoseconds per pick"),
        contenders: SHOWN,
        places: &[(1.0, "1"), (2.0, "2"), (4.0, "4"), (8.0, "8"), (16.0, "16")],
        least: 0.5,
    },
    Lines {
        study: "size",
        title: "A pick, by members",
        conditions: "1 thread",
        across: "members",
        measure: ("ns per pick", "nanoseconds per pick"),
        contenders: SHOWN,
        places: &[(1.0, "1"), (4.0, "4"), (64.0, "64"), (1024.0, "1,024"), (65_536.0, "65,536")],
        least: 0.5,
    },
    Lines {
        study: "churn",
        title: "Picks while members come and go",
        conditions: "8 members and one that comes and goes",
        across: "updates per second",
        measure: ("million picks/s", "million picks per second: more is better"),
        contenders: CHANGING,
        places: &[(0.0, "0"), (1e3, "1,000"), (1e5, "100,000"), (1e7, "as many as possible")],
        least: 0.01,
    },
    Lines {
        study: "update",
        title: "An update, by members",
        conditions: "one member more, and one that may be anywhere less; nobody picks",
        across: "members",
        measure: ("ns per update", "nanoseconds per update"),
        contenders: CHANGING,
        places: &[
            (8.0, "8"),
            (64.0, "64"),
            (1024.0, "1,024"),
            (8192.0, "8,192"),
            (65_536.0, "65,536"),
        ],
        least: 10.0,
    },
    Lines {
        study: "fairness",
        title: "How far apart the turns of two members get that both stay",
        conditions: "8 members that stay and one that comes and goes, for half a second",
        across: "updates per second",
        measure: ("turns apart", "greatest difference of turns (less than 1 is at the bottom)"),
        contenders: CHANGING,
        places: &[
            (0.0, "0"),
            (10.0, "10"),
            (100.0, "100"),
            (1e3, "1,000"),
            (1e4, "10,000"),
            (1e5, "100,000"),
        ],
        least: 0.5,
    },
];

const ROWS: [Rows; 2] = [
    Rows {
        study: "tail",
        title: "The tail of one pick, with two threads",
        conditions: "8 members; each pick timed, the clock's own cost included",
        across: "nanoseconds",
        measures: &[
            ("p50 ns", "p50"),
            ("p99 ns", "p99"),
            ("p99.9 ns", "p99.9"),
            ("max ns", "maximum"),
        ],
        place: 2.0,
        least: 10.0,
    },
    Rows {
        study: "skip",
        title: "Who takes over the turns of members that are not healthy",
        conditions: "8 members, the 3rd and the 4th are not healthy; 1 thread",
        across: "turns of the 5th member, as a multiple of its due",
        measures: &[("turns of the 5th", "the 5th member")],
        place: 1.0,
        least: 0.5,
    },
];

/// Draws what was recorded.
pub(crate) fn draw(record: &Record) -> Outcome {
    for lines in &LINES {
        write(lines.study, &lines.drawn(record))?;
    }
    for rows in &ROWS {
        write(rows.study, &rows.drawn(record))?;
    }
    Ok(())
}

impl Lines {
    fn drawn(&self, record: &Record) -> String {
        let places: Vec<f64> = self.places.iter().map(|(place, _)| *place).collect();
        let labels: Vec<&str> = self.places.iter().map(|(_, label)| *label).collect();
        let series: Vec<Series> = self
            .contenders
            .iter()
            .map(|name| Series {
                name: (*name).to_owned(),
                colour: colour(name),
                figures: record.figures(self.study, name, self.measure.0, &places),
            })
            .filter(|series| series.figures.iter().any(Option::is_some))
            .collect();
        let frame = Frame {
            title: self.title,
            conditions: self.conditions,
            across: self.across,
            measure: self.measure.1,
            source: source(record, self.study),
        };
        chart::lines(&frame, &labels, &series, self.least)
    }
}

impl Rows {
    fn drawn(&self, record: &Record) -> String {
        let figure = |name: &str, measure| {
            record.figures(self.study, name, measure, &[self.place]).pop().flatten()
        };
        let series: Vec<Series> = record
            .contenders(self.study)
            .into_iter()
            .map(|name| Series {
                colour: colour(&name),
                figures: self.measures.iter().map(|(measure, _)| figure(&name, measure)).collect(),
                name,
            })
            .collect();
        let marks: Vec<&str> = self.measures.iter().map(|(_, mark)| *mark).collect();
        let frame = Frame {
            title: self.title,
            conditions: self.conditions,
            across: self.across,
            measure: "",
            source: source(record, self.study),
        };
        chart::rows(&frame, &marks, &series, self.least)
    }
}

fn source(record: &Record, study: &str) -> String {
    // Without the compiler's commit: there is not so much room.
    let machine = record.machine.split(" (").next().unwrap_or_default();
    let date = &record.date;
    format!(
        "medians of interleaved rounds, with quartiles; {machine}; {date}; cargo xtask report {study}"
    )
}

fn write(name: &str, svg: &str) -> Outcome {
    files::write(root().join(format!("assets/{name}.svg")), svg)
}
