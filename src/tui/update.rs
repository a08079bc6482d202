//! Changes the [`App`]; no other module does. Without side effects: it returns the required actions as [`Effect`]s.

mod lookup;
mod mouse;
mod navigate;
mod palette;
mod replay;
mod steer;

use super::action::Action;
use super::app::{App, ConnectionLoss, Control, Palette, Popup, Wanted};
use super::attention;
use super::exit::Exit;
use super::keymap::Key;
use super::msg::{Effect, Msg};
use super::prompt::{self, PromptOutcome};
use super::replay::ReplayRequest;
use super::view::popup;
use crate::event::{Command, Request, Split};
use crate::link::Feed;
use crate::run::RunState;
use navigate::{
    arrange, back, enter, focus, keep_in_range, log_scale, next_axis, next_filter, next_mistake,
    next_theme, open, pan, scroll, smooth, walk, zoom,
};
use steer::{ask, scale_rate};

/// Time that a notice is shown, ms.
const NOTICE_MS: u64 = 5_000;

/// Handles a message, updates the layout, and queries the data that visible panels lack.
pub fn update(app: &mut App, msg: Msg) -> Vec<Effect> {
    let mut effects = take(app, msg);
    effects.extend(settle(app));
    effects
}

/// Performs an action, even if a popup is open.
pub(super) fn perform(app: &mut App, action: Action) -> Vec<Effect> {
    let mut effects = act(app, action);
    effects.extend(settle(app));
    effects
}

fn settle(app: &mut App) -> Vec<Effect> {
    arrange(app);
    let queries = lookup::missing_data(app).into_iter();
    queries
        .map(|(id, query)| Effect::Query(id, query))
        .collect()
}

fn take(app: &mut App, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Feed(feed) => take_feed(app, feed),
        Msg::FeedClosed => app.connected = false,
        Msg::Reply(id, reply) => {
            app.lookups.take(id, reply, app.ui.now_ms);
            keep_in_range(app);
        }
        Msg::QueriesUnavailable => app.lookups.close(),
        Msg::ReplayLoaded(loaded) => replay::take(app, loaded),
        Msg::Key(event) => return press(app, Key::of(event)),
        Msg::Paste(text) => paste(app, &text),
        Msg::Mouse { column, row, kind } => mouse::take(app, (column, row), kind),
        Msg::Resize(columns, rows) => app.ui.size = (columns, rows),
        Msg::Tick(now_ms) => tick(app, now_ms),
        Msg::Drawn { micros, bytes } => app.frames.drawn(micros, bytes),
        Msg::Unsent { id, reason } => unsent(app, id, reason),
        Msg::LeaveWhenDone => app.ui.leaving = true,
        Msg::HungUp => return vec![Effect::Leave(Exit::HungUp)],
        Msg::Terminated => return vec![Effect::Leave(Exit::Terminated)],
        Msg::Foreground => return vec![Effect::Leave(Exit::Foreground)],
        Msg::Suspended => return vec![Effect::Leave(Exit::Suspended)],
    }
    let texts = attention::notifications(app).into_iter();
    let mut effects: Vec<Effect> = texts.map(Effect::Notify).collect();
    // A replay can be closed at any position.
    if app.ui.leaving && (app.over() || app.replay.is_some()) {
        effects.push(Effect::Leave(Exit::Finished));
    }
    effects
}

fn unsent(app: &mut App, id: u64, reason: String) {
    let stop = |request: &Request| request.id == id && request.command == Command::Stop;
    if app.ui.requested.iter().any(stop) {
        // The trainer did not receive the request, so its end must not be awaited.
        app.ui.leaving = false;
    }
    app.ui.requested.retain(|request| request.id != id);
    app.notify(reason);
}

