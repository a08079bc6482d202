//! `ctl`: one thing asked of a run, from a shell or a scheduler; waits until it is done.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::args::{CtlArgs, CtlVerb};
use super::attach::out_of_reach;
use super::print::{complain, say};
use super::{code, runs_dir, screen_sets};
use crate::event::{Answer, Command, Event, check_lr};
use crate::link::{Feed, request};
use crate::run::RunState;
use crate::session::wire::Role;
use crate::session::{Connected, RunTarget, connect, find, who};

pub(super) fn run(args: CtlArgs) -> u8 {
    let CtlArgs {
        verb,
        socket,
        runs,
        timeout,
    } = args;
    // Who names a place means the runs that are there, and no other that happens to be live.
    let within = runs.is_some();
    let runs = match runs_dir(&screen_sets(runs, None)) {
        Ok(runs) => runs,
        Err(problems) => {
            complain(&problems);
            return code::USAGE;
        }
    };
    let (wanted, run) = verb.parts();
    let who = who("ctl");
    let found = match socket {
        Some(path) => connect(&path, Role::Asker, &who)
            .map(|connected| RunTarget::Live(Box::new(connected), path)),
        None => find(
            (Path::new(&runs), within),
            run.as_deref(),
            Role::Asker,
            &who,
        ),
    };
    match found.and_then(live) {
        Ok(connected) => told(&connected, &wanted, timeout.map(Duration::from_secs_f64)),
        Err(error) => {
            complain(&format!("error: {error}"));
            code::USAGE
        }
    }
}

fn live(found: RunTarget) -> io::Result<Connected> {
    match found {
        RunTarget::Live(connected, _) => Ok(*connected),
        RunTarget::Ended(run) => Err(io::Error::other(format!(
            "{}: is not being trained, so there is nobody to ask",
            run.path.display()
        ))),
        other => Err(io::Error::other(out_of_reach(&other, "ctl VERB"))),
    }
}

/// What is wanted: a command, or one that depends on what there is.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    Command(Command),
    /// The learning rate times this.
    Times(f64),
}

impl CtlVerb {
    fn parts(self) -> (Wanted, Option<String>) {
        use Wanted::Command as Do;
        match self {
            Self::Pause { run } => (Do(Command::Pause), run),
            Self::Resume { run } => (Do(Command::Resume), run),
            Self::Evaluate { run } => (Do(Command::Evaluate), run),
            Self::Checkpoint { run } => (Do(Command::Checkpoint), run),
            Self::Lr { rate, run } => (rate.0, run),
            Self::Epochs { epochs, run } => (Do(Command::SetEpochs { epochs }), run),
            Self::StopAfterEpoch { run } => (Do(Command::StopAfterEpoch), run),
            Self::Stop { run } => (Do(Command::Stop), run),
        }
    }
}

/// A learning rate as it is written: `3e-4`, or `x0.5` for a half of what there is.
#[derive(Debug, Clone)]
pub(super) struct Rate(Wanted);

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factor = text.strip_prefix(['x', 'X']);
        let number = factor.unwrap_or(text).parse::<f64>();
        let number =
            number.map_err(|_| "expected a number such as 3e-4, or x0.5 for half the rate")?;
        Ok(Self(match factor {
            Some(_) => Wanted::Times(number),
            None => Wanted::Command(Command::SetLearningRate {
                lr: check_lr(number)?,
            }),
        }))
    }
}

fn told(connected: &Connected, wanted: &Wanted, timeout: Option<Duration>) -> u8 {
    match ask(connected, wanted, timeout) {
        Ok(words) => {
            say(&words);
            code::COMPLETED
        }
        Err(words) => {
            complain(&format!("{}: {words}", connected.about.run));
            code::FAILED
        }
    }
}

/// Asks, and waits for the end of it.
fn ask(
    connected: &Connected,
    wanted: &Wanted,
    timeout: Option<Duration>,
) -> Result<String, String> {
    let (link, run) = (&connected.link, &connected.about.run);
    let began = Instant::now();
    let mut state = RunState::default();
    let mut asked = None;
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
                    && asked == Some(id)
                {
                    // A terminal shows that it was heard; a script reads what came of it.
                    complain(&format!(
                        "{run}: {} accepted at step {global_step}",
                        command.name()
                    ));
                }
            }
            Ok(Feed::Unsent { reason, .. } | Feed::Gone { reason }) => return Err(reason),
            Ok(Feed::Control(_)) => {}
            Err(RecvTimeoutError::Timeout) => {
                return Err(
                    "not done within --timeout; what was asked for is not taken back".to_owned(),
                );
            }
            Err(RecvTimeoutError::Disconnected) => return Err("the run has ended".to_owned()),
        }
        let Some(id) = asked else {
            // The first state tells what there is.
            let request = request(command(wanted, &state)?);
            link.send(request)?;
            asked = Some(request.id);
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

fn command(wanted: &Wanted, state: &RunState) -> Result<Command, String> {
    match *wanted {
        Wanted::Command(command) => Ok(command),
        Wanted::Times(factor) => {
            let base = state.base_lr.map(|lr| lr.0).filter(|lr| *lr > 0.0);
            let base = base.ok_or("the learning rate is not known yet: name one")?;
            let lr = check_lr(base * factor)?;
            Ok(Command::SetLearningRate { lr })
        }
    }
}
