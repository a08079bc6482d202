//! The time axis that all charts share: it maps steps to columns and back.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::paint::put;
use crate::run::{RunState, clock};
use crate::tui::app::App;
use crate::tui::charts::{Axis, matching_step};
use crate::tui::text::{columns, count};
use crate::tui::theme::Role;

/// A range of steps, mapped onto the columns of a plot.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeAxis<'a> {
    app: &'a App,
    axis: Axis,
    /// First and last step shown.
    from: u64,
    to: u64,
}

impl<'a> TimeAxis<'a> {
    /// The range that the charts show now.
    pub(super) fn of(app: &'a App) -> Self {
        let (from, to) = app.ui.charts.shown(app.extent());
        let known = app.run.timeline.last().1 > 0;
        let axis = match app.ui.charts.axis {
            // Before the first timestamp arrives, time cannot be mapped to steps.
            Axis::Time if !known => Axis::Steps,
            axis => axis,
        };
        Self {
            app,
            axis,
            from,
            to,
        }
    }

    /// First and last step shown.
    pub(super) fn steps(&self) -> (u64, u64) {
        (self.from, self.to)
    }

    /// Whether the entire run is shown.
    pub(super) fn shows_entire_run(&self) -> bool {
        self.app.ui.charts.window.is_none()
    }

    /// The first step of each column, followed by the end of the last column: `columns + 1` steps.
    pub(super) fn bounds(&self, columns: usize) -> Vec<u64> {
        let end = self.to.saturating_add(1);
        if columns == 0 || end <= self.from {
            return Vec::new();
        }
        match self.axis {
            Axis::Epochs | Axis::Steps => {
                let span = u128::from(end - self.from);
                let bound = |i: usize| {
                    // The smallest step that [`column`](Self::column) maps to i.
                    let steps = (span * i as u128).div_ceil(columns as u128);
                    self.from.saturating_add(steps as u64)
                };
                (0..=columns).map(bound).collect()
            }
            Axis::Time => {
                let line = &self.app.run.timeline;
                let (early, late) = (line.at(self.from), line.at(end));
                let mut least = self.from;
                let bound = |i: usize| {
                    let ms = early + (late - early) * i as f64 / columns as f64;
                    least = least.max(line.step_at(ms).ceil() as u64).min(end);
                    least
                };
                let mut bounds: Vec<u64> = (0..=columns).map(bound).collect();
                if let Some(first) = bounds.first_mut() {
                    *first = self.from;
                }
                if let Some(last) = bounds.last_mut() {
                    *last = end;
                }
                bounds
            }
        }
    }

    /// The same bounds converted to the steps of a compared run.
    pub(super) fn bounds_of(&self, other: &RunState, columns: usize) -> Vec<u64> {
        let bounds = self.bounds(columns).into_iter();
        let matching = |step: u64| matching_step(&self.app.run, other, self.axis, step as f64);
        bounds.map(|step| matching(step).ceil() as u64).collect()
    }

    /// Step of a compared run that corresponds to `step` of the main run. `None` if the compared run ended earlier.
    pub(super) fn step_of(&self, other: &RunState, step: u64) -> Option<u64> {
        let matching = matching_step(&self.app.run, other, self.axis, step as f64);
        Some(matching.round() as u64).filter(|step| *step <= other.global_step)
    }

    /// The column of a step; `None` if the step is not shown.
    pub(super) fn column(&self, step: u64, columns: usize) -> Option<usize> {
        if columns == 0 || !(self.from..=self.to).contains(&step) {
            return None;
        }
        let share = match self.axis {
            Axis::Epochs | Axis::Steps => {
                let span = u128::from(self.to - self.from) + 1;
                (u128::from(step - self.from) * columns as u128 / span) as usize
            }
            Axis::Time => {
                let line = &self.app.run.timeline;
                let (early, late) = (line.at(self.from), line.at(self.to.saturating_add(1)));
                let share = (line.at(step) - early) / (late - early).max(1e-9);
                (share * columns as f64) as usize
            }
        };
        Some(share.min(columns - 1))
    }

