//! What was measured, kept as a table of its own (`docs/plots/growth.csv`), so that sizes can be measured one at a time; and how it is told.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::plot::{self, Line, Plot};

/// More than this many times the smallest size's p50 is no longer called flat. A B-tree of a million entries is one or two levels deeper than
/// one of a thousand, and no longer in the processor's cache.
pub(crate) const FLAT: f64 = 2.0;

macro_rules! operations {
    ($($name:ident $text:literal $why:literal,)*) => {
        /// What is measured.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Operation { $(
            #[doc = $text]
            $name,
        )* }

        impl Operation {
            /// In the order of the table.
            const ALL: [Self; [$($text),*].len()] = [$(Self::$name),*];

            fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Why it grows, where it is known to.
            fn why(self) -> &'static str {
                match self { $(Self::$name => $why,)* }
            }
        }
    };
}

operations! {
    Intake "an intake, 16 at a time" "",
    Seal "seal 100 envelopes" "with more tenants there are more chains, each with its own end to look up and to go on from",
    NothingToSeal "nothing to seal" "",
    Desk "desk, first page" "",
    Filtered "desk, new mails" "",
    Pending "desk, one in a hundred" "",
    Case "one case" "",
    ByReference "find a reference" "",
    Word "find a frequent word" "until it has 2,000 rows in the index of words each of them is counted, then no more",
    NoWord "find a word that is nowhere" "",
    Public "public reports, first page" "",
    PublicOne "one public report" "",
    Account "ledger, 15 minutes" "",
}

/// One operation at one size.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) store: String,
    pub(crate) cases: u64,
    pub(crate) tenants: u64,
    pub(crate) operation: Operation,
    pub(crate) per_second: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

const HEAD: &str = "store,cases,tenants,operation,per second,p50 ms,p99 ms";

impl Point {
    fn row(&self) -> String {
        let Self { store, cases, tenants, operation, per_second, p50, p99 } = self;
        format!("{store},{cases},{tenants},\"{}\",{per_second:.1},{p50:.4},{p99:.4}", operation.text())
    }

    fn read(row: &str) -> Option<Self> {
        let (before, rest) = row.split_once('"')?;
        let (operation, after) = rest.split_once('"')?;
        let (mut before, mut after) = (before.split(','), after.split(',').skip(1));
        Some(Self {
            store: before.next()?.to_owned(),
            cases: before.next()?.parse().ok()?,
            tenants: before.next()?.parse().ok()?,
            operation: Operation::ALL.into_iter().find(|one| one.text() == operation)?,
            per_second: after.next()?.parse().ok()?,
            p50: after.next()?.parse().ok()?,
            p99: after.next()?.parse().ok()?,
        })
    }

    fn same_place(&self, other: &Self) -> bool {
        (&self.store, self.cases, self.tenants, self.operation)
            == (&other.store, other.cases, other.tenants, other.operation)
    }
}

/// Puts new points in the place of old ones of the same store and size, in the table of `folder`. Gives them all.
pub(crate) fn merge(folder: &Path, new: Vec<Point>) -> Result<Vec<Point>> {
    std::fs::create_dir_all(folder)?;
    let file = folder.join("growth.csv");
    let mut all = read(&std::fs::read_to_string(&file).unwrap_or_default());
    all.retain(|old| !new.iter().any(|point| point.same_place(old)));
    all.extend(new);
    let place = |point: &Point| Operation::ALL.iter().position(|one| *one == point.operation);
    all.sort_by(|one, other| {
        (&one.store, one.tenants, one.cases, place(one)).cmp(&(&other.store, other.tenants, other.cases, place(other)))
    });
    let text: String =
        std::iter::once(HEAD.to_owned()).chain(all.iter().map(Point::row)).map(|row| row + "\n").collect();
    std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    Ok(all)
}

fn read(text: &str) -> Vec<Point> {
    text.lines().skip(1).filter_map(Point::read).collect()
}

/// What varies in a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    Cases,
    Tenants,
}

impl Axis {
    fn of(self, point: &Point) -> u64 {
        match self {
            Self::Cases => point.cases,
            Self::Tenants => point.tenants,
        }
    }
}

