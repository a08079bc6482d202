//! An evaluation as text: a table of the metrics, with notes and warnings.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use crate::event::{EvalReport, Split};
use crate::limits::{DETAILED_CLASSES, many_classes_note};
use crate::metrics::{Interval, Measure, ReliabilityBin, largest_gap_count, overconfidence};

/// Number of confused pairs that are listed.
const PAIRS: usize = 5;
/// Number of classes that are listed if there are more than [`DETAILED_CLASSES`].
const WORST: usize = 30;
/// Absolute mean gap between confidence and accuracy below which the two are reported as equal.
const EVEN: f64 = 0.005;
/// Greatest width of a class name, in terminal columns.
const NAME: usize = 24;

/// The metrics with their intervals, the scores of each class, and the most confused pairs.
pub fn table(report: &EvalReport, names: &[String]) -> String {
    let mut out = String::new();
    headline(&mut out, report);
    for line in remarks(report, names) {
        let _ = writeln!(out, "! {line}");
    }
    out.push('\n');
    classes(&mut out, report, names);
    pairs(&mut out, report, names);
    out
}

fn headline(out: &mut String, report: &EvalReport) {
    let mut line = |label: &str, value: String, unit: &str, more: &str| {
        let text = format!("{label:<17}{value:>9}{unit:<2}  {more}");
        let _ = writeln!(out, "{}", text.trim_end());
    };
    for (&measure, found) in &report.estimates.measures {
        let info = measure.info();
        let pair = measure.partner().filter(|_| !measure.has_interval());
        if info.calibrated && !measure.has_interval() {
            continue; // it is printed on the line of its partner
        }
        let between = match pair {
            Some(pair) => format!("→ {}", measure.written(report.value(pair))),
            None => measure.ends(found.interval),
        };
        let label = if info.calibrated {
            "  calibrated"
        } else {
            info.name
        };
        let unit = if found.value.is_finite() {
            info.format.units().0
        } else {
            ""
        };
        let more = format!("{between:<19}  {}", note(report, measure));
        line(label, measure.number(found.value), unit, more.trim_end());
    }
    let fit = &report.temperature;
    let how = if fit.converged {
        format!("fitted on validation in {} steps", fit.iterations)
    } else {
        "not used: the fit on validation did not converge".to_owned()
    };
    line("temperature", format!("{:.4}", fit.value), "", &how);
    if report.estimates.resamples > 0 {
        let _ = writeln!(
            out,
            "[ ] 95 % intervals: of shares of images by Wilson, others by {} bootstrap resamples; corrected near 0 and 1\n\
             \x20   ECE is biased upward: the estimate can exceed its interval",
            report.estimates.resamples
        );
    }
}

/// The note after a measure: what it is a mean of, or how a calibration error is to be read.
fn note(report: &EvalReport, measure: Measure) -> String {
    let confidence = |bins: &[ReliabilityBin]| {
        // With non-finite logits, some images have no confidence.
        let gap = if report.not_finite > 0 {
            f64::NAN
        } else {
            overconfidence(bins)
        };
        confidence_gap_note(gap)
    };
    if measure.is_proportion() {
        let right = (report.value(measure) * report.n as f64).round();
        return format!("{right} of {} images", report.n);
    }
    if measure == Measure::Auc {
        let used = report.auc.iter().flatten().count();
        let all = report.auc.len();
        return format!("mean of {used} of {all} classes, each against the rest");
    }
    if measure == Measure::Ece {
        return confidence(&report.reliability_before);
    }
    if measure == Measure::EceCalibrated {
        return confidence(&report.reliability);
    }
    if measure == Measure::Mce {
        return format!(
            "largest gap of a bin (bins with n = {} and {})",
            largest_gap_count(&report.reliability_before),
            largest_gap_count(&report.reliability)
        );
    }
    measure.info().note.to_owned()
}

/// Warnings that are needed to interpret the metrics.
fn remarks(report: &EvalReport, names: &[String]) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks.extend(match report.split {
        Split::Train => Some("training images: metrics on new images are worse".to_owned()),
        Split::Valid => Some(
            "the checkpoint and the temperature were chosen on these images: metrics on new images are slightly worse"
                .to_owned(),
        ),
        Split::Test => None,
    });
    remarks.extend(many_classes_note(report.classes.len()));
    remarks.extend(imbalance_warning(report, names));
    remarks.extend(
        report
            .calibration_warning()
            .filter(|_| report.not_finite == 0),
    );
    if report.not_finite > 0 {
        remarks.push(format!(
            "{} of {} images have non-finite logits: metrics that need probabilities are undefined",
            report.not_finite, report.n
        ));
    }
    remarks
}

/// A warning if accuracy depends more on the class sizes than on the network: always predicting the largest class would
/// be about as accurate.
pub fn imbalance_warning(report: &EvalReport, names: &[String]) -> Option<String> {
    let imbalance = report.confusion.misleading_imbalance()?;
    Some(format!(
        "accuracy is misleading: majority baseline {} {}, macro-F1 {}",
        class_name(names, imbalance.majority),
        Measure::Accuracy.written(imbalance.share),
        Measure::MacroF1.written(report.value(Measure::MacroF1))
    ))
}

