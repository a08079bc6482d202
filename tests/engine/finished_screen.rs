//! The screen of a run that ends while it is open, and the keys that steer the end of a run.

use crate::fixture::shapes;
use crate::pty::{Terminal, step, train};

fn start(epochs: u32) -> (Terminal, [tempfile::TempDir; 2]) {
    let (data, runs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    shapes(data.path());
    let terminal = train(data.path(), runs.path(), epochs, (40, 120));
    (terminal, [data, runs])
}

/// Starts a run of one epoch with further arguments.
fn start_with(more: &[&str]) -> (Terminal, [tempfile::TempDir; 2]) {
    let (data, runs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    shapes(data.path());
    let args = crate::pty::arguments(data.path(), runs.path(), 1);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let sockets = [("EPOCHTOP_SOCKET_DIR", runs.path().to_str().unwrap())];
    let terminal = Terminal::start_with(&sockets, &[&args[..], more].concat(), (40, 120));
    terminal.wait_for("run completed");
    (terminal, [data, runs])
}

/// Regression test: the gallery said that the test set was not evaluated, and `e` that commands are unavailable.
#[test]
fn a_finished_run_can_be_explored_on_its_live_screen() {
    for more in [&[][..], &["--in-process"][..]] {
        explore(start_with(more));
    }
}

fn explore((mut terminal, _dirs): (Terminal, [tempfile::TempDir; 2])) {
    terminal.press("7");
    terminal.wait_for("predicted at step");
    for filter in ["Gallery mistakes", "Gallery mistakes, most confident first"] {
        terminal.press("f");
        terminal.wait_for(filter);
        terminal.wait("the images", |text| {
            let known = text.contains("predicted at step") || text.contains("no image matches");
            (known && !text.contains("test-set evaluation")).then_some(())
        });
    }
    for (key, words) in [
        ("e", "use `epochtop eval t --split valid`"),
        ("E", "use `epochtop eval t`"),
    ] {
        terminal.press(key);
        terminal.wait_for(words);
    }
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
}

/// The images of a pair of the confusion matrix, after a run with mistakes.
#[test]
fn images_of_a_confused_pair_are_shown_after_the_end() {
    // Hardly trained, so it makes mistakes.
    let (mut terminal, _dirs) = start_with(&["--set", "optim.lr=1e-6"]);
    terminal.press("5");
    terminal.wait_for("▸ Confusion");
    terminal.press("\r");
    terminal.wait_for("predicted as");
    terminal.wait_for("predicted at step");
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
}

/// Regression test: the stop could not be taken back, and header and remaining time did not show it.
#[test]
fn a_stop_after_the_epoch_is_shown_and_can_be_taken_back() {
    let (mut terminal, _dirs) = start(5000);
    terminal.wait("a step", |text| step(text).filter(|step| *step > 0));
    // In a pause, so that the epoch does not end in between.
    terminal.press(" ");
    terminal.wait_for("paused");
    terminal.press("a");
    terminal.wait_for("stops after epoch");
    terminal.press("a");
    terminal.wait("the stop to be taken back", |text| {
        (!text.contains("stops after epoch")).then_some(())
    });
    terminal.press("a");
    terminal.wait_for("stops after epoch");
    terminal.press(" ");
    terminal.wait_for("run stopped");
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 3);
}
