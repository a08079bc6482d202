//! Numbers at the edge: all or nothing right, and a calibration that did not help.

use crossterm::event::KeyCode;
use epochtop::event::{Level, Record, Split};
use epochtop::metrics::{Temperature, fit_temperature};
use epochtop::report::Predictions;
use epochtop::run::{RunState, event_line};

use crate::screens::{app, dark, drawn, press, text};
use crate::story::{tested, tested_at};

fn predictions(logits: Vec<f32>, labels: Vec<u32>, classes: usize) -> Predictions {
    Predictions {
        split: Split::Test,
        logits,
        labels,
        classes,
    }
}

/// The page of a digit key.
fn page(records: &[Record], key: char, size: (u16, u16)) -> String {
    let mut app = app(records, false);
    press(&mut app, KeyCode::Char(key));
    text(&drawn(&mut app, size, &dark()))
}

#[test]
fn all_right_is_shown_with_an_interval_and_n() {
    let labels: Vec<u32> = (0..600).map(|i| i % 3).collect();
    let row = |label: &u32| {
        (0..3)
            .map(|class| if class == *label { 2.0 } else { 0.0 })
            .collect::<Vec<f32>>()
    };
    let logits = labels.iter().flat_map(row).collect();
    let (records, _) = tested("right", &predictions(logits, labels, 3));
    let overview = page(&records, '1', (120, 40));
    assert!(overview.contains("100.00% ±0.64 of 600"), "{overview}");
    assert!(overview.contains("did not converge"), "{overview}");
    let classes = page(&records, '4', (200, 60));
    assert!(
        !classes.contains("1.00–1.00") && !classes.contains("±.000"),
        "{classes}"
    );
    assert_eq!(
        classes.matches(".981–1.00").count(),
        6,
        "precision and recall: {classes}"
    );
    let calibration = page(&records, '6', (120, 40));
    assert!(
        calibration.contains("did not converge: not used"),
        "{calibration}"
    );
}

#[test]
fn calibration_that_raised_the_error_is_on_the_screen_and_in_the_log() {
    let labels = [0, 0, 0, 1].repeat(50);
    let rows = predictions([3_f32.ln(), 0.0].repeat(200), labels, 2);
    let fitted = fit_temperature(&rows.logits, &rows.labels, 2);
    let (records, _) = tested_at(
        "worse",
        &rows,
        Temperature {
            value: 0.3,
            ..fitted
        },
    );
    let mut state = RunState::default();
    let mut lines = Vec::new();
    for record in &records {
        state.apply(record);
        lines.extend(event_line(&state, &record.event));
    }
    let words = "calibration made the ECE on the test split worse: 0.00 % became 22.50 %";
    let log = state.log.iter().find(|line| line.text == words);
    assert_eq!(
        log.map(|line| line.level),
        Some(Level::Warn),
        "{:?}",
        state.log
    );
    assert!(
        lines
            .iter()
            .any(|line| line.ends_with(&format!("\nwarning: {words}"))),
        "{lines:?}"
    );
    for shown in ['1', '6'] {
        let screen = page(&records, shown, (120, 40));
        assert!(screen.contains("calibration made the"), "{screen}");
    }
}
