//! Two networks on one test set, in words and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::words::{percent, ratio};
use crate::event::EvalReport;
use crate::metrics::{Comparison, Difference};

/// One of those that are compared.
#[derive(Debug, Clone, Copy)]
pub struct Contender<'a> {
    /// What it is called.
    pub title: &'a str,
    /// Its numbers.
    pub report: &'a EvalReport,
}

/// How a number is shown, and which way it should go.
struct Form {
    name: &'static str,
    scale: f64,
    unit: &'static str,
    decimals: usize,
    higher_is_better: bool,
}

const POINTS: Form = Form {
    name: "",
    scale: 100.0,
    unit: " points",
    decimals: 2,
    higher_is_better: true,
};
const PLAIN: Form = Form {
    name: "",
    scale: 1.0,
    unit: "",
    decimals: 4,
    higher_is_better: true,
};

/// A table of differences, each with whether it can be told from none.
pub fn comparison(first: Contender<'_>, second: Contender<'_>, found: &Comparison) -> String {
    let mut out = String::new();
    for (letter, contender) in [("A", first), ("B", second)] {
        let (accuracy, nll) = (
            contender.report.accuracy.0,
            contender.report.nll_calibrated.0,
        );
        let _ = writeln!(
            out,
            "{letter}  {}   accuracy {}  NLL {}",
            contender.title,
            percent(accuracy),
            ratio(nll).trim_end()
        );
    }
    let _ = writeln!(
        out,
        "\nB minus A on the same {} images, paired bootstrap, {} resamples",
        found.n, found.resamples
    );
    for (form, difference) in rows(found) {
        let _ = writeln!(out, "{}", line(&form, difference));
    }
    let _ = writeln!(
        out,
        "both right {}   only A {}   only B {}   both wrong {}",
        found.both_right, found.only_first, found.only_second, found.both_wrong
    );
    out
}

fn rows(found: &Comparison) -> [(Form, Option<Difference>); 5] {
    let lower = |form: Form| Form {
        higher_is_better: false,
        ..form
    };
    let named = |name, form: Form| Form { name, ..form };
    [
        (named("accuracy", POINTS), found.accuracy),
        (named("macro-F1", POINTS), found.macro_f1),
        (named("AUC-ROC", PLAIN), found.auc),
        (lower(named("NLL, calibrated", PLAIN)), found.nll_calibrated),
        (
            lower(named("ECE, calibrated", POINTS)),
            found.ece_calibrated,
        ),
    ]
}

fn line(form: &Form, difference: Option<Difference>) -> String {
    let Some(found) = difference else {
        return format!("{:<16}{:>9}", form.name, "undefined");
    };
    let shown = |value: f64| format!("{:+.*}", form.decimals, value * form.scale);
    let (low, high) = (shown(found.ci95.low), shown(found.ci95.high));
    let verdict = if !found.distinguishable() {
        "not distinguishable"
    } else if (found.value > 0.0) == form.higher_is_better {
        "B is better"
    } else {
        "A is better"
    };
    let value = format!("{}{}", shown(found.value), form.unit);
    format!(
        "{:<16}{value:<15} {:<20} {verdict}",
        form.name,
        format!("[{low}, {high}]")
    )
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
    json!({
        "first": first,
        "second": second,
        "difference": "second minus first",
        "n": found.n,
        "accuracy": difference(found.accuracy),
        "macro_f1": difference(found.macro_f1),
        "auc_ovr_macro": difference(found.auc),
        "nll_calibrated": difference(found.nll_calibrated),
        "ece_calibrated": difference(found.ece_calibrated),
        "both_right": found.both_right,
        "only_first": found.only_first,
        "only_second": found.only_second,
        "both_wrong": found.both_wrong,
        "bootstrap": { "resamples": found.resamples, "seed": found.seed, "method": "paired, rows drawn with replacement" },
    })
}
