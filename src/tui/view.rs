//! Draws the screen as a pure function of the [`App`] and the [`Theme`]: it reads no clock, files or environment.
//!
//! Each panel is one file, which draws only inside its area, and one entry in [`PANELS`]. No other file in this folder
//! imports this one.

mod alerts;
mod axis;
mod calibration;
mod canvas;
mod chart;
mod chart_panel;
mod chart_specs;
mod class_table;
mod classes;
mod compare;
mod compare_tables;
mod confusion;
mod confusions;
pub(super) mod ctx;
mod evaluated;
mod footer;
pub(super) mod gallery;
pub(super) mod header;
mod heat;
pub(super) mod images;
mod layers;
mod log;
mod marks;
mod minimal;
mod named;
mod overlay;
mod paint;
pub(super) mod palette;
pub(super) mod pointer;
pub(super) mod popup;
mod readout;
mod reliability;
mod result;
mod scale;
mod slider;
mod system;
mod thumbnails;
mod trends;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::{App, Popup};
use super::layout::{Layout, LayoutInput};
use super::page::{Page, Pane};
use super::symbols::symbols;
use super::theme::{Role, Theme};
use ctx::{Arrows, Ctx, Need, Panel, Scroll, Step};

/// Defaults shared by most panels.
const PANEL: Panel = Panel {
    pane: Pane::Loss,
    title: "",
    page: Page::Overview,
    time_axis: false,
    shares_axis: false,
    empty: "",
    draw: |_, _, _| {},
    exists: |_| true,
    rows: |_, _| 0,
    needs: Need::Nothing,
    scroll: Scroll::No,
    last: |_| 0,
    walk: None,
    click: |_, _, _| {},
    enter: |_| Step::Pass,
    back: |_| Step::Pass,
    hint: None,
};

/// Defaults shared by the panels with the common time axis.
const CHART: Panel = Panel {
    page: Page::Curves,
    time_axis: true,
    shares_axis: true,
    click: pointer::put_cursor,
    walk: Some(pointer::move_cursor),
    hint: Some((Arrows::All, "cursor, panes")),
    ..PANEL
};

/// All panels, in the order of [`Pane`].
pub static PANELS: [Panel; Pane::ALL.len()] = TABLE;

