//! Comparison of two networks on the same test set, as text and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::event::EvalReport;
use crate::metrics::{Comparison, Difference, Measure};

/// One of the two compared evaluations.
#[derive(Debug, Clone, Copy)]
pub struct ComparedEvaluation<'a> {
    /// Its title in the table.
    pub title: &'a str,
    /// Its metrics.
    pub report: &'a EvalReport,
}

/// A table of the differences, each with its 95 % interval and whether it is distinguishable from 0.
pub fn comparison(
    first: ComparedEvaluation<'_>,
    second: ComparedEvaluation<'_>,
    found: &Comparison,
) -> String {
    let mut out = String::new();
    for (letter, evaluation) in [("A", first), ("B", second)] {
        let written = |measure: Measure| measure.written(evaluation.report.value(measure));
        let _ = writeln!(
            out,
            "{letter}  {}   accuracy {}  NLL {}",
            evaluation.title,
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
    if found.only_first + found.only_second <= Comparison::FEW {
        let _ = writeln!(
            out,
            "few discordant images (only A, only B): intervals extended to the exact limits of McNemar's test"
        );
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
    let ends = found.ci95.displayed(scale, decimals);
    let ends = format!("[{:+.decimals$}, {:+.decimals$}]", ends.low, ends.high);
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

/// How the intervals of differences are computed.
const PAIRED: &str = "paired: rows drawn with replacement, the same for both, percentiles 2.5 and 97.5; with at most 10 \
    discordant images, or 10 others, the accuracy's difference reaches the exact limits of McNemar's test times the interval of the \
    share of discordant images, and the differences of all measures but NLL are extended likewise";

/// The comparison as JSON. Differences are second minus first.
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
        "bootstrap": { "resamples": found.resamples, "seed": found.seed, "method": PAIRED },
    });
    for (measure, found) in &found.differences {
        all[measure.info().path.join("_")] = json!(difference(*found));
    }
    all
}
