//! Signals: a thread that turns them into requests and flags. Handlers only wake it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::{self, Builder};
use std::time::Duration;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::tui;

/// How long a screen that is to go may hang in a write to a terminal that takes nothing.
const STUCK: Duration = Duration::from_secs(3);

/// What signals have asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// What they ask of a screen.
    pub(super) screen: tui::Signals,
    signal: Arc<AtomicI32>,
}

impl Asked {
    /// The exit code the signal that ended the run, or the screen, asks for: 128 + its number.
    pub(super) fn exit_code(&self) -> Option<u8> {
        let signal = self.signal.load(Ordering::Acquire);
        (signal > 0).then(|| (128 + signal) as u8)
    }
}

/// For a process that is only a screen: its run is elsewhere, and no signal touches it. SIGUSR1 and SIGUSR2 are for trainers:
/// a screen that one of them reaches stays.
pub(super) fn screen() -> io::Result<Asked> {
    let leaving = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
    let others = [SIGTSTP, SIGCONT, SIGUSR1, SIGUSR2];
    let mut signals = Signals::new(leaving.iter().chain(&others))?;
    let asked = Asked::default();
    let told = asked.clone();
    Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let flag = match signal {
                SIGTSTP => &told.screen.suspend,
                SIGCONT => &told.screen.resumed,
                SIGUSR1 | SIGUSR2 => continue,
                _ => {
                    told.signal.store(signal, Ordering::Release);
                    let _ = Builder::new().spawn(move || {
                        thread::sleep(STUCK);
                        low_level::exit(128 + signal);
                    });
                    &told.screen.terminate
                }
            };
            flag.store(true, Ordering::Release);
        }
    })?;
    Ok(asked)
}

#[cfg(feature = "train")]
pub(super) use trainer::watch;

#[cfg(feature = "train")]
mod trainer {
    use std::env;

    use signal_hook::consts::SIGXFSZ;

    use super::{Asked, AtomicI32, Builder, Duration, Ordering, Signals, io, low_level, thread};
    use super::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    use crate::cli::print::complain;
    use crate::config::OnSignal;
    use crate::event::Command;
    use crate::link::request;
    use crate::session::Door;

    /// How long SIGTERM leaves for a checkpoint, unless `EPOCHTOP_GRACE_S` says otherwise: a scheduler's kill follows after
    /// 30 s as a rule.
    const GRACE: Duration = Duration::from_secs(25);

    /// For a process that trains. SIGINT stops the run after the step, with a checkpoint, and the second one ends the process
    /// at once; SIGTERM stops it too, and ends the process when its time is over. SIGUSR1, or what the configuration names,
    /// asks for a checkpoint. SIGHUP is heard and ignored: a terminal that goes away does not take the run along; nor does a
    /// file that grows over a limit (SIGXFSZ), which the writer is told as an error, nor a SIGUSR that means nothing.
    pub(in crate::cli) fn watch(door: Door, checkpoint: OnSignal) -> io::Result<Asked> {
        let checkpoint = match checkpoint {
            OnSignal::Usr1 => Some(SIGUSR1),
            OnSignal::Usr2 => Some(SIGUSR2),
            OnSignal::None => None,
        };
        let mut signals =
            Signals::new([SIGHUP, SIGINT, SIGTERM, SIGCONT, SIGXFSZ, SIGUSR1, SIGUSR2])?;
        let asked = Asked::default();
        let told = asked.clone();
        Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                match signal {
                    SIGCONT => told.screen.resumed.store(true, Ordering::Release),
                    signal if Some(signal) == checkpoint => ask(&door, Command::Checkpoint, signal),
                    SIGINT | SIGTERM => {
                        end(&told.signal, signal);
                        told.screen.leave.store(true, Ordering::Release);
                        ask(&door, Command::Stop, signal);
                    }
                    _ => {}
                }
            }
        })?;
        Ok(asked)
    }

    fn ask(door: &Door, command: Command, signal: i32) {
        let by = low_level::signal_name(signal).unwrap_or("a signal");
        let request = request(command);
        // This thread may wait; a run that has ended takes nothing more.
        while door.ask(request, by.to_owned()) == Err(crate::link::BUSY) {
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn end(before: &AtomicI32, signal: i32) {
        if before.swap(signal, Ordering::AcqRel) == SIGINT && signal == SIGINT {
            low_level::exit(130);
        }
        if signal == SIGTERM {
            let seconds = env::var("EPOCHTOP_GRACE_S").ok();
            let seconds = seconds.and_then(|text| text.trim().parse::<f64>().ok());
            let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let grace = seconds.unwrap_or(GRACE);
            let _ = Builder::new().spawn(move || {
                thread::sleep(grace);
                complain(&format!(
                    "error: the last checkpoint was not ready {:.0} s after SIGTERM (EPOCHTOP_GRACE_S); those before it are whole",
                    grace.as_secs_f64()
                ));
                low_level::exit(143);
            });
        }
    }
}
