//! What goes where.
//!
//! ```text
//!  header   2 rows, a third with the pages from 28 on;    │ below 60×16: essentials, a line each;
//!           1 more while something is not well
//!  ┌──────────────────────────┬─────────────────────────┐ │ below 4 rows: one line
//!  │ Loss                     │ Classes   1 + 1 + n     │ │
//!  │                          │                         │ │ zoomed: one pane has all between
//!  ├──────────────────────────┼─────────────────────────┤ │ header and footer
//!  │ Accuracy                 │ Gallery   as large as   │ │
//!  │                          │           the rest      │ │ ended: `result` takes the lower
//!  ├──────────────────────────┤           allows        │ │ end of the left column
//!  │ Gradient norm + clip row ├─────────────────────────┤ │
//!  │ epoch axis               │ Log       what is left  │ │
//!  └──────────────────────────┴─────────────────────────┘ │
//!  slider   1 row, in a replay                             │ where there is room for two rows, the last
//!  footer   1 row
//! ```
//!
//! A pane without room is named at the right end of the header, with the key of the page that has room for it.

use std::ops::Range;

use ratatui::layout::{Position, Rect};

use super::super::app::App;
use super::super::page::{Page, Pane};
use super::axis::TimeAxis;
use super::{chart, classes, named, result};

/// Smallest screen with panes.
const PANES: (u16, u16) = (60, 16);
/// Rows from which the names of the pages have a row.
const PAGES: u16 = 28;
/// Columns between left and right.
pub(super) const GUTTER: u16 = 2;
/// Rows an image needs to be worth showing: its title, the image, the row of marks.
const GALLERY_LEAST: u16 = 8;
/// Rows from which the log is worth its title.
const LOG_LEAST: u16 = 4;

/// Where everything is.
pub(in crate::tui) enum Layout {
    /// Too small for panes.
    Essentials(Rect),
    /// The screen.
    Full(Screen),
}

/// The areas of a screen with panes.
pub(in crate::tui) struct Screen {
    pub(super) header: Rect,
    /// No row while all is well.
    pub(super) alerts: Rect,
    pub(super) panes: Vec<(Pane, Rect)>,
    /// Panes of this page that have no room; none where one pane was asked to be alone.
    pub(super) left_out: Vec<Pane>,
    pub(super) result: Option<Rect>,
    /// The row of a replay.
    pub(super) slider: Option<Rect>,
    pub(super) footer: Rect,
}

/// The panes on the screen now, in the order of the focus.
pub(in crate::tui) fn visible(app: &App) -> Vec<Pane> {
    let (width, height) = app.ui.size;
    match arrange(
        app,
        Rect {
            x: 0,
            y: 0,
            width,
            height,
        },
    ) {
        Layout::Essentials(_) => Vec::new(),
        Layout::Full(screen) => screen.panes.into_iter().map(|(pane, _)| pane).collect(),
    }
}

/// Divides the screen.
pub(in crate::tui) fn arrange(app: &App, area: Rect) -> Layout {
    if area.width < PANES.0 || area.height < PANES.1 {
        return Layout::Essentials(area);
    }
    let (header, rest) = top(area, if area.height >= PAGES { 3 } else { 2 });
    let (alerts, rest) = top(rest, u16::from(!app.alerts().is_empty()));
    let (footer, body) = bottom(rest, 1);
    let (slider, body) = if app.replay.is_some() {
        let (slider, body) = bottom(body, 1);
        (Some(slider), body)
    } else {
        (None, body)
    };
    let (panes, result) = match app.ui.page {
        _ if app.alone() => (vec![(app.ui.focus, body)], None),
        Page::Curves => (curves(app, body), None),
        Page::Gradients => (gradients(app, body), None),
        _ => columns(app, body),
    };
    Layout::Full(Screen {
        header,
        alerts,
        left_out: left_out(app, &panes),
        panes,
        result,
        slider,
        footer,
    })
}