    /// The first step of a column, the inverse of [`column`](Self::column). If there are fewer steps than columns, the
    /// nearest step. For a column beyond the last one, the step of the last column.
    pub(super) fn step_at(&self, column: usize, columns: usize) -> u64 {
        let column = column.min(columns.saturating_sub(1));
        let place = |step: u64| self.column(step, columns).unwrap_or(0);
        // `column` is monotonic in the step, so binary search finds the first step that is not left of this column.
        let (mut low, mut high) = (self.from, self.to);
        while low < high {
            let middle = low + (high - low) / 2;
            if place(middle) < column {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let before = low.saturating_sub(1).max(self.from);
        if column.abs_diff(place(before)) < column.abs_diff(place(low)) {
            before
        } else {
            low
        }
    }

    /// Labels of the axis, each with its column.
    pub(super) fn labels(&self, width: u16) -> Vec<(u16, String)> {
        if width == 0 {
            return Vec::new();
        }
        let column = |step: u64| self.column(step, usize::from(width)).map(|x| x as u16);
        match self.axis {
            Axis::Epochs => {
                let per_epoch = self.app.run.epoch_steps;
                if per_epoch == 0 {
                    return Vec::new();
                }
                let (first, last) = (self.from.div_ceil(per_epoch), self.to / per_epoch);
                // When less than two epochs are shown, steps are more informative than epochs.
                if last < first || last - first < 1 && !self.shows_entire_run() {
                    return self.step_labels(width);
                }
                let by = round_step((last - first) as f64 / max_labels(width)).max(1.0) as u64;
                let epochs = (first.div_ceil(by)..=last / by).map(|i| i.saturating_mul(by));
                epochs
                    .filter_map(|epoch| {
                        Some((column(epoch.saturating_mul(per_epoch))?, epoch.to_string()))
                    })
                    .collect()
            }
            Axis::Steps => self.step_labels(width),
            Axis::Time => {
                let line = &self.app.run.timeline;
                let (early, late) = (line.at(self.from), line.at(self.to.saturating_add(1)));
                let by = round_time((late - early) / max_labels(width));
                let first = (early / by).ceil() as u64;
                let last = (late / by).floor() as u64;
                (first..=last)
                    .take(usize::from(width))
                    .filter_map(|i| {
                        let ms = i as f64 * by;
                        let share = (ms - early) / (late - early).max(1e-9);
                        let x = (share * f64::from(width)) as u16;
                        (x < width).then(|| (x, clock(ms as u64)))
                    })
                    .collect()
            }
        }
    }

    fn step_labels(&self, width: u16) -> Vec<(u16, String)> {
        let span = (self.to - self.from) as f64;
        let by = round_step(span / max_labels(width)).max(1.0) as u64;
        let steps = (self.from.div_ceil(by)..=self.to / by).map(|i| i.saturating_mul(by));
        steps
            .take(usize::from(width))
            .filter_map(|step| {
                let x = self.column(step, usize::from(width))?;
                Some((x as u16, count(step)))
            })
            .collect()
    }

    /// The unit of the labels.
    pub(super) fn name(&self) -> &'static str {
        let per_epoch = self.app.run.epoch_steps.max(1);
        let within = self.to / per_epoch < self.from.div_ceil(per_epoch) + 1;
        match self.axis {
            Axis::Epochs if within && !self.shows_entire_run() => "step",
            axis => axis.name(),
        }
    }
}

/// Maximum number of labels in a row of this width.
fn max_labels(width: u16) -> f64 {
    f64::from((width / 8).max(1))
}

/// The smallest of 1, 2 and 5 times a power of ten that is at least `value`, but at least 1.
fn round_step(value: f64) -> f64 {
    let value = value.max(1.0);
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= value * 0.999)
        .unwrap_or(value)
}

/// The smallest round duration, in ms, that is at least `ms`.
fn round_time(ms: f64) -> f64 {
    const SECONDS: [u32; 18] = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400,
    ];
    let round = SECONDS.map(|seconds| f64::from(seconds) * 1000.0);
    let found = round.into_iter().find(|round| *round >= ms);
    found.unwrap_or_else(|| round_step(ms / 86_400_000.0) * 86_400_000.0)
}

