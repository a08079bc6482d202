//! Run comparison: what is read from the run directories, which runs cannot be paired, and the Compare page.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crossterm::event::KeyCode;
use epochtop::event::{Record, Split};
use epochtop::metrics::{Difference, Interval, Measure, compare};
use epochtop::report::{EvaluationOutput, Predictions, SEED, write};
use epochtop::run::{ComparedRun, ComparedRuns, PairedDifference, RunResult, RunState, Verdict};
use epochtop::session::{Meta, RunDir, RunsDir, compared_runs};
use epochtop::tui::{App, Pane, Role, Theme};

use crate::screens::{app, dark, drawn, odd_names, press, snapshot, text};
use crate::story;

/// Predictions for two classes whose labels alternate. Each row is given as (prediction correct, logit margin).
fn rows(right: impl IntoIterator<Item = (bool, f32)>) -> Predictions {
    let (mut logits, mut labels) = (Vec::new(), Vec::new());
    for (label, (right, margin)) in [0_u32, 1].into_iter().cycle().zip(right) {
        let towards = if right == (label == 0) {
            margin
        } else {
            -margin
        };
        logits.extend([towards, 0.0]);
        labels.push(label);
    }
    Predictions {
        split: Split::Test,
        logits,
        labels,
        classes: 2,
    }
}

/// Creates a run directory with a journal and an evaluation of the test set that has these predictions.
fn write_evaluated_run(
    runs: &Path,
    name: &str,
    config: &str,
    data: &str,
    rows: &Predictions,
) -> RunDir {
    let (records, report) = story::tested(name, rows);
    let run = write_run(runs, name, config, data, &records);
    let evaluated = EvaluationOutput {
        is_result: true,
        report: &report,
        run: name,
        names: &[],
        rows: &[rows],
    };
    write(&run.open().unwrap(), evaluated).unwrap();
    run
}

/// Creates a run directory with this configuration, data fingerprint and journal.
fn write_run(runs: &Path, name: &str, config: &str, data: &str, records: &[Record]) -> RunDir {
    let run = RunDir::create(runs, name, config).unwrap();
    let meta = Meta {
        data_fingerprint: data.to_owned(),
        ..Meta::default()
    };
    fs::write(
        run.path.join("run.json"),
        serde_json::to_string(&meta).unwrap(),
    )
    .unwrap();
    let lines = records
        .iter()
        .map(|record| serde_json::to_string(record).unwrap() + "\n");
    fs::write(run.journal(), lines.collect::<String>()).unwrap();
    run
}

fn folded(records: &[Record]) -> RunState {
    let mut state = RunState::default();
    records.iter().for_each(|record| state.apply(record));
    state
}

fn load_comparison(runs: &Path, first: &RunDir, wanted: &[&str]) -> ComparedRuns {
    let text = fs::read_to_string(first.journal()).unwrap();
    let records: Vec<Record> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    compared_runs(
        &RunsDir::only(runs),
        first,
        Some(&folded(&records)),
        &wanted,
    )
}

/// Twenty rows; the predictions at the given indices are wrong.
fn wrong_at(places: &[usize]) -> Predictions {
    rows((0..20).map(|i| (!places.contains(&i), 1.0 + i as f32 / 7.0)))
}

