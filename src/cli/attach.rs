//! `attach`: a screen for a run that is trained by another process.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use color_eyre::eyre::Report;

use super::args::{AttachArgs, BesideArgs};
use super::print::{complain, program, say};
use super::{code, load, screen, screen_sets, signals};
use crate::config::Loaded;
use crate::run::{RunState, final_lines};
use crate::session::wire::Role;
use crate::session::{Connected, RunDir, RunTarget, connect, find, headless, who};
use crate::tui::{self, Control, Exit, Home};

pub(super) fn run(args: AttachArgs) -> u8 {
    let AttachArgs {
        run,
        read_only,
        socket,
        beside: BesideArgs { beside },
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
        &beside,
    );
    result.unwrap_or_else(|report| {
        complain(&format!("error: {report:#}"));
        code::FAILED
    })
}

fn attach(
    loaded: &Loaded,
    (run, within): (Option<&str>, bool),
    read_only: bool,
    socket: Option<PathBuf>,
    beside: &[String],
) -> Result<u8, Report> {
    let role = if read_only {
        Role::Watcher
    } else {
        Role::Screen
    };
    let found = match socket {
        Some(path) => connect(&path, role, &who("screen"))
            .map(|connected| RunTarget::Live(Box::new(connected), path)),
        None => find(
            (Path::new(&loaded.config.runs.dir), within),
            run,
            role,
            &who("screen"),
        ),
    };
    match found {
        Ok(RunTarget::Live(connected, _)) => live(loaded, *connected, read_only, beside),
        Ok(RunTarget::Ended(run)) => {
            say(&format!(
                "{}: has ended; this is what it looked like",
                run.path.display()
            ));
            screen::replay(loaded, &run, None, beside)
        }
        Ok(other) => {
            complain(&format!("error: {}", out_of_reach(&other, "attach")));
            Ok(code::FAILED)
        }
        Err(error) => {
            complain(&format!("error: {error}"));
            Ok(code::USAGE)
        }
    }
}

/// Why a run that lives cannot be spoken to, and what to do.
pub(super) fn out_of_reach(found: &RunTarget, verb: &str) -> String {
    match found {
        RunTarget::Elsewhere { run, host } => {
            let path = absolute(run);
            format!(
                "{}: is trained on {host}: ssh -t {host} epochtop {verb} {}",
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
    connected: Connected,
    read_only: bool,
    beside: &[String],
) -> Result<u8, Report> {
    if let Err(why) = screen::available() {
        complain(&format!("{why}: a line per epoch instead of the screen"));
        headless::follow(&connected.link, io::stdout());
        return Ok(code::COMPLETED);
    }
    Ok(match show(loaded, connected, read_only, beside)? {
        Ended::Over(state) => {
            final_lines(&state).iter().for_each(|line| say(line));
            code::COMPLETED
        }
        Ended::Gone(reason) => {
            complain(&format!("error: {reason}"));
            code::FAILED
        }
        Ended::Left(code) => code,
    })
}

/// How a screen came to its end.
pub(super) enum Ended {
    /// The run has told its end.
    Over(Box<RunState>),
    /// Nothing more came.
    Gone(String),
    /// The run goes on, and the words about that are said.
    Left(u8),
}

/// Shows a run that another process trains, others beside it.
pub(super) fn show(
    loaded: &Loaded,
    connected: Connected,
    read_only: bool,
    beside: &[String],
) -> Result<Ended, Report> {
    let Connected {
        link,
        about,
        control,
    } = connected;
    let asked = signals::screen()?;
    let home = Home {
        control: match (read_only, control) {
            (true, _) => Control::Watches,
            (false, true) => Control::Steers,
            (false, false) => Control::MayAsk,
        },
        come_back: Some(format!("{} attach {}", program(), about.run)),
        same_process: false,
    };
    let words = goes_on(&about.run);
    let mut options = screen::options(loaded, home, asked.screen.clone())?;
    // What it has measured by now it will measure again, so nothing is paired.
    options.others = screen::beside(loaded, &RunDir::at(&about.path), None, beside);
    let tty = tui::Tty::open()?;
    // A panic has been reported by then, and the terminal given back.
    let shown = catch_unwind(AssertUnwindSafe(|| tui::run(&tty, &link, options)));
    let shown = match shown.unwrap_or_else(|_| Err(io::Error::other("it has failed"))) {
        Ok(shown) => shown,
        Err(error) => {
            complain(&format!("error: the screen: {error}"));
            say(&words);
            return Ok(Ended::Left(code::FAILED));
        }
    };
    Ok(match (shown.exit, shown.run.outcome.is_some()) {
        (Exit::HungUp, _) => Ended::Left(129),
        (Exit::Terminated, _) => {
            complain(&words);
            Ended::Left(asked.exit_code().unwrap_or(code::FAILED))
        }
        (_, true) => Ended::Over(Box::new(shown.run)),
        (Exit::Left | Exit::Finished, false) => Ended::Gone(
            shown
                .gone
                .unwrap_or_else(|| "nothing more comes from the run".to_owned()),
        ),
        (_, false) => {
            say(&words);
            Ended::Left(code::COMPLETED)
        }
    })
}

/// What is said on leaving a run that goes on.
fn goes_on(run: &str) -> String {
    let program = program();
    format!(
        "the run goes on\n  come back   {program} attach {run}\n  stop it     {program} ctl stop {run}"
    )
}
