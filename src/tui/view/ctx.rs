//! The description of a panel, and the context it is drawn with.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use crate::run::CurveId;
use crate::tui::app::App;
use crate::tui::dots::Dots;
use crate::tui::page::{Page, Pane};
use crate::tui::symbols::Symbols;
use crate::tui::text::{columns, outside};
use crate::tui::theme::{Role, Theme};

/// Describes a panel: its name, how it is drawn, how it responds to keys and the mouse, and the data it requests.
pub struct Panel {
    /// The panel described.
    pub pane: Pane,
    /// The name on the screen.
    pub title: &'static str,
    /// The page on which the panel is largest.
    pub page: Page,
    /// Whether it has the common time axis. The cursor, the wheel and the chart keys then apply to it, and it scrolls
    /// only in a zoomed pane.
    pub(in crate::tui) time_axis: bool,
    /// Whether its plot has the same columns as the other charts, so that the lowest of them can draw the axis for all.
    pub(in crate::tui) shares_axis: bool,
    /// Placeholder text until there are data to show.
    pub(in crate::tui) empty: &'static str,
    /// Draws the panel including its title.
    pub(in crate::tui) draw: fn(&Ctx<'_>, Rect, &mut Buffer),
    /// Whether the panel is present: whether it has, or will have, data to show.
    pub(in crate::tui) exists: fn(&App) -> bool,
    /// Preferred number of rows; 0 if it fills the space it gets.
    pub(in crate::tui) rows: fn(&App, Rect) -> u16,
    /// Data it needs that are not part of the run state.
    pub(in crate::tui) needs: Need,
    /// Action of up, down and the wheel.
    pub(in crate::tui) scroll: Scroll,
    /// The last valid position. It is computed after each message, so it must be cheap.
    pub(in crate::tui) last: fn(&App) -> usize,
    /// Action of left and right; `None` if they move the focus to the next panel.
    pub(in crate::tui) walk: Option<fn(&mut App, isize)>,
    /// Action of a click at a position in its area.
    pub(in crate::tui) click: fn(&mut App, Rect, Position),
    /// Action of the key `zoom`.
    pub(in crate::tui) enter: fn(&mut App) -> Step,
    /// Action of the key `back`.
    pub(in crate::tui) back: fn(&mut App) -> Step,
    /// The hint about the arrow keys in the footer.
    pub(in crate::tui) hint: Option<(Arrows, &'static str)>,
}

/// Action of up, down and the wheel.
#[derive(Clone, Copy)]
pub(in crate::tui) enum Scroll {
    /// Move the focus to the panel above or below.
    No,
    /// Change the position of the panel.
    List,
    /// Call a function; if it returns [`Step::Pass`], the focus moves to the panel above or below.
    Own(fn(&mut App, isize) -> Step),
}

/// How a panel handled a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui) enum Step {
    /// Not handled: the key has its default action.
    Pass,
    /// Handled completely.
    Done,
    /// Handled; this page must be opened.
    Open(Page),
}

/// Data that a panel requests from the session.
#[derive(Clone, Copy)]
pub(in crate::tui) enum Need {
    /// These curves in full resolution over the range shown.
    Curves(fn(&App) -> Vec<CurveId>),
    /// Test images.
    Images,
    /// No data.
    Nothing,
}

/// The arrow keys a hint refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui) enum Arrows {
    /// Up and down.
    Vertical,
    /// All four.
    All,
}

/// The context that every panel is drawn with.
pub(in crate::tui) struct Ctx<'a> {
    /// The state to draw.
    pub(super) app: &'a App,
    /// The styles of the roles.
    pub(super) theme: &'a Theme,
    /// The characters of the screen: Unicode or ASCII.
    pub(super) symbols: &'static Symbols,
    /// The entries of all panels.
    pub(super) panels: &'static [Panel; Pane::ALL.len()],
}

impl Ctx<'_> {
    /// The style of a role.
    pub(super) fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }

    /// The entry of a panel.
    pub(super) fn panel(&self, pane: Pane) -> &'static Panel {
        &self.panels[pane as usize]
    }

    /// The kind of dots that curves are drawn with.
    pub(super) fn dots(&self) -> Dots {
        if self.symbols.unicode {
            self.app.settings.dots
        } else {
            Dots::Ascii
        }
    }

    /// The names of all classes, unmodified.
    pub(super) fn classes(&self) -> &[String] {
        let info = self.app.run.info.as_ref();
        info.map_or(&[], |info| &info.dataset.classes)
    }

    /// The name of a class without control characters, in at most `width` columns.
    pub(super) fn class(&self, label: usize, width: u16) -> String {
        let name = self.classes().get(label);
        let name = name.map(|name| outside(name, usize::from(width), self.symbols));
        // A name may consist of invisible characters only.
        name.filter(|name| columns(name.trim()) > 0)
            .unwrap_or_else(|| outside(&format!("class {label}"), usize::from(width), self.symbols))
    }
}
