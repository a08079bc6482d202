//! The terminal user interface: shows a run on a terminal.
//!
//! [`view()`] draws an [`App`], and only [`update()`] changes it; neither reads a clock, a file or the environment.
//! Input and output are in `terminal` (setup, output and restoration), `input` (keys, resizes, hang-up) and `drive`,
//! the event loop that connects them. No code here depends on whether the [`Link`] ends in a thread, a socket or a
//! file.
//!
//! The terminal is never queried. It may disappear at any time, and then the run continues.

mod action;
mod app;
pub mod art;
mod attention;
mod charts;
mod color;
mod dots;
mod drive;
mod exit;
mod input;
mod keymap;
mod layout;
mod lookup;
mod msg;
mod page;
mod panels;
mod plot;
mod prompt;
mod replay;
mod single_frame;
mod suspend;
mod svg;
mod symbols;
mod terminal;
mod text;
mod theme;
mod update;
mod view;

use std::io;

use crate::config::{Art, NotifyConfig};
use crate::link::Link;
use crate::run::{ComparedRuns, RunState};
use app::ConnectionLoss;

pub use action::Action;
pub use app::{
    App, Attachment, Control, FrameStats, Notice, Palette, Popup, Prompt, Settings, Ui, Wanted,
};
pub use charts::{Axis, Charts, Extent};
pub use color::{ColorDepth, utf8_locale};
pub use dots::Dots;
pub use drive::{Pace, drive};
pub use exit::{Exit, Signals};
pub use keymap::{Key, Keymap};
pub use lookup::Lookups;
pub use msg::{Effect, MouseKind, Msg};
pub use page::{Page, Pane};
pub use panels::{Images, Panels};
pub use plot::Plot;
pub use replay::{ReplayRequest, ReplayState, ReplayView};
pub use single_frame::{draw_once, pages};
pub use svg::svg;
pub use terminal::{Painter, Tty};
pub use theme::{Role, Theme, Themes, themes};
pub use update::update;
pub use view::ctx::Panel;
pub use view::{PANELS, draw, panel, view};

/// Appearance and behaviour of the screen.
pub struct Options {
    /// The initial theme.
    pub theme: Theme,
    /// All themes that can be selected, with their names.
    pub themes: Vec<(String, Theme)>,
    /// The key bindings.
    pub keymap: Keymap,
    /// Draw with ASCII characters only.
    pub ascii: bool,
    /// The colour depth of the terminal.
    pub color: ColorDepth,
    /// How images are drawn.
    pub art: Art,
    /// The characters that curves are drawn with.
    pub dots: Dots,
    /// Capture the mouse; it can then no longer select text.
    pub mouse: bool,
    /// Maximum number of frames per second.
    pub fps: u32,
    /// How the screen is attached to the run.
    pub attachment: Attachment,
    /// The runs to compare with.
    pub others: ComparedRuns,
    /// Flags that signal handlers set for the screen.
    pub signals: Signals,
    /// The initial page, by its name in [`pages`].
    pub page: Option<String>,
    /// Which events ring the bell or send a desktop notification.
    pub notify: NotifyConfig,
}

/// The result of a screen that was closed.
#[derive(Debug)]
pub struct ScreenResult {
    /// Why it was closed.
    pub exit: Exit,
    /// The last state of the run.
    pub run: RunState,
    /// How the connection was lost, if the run did not report its end.
    pub loss: Option<ConnectionLoss>,
}

/// Shows the run behind the link on the terminal of this process until the screen is closed.
///
/// `tty` is a duplicate of stdout, so the caller may redirect fds 1 and 2 once it is open.
///
/// # Errors
/// If the terminal cannot be set up or `options.page` does not exist. The terminal is then restored.
pub fn run(tty: &Tty, link: &Link, options: Options) -> io::Result<ScreenResult> {
    let Options {
        theme,
        themes,
        keymap,
        ascii,
        color,
        art,
        dots,
        mouse,
        fps,
        attachment,
        others,
        signals,
        page,
        notify,
    } = options;
    let themes = starting_with(theme, themes);
    let names = themes.iter().map(|(name, _)| name.clone()).collect();
    let themes: Vec<Theme> = themes
        .into_iter()
        .map(|(_, theme)| theme.reduced(color))
        .collect();
    let settings = Settings {
        keymap,
        ascii,
        color,
        art,
        dots,
        themes: names,
        attachment,
        notify,
    };
    let mut app = App::new(settings, link.requests.is_some());
    if let Some(page) = page {
        single_frame::open(&mut app, &page).map_err(io::Error::other)?;
    }
    app.set_compared_runs(others);
    // Shown until a key is pressed, so that a new user knows that leaving does not stop the run.
    let reattach = app.settings.attachment.reattach.as_ref();
    app.ui.notice = reattach.map(|command| Notice {
        // The full path of the program is too long here; the quit dialog shows it.
        text: format!(
            "d detaches; reattach: {}",
            command.rsplit('/').next().unwrap_or(command)
        ),
        at_ms: drive::wall_clock(),
    });
    loop {
        let mut session = terminal::Session::enter(tty.try_clone()?, mouse)?;
        let (input, reader) = input::spawn();
        let (state, sent) = (session.state(), session.state());
        let (bell, notify) = (session.bell(), app.settings.notify.clone());
        let pace = Pace {
            fps,
            signals: signals.clone(),
            free: Box::new(move || state.is_free()),
            sent: Box::new(move || sent.sent()),
            now_ms: drive::wall_clock,
            notify: Box::new(move |text| bell.ring(&notify, text)),
        };
        let exit = drive(session.terminal(), &mut app, &themes, link, &input, &pace);
        drop(input);
        if exit == Exit::HungUp {
            session.abandon();
        } else {
            drop(session);
            reader.stop();
        }
        match exit {
            Exit::Suspended => suspend::stop(&signals),
            Exit::Foreground => {}
            exit => {
                return Ok(ScreenResult {
                    exit,
                    run: app.replay.map_or(app.run, |view| *view.final_state),
                    loss: app.loss,
                });
            }
        }
    }
}

/// All themes in the order of the theme key, rotated so that the initial one is first.
fn starting_with(theme: Theme, mut themes: Vec<(String, Theme)>) -> Vec<(String, Theme)> {
    let name = theme.name().to_owned();
    match themes.iter().position(|(known, _)| *known == name) {
        Some(at) => themes.rotate_left(at),
        None => themes.insert(0, (name, theme)),
    }
    themes
}
