//! `eval.json`: an evaluation for programs.

use serde_json::{Value, json};

use crate::event::{EvalReport, F64};
use crate::metrics::{ClassScores, Interval};

/// A report in the shape of `eval.json`: of which run, if it is of one; `names` are those of the classes, by label.
pub fn eval_json(report: &EvalReport, run: Option<&str>, names: &[String]) -> Value {
    let intervals = &report.intervals;
    let confusion: Vec<&[u64]> = report.confusion.rows().collect();
    json!({
        "run": run,
        "split": report.split.name(),
        "n": report.n,
        "not_finite": report.not_finite,
        "checkpoint": report.checkpoint,
        "weights": report.weights,
        "epoch": report.epoch,
        "global_step": report.global_step,
        "classes": classes(report, names),
        "confusion": confusion,
        "accuracy": estimate(report.accuracy, intervals.accuracy),
        "macro_f1": estimate(report.macro_f1, intervals.macro_f1),
        "weighted_f1": number(report.weighted_f1),
        "auc_ovr_macro": {
            "value": report.auc_macro,
            "ci95": intervals.auc,
            "classes_used": report.auc.iter().flatten().count(),
        },
        "brier": number(report.brier),
        "nll": { "uncalibrated": number(report.nll), "calibrated": number(report.nll_calibrated) },
        "ece": {
            "uncalibrated": estimate(report.ece, intervals.ece),
            "calibrated": estimate(report.ece_calibrated, intervals.ece_calibrated),
        },
        "mce": { "uncalibrated": number(report.mce), "calibrated": number(report.mce_calibrated) },
        "temperature": {
            "value": report.temperature.value,
            "converged": report.temperature.converged,
            "fitted_on": "valid",
            "iterations": report.temperature.iterations,
            "slope": report.temperature.slope,
            "nll_before": report.temperature.nll_before,
            "nll_after": report.temperature.nll_after,
        },
        "reliability": report.reliability,
        "reliability_uncalibrated": report.reliability_before,
        "bootstrap": {
            "resamples": intervals.resamples,
            "seed": intervals.seed,
            "method": "rows drawn with replacement, all numbers together; percentiles 2.5 and 97.5; for ECE a test inversion that takes the noise off (Hansen's grid bootstrap)",
        },
        "conventions": {
            "confusion": "rows true, columns predicted",
            "undefined": "counts as 0 in means over classes; a class without AUC is left out of its mean",
            "auc": "one against the rest by ranks, ties half; score: log-odds at temperature 1",
            "nll": "natural logarithm, no label smoothing",
            "brier": "sum over classes, range 0 to 2, calibrated",
            "ece": "confidence of the predicted class, equal bins (lower, upper]",
        },
    })
}

fn estimate(value: F64, ci95: Option<Interval>) -> Value {
    json!({ "value": number(value), "ci95": ci95 })
}

/// A number; null where it is undefined, and a word where it is infinite, for which JSON has no number.
fn number(value: F64) -> Value {
    if value.0.is_nan() {
        Value::Null
    } else {
        json!(value)
    }
}

fn classes(report: &EvalReport, names: &[String]) -> Vec<Value> {
    let rows = report.classes.iter().enumerate();
    rows.map(|(label, scores)| {
        let auc = report.auc.get(label).copied().flatten();
        let f1 = report.intervals.f1.get(label).copied().flatten();
        json!({
            "name": names.get(label).map_or("", String::as_str),
            "precision": scores.precision,
            "recall": scores.recall,
            "f1": estimate(F64(scores.f1), f1),
            "support": scores.support,
            "auc": auc,
            "undefined": undefined(scores, auc.is_none()),
        })
    })
    .collect()
}

/// Which scores of a class are 0, or missing, by convention.
fn undefined(scores: &ClassScores, auc: bool) -> Vec<&'static str> {
    [
        ("precision", scores.precision_undefined),
        ("recall", scores.recall_undefined),
        ("f1", scores.f1_undefined),
        ("auc", auc),
    ]
    .into_iter()
    .filter(|(_, flag)| *flag)
    .map(|(name, _)| name)
    .collect()
}
