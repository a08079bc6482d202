//! `train`: data, run directory, session and trainer, put together; then the screen or the plain log.

use std::fs::File;
use std::io;
use std::path::Path;

use color_eyre::eyre::{Report, WrapErr};

use super::print::{complain, say};
use super::signals::{self, Asked};
use super::{code, screen};
use crate::config::{Config, Loaded};
use crate::data::{self, Dataset};
use crate::event::Outcome;
use crate::link::Link;
use crate::model::Plan;
use crate::run::{RunState, final_lines};
use crate::session::{Meta, Redirect, RunDir, RunFiles, Session, default_name, headless};
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
    let screen = (!headless)
        .then(screen::available)
        .unwrap_or_else(|| Err("--headless".to_owned()));
    if let Err(why) = screen
        .as_ref()
        .map_err(String::as_str)
        .map_err(|why| (why != "--headless").then_some(why))
    {
        why.iter()
            .for_each(|why| complain(&format!("{why}: a line per epoch instead of the screen")));
    }
    match train(loaded, dataset, &run, screen.is_ok()) {
        Ok(code) => code,
        Err(report) => {
            complain(&format!("error: {report:#}"));
            code::FAILED
        }
    }
}

fn check(config: &Config) -> Result<Dataset, String> {
    train::choose_device(&config.train.device)?;
    let dataset = data::load(&config.data, config.train.seed).map_err(|error| error.0)?;
    Plan::of(&config.model, &dataset.info)?;
    Ok(dataset)
}

fn train(loaded: &Loaded, dataset: Dataset, run: &RunDir, on_screen: bool) -> Result<u8, Report> {
    let config = &loaded.config;
    let meta = Meta {
        run: run.name.clone(),
        epochtop: env!("CARGO_PKG_VERSION").to_owned(),
        libtorch: super::doctor::libtorch_version(),
        seed: config.train.seed,
        device: String::new(),
        precision: "f32".to_owned(),
        threads: 0,
        data_fingerprint: dataset.fingerprint.clone(),
        parameters: 0,
        pid: std::process::id(),
        host: rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        started_ms: jiff::Timestamp::now().as_millisecond().max(0) as u64,
        ended_ms: None,
        outcome: "running".to_owned(),
        error: None,
    };
    let files = RunFiles::create(&run.path, meta).inspect_err(|_| run.discard())?;
    let log_path = run.path.join("log.txt");
    let log = File::create(&log_path).wrap_err_with(|| log_path.display().to_string())?;
    let (session, (events, requests)) = Session::start(Some(files))?;
    let asked = signals::watch(session.requests())?;
    let link = session.link();
    let job = Job {
        name: run.name.clone(),
        config: config.clone(),
        dataset,
        run_dir: run.path.clone(),
    };
    let state = if on_screen {
        let still_there = watch(loaded, &link, &asked, &log, || {
            train::start(job, events, requests).map(drop)
        })?;
        drop(link);
        // Whoever leaves the screen while the run goes on, because the terminal is gone, leaves it running.
        let state = session.join();
        if still_there {
            final_lines(&state).iter().for_each(|line| say(line));
            say(&format!("run {}", run.path.display()));
        }
        state
    } else {
        say(&format!("run {}", run.path.display()));
        train::start(job, events, requests)?;
        headless::follow(&link, Both(io::stdout(), log));
        session.join()
    };
    Ok(exit_code(&state, &asked))
}

/// Shows the screen while `start` and what it starts run, with everything they print led to the log. Returns whether
/// the terminal is still there.
fn watch(
    loaded: &Loaded,
    link: &Link,
    asked: &Asked,
    log: &File,
    start: impl FnOnce() -> io::Result<()>,
) -> Result<bool, Report> {
    let options = screen::options(loaded, asked.leave.clone())?;
    let tty = tui::Tty::open()?;
    let redirect = Redirect::to(log)?;
    start()?;
    let exit = tui::run(tty, link, options);
    drop(redirect);
    Ok(!matches!(exit?, tui::Exit::HungUp))
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
