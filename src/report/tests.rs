#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use super::*;
use crate::event::{EvalReport, Split};
use crate::files::{ArrayFile, Dir};
use crate::metrics::{Measure, compare, fit_temperature};

fn rows(logits: &[f32], labels: &[u32], classes: usize) -> Predictions {
    Predictions {
        split: Split::Test,
        logits: logits.to_vec(),
        labels: labels.to_vec(),
        classes,
    }
}

fn report(rows: &Predictions) -> EvalReport {
    let temperature = fit_temperature(&rows.logits, &rows.labels, rows.classes);
    let options = Options {
        bins: 15,
        resamples: 100,
    };
    measure(rows, temperature, options)
}

fn names() -> Vec<String> {
    ["cat", "dog", "eel"].map(str::to_owned).to_vec()
}

/// The report with its text and its JSON; checks that both and the journal format can represent it.
fn formats(rows: &Predictions) -> (EvalReport, String, serde_json::Value) {
    let report = report(rows);
    let json = eval_json(&report, None, &names());
    let back: serde_json::Value = serde_json::from_str(&json.to_string()).unwrap();
    assert_eq!(json, back);
    let parsed: EvalReport =
        serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(parsed, report, "a report survives the journal");
    let text = table(&report, &names());
    (report, text, json)
}

#[test]
fn single_class_has_no_auc_and_no_temperature() {
    let (report, text, json) = formats(&rows(&[0.3; 20], &[0; 20], 1));
    assert_eq!(
        (
            report.value(Measure::Accuracy),
            report.value(Measure::Nll),
            report.value(Measure::Ece)
        ),
        (1.0, 0.0, 0.0)
    );
    assert!(!report.temperature.converged && report.temperature.value == 1.0);
    assert!(json["auc_ovr_macro"]["value"].is_null());
    assert_eq!(json["auc_ovr_macro"]["classes_used"], 0);
    assert!(text.contains("AUC              undefined"), "{text}");
    assert!(text.contains("did not converge"), "{text}");
}

#[test]
fn empty_split_has_zeros_and_no_intervals() {
    let (report, _, json) = formats(&rows(&[], &[], 3));
    assert_eq!((report.n, report.value(Measure::Accuracy)), (0, 0.0));
    assert!(json["accuracy"]["ci95"].is_null() && json["macro_f1"]["ci95"].is_null());
    assert_eq!(json["bootstrap"]["resamples"], 0);
    assert_eq!(json["classes"][2]["undefined"].as_array().unwrap().len(), 4);
}

#[test]
fn non_finite_logits_leave_only_metrics_without_probabilities() {
    let logits = [
        [2.0, 0.0, 1.0],
        [f32::NAN, 0.0, 3.0],
        [0.0, f32::INFINITY, 0.0],
    ]
    .concat();
    let (report, text, json) = formats(&rows(&logits, &[0, 2, 1], 3));
    assert_eq!(
        (report.not_finite, report.value(Measure::Accuracy)),
        (2, 1.0)
    );
    assert!(json["accuracy"]["ci95"].is_array());
    for (what, part) in [("nll", "calibrated"), ("mce", "uncalibrated")] {
        assert!(json[what][part].is_null(), "{what}");
    }
    assert!(json["ece"]["calibrated"]["value"].is_null());
    assert!(json["ece"]["calibrated"]["ci95"].is_null());
    assert!(
        text.contains("! 2 of 3 images have non-finite logits"),
        "{text}"
    );
    assert!(text.contains("ECE              undefined"), "{text}");
}

#[test]
fn extreme_logits_give_finite_or_infinite_metrics() {
    let certain = [[1e4, 0.0, 0.0], [0.0, 1e4, 0.0], [0.0, 0.0, 1e4]].concat();
    let (right, _, _) = formats(&rows(&certain, &[0, 1, 2], 3));
    assert_eq!(
        (
            right.value(Measure::Nll),
            right.value(Measure::Brier),
            right.value(Measure::Ece)
        ),
        (0.0, 0.0, 0.0)
    );
    assert_eq!(right.value(Measure::Auc), 1.0);
    let impossible = [f32::NEG_INFINITY, 0.0, 0.0].repeat(3);
    let (wrong, _, json) = formats(&rows(&impossible, &[0, 1, 2], 3));
    assert_eq!(wrong.value(Measure::Nll), f64::INFINITY);
    assert_eq!(json["nll"]["uncalibrated"], "inf");
}

