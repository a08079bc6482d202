//! The event loop: receives messages, decides when to draw a frame. Only this module of the interface reads a clock.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, never, select};
use ratatui::Terminal;
use ratatui::backend::Backend;

use super::app::App;
use super::exit::{Exit, Signals};
use super::msg::{Effect, Msg};
use super::theme::Theme;
use super::update::update;
use super::view::view;
use crate::fault;
use crate::link::{Feed, Link};

/// Error if the link cannot load a replay.
const NO_REPLAY: &str = "the run's records cannot be read here";

/// Maximum number of records processed before keys and the clock are checked again.
const DRAIN: usize = 256;
/// Maximum delay until a signal is noticed.
const IDLE: Duration = Duration::from_millis(100);

/// Interval between updates of a playing replay, ms.
const TICK_MS: u64 = 100;

/// Polling interval while the previous frame is still being written.
const BUSY: Duration = Duration::from_millis(10);

/// The environment of the event loop: frame rate, signals, clock and output state.
pub struct Pace {
    /// Maximum number of frames per second.
    pub fps: u32,
    /// Flags set by signal handlers.
    pub signals: Signals,
    /// Whether the terminal is ready for another frame.
    pub free: Box<dyn Fn() -> bool + Send>,
    /// Bytes sent to the terminal so far.
    pub sent: Box<dyn Fn() -> u64 + Send>,
    /// The clock, ms since 1970.
    pub now_ms: fn() -> u64,
    /// Rings the bell or sends a desktop notification with this text.
    pub notify: Box<dyn Fn(&str) + Send>,
}

/// The current time, ms since 1970.
pub(super) fn wall_clock() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// Runs the event loop on any backend until the screen is closed. An error of the backend means that the terminal was
/// disconnected.
pub fn drive<B: Backend>(
    terminal: &mut Terminal<B>,
    app: &mut App,
    themes: &[Theme],
    link: &Link,
    input: &Receiver<Msg>,
    pace: &Pace,
) -> Exit {
    let mut feed = link.feed.clone();
    let mut input = input.clone();
    let mut replies = if let Some(queries) = &link.queries {
        queries.replies.clone()
    } else {
        update(app, Msg::QueriesUnavailable);
        never()
    };
    let mut loaded = match &link.replays {
        Some(replays) => replays.replay.clone(),
        None => never(),
    };
    let gap = Duration::from_secs(1) / pace.fps.clamp(1, 60);
    let (mut due, mut drawn) = (Instant::now(), Instant::now());
    let mut dirty = true;
    if let Ok(size) = terminal.size() {
        update(app, Msg::Resize(size.width, size.height));
    }
    update(app, Msg::Tick((pace.now_ms)()));
    loop {
        let busy = dirty && !(pace.free)();
        if dirty && !busy && Instant::now() >= due {
            let began = Instant::now();
            if draw(terminal, app, themes).is_err() {
                return Exit::HungUp;
            }
            dirty = false;
            drawn = Instant::now();
            // The next frame shows this cost; the cost alone must not cause another frame.
            let micros = drawn.duration_since(began).as_micros() as u64;
            let bytes = (pace.sent)();
            update(app, Msg::Drawn { micros, bytes });
            due = drawn + gap;
        }
        let wait = if busy {
            BUSY
        } else if dirty {
            due.saturating_duration_since(Instant::now()).min(IDLE)
        } else {
            IDLE
        };
        let wait = wait.min(until_tick(app, pace));
        let mut msgs = Vec::new();
        select! {
            recv(feed) -> got => {
                if let Ok(first) = got {
                    drain(first, &feed, &mut msgs);
                } else {
                    feed = never();
                    msgs.push(Msg::FeedClosed);
                }
            }
            recv(input) -> got => {
                if let Ok(msg) = got {
                    msgs.push(msg);
                } else {
                    input = never();
                }
            }
            recv(replies) -> got => {
                if let Ok((id, reply)) = got {
                    msgs.push(Msg::Reply(id, reply));
                } else {
                    replies = never();
                    msgs.push(Msg::QueriesUnavailable);
                }
            }
            recv(loaded) -> got => {
                let closed = got.is_err();
                msgs.push(Msg::ReplayLoaded(got.unwrap_or_else(|_| Err(NO_REPLAY.to_owned()))));
                if closed {
                    loaded = never();
                }
            }
            default(wait) => {}
        }
        if msgs.iter().any(is_urgent) {
            due = due.min(drawn + gap / 5);
        }
        dirty |= !msgs.is_empty();
        dirty |= clock(app, pace, &mut msgs);
        for msg in msgs {
            let effects = update(app, msg);
            if let Some(exit) = carry_out(effects, terminal, app, link, pace) {
                return exit;
            }
        }
    }
}

/// Whether the user waits for this message; it is then shown before the next frame is due.
fn is_urgent(msg: &Msg) -> bool {
    match msg {
        Msg::Feed(Feed::Live(record)) => record.event.traits().urgent,
        Msg::Tick(_) | Msg::Drawn { .. } => false,
        _ => true,
    }
}

fn draw<B: Backend>(
    terminal: &mut Terminal<B>,
    app: &App,
    themes: &[Theme],
) -> Result<(), B::Error> {
    let Some(theme) = themes.get(app.ui.theme).or(themes.first()) else {
        return Ok(());
    };
    fault::moment("frame");
    terminal.draw(|frame| view(app, theme, frame)).map(drop)
}

fn drain(first: Feed, feed: &Receiver<Feed>, msgs: &mut Vec<Msg>) {
    msgs.push(Msg::Feed(first));
    msgs.extend(feed.try_iter().take(DRAIN - 1).map(Msg::Feed));
}

