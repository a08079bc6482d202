//! The one place where an [`App`] changes. It does nothing itself: what is to be done comes back as [`Effect`]s.

use crossterm::event::KeyEvent;

use super::Exit;
use super::action::Action;
use super::app::{App, Control, Notice, Pane, Popup};
use super::attention;
use super::keymap::Key;
use super::view::layout;
use crate::event::{Command, Request};
use crate::link::{self, Feed};

/// Milliseconds a notice stays.
const NOTICE_MS: u64 = 5_000;

/// What happened.
#[derive(Debug, Clone)]
pub enum Msg {
    /// Something came up the link.
    Feed(Feed),
    /// Nothing more can come up the link.
    FeedClosed,
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has this many columns and rows.
    Resize(u16, u16),
    /// The clock, ms since 1970.
    Tick(u64),
    /// A request could not be sent.
    Unsent {
        /// Its number.
        id: u64,
        /// Why.
        reason: String,
    },
    /// Leave as soon as the run has finished.
    LeaveWhenDone,
    /// Leave at once.
    Terminated,
    /// The shell wants the terminal for a while.
    Suspended,
    /// The process goes on after it was stopped.
    Resumed,
    /// The terminal is gone.
    HungUp,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send this down the link.
    Send(Request),
    /// Ask to steer.
    Steer,
    /// Draw everything anew.
    Repaint,
    /// Tell somebody who looks elsewhere; a text without control characters.
    Notify(String),
    /// The screen is done.
    Leave(Exit),
}

/// Takes in what happened.
pub fn update(app: &mut App, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Feed(feed) => take_feed(app, feed),
        Msg::FeedClosed => app.connected = false,
        Msg::Key(event) => return press(app, Key::of(event)),
        Msg::Resize(columns, rows) => app.ui.size = (columns, rows),
        Msg::Tick(now_ms) => tick(app, now_ms),
        Msg::Unsent { id, reason } => unsent(app, id, reason),
        Msg::LeaveWhenDone => app.ui.leaving = true,
        Msg::HungUp => return vec![Effect::Leave(Exit::HungUp)],
        Msg::Terminated => return vec![Effect::Leave(Exit::Terminated)],
        Msg::Resumed => return vec![Effect::Leave(Exit::Resumed)],
        Msg::Suspended => return vec![Effect::Leave(Exit::Suspended)],
    }
    let mut effects = attention::news(app);
    if app.ui.leaving && app.over() {
        effects.push(Effect::Leave(Exit::Finished));
    }
    effects
}

fn unsent(app: &mut App, id: u64, reason: String) {
    let stop = |request: &Request| request.id == id && request.command == Command::Stop;
    if app.ui.requested.iter().any(stop) {
        // Nobody will end the run, so the end is not waited for.
        app.ui.leaving = false;
    }
    app.ui.requested.retain(|request| request.id != id);
    notify(app, reason);
}

fn take_feed(app: &mut App, feed: Feed) {
    match feed {
        Feed::Snapshot(state) => {
            attention::caught_up(app);
            app.resyncs += u64::from(app.synced);
            app.synced = true;
            app.run = *state;
        }
        Feed::Live(record) => {
            attention::heard(app, &record);
            app.run.apply(&record);
        }
        Feed::Control(true) => {
            app.control = Control::Steers;
            notify(app, "this screen steers the run now".to_owned());
        }
        Feed::Control(false) => app.control = Control::MayAsk,
        Feed::Unsent { id, reason } => unsent(app, id, reason),
        Feed::Gone { reason } => {
            app.gone = Some(reason);
            app.connected = false;
        }
    }
    if app.run.outcome.is_some() && app.ui.popup == Some(Popup::Quit) {
        app.ui.popup = None;
    }
    keep_in_range(app);
}

fn tick(app: &mut App, now_ms: u64) {
    attention::ticked(app, now_ms);
    app.ui.now_ms = now_ms;
    if app
        .ui
        .notice
        .as_ref()
        .is_some_and(|notice| now_ms.saturating_sub(notice.at_ms) >= NOTICE_MS)
    {
        app.ui.notice = None;
    }
}

fn notify(app: &mut App, text: String) {
    app.ui.notice = Some(Notice {
        text,
        at_ms: app.ui.now_ms,
    });
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
        Some(Popup::Help) => {
            if matches!(
                action,
                Some(Action::Help | Action::Back | Action::Quit | Action::Zoom)
            ) {
                app.ui.popup = None;
                return Vec::new();
            }
        }
        None => {}
    }
    action.map_or_else(Vec::new, |action| act(app, action))
}

/// The dialog takes `s` for stop, its own key, enter and Ctrl-C for the default, which costs nothing, and the ways out of it
/// for no.
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

fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Pause => {
            let command = if app.wants_pause() {
                Command::Resume
            } else {
                Command::Pause
            };
            return ask(app, command);
        }
        Action::Evaluate => return ask(app, Command::Evaluate),
        Action::Checkpoint => return ask(app, Command::Checkpoint),
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
        Action::Zoom => app.ui.zoom = !app.ui.zoom,
        Action::Back | Action::Overview => app.ui.zoom = false,
        Action::Help => {
            app.ui.popup = if app.ui.popup.is_none() {
                Some(Popup::Help)
            } else {
                None
            }
        }
        Action::Theme => next_theme(app),
        Action::Repaint => return vec![Effect::Repaint],
        Action::Show(pane) => (app.ui.focus, app.ui.zoom) = (pane, true),
    }
    Vec::new()
}