fn take_feed(app: &mut App, feed: Feed) {
    let over = app.run.outcome.is_some();
    match feed {
        Feed::Snapshot(state) => {
            attention::caught_up(app);
            app.resyncs += u64::from(app.synced);
            app.synced = true;
            *shown(app) = *state;
        }
        Feed::Live(record) => {
            attention::heard(app, &record);
            shown(app).apply(&record);
        }
        Feed::Control(true) => {
            app.control = Control::HasControl;
            app.notify("you now have control of the run".to_owned());
        }
        Feed::Control(false) => app.control = Control::CanRequest,
        Feed::Unsent { id, reason } => unsent(app, id, reason),
        Feed::Gone { reason, died } => {
            app.loss = Some(ConnectionLoss { reason, died });
            app.connected = false;
        }
    }
    if app.run.outcome.is_some() && app.ui.popup == Some(Popup::Quit) {
        app.ui.popup = None;
    }
    if app.run.outcome.is_some() && !over {
        // The files of the final evaluation have been written.
        app.lookups.retry_images();
    }
    keep_in_range(app);
}

/// The state that the feed updates. In a replay this is not the state that is shown.
fn shown(app: &mut App) -> &mut RunState {
    match &mut app.replay {
        Some(view) => &mut view.final_state,
        None => &mut app.run,
    }
}

fn tick(app: &mut App, now_ms: u64) {
    attention::ticked(app, now_ms);
    app.ui.now_ms = now_ms;
    replay::tick(app, now_ms);
    if app
        .ui
        .notice
        .as_ref()
        .is_some_and(|notice| now_ms.abs_diff(notice.at_ms) >= NOTICE_MS)
    {
        app.ui.notice = None;
    }
}

/// Inserts pasted text into an open prompt or palette. Elsewhere it is ignored: each letter would act as a key binding.
fn paste(app: &mut App, text: &str) {
    let line = text.trim().lines().next().unwrap_or_default();
    match &mut app.ui.popup {
        Some(Popup::Prompt(prompt)) => prompt::insert(prompt, line),
        Some(Popup::Palette(palette)) => palette::insert(palette, line),
        Some(Popup::Help(_) | Popup::Quit) | None => {
            app.notify("pasted text is ignored: letters are key bindings here".to_owned());
        }
    }
}

fn press(app: &mut App, key: Key) -> Vec<Effect> {
    app.ui.notice = None;
    let action = app
        .settings
        .keymap
        .action(key)
        .or(key.is_interrupt().then_some(Action::Quit));
    match app.ui.popup {
        Some(Popup::Quit) => return answer_quit(app, key, action),
        Some(Popup::Prompt(_)) => {
            let leave = key.is_interrupt() || matches!(action, Some(Action::Back | Action::Quit));
            return match prompt::press(app, key, leave) {
                PromptOutcome::Nothing => Vec::new(),
                PromptOutcome::Submit(command) => ask(app, command),
            };
        }
        Some(Popup::Palette(_)) => {
            palette::press(app, key, action);
            return Vec::new();
        }
        Some(Popup::Help(from)) => {
            let down = (from + 1).min(popup::help_most(app));
            let next = match action {
                Some(Action::Help | Action::Back | Action::Quit | Action::Zoom) => Some(None),
                Some(Action::Up) => Some(Some(Popup::Help(from.saturating_sub(1)))),
                Some(Action::Down) => Some(Some(Popup::Help(down))),
                // All other keys work as without the help.
                Some(_) | None => None,
            };
            if let Some(popup) = next {
                app.ui.popup = popup;
                return Vec::new();
            }
        }
        None => {}
    }
    action.map_or_else(Vec::new, |action| act(app, action))
}

/// Handles a key in the quit dialog: `s` stops the run; `d`, enter, the detach key and Ctrl-C detach, which is the
/// default as it does not affect the run; `n` and the keys for back and quit close the dialog.
fn answer_quit(app: &mut App, key: Key, action: Option<Action>) -> Vec<Effect> {
    if key.plain() == Some('s') {
        app.ui.popup = None;
        app.ui.leaving = true;
        return ask(app, Command::Stop);
    }
    let default = key.is_interrupt() || key.plain() == Some('d');
    if default || matches!(action, Some(Action::Detach | Action::Zoom)) {
        return vec![Effect::Leave(Exit::Detached)];
    }
    if key.plain() == Some('n') || matches!(action, Some(Action::Back | Action::Quit)) {
        app.ui.popup = None;
    }
    if action == Some(Action::Repaint) {
        vec![Effect::Repaint]
    } else {
        Vec::new()
    }
}