/// The part of a row or pane that is above or below the plot, to the right of the labels.
pub(super) fn over_plot(area: Rect, labels: u16) -> Rect {
    let labels = labels.min(area.width);
    Rect {
        x: area.x + labels,
        width: area.width - labels,
        ..area
    }
}

/// Draws the axis: its unit, the labels, and a sign at each side where more steps exist outside the view.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, labels: u16, buf: &mut Buffer) {
    let axis = TimeAxis::of(ctx.app);
    put(buf, area, 0, 0, axis.name(), ctx.style(Role::Dim));
    let plot = over_plot(area, labels);
    let mut free = 0;
    for (x, label) in axis.labels(plot.width) {
        let x = x.min(plot.width.saturating_sub(columns(&label)));
        if x >= free {
            free = put(buf, plot, x, 0, &label, ctx.style(Role::Dim)) + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Event, F64, Record, RunStarted, StepWindow};
    use crate::tui::app::Settings;

    /// A run with the given duration in ms for each window of 16 steps.
    fn app(windows: &[u64]) -> App {
        let mut app = App::new(Settings::default(), true);
        let mut record = |t_ms: u64, event: Event| {
            let seq = app.run.seq + 1;
            app.run.apply(&Record {
                seq,
                t_ms,
                run_ms: None,
                event,
            });
        };
        let info = RunStarted {
            epochs: 1000,
            steps_per_epoch: 100,
            ..RunStarted::default()
        };
        record(0, Event::RunStarted(Box::new(info)));
        let mut t_ms = 0;
        for (global_step, millis) in (1..).map(|i| i * 16).zip(windows) {
            t_ms += millis;
            let window = StepWindow {
                global_step,
                millis: F64(*millis as f64),
                loss: vec![crate::event::F32(1.0); 16],
                ..StepWindow::default()
            };
            record(t_ms, Event::Steps(window));
        }
        app
    }

    proptest! {
        #[test]
        fn step_and_column_are_inverse(
            windows in prop::collection::vec(1_u64..5_000, 1..80),
            window in prop::option::of((0_u64..2_000, 0_u64..2_000)),
            columns in 1_usize..300,
            axis in prop::sample::select(vec![Axis::Epochs, Axis::Steps, Axis::Time]),
        ) {
            let mut app = app(&windows);
            app.ui.charts.axis = axis;
            app.ui.charts.window = window.map(|(from, span)| (from, from + span));
            let axis = TimeAxis::of(&app);
            let (from, to) = axis.steps();
            // Mapping a step to its column and back gives a step in the same column.
            for step in (from..=to).step_by(((to - from) / 200).max(1) as usize) {
                let Some(column) = axis.column(step, columns) else {
                    prop_assert!(false, "{step} is shown");
                    continue;
                };
                let back = axis.step_at(column, columns);
                prop_assert_eq!(axis.column(back, columns), Some(column));
                prop_assert!(back <= step, "the first step of the column");
            }
            // Every column maps to a step that is shown, and steps increase from left to right.
            let steps: Vec<u64> = (0..columns).map(|x| axis.step_at(x, columns)).collect();
            prop_assert!(steps.windows(2).all(|pair| pair[0] <= pair[1]), "{steps:?}");
            prop_assert!(steps.iter().all(|step| (from..=to).contains(step)));
            prop_assert_eq!(axis.step_at(usize::MAX, columns), axis.step_at(columns - 1, columns));
        }
    }

    #[test]
    fn empty_run_has_a_step_for_every_column() {
        let mut app = App::new(Settings::default(), true);
        for window in [None, Some((u64::MAX - 1, u64::MAX))] {
            app.ui.charts.window = window;
            let axis = TimeAxis::of(&app);
            for columns in [0, 1, 80] {
                let step = axis.step_at(40, columns);
                assert!((axis.from..=axis.to).contains(&step));
            }
        }
    }
}
