//! The front end in the trainer process: a screen, lines on stdout, or only the clients of the socket.

use std::ffi::OsString;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use color_eyre::eyre::Report;
use fs_err::File;

use super::code;
use super::launch::{StartedRun, next_step};
use super::print::{print_error, print_line, program, run_word};
use super::signals::SignalRequests;
use crate::event::Outcome;
use crate::files::Dir;
use crate::link::Link;
use crate::run::{RunState, final_lines};
use crate::session::{Hook, LOG, LogFile, Redirect, Server, Session, headless, remember};
use crate::train::Job;
use crate::tui;

/// Delay before the message that the program is waiting for `notify.command`.
const WAIT_BEFORE_MESSAGE: Duration = Duration::from_millis(300);

/// The kind of front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// One line per epoch on stdout.
    Lines,
    /// A screen in a thread of this process.
    Screen {
        /// Reference runs.
        reference: Vec<OsString>,
    },
    /// Only the clients of the socket; the process that started this one is the first.
    Served,
}

/// The resources of each [`Mode`].
pub(super) enum Front {
    Screen {
        tty: tui::Tty,
        options: Box<tui::Options>,
        link: Link,
        redirect: Redirect,
        log: File,
    },
    Lines {
        link: Link,
        log: File,
    },
    Served {
        link: Link,
        started: StartedRun,
        log: File,
    },
}

impl Front {
    /// A front end with a screen. While it is shown, other output of the process is redirected to the log.
    ///
    /// # Errors
    /// If the output cannot be redirected.
    pub(super) fn screen(
        tty: tui::Tty,
        options: tui::Options,
        link: Link,
        log: File,
    ) -> Result<Self, Report> {
        let redirect = Redirect::to(log.file())?;
        Ok(Self::Screen {
            tty,
            options: Box::new(options),
            link,
            redirect,
            log,
        })
    }

    /// A front end for a trainer process without a terminal.
    ///
    /// # Errors
    /// If the handle of the log cannot be duplicated.
    pub(super) fn served(
        link: Link,
        log: &File,
        job: &Job,
        server: Option<&Server>,
    ) -> Result<Self, Report> {
        let started = StartedRun {
            run: job.name.clone(),
            path: job.run_dir.path(),
            socket: server
                .map(|server| server.path().to_owned())
                .unwrap_or_default(),
            pid: std::process::id(),
        };
        Ok(Self::Served {
            link,
            started,
            log: log.try_clone()?,
        })
    }

    /// Called after the trainer has started: reports this to the parent process and redirects the output to the log.
    pub(super) fn announce_start(&self) {
        if let Self::Served { started, log, .. } = self {
            started.report();
            // From here on this process does not use the terminal, and the pipe to the parent is closed.
            match Redirect::to(log.file()) {
                Ok(redirect) => redirect.keep(),
                Err(error) => print_error(&format!("warning: log.txt: {error}")),
            }
        }
    }
}

/// A run in progress.
pub(super) struct Running {
    pub(super) session: Session,
    pub(super) signals: SignalRequests,
    pub(super) server: Option<Server>,
    pub(super) hook: Option<Hook>,
    pub(super) front: Front,
    /// The run directory, which may be renamed.
    pub(super) dir: Dir,
}