/// Performs an action.
fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Pause if !app.live => return replay::request(app, ReplayRequest::TogglePlay),
        Action::SliderBack => return replay::request(app, ReplayRequest::Seek(-1)),
        Action::SliderForward => return replay::request(app, ReplayRequest::Seek(1)),
        Action::Slower => replay::change_speed(app, false),
        Action::Faster => replay::change_speed(app, true),
        Action::ReplayEnd => replay::end(app),
        Action::Pause => {
            let command = if app.wants_pause() {
                Command::Resume
            } else {
                Command::Pause
            };
            return ask(app, command);
        }
        Action::Evaluate => {
            return ask(
                app,
                Command::Evaluate {
                    split: Split::Valid,
                },
            );
        }
        Action::EvaluateTest => return ask(app, Command::Evaluate { split: Split::Test }),
        Action::Checkpoint => return ask(app, Command::Checkpoint),
        Action::RateHalf => return scale_rate(app, 0.5),
        Action::RateDouble => return scale_rate(app, 2.0),
        Action::RateSet => steer::prompt(app, Wanted::LearningRate),
        Action::Epochs => steer::prompt(app, Wanted::Epochs),
        Action::StopAfterEpoch => {
            let command = if app.wants_stop_after_epoch() {
                Command::CancelStopAfterEpoch
            } else {
                Command::StopAfterEpoch
            };
            return ask(app, command);
        }
        Action::Quit => return quit(app),
        Action::Detach => return vec![Effect::Leave(leaving(app))],
        Action::Suspend => return suspend(app),
        Action::Control => return control(app),
        Action::NextPane => focus(app, 1),
        Action::PreviousPane => focus(app, -1),
        Action::Left => walk(app, -1),
        Action::Right => walk(app, 1),
        Action::Up => scroll(app, -1),
        Action::Down => scroll(app, 1),
        Action::Zoom => enter(app),
        Action::Back => back(app),
        Action::Axis => next_axis(app),
        Action::LogScale => log_scale(app),
        Action::Smooth => smooth(app),
        Action::Closer => zoom(app, true),
        Action::Farther => zoom(app, false),
        Action::Earlier => pan(app, false),
        Action::Later => pan(app, true),
        Action::Fit => app.ui.charts.fit(),
        Action::Filter => next_filter(app),
        Action::NextMistake => next_mistake(app),
        Action::Help => {
            app.ui.popup = if app.ui.popup.is_none() {
                Some(Popup::Help(0))
            } else {
                None
            }
        }
        Action::Palette => app.ui.popup = Some(Popup::Palette(Palette::default())),
        Action::Theme => next_theme(app),
        Action::Repaint => return vec![Effect::Repaint],
        Action::Open(page) => open(app, page),
    }
    Vec::new()
}

fn quit(app: &mut App) -> Vec<Effect> {
    if leaving(app) == Exit::Left || app.control != Control::HasControl {
        return vec![Effect::Leave(leaving(app))];
    }
    app.ui.popup = Some(Popup::Quit);
    Vec::new()
}

/// The exit reason if the screen is closed now.
fn leaving(app: &App) -> Exit {
    if app.over() || !app.live {
        Exit::Left
    } else {
        Exit::Detached
    }
}

/// Suspends the screen, except in a process that trains: the training would be suspended too.
fn suspend(app: &mut App) -> Vec<Effect> {
    if app.settings.attachment.same_process && !app.over() {
        let key = app.settings.keymap.first(Action::Detach);
        let key = key.map_or_else(String::new, |key| format!("; {key} closes the screen"));
        app.notify(format!(
            "cannot suspend: training runs in this process{key}"
        ));
        return Vec::new();
    }
    vec![Effect::Leave(Exit::Suspended)]
}

fn control(app: &mut App) -> Vec<Effect> {
    let words = match app.control {
        _ if !app.live || app.over() => "no running trainer to control",
        Control::HasControl => "you already have control",
        Control::ReadOnly => "read-only: the screen was opened with --read-only",
        Control::CanRequest => return vec![Effect::RequestControl],
    };
    app.notify(words.to_owned());
    Vec::new()
}

#[cfg(test)]
mod tests;
