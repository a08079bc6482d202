//! `ctl`: sends one command to a running job, for shells and schedulers, and waits until it has been carried out.

use std::ffi::OsString;
use std::io;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::args::{CtlArgs, CtlSplit, CtlVerb};
use super::attach::unreachable_reason;
use super::print::{print_error, print_line};
use super::{code, runs_dir};
use crate::event::{Answer, Command, Event, Split, check_lr};
use crate::link::{Feed, request};
use crate::run::RunState;
use crate::session::wire::Role;
use crate::session::{Connection, RunTarget, client_name, connect, find, run_argument, status};

pub(super) fn run(args: CtlArgs) -> u8 {
    let CtlArgs {
        verb,
        socket,
        runs,
        timeout,
    } = args;
    let runs = match runs_dir(runs, &[]) {
        Ok(runs) => runs,
        Err(problems) => {
            print_error(&problems);
            return code::USAGE;
        }
    };
    let (wanted, run) = verb.parts();
    let command = wanted.command();
    let who = client_name("ctl");
    let found = match socket {
        Some(path) => connect(&path, Role::Asker, &who)
            .map(|connected| RunTarget::Live(Box::new(connected), path)),
        None => find(&runs, run.as_deref(), Role::Asker, &who),
    };
    match found.and_then(|found| live(found, command)) {
        Ok(connected) => execute(&connected, &wanted, timeout.map(Duration::from_secs_f64)),
        Err(error) => {
            print_error(&format!("error: {error}"));
            code::USAGE
        }
    }
}

fn live(found: RunTarget, command: Command) -> io::Result<Connection> {
    match found {
        RunTarget::Live(connected, _) => Ok(*connected),
        RunTarget::Ended(run) => {
            let state = run
                .meta()
                .map_or("ended", |meta| status(&run, &meta).name());
            let remedy = match command.after_the_end(run_argument(&run.path)) {
                Some(instead) => format!("use `{instead}`"),
                None => format!("{} needs a live run", command.name()),
            };
            let path = run.path.display();
            Err(io::Error::other(format!(
                "{path}: the run is not live ({state}): {remedy}"
            )))
        }
        other => Err(io::Error::other(unreachable_reason(&other, "ctl VERB"))),
    }
}

/// A request to a run: a command, or one that depends on the current state.
#[derive(Debug, Clone)]
pub(super) enum CtlRequest {
    Command(Command),
    /// Multiply the base learning rate by this factor.
    Times(f64),
}

impl CtlRequest {
    /// The command, with a placeholder for a rate that depends on the current one.
    fn command(&self) -> Command {
        match *self {
            Self::Command(command) => command,
            Self::Times(lr) => Command::SetLearningRate { lr },
        }
    }
}

impl CtlVerb {
    fn parts(self) -> (CtlRequest, Option<OsString>) {
        use CtlRequest::Command as Do;
        match self {
            Self::Pause { run } => (Do(Command::Pause), run),
            Self::Resume { run } => (Do(Command::Resume), run),
            Self::Evaluate { run, split } => {
                let split = match split {
                    CtlSplit::Valid => Split::Valid,
                    CtlSplit::Test => Split::Test,
                };
                (Do(Command::Evaluate { split }), run)
            }
            Self::Checkpoint { run } => (Do(Command::Checkpoint), run),
            Self::Lr { rate, run } => (rate.0, run),
            Self::Epochs { epochs, run } => (Do(Command::SetEpochs { epochs }), run),
            Self::StopAfterEpoch { run, cancel: false } => (Do(Command::StopAfterEpoch), run),
            Self::StopAfterEpoch { run, cancel: true } => (Do(Command::CancelStopAfterEpoch), run),
            Self::Stop { run } => (Do(Command::Stop), run),
        }
    }
}

/// A learning rate argument: `3e-4`, or `x0.5` for half the current rate.
#[derive(Debug, Clone)]
pub(super) struct Rate(CtlRequest);

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factor = text.strip_prefix(['x', 'X']);
        let number = factor.unwrap_or(text).parse::<f64>();
        let number = number
            .map_err(|_| "expected a number such as 3e-4, or x0.5 for half the current rate")?;
        Ok(Self(match factor {
            Some(_) => CtlRequest::Times(number),
            None => CtlRequest::Command(Command::SetLearningRate {
                lr: check_lr(number)?,
            }),
        }))
    }
}

fn execute(connected: &Connection, wanted: &CtlRequest, timeout: Option<Duration>) -> u8 {
    match send(connected, wanted, timeout) {
        Ok(words) => {
            print_line(&words);
            code::COMPLETED
        }
        Err(words) => {
            print_error(&format!("{}: {words}", connected.about.run));
            code::FAILED
        }
    }
}

/// Sends the request and waits for its result; returns the message to print.
fn send(
    connected: &Connection,
    wanted: &CtlRequest,
    timeout: Option<Duration>,
) -> Result<String, String> {
    let (link, run) = (&connected.link, &connected.about.run);
    let began = Instant::now();
    let mut state = RunState::default();
    let mut sent = None;
    loop {
        let left = timeout.map(|limit| limit.saturating_sub(began.elapsed()));
        let feed = match left {
            Some(left) => link.feed.recv_timeout(left),
            None => link.feed.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match feed {
            Ok(Feed::Snapshot(whole)) => state = *whole,
            Ok(Feed::Live(record)) => {
                state.apply(&record);
                if let Event::Acknowledged {
                    id,
                    answer: Answer::Accepted,
                    global_step,
                    command,
                } = record.event
                    && sent == Some(id)
                {
                    // On stderr, so that scripts read only the result from stdout.
                    print_error(&format!(
                        "{run}: {} accepted at step {global_step}",
                        command.name()
                    ));
                }
            }
            Ok(Feed::Unsent { reason, .. } | Feed::Gone { reason, .. }) => return Err(reason),
            Ok(Feed::Control(_)) => {}
            Err(RecvTimeoutError::Timeout) => {
                return Err("not done within --timeout; the command is still pending".to_owned());
            }
            Err(RecvTimeoutError::Disconnected) => return Err("the run has ended".to_owned()),
        }
        let Some(id) = sent else {
            // The first message is a snapshot; a relative learning rate needs it.
            let request = request(command(wanted, &state)?);
            link.send(request)?;
            sent = Some(request.id);
            continue;
        };
        let answered = state.commands.iter().find(|line| line.id == id);
        match answered.map(|line| (&line.answer, line.command, line.global_step)) {
            Some((Answer::Done { note }, command, step)) => {
                let here = format!("at step {step}");
                let note = if *note == here {
                    String::new()
                } else {
                    format!(": {note}")
                };
                return Ok(format!("{} done {here}{note}", command.name()));
            }
            Some((Answer::Refused { reason }, command, _)) => {
                return Err(format!("{} refused: {reason}", command.name()));
            }
            Some((Answer::Accepted, ..)) | None => {}
        }
    }
}

fn command(wanted: &CtlRequest, state: &RunState) -> Result<Command, String> {
    match *wanted {
        CtlRequest::Command(command) => Ok(command),
        CtlRequest::Times(factor) => {
            let base = state.base_lr.map(|lr| lr.0).filter(|lr| *lr > 0.0);
            let base = base
                .ok_or("the learning rate is not known yet; give an absolute rate such as 3e-4")?;
            let lr = check_lr(base * factor)?;
            Ok(Command::SetLearningRate { lr })
        }
    }
}
