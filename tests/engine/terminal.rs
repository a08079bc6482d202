//! The program in a pseudo-terminal: start, live numbers, pause, evaluate, stop.

use std::time::Duration;

use crate::fixture::shapes;
use crate::pty::{Terminal, step, train, train_with};

#[test]
fn a_run_is_started_paused_evaluated_and_stopped() {
    let (data, runs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    shapes(data.path());
    let mut terminal = train(data.path(), runs.path(), 5000, (40, 120));
    let first = terminal.wait("a step", |text| step(text).filter(|step| *step > 0));
    terminal.wait("a later step", |text| {
        step(text).filter(|later| *later > first)
    });
    terminal.wait_for("upright");
    terminal.press(" ");
    terminal.wait_for("paused");
    let paused_at = terminal.wait("a step while paused", step);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(
        step(&terminal.text()),
        Some(paused_at),
        "the run continued while paused"
    );
    terminal.press(" ");
    terminal.wait("a step after the pause", |text| {
        step(text).filter(|later| *later > paused_at)
    });
    terminal.press("e");
    terminal.wait_for("evaluate done: validation accuracy");
    assert!(
        !runs.path().join("t/eval.json").exists(),
        "the test set was not evaluated"
    );
    terminal.press("E");
    terminal.wait_for("evaluate-test done: test accuracy");
    terminal.press("?");
    terminal.wait_for("pause or resume training");
    terminal.press("\x1b");
    // Wait between the keys: escape and a letter sent together would be read as alt and the letter.
    terminal.wait("the help to close", |text| {
        (!text.contains("pause or resume training")).then_some(())
    });
    terminal.press("q");
    terminal.wait_for("checkpoint");
    terminal.press("s");
    assert_eq!(terminal.exit_code(), 3);
    let screen = terminal.screen.lock().unwrap();
    assert!(
        !screen.screen().alternate_screen() && !screen.screen().hide_cursor(),
        "the terminal was not restored"
    );
    drop(screen);
    let run = runs.path().join("t");
    let latest = std::fs::read_to_string(run.join("checkpoints/LATEST")).unwrap();
    assert!(
        run.join("checkpoints")
            .join(latest.trim())
            .join("model.safetensors")
            .is_file()
    );
    assert!(
        run.join("eval.json").is_file(),
        "the requested evaluation was written"
    );
}

/// Regression test: crossterm's default event source loses the readiness of a key that arrives together with a resize, so
/// the key took effect only with the next one.
#[test]
fn a_key_after_a_resize_takes_effect_immediately() {
    let (data, runs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    shapes(data.path());
    let mut terminal = train(data.path(), runs.path(), 1, (30, 100));
    terminal.wait_for("completed");
    for (i, (key, page)) in [("4", "Classes"), ("5", "Confusion"), ("6", "Calibration")]
        .into_iter()
        .cycle()
        .take(9)
        .enumerate()
    {
        terminal.resize((30 + i as u16 % 2, 100));
        terminal.press(key);
        terminal.wait_for(&format!("▸ {page}"));
    }
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn a_completed_run_stays_on_the_screen_until_quit() {
    let (data, runs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    shapes(data.path());
    let mut terminal = train(data.path(), runs.path(), 2, (24, 80));
    terminal.wait_for("completed");
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
    let mut view = Terminal::start(
        &["view", "t", "--runs", runs.path().to_str().unwrap()],
        (24, 80),
    );
    view.wait_for("completed");
    view.press("q");
    assert_eq!(view.exit_code(), 0);
}

#[test]
fn out_of_memory_is_reported_with_a_remedy_and_the_terminal_is_restored() {
    let (data, runs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    shapes(data.path());
    let fault = [("EPOCHTOP_FAULT", "oom@20")];
    let mut terminal = train_with(&fault, data.path(), runs.path(), 3, (40, 160));
    terminal.wait_for("failed");
    // The screen wraps lines, so compare with whitespace normalised.
    let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    terminal.wait("what to do", |text| {
        joined(text).contains("out of GPU memory").then_some(())
    });
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 1);
    terminal.wait("the shell's screen", |_| {
        let screen = terminal.screen.lock().unwrap();
        let screen = screen.screen();
        (!screen.alternate_screen() && !screen.hide_cursor()).then_some(())
    });
    let words = joined(&terminal.text());
    for part in [
        "out of GPU memory with train.batch_size = 32: 2.00 GiB requested, 1.20 GiB is free",
        "train.accumulate = 2",
        "after step 19, whose state is saved in checkpoints/step-000000019",
    ] {
        assert!(words.contains(part), "{part} in\n{words}");
    }
    assert!(
        runs.path()
            .join("t/checkpoints/step-000000019/model.safetensors")
            .exists()
    );
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let (data, runs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    shapes(data.path());
    let mut terminal = train_with(&[("TERM", "dumb")], data.path(), runs.path(), 2, (24, 200));
    terminal.wait_for("TERM=dumb: printing a line per epoch instead of the screen");
    terminal.wait_for("completed after 2 epochs");
    assert_eq!(terminal.exit_code(), 0);
}
