//! `train`: sets up data, run directory, session, socket and trainer. The front end is in [`super::front`].

use std::io;
use std::path::Path;
use std::time::Duration;

use color_eyre::eyre::Report;
use fs_err::File;

use super::front_end::{Front, Mode, Running};
use super::load::load;
use super::print::{print_error, program, run_word};
use super::signals::{self, SignalRequests};
use super::{code, screen};
use crate::config::{Config, Loaded};
use crate::event::{Event, Level, Phase, Restoration};
use crate::files::Dir;
use crate::images::Dataset;
use crate::model::Plan;
use crate::run::RunState;
use crate::session::wire::TrainerInfo;
use crate::session::{
    Hook, HookRun, HubHandle, LOG, Meta, RunDir, RunFiles, Server, Session, SystemSampling,
    TrainerEnds, host, process_mark, remember, remove_unstarted, sockets,
};
use crate::stopwatch;
use crate::train::{self, Job};
use crate::tui::{self, Attachment, Control};

/// What happens if a run of the given name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfExists {
    Refuse,
    /// With `take_over`, also if it cannot be determined whether another process still trains it.
    Resume {
        take_over: bool,
    },
}

/// Starts a new run with the loaded configuration; returns the exit code.
pub(super) fn run(loaded: &Loaded, name: Option<&str>, mode: Mode, if_exists: IfExists) -> u8 {
    let mut loaded = loaded.clone();
    make_absolute(&mut loaded.config);
    let (loaded, config) = (&loaded, &loaded.config);
    let runs = loaded.runs_dir();
    if let (Some(name), IfExists::Resume { take_over }) = (name, if_exists)
        && runs.join(name).exists()
    {
        return super::resume::resume_named(name, loaded, mode, take_over);
    }
    // The input is validated before anything is created.
    let dataset = match check(config) {
        Ok(dataset) => dataset,
        Err(message) => {
            print_error(&format!("error: {message}"));
            return code::USAGE;
        }
    };
    let run = match create(&runs, name, config) {
        Ok(run) => run,
        Err(error) => {
            // Another process has created it since the check above.
            if let (Some(name), IfExists::Resume { take_over }) = (name, if_exists)
                && error.kind() == io::ErrorKind::AlreadyExists
            {
                return super::resume::resume_named(name, loaded, mode, take_over);
            }
            print_error(&format!("error: {error}"));
            return code::USAGE;
        }
    };
    let files = RunFiles::create(&run.path, meta(config, &dataset, &run));
    let start = files.map(|files| RunStart {
        files,
        state: RunState::default(),
        resume: None,
        started_over: None,
    });
    train_and_show(loaded, dataset, &run, mode, start, true)
}

/// Creates the directory of a new run; without a name, under its default name.
///
/// # Errors
/// As [`RunDir::create`].
pub(super) fn create(runs: &Path, name: Option<&str>, config: &Config) -> io::Result<RunDir> {
    match name {
        Some(name) => {
            // A failure is reported by the creation: the name is not free.
            let _ = remove_unstarted(&runs.join(name));
            RunDir::create(runs, name, &config.run_toml())
        }
        None => RunDir::create_unnamed(runs, config.model.name.name(), &config.run_toml()),
    }
}

