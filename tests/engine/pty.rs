//! The program in a terminal of its own, and what that terminal shows.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use epochtop::session::{Meta, RunDir, RunOutcome};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Long enough for a busy machine; a test that passes waits far less.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

fn side(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).unwrap()
}

/// The program in a terminal of its own, and what that terminal shows.
pub(crate) struct Terminal {
    pub(crate) child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    pub(crate) screen: Arc<Mutex<vt100::Parser>>,
    master: Option<Box<dyn MasterPty + Send>>,
    /// The reader is to let go of the terminal.
    hung_up: Arc<AtomicBool>,
    /// The run that is trained beside it, in a session of its own.
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

    /// Waits until the screen is as wanted.
    pub(crate) fn wait<T>(&self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
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

    /// Closes every end of ours, whereupon the kernel hangs the terminal up.
    pub(crate) fn hang_up(&mut self) {
        self.hung_up.store(true, Ordering::Release);
        // The reader lets go with the next bytes: a screen of another size is drawn anew.
        let size = self.screen.lock().unwrap().screen().size();
        self.resize((size.0.get() + 1, size.1.get()));
        self.keys = Box::new(std::io::sink());
        self.master = None;
    }

    pub(crate) fn exit_code(&mut self) -> u32 {
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
        if let Some(run) = &self.run {
            kill_trainer(run);
        }
    }
}

/// What a run's `run.json` says.
pub(crate) fn meta(run: &Path) -> Option<Meta> {
    RunDir::at(run).meta()
}

/// Ends a trainer that may still be there.
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

/// A training of [`crate::fixture::shapes`] called `t`.
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

/// The number of the step the screen shows, after the word "step".
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