#[test]
fn paired_differences_match_the_predictions_of_both_runs() {
    let runs = tempfile::tempdir().unwrap();
    let (one, two) = (wrong_at(&[3]), wrong_at(&[0, 3, 6, 8, 11, 12, 19]));
    let first = write_evaluated_run(runs.path(), "a", "", "same", &one);
    write_evaluated_run(runs.path(), "b", "", "same", &two);
    let found = load_comparison(runs.path(), &first, &["b"]);
    assert_eq!(found.problems, Vec::<String>::new());
    let [other] = found.others.as_slice() else {
        panic!("one other");
    };
    assert_eq!((other.unpaired.as_deref(), other.other_data), (None, false));
    let of = |measure| {
        other
            .against
            .iter()
            .find(|paired| paired.measure == measure)
    };
    // 19 of 20 against 13 of 20: six discordant rows, the fewest that are distinguishable.
    let accuracy = of(Measure::Accuracy).unwrap();
    assert!((accuracy.difference.value + 0.3).abs() < 1e-12);
    assert_eq!(accuracy.verdict(), Verdict::Worse);
    // The expected values are those of `metrics::compare`, which `eval` uses and which is tested against scikit-learn.
    let temperature = |rows: &Predictions| story::tested("x", rows).1.temperature.value;
    let outcomes = |rows: &Predictions| rows.outcomes(temperature(rows), 15);
    let comparison = compare(&outcomes(&one), &outcomes(&two), 200, SEED).unwrap();
    let states = [&story::tested("x", &one).0, &story::tested("x", &two).0].map(|all| folded(all));
    assert_eq!(other.against.len(), comparison.differences.len());
    for (measure, expected) in comparison.differences {
        assert_eq!(of(measure).unwrap().difference, expected.unwrap());
        // The paired difference equals the difference between the values in the two reports.
        let result = RunResult::Test(measure);
        let [a, b] = states.each_ref().map(|state| result.of(state).unwrap());
        assert!(
            (b - a - expected.unwrap().value).abs() < 1e-12,
            "{measure:?}"
        );
        assert!(other.paired(&states[0], result).is_some());
        // A later evaluation of one run invalidates the paired difference.
        let mut again = states[0].clone();
        again.test.latest.as_mut().unwrap().global_step += 1;
        assert!(other.paired(&again, result).is_none());
    }
}

#[test]
fn a_difference_that_is_the_same_for_every_image_is_still_uncertain() {
    let runs = tempfile::tempdir().unwrap();
    let all: Vec<usize> = (0..20).collect();
    let first = write_evaluated_run(runs.path(), "a", "", "", &wrong_at(&[]));
    write_evaluated_run(runs.path(), "b", "", "", &wrong_at(&all));
    write_evaluated_run(runs.path(), "c", "", "", &wrong_at(&[]));
    let found = load_comparison(runs.path(), &first, &["b", "c"]);
    let accuracy = |at: usize| {
        let all = &found.others[at].against;
        *all.iter()
            .find(|paired| paired.measure == Measure::Accuracy)
            .unwrap()
    };
    // All are discordant, or none is: their share is only known to be above 84 %, or below 16 %.
    let share = Interval::proportion(20, 20).unwrap().low;
    let ends = |at: usize| {
        let Interval { low, high } = accuracy(at).difference.ci95;
        [accuracy(at).difference.value, low, high]
    };
    let close = |found: [f64; 3], wanted: [f64; 3]| {
        let off = |(a, b): (f64, f64)| (a - b).abs();
        assert!(
            found.into_iter().zip(wanted).map(off).all(|off| off < 1e-9),
            "{found:?} {wanted:?}"
        );
    };
    close(ends(0), [-1.0, -1.0, (1.0 - 2.0 * share) * share]);
    assert_eq!(accuracy(0).verdict(), Verdict::Worse);
    close(ends(1), [0.0, share - 1.0, 1.0 - share]);
    assert_eq!(accuracy(1).verdict(), Verdict::Unclear);
}

#[test]
fn runs_on_different_test_sets_are_not_paired_and_the_reason_is_given() {
    let runs = tempfile::tempdir().unwrap();
    let rows = wrong_at(&[1]);
    let first = write_evaluated_run(runs.path(), "a", "", "one", &rows);
    write_evaluated_run(runs.path(), "elsewhere", "", "two", &rows);
    let mut reversed = rows.clone();
    reversed.labels.reverse();
    write_evaluated_run(runs.path(), "reversed", "", "", &reversed);
    let found = load_comparison(runs.path(), &first, &["elsewhere", "reversed"]);
    for (other, words) in found.others.iter().zip(["data_fingerprint", "labels"]) {
        assert!(other.against.is_empty() && other.other_data);
        let why = other.unpaired.as_deref().unwrap_or_default();
        assert!(why.contains(words) && why.contains('a'), "{why}");
    }
}