/// Describes the gap between mean confidence and accuracy (confidence minus accuracy, -1 to 1); empty if it is not
/// finite.
pub fn confidence_gap_note(gap: f64) -> String {
    if !gap.is_finite() {
        return String::new();
    }
    if gap.abs() < EVEN {
        return "mean confidence = accuracy".to_owned();
    }
    let word = if gap > 0.0 { "over" } else { "under" };
    format!("{word}-confident by {:.1} points", gap.abs() * 100.0)
}

/// The classes with a row in the table: all, or the [`WORST`] ones with the lowest F1 above [`DETAILED_CLASSES`].
fn listed(report: &EvalReport) -> Vec<usize> {
    let mut labels: Vec<usize> = (0..report.classes.len()).collect();
    if labels.len() > DETAILED_CLASSES {
        // A class without images has no F1.
        labels.retain(|label| report.confusion.support(*label) > 0);
        let f1 = |label: &usize| report.classes.get(*label).map_or(0.0, |scores| scores.f1);
        labels.sort_by(|a, b| f1(a).total_cmp(&f1(b)));
        labels.truncate(WORST);
    }
    labels
}

fn classes(out: &mut String, report: &EvalReport, names: &[String]) {
    let listed = listed(report);
    let width = listed
        .iter()
        .map(|label| class_name(names, *label).width())
        .max()
        .unwrap_or(0)
        .max(5);
    let _ = writeln!(
        out,
        "{}  precision [95 %]    n  recall [95 %]       n  F1 [95 %]        AUC",
        pad("class", width)
    );
    for (label, scores) in listed
        .iter()
        .filter_map(|label| Some((*label, report.classes.get(*label)?)))
    {
        let defined = |value: f64, undefined: bool| {
            if undefined {
                "–".to_owned()
            } else {
                short(value, 3)
            }
        };
        let f1 = report.estimates.f1.get(label).copied().flatten();
        let f1 = f1.filter(|_| !scores.f1_undefined);
        let auc = report.auc.get(label).copied().flatten();
        let _ = writeln!(
            out,
            "{}  {:>4} {:<9} {:>6}  {:>4} {:<9} {:>5}  {:>4} {:<9}  {:>5}",
            pad(&class_name(names, label), width),
            defined(scores.precision, scores.precision_undefined),
            short_ends(report.confusion.precision_interval(label)),
            report.confusion.predicted(label),
            defined(scores.recall, scores.recall_undefined),
            short_ends(report.confusion.recall_interval(label)),
            scores.support,
            defined(scores.f1, scores.f1_undefined),
            short_ends(f1),
            auc.map_or_else(|| "–".to_owned(), |auc| short(auc, 4)),
        );
    }
    if listed.len() < report.classes.len() {
        let _ = writeln!(
            out,
            "the {} of {} classes with the lowest F1; `epochtop eval --json` has all",
            listed.len(),
            report.classes.len()
        );
    }
    let any_undefined = report
        .classes
        .iter()
        .any(|s| s.precision_undefined || s.recall_undefined)
        || report.auc.iter().any(Option::is_none);
    if any_undefined {
        let _ = writeln!(
            out,
            "– undefined: no image was predicted as the class, or none belongs to it; counts as 0 in macro-F1"
        );
    }
}

/// A number from 0 to 1 without its leading zero, so that the table fits on 80 columns; 1 has one decimal less.
fn short(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('0') {
        Some(short) => short.to_owned(),
        None => text.chars().take(decimals + 1).collect(),
    }
}

fn short_ends(interval: Option<Interval>) -> String {
    interval.map_or_else(
        || "–".to_owned(),
        |interval| {
            let Interval { low, high } = interval.displayed(1.0, 3);
            format!("{}–{}", short(low, 3), short(high, 3))
        },
    )
}

fn pairs(out: &mut String, report: &EvalReport, names: &[String]) {
    let pairs = report.confusion.worst_pairs(PAIRS);
    if pairs.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nmost confused pairs (label → prediction)");
    for pair in pairs {
        let _ = writeln!(
            out,
            "  {:>5.1} %  {} → {}  ({} of {})",
            pair.share * 100.0,
            class_name(names, pair.label),
            class_name(names, pair.predicted),
            pair.count,
            report.confusion.support(pair.label)
        );
    }
}

/// The name of a class for output: without control characters, and cut to at most `NAME` columns. A class without a
/// name is shown by its number.
pub fn class_name(names: &[String], label: usize) -> String {
    let name = names.get(label).filter(|name| !name.is_empty());
    let name = name.map_or_else(|| format!("class {label}"), Clone::clone);
    let name: String = name
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if name.width() <= NAME {
        return name;
    }
    let mut cut = String::new();
    for c in name.chars() {
        cut.push(c);
        if cut.width() >= NAME {
            cut.pop();
            break;
        }
    }
    cut + "…"
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}