/// The start of a run: its files, its initial state, and the checkpoint to continue from, if any.
pub(super) struct RunStart {
    pub(super) files: RunFiles,
    pub(super) state: RunState,
    pub(super) resume: Option<train::Resume>,
    /// Set if an existing run starts over.
    pub(super) started_over: Option<Restoration>,
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
    // The directory of a run that another process has locked is not deleted.
    let new = new && !matches!(&start, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    let started = start
        .map_err(Report::from)
        .and_then(|start| prepare(loaded, dataset, run, mode, start))
        .and_then(PreparedRun::start);
    match started {
        Ok(running) => running.follow(),
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

/// Makes a relative `data.dir` absolute, so that the run can be resumed and evaluated from another directory. A path that
/// is not UTF-8 cannot be in a configuration; `run.json` has it.
pub(super) fn make_absolute(config: &mut Config) {
    let dir = &mut config.data.dir;
    if !dir.is_empty()
        && let Ok(path) = std::path::absolute(&*dir)
        && let Ok(path) = path.into_os_string().into_string()
    {
        *dir = path;
    }
}

/// Checks the directories, the device, the data and the network of a configuration; returns the data.
///
/// # Errors
/// The first problem.
pub(super) fn check(config: &Config) -> Result<Dataset, String> {
    let fallback = &config.checkpoint.fallback_dir;
    if !fallback.is_empty() {
        let opened = Dir::open(Path::new(fallback));
        opened.map_err(|error| format!("checkpoint.fallback_dir: {error}"))?;
    }
    train::choose_device(&config.train.device)?;
    let dataset = load(config).map_err(|error| error.0)?;
    Plan::of(&config.model, &dataset.info)?;
    train::class_weights(config, &dataset)?;
    Ok(dataset)
}

/// A run that is set up; only its trainer has not started.
struct PreparedRun {
    job: Job,
    started_over: Option<Restoration>,
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
    let dir = start.files.dir().clone();
    // A resumed run appends to its log.
    let log = dir.append(LOG)?;
    let started_ms = start.files.started_ms();
    let (mut session, ends) = Session::resume(Some(start.files), start.state)?;
    if start.resume.is_some() || start.started_over.is_some() {
        // Until the trainer reports, screens would show what the last process did.
        let phase = Phase::Starting;
        let _ = ends.0.send(Event::Phase { phase });
    }
    if let Err(error) = stopwatch::start() {
        let text = format!("a stop of the process (SIGSTOP) will count as training time: {error}");
        session.handle().note(Level::Warn, text);
    }
    watch(&mut session, config, &dir);
    let signals = signals::watch(session.handle(), config.checkpoint.on_signal)?;
    // If this fails, the run is found in its own directory only.
    let _ = remember(&run.path);
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
    let hook = hook(config, run, &dir, &session.handle(), &log);
    let screen = if let Mode::Screen { reference } = &mode {
        let attachment = Attachment {
            control: Control::HasControl,
            reattach: server
                .is_some()
                .then(|| format!("{} attach {}", program(), run_word(&run.path))),
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
        run_dir: dir,
        marks: Some(session.marks()),
        resume: start.resume,
        unattended: mode == Mode::Lines,
    };
    Ok(PreparedRun {
        job,
        started_over: start.started_over,
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
fn watch(session: &mut Session, config: &Config, dir: &Dir) {
    if config.system.every_seconds <= 0.0 {
        return;
    }
    let watch = SystemSampling {
        every: Duration::from_secs_f64(config.system.every_seconds),
        dir: dir.clone(),
        gpu: train::gpu(&config.train.device),
    };
    if let Err(error) = session.watch(watch) {
        let text = format!("no samples of the machine: {error}");
        session.handle().note(Level::Warn, text);
    }
}

/// Starts the notification command. If that fails, the run continues without notifications.
fn hook(config: &Config, run: &RunDir, dir: &Dir, hub: &HubHandle, log: &File) -> Option<Hook> {
    let start = || {
        let run = HookRun {
            name: run.name.clone(),
            dir: dir.clone(),
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

pub(super) fn meta(config: &Config, dataset: &Dataset, run: &RunDir) -> Meta {
    Meta {
        run: run.name.clone(),
        epochtop: env!("CARGO_PKG_VERSION").to_owned(),
        libtorch: train::libtorch_version(),
        seed: config.train.seed,
        data_fingerprint: dataset.fingerprint.clone(),
        idx_fingerprint: dataset.idx_fingerprint.clone(),
        packed_images: dataset.pack.clone(),
        data_dir: std::path::absolute(&dataset.dir).ok(),
        pid: std::process::id(),
        host: host(),
        process: process_mark(),
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
            started_over,
            session,
            ends: (events, requests),
            signals,
            server,
            hook,
            log,
            mode,
            screen,
        } = self;
        let (link, dir) = (session.link(), job.run_dir.clone());
        let front = match (mode, screen) {
            (Mode::Served, _) => Front::served(link, &log, &job, server.as_ref())?,
            (_, Some((tty, options))) => Front::screen(tty, options, link, log)?,
            (_, None) => Front::Lines { link, log },
        };
        // The first record, so that those of the earlier attempt are obsolete.
        if let Some(restoration) = started_over {
            let _ = events.send(Event::Restored(Box::new(restoration)));
        }
        train::start(job, events, requests)?;
        front.announce_start();
        Ok(Running {
            session,
            signals,
            server,
            hook,
            front,
            dir,
        })
    }
}
