//! Whether the ring lost ground: a short run beside the record.

use crate::{
    record::{self, Record},
    report::measured,
    run::Outcome,
};

/// How much worse than recorded a ratio may be before it is worth a look: runs on one machine
/// differ by less, those of threads that contend by more than those of one alone.
const TOLERATED: f64 = 1.25;
const TOLERATED_CONTENDED: f64 = 1.5;

/// `[--strict]`: measures picks and updates again, and compares their ratios with those of the
/// record. Warns; fails only if it is to be strict.
pub(crate) fn all(arguments: &[String]) -> Outcome {
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
            let contended = study == "next" && row.place > 1.0;
            let tolerated = if contended { TOLERATED_CONTENDED } else { TOLERATED };
            if known.median > row.figure.median * tolerated && known.low > row.figure.high {
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
