//! Alerts of the run, and the notifications that they cause.
//!
//! The trainer may run on a host with a different clock, so the time since its last record is measured with the clock
//! of this screen. The timestamps of the records are used only until the first record arrives.

use super::app::App;
use super::text::{clean, fit};
use crate::event::Record;
use crate::run::{Alert, Announcer, alerts};

/// A larger gap between two ticks, ms, or a negative one means that the screen was suspended, the machine was asleep or the
/// system clock was set. It does not count as time.
const MAX_TICK_GAP_MS: i64 = 5_000;
/// Maximum width of a notification, columns.
const WIDTH: usize = 300;

/// When the trainer was last heard from, and which alerts were announced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Attention {
    /// How far the clock of this screen is ahead of that of the run, ms; `None` before the first record. It is the largest
    /// value so far, because the screen's clock is up to a tick behind when a record arrives.
    ahead_ms: Option<i64>,
    /// When the last record arrived, by the clock of this screen, ms since 1970; `None` before the first record.
    heard_ms: Option<u64>,
    announcer: Announcer,
}

impl App {
    /// The current time on the clock of the run, ms.
    pub(super) fn now_on_run_clock(&self) -> u64 {
        // Before the first record, the system clocks of run and screen are assumed to agree.
        let ahead = self.attention.ahead_ms.unwrap_or(self.run.ahead_ms);
        let now_ms = self.ui.now_ms.saturating_add_signed(ahead.saturating_neg());
        now_ms.max(self.run.now_ms)
    }

    /// The current alerts, most serious first.
    pub(super) fn alerts(&self) -> Vec<Alert> {
        alerts(&self.run, clock_ms(self))
    }
}

/// The current time on the clock of the run, ms, for the alerts. It stops while no records are expected.
fn clock_ms(app: &App) -> u64 {
    let last = app.run.health.heard_ms();
    if !app.ticking() {
        return last;
    }
    match app.attention.heard_ms {
        Some(heard) => last.saturating_add(app.ui.now_ms.saturating_sub(heard)),
        None => last.max(app.now_on_run_clock()),
    }
}

/// Handles an incoming record. Called before the record is applied to the state.
pub(super) fn heard(app: &mut App, record: &Record) {
    let ahead = (app.ui.now_ms as i64).saturating_sub_unsigned(app.run.time_of(record));
    let known = app.attention.ahead_ms.unwrap_or(ahead);
    app.attention.ahead_ms = Some(known.max(ahead));
    if record.event.traits().progress {
        app.attention.heard_ms = Some(app.ui.now_ms);
    }
}

/// Handles a snapshot. Any snapshot after the first shows that the trainer is still active.
pub(super) fn caught_up(app: &mut App) {
    if app.synced {
        app.attention.heard_ms = Some(app.ui.now_ms);
    }
}

/// Handles a tick. Called before the clock is set.
pub(super) fn ticked(app: &mut App, now_ms: u64) {
    let gap = (now_ms as i64).saturating_sub_unsigned(app.ui.now_ms);
    if (0..=MAX_TICK_GAP_MS).contains(&gap) {
        return;
    }
    let known = &mut app.attention;
    known.heard_ms = known.heard_ms.map(|_| now_ms);
    known.ahead_ms = known.ahead_ms.map(|ahead| ahead.saturating_add(gap));
}

/// The texts of new alerts and events that the user wants to be notified of, without control characters. A replay
/// causes none.
pub(super) fn notifications(app: &mut App) -> Vec<String> {
    // Neither does a run without any record yet.
    if !app.live || app.run.seq == 0 {
        return Vec::new();
    }
    let now_ms = clock_ms(app);
    let news = app.attention.announcer.update(&app.run, now_ms);
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