#[test]
fn runs_without_evaluation_or_predictions_are_shown_but_not_paired() {
    let runs = tempfile::tempdir().unwrap();
    let rows = wrong_at(&[1]);
    let first = write_evaluated_run(runs.path(), "a", "", "", &rows);
    write_run(runs.path(), "young", "", "", &story::midrun());
    let lost = write_evaluated_run(runs.path(), "lost", "", "", &rows);
    fs::remove_file(lost.path.join("predictions.csv")).unwrap();
    fs::remove_dir_all(lost.path.join("evals")).unwrap();
    let later = write_evaluated_run(runs.path(), "later", "", "", &rows);
    let text = fs::read_to_string(later.path.join("predictions.csv")).unwrap();
    let text = text.replace("test,1,1,0", "test,1,0,0");
    fs::write(later.path.join("predictions.csv"), &text).unwrap();
    fs::remove_dir_all(later.path.join("evals")).unwrap();
    let found = load_comparison(runs.path(), &first, &["young", "lost", "later"]);
    let why = |at: usize| found.others[at].unpaired.clone().unwrap_or_default();
    assert_eq!(why(0), "young has no test-set evaluation yet");
    assert!(why(1).starts_with("lost: ") && why(1).contains("predictions.csv"));
    assert!(why(2).contains("labels"), "{}", why(2));
    assert!(!found.others[0].other_data && !found.others[1].other_data);
    assert!(found.others[0].state.seq > 0);
}

#[test]
fn predictions_of_another_evaluation_are_not_used_for_pairing() {
    let runs = tempfile::tempdir().unwrap();
    let first = write_evaluated_run(runs.path(), "a", "", "", &wrong_at(&[1]));
    let other = write_evaluated_run(runs.path(), "b", "", "", &wrong_at(&[1, 2]));
    let better = write_evaluated_run(runs.path(), "c", "", "", &wrong_at(&[]));
    // Without the predictions saved for its step, only the latest predictions.csv is left, and it belongs to another
    // run.
    fs::remove_dir_all(other.path.join("evals")).unwrap();
    let name = "predictions.csv";
    fs::copy(better.path.join(name), other.path.join(name)).unwrap();
    let found = load_comparison(runs.path(), &first, &["b"]);
    let why = found.others[0].unpaired.as_deref().unwrap_or_default();
    assert!(why.contains("do not match its test-set result"), "{why}");
    assert!(!found.others[0].other_data);
}

#[test]
fn runs_that_cannot_be_loaded_are_reported_by_name_and_the_others_are_shown() {
    let runs = tempfile::tempdir().unwrap();
    let first = write_evaluated_run(runs.path(), "a", "[optim]\nlr = 1e-3\n", "", &wrong_at(&[]));
    write_evaluated_run(
        runs.path(),
        "b",
        "[optim]\nlr = 0.001\nname = 'sgd'\n",
        "",
        &wrong_at(&[4]),
    );
    write_run(runs.path(), "odd", "[optim", "", &story::empty());
    write_run(runs.path(), "void", "", "", &[]);
    let found = load_comparison(
        runs.path(),
        &first,
        &["none", "void", "a", "b", "odd", "b", "b", "one", "two"],
    );
    let names: Vec<&str> = found
        .others
        .iter()
        .map(|other| other.name.as_str())
        .collect();
    assert_eq!(names, ["b", "odd", "b", "b"]);
    let problems = found.problems.join("\n");
    for words in [
        "none: no such run",
        "void: its journal has no records yet",
        "a: is the reference run",
        "odd: its configuration: ",
        "one, two: at most 8 runs",
    ] {
        assert!(problems.contains(words), "{words} in\n{problems}");
    }
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(found.config, [pair("optim.lr", "0.001")]);
    assert_eq!(
        found.others[0].config,
        [pair("optim.lr", "0.001"), pair("optim.name", "sgd")]
    );
}

