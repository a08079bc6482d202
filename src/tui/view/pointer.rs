//! Maps a screen column of a chart to a step, and places the cursor there.

use std::ops::Range;

use ratatui::layout::{Position, Rect};

use super::axis::TimeAxis;
use super::chart;
use crate::tui::app::App;

/// The screen columns of the plot of a chart with this area.
pub(in crate::tui) fn plot(app: &App, area: Rect) -> Range<u16> {
    let from = area.x.saturating_add(chart::LABELS.min(area.width));
    from..from.saturating_add(chart::plot_width(app, area.width))
}

/// The step at a screen column, for a plot with these columns; outside the plot, the step of the nearest column.
pub(in crate::tui) fn step_at(app: &App, plot: &Range<u16>, column: u16) -> u64 {
    let at = column.saturating_sub(plot.start);
    TimeAxis::of(app).step_at(at.into(), plot.len())
}

/// Places the cursor of all charts at the clicked position of a chart with this area.
pub(super) fn put_cursor(app: &mut App, area: Rect, at: Position) {
    let plot = plot(app, area);
    if plot.contains(&at.x) {
        let step = step_at(app, &plot, at.x);
        let extent = app.extent();
        app.ui.charts.put_cursor(extent, step);
    }
}

/// Moves the cursor by columns of the focused chart.
pub(super) fn move_cursor(app: &mut App, by: isize) {
    let area = app.layout.pane_area(app.ui.focus);
    let columns = chart::plot_width(app, area.width);
    let extent = app.extent();
    app.ui.charts.move_cursor(extent, by as i64, columns);
}
