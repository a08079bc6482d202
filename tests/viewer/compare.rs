//! Runs beside each other: what is read from their directories, what is refused, and the page that shows it.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crossterm::event::KeyCode;
use epochtop::event::{Record, Split};
use epochtop::metrics::{Difference, Interval, Measure, compare};
use epochtop::report::{Evaluated, Predictions, SEED, write};
use epochtop::run::{Beside, Other, Paired, RunResult, RunState, Verdict};
use epochtop::session::{Meta, RunDir, beside};
use epochtop::tui::{App, Pane, Role, Theme};

use crate::screens::{app, dark, drawn, odd_names, press, snapshot, text};
use crate::story;

/// Two classes in turn, and for each row whether it is told rightly and how surely.
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

/// A run on the disk whose test split came out as these rows.
fn kept(runs: &Path, name: &str, config: &str, data: &str, rows: &Predictions) -> RunDir {
    let (records, report) = story::tested(name, rows);
    let run = told(runs, name, config, data, &records);
    let evaluated = Evaluated {
        report: &report,
        run: name,
        names: &[],
        rows: &[rows],
    };
    write(&run.path, evaluated).unwrap();
    run
}

/// A run on the disk with this journal.
fn told(runs: &Path, name: &str, config: &str, data: &str, records: &[Record]) -> RunDir {
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

fn laid(runs: &Path, first: &RunDir, wanted: &[&str]) -> Beside {
    let text = fs::read_to_string(first.journal()).unwrap();
    let records: Vec<Record> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    beside(runs, first, Some(&folded(&records)), &wanted)
}

/// Twenty rows, those at these places told wrongly.
fn wrong_at(places: &[usize]) -> Predictions {
    rows((0..20).map(|i| (!places.contains(&i), 1.0 + i as f32 / 7.0)))
}

#[test]
fn paired_numbers_are_those_of_the_rows_both_measured() {
    let runs = tempfile::tempdir().unwrap();
    let (one, two) = (wrong_at(&[3]), wrong_at(&[0, 3, 6, 11, 12, 19]));
    let first = kept(runs.path(), "a", "", "same", &one);
    kept(runs.path(), "b", "", "same", &two);
    let found = laid(runs.path(), &first, &["b"]);
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
    // 19 of 20 against 14 of 20.
    let accuracy = of(Measure::Accuracy).unwrap();
    assert!((accuracy.difference.value + 0.25).abs() < 1e-12);
    assert_eq!(accuracy.verdict(), Verdict::Worse);
    // The same as `eval` tells, which has the tests of its own against scikit-learn.
    let temperature = |rows: &Predictions| story::tested("x", rows).1.temperature.value;
    let outcomes = |rows: &Predictions| rows.outcomes(temperature(rows), 15);
    let told = compare(&outcomes(&one), &outcomes(&two), 200, SEED).unwrap();
    let states = [&story::tested("x", &one).0, &story::tested("x", &two).0].map(|all| folded(all));
    assert_eq!(other.against.len(), told.differences.len());
    for (measure, expected) in told.differences {
        assert_eq!(of(measure).unwrap().difference, expected.unwrap());
        // What is paired is what the two reports say apart from each other.
        let result = RunResult::Test(measure);
        let [a, b] = states.each_ref().map(|state| result.of(state).unwrap());
        assert!(
            (b - a - expected.unwrap().value).abs() < 1e-12,
            "{measure:?}"
        );
        assert!(other.paired(&states[0], result).is_some());
        // Evaluated again since, the two no longer belong together.
        let mut again = states[0].clone();
        again.test.latest.as_mut().unwrap().global_step += 1;
        assert!(other.paired(&again, result).is_none());
    }
}

#[test]
fn where_every_image_tells_the_same_the_interval_is_a_point() {
    let runs = tempfile::tempdir().unwrap();
    let all: Vec<usize> = (0..20).collect();
    let first = kept(runs.path(), "a", "", "", &wrong_at(&[]));
    kept(runs.path(), "b", "", "", &wrong_at(&all));
    kept(runs.path(), "c", "", "", &wrong_at(&[]));
    let found = laid(runs.path(), &first, &["b", "c"]);
    let accuracy = |at: usize| {
        let all = &found.others[at].against;
        *all.iter()
            .find(|paired| paired.measure == Measure::Accuracy)
            .unwrap()
    };
    let point = |value: f64| Interval {
        low: value,
        high: value,
    };
    assert_eq!(
        (accuracy(0).difference.value, accuracy(0).difference.ci95),
        (-1.0, point(-1.0))
    );
    assert_eq!(
        (accuracy(1).difference.value, accuracy(1).difference.ci95),
        (0.0, point(0.0))
    );
    assert_eq!(accuracy(1).verdict(), Verdict::Unclear);
}

#[test]
fn runs_on_different_test_sets_are_not_paired_and_it_is_said_why() {
    let runs = tempfile::tempdir().unwrap();
    let rows = wrong_at(&[1]);
    let first = kept(runs.path(), "a", "", "one", &rows);
    kept(runs.path(), "elsewhere", "", "two", &rows);
    let mut turned = rows.clone();
    turned.labels.reverse();
    kept(runs.path(), "turned", "", "", &turned);
    let found = laid(runs.path(), &first, &["elsewhere", "turned"]);
    for (other, words) in found.others.iter().zip(["data_fingerprint", "labels"]) {
        assert!(other.against.is_empty() && other.other_data);
        let why = other.unpaired.as_deref().unwrap_or_default();
        assert!(why.contains(words) && why.contains('a'), "{why}");
    }
}

#[test]
fn what_was_not_tested_or_not_kept_is_not_paired_but_shown() {
    let runs = tempfile::tempdir().unwrap();
    let rows = wrong_at(&[1]);
    let first = kept(runs.path(), "a", "", "", &rows);
    told(runs.path(), "young", "", "", &story::midrun());
    let lost = kept(runs.path(), "lost", "", "", &rows);
    fs::remove_file(lost.path.join("predictions.csv")).unwrap();
    fs::remove_dir_all(lost.path.join("evals")).unwrap();
    let later = kept(runs.path(), "later", "", "", &rows);
    let text = fs::read_to_string(later.path.join("predictions.csv")).unwrap();
    let text = text.replace("test,1,1,0", "test,1,0,0");
    fs::write(later.path.join("predictions.csv"), &text).unwrap();
    fs::remove_dir_all(later.path.join("evals")).unwrap();
    let found = laid(runs.path(), &first, &["young", "lost", "later"]);
    let why = |at: usize| found.others[at].unpaired.clone().unwrap_or_default();
    assert_eq!(why(0), "young has not been tested yet");
    assert!(why(1).starts_with("lost: ") && why(1).contains("predictions.csv"));
    assert!(why(2).contains("labels"), "{}", why(2));
    assert!(!found.others[0].other_data && !found.others[1].other_data);
    assert!(found.others[0].state.seq > 0);
}

#[test]
fn predictions_of_another_measurement_are_not_taken_for_those_of_the_result() {
    let runs = tempfile::tempdir().unwrap();
    let first = kept(runs.path(), "a", "", "", &wrong_at(&[1]));
    let other = kept(runs.path(), "b", "", "", &wrong_at(&[1, 2]));
    let better = kept(runs.path(), "c", "", "", &wrong_at(&[]));
    // Without the file of its step there is only that of the last evaluation, and that was another's.
    fs::remove_dir_all(other.path.join("evals")).unwrap();
    let name = "predictions.csv";
    fs::copy(better.path.join(name), other.path.join(name)).unwrap();
    let found = laid(runs.path(), &first, &["b"]);
    let why = found.others[0].unpaired.as_deref().unwrap_or_default();
    assert!(why.contains("not those of its test result"), "{why}");
    assert!(!found.others[0].other_data);
}

#[test]
fn what_cannot_be_shown_is_told_by_name_and_the_others_are_shown() {
    let runs = tempfile::tempdir().unwrap();
    let first = kept(runs.path(), "a", "[optim]\nlr = 1e-3\n", "", &wrong_at(&[]));
    kept(
        runs.path(),
        "b",
        "[optim]\nlr = 0.001\nname = 'sgd'\n",
        "",
        &wrong_at(&[4]),
    );
    told(runs.path(), "odd", "[optim", "", &story::empty());
    told(runs.path(), "void", "", "", &[]);
    let found = laid(
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
    let told = found.problems.join("\n");
    for words in [
        "none: no such run",
        "void: its journal holds no record yet",
        "a: is the run itself",
        "odd: its configuration: ",
        "one, two: at most 8 runs",
    ] {
        assert!(told.contains(words), "{words} in\n{told}");
    }
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(found.config, [pair("optim.lr", "0.001")]);
    assert_eq!(
        found.others[0].config,
        [pair("optim.lr", "0.001"), pair("optim.name", "sgd")]
    );
}

#[test]
fn nothing_is_paired_with_a_live_run() {
    let runs = tempfile::tempdir().unwrap();
    let first = kept(runs.path(), "a", "", "one", &wrong_at(&[]));
    kept(runs.path(), "b", "", "one", &wrong_at(&[]));
    kept(runs.path(), "c", "", "two", &wrong_at(&[]));
    let wanted = ["b".to_owned(), "c".to_owned()];
    let found = beside(runs.path(), &first, None, &wanted);
    let [same, other] = found.others.as_slice() else {
        panic!("two others");
    };
    assert!(same.against.is_empty() && same.unpaired.is_none() && !same.other_data);
    assert!(
        other.other_data,
        "the data are known before anything is tested"
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

/// Other runs, told once for all tests: each takes a second.
static RIVALS: LazyLock<Vec<RunState>> = LazyLock::new(|| {
    let runs = (1..8).map(|seed| (seed, epochs(seed)));
    runs.map(|(seed, epochs)| folded(&story::rival("told elsewhere", seed, epochs)))
        .collect()
});
static FIRST: LazyLock<Vec<Record>> = LazyLock::new(story::finished);

fn epochs(seed: u64) -> u32 {
    3 + 2 * (seed % 3) as u32
}

/// Another run beside `first`, with intervals about as wide as ten thousand images give.
fn rival(first: &RunState, name: &str, seed: u64) -> Other {
    let state = RIVALS[seed as usize - 1].clone();
    let step = |run: &RunState| run.test.latest.as_ref().map(|report| report.global_step);
    let paired = HALF_WIDTHS.iter().filter_map(|(measure, half)| {
        let result = RunResult::Test(*measure);
        let value = result.of(&state)? - result.of(first)?;
        let ci95 = Interval {
            low: value - half,
            high: value + half,
        };
        Some(Paired {
            measure: *measure,
            global_steps: [step(first)?, step(&state)?],
            difference: Difference { value, ci95 },
        })
    });
    Other {
        name: name.to_owned(),
        against: paired.collect(),
        config: config(epochs(seed), seed),
        state,
        ..Other::default()
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

/// A finished run with so many beside it, the page open.
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
fn the_page_at_three_sizes() {
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
fn the_cursor_reads_the_other_runs_out_too() {
    let mut app = page(&FOUR[..2]);
    press(&mut app, KeyCode::Char('2'));
    app.ui.charts.cursor = Some(app.run.global_step);
    let screen = text(&drawn(&mut app, (200, 60), &dark()));
    let title = screen.lines().find(|line| line.contains(" Loss "));
    let title = title.unwrap_or_default();
    // Both ended before the epoch the cursor is in.
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
fn without_others_it_is_said_how_to_compare() {
    let mut app = app(&story::midrun(), true);
    press(&mut app, KeyCode::Char('0'));
    let screen = text(&drawn(&mut app, (80, 24), &dark()));
    assert!(screen.contains("epochtop view A B"), "{screen}");
}

#[test]
fn behind_a_live_run_differences_stand_without_intervals() {
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
fn all_of_the_page_can_be_reached_and_what_is_hidden_is_told() {
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
            "best of all",
        ] {
            assert!(
                seen.contains(words) || words == "checkpoint",
                "{words} in\n{seen}"
            );
        }
        press(&mut app, KeyCode::Up);
        let above = text(&drawn(&mut app, size, &dark()));
        assert_ne!(above, last, "the first press upwards is felt");
    }
}

#[test]
fn the_letters_stay_while_their_table_scrolls() {
    let mut app = page(&FOUR);
    drawn(&mut app, (80, 24), &dark());
    (0..4).for_each(|_| press(&mut app, KeyCode::Down));
    let screen = text(&drawn(&mut app, (80, 24), &dark()));
    let heading = screen.lines().find(|line| line.starts_with("results"));
    assert!(heading.is_some_and(|line| line.contains("D ▶")), "{screen}");
    assert!(!screen.contains("valid accuracy"), "{screen}");
}

#[test]
fn a_run_that_is_not_comparable_is_marked_with_why() {
    let mut app = page(&FOUR[..2]);
    app.others[1].against.clear();
    app.others[1].other_data = true;
    app.others[1].unpaired = Some("the labels of its test images are not those of a".to_owned());
    app.missing = vec!["third: no such run in runs".to_owned()];
    let screen = text(&drawn(&mut app, (120, 40), &dark()));
    assert!(
        screen.contains("⚠ C is not compared image by image: the labels"),
        "{screen}"
    );
    assert!(screen.contains("⚠ third: no such run in runs"), "{screen}");
    snapshot("compare_refused_120x40", &screen);
}

#[test]
fn names_and_settings_from_outside_stay_in_their_columns() {
    let odd = odd_names();
    let names: Vec<&str> = odd.iter().take(3).map(String::as_str).collect();
    let mut app = page(&names);
    for (other, odd) in app.others.iter_mut().zip(&odd) {
        other
            .config
            .push(("model.\u{1b}[31mkey".to_owned(), odd.clone()));
        other.unpaired = Some(format!("because {odd}"));
    }
    app.missing = odd.clone();
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
fn what_is_best_and_what_is_worse_is_said_without_colour() {
    let theme = Theme::load("mono").unwrap();
    let screen = text(&drawn(&mut page(&FOUR[..1]), (80, 24), &theme));
    assert!(screen.contains('★') && screen.contains('A') && screen.contains('B'));
    let coloured = drawn(&mut page(&FOUR[..1]), (80, 24), &dark());
    assert_eq!(text(&coloured), screen);
    let role = dark().style(Role::RunB).fg;
    assert!(coloured.content().iter().any(|cell| Some(cell.fg) == role));
}
