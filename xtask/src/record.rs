//! The recorded figures of the benches: dated files under `assets`, read and written.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    chart::Figure,
    files,
    run::{Outcome, Run, root},
};

const HEAD: &str = "study,contender,axis,place,measure,median,lower quartile,upper quartile";

/// One figure of one contender.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) study: String,
    pub(crate) contender: String,
    axis: String,
    pub(crate) place: f64,
    pub(crate) measure: String,
    pub(crate) figure: Figure,
}

/// All figures of one day, on one machine.
pub(crate) struct Record {
    /// Such as `2026-03-01`.
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) rows: Vec<Row>,
}

impl Record {
    /// Nothing yet, of today and here.
    pub(crate) fn of_today() -> Outcome<Self> {
        let date = Run::program("date", "-u +%F").output()?.trim().to_owned();
        Ok(Self { date, machine: machine(), rows: Vec::new() })
    }

    /// The newest one.
    pub(crate) fn newest() -> Outcome<Option<Self>> {
        let mut newest: Option<(String, PathBuf)> = None;
        let folder = root().join("assets");
        for entry in fs::read_dir(&folder).map_err(files::failed(&folder))? {
            let path = entry.map_err(files::failed(&folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let date = name.strip_prefix("bench-").and_then(|rest| rest.strip_suffix(".csv"));
            if let Some(date) = date
                && newest.as_ref().is_none_or(|(known, _)| known.as_str() < date)
            {
                newest = Some((date.to_owned(), path));
            }
        }
        newest.map(|(date, path)| Self::read(date, &path)).transpose()
    }

    fn read(date: String, path: &Path) -> Outcome<Self> {
        let text = files::read(path)?;
        let parts = text.split_once(&format!("\n{HEAD}\n"));
        let (head, rest) =
            parts.ok_or_else(|| format!("{}: no head of a record", path.display()))?;
        let machine = head.trim_start_matches("# ");
        Ok(Self { date, machine: machine.to_owned(), rows: rows(rest)? })
    }

    /// Puts these rows in place of what was known of their studies.
    pub(crate) fn take(&mut self, rows: Vec<Row>) {
        self.rows.retain(|old| !rows.iter().any(|new| new.study == old.study));
        self.rows.extend(rows);
    }

    /// Writes the dated file.
    pub(crate) fn write(&self) -> Outcome {
        let mut text = format!("# {}\n{HEAD}\n", self.machine);
        for Row { study, contender, axis, place, measure, figure } in &self.rows {
            let Figure { median, low, high } = figure;
            let _ = writeln!(
                text,
                "{study},\"{contender}\",{axis},{place},{measure},{median},{low},{high}"
            );
        }
        files::write(root().join(format!("assets/bench-{}.csv", self.date)), text)
    }

    /// All contenders of a study, in the order of the record.
    pub(crate) fn contenders(&self, study: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for row in self.rows.iter().filter(|row| row.study == study) {
            if !names.contains(&row.contender) {
                names.push(row.contender.clone());
            }
        }
        names
    }

    /// What was measured of a contender at each of the `places`.
    pub(crate) fn figures(
        &self,
        study: &str,
        contender: &str,
        measure: &str,
        places: &[f64],
    ) -> Vec<Option<Figure>> {
        let found = |place: &f64| {
            self.rows.iter().find(|row| {
                row.study == study
                    && row.contender == contender
                    && row.measure == measure
                    && (row.place - place).abs() < 1e-9
            })
        };
        places.iter().map(|place| found(place).map(|row| row.figure)).collect()
    }
}

/// The rows that a bench wrote.
pub(crate) fn rows(text: &str) -> Outcome<Vec<Row>> {
    let lines = text.lines();
    lines.map(|line| row(line).ok_or_else(|| format!("not a row of figures: {line}"))).collect()
}

fn row(line: &str) -> Option<Row> {
    // Only the contender's name is quoted, and may hold commas.
    let (study, rest) = line.split_once(",\"")?;
    let (contender, rest) = rest.split_once("\",")?;
    let fields: Vec<&str> = rest.split(',').collect();
    let &[axis, place, measure, median, low, high] = &fields[..] else { return None };
    Some(Row {
        study: study.to_owned(),
        contender: contender.to_owned(),
        axis: axis.to_owned(),
        place: place.parse().ok()?,
        measure: measure.to_owned(),
        figure: Figure {
            median: median.parse().ok()?,
            low: low.parse().ok()?,
            high: high.parse().ok()?,
        },
    })
}

/// What figures are taken on.
pub(crate) fn machine() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let compiler = Run::program("rustc", "--version").output().unwrap_or_default();
    format!("{model}, {cores} cores, {}", compiler.trim())
}
