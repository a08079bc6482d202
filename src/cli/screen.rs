//! The screen's options, gathered from configuration and environment; and `view`.

use std::env;
use std::io::{self, IsTerminal};
use std::path::Path;

use color_eyre::eyre::{Report, eyre};

use super::args::ScreenshotArgs;
use super::print::{complain, say};
use super::screenshot::{self, Wanted};
use super::{code, signals, themes};
use crate::config::{AsciiMode, Loaded, Problem, Problems};
use crate::run::{Beside, RunState, event_line, final_lines, headline};
use crate::session::{self, RunDir, resolve};
use crate::tui::{self, Home, Keymap, Signals};

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
    problems.extend(theme_problems(loaded));
    problems
}

/// What is wrong with the theme that was chosen; others that are broken are told by `epochtop themes`.
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
    // It may be missing because its file cannot be read.
    problems.extend(unread);
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
    let (themes, _) = themes::found();
    Ok(tui::Options {
        theme: themes.load(&config.ui.theme)?,
        // One with a mistake is left out; `epochtop themes` tells it.
        themes: themes.all().0,
        keymap: Keymap::from_config(&config.keys).map_err(|problems| eyre!("{problems:?}"))?,
        ascii,
        color: tui::ColorDepth::detect(lookup),
        art: config.ui.art,
        dots: tui::Dots::choose(config.ui.chart, ascii, lookup),
        mouse: config.ui.mouse,
        fps: config.ui.fps,
        home,
        others: Beside::default(),
        signals,
        page: None,
        notify: config.notify.clone(),
    })
}

/// Reads the runs to be shown beside `first`, whose screenshot is `state` where that is complete; says what cannot be shown.
pub(super) fn beside(
    loaded: &Loaded,
    first: &RunDir,
    state: Option<&RunState>,
    wanted: &[String],
) -> Beside {
    let runs = Path::new(&loaded.config.runs.dir);
    let found = session::beside(runs, first, state, wanted);
    found
        .problems
        .iter()
        .for_each(|problem| complain(&format!("warning: {problem}")));
    found
}

/// Shows a run from its journal, others beside it; without a terminal, its lines. A screenshot needs none.
pub(super) fn view(
    loaded: &Loaded,
    wanted: &[String],
    args: &ScreenshotArgs,
) -> Result<u8, Report> {
    let run = wanted.first().map(String::as_str);
    match resolve(Path::new(&loaded.config.runs.dir), run) {
        Ok(run) => {
            let others = wanted.get(1..).unwrap_or_default();
            replay(loaded, &run, Some(args), others)
        }
        Err(error) => {
            complain(&format!("error: {error}"));
            Ok(code::USAGE)
        }
    }
}

/// Shows this run from its journal, others beside it, or draws a screenshot of it.
pub(super) fn replay(
    loaded: &Loaded,
    run: &RunDir,
    args: Option<&ScreenshotArgs>,
    others: &[String],
) -> Result<u8, Report> {
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
    let page = args.and_then(|args| args.page.clone());
    if let Some(ScreenshotArgs {
        screenshot: Some(file),
        size,
        ..
    }) = args
    {
        let wanted = Wanted {
            page: page.as_deref().unwrap_or("overview"),
            size: *size,
            file,
        };
        let others = beside(loaded, run, Some(&replay.state), others);
        return screenshot::draw(loaded, &run.name, &link, &wanted, others);
    }
    if available().is_ok() {
        let asked = signals::screen()?;
        let mut options = options(loaded, Home::default(), asked.screen.clone())?;
        options.page = page;
        options.others = beside(loaded, run, Some(&replay.state), others);
        let shown = tui::run(&tui::Tty::open()?, &link, options)?;
        return Ok(match shown.exit {
            tui::Exit::Terminated => asked.exit_code().unwrap_or(code::FAILED),
            tui::Exit::Finished
            | tui::Exit::Left
            | tui::Exit::Detached
            | tui::Exit::Suspended
            | tui::Exit::Foreground
            | tui::Exit::HungUp => code::COMPLETED,
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
    // Without their pairs, which nobody would see here; `eval` tells them in words.
    for other in beside(loaded, run, None, others).others {
        say("");
        let lines = headline(&other.state).into_iter();
        lines
            .chain(final_lines(&other.state))
            .for_each(|line| say(&line));
    }
    Ok(code::COMPLETED)
}
