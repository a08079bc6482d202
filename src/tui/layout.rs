//! The layout of the screen.
//!
//! ```text
//!  header   2 rows; a third with the pages from 28 rows;  │ below 60×16: essentials, a line each
//!           1 more while there are alerts                 │ below 4 rows: one line
//!  ┌──────────────────────────┬─────────────────────────┐ │
//!  │ Loss                     │ Classes   1 + 1 + n     │ │
//!  │                          │                         │ │ maximized: one pane takes all rows
//!  ├──────────────────────────┼─────────────────────────┤ │ between header and footer
//!  │ Accuracy                 │ Gallery   as large as   │ │
//!  │                          │           the other     │ │ ended: `result` takes the bottom
//!  ├──────────────────────────┤           panes allow   │ │ of the left column
//!  │ Gradient norm + clip row ├─────────────────────────┤ │
//!  │ epoch axis               │ Log       remaining rows│ │
//!  └──────────────────────────┴─────────────────────────┘ │
//!  slider   1 row, in a replay
//!  footer   1 row
//! ```
//!
//! A panel that does not fit is listed at the right end of the header, with the key of the page that shows it. The
//! layout is computed after each message by [`update`](super::update()) and used by the view, the mouse and the
//! queries.

use ratatui::layout::{Position, Rect};

use super::page::{Arrangement, Height, Page, Pane};

/// Minimum screen size for panels: columns, rows.
const PANES: (u16, u16) = (60, 16);
/// Minimum screen height for a row with the names of the pages.
const PAGES: u16 = 28;
/// Columns between the left and the right column of panels.
pub(super) const GUTTER: u16 = 2;
/// Minimum height of the gallery: its title, the image, the row of marks.
const GALLERY_LEAST: u16 = 8;
/// Minimum height of the log.
const LOG_LEAST: u16 = 4;
/// Rows reserved for the log when the gallery is sized.
const LOG_WANTED: u16 = LOG_LEAST + 4;

/// The properties of the screen that determine the layout.
pub(super) struct LayoutInput<'a> {
    pub(super) page: Page,
    pub(super) focus: Pane,
    /// Whether only the focused panel is shown.
    pub(super) alone: bool,
    /// Whether there are alerts.
    pub(super) alerts: bool,
    /// Whether a replay is active.
    pub(super) replay: bool,
    /// The height of the result at a given width; `None` until the run has ended.
    pub(super) result: Option<&'a dyn Fn(u16) -> u16>,
    /// Whether a panel has content, or will have content later in the run.
    pub(super) exists: &'a dyn Fn(Pane) -> bool,
    /// The height that a panel requests within an area.
    pub(super) rows: &'a dyn Fn(Pane, Rect) -> u16,
}

/// The layout of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// The screen is too small for panels.
    Essentials(Rect),
    /// A screen with panels.
    Full(Screen),
}

/// The areas of a screen with panels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Screen {
    pub(super) area: Rect,
    pub(super) header: Rect,
    /// Empty if there are no alerts.
    pub(super) alerts: Rect,
    pub(super) panes: Vec<(Pane, Rect)>,
    /// Panels of this page that do not fit; empty if only the focused panel is shown.
    pub(super) left_out: Vec<Pane>,
    pub(super) result: Option<Rect>,
    /// The slider of a replay.
    pub(super) slider: Option<Rect>,
    pub(super) footer: Rect,
}

/// The element at a position of the screen.
pub(super) enum Place {
    /// The row with the names of the pages.
    Pages,
    /// A panel, with its area.
    Pane(Pane, Rect),
    /// No element that reacts to the mouse.
    Nothing,
}

impl Default for Layout {
    fn default() -> Self {
        Self::Essentials(Rect::ZERO)
    }
}

impl Layout {
    /// Computes the layout of a screen.
    pub(super) fn of(input: &LayoutInput<'_>, area: Rect) -> Self {
        if area.width < PANES.0 || area.height < PANES.1 {
            return Self::Essentials(area);
        }
        let (header, rest) = top(area, if area.height >= PAGES { 3 } else { 2 });
        let (alerts, rest) = top(rest, u16::from(input.alerts));
        let (footer, body) = bottom(rest, 1);
        let (slider, body) = bottom(body, u16::from(input.replay));
        let (panes, result) = match input.page.arrangement() {
            _ if input.alone => (vec![(input.focus, body)], None),
            Arrangement::Stack(heights) => (stack(input, heights, body), None),
            Arrangement::Overview => overview(input, body),
        };
        let shown = |pane: &Pane| panes.iter().any(|(known, _)| known == pane);
        let wanting = |pane: &Pane| !shown(pane) && (input.exists)(*pane);
        let all = input.page.panes().iter().copied();
        let left_out = all.filter(|pane| !input.alone && wanting(pane)).collect();
        Self::Full(Screen {
            area,
            header,
            alerts,
            left_out,
            panes,
            result,
            slider: input.replay.then_some(slider),
            footer,
        })
    }

    /// The area of the complete screen.
    pub(super) fn area(&self) -> Rect {
        match self {
            Self::Essentials(area) => *area,
            Self::Full(screen) => screen.area,
        }
    }

