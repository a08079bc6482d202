//! `eval.json`: an evaluation as JSON.

use serde_json::{Value, json};

use crate::event::{EvalReport, F64};
use crate::limits::DETAILED_CLASSES;
use crate::metrics::{ClassScores, Estimate, Measure};

/// How the intervals are computed.
const METHOD: &str = "accuracy, top-5 accuracy, precision and recall: Wilson's interval of a proportion, not resampled, \
    an end moved out to the exact one-sided 95 % limit with at most 10 hits or misses; others: rows drawn with \
    replacement, all numbers together, percentiles 2.5 and 97.5; for ECE a test inversion that takes the noise off \
    (Hansen's grid bootstrap); boundary correction: F1 and recall of a class with at most 10 hits or errors reach the \
    interval of the proportion tp/(tp+fp+fn) or tp/(tp+fn), means over classes are extended by the squares of that, \
    AUC by that of classes with AUC 0 or 1, Matthews and ECE by that of the accuracy";

/// A report in the format of `eval.json`. `run` is the name of the run, if the report belongs to one; `names` are the
/// class names, by label.
pub fn eval_json(report: &EvalReport, run: Option<&str>, names: &[String]) -> Value {
    // A million cells would fill the file.
    let confusion = if report.classes.len() > DETAILED_CLASSES {
        let rows = report.confusion.rows().enumerate();
        let cells = rows.flat_map(|(label, row)| {
            let row = row.iter().enumerate().filter(|(_, count)| **count > 0);
            row.map(move |(predicted, count)| (label, predicted, *count))
        });
        json!({ "cells": cells.collect::<Vec<_>>() })
    } else {
        json!(report.confusion.rows().collect::<Vec<_>>())
    };
    let mut all = json!({
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
        "auc_ovr_macro": { "classes_used": report.auc.iter().flatten().count() },
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
            "resamples": report.estimates.resamples,
            "seed": report.estimates.seed,
            "method": METHOD,
        },
        "conventions": {
            "confusion": "rows true, columns predicted; above 200 classes the cells that are not 0, each as true, predicted, count",
            "undefined": "counts as 0 in means over classes; a class without AUC is left out of its mean",
            "auc": "one against the rest by ranks, ties half; score: log-odds at temperature 1",
            "nll": "natural logarithm, no label smoothing",
            "brier": "sum over classes, range 0 to 2, calibrated",
            "ece": "confidence of the predicted class, equal bins (lower, upper]",
        },
    });
    for (measure, found) in &report.estimates.measures {
        put(&mut all, *measure, found, report.n);
    }
    all
}

/// Inserts a measure at its path: a number, or `value` and `ci95` if it is published with an interval, with the number
/// of images `n` if that is the interval of a proportion.
fn put(all: &mut Value, measure: Measure, found: &Estimate, n: u64) {
    let place = measure
        .info()
        .path
        .iter()
        .fold(all, |place, name| &mut place[*name]);
    if measure.has_interval() {
        place["value"] = number(F64(found.value));
        place["ci95"] = json!(found.interval);
        if measure.is_proportion() {
            place["n"] = json!(n);
        }
    } else {
        *place = number(F64(found.value));
    }
}

/// A number as JSON: null if it is undefined, and a string if it is infinite, as JSON has no infinite numbers.
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
        let f1 = report.estimates.f1.get(label).copied().flatten();
        json!({
            "name": names.get(label).map_or("", String::as_str),
            "precision": scores.precision,
            "precision_ci95": report.confusion.precision_interval(label),
            "predicted": report.confusion.predicted(label),
            "recall": scores.recall,
            "recall_ci95": report.confusion.recall_interval(label),
            "f1": { "value": scores.f1, "ci95": f1 },
            "support": scores.support,
            "auc": auc,
            "undefined": undefined(scores, auc.is_none()),
        })
    })
    .collect()
}

/// Names of the scores of a class that are undefined, and so 0 or missing by convention. `auc`: the AUC is undefined.
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
