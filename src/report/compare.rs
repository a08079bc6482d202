//! Two networks on one test set, in words and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::event::EvalReport;
use crate::metrics::{Comparison, Difference, Measure};

/// One of those that are compared.
#[derive(Debug, Clone, Copy)]
pub struct Contender<'a> {
    /// What it is called.
    pub title: &'a str,
    /// Its numbers.
    pub report: &'a EvalReport,
}

/// A table of differences, each with whether it can be told from none.
pub fn comparison(first: Contender<'_>, second: Contender<'_>, found: &Comparison) -> String {
    let mut out = String::new();
    for (letter, contender) in [("A", first), ("B", second)] {
        let written = |measure: Measure| measure.written(contender.report.value(measure));
        let _ = writeln!(
            out,
            "{letter}  {}   accuracy {}  NLL {}",
            contender.title,
            written(Measure::Accuracy),
            written(Measure::NllCalibrated)
        );
    }
    let _ = writeln!(
        out,
        "\nB minus A on the same {} images, paired bootstrap, {} resamples",
        found.n, found.resamples
    );
    for (measure, difference) in &found.differences {
        let _ = writeln!(out, "{}", line(*measure, *difference));
    }
    let _ = writeln!(
        out,
        "both right {}   only A {}   only B {}   both wrong {}",
        found.both_right, found.only_first, found.only_second, found.both_wrong
    );
    out
}

fn line(measure: Measure, difference: Option<Difference>) -> String {
    let (title, info) = (measure.title(), measure.info());
    let Some(found) = difference else {
        return format!("{title:<18}{:>9}", "undefined");
    };
    let (scale, decimals) = info.format.scale();
    let shown = |value: f64| format!("{:+.decimals$}", value * scale);
    let ends = format!("[{}, {}]", shown(found.ci95.low), shown(found.ci95.high));
    let verdict = if !found.distinguishable() {
        "not distinguishable"
    } else if info.better.prefers(found.value, 0.0) {
        "B is better"
    } else {
        "A is better"
    };
    let value = format!("{}{}", shown(found.value), info.format.units().1);
    format!("{title:<18}{value:<15} {ends:<20} {verdict}")
}

/// The same for programs: second minus first.
pub fn comparison_json(first: &str, second: &str, found: &Comparison) -> Value {
    let difference = |difference: Option<Difference>| {
        difference.map(|found| {
            json!({
                "value": found.value,
                "ci95": found.ci95,
                "distinguishable": found.distinguishable(),
            })
        })
    };
    let mut all = json!({
        "first": first,
        "second": second,
        "difference": "second minus first",
        "n": found.n,
        "both_right": found.both_right,
        "only_first": found.only_first,
        "only_second": found.only_second,
        "both_wrong": found.both_wrong,
        "bootstrap": { "resamples": found.resamples, "seed": found.seed, "method": "paired, rows drawn with replacement" },
    });
    for (measure, found) in &found.differences {
        all[measure.info().path.join("_")] = json!(difference(*found));
    }
    all
}
