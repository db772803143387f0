//! Charts as SVG, which follow the reader's light or dark scheme.
//!
//! Owns how a chart looks. Never measures, and knows nothing of what the figures mean.

use std::fmt::Write as _;

/// A figure, and the quartiles of the rounds it is the median of.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The figures of one contender, one for each place along the axis.
pub(crate) struct Series {
    pub(crate) name: String,
    /// One of ten, the same in every chart.
    pub(crate) colour: usize,
    pub(crate) figures: Vec<Option<Figure>>,
}

/// What stands around the figures.
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    pub(crate) conditions: &'a str,
    /// Along the places, or along the rows' axis.
    pub(crate) across: &'a str,
    /// What was measured.
    pub(crate) measure: &'a str,
    /// The machine, the day, and the command.
    pub(crate) source: String,
}

const WIDTH: f64 = 430.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 74.0;
const HEIGHT: f64 = 300.0;
/// For the names beside the lines, or the rows.
const NAMES: f64 = 250.0;
const LINE: f64 = 15.0;

/// Blue for the ring's own; the others by how far they can be told apart, for eyes of all kinds.
const STYLE: &str = "\
text { fill: #1f2328 } .faint { fill: #59636e } .axis { stroke: #818b98; fill: none }
.grid { stroke: #d1d9e0; fill: none } .line { fill: none; stroke-width: 1.6 } .bar { stroke-width: 1.2 }
.ring { font-weight: 600 } .ring-line { stroke-width: 2.6 }
.c0 { stroke: #0550ae; --c: #0550ae } .c1 { stroke: #218bff; --c: #218bff }
.c2 { stroke: #6639ba; --c: #6639ba } .c3 { stroke: #bc4c00; --c: #bc4c00 }
.c4 { stroke: #9a6700; --c: #9a6700 } .c5 { stroke: #1a7f37; --c: #1a7f37 }
.c6 { stroke: #cf222e; --c: #cf222e } .c7 { stroke: #bf3989; --c: #bf3989 }
.c8 { stroke: #57606a; --c: #57606a } .c9 { stroke: #0f7b8a; --c: #0f7b8a }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .faint { fill: #9198a1 } .axis { stroke: #656c76 } .grid { stroke: #3d444d }
.c0 { stroke: #79c0ff; --c: #79c0ff } .c1 { stroke: #388bfd; --c: #388bfd }
.c2 { stroke: #bc8cff; --c: #bc8cff } .c3 { stroke: #f0883e; --c: #f0883e }
.c4 { stroke: #d29922; --c: #d29922 } .c5 { stroke: #3fb950; --c: #3fb950 }
.c6 { stroke: #ff7b72; --c: #ff7b72 } .c7 { stroke: #f778ba; --c: #f778ba }
.c8 { stroke: #9198a1; --c: #9198a1 } .c9 { stroke: #39c5cf; --c: #39c5cf }
}
.dot, .name { fill: var(--c); stroke: none }";

/// A logarithmic axis over all that is to be shown; what is less than its least, 0 too, is drawn
/// at its end.
struct Scale {
    least: f64,
    most: f64,
    length: f64,
}

impl Scale {
    fn over(figures: impl Iterator<Item = f64>, least: f64, length: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, least * 10.0);
        for figure in figures {
            low = low.min(figure.max(least));
            high = high.max(figure);
        }
        Self { least: low.min(high) / 1.25, most: high * 1.15, length }
    }

    fn at(&self, figure: f64) -> f64 {
        let figure = figure.max(self.least);
        self.length * (figure / self.least).ln() / (self.most / self.least).ln()
    }

    /// Round numbers: 1, 2, 5, 10 and so on, or powers of ten alone if those are many.
    fn ticks(&self) -> Vec<f64> {
        let decades = (self.most / self.least).log10();
        let steps: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let mut ticks = Vec::new();
        let mut power = 10_f64.powf(self.least.log10().floor());
        while power <= self.most {
            let here = steps.iter().map(|step| step * power);
            ticks.extend(here.filter(|&tick| tick >= self.least && tick <= self.most));
            power *= 10.0;
        }
        ticks
    }
}

/// Places along the axis, a line for each contender. `least` is the smallest figure that matters.
pub(crate) fn lines(frame: &Frame<'_>, places: &[&str], series: &[Series], least: f64) -> String {
    let all = series.iter().flat_map(|one| one.figures.iter().flatten());
    let scale = Scale::over(all.flat_map(|f| [f.low, f.median, f.high]), least, HEIGHT);
    let gap = WIDTH / count(places.len());
    let across = |place: usize| LEFT + gap * (count(place) + 0.5);
    let down = |figure: f64| TOP + HEIGHT - scale.at(figure);

    let mut svg = begin(frame, LEFT + WIDTH + NAMES, TOP + HEIGHT + 62.0);
    for tick in scale.ticks() {
        let y = down(tick);
        let _ = writeln!(
            svg,
            r#"<path class="grid" d="M{LEFT} {y:.1}H{:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end" class="faint">{}</text>"#,
            LEFT + WIDTH,
            LEFT - 6.0,
            y + 4.0,
            short(tick)
        );
    }
    for (place, label) in places.iter().enumerate() {
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle" class="faint">{label}</text>"#,
            across(place),
            TOP + HEIGHT + 16.0
        );
    }
    // The first one last, on top of the others.
    for one in series.iter().rev() {
        let points = one.figures.iter().enumerate();
        let points: Vec<_> =
            points.filter_map(|(place, figure)| Some((across(place), (*figure)?))).collect();
        draw_line(&mut svg, one.colour, is_ring(&one.name), &points, &down);
    }
    name_lines(&mut svg, series, &down);
    let _ = writeln!(
        svg,
        r#"<path class="axis" d="M{LEFT} {TOP}V{:.1}H{:.1}"/>
<text x="{:.1}" y="{:.1}" text-anchor="middle" class="faint">{}</text>"#,
        TOP + HEIGHT,
        LEFT + WIDTH,
        LEFT + WIDTH / 2.0,
        TOP + HEIGHT + 34.0,
        escaped(frame.across),
    );
    end(svg, frame, TOP + HEIGHT + 54.0)
}

fn draw_line(
    svg: &mut String,
    colour: usize,
    is_ring: bool,
    points: &[(f64, Figure)],
    down: &impl Fn(f64) -> f64,
) {
    let strong = if is_ring { " ring-line" } else { "" };
    let line: Vec<_> =
        points.iter().map(|(x, figure)| format!("{x:.1},{:.1}", down(figure.median))).collect();
    let _ =
        writeln!(svg, r#"<polyline class="line{strong} c{colour}" points="{}"/>"#, line.join(" "));
    for (x, figure) in points {
        let _ = writeln!(
            svg,
            r#"<path class="bar c{colour}" d="M{x:.1} {:.1}V{:.1}"/><circle class="dot c{colour}" cx="{x:.1}" cy="{:.1}" r="2.6"/>"#,
            down(figure.low),
            down(figure.high),
            down(figure.median)
        );
    }
}

/// Names at the lines' ends, moved apart where they would overlap.
fn name_lines(svg: &mut String, series: &[Series], down: &impl Fn(f64) -> f64) {
    let mut ends: Vec<(usize, f64)> = series
        .iter()
        .enumerate()
        .filter_map(|(number, one)| {
            Some((number, down(one.figures.iter().flatten().last()?.median)))
        })
        .collect();
    ends.sort_by(|one, other| one.1.total_cmp(&other.1));
    let room = TOP + HEIGHT - LINE * count(ends.len());
    let mut free = f64::NEG_INFINITY;
    for (place, (number, y)) in ends.into_iter().enumerate() {
        let at = y.max(free).min(room + LINE * (count(place) + 1.0));
        free = at + LINE;
        let strong = if is_ring(&series[number].name) { " ring" } else { "" };
        let colour = series[number].colour;
        let x = LEFT + WIDTH;
        let _ = writeln!(
            svg,
            r#"<path class="bar c{colour}" d="M{:.1} {y:.1}L{:.1} {at:.1}" stroke-opacity=".4" fill="none"/><text class="name{strong} c{colour}" x="{:.1}" y="{:.1}">{}</text>"#,
            x - 4.0,
            x + 12.0,
            x + 16.0,
            at + 4.0,
            escaped(&series[number].name)
        );
    }
}

/// A row for each contender, and on it a mark for each of the `marks`.
pub(crate) fn rows(frame: &Frame<'_>, marks: &[&str], series: &[Series], least: f64) -> String {
    const ROW: f64 = 22.0;
    let left = NAMES;
    let all = series.iter().flat_map(|one| one.figures.iter().flatten());
    let scale = Scale::over(all.flat_map(|f| [f.low, f.median, f.high]), least, WIDTH);
    let height = ROW * count(series.len());
    let across = |figure: f64| left + scale.at(figure);

    let mut svg = begin(frame, left + WIDTH + 24.0, TOP + height + 62.0);
    for tick in scale.ticks() {
        let _ = writeln!(
            svg,
            r#"<path class="grid" d="M{x:.1} {TOP}V{:.1}"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" class="faint">{}</text>"#,
            TOP + height,
            TOP + height + 16.0,
            short(tick),
            x = across(tick),
        );
    }
    for (number, one) in series.iter().enumerate() {
        let y = TOP + ROW * (count(number) + 0.5);
        let strong = if is_ring(&one.name) { "ring" } else { "" };
        let _ = writeln!(
            svg,
            r#"<text class="{strong}" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            left - 8.0,
            y + 4.0,
            escaped(&one.name)
        );
        for (mark, figure) in one.figures.iter().enumerate() {
            let Some(figure) = figure else { continue };
            let _ = writeln!(
                svg,
                r#"<path class="bar c{mark}" d="M{:.1} {y:.1}H{:.1}"/><circle class="dot c{mark}" cx="{:.1}" cy="{y:.1}" r="4"/>"#,
                across(figure.low),
                across(figure.high),
                across(figure.median)
            );
        }
    }
    for (mark, name) in marks.iter().enumerate() {
        let x = left + 90.0 * count(mark);
        let _ = writeln!(
            svg,
            r#"<circle class="dot c{mark}" cx="{x:.1}" cy="{y:.1}" r="4"/><text x="{:.1}" y="{:.1}">{}</text>"#,
            x + 8.0,
            TOP - 8.0,
            escaped(name),
            y = TOP - 12.0,
        );
    }
    let _ = writeln!(
        svg,
        r#"<path class="axis" d="M{left} {TOP}V{:.1}H{:.1}"/>
<text x="{:.1}" y="{:.1}" text-anchor="middle" class="faint">{}</text>"#,
        TOP + height,
        left + WIDTH,
        left + WIDTH / 2.0,
        TOP + height + 34.0,
        escaped(frame.across),
    );
    end(svg, frame, TOP + height + 54.0)
}

fn begin(frame: &Frame<'_>, width: f64, height: f64) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="12">
<title>{title}</title>
<style>
{STYLE}
</style>
<text x="14" y="20" font-size="14" font-weight="600">{title}</text>
<text x="14" y="37" class="faint">{}</text>
<text x="14" y="{:.1}" class="faint">{}</text>
"#,
        escaped(frame.conditions),
        TOP - 16.0,
        escaped(frame.measure),
        title = escaped(frame.title),
    )
}

fn end(mut svg: String, frame: &Frame<'_>, y: f64) -> String {
    let _ = writeln!(
        svg,
        r#"<text x="14" y="{y:.1}" font-size="10" class="faint">{}</text>
</svg>"#,
        escaped(&frame.source)
    );
    svg
}

fn is_ring(name: &str) -> bool {
    name.starts_with("ring")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
fn count(number: usize) -> f64 {
    number as f64
}

/// A round number, as short as can be.
fn short(figure: f64) -> String {
    match figure {
        _ if figure >= 1e9 => format!("{} G", figure / 1e9),
        _ if figure >= 1e6 => format!("{} M", figure / 1e6),
        _ if figure >= 1e3 => format!("{} k", figure / 1e3),
        _ if figure >= 1.0 => format!("{figure:.0}"),
        _ => format!("{figure:.3}").trim_end_matches('0').to_owned(),
    }
}
