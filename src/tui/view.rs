//! The screen as a function of the [`App`] and the [`Theme`]: no clock, no files, no environment.
//!
//! [`layout`] says what goes where; each panel is one file and draws only inside the area it is given.

mod alerts;
mod axis;
mod calibration;
mod canvas;
mod chart;
mod chart_panel;
mod chart_specs;
mod class_table;
mod classes;
pub(super) mod compare;
mod compare_tables;
mod confusion;
pub(super) mod confusions;
mod essentials;
mod evaluated;
mod footer;
pub(super) mod gallery;
pub(super) mod header;
pub(super) mod images;
mod layers;
pub(super) mod layout;
mod log;
mod marks;
pub(super) mod named;
mod overlay;
mod paint;
pub(super) mod popup;
mod readout;
mod reliability;
mod result;
mod scale;
mod slider;
mod system;
mod thumbnails;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::app::{App, Popup};
use super::dots::Dots;
use super::page::{Page, Pane};
use super::symbols::{Symbols, symbols};
use super::text::{columns, outside};
use super::theme::{Role, Theme};
use crate::run::CurveId;
use chart_specs::CHARTS;
use layout::Layout;

/// What every panel needs to draw itself.
pub(super) struct Ctx<'a> {
    /// What is shown.
    pub(super) app: &'a App,
    /// How it looks.
    pub(super) theme: &'a Theme,
    /// With which characters.
    pub(super) symbols: &'static Symbols,
}

impl Ctx<'_> {
    /// The style of a role.
    pub(super) fn style(&self, role: Role) -> Style {
        self.theme.style(role)
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

/// Draws the whole screen.
pub fn view(app: &App, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    draw(app, theme, area, frame.buffer_mut());
}

/// Draws the whole screen into a part of a buffer, and nothing outside of it.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let ctx = Ctx {
        app,
        theme,
        symbols: symbols(app.settings.ascii),
    };
    buf.set_style(area, theme.style(Role::Screen));
    match layout::arrange(app, area) {
        Layout::Essentials(area) => {
            essentials::draw(&ctx, area, buf);
            alerts::foot(&ctx, area, buf);
        }
        Layout::Full(screen) => {
            header::draw(&ctx, &screen.left_out, screen.header, buf);
            alerts::bar(&ctx, screen.alerts, buf);
            for (pane, area) in &screen.panes {
                draw_pane(&ctx, *pane, *area, buf);
            }
            if let Some(area) = screen.result {
                result::draw(&ctx, area, buf);
            }
            if let Some(area) = screen.slider {
                slider::draw(&ctx, area, buf);
            }
            footer::draw(&ctx, screen.footer, buf);
        }
    }
    match &app.ui.popup {
        Some(Popup::Help(from)) => popup::help(&ctx, *from, area, buf),
        Some(Popup::Quit) => popup::quit(&ctx, area, buf),
        Some(Popup::Prompt(prompt)) => popup::prompt(&ctx, prompt, area, buf),
        None => {}
    }
}

/// The curves on the screen.
pub(super) fn curves(app: &App) -> Vec<CurveId> {
    let panes = layout::visible(app);
    let own = CHARTS.iter().filter(|spec| panes.contains(&spec.pane));
    let mut curves: Vec<CurveId> = own.map(|spec| spec.line.into()).collect();
    if panes.contains(&Pane::Metrics) {
        curves.extend(named::shown(app));
    }
    curves
}

fn draw_pane(ctx: &Ctx<'_>, pane: Pane, area: Rect, buf: &mut Buffer) {
    match pane {
        Pane::Loss | Pane::Accuracy | Pane::Gradient | Pane::Rate => {
            let spec = CHARTS.iter().find(|spec| spec.pane == pane);
            spec.into_iter()
                .for_each(|spec| chart_panel::panel(ctx, spec, area, buf));
        }
        Pane::Metrics => named::draw(ctx, area, buf),
        Pane::Layers => layers::draw(ctx, area, buf),
        Pane::Classes => classes::draw(ctx, area, buf),
        Pane::Confusion => confusion::draw(ctx, area, buf),
        Pane::Calibration => calibration::draw(ctx, area, buf),
        Pane::Gallery if ctx.app.ui.page == Page::Gallery => images::draw(ctx, area, buf),
        Pane::Gallery => gallery::draw(ctx, area, buf),
        Pane::Log => log::draw(ctx, area, buf),
        Pane::Compare => compare::draw(ctx, area, buf),
        Pane::System => system::draw(ctx, area, buf),
    }
}
