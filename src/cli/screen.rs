//! The options of the screen, from configuration and environment; and the subcommand `view`.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};

use color_eyre::eyre::{Report, eyre};

use super::args::ScreenshotArgs;
use super::print::{print_error, print_line};
use super::screenshot::{self, ScreenshotRequest};
use super::write_file::Existing;
use super::{code, searched_runs, signals, themes};
use crate::config::{AsciiMode, Loaded, Problem, Problems};
use crate::run::{ComparedRuns, RunState, event_line, final_lines, headline};
use crate::session::{self, RunDir};
use crate::tui::{self, Attachment, Keymap, Signals};

/// Checks whether a screen can be shown.
///
/// # Errors
/// The reason, in a few words, if it cannot.
pub(super) fn available() -> Result<(), String> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err("no terminal".to_owned());
    }
    // A background job that reads from the terminal would be stopped by SIGTTIN.
    let foreground = rustix::termios::tcgetpgrp(rustix::stdio::stdin());
    if foreground.is_ok_and(|group| group != rustix::process::getpgrp()) {
        return Err("started in the background".to_owned());
    }
    match env::var("TERM").as_deref() {
        Ok("") | Err(_) => Err("TERM is not set".to_owned()),
        Ok("dumb") => Err("TERM=dumb".to_owned()),
        Ok(_) => Ok(()),
    }
}

/// Errors in the configured keys and theme, which only the screen can check.
pub(super) fn problems(loaded: &Loaded) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Err(found) = Keymap::from_config(&loaded.config.keys) {
        problems.extend(found.into_iter().map(|(key, message)| {
            let key = format!("keys.{key}");
            Problem::new(loaded.origin(&key), key, message)
        }));
    }
    problems.extend(theme_problems(loaded));
    problems
}

/// Errors in the configured theme. Errors in other themes are reported by `epochtop themes`.
fn theme_problems(loaded: &Loaded) -> Vec<Problem> {
    let (themes, unread) = themes::found();
    let Err(Problems(mut problems)) = themes.load(&loaded.config.ui.theme) else {
        return Vec::new();
    };
    for problem in &mut problems {
        if problem.key == "ui.theme" {
            problem.origin = loaded.origin("ui.theme");
        }
    }
    // The theme may be missing because its file could not be read.
    problems.extend(unread);
    problems
}

/// The options of the screen.
///
/// # Errors
/// If the theme or the keys are invalid.
pub(super) fn options(
    loaded: &Loaded,
    attachment: Attachment,
    signals: Signals,
) -> Result<tui::Options, Report> {
    let config = &loaded.config;
    let lookup = |key: &str| env::var(key).ok();
    let ascii = match config.ui.ascii {
        AsciiMode::Always => true,
        AsciiMode::Never => false,
        AsciiMode::Auto => !tui::utf8_locale(lookup),
    };
    let (themes, _) = themes::found();
    Ok(tui::Options {
        theme: themes.load(&config.ui.theme)?,
        // Themes with errors are skipped; `epochtop themes` reports them.
        themes: themes.all().0,
        keymap: Keymap::from_config(&config.keys).map_err(|problems| eyre!("{problems:?}"))?,
        ascii,
        color: tui::ColorDepth::detect(lookup),
        art: config.ui.art,
        dots: tui::Dots::choose(config.ui.chart, ascii, lookup),
        mouse: config.ui.mouse,
        fps: config.ui.fps,
        attachment,
        others: ComparedRuns::default(),
        signals,
        page: None,
        notify: config.notify.clone(),
    })
}

/// Loads the runs to compare with `first` and prints a warning for each that cannot be shown. `state` is the final
/// state of `first`; `None` if it is not final or paired comparisons are not needed.
pub(super) fn load_compared(
    loaded: &Loaded,
    first: &RunDir,
    state: Option<&RunState>,
    wanted: &[OsString],
) -> ComparedRuns {
    let found = session::compared_runs(&searched_runs(loaded), first, state, wanted);
    found
        .problems
        .iter()
        .for_each(|problem| print_error(&format!("warning: {problem}")));
    found
}

/// Shows a run from its journal, with compared runs, or writes a screenshot of it.
pub(super) fn replay(
    loaded: &Loaded,
    run: &RunDir,
    args: Option<&ScreenshotArgs>,
    others: &[OsString],
) -> Result<u8, Report> {
    let (link, replay) = session::replay(run)?;
    replay
        .problems
        .iter()
        .for_each(|problem| print_error(&format!("warning: {problem}")));
    if replay.state.seq == 0 {
        print_error(&format!(
            "error: {}: the journal is empty",
            run.journal().display()
        ));
        return Ok(code::FAILED);
    }
    let page = args.and_then(|args| args.page.clone());
    if let Some(ScreenshotArgs {
        screenshot: Some(file),
        force,
        size,
        ..
    }) = args
    {
        let request = ScreenshotRequest {
            page: page.as_deref().unwrap_or("overview"),
            size: *size,
            file,
            existing: Existing::forced(*force),
        };
        let others = load_compared(loaded, run, Some(&replay.state), others);
        return screenshot::draw(loaded, &run.name, &link, &request, others);
    }
    if available().is_ok() {
        let requests = signals::screen()?;
        let mut options = options(loaded, Attachment::default(), requests.screen.clone())?;
        options.page = page;
        options.others = load_compared(loaded, run, Some(&replay.state), others);
        let shown = tui::run(&tui::Tty::open()?, &link, options)?;
        return Ok(match shown.exit {
            tui::Exit::Terminated => requests.exit_code().unwrap_or(code::FAILED),
            tui::Exit::Finished
            | tui::Exit::Left
            | tui::Exit::Detached
            | tui::Exit::Suspended
            | tui::Exit::Foreground
            | tui::Exit::HungUp => code::COMPLETED,
        });
    }
    headline(&replay.state)
        .iter()
        .for_each(|line| print_line(line));
    for row in &replay.state.history {
        let event = crate::event::Event::EpochFinished(row.clone());
        event_line(&replay.state, &event)
            .iter()
            .for_each(|line| print_line(line));
    }
    final_lines(&replay.state)
        .iter()
        .for_each(|line| print_line(line));
    // No paired comparison, because these lines do not show it; `eval` prints it.
    for other in load_compared(loaded, run, None, others).others {
        print_line("");
        let lines = headline(&other.state).into_iter();
        lines
            .chain(final_lines(&other.state))
            .for_each(|line| print_line(&line));
    }
    Ok(code::COMPLETED)
}
