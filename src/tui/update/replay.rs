//! A run told again: the state on the screen becomes that of another moment.

use std::sync::Arc;

use crate::run::Replay;
use crate::tui::app::App;
use crate::tui::msg::Effect;
use crate::tui::replay::{ReplayView, Story, Wish};

/// What the keys of a replay say where there is none to be had.
const LIVE: &str = "a replay's keys: `epochtop view RUN` tells a run again";

/// Does what is wanted of the replay, or begins one. The records are read when they are first wanted.
pub(super) fn wish(app: &mut App, wish: Wish) -> Vec<Effect> {
    if app.live {
        app.notify(LIVE.to_owned());
        return Vec::new();
    }
    if app.replay.is_some() {
        change(app, |view| view.wish(wish));
        return Vec::new();
    }
    match &app.story {
        Story::Read(story) => begin(app, Arc::clone(story), wish),
        Story::Missing(reason) => app.notify(format!("no replay: {reason}")),
        Story::Reading(_) => app.story = Story::Reading(wish),
        Story::Unread => {
            app.story = Story::Reading(wish);
            app.notify("reading the run's records for a replay".to_owned());
            return vec![Effect::Retell];
        }
    }
    Vec::new()
}

/// Takes the records in, and does what they were read for.
pub(super) fn take(app: &mut App, told: Result<Arc<Replay>, String>) {
    let Story::Reading(wish) = app.story else {
        return;
    };
    app.ui.notice = None;
    match told {
        Ok(story) if !story.is_empty() => {
            app.story = Story::Read(Arc::clone(&story));
            begin(app, story, wish);
        }
        told => {
            let reason = told.err().unwrap_or_else(|| "no record counts".to_owned());
            app.notify(format!("no replay: {reason}"));
            app.story = Story::Missing(reason);
        }
    }
}

fn begin(app: &mut App, story: Arc<Replay>, wish: Wish) {
    let whole = std::mem::take(&mut app.run);
    app.replay = Some(ReplayView::new(story, whole));
    change(app, |view| view.wish(wish));
}

/// Slower or faster; where nothing is replayed, what would.
pub(super) fn hurry(app: &mut App, faster: bool) {
    if app.replay.is_some() {
        change(app, |view| view.hurry(faster));
    } else if app.live {
        app.notify(LIVE.to_owned());
    } else {
        app.notify("the speed of a replay, which has not begun".to_owned());
    }
}

/// Back to the last state of the run; whether there was anything to leave.
pub(super) fn leave(app: &mut App) -> bool {
    let Some(view) = app.replay.take() else {
        return false;
    };
    app.run = *view.whole;
    true
}

/// The same by its own key.
pub(super) fn end(app: &mut App) {
    if leave(app) {
        return;
    }
    let words = if app.live {
        LIVE
    } else {
        "nothing is replayed"
    };
    app.notify(words.to_owned());
}

/// Time passes.
pub(super) fn tick(app: &mut App, now_ms: u64) {
    change(app, |view| view.tick(now_ms));
}

/// Changes the replay, and then the state where the moment is another. What is selected on the pages stays: a state of an
/// early moment has less to select from, and the later ones have it again.
fn change(app: &mut App, how: impl FnOnce(&mut ReplayView)) {
    if let Some(view) = &mut app.replay {
        how(view);
        view.story.show(&mut app.run, view.at_ms);
    }
}
