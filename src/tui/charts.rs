//! The settings that all charts share: x-axis, zoom, cursor, smoothing and y-scale.

use crate::run::{ComparedRun, RunState, Scaling};

use super::page::Pane;

/// The selectable smoothing weights: the weight of the previous EMA value per step; 0 is the raw curve.
const SMOOTHINGS: [f64; 5] = [0.0, 0.6, 0.9, 0.97, 0.99];

/// The unit of the x-axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Axis {
    /// Epochs.
    #[default]
    Epochs,
    /// Steps.
    Steps,
    /// Training time, without pauses.
    Time,
}

impl Axis {
    /// The next unit, wrapping around.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Epochs => Self::Steps,
            Self::Steps => Self::Time,
            Self::Time => Self::Epochs,
        }
    }

    /// The label of the axis.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epochs => "epoch",
            Self::Steps => "step",
            Self::Time => "time",
        }
    }
}

/// The settings of all charts.
#[derive(Debug, Clone, PartialEq)]
pub struct Charts {
    /// The x-axis.
    pub axis: Axis,
    /// The first and the last step shown, if zoomed; `None` shows all steps.
    pub window: Option<(u64, u64)>,
    /// The step whose values are displayed.
    pub cursor: Option<u64>,
    /// Index into [`SMOOTHINGS`].
    smoothing: usize,
    /// Panels whose y-scale was switched from its default.
    toggled: Vec<Pane>,
}

impl Default for Charts {
    fn default() -> Self {
        Self {
            axis: Axis::default(),
            window: None,
            cursor: None,
            smoothing: 2,
            toggled: Vec::new(),
        }
    }
}

impl Charts {
    /// The smoothing weight: the weight of the previous EMA value per step, 0 to 1.
    pub fn smoothing(&self) -> f64 {
        SMOOTHINGS.get(self.smoothing).copied().unwrap_or(0.9)
    }

    /// Selects the next smoothing weight, wrapping around.
    pub(super) fn smooth_more(&mut self) {
        self.smoothing = (self.smoothing + 1) % SMOOTHINGS.len();
    }

    /// Whether a panel has a logarithmic y-axis, for values with this default scale. Percentages are always linear.
    pub fn log(&self, pane: Pane, usual: Scaling) -> bool {
        match usual {
            Scaling::Linear => self.toggled.contains(&pane),
            Scaling::Log => !self.toggled.contains(&pane),
            Scaling::Percent => false,
        }
    }

    /// Switches the y-axis of a panel between log and linear. Returns false if the panel has only one scale.
    pub(super) fn toggle_log(&mut self, pane: Pane) -> bool {
        if !matches!(
            pane,
            Pane::Loss | Pane::Gradient | Pane::Rate | Pane::Metrics | Pane::Layers
        ) {
            return false;
        }
        if let Some(at) = self.toggled.iter().position(|known| *known == pane) {
            self.toggled.remove(at);
        } else {
            self.toggled.push(pane);
        }
        true
    }

    /// The first and the last step shown.
    pub fn shown(&self, extent: Extent) -> (u64, u64) {
        self.window.unwrap_or((0, extent.last))
    }

    /// Moves the cursor by `by` columns of a plot of this width. A hidden cursor appears at the newest visible step.
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

    /// Sets the cursor to this step, or to the nearest visible step that has been trained.
    pub(super) fn put_cursor(&mut self, extent: Extent, at: u64) {
        let (from, to) = self.shown(extent);
        let first = from.max(1).min(to);
        let newest = extent.newest.clamp(from, to).max(first);
        self.cursor = Some(at.clamp(first, newest));
    }

    /// Zooms in or out by a factor of two, around the cursor or the newest step.
    pub(super) fn zoom(&mut self, extent: Extent, closer: bool) {
        self.zoom_around(extent, closer, self.cursor.unwrap_or(extent.newest));
    }

    /// Zooms around a step, which keeps its position on the screen.
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

    /// Scrolls by a quarter of the visible range, if zoomed.
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

    /// Resets the zoom.
    pub(super) fn fit(&mut self) {
        self.window = None;
    }
}

/// The range of steps of the charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The newest step of the run.
    pub newest: u64,
    /// The last step of the x-axis.
    pub last: u64,
}

impl Extent {
    /// The range for a run and the compared runs, which are aligned by epochs, steps or time as on the axis.
    pub(super) fn of(run: &RunState, others: &[ComparedRun], axis: Axis) -> Self {
        let others = others.iter().map(|other| {
            let end = other.state.global_step as f64;
            matching_step(&other.state, run, axis, end).ceil() as u64
        });
        Self {
            newest: run.global_step,
            last: others.fold(last_step(run), u64::max),
        }
    }
}

/// Converts a step of the run `from` to the step of the run `to` at the same position on the axis: the same epoch, step
/// or time.
pub(super) fn matching_step(from: &RunState, to: &RunState, axis: Axis, step: f64) -> f64 {
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

/// The last step of the shared x-axis. While the run continues, its number of epochs grows by doubling, so that points
/// keep their position most of the time.
pub(super) fn last_step(run: &RunState) -> u64 {
    let per_epoch = run.epoch_steps;
    let reached = run.global_step.max(1);
    if per_epoch == 0 {
        return reached;
    }
    let started = reached.div_ceil(per_epoch);
    let shown = started.checked_next_power_of_two().unwrap_or(started);
    let most = if run.epochs == 0 {
        u64::MAX
    } else {
        u64::from(run.epochs).max(started)
    };
    let last = shown.min(most).saturating_mul(per_epoch);
    // A run that has ended needs no space for further steps.
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
    fn a_longer_compared_run_extends_the_axis_and_is_aligned() {
        let other = ComparedRun {
            state: RunState {
                epoch_steps: 50,
                global_step: 1000,
                ..RunState::default()
            },
            ..ComparedRun::default()
        };
        let (run, others) = (run(1000), [other]);
        assert_eq!(Extent::of(&run, &others, Axis::Epochs).last, 2000);
        assert_eq!(Extent::of(&run, &others, Axis::Steps).last, 1000);
        let back = matching_step(&run, &others[0].state, Axis::Epochs, 500.0);
        assert!((back - 250.0).abs() < 1e-9);
    }

    #[test]
    fn zooming_in_and_out_shows_all_again() {
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
    fn zooming_keeps_the_position_of_the_anchor() {
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
    fn the_cursor_is_clamped_to_trained_steps() {
        let (run, mut charts) = (run(450), Charts::default());
        for (at, expected) in [(0, 1), (200, 200), (999, 450)] {
            charts.put_cursor(extent(&run), at);
            assert_eq!(charts.cursor, Some(expected));
        }
    }

    #[test]
    fn the_cursor_stays_on_visible_trained_steps() {
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
    fn an_empty_run_causes_no_overflow() {
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
