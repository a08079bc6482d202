//! The notification hook: a user's command (`notify.command`) that is executed when a run ends or an alert is raised.
//! The training process executes it, so it works without a screen, without a terminal and after a logout.
//!
//! A thread follows the run as a front end does. It also has a timer, because a stalled training produces no records.
//! Commands run one at a time, each in its own process group and with a time limit. They cannot affect the run.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rustix::process::{Pid, Signal, kill_process_group};

use super::hub_handle::HubHandle;
use crate::config::{NotifyConfig, Occasion};
use crate::event::Level;
use crate::files::Dir;
use crate::link::Feed;
use crate::run::{Announcer, Cause, Notification, RunState};
use crate::stopwatch::Moment;
use crate::threads;

/// Time limit of a command.
const LIMIT: Duration = Duration::from_secs(30);
/// Time limit of an alert's command after the run has ended: the final notification also needs time.
const LAST_ALERT: Duration = Duration::from_secs(10);
/// The longest queue of notifications whose commands have not started.
const WAITING: usize = 8;
/// Polling interval when idle, and while a command is running or waiting.
const TICK: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(50);
/// Records by which this thread may lag before it gets a snapshot instead.
const BACKLOG: usize = 1024;
/// The longest message, in characters.
const LONGEST: usize = 1000;

/// The run that a hook reports about.
#[derive(Debug)]
pub struct HookRun {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub dir: Dir,
    /// The file for the command's output.
    pub log: File,
}

/// A hook that follows a run.
#[derive(Debug)]
pub struct Hook {
    thread: JoinHandle<Vec<String>>,
}

impl Hook {
    /// Starts a thread that follows the run of this hub. `None` if the configuration has no command or no events for
    /// it.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(hub: &HubHandle, notify: &NotifyConfig, run: HookRun) -> io::Result<Option<Self>> {
        Self::with_limits(hub, notify, run, (LIMIT, LAST_ALERT))
    }

    fn with_limits(
        hub: &HubHandle,
        notify: &NotifyConfig,
        run: HookRun,
        limits: (Duration, Duration),
    ) -> io::Result<Option<Self>> {
        if notify.command.trim().is_empty() || notify.on.is_empty() {
            return Ok(None);
        }
        let feed = hub.link(BACKLOG).feed;
        let runner = Runner {
            command: notify.command.clone(),
            on: notify.on.clone(),
            run,
            hub: hub.clone(),
            limits,
            waiting: VecDeque::new(),
            running: None,
            ended: None,
            problems: Vec::new(),
        };
        let thread = threads::start("hook", move || follow(&feed, runner))?;
        Ok(Some(Self { thread }))
    }

    /// Whether the thread has ended, so that [`Self::finish`] returns at once.
    pub fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits at most 30 s for the command that reports the end of the run. The session must have ended. Returns the
    /// error messages since the end, because the run's log no longer accepts them.
    pub fn finish(self) -> Vec<String> {
        self.thread
            .join()
            .unwrap_or_else(|_| vec!["notify.command: its thread panicked".to_owned()])
    }
}

