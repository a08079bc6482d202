//! The replay of a run on the screen: position, speed, and whether it is playing.

use std::sync::Arc;

use crate::run::{Replay, RunState};

/// The playback speeds, as multiples of real time.
const SPEEDS: [u64; 11] = [1, 2, 5, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000];
/// Duration of a complete replay that the initial speed aims at, ms.
const DEFAULT_DURATION_MS: f64 = 30_000.0;
/// Maximum time that one tick advances, ms, so that a replay does not jump after the screen was suspended.
const MAX_TICK_MS: u64 = 500;
/// Number of steps that the slider keys divide the run into.
const SEEK_STEPS: u64 = 50;

/// A change of the playback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayRequest {
    /// Play or pause.
    TogglePlay,
    /// Move by this many slider steps; negative values go back.
    Seek(i32),
}

/// Whether the records for a replay have been loaded.
#[derive(Debug, Clone, Default)]
pub enum ReplayState {
    /// Not requested yet.
    #[default]
    NotLoaded,
    /// The records are being read; the request is applied when they have been loaded.
    Loading(ReplayRequest),
    /// The records are loaded.
    Loaded(Arc<Replay>),
    /// The records cannot be replayed; the reason.
    Unavailable(String),
}

/// An active replay.
#[derive(Debug, Clone)]
pub struct ReplayView {
    /// The records that are replayed.
    pub replay: Arc<Replay>,
    /// The final state of the run, which is shown again when the replay is left.
    pub final_state: Box<RunState>,
    /// The moment shown, ms since the first record.
    pub at_ms: u64,
    /// Whether the replay is playing; otherwise it is paused.
    pub playing: bool,
    /// Index into [`SPEEDS`].
    speed: usize,
    /// Time of the last tick while playing, ms since 1970.
    ticked_ms: Option<u64>,
}

impl ReplayView {
    /// A paused replay at its end. The speed is set so that the complete run plays in about [`DEFAULT_DURATION_MS`].
    pub(super) fn new(replay: Arc<Replay>, final_state: RunState) -> Self {
        let span = replay.span();
        // Distances are on a log scale: twice the target duration is as far from it as half of it.
        let far = |speed: u64| {
            (span as f64 / speed as f64 / DEFAULT_DURATION_MS)
                .max(1e-9)
                .ln()
                .abs()
        };
        let far = |at: &usize| SPEEDS.get(*at).map_or(f64::INFINITY, |speed| far(*speed));
        let nearest = (0..SPEEDS.len()).min_by(|a, b| far(a).total_cmp(&far(b)));
        Self {
            at_ms: span,
            replay,
            final_state: Box::new(final_state),
            playing: false,
            speed: nearest.unwrap_or(0),
            ticked_ms: None,
        }
    }

    /// The speed as a multiple of real time.
    pub fn speed(&self) -> u64 {
        SPEEDS.get(self.speed).copied().unwrap_or(1)
    }

    /// Whether the last record is shown.
    pub fn at_end(&self) -> bool {
        self.at_ms >= self.replay.span()
    }

    /// The position as a share of the complete run, 0 to 1.
    pub fn share(&self) -> f64 {
        match self.replay.span() {
            0 => 1.0,
            span => self.at_ms as f64 / span as f64,
        }
    }

    /// Whether the session's test predictions apply to the moment shown: the replay has reached the last test-set
    /// evaluation.
    pub(super) fn test_predictions_available(&self, run: &RunState) -> bool {
        let evaluations = self.replay.test_evaluations();
        self.at_end() || evaluations > 0 && run.test_evaluations >= evaluations
    }

    /// Applies a request.
    pub(super) fn apply(&mut self, request: ReplayRequest) {
        match request {
            ReplayRequest::TogglePlay => self.toggle(),
            ReplayRequest::Seek(by) => self.seek(by),
        }
    }

    /// Plays or pauses. At the end it plays again from the beginning.
    fn toggle(&mut self) {
        if !self.playing && self.at_end() {
            self.at_ms = 0;
        }
        self.playing = !self.playing;
        self.ticked_ms = None;
    }

    /// Moves by slider steps, clamped to the run.
    fn seek(&mut self, by: i32) {
        let span = self.replay.span();
        let distance = (span / SEEK_STEPS)
            .max(1)
            .saturating_mul(by.unsigned_abs().into());
        self.at_ms = if by < 0 {
            self.at_ms.saturating_sub(distance)
        } else {
            self.at_ms.saturating_add(distance).min(span)
        };
        self.playing &= !self.at_end();
    }

    /// Selects the next faster or slower speed, if there is one.
    pub(super) fn change_speed(&mut self, faster: bool) {
        self.speed = if faster {
            (self.speed + 1).min(SPEEDS.len() - 1)
        } else {
            self.speed.saturating_sub(1)
        };
    }

    /// Advances a playing replay to this time of the clock, ms since 1970, and pauses it at its end.
    pub(super) fn tick(&mut self, now_ms: u64) {
        if !self.playing {
            return;
        }
        let before = self.ticked_ms.replace(now_ms).unwrap_or(now_ms);
        let passed = now_ms.saturating_sub(before).min(MAX_TICK_MS);
        let to = self
            .at_ms
            .saturating_add(passed.saturating_mul(self.speed()));
        self.at_ms = to.min(self.replay.span());
        self.playing = !self.at_end();
    }
}
