//! What a bench shows: a table for a person, and the same figures as rows of a file.

use std::{
    env,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::Write as _,
    thread::available_parallelism,
};

use crate::sample::Samples;

/// How much a bench is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `cargo bench`: the tables, and criterion's plots.
    Full,
    /// For `cargo xtask report`: the tables alone.
    Tables,
    /// For `cargo xtask regress`: those tables alone, with fewer rounds.
    Brief,
    /// `cargo bench FILTER`, or other arguments for criterion: its plots alone.
    Plots,
    /// `cargo test`: each once, to see that it works.
    Tried,
}

impl Mode {
    /// As the command line and the environment have it.
    #[must_use]
    pub fn asked_for() -> Self {
        let arguments: Vec<_> = env::args().skip(1).collect();
        let words: Vec<_> = arguments.iter().map(String::as_str).collect();
        match (&words[..], env::var("RONDEL_BENCH").as_deref()) {
            (["--bench"], Ok("tables")) => Self::Tables,
            (["--bench"], Ok("brief")) => Self::Brief,
            (["--bench"], _) => Self::Full,
            (words, _) if words.contains(&"--bench") => Self::Plots,
            _ => Self::Tried,
        }
    }

    /// Whether to measure in rounds and print tables.
    #[must_use]
    pub fn has_tables(self) -> bool {
        self != Self::Plots
    }

    /// Whether to hand over to criterion.
    #[must_use]
    pub fn has_plots(self) -> bool {
        matches!(self, Self::Full | Self::Plots)
    }

    /// The number of rounds, if this many make a good measurement.
    #[must_use]
    pub fn rounds(self, full: usize) -> usize {
        match self {
            Self::Tried => 1,
            Self::Brief => full.div_ceil(2),
            Self::Full | Self::Tables | Self::Plots => full,
        }
    }

    /// The length of a round, in whatever it counts, if this makes a good one.
    #[must_use]
    pub fn of(self, full: u64) -> u64 {
        if self == Self::Tried { full.div_ceil(1000) } else { full }
    }
}

/// The rows of one study, gathered as it goes.
#[derive(Debug)]
pub struct Report {
    study: &'static str,
    rows: String,
}

impl Report {
    /// Begins: says what is asked, and on what machine.
    #[must_use]
    pub fn begin(study: &'static str, question: &str) -> Self {
        say(&format!("\n{question}\nmachine: {}", machine()));
        Self { study, rows: String::new() }
    }

    /// A line of the table.
    pub fn line(&self, text: &str) {
        say(text);
    }

    /// A figure for the record: whose, where on which axis, and what was measured in each round.
    pub fn row(&mut self, contender: &str, axis: (&str, f64), measure: &str, samples: &Samples) {
        let (low, high) = samples.quartiles();
        let median = samples.median();
        let (name, place) = axis;
        let _ = writeln!(
            self.rows,
            "{},\"{contender}\",{name},{place},{measure},{median:.4},{low:.4},{high:.4}",
            self.study,
        );
    }

    /// A table of one place of the axis: for each contender the median, the quartiles, and the
    /// median of its ratios to each of the `references`, which are names and places in `contenders`.
    pub fn compare(
        &mut self,
        axis: (&str, f64),
        measure: &str,
        contenders: &[(&str, Samples)],
        references: &[(&str, usize)],
    ) {
        let mut head = format!("{:<38}{measure:>16}{:>20}", "", "half of the rounds");
        for (name, _) in references {
            let _ = write!(head, "{name:>16}");
        }
        say(&head);
        for (contender, samples) in contenders {
            let (low, high) = samples.quartiles();
            let range = format!("{}..{}", short(low), short(high));
            let mut line = format!("{contender:<38}{:>16}{range:>20}", short(samples.median()));
            self.row(contender, axis, measure, samples);
            for &(name, place) in references {
                let ratios = samples.over(&contenders[place].1);
                let _ = write!(line, "{:>15.2}x", ratios.median());
                self.row(contender, axis, name, &ratios);
            }
            say(&line);
        }
    }

    /// Appends all rows to the file that `RONDEL_BENCH_CSV` names, if any.
    pub fn end(self) {
        let Ok(path) = env::var("RONDEL_BENCH_CSV") else { return };
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(self.rows.as_bytes()));
        written.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

/// Three digits or so, whatever the size.
#[must_use]
pub fn short(figure: f64) -> String {
    match figure {
        _ if figure >= 1e9 => format!("{:.1} G", figure / 1e9),
        _ if figure >= 1e6 => format!("{:.1} M", figure / 1e6),
        _ if figure >= 1e4 => format!("{:.1} k", figure / 1e3),
        _ if figure >= 100.0 => format!("{figure:.0}"),
        _ if figure >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

#[expect(clippy::print_stdout, reason = "a bench is run to be read")]
fn say(text: &str) {
    println!("{text}");
}

fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown CPU", |(_, model)| model);
    let cores = available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores, {} {}", env::consts::ARCH, env::consts::OS)
}
