//! `train`: data, run directory, session and trainer, put together; then the screen or the plain log.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use color_eyre::eyre::Report;
use fs_err::{File, OpenOptions};

use super::print::{complain, say};
use super::signals::{self, Asked};
use super::{code, screen};
use crate::config::{Config, Loaded};
use crate::data::{self, Dataset};
use crate::event::Outcome;
use crate::link::Link;
use crate::model::Plan;
use crate::run::{RunState, final_lines};
use crate::session::{
    Meta, Redirect, RunDir, RunFiles, Session, TrainerEnds, default_name, headless,
};
use crate::train::{self, Job};
use crate::tui;

/// Trains as configured.
pub(super) fn run(loaded: &Loaded, name: Option<String>, headless: bool) -> u8 {
    let config = &loaded.config;
    // All that can be wrong with the input is found before anything is made.
    let dataset = match check(config) {
        Ok(dataset) => dataset,
        Err(message) => {
            complain(&format!("error: {message}"));
            return code::USAGE;
        }
    };
    let runs = Path::new(&config.runs.dir);
    let name = name.unwrap_or_else(|| default_name(runs, "cnn"));
    let run = match RunDir::create(runs, &name, &config.run_toml()) {
        Ok(run) => run,
        Err(error) => {
            complain(&format!("error: {error}"));
            return code::USAGE;
        }
    };
    let files = RunFiles::create(&run.path, meta(config, &dataset, &run));
    let begun = files.map(|files| Beginning {
        files,
        state: RunState::default(),
        resume: None,
    });
    go(loaded, dataset, &run, headless, begun, true)
}

/// How a run begins: its files, the picture it begins with, and where the trainer goes on from.
pub(super) struct Beginning {
    pub(super) files: RunFiles,
    pub(super) state: RunState,
    pub(super) resume: Option<train::Resume>,
}

/// Trains and shows it. What is `new` is taken back when nothing comes of it.
pub(super) fn go(
    loaded: &Loaded,
    dataset: Dataset,
    run: &RunDir,
    headless: bool,
    begun: io::Result<Beginning>,
    new: bool,
) -> u8 {
    let on_screen = !headless && wants_screen();
    let started = begun
        .map_err(Report::from)
        .and_then(|beginning| prepare(loaded, dataset, run, on_screen, beginning))
        .and_then(Ready::start);
    match started {
        Ok(running) => running.follow(run),
        Err(report) => {
            if new {
                // Nothing has been trained, so nothing is left behind.
                run.discard();
            }
            complain(&format!("error: {report:#}"));
            code::FAILED
        }
    }
}

/// Whether a screen can be shown; if not, that is said.
fn wants_screen() -> bool {
    let available = screen::available();
    if let Err(why) = &available {
        complain(&format!("{why}: a line per epoch instead of the screen"));
    }
    available.is_ok()
}

fn check(config: &Config) -> Result<Dataset, String> {
    train::choose_device(&config.train.device)?;
    let dataset = data::load(&config.data, config.train.seed).map_err(|error| error.0)?;
    Plan::of(&config.model, &dataset.info)?;
    Ok(dataset)
}

/// Everything of a run but the trainer.
struct Ready {
    job: Job,
    session: Session,
    ends: TrainerEnds,
    asked: Asked,
    log: File,
    screen: Option<(tui::Tty, tui::Options)>,
}

fn prepare(
    loaded: &Loaded,
    dataset: Dataset,
    run: &RunDir,
    on_screen: bool,
    beginning: Beginning,
) -> Result<Ready, Report> {
    let config = &loaded.config;
    // A run that goes on adds to what is there.
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(run.path.join("log.txt"))?;
    let (session, ends) = Session::resume(Some(beginning.files), beginning.state)?;
    let asked = signals::watch(session.requests())?;
    let screen = if on_screen {
        Some((
            tui::Tty::open()?,
            screen::options(loaded, asked.leave.clone())?,
        ))
    } else {
        None
    };
    let job = Job {
        name: run.name.clone(),
        config: config.clone(),
        dataset,
        run_dir: run.path.clone(),
        marks: Some(session.marks()),
        resume: beginning.resume,
    };
    Ok(Ready {
        job,
        session,
        ends,
        asked,
        log,
        screen,
    })
}