#[test]
fn tied_scores_have_auc_one_half_and_undefined_scores_are_marked() {
    let (report, text, _) = formats(&rows(&[0.5; 30], &[0, 1].repeat(5), 3));
    assert_eq!((report.auc[0], report.auc[2]), (Some(0.5), None));
    assert!(text.contains("mean of 2 of 3 classes"), "{text}");
    // No image is predicted as a dog, and no image has the label eel.
    let dog = text.lines().find(|line| line.starts_with("dog")).unwrap();
    assert_eq!(dog.split_whitespace().nth(1), Some("–"), "{dog}");
    let eel = text.lines().find(|line| line.starts_with("eel")).unwrap();
    assert_eq!(eel.matches('–').count(), 7, "{eel}");
}

#[test]
fn all_right_is_no_certainty_and_n_is_beside_it() {
    let labels: Vec<u32> = (0..600).map(|i| i % 3).collect();
    let logits = |label: &u32| {
        (0..3)
            .map(|class| if class == *label { 9.0 } else { 0.0 })
            .collect::<Vec<f32>>()
    };
    let logits: Vec<f32> = labels.iter().flat_map(logits).collect();
    let (report, text, json) = formats(&rows(&logits, &labels, 3));
    assert!(
        text.contains("100.00 %  [99.36, 100.00]      600 of 600 images"),
        "{text}"
    );
    assert!(
        !text.contains("[100.00") && !text.contains("1.000 – 1.000"),
        "{text}"
    );
    assert!(
        text.contains("! the temperature did not converge on validation and is not used: T = 1"),
        "{text}"
    );
    assert_eq!(report.temperature.value, 1.0);
    assert_eq!(json["accuracy"]["n"], 600);
    let class = &json["classes"][1];
    assert_eq!(
        (&class["support"], &class["predicted"]),
        (&200.into(), &200.into())
    );
    for interval in ["precision_ci95", "recall_ci95"] {
        assert!(
            (class[interval][0].as_f64().unwrap() - 200.0 / (200.0 + 3.841_458_821)).abs() < 1e-9
        );
    }
    let method = json["bootstrap"]["method"].as_str().unwrap();
    assert!(
        method.contains("Wilson") && method.contains("boundary correction"),
        "{method}"
    );
}

#[test]
fn calibration_that_raised_the_error_is_reported() {
    // 3 of 4 right with a confidence of 3/4, as it should be: a temperature of 0.3 makes it over-confident.
    let labels = [0, 0, 0, 1].repeat(50);
    let one = rows(&[3_f32.ln(), 0.0].repeat(200), &labels, 2);
    let fitted = fit_temperature(&one.logits, &one.labels, 2);
    let options = Options {
        bins: 15,
        resamples: 100,
    };
    let warning = |value: f64| {
        let temperature = crate::metrics::Temperature { value, ..fitted };
        measure(&one, temperature, options).calibration_warning()
    };
    assert_eq!(warning(fitted.value), None);
    let text = "calibration made the ECE on the test split worse: 0.00 % became 22.50 %";
    assert_eq!(warning(0.3).as_deref(), Some(text));
}

#[test]
fn misleading_accuracy_has_a_warning() {
    let labels: Vec<u32> = (0..100).map(|i| u32::from(i >= 90)).collect();
    let (_, text, _) = formats(&rows(&[1.0, 0.0].repeat(100), &labels, 2));
    let line = "! accuracy is misleading: majority baseline cat 90.00 %, macro-F1 47.37 %";
    assert!(text.contains(line), "{text}");
}

#[test]
fn unusual_class_names_keep_the_columns_aligned() {
    let odd = ["長靴長靴長靴長靴長靴長靴長靴", "", "e\u{301}te\u{301}"].map(str::to_owned);
    let logits = [[3.0, 0.0, 1.0], [0.0, 2.0, 1.0], [0.0, 1.0, 2.0]].concat();
    let text = table(&report(&rows(&logits, &[0, 1, 2], 3)), &odd);
    let ends: Vec<usize> = text
        .lines()
        .skip_while(|line| !line.starts_with("class "))
        .take(4)
        .map(unicode_width::UnicodeWidthStr::width)
        .collect();
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    assert!(text.contains("class 1"), "{text}");
}

