//! The program itself in a real terminal: start, see numbers move, pause, evaluate, stop.

use std::time::Duration;

use crate::fixture::shapes;
use crate::pty::{Terminal, step, train, train_with};

#[test]
fn a_person_starts_pauses_evaluates_and_stops_a_run() {
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
    let held = terminal.wait("a step while paused", step);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(
        step(&terminal.text()),
        Some(held),
        "it went on while paused"
    );
    terminal.press(" ");
    terminal.wait("a step after the pause", |text| {
        step(text).filter(|later| *later > held)
    });
    terminal.press("e");
    terminal.wait_for("evaluate done");
    terminal.press("?");
    terminal.wait_for("put the screen aside");
    terminal.press("\x1b");
    // Sent in one go, escape and a letter would be one key, alt and the letter.
    terminal.wait("the help to go", |text| {
        (!text.contains("put the screen aside")).then_some(())
    });
    terminal.press("q");
    terminal.wait_for("checkpoint");
    terminal.press("s");
    assert_eq!(terminal.exit_code(), 3);
    let screen = terminal.screen.lock().unwrap();
    assert!(
        !screen.screen().alternate_screen() && !screen.screen().hide_cursor(),
        "the terminal was not put back"
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
        "the evaluation on command was written"
    );
}

/// crossterm's default event source drops a key's readiness where a resize is told with it; the key was shown with the next.
#[test]
fn a_key_after_a_resize_is_not_kept_until_the_next() {
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
fn a_run_that_ends_stays_on_the_screen_until_it_is_left() {
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
fn out_of_memory_is_told_with_what_to_do_and_the_terminal_is_left_intact() {
    let (data, runs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    shapes(data.path());
    let fault = [("EPOCHTOP_FAULT", "oom@20")];
    let mut terminal = train_with(&fault, data.path(), runs.path(), 3, (40, 160));
    terminal.wait_for("failed");
    // The screen breaks lines; the words are all there.
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
        "out of GPU memory with train.batch_size = 32: 2.00 GiB was asked for, 1.20 GiB is free",
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
fn a_terminal_that_can_nothing_gets_lines() {
    let (data, runs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    shapes(data.path());
    let mut terminal = train_with(&[("TERM", "dumb")], data.path(), runs.path(), 2, (24, 200));
    terminal.wait_for("TERM=dumb: a line per epoch instead of the screen");
    terminal.wait_for("completed after 2 epochs");
    assert_eq!(terminal.exit_code(), 0);
}