pub(super) fn meta(config: &Config, dataset: &Dataset, run: &RunDir) -> Meta {
    Meta {
        run: run.name.clone(),
        epochtop: env!("CARGO_PKG_VERSION").to_owned(),
        libtorch: train::libtorch_version(),
        seed: config.train.seed,
        data_fingerprint: dataset.fingerprint.clone(),
        pid: std::process::id(),
        host: rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        started_ms: jiff::Timestamp::now().as_millisecond().max(0) as u64,
        outcome: "running".to_owned(),
        // Device, precision, threads and parameters are known once the run has begun.
        ..Meta::default()
    }
}

/// A run under way.
struct Running {
    session: Session,
    asked: Asked,
    front: Front,
}

/// What shows it.
enum Front {
    Screen {
        tty: tui::Tty,
        options: Box<tui::Options>,
        link: Link,
        redirect: Redirect,
    },
    Lines {
        link: Link,
        log: File,
    },
}

impl Ready {
    fn start(self) -> Result<Running, Report> {
        let Self {
            job,
            session,
            ends: (events, requests),
            asked,
            log,
            screen,
        } = self;
        let link = session.link();
        let front = match screen {
            Some((tty, options)) => {
                let redirect = Redirect::to(log.file())?;
                Front::Screen {
                    tty,
                    options: Box::new(options),
                    link,
                    redirect,
                }
            }
            None => Front::Lines { link, log },
        };
        train::start(job, events, requests)?;
        Ok(Running {
            session,
            asked,
            front,
        })
    }
}

impl Running {
    /// Shows the run to its end and says how it ended.
    fn follow(self, run: &RunDir) -> u8 {
        let Self {
            session,
            asked,
            front,
        } = self;
        let place = format!("run {}", run.path.display());
        let state = match front {
            Front::Lines { link, log } => {
                say(&place);
                headless::follow(&link, Both(io::stdout(), log));
                session.join()
            }
            Front::Screen {
                tty,
                options,
                link,
                redirect,
            } => {
                let there = show(tty, &link, *options, redirect);
                drop(link);
                // Where the screen went and the run goes on, this waits for the run.
                let state = session.join();
                if there {
                    final_lines(&state).iter().for_each(|line| say(line));
                    say(&place);
                }
                state
            }
        };
        if matches!(
            state.outcome,
            Some(Outcome::Stopped | Outcome::Failed { .. })
        ) && state.checkpoint.is_some()
        {
            say(&format!(
                "go on with: epochtop train --resume {}",
                run.path.display()
            ));
        }
        exit_code(&state, &asked)
    }
}

/// Shows the screen until it is left. Whatever happens to it, the run goes on. Returns whether the terminal is there.
fn show(tty: tui::Tty, link: &Link, options: tui::Options, redirect: Redirect) -> bool {
    let shown = catch_unwind(AssertUnwindSafe(|| tui::run(tty, link, options)));
    if matches!(shown, Ok(Ok(tui::Exit::HungUp))) {
        // Words written to a dead terminal are errors; in the log they are read.
        redirect.keep();
        return false;
    }
    drop(redirect);
    let trouble = match shown {
        Ok(Ok(_)) => return true,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it failed, and log.txt of the run directory says how".to_owned(),
    };
    complain(&format!(
        "the screen is gone ({trouble}); the run goes on: Ctrl-C stops it with a checkpoint"
    ));
    true
}

fn exit_code(state: &RunState, asked: &Asked) -> u8 {
    match &state.outcome {
        Some(Outcome::Completed) => code::COMPLETED,
        Some(Outcome::Stopped) => asked.exit_code().unwrap_or(code::STOPPED),
        Some(Outcome::Failed { .. }) | None => code::FAILED,
    }
}

/// Writes to both; the second must not suffer when the first is gone.
struct Both(io::Stdout, File);

impl io::Write for Both {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        self.1.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        self.1.flush()
    }
}
