//! The hook command: what a person wants to be run when a run ends or is not well, by the process that trains, so that it
//! works without a screen, without a terminal and after a logout.
//!
//! A thread follows the run as any front end does, with a clock of its own for what no record tells: a training that
//! stands still. Commands run one at a time, each in a process group of its own and for a limited time; whatever becomes
//! of them, the run goes on.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rustix::process::{Pid, Signal, kill_process_group};

use super::door::Door;
use crate::config::{NotifyConfig, Occasion};
use crate::event::Level;
use crate::link::Feed;
use crate::run::{Announcer, Cause, News, RunState};

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How long the one for an alert may still take once the run has ended: the last one wants its time.
const LAST_ALERT: Duration = Duration::from_secs(10);
/// Commands that may wait for the one that runs.
const WAITING: usize = 8;
/// How often the clock is looked at; and while a command runs, whether it has ended.
const TICK: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(50);
/// Records this thread may lag behind before it gets a snapshot instead.
const BACKLOG: usize = 1024;
/// Characters of a message.
const LONGEST: usize = 1000;

/// The run a hook is told of.
#[derive(Debug)]
pub struct HookRun {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub dir: PathBuf,
    /// Where the command's output goes.
    pub log: File,
}

/// A hook that follows a run.
#[derive(Debug)]
pub struct Hook {
    thread: JoinHandle<Vec<String>>,
}

impl Hook {
    /// Follows the run behind the door; `None` where there is no command or no occasion for it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(door: &Door, notify: &NotifyConfig, run: HookRun) -> io::Result<Option<Self>> {
        Self::with_limits(door, notify, run, (LIMIT, LAST_ALERT))
    }

    fn with_limits(
        door: &Door,
        notify: &NotifyConfig,
        run: HookRun,
        limits: (Duration, Duration),
    ) -> io::Result<Option<Self>> {
        if notify.command.trim().is_empty() || notify.on.is_empty() {
            return Ok(None);
        }
        let feed = door.link(BACKLOG).feed;
        let runner = Runner {
            command: notify.command.clone(),
            on: notify.on.clone(),
            run,
            door: door.clone(),
            limits,
            waiting: VecDeque::new(),
            running: None,
            ended: None,
            problems: Vec::new(),
        };
        let thread = Builder::new()
            .name("hook".to_owned())
            .spawn(move || follow(&feed, runner))?;
        Ok(Some(Self { thread }))
    }

    /// Whether nothing is left to be waited for.
    pub fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the command that tells the end, 30 s at most; the run's session must have ended. Returns what went wrong
    /// since, a sentence each: the run's log takes nothing any more.
    pub fn finish(self) -> Vec<String> {
        self.thread
            .join()
            .unwrap_or_else(|_| vec!["notify.command: its thread has failed".to_owned()])
    }
}

