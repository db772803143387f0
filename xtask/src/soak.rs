//! The ring's soak: churn for half an hour, and the curve of it.

use std::{fmt::Write as _, path::Path};

use crate::{
    files,
    record::machine,
    run::{Outcome, Run, number, root},
};

/// `[MINUTES]`, 30 if none; `--record` writes the curve into `assets`.
pub(crate) fn all(arguments: &[String]) -> Outcome {
    let (flags, minutes): (Vec<_>, Vec<_>) =
        arguments.iter().cloned().partition(|argument| argument == "--record");
    let minutes = number(&minutes, "minutes")?.unwrap_or(30);
    let curve = root().join("target/soak.csv");
    Run::cargo("test --release --package rondel --test soak -- --nocapture")
        .env("RONDEL_SOAK_SECONDS", &(60 * minutes).to_string())
        .env("RONDEL_SOAK_CSV", &curve.to_string_lossy())
        .check()?;
    if flags.is_empty() { Ok(()) } else { save(&curve) }
}

fn save(curve: &Path) -> Outcome {
    let text = files::read(curve)?;
    let machine = machine();
    let assets = root().join("assets");
    files::write(assets.join("soak.csv"), format!("# {machine}\n{text}"))?;
    files::write(assets.join("soak.svg"), drawing(&text, &machine)?)
}

/// One column of the curve, as a panel.
struct Panel {
    title: &'static str,
    column: usize,
    /// What the column is divided by, for the axis.
    unit: f64,
}

const PANELS: [Panel; 4] = [
    Panel { title: "resident memory, MiB", column: 1, unit: 1024.0 },
    Panel { title: "values alive at the worst moment, thousands", column: 4, unit: 1e3 },
    Panel { title: "picks, millions a second", column: 5, unit: 1e6 },
    Panel { title: "inserts and removals, thousands a second", column: 6, unit: 1e3 },
];
const PINNED: usize = 8;
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 90.0;
const LEFT: f64 = 52.0;
const GAP: f64 = 44.0;
const TOP: f64 = 68.0;

/// Where things stand in the picture.
struct Place {
    /// Seconds at the end of the axis.
    end: f64,
}

impl Place {
    fn across(&self, seconds: f64) -> f64 {
        LEFT + WIDTH * seconds / self.end
    }

    #[expect(clippy::cast_precision_loss, reason = "four panels")]
    fn top(panel: usize) -> f64 {
        TOP + panel as f64 * (HEIGHT + GAP)
    }

    fn bottom() -> f64 {
        Self::top(PANELS.len() - 1) + HEIGHT
    }
}

fn drawing(csv: &str, machine: &str) -> Outcome<String> {
    let rows: Vec<Vec<f64>> = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(str::parse).collect::<Result<_, _>>())
        .collect::<Result<_, _>>()
        .map_err(|_| "the curve holds what is no number".to_owned())?;
    let Some(last) = rows.last() else { return Err("the curve is empty".to_owned()) };
    let place = Place { end: last[0] };

    let mut svg = String::new();
    draw_head(&mut svg, &place);
    for (number, panel) in PANELS.iter().enumerate() {
        draw_panel(&mut svg, &place, Place::top(number), panel, &rows);
    }
    draw_axis(&mut svg, &place, machine);
    Ok(svg)
}

fn draw_head(svg: &mut String, place: &Place) {
    let _ = write!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" font-family="system-ui, sans-serif" font-size="12">
<title>A soak of the ring: memory and rates over time</title>
<style>
text {{ fill: #1f2328 }} .faint {{ fill: #59636e }} .axis {{ stroke: #818b98; fill: none }}
.line {{ stroke: #0969da; fill: none; stroke-width: 1.5 }} .pin {{ fill: #d4a72c; fill-opacity: .25 }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #f0f6fc }} .faint {{ fill: #9198a1 }} .axis {{ stroke: #656c76 }} .line {{ stroke: #4493f8 }}
}}
</style>
<text x="{LEFT}" y="18" font-weight="600">Churn for {:.0} minutes: 2 threads insert and remove, 2 pick</text>
<text x="{LEFT}" y="34" class="faint">shaded: a reader keeps one guard, so that nothing is dropped</text>
"#,
        LEFT + WIDTH + 16.0,
        Place::bottom() + 52.0,
        place.end / 60.0,
    );
}

/// One panel, `y` down from the top.
fn draw_panel(svg: &mut String, place: &Place, y: f64, panel: &Panel, rows: &[Vec<f64>]) {
    let value = |row: &Vec<f64>| row[panel.column] / panel.unit;
    let most = rows.iter().map(value).fold(0.0, f64::max).max(1e-9);
    for (from, to) in pinned(rows) {
        let _ = writeln!(
            svg,
            r#"<rect class="pin" x="{:.1}" y="{y}" width="{:.1}" height="{HEIGHT}"/>"#,
            place.across(from),
            place.across(to) - place.across(from)
        );
    }
    let points: Vec<String> = rows
        .iter()
        .map(|row| {
            format!("{:.1},{:.1}", place.across(row[0]), y + HEIGHT * (1.0 - value(row) / most))
        })
        .collect();
    let _ = writeln!(
        svg,
        r#"<text x="{LEFT}" y="{:.1}">{}</text>
<path class="axis" d="M{LEFT} {y}V{:.1}H{:.1}"/>
<text x="{:.1}" y="{:.1}" text-anchor="end" class="faint">{most:.1}</text>
<text x="{:.1}" y="{:.1}" text-anchor="end" class="faint">0</text>
<polyline class="line" points="{}"/>"#,
        y - 6.0,
        panel.title,
        y + HEIGHT,
        LEFT + WIDTH,
        LEFT - 6.0,
        y + 10.0,
        LEFT - 6.0,
        y + HEIGHT,
        points.join(" ")
    );
}

fn draw_axis(svg: &mut String, place: &Place, machine: &str) {
    for fifth in 0..=5 {
        let seconds = place.end * f64::from(fifth) / 5.0;
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle" class="faint">{:.1}</text>"#,
            place.across(seconds),
            Place::bottom() + 16.0,
            seconds / 60.0
        );
    }
    let _ = writeln!(
        svg,
        r#"<text x="{:.1}" y="{:.1}" text-anchor="middle" class="faint">minutes</text>
<text x="{LEFT}" y="{:.1}" class="faint">{machine}; cargo xtask soak --record</text>
</svg>"#,
        LEFT + WIDTH / 2.0,
        Place::bottom() + 30.0,
        Place::bottom() + 46.0
    );
}

/// The times for which a reader was pinned.
fn pinned(rows: &[Vec<f64>]) -> Vec<(f64, f64)> {
    let mut times: Vec<(f64, f64)> = Vec::new();
    let mut before = 0.0;
    for row in rows {
        if row[PINNED] != 0.0 {
            match times.last_mut() {
                Some((_, to)) if *to >= before => *to = row[0],
                _ => times.push((before, row[0])),
            }
        }
        before = row[0];
    }
    times
}
