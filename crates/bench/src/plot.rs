//! A plot as SVG: both axes logarithmic, one line per operation, its name at its end. On a ground of its own, so that it can be read on a dark page, too.

use std::fmt::Write as _;

use anyhow::Result;

/// What is shown.
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) across: &'static str,
    pub(crate) up: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// One line.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// Both greater than zero.
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 460.0;
/// Between two names.
const LEAD: f64 = 17.0;
/// Okabe and Ito's colours that are dark enough on white, told apart by people who see fewer of them; then dashed.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#00785a", "#a34d7f", "#000000", "#8a6d00", "#3a7fb0"];

/// The plot.
///
/// # Errors
///
/// None in practice: writing to a string.
pub(crate) fn svg(plot: &Plot) -> Result<String> {
    let all = || plot.lines.iter().flat_map(|line| &line.points);
    let across = range(all().map(|point| point.0));
    let up = range(all().map(|point| point.1));
    let x = |value: f64| LEFT + (value.log10() - across.0) / (across.1 - across.0) * (RIGHT - LEFT);
    let y = |value: f64| BOTTOM - (value.log10() - up.0) / (up.1 - up.0) * (BOTTOM - TOP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n\
         <title>{0}</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"30\" font-size=\"16\" fill=\"#111111\">{0}</text>\n",
        plot.title
    );
    for power in decades(across) {
        let at = x(10_f64.powi(power));
        writeln!(text, "<path d=\"M{at:.1} {TOP}V{BOTTOM}\" stroke=\"#dddddd\"/>")?;
        writeln!(
            text,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#333333\">{}</text>",
            BOTTOM + 20.0,
            number(power)
        )?;
    }
    for power in decades(up) {
        let at = y(10_f64.powi(power));
        writeln!(text, "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#dddddd\"/>")?;
        writeln!(
            text,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#333333\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            number(power)
        )?;
    }
    let middle = (LEFT + RIGHT) / 2.0;
    writeln!(
        text,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" fill=\"#333333\">{}</text>",
        BOTTOM + 44.0,
        plot.across
    )?;
    let middle = (TOP + BOTTOM) / 2.0;
    writeln!(
        text,
        "<text transform=\"translate(22 {middle}) rotate(-90)\" text-anchor=\"middle\" fill=\"#333333\">{}</text>",
        plot.up
    )?;

    let ends: Vec<f64> = plot.lines.iter().map(|line| line.points.last().map_or(BOTTOM, |point| y(point.1))).collect();
    for ((line, place), (name, end)) in plot.lines.iter().zip(0_usize..).zip(apart(&ends).into_iter().zip(&ends)) {
        let colour = COLOURS.get(place % COLOURS.len()).copied().unwrap_or("#000000");
        let dash = if place < COLOURS.len() { "" } else { " stroke-dasharray=\"6 3\"" };
        let path: Vec<String> =
            line.points.iter().map(|point| format!("{:.1} {:.1}", x(point.0), y(point.1))).collect();
        writeln!(text, "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>", path.join("L"))?;
        for point in &line.points {
            writeln!(text, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(point.0), y(point.1))?;
        }
        writeln!(
            text,
            "<path d=\"M{} {end:.1}L{} {name:.1}\" stroke=\"{colour}\" stroke-width=\"0.7\"/>",
            RIGHT + 4.0,
            RIGHT + 16.0
        )?;
        writeln!(text, "<text x=\"{}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>", RIGHT + 20.0, name + 4.0, line.name)?;
    }
    text.push_str("</svg>\n");
    Ok(text)
}

/// Whole decades around all values, as powers of ten; one at least.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.map(f64::log10) {
        (low, high) = (low.min(value), high.max(value));
    }
    let (low, high) = (low.floor(), high.ceil());
    if low.is_finite() && high > low { (low, high) } else { (low.min(0.0).max(-9.0), low.min(0.0).max(-9.0) + 1.0) }
}

fn decades((low, high): (f64, f64)) -> std::ops::RangeInclusive<i32> {
    low as i32..=high as i32
}

fn number(power: i32) -> String {
    match power {
        0 => "1".to_owned(),
        1..=6 => {
            let mut digits = format!("1{}", "0".repeat(power.unsigned_abs() as usize));
            if power >= 3 {
                digits.insert(digits.len() - 3, ',');
            }
            if power == 6 {
                digits.insert(1, ',');
            }
            digits
        }
        -3..0 => format!("0.{}1", "0".repeat(power.unsigned_abs() as usize - 1)),
        _ => format!("10^{power}"),
    }
}

/// Heights near the wanted ones, none closer to another than [`LEAD`].
fn apart(wanted: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    let height = |place: usize| wanted.get(place).copied().unwrap_or(BOTTOM);
    order.sort_by(|one, other| height(*one).total_cmp(&height(*other)));
    let mut found = wanted.to_vec();
    let mut free = TOP;
    for (rank, place) in order.iter().enumerate() {
        // Room for all that come below it.
        let lowest = BOTTOM + 30.0 - LEAD * (order.len() - 1 - rank) as f64;
        let at = height(*place).max(free).min(lowest.max(free));
        if let Some(slot) = found.get_mut(*place) {
            *slot = at;
        }
        free = at + LEAD;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_lie_on_each_other() {
        let places = apart(&[100.0, 101.0, 100.5, 300.0, 459.0, 460.0]);
        let mut sorted = places.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= LEAD), "{places:?}");
        assert!(sorted[0] >= TOP && sorted[5] < HEIGHT, "{places:?}");
    }

    #[test]
    fn a_line_that_is_flat_is_drawn_flat_and_ten_times_as_much_is_one_line_of_the_grid_higher() {
        let line = |name, high| Line { name, points: vec![(10.0, 1.0), (1000.0, high)] };
        let plot =
            Plot { title: "t".into(), across: "cases", up: "ms", lines: vec![line("flat", 1.0), line("steep", 10.0)] };
        let text = svg(&plot).unwrap();
        assert!(text.contains("M80.0 460.0L640.0 460.0\"") && text.contains("M80.0 460.0L640.0 50.0\""), "{text}");
    }
}