/// Adds messages for signals, and a tick if the displayed second has changed. Returns whether a frame must be drawn.
fn clock(app: &App, pace: &Pace, msgs: &mut Vec<Msg>) -> bool {
    let signals = &pace.signals;
    if signals.terminate.load(Ordering::Relaxed) {
        msgs.push(Msg::Terminated);
    }
    // After SIGSTOP the process also has to set up the terminal again.
    let suspended = signals.suspend.swap(false, Ordering::Relaxed);
    if signals.resumed.swap(false, Ordering::Relaxed) {
        msgs.push(Msg::Foreground);
    } else if suspended {
        msgs.push(Msg::Suspended);
    }
    let leave = signals.leave.load(Ordering::Relaxed) && !app.ui.leaving;
    if leave {
        msgs.push(Msg::LeaveWhenDone);
    }
    let now_ms = (pace.now_ms)();
    let seconds = |ms: u64| ms.saturating_sub(app.run.started_ms) / 1000;
    let plays = app.playing() && until_tick(app, pace).is_zero();
    if !plays && seconds(now_ms) == seconds(app.ui.now_ms) {
        return leave;
    }
    msgs.push(Msg::Tick(now_ms));
    leave || plays || app.ticking() || app.ui.notice.is_some()
}

/// Time until the next update of a playing replay; `Duration::MAX` if none is playing.
fn until_tick(app: &App, pace: &Pace) -> Duration {
    if !app.playing() {
        return Duration::MAX;
    }
    let passed = (pace.now_ms)().abs_diff(app.ui.now_ms);
    Duration::from_millis(TICK_MS.saturating_sub(passed))
}

fn carry_out<B: Backend>(
    effects: Vec<Effect>,
    terminal: &mut Terminal<B>,
    app: &mut App,
    link: &Link,
    pace: &Pace,
) -> Option<Exit> {
    for effect in effects {
        match effect {
            Effect::Leave(exit) => return Some(exit),
            Effect::Repaint => {
                if terminal.clear().is_err() {
                    return Some(Exit::HungUp);
                }
            }
            Effect::Notify(text) => (pace.notify)(&text),
            Effect::RequestControl => {
                if let Some(control) = &link.control {
                    // A full queue means that control was already requested.
                    let _ = control.try_send(());
                }
            }
            Effect::LoadReplay => {
                let replays = link.replays.as_ref();
                if replays.is_none_or(|replays| replays.ask.try_send(()).is_err()) {
                    update(app, Msg::ReplayLoaded(Err(NO_REPLAY.to_owned())));
                }
            }
            Effect::Query(id, query) => {
                let asked = link
                    .queries
                    .as_ref()
                    .is_some_and(|queries| queries.ask.try_send((id, query)).is_ok());
                if !asked {
                    // At most one query of each kind is pending, so the queue is never full: the session has ended.
                    update(app, Msg::QueriesUnavailable);
                }
            }
            Effect::Send(request) => {
                if let Err(reason) = link.send(request) {
                    update(
                        app,
                        Msg::Unsent {
                            id: request.id,
                            reason: reason.to_owned(),
                        },
                    );
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::*;
    use crate::event::{Event, Record, StepWindow};
    use crate::run::Replay;
    use crate::tui::app::Settings;

    static NOW_MS: AtomicU64 = AtomicU64::new(10_000);

    fn steps(seq: u64) -> Record {
        let event = Event::Steps(StepWindow {
            global_step: seq,
            ..StepWindow::default()
        });
        let t_ms = seq * 1_000;
        Record {
            seq,
            t_ms,
            run_ms: None,
            event,
        }
    }

    fn space(app: &mut App) {
        let key = KeyEvent::new(KeyCode::Char(' '), KeyModifiers::NONE);
        update(app, Msg::Key(key));
    }

    /// Advances the clock by `ms`. Returns the number of messages, and whether they cause a frame.
    fn after(app: &mut App, pace: &Pace, ms: u64) -> (usize, bool) {
        NOW_MS.fetch_add(ms, Ordering::Relaxed);
        let mut msgs = Vec::new();
        let dirty = clock(app, pace, &mut msgs);
        let count = msgs.len();
        for msg in msgs {
            update(app, msg);
        }
        (count, dirty)
    }

    #[test]
    fn clock_causes_frames_only_while_a_replay_plays() {
        let pace = Pace {
            fps: 10,
            signals: Signals::default(),
            free: Box::new(|| true),
            sent: Box::new(|| 0),
            notify: Box::new(|_| {}),
            now_ms: || NOW_MS.load(Ordering::Relaxed),
        };
        let mut app = App::new(Settings::default(), false);
        update(&mut app, Msg::Tick(10_000));
        space(&mut app);
        let replay = Replay::new((1..=40).map(steps).collect());
        update(&mut app, Msg::ReplayLoaded(Ok(Arc::new(replay))));
        assert!(app.playing());
        assert_eq!(until_tick(&app, &pace), Duration::from_millis(100));
        assert_eq!(after(&mut app, &pace, 99), (0, false));
        for _ in 0..20 {
            assert_eq!(after(&mut app, &pace, 100), (1, true));
        }
        assert!(app.run.global_step > 1);
        space(&mut app);
        let paused = app.run.clone();
        assert_eq!(until_tick(&app, &pace), Duration::MAX);
        for _ in 0..100 {
            // Ticks still arrive each second, to expire notices, but none causes a frame.
            assert!(!after(&mut app, &pace, 100).1);
        }
        assert_eq!(app.run, paused);
    }
}
