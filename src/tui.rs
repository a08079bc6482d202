//! The face: a run on a terminal.
//!
//! [`view()`] draws an [`App`]; an `App` changes only in [`update()`]; neither knows a clock, a file or the environment.
//! What does is at the rim: `terminal` (what is sent and how it is put back), `input` (keys, resizes, hang-up) and
//! `drive`, the one loop that joins them. Nothing here knows whether the [`Link`] ends in a thread, a socket or a file.
//!
//! The terminal is never asked anything and never trusted: it may vanish at any moment, and then the run goes on.

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
mod still;
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
use crate::run::{Beside, RunState};

pub use action::Action;
pub use app::{
    App, Control, FrameStats, Home, Notice, Palette, Popup, Prompt, Settings, Ui, Wanted,
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
pub use replay::{ReplayView, Story, Wish};
pub use still::{draw_once, pages};
pub use svg::svg;
pub use terminal::{Painter, Tty};
pub use theme::{Role, Theme, Themes, themes};
pub use update::update;
pub use view::ctx::Panel;
pub use view::{PANELS, draw, panel, view};

/// How the screen looks and behaves.
pub struct Options {
    /// What the colours are at first.
    pub theme: Theme,
    /// All that can be changed to, by name.
    pub themes: Vec<(String, Theme)>,
    /// Which keys do what.
    pub keymap: Keymap,
    /// Keep to ASCII.
    pub ascii: bool,
    /// What the terminal can show.
    pub color: ColorDepth,
    /// How images are drawn.
    pub art: Art,
    /// What curves are drawn with.
    pub dots: Dots,
    /// Take the mouse, which then selects no text.
    pub mouse: bool,
    /// At most this many frames a second.
    pub fps: u32,
    /// How the screen belongs to the run.
    pub home: Home,
    /// Runs shown beside it.
    pub others: Beside,
    /// What signals ask of the screen.
    pub signals: Signals,
    /// The page to begin with, by its name in [`pages`].
    pub page: Option<String>,
    /// How somebody who looks elsewhere is told.
    pub notify: NotifyConfig,
}

/// A screen that is gone.
#[derive(Debug)]
pub struct Shown {
    /// Why.
    pub exit: Exit,
    /// The run as it was shown last.
    pub run: RunState,
    /// Why nothing more came of the run, if it had not told its end.
    pub gone: Option<String>,
}

/// Shows the run behind the link on this process's terminal until it is left.
///
/// `tty` is a duplicate of stdout, so the caller may send fds 1 and 2 elsewhere once it is open.
///
/// # Errors
/// When the terminal cannot be set up; it is then as it was before.
pub fn run(tty: &Tty, link: &Link, options: Options) -> io::Result<Shown> {
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
        home,
        others,
        signals,
        page,
        notify,
    } = options;
    let themes = first(theme, themes);
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
        home,
        notify,
    };
    let mut app = App::new(settings, link.requests.is_some());
    if let Some(page) = page {
        still::open(&mut app, &page).map_err(io::Error::other)?;
    }
    app.beside(others);
    // What is first on the screen, until a key is pressed: that leaving costs nothing, and the way back.
    let back = app.settings.home.come_back.as_ref();
    app.ui.notice = back.map(|command| Notice {
        // The whole path of the program is in the dialog, and above the screen; here there is no room for it.
        text: format!(
            "d leaves, {} comes back",
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
                return Ok(Shown {
                    exit,
                    run: app.replay.map_or(app.run, |view| *view.whole),
                    gone: app.gone,
                });
            }
        }
    }
}

/// The theme to begin with, then the others, which the key walks through.
fn first(theme: Theme, mut themes: Vec<(String, Theme)>) -> Vec<(String, Theme)> {
    let name = theme.name().to_owned();
    match themes.iter().position(|(known, _)| *known == name) {
        Some(at) => themes.rotate_left(at),
        None => themes.insert(0, (name, theme)),
    }
    themes
}
