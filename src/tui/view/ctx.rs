//! What a panel is, and what it needs to draw itself.

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

/// A panel: what it is called, how it is drawn, what keys and the mouse do on it, what it asks of the session.
pub struct Panel {
    /// Which one.
    pub pane: Pane,
    /// The name on the screen.
    pub title: &'static str,
    /// The page that has most room for it.
    pub page: Page,
    /// Whether it has the common time axis: then the cursor, the wheel and the keys of charts act on it, and it scrolls only
    /// where it has the screen alone.
    pub(in crate::tui) time_axis: bool,
    /// Whether its columns are those of the other charts, so that the lowest of them carries the axis of all.
    pub(in crate::tui) shares_axis: bool,
    /// What will appear where there is nothing to show yet.
    pub(in crate::tui) empty: &'static str,
    /// Draws it, title and all.
    pub(in crate::tui) draw: fn(&Ctx<'_>, Rect, &mut Buffer),
    /// Whether it has anything to show, or will have.
    pub(in crate::tui) exists: fn(&App) -> bool,
    /// The rows it would fill in some room; 0 where it takes what it gets.
    pub(in crate::tui) rows: fn(&App, Rect) -> u16,
    /// What it shows that the state of the run does not hold.
    pub(in crate::tui) needs: Need,
    /// What up, down and the wheel do.
    pub(in crate::tui) scroll: Scroll,
    /// The last position it can have; it is kept after each message, so this is cheap.
    pub(in crate::tui) last: fn(&App) -> usize,
    /// What left and right do; else they lead to the panel beside it.
    pub(in crate::tui) walk: Option<fn(&mut App, isize)>,
    /// What a click at a place of its area does.
    pub(in crate::tui) click: fn(&mut App, Rect, Position),
    /// What the key `zoom` does.
    pub(in crate::tui) enter: fn(&mut App) -> Step,
    /// What the key `back` does.
    pub(in crate::tui) back: fn(&mut App) -> Step,
    /// What the footer says of the arrow keys.
    pub(in crate::tui) hint: Option<(Arrows, &'static str)>,
}

/// What up, down and the wheel do.
#[derive(Clone, Copy)]
pub(in crate::tui) enum Scroll {
    /// They lead to the panel above or below.
    No,
    /// They move its position.
    List,
    /// Something of its own; what it passes on leads to the panel above or below.
    Own(fn(&mut App, isize) -> Step),
}

/// What a panel made of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui) enum Step {
    /// Nothing: the key does what it does elsewhere.
    Pass,
    /// All there is to do.
    Done,
    /// This page is to be opened.
    Open(Page),
}

/// Something the session is asked for.
#[derive(Clone, Copy)]
pub(in crate::tui) enum Need {
    /// The stretch of these curves that is shown, closely.
    Curves(fn(&App) -> Vec<CurveId>),
    /// Test images.
    Images,
    /// Nothing.
    Nothing,
}

/// The arrow keys a hint is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui) enum Arrows {
    /// Up and down.
    Vertical,
    /// All four.
    All,
}

/// What every panel needs to draw itself.
pub(in crate::tui) struct Ctx<'a> {
    /// What is shown.
    pub(super) app: &'a App,
    /// How it looks.
    pub(super) theme: &'a Theme,
    /// With which characters.
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

    /// What curves are drawn with.
    pub(super) fn dots(&self) -> Dots {
        if self.symbols.unicode {
            self.app.settings.dots
        } else {
            Dots::Ascii
        }
    }

    /// The names of all classes, as the data has them.
    pub(super) fn classes(&self) -> &[String] {
        let info = self.app.run.info.as_ref();
        info.map_or(&[], |info| &info.dataset.classes)
    }

    /// The name of a class, safe to draw, in at most `width` columns.
    pub(super) fn class(&self, label: usize, width: u16) -> String {
        let name = self.classes().get(label);
        let name = name.map(|name| outside(name, usize::from(width), self.symbols));
        // A name may be nothing that can be seen.
        name.filter(|name| columns(name.trim()) > 0)
            .unwrap_or_else(|| outside(&format!("class {label}"), usize::from(width), self.symbols))
    }
}