fn quit(app: &mut App) -> Vec<Effect> {
    if leaving(app) == Exit::Left || app.control != Control::Steers {
        return vec![Effect::Leave(leaving(app))];
    }
    app.ui.popup = Some(Popup::Quit);
    Vec::new()
}

/// What leaving the screen means now.
fn leaving(app: &App) -> Exit {
    if app.over() || !app.live {
        Exit::Left
    } else {
        Exit::Detached
    }
}

/// A process that trains is not stopped with its screen.
fn suspend(app: &mut App) -> Vec<Effect> {
    if app.settings.home.same_process && !app.over() {
        notify(
            app,
            "this process trains: it is not put aside; d leaves the screen".to_owned(),
        );
        return Vec::new();
    }
    vec![Effect::Leave(Exit::Suspended)]
}

fn control(app: &mut App) -> Vec<Effect> {
    let words = match app.control {
        _ if !app.live || app.over() => "there is nothing to steer",
        Control::Steers => "this screen steers already",
        Control::Watches => "opened with --read-only: this screen only watches",
        Control::MayAsk => return vec![Effect::Steer],
    };
    notify(app, words.to_owned());
    Vec::new()
}

/// Asks the trainer, if there is one that can still answer.
fn ask(app: &mut App, command: Command) -> Vec<Effect> {
    let refusal = match () {
        () if !app.live => "this is a replay: there is no trainer to ask",
        () if app.run.outcome.is_some() => "the run has ended: nothing to ask of it",
        () if !app.connected => "the connection to the run is gone",
        () if app.control == Control::Watches => {
            "opened with --read-only: this screen only watches"
        }
        () if app.control == Control::MayAsk => {
            let key = app.settings.keymap.first(Action::Control);
            let key = key.map_or_else(String::new, |key| format!(": {key} takes over too"));
            notify(app, format!("another screen steers this run{key}"));
            return Vec::new();
        }
        () => {
            let request = link::request(command);
            app.remember(request);
            return vec![Effect::Send(request)];
        }
    };
    notify(app, refusal.to_owned());
    Vec::new()
}

fn focus(app: &mut App, by: isize) {
    // A zoomed pane makes way for any other; otherwise only panes that are on the screen take the focus.
    let there: Vec<Pane> = if app.ui.zoom {
        Pane::ALL.to_vec()
    } else {
        layout::visible(app)
    };
    let count = there.len() as isize;
    if count == 0 {
        return;
    }
    let at = there.iter().position(|pane| *pane == app.ui.focus);
    let next = at.map_or(0, |at| (at as isize + by).rem_euclid(count));
    if let Some(pane) = there.get(next as usize) {
        app.ui.focus = *pane;
    }
}

/// Sideways: from image to image in the gallery, from pane to pane elsewhere.
fn walk(app: &mut App, by: isize) {
    let count = app.run.gallery.labels.len();
    if app.ui.focus != Pane::Gallery {
        focus(app, by);
    } else if count > 0 {
        app.ui.gallery = (app.ui.gallery as isize + by).rem_euclid(count as isize) as usize;
    }
}

fn scroll(app: &mut App, by: isize) {
    match app.ui.focus {
        Pane::Gallery => next_mistake(app, by),
        Pane::Classes | Pane::Confusion => {
            app.ui.class_scroll = app.ui.class_scroll.saturating_add_signed(by);
        }
        Pane::Log => app.ui.log_scroll = app.ui.log_scroll.saturating_add_signed(-by),
        // A chart has nothing to scroll, so the key goes to its neighbour.
        Pane::Loss | Pane::Accuracy | Pane::Gradient | Pane::Calibration => focus(app, by),
    }
    keep_in_range(app);
}

/// Walks to the next image that was told wrong, round the end.
fn next_mistake(app: &mut App, by: isize) {
    let labels = &app.run.gallery.labels;
    let Some(predictions) = &app.run.predictions else {
        return;
    };
    let wrong = |at: usize| {
        let said = predictions
            .top
            .get(at)
            .and_then(|top| top.first())
            .map(|(label, _)| *label);
        said.is_some() && said != labels.get(at).copied()
    };
    let count = labels.len() as isize;
    let here = app.ui.gallery as isize;
    let found = (1..count)
        .map(|i| (here + by * i).rem_euclid(count) as usize)
        .find(|at| wrong(*at));
    match found {
        Some(at) => app.ui.gallery = at,
        None => notify(
            app,
            "no other image of the gallery is told wrong".to_owned(),
        ),
    }
}

fn keep_in_range(app: &mut App) {
    let classes = app
        .run
        .info
        .as_ref()
        .map_or(0, |info| info.dataset.classes.len());
    // Classes, or pairs of them, whichever the page scrolls; what is drawn ends where they do.
    let pairs = classes.saturating_mul(classes.saturating_sub(1));
    let most = if app.ui.zoom { pairs } else { classes };
    app.ui.class_scroll = app.ui.class_scroll.min(most.saturating_sub(1));
    app.ui.log_scroll = app
        .ui
        .log_scroll
        .min((app.run.log.len() + app.run.commands.len()).saturating_sub(1));
    app.ui.gallery = app
        .ui
        .gallery
        .min(app.run.gallery.labels.len().saturating_sub(1));
}

fn next_theme(app: &mut App) {
    let count = app.settings.themes.len();
    if count == 0 {
        return;
    }
    app.ui.theme = (app.ui.theme + 1) % count;
    if let Some(name) = app.settings.themes.get(app.ui.theme) {
        notify(app, format!("theme: {name}"));
    }
}

#[cfg(test)]
mod tests;
