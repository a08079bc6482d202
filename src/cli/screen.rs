//! The screen's options, gathered from configuration and environment; and `view`.

use std::env;
use std::io::{self, IsTerminal};
use std::path::Path;

use color_eyre::eyre::{Report, eyre};

use super::print::{complain, say};
use super::{code, signals};
use crate::config::{AsciiMode, Loaded, Problem};
use crate::run::{event_line, final_lines, headline};
use crate::session::{self, RunDir, resolve};
use crate::tui::{self, Home, Keymap, Signals, Theme};

/// Whether a screen can be drawn; if not, why.
pub(super) fn available() -> Result<(), String> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err("no terminal".to_owned());
    }
    // A job in the background that took the terminal would be stopped for it.
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

/// What is wrong with keys and theme, which only the screen can say.
pub(super) fn problems(loaded: &Loaded) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Err(found) = Keymap::from_config(&loaded.config.keys) {
        problems.extend(found.into_iter().map(|(key, message)| {
            let key = format!("keys.{key}");
            Problem::new(loaded.origin(&key), key, message)
        }));
    }
    if let Err(message) = Theme::load(&loaded.config.ui.theme) {
        problems.push(Problem::new(
            loaded.origin("ui.theme"),
            "ui.theme".to_owned(),
            message,
        ));
    }
    problems
}

/// Everything the screen needs to know.
pub(super) fn options(
    loaded: &Loaded,
    home: Home,
    signals: Signals,
) -> Result<tui::Options, Report> {
    let config = &loaded.config;
    let lookup = |key: &str| env::var(key).ok();
    let ascii = match config.ui.ascii {
        AsciiMode::Always => true,
        AsciiMode::Never => false,
        AsciiMode::Auto => !tui::utf8_locale(lookup),
    };
    Ok(tui::Options {
        theme: Theme::load(&config.ui.theme).map_err(|message| eyre!(message))?,
        themes: tui::themes(),
        keymap: Keymap::from_config(&config.keys).map_err(|problems| eyre!("{problems:?}"))?,
        ascii,
        color: tui::ColorDepth::detect(lookup),
        art: config.ui.art,
        fps: config.ui.fps,
        home,
        signals,
        notify: config.notify.clone(),
    })
}

/// Shows a run from its journal; without a terminal, its lines.
pub(super) fn view(loaded: &Loaded, run: Option<&str>) -> Result<u8, Report> {
    match resolve(Path::new(&loaded.config.runs.dir), run) {
        Ok(run) => replay(loaded, &run),
        Err(error) => {
            complain(&format!("error: {error}"));
            Ok(code::USAGE)
        }
    }
}

/// Shows this run from its journal.
pub(super) fn replay(loaded: &Loaded, run: &RunDir) -> Result<u8, Report> {
    let (link, replay) = session::replay(run)?;
    replay
        .problems
        .iter()
        .for_each(|problem| complain(&format!("warning: {problem}")));
    if replay.state.seq == 0 {
        complain(&format!(
            "error: {}: holds no record yet",
            run.journal().display()
        ));
        return Ok(code::FAILED);
    }
    if available().is_ok() {
        let asked = signals::screen()?;
        let options = options(loaded, Home::default(), asked.screen.clone())?;
        let shown = tui::run(&tui::Tty::open()?, &link, options)?;
        return Ok(match shown.exit {
            tui::Exit::Terminated => asked.exit_code().unwrap_or(code::FAILED),
            _ => code::COMPLETED,
        });
    }
    headline(&replay.state).iter().for_each(|line| say(line));
    for row in &replay.state.history {
        let event = crate::event::Event::EpochFinished(row.clone());
        event_line(&replay.state, &event)
            .iter()
            .for_each(|line| say(line));
    }
    final_lines(&replay.state).iter().for_each(|line| say(line));
    Ok(code::COMPLETED)
}
