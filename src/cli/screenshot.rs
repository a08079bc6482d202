//! `view --screenshot`: a page of a run as a screenshot, made without a terminal.

use std::io::{self, Write};
use std::path::Path;

use color_eyre::eyre::{Report, eyre};
use fs_err as fs;

use super::args::Size;
use super::print::complain;
use super::{code, themes};
use crate::config::Loaded;
use crate::link::Link;
use crate::run::Beside;
use crate::tui::{self, ColorDepth, Dots, Keymap, Settings};

/// What is drawn where.
pub(super) struct Wanted<'a> {
    /// The page's name.
    pub(super) page: &'a str,
    /// Of the screen that is drawn.
    pub(super) size: Size,
    /// `-` is stdout.
    pub(super) file: &'a Path,
}

/// Draws a page of the run behind the link, in true colour and with all characters, whatever this terminal can show.
pub(super) fn draw(
    loaded: &Loaded,
    name: &str,
    link: &Link,
    wanted: &Wanted<'_>,
    others: Beside,
) -> Result<u8, Report> {
    let config = &loaded.config;
    let theme = themes::found().0.load(&config.ui.theme)?;
    let settings = Settings {
        keymap: Keymap::from_config(&config.keys).map_err(|problems| eyre!("{problems:?}"))?,
        ascii: false,
        color: ColorDepth::True,
        art: config.ui.art,
        dots: Dots::choose(config.ui.chart, false, |_| None),
        themes: vec![theme.name().to_owned()],
        ..Settings::default()
    };
    let Size(columns, rows) = wanted.size;
    let drawn = tui::draw_once(link, wanted.page, (columns, rows), &theme, settings, others);
    let buffer = match drawn {
        Ok(buffer) => buffer,
        Err(error) => {
            complain(&format!("error: {error}"));
            return Ok(code::USAGE);
        }
    };
    let title = format!("epochtop · {name} · {}", wanted.page);
    let svg = tui::svg(&buffer, &theme, &title);
    if wanted.file == Path::new("-") {
        let mut out = io::stdout().lock();
        match out.write_all(svg.as_bytes()).and_then(|()| out.flush()) {
            // A reader that went away wanted no more.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(eyre!("standard output: {error}"));
            }
            _ => {}
        }
    } else {
        fs::write(wanted.file, svg)?;
    }
    Ok(code::COMPLETED)
}
