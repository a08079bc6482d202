//! How charts look at time: their axis, the stretch they show, the cursor on it.

use crate::run::{Other, RunState, Scaling};

use super::page::Pane;

/// Shares of the past a smoothed curve may keep per step, from the raw curve to a very calm one.
const SMOOTHINGS: [f64; 5] = [0.0, 0.6, 0.9, 0.97, 0.99];

/// What stands along a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Axis {
    /// Epochs.
    #[default]
    Epochs,
    /// Steps.
    Steps,
    /// Time worked.
    Time,
}

impl Axis {
    /// The next one, round the end.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Epochs => Self::Steps,
            Self::Steps => Self::Time,
            Self::Time => Self::Epochs,
        }
    }

    /// The word beside it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epochs => "epoch",
            Self::Steps => "step",
            Self::Time => "time",
        }
    }
}

/// How all charts of the screen are looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Charts {
    /// What stands along them.
    pub axis: Axis,
    /// The steps shown, both ends included; all of them if none.
    pub window: Option<(u64, u64)>,
    /// The step whose values are read out.
    pub cursor: Option<u64>,
    smoothing: usize,
    flipped: Vec<Pane>,
}

impl Default for Charts {
    fn default() -> Self {
        Self {
            axis: Axis::default(),
            window: None,
            cursor: None,
            smoothing: 2,
            flipped: Vec::new(),
        }
    }
}

impl Charts {
    /// Share of the past the smoothed curve keeps, per step.
    pub fn smoothing(&self) -> f64 {
        SMOOTHINGS.get(self.smoothing).copied().unwrap_or(0.9)
    }

    /// The next smoothing, round the end.
    pub(super) fn smooth_more(&mut self) {
        self.smoothing = (self.smoothing + 1) % SMOOTHINGS.len();
    }

    /// Whether values that usually stand so stand in equal ratios in a pane. Layers have two numbers instead.
    pub fn log(&self, pane: Pane, usual: Scaling) -> bool {
        match usual {
            Scaling::Linear => self.flipped.contains(&pane),
            Scaling::Log => !self.flipped.contains(&pane),
            Scaling::Percent => false,
        }
    }

    /// Equal ratios or equal steps for a pane that can have either; whether it can.
    pub(super) fn flip(&mut self, pane: Pane) -> bool {
        if !matches!(
            pane,
            Pane::Loss | Pane::Gradient | Pane::Rate | Pane::Metrics | Pane::Layers
        ) {
            return false;
        }
        if let Some(at) = self.flipped.iter().position(|known| *known == pane) {
            self.flipped.remove(at);
        } else {
            self.flipped.push(pane);
        }
        true
    }

    /// The steps shown, both ends included.
    pub fn shown(&self, extent: Extent) -> (u64, u64) {
        self.window.unwrap_or((0, extent.last))
    }

    /// Moves the cursor by a share of what is shown; the first time it appears at the last step.
    pub(super) fn move_cursor(&mut self, extent: Extent, by: i64, columns: u16) {
        let (from, to) = self.shown(extent);
        let newest = extent.newest.clamp(from, to);
        let column = ((to - from) / u64::from(columns.max(1))).max(1);
        let at = match self.cursor {
            None => newest,
            Some(at) if by < 0 => at.saturating_sub(column.saturating_mul(by.unsigned_abs())),
            Some(at) => at.saturating_add(column.saturating_mul(by.unsigned_abs())),
        };
        self.put_cursor(extent, at);
    }

    /// Puts the cursor on this step, or on the nearest one that was done and is shown.
    pub(super) fn put_cursor(&mut self, extent: Extent, at: u64) {
        let (from, to) = self.shown(extent);
        let first = from.max(1).min(to);
        let newest = extent.newest.clamp(from, to).max(first);
        self.cursor = Some(at.clamp(first, newest));
    }

    /// Shows half as much, or twice, around the cursor or the end; all of it at most.
    pub(super) fn zoom(&mut self, extent: Extent, closer: bool) {
        self.zoom_around(extent, closer, self.cursor.unwrap_or(extent.newest));
    }

    /// The same around a step: what is looked at stays where it is on the screen.
    pub(super) fn zoom_around(&mut self, extent: Extent, closer: bool, anchor: u64) {
        let last = extent.last;
        let (from, to) = self.shown(extent);
        let span = to - from;
        let span = if closer {
            (span / 2).max(8.min(last))
        } else {
            span.saturating_mul(2)
        };
        if span >= last {
            self.window = None;
            return;
        }
        let anchor = anchor.clamp(from, to);
        let share = if to > from {
            (anchor - from) as f64 / (to - from) as f64
        } else {
            1.0
        };
        let from = anchor.saturating_sub((span as f64 * share) as u64);
        self.show(extent, from, span);
    }

    /// Moves what is shown by a quarter of it.
    pub(super) fn pan(&mut self, extent: Extent, later: bool) {
        let Some((from, to)) = self.window else {
            return;
        };
        let span = to - from;
        let by = (span / 4).max(1);
        let from = if later {
            from.saturating_add(by)
        } else {
            from.saturating_sub(by)
        };
        self.show(extent, from, span);
    }

    fn show(&mut self, extent: Extent, from: u64, span: u64) {
        let from = from.min(extent.last.saturating_sub(span));
        self.window = Some((from, from.saturating_add(span)));
        self.cursor = self.cursor.map(|at| at.clamp(from, from + span));
    }

    /// Shows all of it again.
    pub(super) fn fit(&mut self) {
        self.window = None;
    }
}

/// How far charts reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The newest step.
    pub newest: u64,
    /// The last step the time axis has.
    pub last: u64,
}

