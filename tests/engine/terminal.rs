//! The program itself in a real terminal: start, see numbers move, pause, evaluate, stop.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::fixture::shapes;

/// Long enough for a busy machine; a test that passes waits far less.
const PATIENCE: Duration = Duration::from_secs(90);

fn side(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).unwrap()
}

/// The program in a terminal of its own, and what that terminal shows.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    screen: Arc<Mutex<vt100::Parser>>,
    master: Option<Box<dyn MasterPty + Send>>,
    /// The reader is to let go of the terminal.
    hung_up: Arc<AtomicBool>,
}

impl Terminal {
    fn start(args: &[&str], size: (u16, u16)) -> Self {
        Self::start_as("xterm-256color", args, size)
    }

    fn start_as(kind: &str, args: &[&str], size: (u16, u16)) -> Self {
        Self::start_with(&[("TERM", kind)], args, size)
    }

    fn start_with(env: &[(&str, &str)], args: &[&str], (rows, cols): (u16, u16)) -> Self {
        let pair = native_pty_system()
            .openpty(PtySize {
                rows,
                cols,
                pixel_width: 0,
                pixel_height: 0,
            })
            .unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_epochtop"));
        command.args(args);
        command.env("LC_ALL", "C.UTF-8");
        command.env("TERM", "xterm-256color");
        env.iter().for_each(|(key, value)| command.env(key, value));
        command.env_remove("NO_COLOR");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(side(rows), side(cols), 0)));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let shown = Arc::clone(&screen);
        let hung_up = Arc::new(AtomicBool::new(false));
        let gone = Arc::clone(&hung_up);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..n]);
                if gone.load(Ordering::Acquire) {
                    break;
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        Self {
            child,
            keys,
            screen,
            master: Some(pair.master),
            hung_up,
        }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until the screen is as wanted.
    fn wait<T>(&self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            let text = self.text();
            if let Some(found) = wanted(&text) {
                return found;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "waited for {what}; the screen shows:\n{text}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for(&self, words: &str) {
        self.wait(words, |text| text.contains(words).then_some(()));
    }

    fn resize(&self, (rows, cols): (u16, u16)) {
        let size = PtySize {
            rows,
            cols,
            pixel_width: 0,
            pixel_height: 0,
        };
        if let Some(master) = &self.master {
            self.screen
                .lock()
                .unwrap()
                .screen_mut()
                .set_size(side(rows), side(cols));
            master.resize(size).unwrap();
        }
    }

    /// Closes every end of ours, whereupon the kernel hangs the terminal up.
    fn hang_up(&mut self) {
        self.keys = Box::new(std::io::sink());
        self.master = None;
        self.hung_up.store(true, Ordering::Release);
    }

    fn exit_code(&mut self) -> u32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(
                began.elapsed() < PATIENCE,
                "it does not end; the screen shows:\n{}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn train(data: &Path, runs: &Path, epochs: u32, size: (u16, u16)) -> Terminal {
    train_with(&[], data, runs, epochs, size)
}

fn train_with(
    env: &[(&str, &str)],
    data: &Path,
    runs: &Path,
    epochs: u32,
    size: (u16, u16),
) -> Terminal {
    let dir = format!("data.dir={}", data.display());
    let epochs = format!("train.epochs={epochs}");
    let sets = [
        "train.threads=1",
        "data.name=shapes",
        "data.valid=100",
        "model.channels=[8,16]",
        "train.batch_size=32",
        "optim.lr=0.01",
    ];
    let mut args = vec![
        "train",
        "--runs",
        runs.to_str().unwrap(),
        "--name",
        "t",
        "--set",
        &dir,
        "--set",
        &epochs,
    ];
    sets.iter().for_each(|set| args.extend(["--set", set]));
    Terminal::start_with(env, &args, size)
}

/// The number of the step the screen shows, after the word "step".
fn step(text: &str) -> Option<u64> {
    let digits = |rest: &str| {
        let number: String = rest
            .trim_start()
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == ',')
            .collect();
        number.replace(',', "").parse().ok()
    };
    text.split("step").skip(1).find_map(digits)
}

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
    terminal.wait_for("focus the next pane");
    terminal.press("\x1b");
    // Sent in one go, escape and a letter would be one key, alt and the letter.
    terminal.wait("the help to go", |text| {
        (!text.contains("focus the next pane")).then_some(())
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
    for (i, (key, page)) in [("5", "Classes"), ("6", "Confusion"), ("7", "Calibration")]
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
fn a_terminal_that_goes_away_does_not_take_the_run_along() {
    let (data, runs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    shapes(data.path());
    let mut terminal = train(data.path(), runs.path(), 60, (24, 80));
    terminal.wait("a step", |text| step(text).filter(|step| *step > 0));
    terminal.hang_up();
    let began = Instant::now();
    while terminal.child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < PATIENCE, "the run did not end by itself");
        std::thread::sleep(Duration::from_millis(50));
    }
    let meta = std::fs::read_to_string(runs.path().join("t/run.json")).unwrap();
    assert!(meta.contains("\"outcome\": \"completed\""), "{meta}");
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