#[test]
fn comparison_names_the_better_one_only_if_distinguishable() {
    let labels: Vec<u32> = (0..300).map(|i| i % 3).collect();
    let network = |wrong_every: u32| {
        let logits: Vec<f32> = (0..300_u32)
            .flat_map(|i| {
                let predicted = if i % wrong_every == 0 {
                    (i + 1) % 3
                } else {
                    i % 3
                };
                (0..3).map(move |class| {
                    if class == predicted {
                        2.0 + (i % 7) as f32 * 0.1
                    } else {
                        0.0
                    }
                })
            })
            .collect();
        rows(&logits, &labels, 3)
    };
    let (good, bad) = (network(30), network(3));
    let (first, second) = (report(&bad), report(&good));
    let found = compare(&bad.outcomes(1.0, 15), &good.outcomes(1.0, 15), 200, SEED).unwrap();
    let (a, b) = (
        ComparedEvaluation {
            title: "bad",
            report: &first,
        },
        ComparedEvaluation {
            title: "good",
            report: &second,
        },
    );
    let text = comparison(a, b, &found);
    let line = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned()
    };
    assert!(line("accuracy").ends_with("B is better"), "{text}");
    assert!(
        line("NLL").contains('-') && line("NLL").ends_with("B is better"),
        "{text}"
    );
    assert!(text.contains("only A 0   only B 90"), "{text}");
    let same = compare(&bad.outcomes(1.0, 15), &bad.outcomes(1.0, 15), 200, SEED).unwrap();
    assert_eq!(
        comparison(a, a, &same)
            .matches("not distinguishable")
            .count(),
        same.differences.len()
    );
    assert_eq!(
        comparison_json("a", "b", &found)["accuracy"]["distinguishable"],
        true
    );
}

/// Beyond 200 classes, the table and `eval.json` stay small.
#[test]
fn many_classes_are_reported_in_part() {
    let k = 300;
    let labels: Vec<u32> = (0..600).map(|row| row % k).collect();
    let logits: Vec<f32> = (0..600_u32)
        .flat_map(|row| {
            // Every tenth class is predicted as the next one.
            let guess = row % k + u32::from(row % 10 == 0);
            (0..k).map(move |class| if class == guess { 3.0 } else { 0.0 })
        })
        .collect();
    let report = report(&rows(&logits, &labels, k as usize));
    let names: Vec<String> = (0..k).map(|class| format!("class {class}")).collect();
    let text = table(&report, &names);
    assert!(
        text.contains("! 300 classes: above 200, the mean AUC and the F1"),
        "{text}"
    );
    assert!(
        text.contains("the 30 of 300 classes with the lowest F1; `epochtop eval --json` has all"),
        "{text}"
    );
    assert!(
        text.contains("\nclass 290 ") && !text.contains("\nclass 55 "),
        "{text}"
    );
    let json = eval_json(&report, None, &names);
    let cells = json["confusion"]["cells"].as_array().unwrap();
    assert_eq!(
        (cells.len(), &cells[0]),
        (300, &serde_json::json!([0, 1, 2]))
    );
    assert_eq!(json["classes"].as_array().unwrap().len(), 300);
    assert!(json["auc_ovr_macro"]["ci95"].is_null() && !json["macro_f1"]["ci95"].is_null());
}

/// The logits of 2,500 images of 4,096 classes would take 100 MB in the table.
#[test]
fn large_logits_are_in_an_array_beside_the_table() {
    let (k, n) = (4096, 2500);
    let logits: Vec<f32> = (0..n * k).map(|at| (at % 7) as f32).collect();
    let rows = rows(&logits, &vec![0; n], k);
    let report = report(&self::rows(&[1.0, 0.0], &[0], 2));
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::open(place.path()).unwrap();
    let names = names();
    let output = EvaluationOutput {
        report: &report,
        run: "a",
        names: &names,
        rows: &[&rows],
        is_result: true,
    };
    let written = write(&dir, output).unwrap();
    assert!(
        written.iter().any(|file| file == "predictions.npy"),
        "{written:?}"
    );
    let table = std::fs::read_to_string(place.path().join("predictions.csv")).unwrap();
    assert!(table.starts_with("split,index,label,predicted,confidence\ntest,0,0,6,"));
    let array = ArrayFile::open(&dir, "predictions.npy").unwrap();
    assert_eq!((array.rows(), array.columns()), (n as u64, k));
    assert_eq!(array.read(7, 1).unwrap(), logits[7 * k..8 * k]);
    // Not the result of the run: the array is with the other files of its step.
    let mut valid = report.clone();
    valid.split = Split::Valid;
    let other = EvaluationOutput {
        report: &valid,
        is_result: false,
        ..output
    };
    let written = write(&dir, other).unwrap();
    let array = "evals/step-000000000.valid.npy";
    assert!(written.iter().any(|file| file == array), "{written:?}");
    // A later result with few logits does not leave an array that is not its own.
    let few = self::rows(&[1.0, 0.0], &[0], 2);
    let small = EvaluationOutput {
        rows: &[&few],
        ..output
    };
    write(&dir, small).unwrap();
    assert!(!place.path().join("predictions.npy").exists());
}