impl Extent {
    /// That of a run with others laid beside it, each by epochs, steps or time as the axis has it.
    pub(super) fn of(run: &RunState, others: &[Other], axis: Axis) -> Self {
        let others = others.iter().map(|other| {
            let end = other.state.global_step as f64;
            step_beside(&other.state, run, axis, end).ceil() as u64
        });
        Self {
            newest: run.global_step,
            last: others.fold(last_step(run), u64::max),
        }
    }
}

/// The step of one run that stands where this step of another stands: at the same epoch, step or time.
pub(super) fn step_beside(from: &RunState, to: &RunState, axis: Axis, step: f64) -> f64 {
    match axis {
        Axis::Epochs if from.epoch_steps > 0 && to.epoch_steps > 0 => {
            step / from.epoch_steps as f64 * to.epoch_steps as f64
        }
        Axis::Time if to.timeline.last().1 > 0 => {
            to.timeline.step_at(from.timeline.at(step as u64))
        }
        _ => step,
    }
}

/// The last step of the time axis all charts share: it grows in doublings of epochs, so that a point stays where it is while
/// the run goes on.
pub(super) fn last_step(run: &RunState) -> u64 {
    let per_epoch = run.epoch_steps;
    let reached = run.global_step.max(1);
    if per_epoch == 0 {
        return reached;
    }
    let begun = reached.div_ceil(per_epoch);
    let shown = begun.checked_next_power_of_two().unwrap_or(begun);
    let most = if run.epochs == 0 {
        u64::MAX
    } else {
        u64::from(run.epochs).max(begun)
    };
    let last = shown.min(most).saturating_mul(per_epoch);
    // A run that has ended needs no room for more.
    if run.outcome.is_some() {
        reached.min(last)
    } else {
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(step: u64) -> RunState {
        RunState {
            epoch_steps: 100,
            epochs: 10,
            global_step: step,
            ..RunState::default()
        }
    }

    fn extent(run: &RunState) -> Extent {
        Extent::of(run, &[], Axis::Epochs)
    }

    #[test]
    fn a_longer_run_beside_it_has_room_and_stands_by_its_epochs() {
        let other = Other {
            state: RunState {
                epoch_steps: 50,
                global_step: 1000,
                ..RunState::default()
            },
            ..Other::default()
        };
        let (run, others) = (run(1000), [other]);
        assert_eq!(Extent::of(&run, &others, Axis::Epochs).last, 2000);
        assert_eq!(Extent::of(&run, &others, Axis::Steps).last, 1000);
        let back = step_beside(&run, &others[0].state, Axis::Epochs, 500.0);
        assert!((back - 250.0).abs() < 1e-9);
    }

    #[test]
    fn closer_and_back_shows_all_again() {
        let (run, mut charts) = (run(1000), Charts::default());
        for _ in 0..4 {
            charts.zoom(extent(&run), true);
        }
        let (from, to) = charts.shown(extent(&run));
        assert!(to == 1000 && to - from < 100, "{from} {to}");
        charts.pan(extent(&run), false);
        assert!(charts.shown(extent(&run)).1 < 1000);
        for _ in 0..5 {
            charts.zoom(extent(&run), false);
        }
        assert_eq!(charts.window, None);
    }

    #[test]
    fn what_is_pointed_at_stays_where_it_is() {
        let (run, mut charts) = (run(1000), Charts::default());
        let place = |charts: &Charts| {
            let (from, to) = charts.shown(extent(&run));
            (300 - from) as f64 / (to - from) as f64
        };
        for closer in [true, true, true, false, false] {
            charts.zoom_around(extent(&run), closer, 300);
            assert!((place(&charts) - 0.3).abs() < 0.02, "{charts:?}");
        }
        charts.zoom_around(extent(&run), false, 300);
        assert_eq!(charts.window, None);
        charts.zoom_around(extent(&run), true, u64::MAX);
        assert_eq!(charts.shown(extent(&run)), (500, 1000));
    }

    #[test]
    fn the_cursor_is_put_on_steps_that_were_done() {
        let (run, mut charts) = (run(450), Charts::default());
        for (at, expected) in [(0, 1), (200, 200), (999, 450)] {
            charts.put_cursor(extent(&run), at);
            assert_eq!(charts.cursor, Some(expected));
        }
    }

    #[test]
    fn the_cursor_stays_on_steps_that_were_done_and_are_shown() {
        let (run, mut charts) = (run(450), Charts::default());
        charts.move_cursor(extent(&run), -1, 100);
        assert_eq!(charts.cursor, Some(450), "it appears at the newest step");
        charts.move_cursor(extent(&run), 5, 100);
        assert_eq!(charts.cursor, Some(450));
        for _ in 0..500 {
            charts.move_cursor(extent(&run), -1, 100);
        }
        assert_eq!(charts.cursor, Some(1));
        charts.zoom(extent(&run), true);
        let (from, to) = charts.shown(extent(&run));
        assert!(charts.cursor.is_some_and(|at| (from..=to).contains(&at)));
    }

    #[test]
    fn nothing_known_is_nothing_to_fear() {
        let (run, mut charts) = (RunState::default(), Charts::default());
        for by in [-3, 0, 3] {
            charts.move_cursor(extent(&run), by, 0);
            charts.zoom(extent(&run), true);
            charts.pan(extent(&run), true);
            charts.zoom(extent(&run), false);
        }
        let mut far = Charts {
            window: Some((u64::MAX - 2, u64::MAX)),
            ..Charts::default()
        };
        far.pan(extent(&run), true);
        far.zoom(extent(&run), false);
    }
}
