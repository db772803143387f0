//! What a request costs, through rondel-proxy and through what people use today.
//!
//! `cargo xtask bench-proxy` builds all contenders and runs this. Backend and load share core 0,
//! each proxy has one worker on core 1. In each round every contender takes its turn at every
//! cell, so that whatever else the machine does hits all of them; medians are compared. What is
//! compared is the CPU time of the proxy by request: requests a second depend on the load's own
//! cost, which is on another core.
//!
//! Prints a table, and one CSV line for each round of each cell to `--csv FILE`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to a person")]

mod backend;
mod beside;
mod cell;
mod contender;
mod endurance;
mod load;
mod measure;
mod process;
mod report;
mod tls;

use std::{io, path::PathBuf, process::ExitCode};

use crate::{cell::Cell, contender::Contender, report::Report};

/// What was asked for on the command line.
struct Arguments {
    rondel: PathBuf,
    pingora: Option<PathBuf>,
    rounds: usize,
    seconds: f64,
    csv: Option<PathBuf>,
    /// Only cells whose name contains this.
    cells: String,
    /// Only contenders whose name contains this; the first stays, to compare with.
    contenders: String,
    show: bool,
    /// Instead of the table: so many requests over ten thousand connections.
    endurance: Option<u64>,
}

const USAGE: &str = "proxy-bench --rondel BINARY [--pingora BINARY] [--rounds N] [--seconds S] \
                     [--csv FILE] [--cells PART] [--contenders PART] [--show] \
                     [--endurance REQUESTS]";

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("proxy-bench: {why}\nusage: {USAGE}");
            return ExitCode::from(64);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxy-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> io::Result<()> {
    process::pin_self(process::REST)?;
    let most = process::allow_open_files()?;
    let origin = backend::start()?;
    let folder = tempfile::tempdir()?;
    tls::write_certificate(folder.path())?;
    let contenders: Vec<Contender> =
        contender::all(&arguments.rondel, arguments.pingora.as_deref())
            .into_iter()
            .filter(|contender| contender.name.contains(&arguments.contenders))
            .collect();
    if let Some(requests) = arguments.endurance {
        let first =
            contenders.first().ok_or_else(|| io::Error::other("there is no such contender"))?;
        return endurance::run(first, requests, folder.path(), origin).await;
    }
    let cells: Vec<Cell> =
        cell::all(most).into_iter().filter(|cell| cell.name.contains(&arguments.cells)).collect();

    let mut report = Report::new(&contenders, &cells, arguments.csv.as_deref())?;
    for round in 0..arguments.rounds {
        for cell in &cells {
            for place in 0..contenders.len() {
                // Nobody always comes after the same other.
                let contender = &contenders[(place + round) % contenders.len()];
                if !contender.takes(cell) {
                    continue;
                }
                let Some(serving) = contender.start(cell.door, folder.path(), origin).await? else {
                    continue;
                };
                if arguments.show && round == 0 {
                    println!("--- {}, {}\n{}", contender.name, cell.name, serving.configuration);
                }
                let count_calls = round == 0 && cell.counts_calls();
                let pid = serving.process.pid();
                let figures =
                    measure::cell(cell, serving.address, pid, arguments.seconds, count_calls).await;
                let figures = figures.map_err(|error| {
                    io::Error::other(format!("{}, {}: {error}", contender.name, cell.name))
                })?;
                report.take(round, contender, cell, &figures)?;
            }
            eprint!("\rround {} of {}: {:<40}", round + 1, arguments.rounds, cell.name);
        }
    }
    eprintln!();
    report.print();
    Ok(())
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        rondel: PathBuf::new(),
        pingora: None,
        rounds: 5,
        seconds: 2.0,
        csv: None,
        cells: String::new(),
        contenders: String::new(),
        show: false,
        endurance: None,
    };
    while let Some(flag) = words.next() {
        if flag == "--show" {
            arguments.show = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{flag} takes a value"))?;
        let number = || value.parse().map_err(|_| format!("{flag}: `{value}` is no number"));
        match flag.as_str() {
            "--rondel" => arguments.rondel = value.into(),
            "--pingora" => arguments.pingora = Some(value.into()),
            "--rounds" => arguments.rounds = number()?,
            "--seconds" => {
                arguments.seconds =
                    value.parse().map_err(|_| format!("{flag}: `{value}` is no number"))?;
            }
            "--csv" => arguments.csv = Some(value.into()),
            "--endurance" => {
                let requests = value.parse();
                arguments.endurance =
                    Some(requests.map_err(|_| format!("{flag}: `{value}` is no number"))?);
            }
            "--cells" => arguments.cells = value,
            "--contenders" => arguments.contenders = value,
            _ => return Err(format!("there is no {flag}")),
        }
    }
    if arguments.rondel.as_os_str().is_empty() {
        return Err("--rondel is missing".to_owned());
    }
    Ok(arguments)
}
