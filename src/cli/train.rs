//! `train`: sets up data, run directory, session, socket and trainer. The front end is in [`super::front`].

use std::io;
use std::path::Path;
use std::time::Duration;

use color_eyre::eyre::Report;
use fs_err::File;

use super::front_end::{Front, Mode, Running};
use super::print::{print_error, program};
use super::signals::{self, SignalRequests};
use super::{code, screen};
use crate::config::{Config, Loaded};
use crate::data::{self, Dataset};
use crate::event::Level;
use crate::model::Plan;
use crate::run::RunState;
use crate::session::wire::TrainerInfo;
use crate::session::{
    Hook, HookRun, HubHandle, Meta, RunDir, RunFiles, Server, Session, SystemSampling, TrainerEnds,
    default_name, sockets,
};
use crate::stopwatch;
use crate::train::{self, Job};
use crate::tui::{self, Attachment, Control};

/// Starts a new run with the loaded configuration; returns the exit code.
pub(super) fn run(loaded: &Loaded, name: Option<String>, mode: Mode) -> u8 {
    let config = &loaded.config;
    // The input is validated before anything is created.
    let dataset = match check(config) {
        Ok(dataset) => dataset,
        Err(message) => {
            print_error(&format!("error: {message}"));
            return code::USAGE;
        }
    };
    let runs = Path::new(&config.runs.dir);
    let name = name.unwrap_or_else(|| default_name(runs, config.model.name.name()));
    let run = match RunDir::create(runs, &name, &config.run_toml()) {
        Ok(run) => run,
        Err(error) => {
            print_error(&format!("error: {error}"));
            return code::USAGE;
        }
    };
    let files = RunFiles::create(&run.path, meta(config, &dataset, &run));
    let start = files.map(|files| RunStart {
        files,
        state: RunState::default(),
        resume: None,
    });
    train_and_show(loaded, dataset, &run, mode, start, true)
}

/// The start of a run: its files, its initial state, and the checkpoint to continue from, if any.
pub(super) struct RunStart {
    pub(super) files: RunFiles,
    pub(super) state: RunState,
    pub(super) resume: Option<train::Resume>,
}

/// Trains and shows the run; returns the exit code. The directory of a `new` run is deleted if training cannot start.
pub(super) fn train_and_show(
    loaded: &Loaded,
    dataset: Dataset,
    run: &RunDir,
    mode: Mode,
    start: io::Result<RunStart>,
    new: bool,
) -> u8 {
    let started = start
        .map_err(Report::from)
        .and_then(|start| prepare(loaded, dataset, run, mode, start))
        .and_then(PreparedRun::start);
    match started {
        Ok(running) => running.follow(run),
        Err(report) => {
            if new {
                // Nothing has been trained, so the directory contains nothing useful.
                run.discard();
            }
            print_error(&format!("error: {report:#}"));
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

/// A run that is set up; only its trainer has not started.
struct PreparedRun {
    job: Job,
    session: Session,
    ends: TrainerEnds,
    signals: SignalRequests,
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
    start: RunStart,
) -> Result<PreparedRun, Report> {
    let config = &loaded.config;
    // A resumed run appends to its log.
    let log = run.open()?.append("log.txt")?;
    let started_ms = start.files.started_ms();
    let (mut session, ends) = Session::resume(Some(start.files), start.state)?;
    if let Err(error) = stopwatch::start() {
        let text = format!("a stop of the process (SIGSTOP) will count as training time: {error}");
        session.handle().note(Level::Warn, text);
    }
    watch(&mut session, config, run);
    let signals = signals::watch(session.handle(), config.checkpoint.on_signal)?;
    let server = match listen(run, session.handle(), started_ms) {
        Ok(server) => Some(server),
        // Without a socket, no screen could ever show the run.
        Err(error) if mode == Mode::Served => return Err(error.into()),
        Err(error) => {
            let text = format!("attach and ctl cannot reach this run: {error}");
            print_error(&format!("warning: {text}"));
            session.handle().note(Level::Warn, text);
            None
        }
    };
    let hook = hook(config, run, &session.handle(), &log);
    let screen = if let Mode::Screen { reference } = &mode {
        let attachment = Attachment {
            control: Control::HasControl,
            reattach: server
                .is_some()
                .then(|| format!("{} attach {}", program(), run.name)),
            same_process: true,
        };
        let mut options = screen::options(loaded, attachment, signals.screen.clone())?;
        options.others = screen::load_compared(loaded, run, None, reference);
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
        resume: start.resume,
    };
    Ok(PreparedRun {
        job,
        session,
        ends,
        signals,
        server,
        hook,
        log,
        mode,
        screen,
    })
}

/// Starts sampling the machine (CPU, memory, GPU). If that fails, the run continues without samples.
fn watch(session: &mut Session, config: &Config, run: &RunDir) {
    if config.system.every_seconds <= 0.0 {
        return;
    }
    let watch = SystemSampling {
        every: Duration::from_secs_f64(config.system.every_seconds),
        dir: run.path.clone(),
        gpu: train::gpu(&config.train.device),
    };
    if let Err(error) = session.watch(watch) {
        let text = format!("no samples of the machine: {error}");
        session.handle().note(Level::Warn, text);
    }
}

/// Starts the notification command. If that fails, the run continues without notifications.
fn hook(config: &Config, run: &RunDir, hub: &HubHandle, log: &File) -> Option<Hook> {
    let start = || {
        let run = HookRun {
            name: run.name.clone(),
            dir: std::path::absolute(&run.path)?,
            log: log.file().try_clone()?,
        };
        Hook::start(hub, &config.notify, run)
    };
    start().unwrap_or_else(|error: io::Error| {
        let text = format!("notify.command cannot be started: {error}");
        print_error(&format!("warning: {text}"));
        hub.note(Level::Warn, text);
        None
    })
}

/// Opens the socket for screens and `ctl`.
fn listen(run: &RunDir, hub: HubHandle, started_ms: u64) -> io::Result<Server> {
    let path = socket_of(run)?;
    sockets::make_directory()?;
    let about = TrainerInfo {
        run: run.name.clone(),
        path: run.path.canonicalize()?,
        pid: std::process::id(),
        host: host(),
        started_ms,
        epochtop: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Server::start(&path, hub, about)
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
        data_dir: std::path::absolute(&dataset.dir).ok(),
        pid: std::process::id(),
        host: host(),
        socket: socket_of(run).ok(),
        started_ms: jiff::Timestamp::now().as_millisecond().max(0) as u64,
        // Device, precision, threads and parameter count are known after the run has started.
        ..Meta::default()
    }
}

impl PreparedRun {
    fn start(self) -> Result<Running, Report> {
        let Self {
            job,
            session,
            ends: (events, requests),
            signals,
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
        front.announce_start();
        Ok(Running {
            session,
            signals,
            server,
            hook,
            front,
        })
    }
}
