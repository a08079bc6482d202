//! Replays: shows the state of the run at an earlier moment.

use std::sync::Arc;

use crate::run::Replay;
use crate::tui::app::App;
use crate::tui::msg::Effect;
use crate::tui::replay::{ReplayRequest, ReplayState, ReplayView};

/// Notice for a replay key on a live run.
const LIVE: &str = "only in a replay: use `epochtop view RUN`";

/// Applies a request to the replay, or starts one. The records are read on the first request.
pub(super) fn request(app: &mut App, request: ReplayRequest) -> Vec<Effect> {
    if app.live {
        app.notify(LIVE.to_owned());
        return Vec::new();
    }
    if app.replay.is_some() {
        change(app, |view| view.apply(request));
        return Vec::new();
    }
    match &app.replay_state {
        ReplayState::Loaded(replay) => start(app, Arc::clone(replay), request),
        ReplayState::Unavailable(reason) => app.notify(format!("no replay: {reason}")),
        ReplayState::Loading(_) => app.replay_state = ReplayState::Loading(request),
        ReplayState::NotLoaded => {
            app.replay_state = ReplayState::Loading(request);
            app.notify("reading the run's records for a replay".to_owned());
            return vec![Effect::LoadReplay];
        }
    }
    Vec::new()
}

/// Stores the loaded records and applies the pending request.
pub(super) fn take(app: &mut App, loaded: Result<Arc<Replay>, String>) {
    let ReplayState::Loading(request) = app.replay_state else {
        return;
    };
    app.ui.notice = None;
    match loaded {
        Ok(replay) if !replay.is_empty() => {
            app.replay_state = ReplayState::Loaded(Arc::clone(&replay));
            start(app, replay, request);
        }
        loaded => {
            let reason = loaded
                .err()
                .unwrap_or_else(|| "no valid records".to_owned());
            app.notify(format!("no replay: {reason}"));
            app.replay_state = ReplayState::Unavailable(reason);
        }
    }
}

fn start(app: &mut App, replay: Arc<Replay>, request: ReplayRequest) {
    let final_state = std::mem::take(&mut app.run);
    app.replay = Some(ReplayView::new(replay, final_state));
    change(app, |view| view.apply(request));
}

/// Changes the speed of the replay. Without one, a notice explains the key.
pub(super) fn change_speed(app: &mut App, faster: bool) {
    if app.replay.is_some() {
        change(app, |view| view.change_speed(faster));
    } else if app.live {
        app.notify(LIVE.to_owned());
    } else {
        app.notify("no replay is active".to_owned());
    }
}

/// Leaves the replay and shows the final state of the run. Returns false if no replay was active.
pub(super) fn leave(app: &mut App) -> bool {
    let Some(view) = app.replay.take() else {
        return false;
    };
    app.run = *view.final_state;
    true
}

/// The key that leaves the replay. Without a replay, a notice explains it.
pub(super) fn end(app: &mut App) {
    if leave(app) {
        return;
    }
    let words = if app.live {
        LIVE
    } else {
        "no replay is active"
    };
    app.notify(words.to_owned());
}

/// Advances a playing replay to this time, ms since 1970.
pub(super) fn tick(app: &mut App, now_ms: u64) {
    change(app, |view| view.tick(now_ms));
}

/// Changes the replay and updates the state to the moment shown. The selections on the pages are not clamped: an early
/// state may have fewer items, and the selection is valid again later in the replay.
fn change(app: &mut App, how: impl FnOnce(&mut ReplayView)) {
    if let Some(view) = &mut app.replay {
        how(view);
        view.replay.show(&mut app.run, view.at_ms);
    }
}
