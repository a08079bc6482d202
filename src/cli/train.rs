//! `train`: data, run directory, session, socket and trainer, put together. Who shows it is in [`super::front`].

use std::io;
use std::path::Path;
use std::time::Duration;

use color_eyre::eyre::Report;
use fs_err::File;

use super::front::{Front, Mode, Running};
use super::print::{complain, program};
use super::signals::{self, Asked};
use super::{code, screen};
use crate::config::{Config, Loaded};
use crate::data::{self, Dataset};
use crate::event::Level;
use crate::model::Plan;
use crate::run::RunState;
use crate::session::wire::About;
use crate::session::{
    Door, Hook, HookRun, Meta, RunDir, RunFiles, Server, Session, TrainerEnds, Watch, default_name,
    sockets,
};
use crate::train::{self, Job};
use crate::tui::{self, Control, Home};

/// Trains as configured.
pub(super) fn run(loaded: &Loaded, name: Option<String>, mode: Mode) -> u8 {
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
    let name = name.unwrap_or_else(|| default_name(runs, config.model.name.name()));
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
    go(loaded, dataset, &run, mode, begun, true)
}

/// How a run begins: its files, the state it begins with, and where the trainer goes on from.
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
    mode: Mode,
    begun: io::Result<Beginning>,
    new: bool,
) -> u8 {
    let started = begun
        .map_err(Report::from)
        .and_then(|beginning| prepare(loaded, dataset, run, mode, beginning))
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
    server: Option<Server>,
    hook: Option<Hook>,
    log: File,
    mode: Mode,
    screen: Option<(tui::Tty, tui::Options)>,
}

fn prepare(
    loaded: &Loaded,
    dataset: Dataset,
    run: &RunDir,
    mode: Mode,
    beginning: Beginning,
) -> Result<Ready, Report> {
    let config = &loaded.config;
    // A run that goes on adds to what is there.
    let log = run.open()?.append("log.txt")?;
    let started_ms = beginning.files.started_ms();
    let (mut session, ends) = Session::resume(Some(beginning.files), beginning.state)?;
    watch(&mut session, config, run);
    let asked = signals::watch(session.door(), config.checkpoint.on_signal)?;
    let server = match listen(run, session.door(), started_ms) {
        Ok(server) => Some(server),
        // Nobody could ever see it.
        Err(error) if mode == Mode::Served => return Err(error.into()),
        Err(error) => {
            let text = format!("attach and ctl cannot reach this run: {error}");
            complain(&format!("warning: {text}"));
            session.door().note(Level::Warn, text);
            None
        }
    };
    let hook = hook(config, run, &session.door(), &log);
    let screen = if let Mode::Screen { beside } = &mode {
        let home = Home {
            control: Control::Steers,
            come_back: server
                .is_some()
                .then(|| format!("{} attach {}", program(), run.name)),
            same_process: true,
        };
        let mut options = screen::options(loaded, home, asked.screen.clone())?;
        options.others = screen::beside(loaded, run, None, beside);
        Some((tui::Tty::open()?, options))
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
        server,
        hook,
        log,
        mode,
        screen,
    })
}

/// Has the machine looked at while the run goes on. Without that it is a run all the same.
fn watch(session: &mut Session, config: &Config, run: &RunDir) {
    if config.system.every_seconds <= 0.0 {
        return;
    }
    let watch = Watch {
        every: Duration::from_secs_f64(config.system.every_seconds),
        dir: run.path.clone(),
        gpu: train::gpu(&config.train.device),
    };
    if let Err(error) = session.watch(watch) {
        let text = format!("the machine is not looked at: {error}");
        session.door().note(Level::Warn, text);
    }
}

/// The command that is to be told of this run. A run without it is better than none.
fn hook(config: &Config, run: &RunDir, door: &Door, log: &File) -> Option<Hook> {
    let told = || {
        let run = HookRun {
            name: run.name.clone(),
            dir: std::path::absolute(&run.path)?,
            log: log.file().try_clone()?,
        };
        Hook::start(door, &config.notify, run)
    };
    told().unwrap_or_else(|error: io::Error| {
        let text = format!("notify.command cannot be run: {error}");
        complain(&format!("warning: {text}"));
        door.note(Level::Warn, text);
        None
    })
}

/// Lets screens and askers in.
fn listen(run: &RunDir, door: Door, started_ms: u64) -> io::Result<Server> {
    let path = socket_of(run)?;
    sockets::make_directory()?;
    let about = About {
        run: run.name.clone(),
        path: run.path.canonicalize()?,
        pid: std::process::id(),
        host: host(),
        started_ms,
        epochtop: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Server::start(&path, door, about)
}

fn socket_of(run: &RunDir) -> io::Result<std::path::PathBuf> {
    sockets::path_of(&sockets::directory(), &run.path)
}

fn host() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}

pub(super) fn meta(config: &Config, dataset: &Dataset, run: &RunDir) -> Meta {
    Meta {
        run: run.name.clone(),
        epochtop: env!("CARGO_PKG_VERSION").to_owned(),
        libtorch: train::libtorch_version(),
        seed: config.train.seed,
        data_fingerprint: dataset.fingerprint.clone(),
        data_dir: std::path::absolute(&dataset.found).ok(),
        pid: std::process::id(),
        host: host(),
        socket: socket_of(run).ok(),
        started_ms: jiff::Timestamp::now().as_millisecond().max(0) as u64,
        // Device, precision, threads and parameters are known once the run has begun.
        ..Meta::default()
    }
}

impl Ready {
    fn start(self) -> Result<Running, Report> {
        let Self {
            job,
            session,
            ends: (events, requests),
            asked,
            server,
            hook,
            log,
            mode,
            screen,
        } = self;
        let link = session.link();
        let front = match (mode, screen) {
            (Mode::Served, _) => Front::served(link, &log, &job, server.as_ref())?,
            (_, Some((tty, options))) => Front::screen(tty, options, link, log)?,
            (_, None) => Front::Lines { link, log },
        };
        train::start(job, events, requests)?;
        front.begin();
        Ok(Running {
            session,
            asked,
            server,
            hook,
            front,
        })
    }
}
