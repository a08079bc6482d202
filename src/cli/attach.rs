//! `attach`: a screen on a run that another process trains.

use std::ffi::{OsStr, OsString};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use color_eyre::eyre::Report;

use super::args::{AttachArgs, ReferenceArgs};
use super::print::{argument, print_error, print_line, program, run_word};
use super::{code, load, screen, searched_runs, signals, theme_set};
use crate::config::Loaded;
use crate::event::Phase;
use crate::run::{RunState, final_lines, resume_effect};
use crate::session::wire::Role;
use crate::session::{Connection, RunDir, RunTarget, client_name, connect, find, headless};
use crate::tui::{self, Attachment, Control, Exit};

pub(super) fn run(args: AttachArgs) -> u8 {
    let AttachArgs {
        run,
        read_only,
        socket,
        reference: ReferenceArgs { reference },
        mut config,
        runs,
        theme,
    } = args;
    config.runs = runs;
    config.sets.extend(theme_set(theme));
    let loaded = match load(config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let result = attach(&loaded, run.as_deref(), read_only, socket, &reference);
    result.unwrap_or_else(|report| {
        print_error(&format!("error: {report:#}"));
        code::FAILED
    })
}

fn attach(
    loaded: &Loaded,
    run: Option<&OsStr>,
    read_only: bool,
    socket: Option<PathBuf>,
    reference: &[OsString],
) -> Result<u8, Report> {
    let role = if read_only {
        Role::Watcher
    } else {
        Role::Screen
    };
    let found = match socket {
        Some(path) => connect(&path, role, &client_name("screen"))
            .map(|connected| RunTarget::Live(Box::new(connected), path)),
        None => find(&searched_runs(loaded), run, role, &client_name("screen")),
    };
    match found {
        Ok(RunTarget::Live(connected, _)) => live(loaded, *connected, read_only, reference),
        Ok(RunTarget::Ended(run)) => {
            print_line(&format!(
                "{}: run has ended; showing its final state",
                run.path.display()
            ));
            screen::replay(loaded, &run, None, reference)
        }
        Ok(other) => {
            print_error(&format!("error: {}", unreachable_reason(&other, "attach")));
            Ok(code::FAILED)
        }
        Err(error) => {
            print_error(&format!("error: {error}"));
            Ok(code::USAGE)
        }
    }
}

/// The error for a run that is still training but cannot be reached from here, with the remedy.
pub(super) fn unreachable_reason(found: &RunTarget, verb: &str) -> String {
    match found {
        RunTarget::Elsewhere { run, host } => {
            let path = std::path::absolute(&run.path).unwrap_or_else(|_| run.path.clone());
            // Quoted twice: ssh passes the words to a shell on the other host.
            let path = argument(argument(path));
            format!(
                "{}: the run is on {host}; use: ssh -t {host} epochtop {verb} {path}",
                run.name
            )
        }
        RunTarget::Silent { run, reason } => format!("{}: {reason}", run.path.display()),
        RunTarget::Live(..) | RunTarget::Ended(_) => String::new(),
    }
}

/// Shows a live run, or prints its lines if there is no terminal.
pub(super) fn live(
    loaded: &Loaded,
    connected: Connection,
    read_only: bool,
    reference: &[OsString],
) -> Result<u8, Report> {
    if let Err(why) = screen::available() {
        print_error(&format!(
            "{why}: printing a line per epoch instead of the screen"
        ));
        let state = headless::follow(&connected.link, io::stdout());
        if state.outcome.is_none() {
            let effect = resume_effect(&state);
            print_error(&format!(
                "error: lost contact with the trainer before the run ended; if its process has ended, train --resume {effect}"
            ));
        }
        return Ok(code::of(&state));
    }
    Ok(match show(loaded, connected, read_only, reference)? {
        ScreenEnd::RunEnded(state) => {
            final_lines(&state).iter().for_each(|line| print_line(line));
            code::of(&state)
        }
        ScreenEnd::Disconnected(lost) => {
            print_error(&format!("error: {}", lost.message()));
            code::FAILED
        }
        ScreenEnd::Detached(code) => code,
    })
}

/// Why a screen was closed.
pub(super) enum ScreenEnd {
    /// The run has ended; its final state.
    RunEnded(Box<RunState>),
    /// The connection to the trainer was lost.
    Disconnected(Disconnection),
    /// The screen was left while the run continues; the exit code. The user has been informed.
    Detached(u8),
}

/// How the connection to a trainer was lost.
pub(super) struct Disconnection {
    reason: String,
    died: bool,
    /// The last known state of the run.
    pub(super) state: Box<RunState>,
}

impl Disconnection {
    /// The reason; if the trainer has died, with what `--resume` will do.
    pub(super) fn message(&self) -> String {
        let reason = &self.reason;
        if self.died {
            format!("{reason}; train --resume {}", resume_effect(&self.state))
        } else {
            reason.clone()
        }
    }
}

/// Shows a run that another process trains, with reference runs.
pub(super) fn show(
    loaded: &Loaded,
    connected: Connection,
    read_only: bool,
    reference: &[OsString],
) -> Result<ScreenEnd, Report> {
    let Connection {
        link,
        about,
        control,
    } = connected;
    let requests = signals::screen()?;
    let attachment = Attachment {
        control: match (read_only, control) {
            (true, _) => Control::ReadOnly,
            (false, true) => Control::HasControl,
            (false, false) => Control::CanRequest,
        },
        reattach: Some(format!("{} attach {}", program(), run_word(&about.path))),
        same_process: false,
    };
    let run = run_word(&about.path);
    let mut options = screen::options(loaded, attachment, requests.screen.clone())?;
    // A live run is evaluated again, so its predictions are not paired with those of the reference runs.
    options.others = screen::load_compared(loaded, &RunDir::at(&about.path), None, reference);
    let tty = tui::Tty::open()?;
    // A panic has already been reported and the terminal restored.
    let shown = catch_unwind(AssertUnwindSafe(|| tui::run(&tty, &link, options)));
    let shown = match shown.unwrap_or_else(|_| Err(io::Error::other("panicked"))) {
        Ok(shown) => shown,
        Err(error) => {
            print_error(&format!("error: screen: {error}"));
            print_line(&detach_message(&run, Phase::Training));
            return Ok(ScreenEnd::Detached(code::FAILED));
        }
    };
    let words = detach_message(&run, shown.run.phase);
    Ok(match (shown.exit, shown.run.outcome.is_some()) {
        (Exit::HungUp, _) => ScreenEnd::Detached(129),
        (Exit::Terminated, _) => {
            print_error(&words);
            ScreenEnd::Detached(requests.exit_code().unwrap_or(code::FAILED))
        }
        (_, true) => ScreenEnd::RunEnded(Box::new(shown.run)),
        (Exit::Left | Exit::Finished, false) => {
            let (reason, died) = shown.loss.map_or_else(
                || ("lost contact with the trainer".to_owned(), false),
                |loss| (loss.reason, loss.died),
            );
            ScreenEnd::Disconnected(Disconnection {
                reason,
                died,
                state: Box::new(shown.run),
            })
        }
        (_, false) => {
            print_line(&words);
            ScreenEnd::Detached(code::COMPLETED)
        }
    })
}

/// The message printed after detaching from a run. A paused run waits until somebody resumes it.
fn detach_message(run: &str, phase: Phase) -> String {
    let program = program();
    let (state, resume) = if phase == Phase::Paused {
        let resume = format!("\n  resume     {program} ctl resume {run}");
        ("is still paused", resume)
    } else {
        ("continues", String::new())
    };
    format!(
        "detached; the run {state}{resume}\n  reattach   {program} attach {run}\n  stop       {program} ctl stop {run}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detaching_from_a_paused_run_says_how_to_resume_it() {
        let paused = detach_message("a", Phase::Paused);
        assert!(paused.contains("still paused") && paused.contains("ctl resume a"));
        let training = detach_message("a", Phase::Training);
        assert!(training.contains("the run continues") && !training.contains("resume"));
    }
}
