//! `attach`: a screen on a run that another process trains.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use color_eyre::eyre::Report;

use super::args::{AttachArgs, ReferenceArgs};
use super::print::{print_error, print_line, program};
use super::{code, load, screen, screen_sets, signals};
use crate::config::Loaded;
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
    let within = runs.is_some();
    config.sets.extend(screen_sets(runs, theme));
    let loaded = match load(config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let result = attach(
        &loaded,
        (run.as_deref(), within),
        read_only,
        socket,
        &reference,
    );
    result.unwrap_or_else(|report| {
        print_error(&format!("error: {report:#}"));
        code::FAILED
    })
}

fn attach(
    loaded: &Loaded,
    (run, within): (Option<&str>, bool),
    read_only: bool,
    socket: Option<PathBuf>,
    reference: &[String],
) -> Result<u8, Report> {
    let role = if read_only {
        Role::Watcher
    } else {
        Role::Screen
    };
    let found = match socket {
        Some(path) => connect(&path, role, &client_name("screen"))
            .map(|connected| RunTarget::Live(Box::new(connected), path)),
        None => find(
            (Path::new(&loaded.config.runs.dir), within),
            run,
            role,
            &client_name("screen"),
        ),
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
            let path = absolute(run);
            format!(
                "{}: the run is on {host}; use: ssh -t {host} epochtop {verb} {}",
                run.name,
                path.display()
            )
        }
        RunTarget::Silent { run, reason } => format!("{}: {reason}", run.path.display()),
        RunTarget::Live(..) | RunTarget::Ended(_) => String::new(),
    }
}

fn absolute(run: &RunDir) -> PathBuf {
    std::path::absolute(&run.path).unwrap_or_else(|_| run.path.clone())
}

fn live(
    loaded: &Loaded,
    connected: Connection,
    read_only: bool,
    reference: &[String],
) -> Result<u8, Report> {
    if let Err(why) = screen::available() {
        print_error(&format!(
            "{why}: printing a line per epoch instead of the screen"
        ));
        headless::follow(&connected.link, io::stdout());
        return Ok(code::COMPLETED);
    }
    Ok(match show(loaded, connected, read_only, reference)? {
        ScreenEnd::RunEnded(state) => {
            final_lines(&state).iter().for_each(|line| print_line(line));
            code::COMPLETED
        }
        ScreenEnd::Disconnected(reason, _) => {
            print_error(&format!("error: {reason}"));
            code::FAILED
        }
        ScreenEnd::Detached(code) => code,
    })
}

/// Why a screen was closed.
pub(super) enum ScreenEnd {
    /// The run has ended; its final state.
    RunEnded(Box<RunState>),
    /// The connection to the trainer was lost; the reason and the last state.
    Disconnected(String, Box<RunState>),
    /// The screen was left while the run continues; the exit code. The user has been informed.
    Detached(u8),
}

/// Shows a run that another process trains, with reference runs.
pub(super) fn show(
    loaded: &Loaded,
    connected: Connection,
    read_only: bool,
    reference: &[String],
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
        reattach: Some(format!("{} attach {}", program(), about.run)),
        same_process: false,
    };
    let words = detach_message(&about.run);
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
            print_line(&words);
            return Ok(ScreenEnd::Detached(code::FAILED));
        }
    };
    Ok(match (shown.exit, shown.run.outcome.is_some()) {
        (Exit::HungUp, _) => ScreenEnd::Detached(129),
        (Exit::Terminated, _) => {
            print_error(&words);
            ScreenEnd::Detached(requests.exit_code().unwrap_or(code::FAILED))
        }
        (_, true) => ScreenEnd::RunEnded(Box::new(shown.run)),
        (Exit::Left | Exit::Finished, false) => {
            let reason = shown
                .lost_reason
                .unwrap_or_else(|| "lost contact with the trainer".to_owned());
            let effect = if shown.trainer_died {
                format!("; train --resume {}", resume_effect(&shown.run))
            } else {
                String::new()
            };
            ScreenEnd::Disconnected(reason + &effect, Box::new(shown.run))
        }
        (_, false) => {
            print_line(&words);
            ScreenEnd::Detached(code::COMPLETED)
        }
    })
}

/// The message printed after detaching from a run that continues.
fn detach_message(run: &str) -> String {
    let program = program();
    format!(
        "detached; the run continues\n  reattach   {program} attach {run}\n  stop       {program} ctl stop {run}"
    )
}
