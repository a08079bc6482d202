//! Signals: a thread that turns them into requests. Handlers only wake it.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::Builder;

use crossbeam_channel::Sender;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::event::{Command, Request};
use crate::link::request;

/// What signals have asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// The screen should go as soon as the run has ended.
    pub(super) leave: Arc<AtomicBool>,
    signal: Arc<AtomicI32>,
}

impl Asked {
    /// The exit code the signal that ended the run asks for: 128 + its number.
    pub(super) fn exit_code(&self) -> Option<u8> {
        let signal = self.signal.load(Ordering::Acquire);
        (signal > 0).then(|| (128 + signal) as u8)
    }
}

/// SIGINT and SIGTERM stop the run after the step, with a checkpoint; the second SIGINT ends the process at once.
/// SIGHUP is heard and ignored: a terminal that goes away does not take the run along.
pub(super) fn watch(requests: Sender<Request>) -> io::Result<Asked> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let asked = Asked::default();
    let told = asked.clone();
    Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever().filter(|&signal| signal != SIGHUP) {
            let before = told.signal.swap(signal, Ordering::AcqRel);
            if before == SIGINT && signal == SIGINT {
                process::exit(130);
            }
            told.leave.store(true, Ordering::Release);
            // This thread may wait; a run that has ended takes nothing more.
            let _ = requests.send(request(Command::Stop));
        }
    })?;
    Ok(asked)
}
