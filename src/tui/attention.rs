//! What is not well with the run, as this screen knows it, and what somebody who looks elsewhere is told of it.
//!
//! The trainer's clock may be another host's, so how long it has been quiet is counted by this screen's own since it was
//! heard last; only before anything was heard do its own records say.

use super::app::App;
use super::text::{clean, fit};
use crate::event::Record;
use crate::run::{Alert, Announcer, alerts};

/// A clock that jumps by more was not looked at in between, ms: the screen was put aside, or the machine slept.
const ASLEEP_MS: u64 = 5_000;
/// Columns of what is told.
const WIDTH: usize = 300;

/// What was heard of the run, and what was told of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Attention {
    /// When the trainer was heard last, by this screen's clock; `None` before the first record.
    heard_ms: Option<u64>,
    told: Announcer,
}

impl App {
    /// All that is wrong now, most serious first.
    pub(super) fn alerts(&self) -> Vec<Alert> {
        alerts(&self.run, clock_ms(self))
    }
}

/// The time by the clock of the records; it stands still where nothing is to be expected.
fn clock_ms(app: &App) -> u64 {
    let last = app.run.health.heard_ms();
    if !app.ticking() {
        return last;
    }
    match app.attention.heard_ms {
        Some(heard) => last.saturating_add(app.ui.now_ms.saturating_sub(heard)),
        None => last.max(app.ui.now_ms),
    }
}

/// A record came; before it is folded in.
pub(super) fn heard(app: &mut App, record: &Record) {
    if record.event.nature().work {
        app.attention.heard_ms = Some(app.ui.now_ms);
    }
}

/// A whole state came; one after the first is of a run that goes on.
pub(super) fn caught_up(app: &mut App) {
    if app.synced {
        app.attention.heard_ms = Some(app.ui.now_ms);
    }
}

/// The clock goes on; before it is set.
pub(super) fn ticked(app: &mut App, now_ms: u64) {
    if now_ms.saturating_sub(app.ui.now_ms) > ASLEEP_MS
        && let Some(heard) = &mut app.attention.heard_ms
    {
        *heard = now_ms;
    }
}

/// What is new and wanted, as texts without control characters. Nothing is in a replay: it is the past.
pub(super) fn news(app: &mut App) -> Vec<String> {
    // What there is before anything was heard is not news either.
    if !app.live || app.run.seq == 0 {
        return Vec::new();
    }
    let now_ms = clock_ms(app);
    let news = app.attention.told.look(&app.run, now_ms);
    let notify = &app.settings.notify;
    if !notify.bell && !notify.osc9 {
        return Vec::new();
    }
    let run = app.run.info.as_ref().map_or("", |info| &info.run);
    news.into_iter()
        .filter(|news| notify.on.contains(&news.cause.occasion()))
        .map(|news| {
            let text = clean(&format!("epochtop {run}: {}", news.text));
            fit(&text, WIDTH, "...")
        })
        .collect()
}