    fn pane_areas(&self) -> &[(Pane, Rect)] {
        match self {
            Self::Essentials(_) => &[],
            Self::Full(screen) => &screen.panes,
        }
    }

    /// The visible panels, in focus order.
    pub(super) fn visible(&self) -> Vec<Pane> {
        self.pane_areas().iter().map(|(pane, _)| *pane).collect()
    }

    /// The area of a panel; empty if it is not visible.
    pub(super) fn pane_area(&self, pane: Pane) -> Rect {
        let found = self.pane_areas().iter().find(|(known, _)| *known == pane);
        found.map_or(Rect::ZERO, |(_, area)| *area)
    }

    /// The element at this column and row.
    pub(super) fn place(&self, (column, row): (u16, u16)) -> Place {
        let Self::Full(screen) = self else {
            return Place::Nothing;
        };
        let header = screen.header;
        if header.height > 2 && row == header.y + 2 {
            return Place::Pages;
        }
        let at = Position::new(column, row);
        let found = screen.panes.iter().find(|(_, area)| area.contains(at));
        found.map_or(Place::Nothing, |(pane, area)| Place::Pane(*pane, *area))
    }
}

/// Stacks panels vertically. Heights are assigned to panels of fixed height first; the others share the remaining rows.
fn stack(input: &LayoutInput<'_>, heights: &[Height], body: Rect) -> Vec<(Pane, Rect)> {
    let stacked = input.page.panes().iter().copied().zip(heights);
    let requested = |(pane, height): (Pane, &Height)| {
        let rows = || (input.rows)(pane, body);
        match *height {
            Height::Share | Height::Part { .. } => None,
            Height::Content => Some(rows().min(body.height - body.height / 3)),
            Height::Third => Some(rows().min(body.height / 3)),
        }
    };
    let requested: Vec<Option<u16>> = stacked.clone().map(requested).collect();
    let left = body.height.saturating_sub(requested.iter().flatten().sum());
    let fixed = |(height, requested): (&Height, Option<u16>)| match *height {
        Height::Part { of, least } => Some((left / of.max(1)).max(least)),
        Height::Share | Height::Content | Height::Third => requested,
    };
    let wanted: Vec<Option<u16>> = heights.iter().zip(requested).map(fixed).collect();
    let taken: u16 = wanted.iter().flatten().sum();
    let mut sharers = wanted.iter().filter(|rows| rows.is_none()).count() as u16;
    let (mut spare, mut rest) = (body.height.saturating_sub(taken), body);
    let mut panes = Vec::new();
    for ((pane, _), rows) in stacked.zip(wanted) {
        if rows == Some(0) {
            continue;
        }
        let rows = rows.unwrap_or_else(|| {
            let part = spare.div_ceil(sharers.max(1));
            (spare, sharers) = (spare - part, sharers.saturating_sub(1));
            part
        });
        let area;
        (area, rest) = top(rest, rows);
        panes.push((pane, area));
    }
    panes
}

fn overview(input: &LayoutInput<'_>, body: Rect) -> (Vec<(Pane, Rect)>, Option<Rect>) {
    // 58 % for the charts; on narrow screens less, as the classes need at least 36 columns.
    let left = (body.width * 58 / 100).min(body.width.saturating_sub(36));
    let (left, right) = split(body, left);
    let (left, result) = if let Some(rows) = input.result {
        let (result, left) = bottom(left, rows(left.width).min(left.height / 2));
        (left, Some(result))
    } else {
        (left, None)
    };
    let mut panes = charts(left);
    panes.extend(right_column(input, right));
    (panes, result)
}

/// Three charts of about equal height. The lowest also has the clip row and the shared x-axis.
fn charts(area: Rect) -> Vec<(Pane, Rect)> {
    let extra = 2;
    let third = area.height.saturating_sub(extra) / 3;
    // Without room for three charts of at least three rows the accuracy is omitted.
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

fn right_column(input: &LayoutInput<'_>, area: Rect) -> Vec<(Pane, Rect)> {
    // On tall screens the classes also have a row of headings and one for calibration.
    let (headings, most) = if area.height >= 30 {
        (2, area.height / 2)
    } else {
        (0, 11)
    };
    let wanted = (input.rows)(Pane::Classes, area)
        .saturating_add(headings)
        .min(most);
    if area.height < wanted + GALLERY_LEAST {
        return vec![(Pane::Classes, area)];
    }
    let (classes, rest) = top(area, wanted);
    let (room, _) = top(rest, rest.height.saturating_sub(LOG_WANTED));
    let gallery = (input.rows)(Pane::Gallery, room).min(rest.height);
    if rest.height < gallery + LOG_LEAST {
        return vec![(Pane::Classes, classes), (Pane::Gallery, rest)];
    }
    let (middle, log) = top(rest, gallery);
    vec![
        (Pane::Classes, classes),
        (Pane::Gallery, middle),
        (Pane::Log, log),
    ]
}

/// Splits an area below the first `rows` rows. Returns the upper and the lower part.
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

/// Splits an area above the last `rows` rows. Returns the lower part, then the upper part.
pub(super) fn bottom(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    let (rest, foot) = top(area, area.height - rows);
    (foot, rest)
}

/// Splits an area after `left` columns, with a gutter in between. Returns the left and the right part.
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
