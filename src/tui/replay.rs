//! A run told again on the screen: where it is, whether it plays, and how fast.

use std::sync::Arc;

use crate::run::{Replay, RunState};

/// Milliseconds of the run that a millisecond shows.
const SPEEDS: [u64; 11] = [1, 2, 5, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000];
/// About how long a whole run is watched at the speed that is set first.
const WATCHED_MS: f64 = 30_000.0;
/// A screen that was put aside meanwhile goes on where it was.
const LONGEST_TICK_MS: u64 = 500;
/// The part of the whole that one press of a key moves.
const STRIDES: u64 = 50;

/// What is wanted of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Go on, or stop for a while.
    Play,
    /// So many strides forwards, or back.
    Move(i32),
}

/// The run's story as far as this screen knows it.
#[derive(Debug, Clone, Default)]
pub enum Story {
    /// Nobody has asked for it.
    #[default]
    Unread,
    /// It is being read, and this is wanted of it.
    Reading(Wish),
    /// It can be told again.
    Read(Arc<Replay>),
    /// There is none.
    Missing(String),
}

/// A replay on the screen.
#[derive(Debug, Clone)]
pub struct ReplayView {
    /// What is told.
    pub story: Arc<Replay>,
    /// The last state of the run, which is shown again afterwards.
    pub whole: Box<RunState>,
    /// The moment shown, in milliseconds from the first record.
    pub at_ms: u64,
    /// Whether it goes on by itself.
    pub playing: bool,
    speed: usize,
    /// When it went on last, ms since 1970.
    ticked_ms: Option<u64>,
}

impl ReplayView {
    /// At its end and held, at a speed that shows all of it in about half a minute.
    pub(super) fn new(story: Arc<Replay>, whole: RunState) -> Self {
        let span = story.span();
        // Twice as long is as far from it as half as long.
        let far = |speed: u64| {
            (span as f64 / speed as f64 / WATCHED_MS)
                .max(1e-9)
                .ln()
                .abs()
        };
        let far = |at: &usize| SPEEDS.get(*at).map_or(f64::INFINITY, |speed| far(*speed));
        let nearest = (0..SPEEDS.len()).min_by(|a, b| far(a).total_cmp(&far(b)));
        Self {
            at_ms: span,
            story,
            whole: Box::new(whole),
            playing: false,
            speed: nearest.unwrap_or(0),
            ticked_ms: None,
        }
    }

    /// Milliseconds of the run that a millisecond shows.
    pub fn speed(&self) -> u64 {
        SPEEDS.get(self.speed).copied().unwrap_or(1)
    }

    /// Whether the last record is shown.
    pub fn at_end(&self) -> bool {
        self.at_ms >= self.story.span()
    }

    /// The share of the whole that has been told, 0 to 1.
    pub fn share(&self) -> f64 {
        match self.story.span() {
            0 => 1.0,
            span => self.at_ms as f64 / span as f64,
        }
    }

    /// Whether what the session knows of the test split is known at the moment shown, too.
    pub(super) fn knows_the_test(&self, run: &RunState) -> bool {
        let looks = self.story.looks();
        self.at_end() || looks > 0 && run.test_looks >= looks
    }

    /// Does what is wanted.
    pub(super) fn wish(&mut self, wish: Wish) {
        match wish {
            Wish::Play => self.toggle(),
            Wish::Move(by) => self.stride(by),
        }
    }

    /// Goes on, or stops for a while; after the end it begins again.
    fn toggle(&mut self) {
        if !self.playing && self.at_end() {
            self.at_ms = 0;
        }
        self.playing = !self.playing;
        self.ticked_ms = None;
    }

    /// Moves by strides.
    fn stride(&mut self, by: i32) {
        let span = self.story.span();
        let way = (span / STRIDES)
            .max(1)
            .saturating_mul(by.unsigned_abs().into());
        self.at_ms = if by < 0 {
            self.at_ms.saturating_sub(way)
        } else {
            self.at_ms.saturating_add(way).min(span)
        };
        self.playing &= !self.at_end();
    }

    /// Faster or slower, as far as it goes.
    pub(super) fn hurry(&mut self, faster: bool) {
        self.speed = if faster {
            (self.speed + 1).min(SPEEDS.len() - 1)
        } else {
            self.speed.saturating_sub(1)
        };
    }

    /// Lets it go on up to this time of the clock, and stop at its end.
    pub(super) fn tick(&mut self, now_ms: u64) {
        if !self.playing {
            return;
        }
        let before = self.ticked_ms.replace(now_ms).unwrap_or(now_ms);
        let passed = now_ms.saturating_sub(before).min(LONGEST_TICK_MS);
        let to = self
            .at_ms
            .saturating_add(passed.saturating_mul(self.speed()));
        self.at_ms = to.min(self.story.span());
        self.playing = !self.at_end();
    }
}
