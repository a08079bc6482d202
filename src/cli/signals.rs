//! Signals: a thread converts them to commands and flags; the signal handlers only wake that thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use signal_hook::consts::{
    SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGXFSZ,
};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::{threads, tui};

/// How long a screen may take to exit, because a write to a blocked terminal may hang.
const EXIT_TIMEOUT: Duration = Duration::from_secs(3);

/// Requests received as signals.
#[derive(Debug, Clone, Default)]
pub(super) struct SignalRequests {
    /// Requests to the screen.
    pub(super) screen: tui::Signals,
    signal: Arc<AtomicI32>,
}

impl SignalRequests {
    /// The exit code for the signal that ended the run or the screen: 128 + its number. `None` without such a signal.
    pub(super) fn exit_code(&self) -> Option<u8> {
        let signal = self.signal.load(Ordering::Acquire);
        (signal > 0).then(|| (128 + signal) as u8)
    }
}

/// Makes a write beyond the limit of file sizes (`ulimit -f`) an error of the writer instead of the end of the process.
pub(super) fn report_file_size_limit() {
    // A handler, unlike an ignored signal, is not inherited by programs that this one starts.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// Keeps the process alive if its terminal is closed before the handlers of the trainer exist: the run starts without it.
#[cfg(feature = "train")]
pub(super) fn survive_the_terminal() {
    // A handler, unlike an ignored signal, is not inherited by programs that this one starts.
    let _ = signal_hook::flag::register(SIGHUP, Arc::default());
}

/// A thread that exists from the start and ends the process some time after a signal: when a signal comes, it may not
/// be possible to create a thread any more. Calls `late` before the end of the process.
fn watchdog(late: impl Fn(Duration) + Send + 'static) -> io::Result<Sender<(Duration, i32)>> {
    let (arm, armed) = bounded::<(Duration, i32)>(1);
    threads::start("watchdog", move || {
        if let Ok((time, signal)) = armed.recv() {
            thread::sleep(time);
            late(time);
            low_level::exit(128 + signal);
        }
    })?;
    Ok(arm)
}

/// Handles the signals of a process that only shows a screen. They do not affect its run, which is in another process.
/// SIGUSR1 and SIGUSR2 are meant for trainers and are ignored here.
pub(super) fn screen() -> io::Result<SignalRequests> {
    let leaving = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
    let others = [SIGTSTP, SIGCONT, SIGUSR1, SIGUSR2];
    let mut signals = Signals::new(leaving.iter().chain(&others))?;
    let requests = SignalRequests::default();
    let flags = requests.clone();
    let exit = watchdog(|_| {})?;
    threads::start("signals", move || {
        for signal in signals.forever() {
            let flag = match signal {
                SIGTSTP => &flags.screen.suspend,
                SIGCONT => &flags.screen.resumed,
                SIGUSR1 | SIGUSR2 => continue,
                _ => {
                    flags.signal.store(signal, Ordering::Release);
                    let _ = exit.try_send((EXIT_TIMEOUT, signal));
                    &flags.screen.terminate
                }
            };
            flag.store(true, Ordering::Release);
        }
    })?;
    Ok(requests)
}

#[cfg(feature = "train")]
pub(super) use trainer::watch;

#[cfg(feature = "train")]
mod trainer {
    use std::env;

    use super::{
        AtomicI32, Duration, Ordering, Sender, SignalRequests, Signals, io, low_level, thread,
        threads, watchdog,
    };
    use super::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
    use crate::cli::print::print_error;
    use crate::config::OnSignal;
    use crate::event::Command;
    use crate::link::request;
    use crate::session::HubHandle;

    /// Time to write a checkpoint after SIGTERM, unless `EPOCHTOP_GRACE_S` is set. Schedulers usually send SIGKILL 30 s
    /// later.
    const GRACE: Duration = Duration::from_secs(25);

    /// Handles the signals of a trainer process. SIGINT and SIGQUIT stop the run after the current step, with a
    /// checkpoint; a second one of them ends the process immediately. SIGTERM stops the run in the same way, but ends the
    /// process after the grace period. SIGUSR1 or SIGUSR2, as configured, requests a checkpoint; the other one is ignored.
    /// SIGHUP is ignored, so that the run survives its terminal. SIGXFSZ is ignored, so that exceeding the file size limit
    /// is reported to the writer as an error.
    pub(in crate::cli) fn watch(
        hub: HubHandle,
        checkpoint: OnSignal,
    ) -> io::Result<SignalRequests> {
        let checkpoint = match checkpoint {
            OnSignal::Usr1 => Some(SIGUSR1),
            OnSignal::Usr2 => Some(SIGUSR2),
            OnSignal::None => None,
        };
        let mut signals = Signals::new([
            SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCONT, SIGXFSZ, SIGUSR1, SIGUSR2,
        ])?;
        let requests = SignalRequests::default();
        let flags = requests.clone();
        let exit = watchdog(report_late)?;
        threads::start("signals", move || {
            for signal in signals.forever() {
                match signal {
                    SIGCONT => flags.screen.resumed.store(true, Ordering::Release),
                    signal if Some(signal) == checkpoint => send(&hub, Command::Checkpoint, signal),
                    SIGINT | SIGQUIT | SIGTERM => {
                        end(&flags.signal, signal, &exit);
                        flags.screen.leave.store(true, Ordering::Release);
                        send(&hub, Command::Stop, signal);
                    }
                    _ => {}
                }
            }
        })?;
        Ok(requests)
    }

    fn send(hub: &HubHandle, command: Command, signal: i32) {
        let by = low_level::signal_name(signal).unwrap_or("a signal");
        let request = request(command);
        // This thread may block. After the end of the run the request fails with another error than BUSY.
        while hub.ask(request, by.to_owned()) == Err(crate::link::BUSY) {
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn report_late(grace: Duration) {
        print_error(&format!(
            "error: no checkpoint written within {:.0} s after SIGTERM (EPOCHTOP_GRACE_S); earlier checkpoints are valid",
            grace.as_secs_f64()
        ));
    }

    fn end(before: &AtomicI32, signal: i32, exit: &Sender<(Duration, i32)>) {
        let by_key = |signal: i32| matches!(signal, SIGINT | SIGQUIT);
        if by_key(before.swap(signal, Ordering::AcqRel)) && by_key(signal) {
            low_level::exit(128 + signal);
        }
        if signal == SIGTERM {
            let seconds = env::var("EPOCHTOP_GRACE_S").ok();
            let seconds = seconds.and_then(|text| text.trim().parse::<f64>().ok());
            let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            // A second SIGTERM does not extend the time.
            let _ = exit.try_send((seconds.unwrap_or(GRACE), signal));
        }
    }
}
