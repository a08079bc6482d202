//! Runs the program in a pseudo-terminal and reads its screen.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use epochtop::session::{Meta, RunDir, RunOutcome};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Timeout for each wait; generous for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

fn side(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).unwrap()
}

/// A program in a pseudo-terminal, with a terminal emulator for its output.
pub(crate) struct Terminal {
    pub(crate) child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    pub(crate) screen: Arc<Mutex<vt100::Parser>>,
    master: Option<Box<dyn MasterPty + Send>>,
    /// Tells the reader thread to close the terminal.
    hung_up: Arc<AtomicBool>,
    /// The directory of the run, whose trainer has its own session and is killed on drop.
    run: Option<PathBuf>,
}

impl Terminal {
    pub(crate) fn start(args: &[&str], size: (u16, u16)) -> Self {
        Self::start_as("xterm-256color", args, size)
    }

    pub(crate) fn start_as(kind: &str, args: &[&str], size: (u16, u16)) -> Self {
        Self::start_with(&[("TERM", kind)], args, size)
    }

    pub(crate) fn start_with(
        env: &[(&str, &str)],
        args: &[&str],
        (rows, cols): (u16, u16),
    ) -> Self {
        Self::run_program(env, env!("CARGO_BIN_EXE_epochtop"), args, (rows, cols))
    }

    pub(crate) fn run_program(
        env: &[(&str, &str)],
        program: &str,
        args: &[&str],
        (rows, cols): (u16, u16),
    ) -> Self {
        let pair = native_pty_system()
            .openpty(PtySize {
                rows,
                cols,
                pixel_width: 0,
                pixel_height: 0,
            })
            .unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.cwd(env!("CARGO_MANIFEST_DIR"));
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
        let closed = Arc::clone(&hung_up);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..n]);
                if closed.load(Ordering::Acquire) {
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
            run: None,
        }
    }

    pub(crate) fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until `wanted` returns a value for the screen's text.
    pub(crate) fn wait<T>(&self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            let text = self.text();
            if let Some(found) = wanted(&text) {
                return found;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "waited for {what}; the screen shows:\n{text}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn wait_for(&self, words: &str) {
        self.wait(words, |text| text.contains(words).then_some(()));
    }

    pub(crate) fn resize(&self, (rows, cols): (u16, u16)) {
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

    /// Closes the terminal: once all our file descriptors are closed, the kernel hangs it up.
    pub(crate) fn hang_up(&mut self) {
        self.hung_up.store(true, Ordering::Release);
        // The reader thread ends after its next read; a resize makes the screen redraw and so sends it bytes.
        let size = self.screen.lock().unwrap().screen().size();
        self.resize((size.0.get() + 1, size.1.get()));
        self.keys = Box::new(std::io::sink());
        self.master = None;
    }

    pub(crate) fn exit_code(&mut self) -> u32 {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(
                started.elapsed() < PATIENCE,
                "the program does not end; the screen shows:\n{}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        if let Some(run) = &self.run {
            kill_trainer(run);
        }
    }
}

/// The contents of a run's `run.json`; `None` if it does not exist or is invalid.
pub(crate) fn meta(run: &Path) -> Option<Meta> {
    RunDir::at(run).meta()
}

/// Kills the trainer of a run if it is still running.
pub(crate) fn kill_trainer(run: &Path) {
    let running = meta(run).filter(|meta| meta.outcome == RunOutcome::Running);
    let pid = running.and_then(|meta| rustix::process::Pid::from_raw(meta.pid as i32));
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

pub(crate) fn train(data: &Path, runs: &Path, epochs: u32, size: (u16, u16)) -> Terminal {
    train_with(&[], data, runs, epochs, size)
}

pub(crate) fn train_with(
    env: &[(&str, &str)],
    data: &Path,
    runs: &Path,
    epochs: u32,
    size: (u16, u16),
) -> Terminal {
    let args = arguments(data, runs, epochs);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let place = [("EPOCHTOP_SOCKET_DIR", runs.to_str().unwrap())];
    let env = [&place, env].concat();
    let mut terminal = Terminal::start_with(&env, &args, size);
    terminal.run = Some(runs.join("t"));
    terminal
}

/// The arguments to train a run named `t` on [`crate::fixture::shapes`].
pub(crate) fn arguments(data: &Path, runs: &Path, epochs: u32) -> Vec<String> {
    let dir = format!("data.dir={}", data.display());
    let epochs = format!("train.epochs={epochs}");
    let sets = [
        dir.as_str(),
        &epochs,
        "train.threads=1",
        "data.name=shapes",
        "data.valid=100",
        "model.channels=[8,16]",
        "train.batch_size=32",
        "optim.lr=0.01",
    ];
    let mut args = vec!["train", "--runs", runs.to_str().unwrap(), "--name", "t"];
    sets.iter().for_each(|set| args.extend(["--set", set]));
    args.into_iter().map(str::to_owned).collect()
}

/// The step number on the screen, after the word "step".
pub(crate) fn step(text: &str) -> Option<u64> {
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