/// Follows the run to its end and waits for the last command. Returns the error messages since the end of the run.
fn follow(feed: &Receiver<Feed>, mut runner: Runner) -> Vec<String> {
    let mut state = RunState::default();
    let mut announcer = Announcer::default();
    // Neither a clock change nor a suspended machine or process looks like a stall.
    let mut last_progress = Moment::now();
    loop {
        let interval = if runner.is_busy() { SOON } else { TICK };
        match feed.recv_timeout(interval) {
            Ok(Feed::Snapshot(snapshot)) => {
                state = *snapshot;
                last_progress = Moment::now();
            }
            Ok(Feed::Live(record)) => {
                if record.event.traits().progress {
                    last_progress = Moment::now();
                }
                state.apply(&record);
            }
            // These concern the connection, not the run.
            Ok(Feed::Control(_) | Feed::Unsent { .. } | Feed::Gone { .. })
            | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let quiet = last_progress.elapsed().as_millis() as u64;
        let now_ms = state.health.heard_ms().saturating_add(quiet);
        for notification in announcer.update(&state, now_ms) {
            runner.enqueue(notification);
        }
        runner.poll();
    }
    if state.outcome.is_none() && state.info.is_some() {
        runner.enqueue(Notification {
            cause: Cause::Failure,
            text: "the trainer ended without reporting an outcome".to_owned(),
        });
    }
    runner.end()
}

/// A running command.
struct Running {
    child: Child,
    started: Instant,
    /// What it reports, for error messages.
    occasion: String,
    alert: bool,
}

/// Executes the commands, one at a time.
struct Runner {
    command: String,
    on: Vec<Occasion>,
    run: HookRun,
    hub: HubHandle,
    /// Time limits: of a command, and of an alert's command after the run has ended.
    limits: (Duration, Duration),
    waiting: VecDeque<Notification>,
    running: Option<Running>,
    /// When the run ended.
    ended: Option<Instant>,
    problems: Vec<String>,
}

impl Runner {
    fn is_busy(&self) -> bool {
        self.running.is_some() || !self.waiting.is_empty()
    }

    /// Queues the command for a notification, if the user wants it.
    fn enqueue(&mut self, notification: Notification) {
        if !self.on.contains(&notification.cause.occasion()) {
            return;
        }
        let alert = matches!(notification.cause, Cause::Alert(_));
        if !alert {
            // The report of the end replaces the waiting alerts.
            self.waiting.clear();
            self.ended = Some(Instant::now());
        } else if self.waiting.len() >= WAITING {
            let occasion = occasion(notification.cause);
            self.report(format!(
                "notify.command is too slow: it was not executed for {occasion}"
            ));
            return;
        }
        self.waiting.push_back(notification);
    }

    /// Checks the running command, kills it after its time limit, and starts the next one once it has ended.
    fn poll(&mut self) {
        if let Some(mut running) = self.running.take() {
            match running.child.try_wait() {
                Ok(Some(status)) => self.check_status(&running.occasion, status),
                Ok(None) if running.started.elapsed() < self.limit(&running) => {
                    self.running = Some(running);
                    return;
                }
                Ok(None) => {
                    kill(&mut running.child);
                    let seconds = running.started.elapsed().as_secs();
                    let occasion = running.occasion;
                    self.report(format!(
                        "notify.command ({occasion}) was killed after {seconds} s"
                    ));
                }
                Err(error) => {
                    self.report(format!("notify.command ({}): {error}", running.occasion));
                }
            }
        }
        if let Some(notification) = self.waiting.pop_front() {
            let occasion = occasion(notification.cause);
            match self.spawn(&notification) {
                Ok(child) => {
                    self.running = Some(Running {
                        child,
                        started: Instant::now(),
                        occasion,
                        alert: matches!(notification.cause, Cause::Alert(_)),
                    });
                }
                Err(error) => self.report(format!("notify.command ({occasion}): {error}")),
            }
        }
    }

    /// The time limit of a command, counted from its start.
    fn limit(&self, running: &Running) -> Duration {
        let (limit, last_alert) = self.limits;
        match self.ended {
            None => limit,
            // The time before the end of the run does not count towards the shorter limit.
            Some(ended) if running.alert => {
                let before = ended.saturating_duration_since(running.started);
                limit.min(before + last_alert)
            }
            // The time spent waiting for an alert's command is subtracted, so that the total wait stays within the
            // limit.
            Some(ended) => limit.saturating_sub(running.started.saturating_duration_since(ended)),
        }
    }

    fn check_status(&mut self, occasion: &str, status: ExitStatus) {
        if !status.success() {
            // The command itself is not shown: it may contain access tokens.
            self.report(format!(
                "notify.command ({occasion}) failed: {status}; its output is in log.txt"
            ));
        }
    }

    /// Logs a problem to the run's log or, after the end of the run, saves it for the caller of [`Hook::finish`].
    fn report(&mut self, text: String) {
        if self.ended.is_some() {
            self.problems.push(text);
        } else {
            self.hub.note(Level::Warn, text);
        }
    }

    fn spawn(&self, notification: &Notification) -> io::Result<Child> {
        let rule = match notification.cause {
            Cause::Alert(rule) => rule.name(),
            Cause::Finish | Cause::Failure => "",
        };
        Command::new("sh")
            .arg("-c")
            .arg(&self.command)
            .env("EPOCHTOP_EVENT", notification.cause.occasion().name())
            .env("EPOCHTOP_RUN", &self.run.name)
            .env(
                "EPOCHTOP_RUN_DIR",
                std::path::absolute(self.run.dir.path())?,
            )
            .env("EPOCHTOP_MESSAGE", one_line(&notification.text))
            .env("EPOCHTOP_RULE", rule)
            .stdin(Stdio::null())
            .stdout(self.run.log.try_clone()?)
            .stderr(self.run.log.try_clone()?)
            // The terminal's Ctrl-C does not reach the group, and the command can be killed with its children.
            .process_group(0)
            .spawn()
    }

    /// Waits until all commands have ended.
    fn end(mut self) -> Vec<String> {
        self.ended.get_or_insert_with(Instant::now);
        // The end of the process is not delayed by waiting alerts.
        self.waiting
            .retain(|notification| !matches!(notification.cause, Cause::Alert(_)));
        self.poll();
        while self.is_busy() {
            std::thread::sleep(SOON);
            self.poll();
        }
        self.problems
    }
}

/// The occasion of a command, for error messages.
fn occasion(cause: Cause) -> String {
    match cause {
        Cause::Alert(rule) => format!("alert {}", rule.name()),
        Cause::Finish | Cause::Failure => cause.occasion().name().to_owned(),
    }
}

/// Kills a command and its process group.
fn kill(child: &mut Child) {
    // The child has not been waited for, so its PID cannot belong to another process yet.
    if let Some(group) = Pid::from_raw(child.id() as i32) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The message on one line without control characters, because the command may pass it on to any program.
fn one_line(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(LONGEST).map(printable).collect()
}

#[cfg(test)]
mod tests;
