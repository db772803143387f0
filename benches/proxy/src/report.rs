//! The figures of all rounds, as CSV while they come and as a table in the end.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    path::Path,
};

use crate::{cell::Cell, contender::Contender, measure::Figures};

pub(crate) struct Report {
    contenders: Vec<&'static str>,
    cells: Vec<String>,
    csv: Option<File>,
    rounds: HashMap<(&'static str, String), Vec<Figures>>,
}

impl Report {
    pub(crate) fn new(
        contenders: &[Contender],
        cells: &[Cell],
        csv: Option<&Path>,
    ) -> io::Result<Self> {
        let mut csv = csv.map(File::create).transpose()?;
        if let Some(csv) = &mut csv {
            writeln!(
                csv,
                "cell,contender,round,cpu_us,per_second,p50_us,p99_us,p999_us,max_us,memory,system_calls"
            )?;
        }
        Ok(Self {
            contenders: contenders.iter().map(|contender| contender.name).collect(),
            cells: cells.iter().map(|cell| cell.name.clone()).collect(),
            csv,
            rounds: HashMap::new(),
        })
    }

    pub(crate) fn take(
        &mut self,
        round: usize,
        contender: &Contender,
        cell: &Cell,
        figures: &Figures,
    ) -> io::Result<()> {
        if let Some(csv) = &mut self.csv {
            let [p50, p99, p999, most] = figures.times;
            let calls = figures.system_calls.map_or(String::new(), |calls| format!("{calls:.2}"));
            writeln!(
                csv,
                "\"{}\",\"{}\",{round},{:.2},{:.0},{p50:.1},{p99:.1},{p999:.1},{most:.1},{:.2},{calls}",
                cell.name, contender.name, figures.cpu, figures.per_second, figures.memory
            )?;
        }
        self.rounds.entry((contender.name, cell.name.clone())).or_default().push(*figures);
        Ok(())
    }

    /// Medians over the rounds; of CPU time also how much of the first contender's it is, as the
    /// median of the rounds' own ratios.
    pub(crate) fn print(&self) {
        for cell in &self.cells {
            println!(
                "\n{cell:<34}{:>8} {:>13} {:>8} {:>9}{:>9}{:>9}{:>9} {:>8} {:>6}",
                "CPU us", "range", "rondel/", "req/s", "p50 us", "p99", "p99.9", "memory", "calls"
            );
            for contender in &self.contenders {
                let Some(rounds) = self.rounds.get(&(*contender, cell.clone())) else { continue };
                self.print_row(contender, cell, rounds);
            }
        }
    }

    fn print_row(&self, contender: &'static str, cell: &str, rounds: &[Figures]) {
        let of = |figure: fn(&Figures) -> f64| median(rounds.iter().map(figure).collect());
        let first = self.rounds.get(&(self.contenders[0], cell.to_owned()));
        let ratios =
            first.into_iter().flatten().zip(rounds).map(|(first, own)| own.cpu / first.cpu);
        let cpus = || rounds.iter().map(|figures| figures.cpu);
        let range = format!(
            "{:.1}..{:.1}",
            cpus().fold(f64::INFINITY, f64::min),
            cpus().fold(0.0, f64::max)
        );
        let calls = rounds.iter().find_map(|figures| figures.system_calls);
        println!(
            "  {contender:<32}{:>8.1} {range:>13} {:>8.2} {:>9.0}{:>9.0}{:>9.0}{:>9.0} {:>8.1} {:>6}",
            of(|f| f.cpu),
            median(ratios.collect()),
            of(|f| f.per_second),
            of(|f| f.times[0]),
            of(|f| f.times[1]),
            of(|f| f.times[2]),
            of(|f| f.memory),
            calls.map_or(String::new(), |calls| format!("{calls:.1}")),
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