#[test]
fn live_runs_are_not_paired() {
    let runs = tempfile::tempdir().unwrap();
    let first = write_evaluated_run(runs.path(), "a", "", "one", &wrong_at(&[]));
    write_evaluated_run(runs.path(), "b", "", "one", &wrong_at(&[]));
    write_evaluated_run(runs.path(), "c", "", "two", &wrong_at(&[]));
    let wanted = ["b".to_owned(), "c".to_owned()];
    let found = compared_runs(&RunsDir::only(runs.path()), &first, None, &wanted);
    let [same, other] = found.others.as_slice() else {
        panic!("two others");
    };
    assert!(same.against.is_empty() && same.unpaired.is_none() && !same.other_data);
    assert!(
        other.other_data,
        "different data is detected before the first test-set evaluation"
    );
}

const HALF_WIDTHS: [(Measure, f64); 8] = [
    (Measure::Accuracy, 0.0062),
    (Measure::MacroF1, 0.0061),
    (Measure::Auc, 0.0009),
    (Measure::BalancedAccuracy, 0.0062),
    (Measure::Top5Accuracy, 0.0048),
    (Measure::Matthews, 0.0069),
    (Measure::NllCalibrated, 0.011),
    (Measure::EceCalibrated, 0.0041),
];

/// Final states of the other runs, generated once for all tests because each takes a second.
static RIVALS: LazyLock<Vec<RunState>> = LazyLock::new(|| {
    let runs = (1..8).map(|seed| (seed, epochs(seed)));
    runs.map(|(seed, epochs)| folded(&story::rival("told elsewhere", seed, epochs)))
        .collect()
});
static FIRST: LazyLock<Vec<Record>> = LazyLock::new(story::finished);

fn epochs(seed: u64) -> u32 {
    3 + 2 * (seed % 3) as u32
}

/// A run compared with `first`, with intervals about as wide as those of 10,000 test images.
fn rival(first: &RunState, name: &str, seed: u64) -> ComparedRun {
    let state = RIVALS[seed as usize - 1].clone();
    let step = |run: &RunState| run.test.latest.as_ref().map(|report| report.global_step);
    let paired = HALF_WIDTHS.iter().filter_map(|(measure, half)| {
        let result = RunResult::Test(*measure);
        let value = result.of(&state)? - result.of(first)?;
        let ci95 = Interval {
            low: value - half,
            high: value + half,
        };
        Some(PairedDifference {
            measure: *measure,
            global_steps: [step(first)?, step(&state)?],
            difference: Difference { value, ci95 },
        })
    });
    ComparedRun {
        name: name.to_owned(),
        against: paired.collect(),
        config: config(epochs(seed), seed),
        state,
        ..ComparedRun::default()
    }
}