/// Follows the run to its end, and the last command to its own.
fn follow(feed: &Receiver<Feed>, mut runner: Runner) -> Vec<String> {
    let mut state = RunState::default();
    let mut announcer = Announcer::default();
    // By a clock that nobody sets and that stands still while the machine sleeps.
    let mut heard = Instant::now();
    loop {
        let patience = if runner.is_busy() { SOON } else { TICK };
        match feed.recv_timeout(patience) {
            Ok(Feed::Snapshot(whole)) => {
                state = *whole;
                heard = Instant::now();
            }
            Ok(Feed::Live(record)) => {
                if record.event.nature().work {
                    heard = Instant::now();
                }
                state.apply(&record);
            }
            // Of the connection, not of the run.
            Ok(Feed::Control(_) | Feed::Unsent { .. } | Feed::Gone { .. })
            | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let quiet = heard.elapsed().as_millis() as u64;
        let now_ms = state.health.heard_ms().saturating_add(quiet);
        for news in announcer.look(&state, now_ms) {
            runner.take(news);
        }
        runner.look();
    }
    if state.outcome.is_none() && state.info.is_some() {
        runner.take(News {
            cause: Cause::Failure,
            text: "the trainer ended without a word".to_owned(),
        });
    }
    runner.end()
}

/// A command that runs.
struct Running {
    child: Child,
    began: Instant,
    what: String,
    alert: bool,
}

/// Runs commands, one at a time.
struct Runner {
    command: String,
    on: Vec<Occasion>,
    run: HookRun,
    door: Door,
    /// How long a command may take; and one for an alert once the run has ended.
    limits: (Duration, Duration),
    waiting: VecDeque<News>,
    running: Option<Running>,
    /// When the run has ended.
    ended: Option<Instant>,
    problems: Vec<String>,
}

impl Runner {
    fn is_busy(&self) -> bool {
        self.running.is_some() || !self.waiting.is_empty()
    }

    fn take(&mut self, news: News) {
        if !self.on.contains(&news.cause.occasion()) {
            return;
        }
        let alert = matches!(news.cause, Cause::Alert(_));
        if !alert {
            // Whatever else waits is told by the end.
            self.waiting.clear();
            self.ended = Some(Instant::now());
        } else if self.waiting.len() >= WAITING {
            let what = what(news.cause);
            self.tell(format!(
                "notify.command is too slow: {what} was not passed on"
            ));
            return;
        }
        self.waiting.push_back(news);
    }

    /// Sees after the command that runs, and starts the next one.
    fn look(&mut self) {
        if let Some(mut running) = self.running.take() {
            match running.child.try_wait() {
                Ok(Some(status)) => self.ended_with(&running.what, status),
                Ok(None) if running.began.elapsed() < self.limit(&running) => {
                    self.running = Some(running);
                    return;
                }
                Ok(None) => {
                    kill(&mut running.child);
                    let seconds = running.began.elapsed().as_secs();
                    let what = running.what;
                    self.tell(format!(
                        "notify.command ({what}) was killed after {seconds} s"
                    ));
                }
                Err(error) => self.tell(format!("notify.command ({}): {error}", running.what)),
            }
        }
        if let Some(news) = self.waiting.pop_front() {
            let what = what(news.cause);
            match self.spawn(&news) {
                Ok(child) => {
                    self.running = Some(Running {
                        child,
                        began: Instant::now(),
                        what,
                        alert: matches!(news.cause, Cause::Alert(_)),
                    });
                }
                Err(error) => self.tell(format!("notify.command ({what}): {error}")),
            }
        }
    }

    /// How long a command may run from its start.
    fn limit(&self, running: &Running) -> Duration {
        let (limit, last_alert) = self.limits;
        match self.ended {
            None => limit,
            // By then it has run for this long already.
            Some(ended) if running.alert => {
                let before = ended.saturating_duration_since(running.began);
                limit.min(before + last_alert)
            }
            // What an alert's command took of the time is taken off, so that the whole wait keeps to the limit.
            Some(ended) => limit.saturating_sub(running.began.saturating_duration_since(ended)),
        }
    }

    fn ended_with(&mut self, what: &str, status: ExitStatus) {
        if !status.success() {
            // Not the command itself: tokens stand in such.
            self.tell(format!(
                "notify.command ({what}) failed: {status}; its output is in log.txt"
            ));
        }
    }

    /// Into the run's log as long as there is one, else to who waits for the end.
    fn tell(&mut self, text: String) {
        if self.ended.is_some() {
            self.problems.push(text);
        } else {
            self.door.note(Level::Warn, text);
        }
    }

    fn spawn(&self, news: &News) -> io::Result<Child> {
        let rule = match news.cause {
            Cause::Alert(rule) => rule.name(),
            Cause::Finish | Cause::Failure => "",
        };
        Command::new("sh")
            .arg("-c")
            .arg(&self.command)
            .env("EPOCHTOP_EVENT", news.cause.occasion().name())
            .env("EPOCHTOP_RUN", &self.run.name)
            .env("EPOCHTOP_RUN_DIR", &self.run.dir)
            .env("EPOCHTOP_MESSAGE", plain(&news.text))
            .env("EPOCHTOP_RULE", rule)
            .stdin(Stdio::null())
            .stdout(self.run.log.try_clone()?)
            .stderr(self.run.log.try_clone()?)
            // No Ctrl-C of the terminal reaches it, and all of it can be killed.
            .process_group(0)
            .spawn()
    }

    /// Waits until all commands have ended.
    fn end(mut self) -> Vec<String> {
        self.ended.get_or_insert_with(Instant::now);
        // Whoever wanted to know of alerts only is not kept waiting for each of them.
        self.waiting
            .retain(|news| !matches!(news.cause, Cause::Alert(_)));
        self.look();
        while self.is_busy() {
            std::thread::sleep(SOON);
            self.look();
        }
        self.problems
    }
}

/// What a command is run for, in words.
fn what(cause: Cause) -> String {
    match cause {
        Cause::Alert(rule) => format!("alert {}", rule.name()),
        Cause::Finish | Cause::Failure => cause.occasion().name().to_owned(),
    }
}

/// Ends a command with all it has started.
fn kill(child: &mut Child) {
    // It has not been waited for, so its number is still its own.
    if let Some(group) = Pid::from_raw(child.id() as i32) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// A message of one line without control characters: it is passed on to who knows what.
fn plain(text: &str) -> String {
    let mark = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(LONGEST).map(mark).collect()
}

#[cfg(test)]
mod tests;
