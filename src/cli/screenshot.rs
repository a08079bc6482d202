//! `view --screenshot`: writes a page of a run as an SVG image, without a terminal.

use std::io::{self, Write};
use std::path::Path;

use color_eyre::eyre::{Report, eyre};

use super::args::Size;
use super::print::print_error;
use super::write_file::{Existing, check_new, write_file};
use super::{code, themes};
use crate::config::Loaded;
use crate::link::Link;
use crate::run::ComparedRuns;
use crate::tui::{self, ColorDepth, Dots, Keymap, Settings};

/// The page, size and output file of a screenshot.
pub(super) struct ScreenshotRequest<'a> {
    /// Name of the page.
    pub(super) page: &'a str,
    /// Size of the screen in cells.
    pub(super) size: Size,
    /// Output file; `-` is stdout.
    pub(super) file: &'a Path,
    /// Whether it may replace an existing file.
    pub(super) existing: Existing,
}

/// Draws a page of the run, in 24-bit colour and with all characters, independent of the current terminal.
pub(super) fn draw(
    loaded: &Loaded,
    name: &str,
    link: &Link,
    request: &ScreenshotRequest<'_>,
    others: ComparedRuns,
) -> Result<u8, Report> {
    let to_stdout = request.file == Path::new("-");
    if !to_stdout && let Err(error) = check_new(request.file, request.existing) {
        print_error(&format!("error: {error}"));
        return Ok(code::USAGE);
    }
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
    let Size(columns, rows) = request.size;
    let drawn = tui::draw_once(
        link,
        request.page,
        (columns, rows),
        &theme,
        settings,
        others,
    );
    let buffer = match drawn {
        Ok(buffer) => buffer,
        Err(error) => {
            print_error(&format!("error: {error}"));
            return Ok(code::USAGE);
        }
    };
    let title = format!("epochtop · {name} · {}", request.page);
    let svg = tui::svg(&buffer, &theme, &title);
    if to_stdout {
        let mut out = io::stdout().lock();
        match out.write_all(svg.as_bytes()).and_then(|()| out.flush()) {
            // A closed pipe (for example `| head`) is not an error.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(eyre!("standard output: {error}"));
            }
            _ => {}
        }
    } else {
        write_file(request.file, svg.as_bytes(), request.existing)?;
    }
    Ok(code::COMPLETED)
}
