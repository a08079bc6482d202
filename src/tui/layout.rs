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
//! A panel without room is named at the right end of the header, with the key of the page that has room for it. Computed after each
//! message by [`update`](super::update()); the view, the mouse and the questions to the session read it.

use ratatui::layout::{Position, Rect};

use super::page::{Arrangement, Height, Page, Pane};

/// Smallest screen with panels.
const PANES: (u16, u16) = (60, 16);
/// Rows from which the names of the pages have a row.
const PAGES: u16 = 28;
/// Columns between left and right.
pub(super) const GUTTER: u16 = 2;
/// Rows an image needs to be worth showing: its title, the image, the row of marks.
const GALLERY_LEAST: u16 = 8;
/// Rows from which the log is worth its title.
const LOG_LEAST: u16 = 4;
/// Rows that images leave for it below them.
const LOG_WANTED: u16 = LOG_LEAST + 4;

/// What the layout depends on.
pub(super) struct Facts<'a> {
    pub(super) page: Page,
    pub(super) focus: Pane,
    /// Whether the focused panel has the screen.
    pub(super) alone: bool,
    /// Whether there is an alert to show.
    pub(super) alerts: bool,
    /// Whether a run is replayed.
    pub(super) replay: bool,
    /// The rows of the result at a width; `None` while the run goes on.
    pub(super) result: Option<&'a dyn Fn(u16) -> u16>,
    /// Whether a panel has anything to show, or will have.
    pub(super) exists: &'a dyn Fn(Pane) -> bool,
    /// The rows a panel would fill in some room.
    pub(super) rows: &'a dyn Fn(Pane, Rect) -> u16,
}

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// Too small for panels.
    Essentials(Rect),
    /// The screen.
    Full(Screen),
}

/// The areas of a screen with panels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Screen {
    pub(super) area: Rect,
    pub(super) header: Rect,
    /// No row while all is well.
    pub(super) alerts: Rect,
    pub(super) panes: Vec<(Pane, Rect)>,
    /// Panels of this page that have no room; none where one was asked to be alone.
    pub(super) left_out: Vec<Pane>,
    pub(super) result: Option<Rect>,
    /// The row of a replay.
    pub(super) slider: Option<Rect>,
    pub(super) footer: Rect,
}

/// What is at a place of the screen.
pub(super) enum Place {
    /// The row with the names of the pages.
    Pages,
    /// A panel, with its area.
    Pane(Pane, Rect),
    /// Nothing that does anything.
    Nothing,
}

impl Default for Layout {
    fn default() -> Self {
        Self::Essentials(Rect::ZERO)
    }
}

impl Layout {
    /// Divides the screen.
    pub(super) fn of(facts: &Facts<'_>, area: Rect) -> Self {
        if area.width < PANES.0 || area.height < PANES.1 {
            return Self::Essentials(area);
        }
        let (header, rest) = top(area, if area.height >= PAGES { 3 } else { 2 });
        let (alerts, rest) = top(rest, u16::from(facts.alerts));
        let (footer, body) = bottom(rest, 1);
        let (slider, body) = bottom(body, u16::from(facts.replay));
        let (panes, result) = match facts.page.arrangement() {
            _ if facts.alone => (vec![(facts.focus, body)], None),
            Arrangement::Stack(heights) => (stack(facts, heights, body), None),
            Arrangement::Overview => overview(facts, body),
        };
        let shown = |pane: &Pane| panes.iter().any(|(known, _)| known == pane);
        let wanting = |pane: &Pane| !shown(pane) && (facts.exists)(*pane);
        let all = facts.page.panes().iter().copied();
        let left_out = all.filter(|pane| !facts.alone && wanting(pane)).collect();
        Self::Full(Screen {
            area,
            header,
            alerts,
            left_out,
            panes,
            result,
            slider: facts.replay.then_some(slider),
            footer,
        })
    }

    /// The whole area that is divided.
    pub(super) fn area(&self) -> Rect {
        match self {
            Self::Essentials(area) => *area,
            Self::Full(screen) => screen.area,
        }
    }

    fn placed(&self) -> &[(Pane, Rect)] {
        match self {
            Self::Essentials(_) => &[],
            Self::Full(screen) => &screen.panes,
        }
    }

    /// The panels on the screen, in the order of the focus.
    pub(super) fn visible(&self) -> Vec<Pane> {
        self.placed().iter().map(|(pane, _)| *pane).collect()
    }

    /// Where a panel is; nowhere if it is not on the screen.
    pub(super) fn pane_area(&self, pane: Pane) -> Rect {
        let found = self.placed().iter().find(|(known, _)| *known == pane);
        found.map_or(Rect::ZERO, |(_, area)| *area)
    }

    /// What is at this column and row.
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

/// Panels one below the other; those of fixed height first, the others share the rest.
fn stack(facts: &Facts<'_>, heights: &[Height], body: Rect) -> Vec<(Pane, Rect)> {
    let stacked = facts.page.panes().iter().copied().zip(heights);
    let asked = |(pane, height): (Pane, &Height)| {
        let rows = || (facts.rows)(pane, body);
        match *height {
            Height::Share | Height::Part { .. } => None,
            Height::Content => Some(rows().min(body.height - body.height / 3)),
            Height::Third => Some(rows().min(body.height / 3)),
        }
    };
    let asked: Vec<Option<u16>> = stacked.clone().map(asked).collect();
    let left = body.height.saturating_sub(asked.iter().flatten().sum());
    let fixed = |(height, asked): (&Height, Option<u16>)| match *height {
        Height::Part { of, least } => Some((left / of.max(1)).max(least)),
        Height::Share | Height::Content | Height::Third => asked,
    };
    let wanted: Vec<Option<u16>> = heights.iter().zip(asked).map(fixed).collect();
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

fn overview(facts: &Facts<'_>, body: Rect) -> (Vec<(Pane, Rect)>, Option<Rect>) {
    // 58 % for what changes with time; on narrow screens the classes need their columns more.
    let left = (body.width * 58 / 100).min(body.width.saturating_sub(36));
    let (left, right) = split(body, left);
    let (left, result) = if let Some(rows) = facts.result {
        let (result, left) = bottom(left, rows(left.width).min(left.height / 2));
        (left, Some(result))
    } else {
        (left, None)
    };
    let mut panes = charts(left);
    panes.extend(right_column(facts, right));
    (panes, result)
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

fn right_column(facts: &Facts<'_>, area: Rect) -> Vec<(Pane, Rect)> {
    // Where there is room, a row of headings and one of calibration.
    let (headings, most) = if area.height >= 30 {
        (2, area.height / 2)
    } else {
        (0, 11)
    };
    let wanted = (facts.rows)(Pane::Classes, area)
        .saturating_add(headings)
        .min(most);
    if area.height < wanted + GALLERY_LEAST {
        return vec![(Pane::Classes, area)];
    }
    let (classes, rest) = top(area, wanted);
    let (room, _) = top(rest, rest.height.saturating_sub(LOG_WANTED));
    let gallery = (facts.rows)(Pane::Gallery, room).min(rest.height);
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