/// The panes of the page that have no place among these.
fn left_out(app: &App, panes: &[(Pane, Rect)]) -> Vec<Pane> {
    if app.alone() {
        return Vec::new();
    }
    let shown = |pane: &Pane| panes.iter().any(|(known, _)| known == pane);
    let none = |pane: &Pane| *pane == Pane::Metrics && named::groups(&app.run).is_empty();
    let all = app.ui.page.panes().iter().copied();
    all.filter(|pane| !shown(pane) && !none(pane)).collect()
}

fn columns(app: &App, body: Rect) -> (Vec<(Pane, Rect)>, Option<Rect>) {
    // 58 % for what changes with time; on narrow screens the classes need their columns more.
    let left = (body.width * 58 / 100).min(body.width.saturating_sub(36));
    let (left, right) = split(body, left);
    let (left, result) = if app.over() {
        let rows = result::rows(app, left.width).min(left.height / 2);
        let (result, left) = bottom(left, rows);
        (left, Some(result))
    } else {
        (left, None)
    };
    let mut panes = charts(left);
    panes.extend(right_column(app, right));
    (panes, result)
}

/// Loss and accuracy of equal height, the learning rate below them with the axis and the marks of all three; the other curves
/// at the bottom, where there are any.
fn curves(app: &App, body: Rect) -> Vec<(Pane, Rect)> {
    let rows = named::rows(app, body.width).min(body.height / 3);
    let (metrics, body) = bottom(body, rows);
    let rate = (body.height / 4).max(5);
    let (rate, rest) = bottom(body, rate);
    let (loss, accuracy) = top(rest, rest.height.div_ceil(2));
    let mut panes = vec![
        (Pane::Loss, loss),
        (Pane::Accuracy, accuracy),
        (Pane::Rate, rate),
    ];
    panes.extend((rows > 0).then_some((Pane::Metrics, metrics)));
    panes
}

/// The norm above, a row for each parameter below, as far as they take no more than half of a low screen.
fn gradients(app: &App, body: Rect) -> Vec<(Pane, Rect)> {
    let wanted = app.run.layers.names.len().clamp(4, 200) as u16 + 4;
    let (layers, norm) = bottom(body, wanted.min(body.height - body.height / 3));
    vec![(Pane::Gradient, norm), (Pane::Layers, layers)]
}

/// Where a pane is on the screen now; nowhere if it is not.
pub(in crate::tui) fn pane_area(app: &App, pane: Pane) -> Rect {
    let (width, height) = app.ui.size;
    let area = Rect {
        x: 0,
        y: 0,
        width,
        height,
    };
    let panes = match arrange(app, area) {
        Layout::Essentials(_) => Vec::new(),
        Layout::Full(screen) => screen.panes,
    };
    let found = panes.into_iter().find(|(known, _)| *known == pane);
    found.map_or(Rect::ZERO, |(_, area)| area)
}

/// What is at a place of the screen.
pub(in crate::tui) enum Place {
    /// The row with the names of the pages.
    Pages,
    /// A pane, with its area.
    Pane(Pane, Rect),
    /// Nothing that does anything.
    Nothing,
}

/// What is at this column and row of the screen.
pub(in crate::tui) fn place(app: &App, (column, row): (u16, u16)) -> Place {
    let (width, height) = app.ui.size;
    let Layout::Full(screen) = arrange(app, Rect::new(0, 0, width, height)) else {
        return Place::Nothing;
    };
    let header = screen.header;
    if header.height > 2 && row == header.y + 2 {
        return Place::Pages;
    }
    let at = Position::new(column, row);
    let found = screen.panes.into_iter().find(|(_, area)| area.contains(at));
    found.map_or(Place::Nothing, |(pane, area)| Place::Pane(pane, area))
}

/// The columns of the screen that the plot of a chart with this area has.
pub(in crate::tui) fn plot(app: &App, area: Rect) -> Range<u16> {
    let from = area.x.saturating_add(chart::LABELS.min(area.width));
    from..from.saturating_add(chart::plot_width(app, area.width))
}

