//! Whether the ring lost ground: a short run beside the record.

use crate::{
    chart::Figure,
    record::{self, Record, Row},
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
        for now in measured(study, "brief")? {
            let known = record.figures(study, &now.contender, &now.measure, &[now.place])[0];
            let (Some(loss), Some(known)) = (Loss::shown_by(&now), known) else { continue };
            compared += 1;
            let contended = study == "next" && now.place > 1.0;
            let tolerated = if contended { TOLERATED_CONTENDED } else { TOLERATED };
            if loss.is_seen(known, now.figure, tolerated) {
                warnings.push(format!(
                    "{study} at {}: {} took {:.2} {} time, and now {:.2}",
                    now.place, now.contender, known.median, now.measure, now.figure.median
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

/// What it looks like in a ratio that the ring lost ground.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loss {
    /// Another way, as a multiple of the ring.
    Less,
    /// A way to use the ring, as a multiple of something else.
    More,
}

impl Loss {
    fn shown_by(row: &Row) -> Option<Self> {
        match (row.contender.starts_with("ring, "), row.measure.as_str()) {
            (false, "of the ring's") => Some(Self::Less),
            // The floor of threads that contend depends on where the host has put the cores.
            (true, "of the floor's") if row.place <= 1.0 => Some(Self::More),
            (true, "of the ring's") if row.study == "next" && row.place > 1.0 => Some(Self::More),
            _ => None,
        }
    }

    /// Whether it is more than tolerated, and more than the rounds differ among themselves.
    fn is_seen(self, known: Figure, now: Figure, tolerated: f64) -> bool {
        let (less, more) = match self {
            Self::Less => (now, known),
            Self::More => (known, now),
        };
        more.median > less.median * tolerated && more.low > less.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(median: f64) -> Figure {
        Figure { median, low: median * 0.98, high: median * 1.02 }
    }

    #[test]
    fn a_ring_that_got_slower_is_seen_from_either_side() {
        assert!(Loss::Less.is_seen(figure(2.0), figure(1.5), TOLERATED));
        assert!(Loss::More.is_seen(figure(1.2), figure(1.6), TOLERATED));
    }

    #[test]
    fn a_ring_that_got_faster_and_what_is_tolerated_are_not() {
        assert!(!Loss::Less.is_seen(figure(1.5), figure(2.0), TOLERATED));
        assert!(!Loss::More.is_seen(figure(1.6), figure(1.2), TOLERATED));
        assert!(!Loss::More.is_seen(figure(1.2), figure(1.4), TOLERATED));
    }

    #[test]
    fn rounds_that_differ_by_more_among_themselves_show_nothing() {
        let wide = Figure { median: 1.6, low: 1.1, high: 3.0 };
        assert!(!Loss::More.is_seen(figure(1.2), wide, TOLERATED));
    }
}
