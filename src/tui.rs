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
mod color;
mod drive;
mod input;
mod keymap;
mod plot;
mod symbols;
mod terminal;
mod text;
mod theme;
mod update;
mod view;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::config::Art;
use crate::link::Link;

pub use action::Action;
pub use app::{App, Notice, Pane, Popup, Settings, Ui};
pub use color::{ColorDepth, utf8_locale};
pub use drive::{Pace, drive};
pub use keymap::{Key, Keymap};
pub use plot::Plot;
pub use terminal::{Painter, Tty};
pub use theme::{Role, Theme, themes};
pub use update::{Effect, Msg, update};
pub use view::view;

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
    /// At most this many frames a second.
    pub fps: u32,
    /// Set by a signal: leave as soon as the run has finished.
    pub leave: Arc<AtomicBool>,
}

/// Why the screen is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The run has finished, as was asked for.
    Finished,
    /// The user left, after the run had ended or from a replay.
    Left,
    /// The terminal is gone: go on without a screen.
    HungUp,
}

/// Shows the run behind the link on this process's terminal until it is left.
///
/// `tty` is a duplicate of stdout, so the caller may send fds 1 and 2 elsewhere once it is open.
///
/// # Errors
/// When the terminal cannot be set up; it is then as it was before.
pub fn run(tty: Tty, link: &Link, options: Options) -> io::Result<Exit> {
    let Options {
        theme,
        mut themes,
        keymap,
        ascii,
        color,
        art,
        fps,
        leave,
    } = options;
    // The first theme is the one to begin with; the key walks on from there.
    let name = theme.name().to_owned();
    match themes.iter().position(|(known, _)| *known == name) {
        Some(at) => themes.rotate_left(at),
        None => themes.insert(0, (name, theme)),
    }
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
        themes: names,
    };
    let mut app = App::new(settings, link.requests.is_some());

    let mut session = terminal::Session::enter(tty)?;
    let (input, reader) = input::spawn();
    let pace = Pace {
        fps,
        leave,
        now_ms: drive::wall_clock,
    };
    let exit = drive(session.terminal(), &mut app, &themes, link, &input, &pace);
    if exit == Exit::HungUp {
        session.abandon();
    } else {
        drop(session);
    }
    drop(reader);
    Ok(exit)
}