const TABLE: [Panel; Pane::ALL.len()] = [
    Panel {
        pane: Pane::Loss,
        title: "Loss",
        empty: "the loss of each step appears here after the first step",
        draw: |ctx, area, buf| chart_panel::panel(ctx, &chart_specs::LOSS, area, buf),
        needs: Need::Curves(|_| vec![chart_specs::LOSS.line.into()]),
        ..CHART
    },
    Panel {
        pane: Pane::Accuracy,
        title: "Accuracy",
        empty: "the training accuracy appears here after the first step",
        draw: |ctx, area, buf| chart_panel::panel(ctx, &chart_specs::ACCURACY, area, buf),
        needs: Need::Curves(|_| vec![chart_specs::ACCURACY.line.into()]),
        ..CHART
    },
    Panel {
        pane: Pane::Gradient,
        title: "Gradient norm",
        page: Page::Gradients,
        empty: "the gradient norm before clipping appears here after the first step",
        draw: |ctx, area, buf| chart_panel::panel(ctx, &chart_specs::GRADIENT, area, buf),
        needs: Need::Curves(|_| vec![chart_specs::GRADIENT.line.into()]),
        ..CHART
    },
    Panel {
        pane: Pane::Rate,
        title: "Learning rate",
        empty: "the learning rate of each step appears here after the first step",
        draw: |ctx, area, buf| chart_panel::panel(ctx, &chart_specs::RATE, area, buf),
        needs: Need::Curves(|_| vec![chart_specs::RATE.line.into()]),
        ..CHART
    },
    Panel {
        pane: Pane::Metrics,
        title: "Metrics",
        empty: "named metrics logged by the trainer appear here with their first value",
        draw: named::draw,
        exists: |app| !named::groups(&app.run).is_empty(),
        rows: |app, room| named::rows(app, room.width),
        needs: Need::Curves(named::shown),
        scroll: Scroll::Own(named::scroll),
        last: |_| usize::MAX,
        // Clicks are ignored: charts are laid out side by side, so a column does not identify one step for all of them.
        click: PANEL.click,
        shares_axis: false,
        ..CHART
    },
    Panel {
        pane: Pane::Layers,
        title: "Layers",
        page: Page::Gradients,
        empty: "gradient norm and update-to-weight ratio of each parameter appear here after the first epoch",
        draw: layers::draw,
        rows: layers::rows,
        scroll: Scroll::List,
        last: |app| app.run.layers.names.len().saturating_sub(1),
        ..CHART
    },
    Panel {
        pane: Pane::Classes,
        title: "Classes",
        page: Page::Classes,
        empty: "per-class F1 appears after the first validation, at the end of epoch 1",
        draw: classes::draw,
        rows: classes::rows,
        scroll: Scroll::List,
        last: classes::last,
        hint: Some((Arrows::Vertical, "scroll")),
        ..PANEL
    },
    Panel {
        pane: Pane::Trends,
        title: "Class trends",
        page: Page::Trends,
        empty: "F1 of each class by epoch appears after the first validation, at the end of epoch 1",
        draw: trends::draw,
        scroll: Scroll::List,
        last: |app| confusions::classes(app).saturating_sub(1),
        hint: Some((Arrows::Vertical, "scroll")),
        ..PANEL
    },
    Panel {
        pane: Pane::Confusion,
        title: "Confusion",
        page: Page::Confusion,
        empty: "the confusion matrix appears after the first validation, at the end of epoch 1",
        draw: confusion::draw,
        scroll: Scroll::List,
        last: |app| confusions::possible(app).saturating_sub(1),
        enter: confusions::show_images,
        hint: Some((Arrows::Vertical, "pairs")),
        ..PANEL
    },
    Panel {
        pane: Pane::Calibration,
        title: "Calibration",
        page: Page::Calibration,
        empty: "the reliability diagram appears after the first validation, at the end of epoch 1",
        draw: calibration::draw,
        ..PANEL
    },
    Panel {
        pane: Pane::Gallery,
        title: "Gallery",
        page: Page::Gallery,
        empty: gallery::EMPTY,
        draw: gallery::draw,
        rows: gallery::rows,
        scroll: Scroll::Own(|app, by| {
            gallery::next_mistake(app, by);
            Step::Done
        }),
        last: |app| app.run.gallery.labels.len().saturating_sub(1),
        walk: Some(gallery::walk),
        click: gallery::click,
        hint: Some((Arrows::All, "images, mistakes")),
        ..PANEL
    },
    Panel {
        pane: Pane::Images,
        title: "Gallery",
        page: Page::Gallery,
        empty: gallery::EMPTY,
        draw: images::draw,
        needs: Need::Images,
        scroll: Scroll::Own(images::scroll),
        last: |app| images::total(app).saturating_sub(1),
        walk: Some(images::walk),
        click: images::click,
        enter: images::enter,
        back: images::back,
        hint: Some((Arrows::All, "images")),
        ..PANEL
    },
    Panel {
        pane: Pane::System,
        title: "System",
        page: Page::System,
        empty: "CPU, memory, disk and GPUs appear here after the first sample, taken every \
                system.every_seconds (default 5; 0 disables it). Runs of older versions have no samples.",
        draw: system::draw,
        ..PANEL
    },
    Panel {
        pane: Pane::Log,
        title: "Log",
        page: Page::Log,
        empty: "checkpoints, requests and warnings appear here",
        draw: log::draw,
        // Scroll positions count lines back from the end of the log.
        scroll: Scroll::Own(|app, by| {
            let last = log::last(app);
            app.ui.panels.shift(Pane::Log, -by, last);
            Step::Done
        }),
        last: log::last,
        hint: Some((Arrows::Vertical, "scroll")),
        ..PANEL
    },
    Panel {
        pane: Pane::Compare,
        title: "Compare",
        page: Page::Compare,
        empty: "other runs are compared here: `epochtop view A B` compares finished runs, \
                `epochtop attach --reference RUN` and `epochtop train --reference RUN` add a reference to a live run",
        draw: compare::draw,
        scroll: Scroll::Own(|app, by| {
            let last = compare::last_scroll(app);
            app.ui.panels.shift(Pane::Compare, by, last);
            Step::Done
        }),
        // The exact limit would require a layout of the entire page.
        last: |_| usize::MAX,
        hint: Some((Arrows::Vertical, "scroll")),
        ..PANEL
    },
];

/// Compile-time check that each entry is at the index of its pane.
const _: () = {
    let mut at = 0;
    while at < TABLE.len() {
        assert!(TABLE[at].pane as usize == at);
        at += 1;
    }
};

/// The entry of a panel in [`PANELS`].
pub fn panel(pane: Pane) -> &'static Panel {
    &PANELS[pane as usize]
}

/// Computes the layout of a screen of this area.
pub(super) fn arrange(app: &App, area: Rect) -> Layout {
    let result = |width| result::rows(app, width);
    let facts = LayoutInput {
        page: app.ui.page,
        focus: app.ui.focus,
        alone: app.alone(),
        alerts: !app.alerts().is_empty(),
        replay: app.replay.is_some(),
        result: app.over().then_some(&result),
        exists: &|pane| (panel(pane).exists)(app),
        rows: &|pane, room| (panel(pane).rows)(app, room),
    };
    Layout::of(&facts, area)
}

/// Draws the screen into a frame.
pub fn view(app: &App, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    draw(app, theme, area, frame.buffer_mut());
}

/// Draws the screen into `area` of a buffer and leaves the rest of the buffer unchanged.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let ctx = Ctx {
        app,
        theme,
        symbols: symbols(app.settings.ascii),
        panels: &PANELS,
    };
    buf.set_style(area, theme.style(Role::Screen));
    // The terminal size may differ from the last reported one.
    let other = (area != app.layout.area()).then(|| arrange(app, area));
    match other.as_ref().unwrap_or(&app.layout) {
        Layout::Essentials(area) => {
            minimal::draw(&ctx, *area, buf);
            alerts::foot(&ctx, *area, buf);
        }
        Layout::Full(screen) => {
            header::draw(&ctx, &screen.left_out, screen.header, buf);
            alerts::bar(&ctx, screen.alerts, buf);
            for (pane, area) in &screen.panes {
                (panel(*pane).draw)(&ctx, *area, buf);
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
        Some(Popup::Palette(palette)) => palette::draw(&ctx, palette, area, buf),
        None => {}
    }
}