/// The step at a column of the screen, for a plot that has these; beside it, that of its nearest column.
pub(in crate::tui) fn step_at(app: &App, plot: &Range<u16>, column: u16) -> u64 {
    let at = column.saturating_sub(plot.start);
    TimeAxis::of(app).step_at(at.into(), plot.len())
}

/// Columns of the plot of the focused chart.
pub(in crate::tui) fn plot_columns(app: &App) -> u16 {
    chart::plot_width(app, pane_area(app, app.ui.focus).width)
}

/// Three charts of about equal height; the lowest carries the clip rows and the axis of all three.
fn charts(area: Rect) -> Vec<(Pane, Rect)> {
    let extra = 2;
    let third = area.height.saturating_sub(extra) / 3;
    // Two rows still carry a title with its numbers; below that the accuracy gives way.
    if third < 3 {
        let (loss, gradient) = top(area, area.height / 2);
        return vec![(Pane::Loss, loss), (Pane::Gradient, gradient)];
    }
    let spare = area.height.saturating_sub(extra) % 3;
    let (loss, rest) = top(area, third + u16::from(spare > 0));
    let (accuracy, gradient) = top(rest, third + u16::from(spare > 1));
    vec![
        (Pane::Loss, loss),
        (Pane::Accuracy, accuracy),
        (Pane::Gradient, gradient),
    ]
}

fn right_column(app: &App, area: Rect) -> Vec<(Pane, Rect)> {
    let count = app
        .run
        .info
        .as_ref()
        .map_or(10, |info| info.dataset.classes.len())
        .clamp(1, 1000) as u16;
    // Title, classes; and where there is room a row of headings and one of calibration.
    let headings = if area.height >= 30 { 2 } else { 0 };
    let most = if area.height >= 30 {
        area.height / 2
    } else {
        11
    };
    let wanted = (1 + headings + count + classes::remarks(&app.run)).min(most.max(4));
    if area.height < wanted + GALLERY_LEAST {
        return vec![(Pane::Classes, area)];
    }
    let (top_area, rest) = top(area, wanted);
    let gallery = gallery_rows(app, rest);
    if rest.height < gallery + LOG_LEAST {
        return vec![(Pane::Classes, top_area), (Pane::Gallery, rest)];
    }
    let (middle, log) = top(rest, gallery);
    vec![
        (Pane::Classes, top_area),
        (Pane::Gallery, middle),
        (Pane::Log, log),
    ]
}

/// Rows of the gallery: title, image at one column a pixel (two where that fits), the row of marks, one of air.
fn gallery_rows(app: &App, rest: Rect) -> u16 {
    let gallery = &app.run.gallery;
    let (width, height) = if gallery.width == 0 {
        (28, 28)
    } else {
        (gallery.width, gallery.height)
    };
    let log = LOG_LEAST + 4;
    let room = rest.height.saturating_sub(3 + log);
    let natural = |scale: u32| (height.saturating_mul(scale) / 2).clamp(1, 400) as u16;
    let wide = |scale: u32| width.saturating_mul(scale).min(400) as u16 + 22;
    let rows = if natural(2) <= room && wide(2) <= rest.width {
        natural(2)
    } else {
        natural(1)
    };
    (rows + 3).min(rest.height)
}

/// Cuts `rows` off the top.
pub(super) fn top(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    let head = Rect {
        height: rows,
        ..area
    };
    (
        head,
        Rect {
            y: area.y.saturating_add(rows),
            height: area.height - rows,
            ..area
        },
    )
}

/// Cuts `rows` off the bottom: the cut, then the rest.
pub(super) fn bottom(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    let (rest, foot) = top(area, area.height - rows);
    (foot, rest)
}

/// Cuts at a column, with the gutter between.
pub(super) fn split(area: Rect, left: u16) -> (Rect, Rect) {
    let left = left.min(area.width);
    let right = area.width.saturating_sub(left + GUTTER);
    let x = area.x.saturating_add(area.width - right);
    (
        Rect {
            width: left,
            ..area
        },
        Rect {
            x,
            width: right,
            ..area
        },
    )
}