/// The part of the page, and the plots it shows in `folder`.
pub(crate) fn tell(all: &[Point], folder: &Path, measured: &str) -> Result<String> {
    let mut page = format!(
        "## Growth\n\n{measured} The store's own code and statements, called in the benchmark's process without HTTP and sandbox; one caller at a time but for the intake. \
         Calls, mails, chats and public reports, each its own case, of people who come three times, filled in 20 to a delivery; lists give {} cases. p50 in ms. \
         *Grows*: how many times the smallest size's p50 the largest size's is; more than {FLAT} is marked. A size whose every line is high was measured beside other work, or while the machine, which shares its hardware, was slower: what grows, grows beside the other lines of its size. All figures, with p99: [plots/growth.csv](plots/growth.csv).\n",
        super::PAGE,
    );
    for (axis, title, file) in [(Axis::Cases, "cases, one tenant", "cases"), (Axis::Tenants, "tenants", "tenants")] {
        for store in ["SQLite", "PostgreSQL"] {
            let series = series(all, store, axis);
            let Some(((_, smallest), (_, largest))) = series.first().zip(series.last()) else { continue };
            if smallest.len() < 2 {
                continue;
            }
            let sizes: Vec<u64> = smallest.iter().map(|point| axis.of(point)).collect();
            let cases = largest.first().map_or(0, |point| point.cases);
            let what = if axis == Axis::Tenants {
                format!("{} cases of so many {title}", grouped(cases))
            } else {
                title.to_owned()
            };
            let name = format!("{file}-{}.svg", store.to_lowercase());
            write!(page, "\n### {store}, {what}\n\n![p50 of each operation]({}/{name})\n\n|", "plots")?;
            for size in &sizes {
                write!(page, " | {}", grouped(*size))?;
            }
            writeln!(page, " | grows |\n|---{}|---|", "|---".repeat(sizes.len()))?;
            let mut reasons = Vec::new();
            for (operation, points) in &series {
                write!(page, "| {}", operation.text())?;
                for point in points {
                    write!(page, " | {}", short(point.p50))?;
                }
                let ratio = points.last().zip(points.first()).map_or(f64::NAN, |(last, first)| last.p50 / first.p50);
                if ratio > FLAT {
                    writeln!(page, " | **×{ratio:.1}** |")?;
                    let why = if operation.why().is_empty() {
                        "no reason known, so measure it again on a quiet machine"
                    } else {
                        operation.why()
                    };
                    reasons.push(format!("*{}*: {why}", operation.text()));
                } else {
                    writeln!(page, " | ×{ratio:.1} |")?;
                }
            }
            let rates = series.iter().find(|(operation, _)| *operation == Operation::Intake);
            if let Some((_, points)) = rates {
                let rates: Vec<String> = points.iter().map(|point| format!("{:.0}", point.per_second)).collect();
                writeln!(page, "\nIntakes a second: {}.", rates.join(", "))?;
            }
            if !reasons.is_empty() {
                writeln!(page, "\nNot flat: {}.", reasons.join("; "))?;
            }
            let lines = series
                .iter()
                .map(|(operation, points)| Line {
                    name: operation.text(),
                    points: points.iter().map(|point| (axis.of(point) as f64, point.p50)).collect(),
                })
                .collect();
            let plot = Plot { title: format!("{store}: {what}"), across: file, up: "p50, ms", lines };
            std::fs::write(folder.join(&name), plot::svg(&plot)?)?;
        }
    }
    Ok(page)
}

/// Points of each operation, smallest size first.
fn series<'a>(all: &'a [Point], store: &str, axis: Axis) -> Vec<(Operation, Vec<&'a Point>)> {
    // All with as many cases: as many as there are with several tenants.
    let shared = all.iter().find(|point| point.store == store && point.tenants > 1).map_or(0, |point| point.cases);
    let wanted = |point: &&Point| {
        point.store == store
            && match axis {
                Axis::Cases => point.tenants == 1,
                Axis::Tenants => point.cases == shared,
            }
    };
    let of = |operation| {
        let mut points: Vec<&Point> = all.iter().filter(wanted).filter(|point| point.operation == operation).collect();
        points.sort_by_key(|point| axis.of(point));
        (operation, points)
    };
    Operation::ALL.into_iter().map(of).filter(|(_, points)| !points.is_empty()).collect()
}

/// `1,000,000`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits that say something.
fn short(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(cases: u64, operation: Operation, p50: f64) -> Point {
        Point { store: "SQLite".into(), cases, tenants: 1, operation, per_second: 1.0, p50, p99: p50 }
    }

    #[test]
    fn a_size_measured_again_replaces_its_row_and_no_other() {
        let folder = std::env::temp_dir().join(format!("bench-points-{}", std::process::id()));
        let first =
            [point(10, Operation::Intake, 1.0), point(20, Operation::Intake, 2.0), point(10, Operation::Desk, 3.0)];
        merge(&folder, first.to_vec()).unwrap();
        let all = merge(&folder, vec![point(10, Operation::Intake, 4.0)]).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let found: Vec<(u64, f64)> = all.iter().map(|point| (point.cases, point.p50)).collect();
        assert_eq!(found, [(10, 4.0), (10, 3.0), (20, 2.0)]);
    }

    #[test]
    fn what_is_not_flat_is_marked_and_what_is_flat_is_not() {
        let folder = std::env::temp_dir();
        let all = [(10, 1.0, 1.0), (1000, 1.9, 100.0)]
            .map(|(cases, flat, steep)| [point(cases, Operation::Desk, flat), point(cases, Operation::Word, steep)]);
        let page = tell(all.as_flattened(), &folder, "").unwrap();
        assert!(page.contains("| desk, first page | 1.00 | 1.90 | ×1.9 |"), "{page}");
        assert!(page.contains("| **×100.0** |") && page.contains("each of them is counted"), "{page}");
    }
}
