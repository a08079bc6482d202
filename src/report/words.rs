//! An evaluation for people: a table, and what should be said beside a number.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use crate::event::{EvalReport, Split};
use crate::metrics::{Measure, ReliabilityBin, largest_gap_count, overconfidence};

/// Confused pairs told.
const PAIRS: usize = 5;
/// A mean gap between confidence and accuracy below this is none.
const EVEN: f64 = 0.005;
/// Columns a class name may take.
const NAME: usize = 24;

/// All numbers with their intervals, the classes, and what is taken for what.
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
            continue; // it stands behind its partner
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
        "has no minimum on validation (did not converge)".to_owned()
    };
    line("temperature", format!("{:.4}", fit.value), "", &how);
    if report.estimates.resamples > 0 {
        let _ = writeln!(
            out,
            "[ ] 95 % intervals, {} bootstrap resamples; noise only raises an ECE, so it may lie above its own interval",
            report.estimates.resamples
        );
    }
}

/// What stands behind a measure: what it is a mean of, and what a calibration error says.
fn note(report: &EvalReport, measure: Measure) -> String {
    let sure = |bins: &[ReliabilityBin]| {
        // With logits that are no numbers only a part of the images has a confidence.
        let gap = if report.not_finite > 0 {
            f64::NAN
        } else {
            overconfidence(bins)
        };
        sureness(gap)
    };
    if measure == Measure::Auc {
        let used = report.auc.iter().flatten().count();
        let all = report.auc.len();
        return format!("mean of {used} of {all} classes, each against the rest");
    }
    if measure == Measure::Ece {
        return sure(&report.reliability_before);
    }
    if measure == Measure::EceCalibrated {
        return sure(&report.reliability);
    }
    if measure == Measure::Mce {
        return format!(
            "largest gap of a bin, here of {} and of {} images",
            largest_gap_count(&report.reliability_before),
            largest_gap_count(&report.reliability)
        );
    }
    measure.info().note.to_owned()
}

/// What a reader must know to read the numbers rightly.
fn remarks(report: &EvalReport, names: &[String]) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks.extend(match report.split {
        Split::Train => Some("these images taught the network: on others it is worse".to_owned()),
        Split::Valid => Some(
            "these images chose the checkpoint and the temperature: on others it is a little worse"
                .to_owned(),
        ),
        Split::Test => None,
    });
    remarks.extend(flattery(report, names));
    if report.not_finite > 0 {
        remarks.push(format!(
            "{} of {} images have logits that are no numbers: what needs probabilities is undefined",
            report.not_finite, report.n
        ));
    }
    remarks
}

/// A sentence where accuracy tells more about the sizes of the classes than about the network.
pub fn flattery(report: &EvalReport, names: &[String]) -> Option<String> {
    let imbalance = report.confusion.flattered()?;
    Some(format!(
        "accuracy flatters: always saying {} gives {}, macro-F1 is {}",
        class_name(names, imbalance.majority),
        Measure::Accuracy.written(imbalance.share),
        Measure::MacroF1.written(report.value(Measure::MacroF1))
    ))
}

/// What a gap between mean confidence and accuracy is called.
pub fn sureness(gap: f64) -> String {
    if !gap.is_finite() {
        return String::new();
    }
    if gap.abs() < EVEN {
        return "as sure as right, on the whole".to_owned();
    }
    let word = if gap > 0.0 { "over" } else { "under" };
    format!("{word}-confident by {:.1} points", gap.abs() * 100.0)
}

fn classes(out: &mut String, report: &EvalReport, names: &[String]) {
    let rows = 0..report.classes.len();
    let width = rows
        .map(|label| class_name(names, label).width())
        .max()
        .unwrap_or(0)
        .max(5);
    let _ = writeln!(
        out,
        "{}  precision  recall     F1   95 % interval     AUC  support",
        pad("class", width)
    );
    for (label, scores) in report.classes.iter().enumerate() {
        let defined = |value: f64, undefined: bool| {
            if undefined {
                "–".to_owned()
            } else {
                score(value)
            }
        };
        let f1 = report.estimates.f1.get(label).copied().flatten();
        let f1 = f1.filter(|_| !scores.f1_undefined).map_or_else(
            || "–".to_owned(),
            |ci| format!("{} – {}", score(ci.low), score(ci.high)),
        );
        let auc = report.auc.get(label).copied().flatten();
        let _ = writeln!(
            out,
            "{}  {:>9}  {:>6}  {:>5}  {:>14}  {:>6}  {:>7}",
            pad(&class_name(names, label), width),
            defined(scores.precision, scores.precision_undefined),
            defined(scores.recall, scores.recall_undefined),
            defined(scores.f1, scores.f1_undefined),
            f1,
            auc.map_or_else(|| "–".to_owned(), |auc| format!("{auc:.4}")),
            scores.support,
        );
    }
    let some = report
        .classes
        .iter()
        .any(|s| s.precision_undefined || s.recall_undefined)
        || report.auc.iter().any(Option::is_none);
    if some {
        let _ = writeln!(
            out,
            "– undefined: nothing was taken for the class, or there is none of it; counts as 0 in macro-F1"
        );
    }
}

fn pairs(out: &mut String, report: &EvalReport, names: &[String]) {
    let pairs = report.confusion.worst_pairs(PAIRS);
    if pairs.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nmost often confused");
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

/// The name of a class: whatever it is made of, it stays in its line and its column.
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

fn score(value: f64) -> String {
    format!("{value:.3}")
}
