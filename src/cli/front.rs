//! Who shows a run in the process that trains it: a screen, lines on stdout, or nobody but the clients of its socket.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use color_eyre::eyre::Report;
use fs_err::File;

use super::code;
use super::launch::{Begun, go_on};
use super::print::{complain, program, say};
use super::signals::Asked;
use crate::event::Outcome;
use crate::link::Link;
use crate::run::{RunState, final_lines};
use crate::session::{Hook, Redirect, RunDir, Server, Session, headless};
use crate::train::Job;
use crate::tui;

/// How long the end of a run may take without a word about why.
const SILENT: Duration = Duration::from_millis(300);

/// Who shows a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// A line per epoch on stdout.
    Lines,
    /// A screen, as a thread of this process.
    Screen {
        /// Runs shown beside this one.
        beside: Vec<String>,
    },
    /// The clients of the socket; the process that started this one is the first.
    Served,
}

/// What is behind a [`Mode`].
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
        begun: Begun,
        log: File,
    },
}

impl Front {
    /// A screen; what others print goes into the log meanwhile.
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

    /// For a process without a terminal.
    pub(super) fn served(
        link: Link,
        log: &File,
        job: &Job,
        server: Option<&Server>,
    ) -> Result<Self, Report> {
        let begun = Begun {
            run: job.name.clone(),
            path: job.run_dir.clone(),
            socket: server
                .map(|server| server.path().to_owned())
                .unwrap_or_default(),
            pid: std::process::id(),
        };
        Ok(Self::Served {
            link,
            begun,
            log: log.try_clone()?,
        })
    }

    /// The trainer has been started.
    pub(super) fn begin(&self) {
        if let Self::Served { begun, log, .. } = self {
            begun.tell();
            // From here on nothing of the terminal is left in this process, and the parent's pipe ends.
            match Redirect::to(log.file()) {
                Ok(redirect) => redirect.keep(),
                Err(error) => complain(&format!("warning: log.txt: {error}")),
            }
        }
    }
}

/// A run under way.
pub(super) struct Running {
    pub(super) session: Session,
    pub(super) asked: Asked,
    pub(super) server: Option<Server>,
    pub(super) hook: Option<Hook>,
    pub(super) front: Front,
}

impl Running {
    /// Shows the run to its end and says how it ended.
    pub(super) fn follow(self, run: &RunDir) -> u8 {
        let Self {
            session,
            asked,
            server,
            hook,
            front,
        } = self;
        let place = format!("run {}", run.path.display());
        match front {
            Front::Lines { link, log } => {
                say(&place);
                headless::follow(&link, Both(io::stdout(), log));
            }
            Front::Served { link, .. } => {
                say(&format!("{place} (process {})", std::process::id()));
                headless::follow(&link, io::stdout());
            }
            Front::Screen {
                tty,
                options,
                link,
                redirect,
                log,
            } => {
                let after = show(&tty, &link, *options, redirect, run);
                drop(link);
                match after {
                    After::Over(state) => {
                        final_lines(&state).iter().for_each(|line| say(line));
                        say(&place);
                    }
                    After::Lines => {
                        headless::follow(&session.link(), Both(io::stdout(), log));
                    }
                    After::Nobody => {
                        headless::follow(&session.link(), log);
                    }
                }
            }
        }
        let state = session.join();
        if let Some(server) = server {
            server.finish();
        }
        hook.into_iter().for_each(wait_for);
        let ended_early = matches!(
            state.outcome,
            Some(Outcome::Stopped | Outcome::Failed { .. })
        );
        if ended_early && state.checkpoint.is_some() {
            say(&go_on(&run.path));
        }
        exit_code(&state, &asked)
    }
}

/// Waits for the command that tells somebody of the end.
fn wait_for(hook: Hook) {
    if !hook.is_done() {
        std::thread::sleep(SILENT);
    }
    if !hook.is_done() {
        say("waiting for notify.command, 30 s at most");
    }
    hook.finish()
        .iter()
        .for_each(|problem| complain(&format!("warning: {problem}")));
}

/// What follows on a screen.
enum After {
    /// The run has ended.
    Over(Box<RunState>),
    /// It goes on, and its lines are shown instead.
    Lines,
    /// It goes on, and there is no terminal any more.
    Nobody,
}

/// Shows the screen until it is left. Whatever happens to the screen, the run goes on.
fn show(
    tty: &tui::Tty,
    link: &Link,
    options: tui::Options,
    redirect: Redirect,
    run: &RunDir,
) -> After {
    let shown = catch_unwind(AssertUnwindSafe(|| tui::run(tty, link, options)));
    if let Ok(Ok(shown)) = &shown
        && shown.exit == tui::Exit::HungUp
    {
        // Words written to a dead terminal are errors; in the log they are read.
        redirect.keep();
        return After::Nobody;
    }
    drop(redirect);
    let trouble = match shown {
        Ok(Ok(shown)) if shown.run.outcome.is_some() => return After::Over(Box::new(shown.run)),
        Ok(Ok(_)) => {
            let (program, name) = (program(), &run.name);
            say(&format!(
                "the run goes on here: Ctrl-C stops it with a checkpoint, {program} attach {name} shows it again"
            ));
            return After::Lines;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it failed, and log.txt of the run directory says how".to_owned(),
    };
    complain(&format!(
        "the screen is gone ({trouble}); the run goes on: Ctrl-C stops it with a checkpoint"
    ));
    After::Lines
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