fn config(epochs: u32, seed: u64) -> Vec<(String, String)> {
    let optimizer = ["muon", "adamw", "sgd"][seed as usize % 3];
    let channels = ["[32, 64, 128]", "[32, 64]"][seed as usize % 2];
    [
        ("data.name", "fashion-mnist".to_owned()),
        ("data.augment.erase", format!("0.{}", 5 - seed % 3)),
        ("model.channels", channels.to_owned()),
        ("train.epochs", epochs.to_string()),
        ("train.batch_size", "256".to_owned()),
        ("optim.name", optimizer.to_owned()),
        ("optim.lr", format!("0.00{}", 8 - seed % 7)),
        ("checkpoint.every_minutes", "10.0".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec()
}

/// A finished run and these compared runs, with the Compare page open.
fn page(names: &[&str]) -> App {
    let mut app = app(&FIRST, false);
    let first = app.run.clone();
    let others = names.iter().zip(1..);
    let others = others.map(|(name, seed)| rival(&first, name, seed));
    app.others = others.collect();
    app.own_config = config(12, 0);
    press(&mut app, KeyCode::Char('0'));
    assert_eq!(app.ui.focus, Pane::Compare);
    app
}

const FOUR: [&str; 3] = ["wide-and-long-name-of-a-run", "fast-2", "20260203-1210-cnn"];
const EIGHT: [&str; 7] = ["b", "c", "d", "e", "f", "g", "h"];

#[test]
fn compare_page_at_three_sizes() {
    for (runs, names) in [(2, &FOUR[..1]), (4, &FOUR[..])] {
        for size in [(80, 24), (120, 40), (200, 60)] {
            let screen = text(&drawn(&mut page(names), size, &dark()));
            snapshot(&format!("compare_{runs}_{}x{}", size.0, size.1), &screen);
        }
    }
    let screen = text(&drawn(&mut page(&EIGHT), (80, 24), &dark()));
    snapshot("compare_8_80x24", &screen);
    let screen = text(&drawn(&mut page(&EIGHT), (200, 60), &dark()));
    snapshot("compare_8_200x60", &screen);
}

#[test]
fn cursor_shows_values_of_compared_runs() {
    let mut app = page(&FOUR[..2]);
    press(&mut app, KeyCode::Char('2'));
    app.ui.charts.cursor = Some(app.run.global_step);
    let screen = text(&drawn(&mut app, (200, 60), &dark()));
    let title = screen.lines().find(|line| line.contains(" Loss "));
    let title = title.unwrap_or_default();
    // Both compared runs ended before the epoch at the cursor.
    assert!(title.contains("  B –  C – ─"), "{title}");
    app.ui.charts.cursor = Some(app.run.epoch_steps * 2);
    let screen = text(&drawn(&mut app, (200, 60), &dark()));
    let at = |run: &RunState| run.history[1].valid_nll.0;
    let wanted = format!(
        "● valid {:.4}  B {:.4}  C {:.4} ─",
        at(&app.run),
        at(&app.others[0].state),
        at(&app.others[1].state)
    );
    assert!(screen.contains(&wanted), "{wanted}\n{screen}");
    snapshot(
        "compare_cursor_120x40",
        &text(&drawn(&mut app, (120, 40), &dark())),
    );
}

#[test]
fn page_without_compared_runs_explains_how_to_compare() {
    let mut app = app(&story::midrun(), true);
    press(&mut app, KeyCode::Char('0'));
    let screen = text(&drawn(&mut app, (80, 24), &dark()));
    assert!(screen.contains("epochtop view A B"), "{screen}");
}

#[test]
fn differences_to_a_live_run_have_no_intervals() {
    let mut app = app(&story::midrun(), true);
    let mut reference = rival(&app.run, "reference", 2);
    reference.against.clear();
    app.others = vec![reference];
    press(&mut app, KeyCode::Char('0'));
    let screen = text(&drawn(&mut app, (80, 24), &dark()));
    snapshot("compare_live_80x24", &screen);
    assert!(screen.contains("live 3/12") && screen.contains("completed 7/7"));
    assert!(!screen.contains("paired on"));
}

#[test]
fn the_whole_page_can_be_scrolled_and_hidden_rows_are_indicated() {
    for (names, size) in [
        (&FOUR[..], (80, 24)),
        (&EIGHT[..], (80, 24)),
        (&EIGHT[..], (60, 16)),
    ] {
        let mut app = page(names);
        let mut seen = text(&drawn(&mut app, size, &dark()));
        assert!(seen.contains(" more ▼"), "{seen}");
        for _ in 0..200 {
            press(&mut app, KeyCode::Down);
            seen += &text(&drawn(&mut app, size, &dark()));
        }
        let last = text(&drawn(&mut app, size, &dark()));
        assert!(last.contains(" more ▲"), "{last}");
        for at in 0..=names.len() {
            let letter = char::from(b'A' + at as u8);
            let mark = ["●", "◆", "■", "▶", "○", "◇", "□", "▷"][at];
            assert!(
                seen.contains(&format!("{letter} {mark}")),
                "{letter} in\n{seen}"
            );
        }
        for words in [
            "parameters",
            "ECE calibrated",
            "optim.lr",
            "checkpoint",
            "best run",
        ] {
            assert!(
                seen.contains(words) || words == "checkpoint",
                "{words} in\n{seen}"
            );
        }
        press(&mut app, KeyCode::Up);
        let above = text(&drawn(&mut app, size, &dark()));
        assert_ne!(above, last, "the first Up key press scrolls");
    }
}

#[test]
fn table_heading_stays_visible_while_scrolling() {
    let mut app = page(&FOUR);
    drawn(&mut app, (80, 24), &dark());
    (0..4).for_each(|_| press(&mut app, KeyCode::Down));
    let screen = text(&drawn(&mut app, (80, 24), &dark()));
    let heading = screen.lines().find(|line| line.starts_with("results"));
    assert!(heading.is_some_and(|line| line.contains("D ▶")), "{screen}");
    assert!(!screen.contains("valid accuracy"), "{screen}");
}

#[test]
fn a_run_that_cannot_be_paired_is_marked_with_the_reason() {
    let mut app = page(&FOUR[..2]);
    app.others[1].against.clear();
    app.others[1].other_data = true;
    app.others[1].unpaired = Some("the labels of its test images are not those of a".to_owned());
    app.compare_errors = vec!["third: no such run in runs".to_owned()];
    let screen = text(&drawn(&mut app, (120, 40), &dark()));
    assert!(
        screen.contains("⚠ C: no paired comparison: the labels"),
        "{screen}"
    );
    assert!(screen.contains("⚠ third: no such run in runs"), "{screen}");
    snapshot("compare_refused_120x40", &screen);
}

#[test]
fn unusual_names_and_settings_do_not_break_the_table_layout() {
    let odd = odd_names();
    let names: Vec<&str> = odd.iter().take(3).map(String::as_str).collect();
    let mut app = page(&names);
    for (other, odd) in app.others.iter_mut().zip(&odd) {
        other
            .config
            .push(("model.\u{1b}[31mkey".to_owned(), odd.clone()));
        other.unpaired = Some(format!("because {odd}"));
    }
    app.compare_errors = odd.clone();
    let screen = text(&drawn(&mut app, (120, 40), &dark()));
    snapshot("compare_odd_120x40", &screen);
    let theme = dark();
    for ascii in [false, true] {
        app.settings.ascii = ascii;
        for (width, height) in (0..=62)
            .step_by(3)
            .flat_map(|w| (0..=26).map(move |h| (w, h)))
        {
            app.ui.panels[Pane::Compare] = usize::from(width) % 40;
            let screen = text(&drawn(&mut app, (width, height), &theme));
            assert!(!screen.contains(|c: char| c.is_control() && c != '\n'));
            assert!(!ascii || screen.is_ascii());
        }
        for size in [
            (80, 24),
            (120, 40),
            (200, 60),
            (400, 100),
            (61, 120),
            (400, 3),
        ] {
            let screen = text(&drawn(&mut app, size, &theme));
            assert!(!screen.contains(|c: char| c.is_control() && c != '\n'));
            assert!(!ascii || screen.is_ascii(), "{screen}");
        }
    }
}

#[test]
fn best_values_and_runs_are_marked_without_colour() {
    let theme = Theme::load("mono").unwrap();
    let screen = text(&drawn(&mut page(&FOUR[..1]), (80, 24), &theme));
    assert!(screen.contains('★') && screen.contains('A') && screen.contains('B'));
    let coloured = drawn(&mut page(&FOUR[..1]), (80, 24), &dark());
    assert_eq!(text(&coloured), screen);
    let role = dark().style(Role::RunB).fg;
    assert!(coloured.content().iter().any(|cell| Some(cell.fg) == role));
}
