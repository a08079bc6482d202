//! The screen as a function of the [`App`] and the [`Theme`]: no clock, no files, no environment.
//!
//! Each panel is one file, which draws only inside the area it is given, and one entry in [`PANELS`]. Nothing in this folder
//! imports this file.

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
mod essentials;
mod evaluated;
mod footer;
pub(super) mod gallery;
pub(super) mod header;
mod heat;
pub(super) mod images;
mod layers;
mod log;
mod marks;
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
use super::layout::{Facts, Layout};
use super::page::{Page, Pane};
use super::symbols::symbols;
use super::theme::{Role, Theme};
use ctx::{Arrows, Ctx, Need, Panel, Scroll, Step};

/// What most panels have in common.
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

/// What panels with the common time axis have in common.
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
        empty: "the loss of every step appears here with the first step",
        draw: |ctx, area, buf| chart_panel::panel(ctx, &chart_specs::LOSS, area, buf),
        needs: Need::Curves(|_| vec![chart_specs::LOSS.line.into()]),
        ..CHART
    },
    Panel {
        pane: Pane::Accuracy,
        title: "Accuracy",
        empty: "the share of images told rightly appears here with the first step",
        draw: |ctx, area, buf| chart_panel::panel(ctx, &chart_specs::ACCURACY, area, buf),
        needs: Need::Curves(|_| vec![chart_specs::ACCURACY.line.into()]),
        ..CHART
    },
    Panel {
        pane: Pane::Gradient,
        title: "Gradient norm",
        page: Page::Gradients,
        empty: "the norm of the gradient before clipping appears here with the first step",
        draw: |ctx, area, buf| chart_panel::panel(ctx, &chart_specs::GRADIENT, area, buf),
        needs: Need::Curves(|_| vec![chart_specs::GRADIENT.line.into()]),
        ..CHART
    },
    Panel {
        pane: Pane::Rate,
        title: "Learning rate",
        empty: "the learning rate of every step appears here with the first step",
        draw: |ctx, area, buf| chart_panel::panel(ctx, &chart_specs::RATE, area, buf),
        needs: Need::Curves(|_| vec![chart_specs::RATE.line.into()]),
        ..CHART
    },
    Panel {
        pane: Pane::Metrics,
        title: "Metrics",
        empty: "curves that the trainer logs by name appear here with their first value",
        draw: named::draw,
        exists: |app| !named::groups(&app.run).is_empty(),
        rows: |app, room| named::rows(app, room.width),
        needs: Need::Curves(named::shown),
        scroll: Scroll::Own(named::scroll),
        last: |_| usize::MAX,
        // A click in one of several charts side by side would name a step of another column.
        click: PANEL.click,
        shares_axis: false,
        ..CHART
    },
    Panel {
        pane: Pane::Layers,
        title: "Layers",
        page: Page::Gradients,
        empty: "how far each parameter is moved appears here with the end of the first epoch",
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
        empty: "F1 of each class over the epochs appears after the first validation, at the end of epoch 1",
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
        empty: "what is taken for what appears after the first validation, at the end of epoch 1",
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
        empty: "what the probabilities are worth appears after the first validation, at the end of epoch 1",
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
        empty: "CPU, memory, disk and GPUs appear here once they have been looked at, every \
                system.every_seconds of the run (5; 0 is never). Runs of older versions have nothing of it.",
        draw: system::draw,
        ..PANEL
    },
    Panel {
        pane: Pane::Log,
        title: "Log",
        page: Page::Log,
        empty: "checkpoints, requests and warnings appear here",
        draw: log::draw,
        // Scrolled back from its end.
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
        empty: "other runs appear here beside this one: `epochtop view A B` lays runs over each other, \
                `epochtop attach --beside RUN` and `epochtop train --beside RUN` put one behind a live run",
        draw: compare::draw,
        scroll: Scroll::Own(|app, by| {
            let last = compare::last_scroll(app);
            app.ui.panels.shift(Pane::Compare, by, last);
            Step::Done
        }),
        // All of the page would have to be laid out.
        last: |_| usize::MAX,
        hint: Some((Arrows::Vertical, "scroll")),
        ..PANEL
    },
];

/// Each panel has its entry at its place.
const _: () = {
    let mut at = 0;
    while at < TABLE.len() {
        assert!(TABLE[at].pane as usize == at);
        at += 1;
    }
};

/// The entry of a panel.
pub fn panel(pane: Pane) -> &'static Panel {
    &PANELS[pane as usize]
}

/// Where everything goes on a screen of this area.
pub(super) fn arrange(app: &App, area: Rect) -> Layout {
    let result = |width| result::rows(app, width);
    let facts = Facts {
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
        panels: &PANELS,
    };
    buf.set_style(area, theme.style(Role::Screen));
    // A terminal may be of another size than it said last.
    let other = (area != app.layout.area()).then(|| arrange(app, area));
    match other.as_ref().unwrap_or(&app.layout) {
        Layout::Essentials(area) => {
            essentials::draw(&ctx, *area, buf);
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