impl Running {
    /// Shows the run until it ends; returns the exit code.
    pub(super) fn follow(self) -> u8 {
        let Self {
            session,
            signals,
            server,
            hook,
            front,
            dir,
        } = self;
        let place = || format!("run {}", dir.path().display());
        let log = match front {
            Front::Lines { link, log } => {
                print_line(&place());
                Some(follow_with_lines(&link, log))
            }
            Front::Served { link, log, .. } => {
                print_line(&format!("{} (process {})", place(), std::process::id()));
                Some(follow_in_log(&link, log))
            }
            Front::Screen {
                tty,
                options,
                link,
                redirect,
                log,
            } => {
                let next = show(&tty, &link, *options, redirect, &dir);
                drop(link);
                match next {
                    NextScreen::RunEnded(state) => {
                        final_lines(&state).iter().for_each(|line| print_line(line));
                        print_line(&place());
                        None
                    }
                    NextScreen::Lines => Some(follow_with_lines(&session.link(), log)),
                    NextScreen::None => Some(follow_in_log(&session.link(), log)),
                }
            }
        };
        let state = session.join();
        let log_error = log.and_then(Result::err);
        if let Some(error) = &log_error {
            print_error(&format!("error: {LOG} is incomplete: {error}"));
        }
        // It may have been renamed since its start. A run that is not remembered is found in its directory.
        let _ = remember(&dir.path());
        if let Some(server) = server {
            server.finish();
        }
        hook.into_iter().for_each(wait_for);
        if state.outcome.is_some() {
            next_step(&dir.path(), &state)
                .iter()
                .for_each(|line| print_line(line));
        }
        match exit_code(&state, &signals) {
            code::COMPLETED if log_error.is_some() => code::FAILED,
            code => code,
        }
    }
}

/// Prints the lines of a run to stdout and writes them to the log, until it ends.
///
/// # Errors
/// If the log is incomplete.
fn follow_with_lines(link: &Link, log: File) -> io::Result<()> {
    let mut tee = Tee(io::stdout(), LogFile::new(log));
    headless::follow(link, &mut tee);
    tee.1.finish()
}

/// Writes the lines of a run to the log, until it ends.
///
/// # Errors
/// If the log is incomplete.
fn follow_in_log(link: &Link, log: File) -> io::Result<()> {
    let mut log = LogFile::new(log);
    headless::follow(link, &mut log);
    log.finish()
}

/// Waits for the notification command.
fn wait_for(hook: Hook) {
    if !hook.is_done() {
        std::thread::sleep(WAIT_BEFORE_MESSAGE);
    }
    if !hook.is_done() {
        print_line("waiting for notify.command (at most 30 s)");
    }
    hook.finish()
        .iter()
        .for_each(|problem| print_error(&format!("warning: {problem}")));
}

/// What to show after the screen has been closed.
enum NextScreen {
    /// The run has ended.
    RunEnded(Box<RunState>),
    /// The run continues; print its lines.
    Lines,
    /// The run continues, but the terminal has been closed.
    None,
}

/// Shows the screen until it is closed. An error or panic of the screen does not stop the run.
fn show(
    tty: &tui::Tty,
    link: &Link,
    options: tui::Options,
    redirect: Redirect,
    dir: &Dir,
) -> NextScreen {
    let shown = catch_unwind(AssertUnwindSafe(|| tui::run(tty, link, options)));
    if let Ok(Ok(shown)) = &shown
        && shown.exit == tui::Exit::HungUp
    {
        // Writing to a closed terminal fails, so the output stays redirected to the log.
        redirect.keep();
        return NextScreen::None;
    }
    drop(redirect);
    let error = match shown {
        Ok(Ok(shown)) if shown.run.outcome.is_some() => {
            return NextScreen::RunEnded(Box::new(shown.run));
        }
        Ok(Ok(_)) => {
            let (program, name) = (program(), run_word(&dir.path()));
            print_line(&format!(
                "the run continues here: Ctrl-C stops it with a checkpoint; show it again with: {program} attach {name}"
            ));
            return NextScreen::Lines;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "panicked; see log.txt in the run directory".to_owned(),
    };
    print_error(&format!(
        "the screen was closed ({error}); the run continues: Ctrl-C stops it with a checkpoint"
    ));
    NextScreen::Lines
}

fn exit_code(state: &RunState, signals: &SignalRequests) -> u8 {
    let by_signal = signals.exit_code();
    let by_signal = by_signal.filter(|_| state.outcome == Some(Outcome::Stopped));
    by_signal.unwrap_or_else(|| code::of(state))
}

/// Writes to stdout and to the log. Errors of stdout are ignored, so that the log stays complete.
struct Tee(io::Stdout, LogFile);

impl io::Write for Tee {
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
