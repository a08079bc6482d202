//! `epochtop` without arguments on a terminal: the runs found here, live ones first, and what to type next.

use std::path::Path;

use super::args::ConfigArgs;
use super::print::{argument, print_line, run_word};
use super::runs::run_table;
use super::with_config;
use crate::session::{Overview, Status, is_name, overviews};

/// Runs that are listed at most: the start must fit on a small screen.
const MAX_RUNS: usize = 8;

/// Prints the start.
pub(super) fn run() -> u8 {
    with_config(ConfigArgs::default(), |loaded| {
        print_line(&text(&loaded.runs_dir()));
        super::code::COMPLETED
    })
}

fn text(dir: &Path) -> String {
    let mut all = overviews(dir);
    // Live runs first, then the newest.
    all.reverse();
    all.sort_by_key(|overview| overview.status != Status::Live);
    let found = if all.is_empty() {
        format!("No runs in {}.", shown(dir))
    } else {
        let listed = all.len().min(MAX_RUNS);
        let more = match all.len() - listed {
            0 => String::new(),
            more => format!("\n{more} more: epochtop runs"),
        };
        let width = crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns));
        let table = run_table(all.iter().take(listed), Some(width));
        format!("Runs in {}\n{table}{more}", shown(dir))
    };
    let next: Vec<String> = next(all.first())
        .iter()
        .map(|(command, purpose)| format!("  {command:<36} {purpose}"))
        .collect();
    format!(
        "epochtop {}: train an image classifier; monitor, control and evaluate it from a terminal\n\n\
         {found}\n\nNext\n{}\n\nAll commands: epochtop --help",
        env!("CARGO_PKG_VERSION"),
        next.join("\n")
    )
}

/// A relative path with `./` before it, so that it is recognised as a path.
fn shown(dir: &Path) -> String {
    let path = dir.display();
    if dir.is_relative() && !dir.starts_with(".") && !dir.starts_with("..") {
        format!("./{path}")
    } else {
        path.to_string()
    }
}

/// Three commands that suit the first run of the list.
fn next(first: Option<&Overview>) -> [(String, &'static str); 3] {
    let Some(overview) = first else {
        return [
            ("epochtop doctor".to_owned(), "check the installation"),
            (
                "epochtop train --preset fast".to_owned(),
                "train on Fashion-MNIST, a few minutes",
            ),
            (
                "epochtop train".to_owned(),
                "the full training, with the live screen",
            ),
        ];
    };
    let run = &overview.run;
    // It is in `runs.dir`, where a name is searched first.
    let is_enough = run.path.file_name() == Some(run.name.as_ref()) && is_name(run.name.as_ref());
    let name = if is_enough {
        argument(&run.name)
    } else {
        run_word(&run.path)
    };
    let (verb, purpose) = match overview.status {
        Status::Live => ("attach", "open the screen of the live run"),
        Status::Completed => ("eval", "evaluate its best checkpoint on the test set"),
        Status::Unknown | Status::Unreadable => ("checkpoints", "list its checkpoints"),
        Status::Stopped | Status::Failed | Status::Crashed => (
            "train --resume",
            match overview.state.checkpoint {
                Some(_) => "continue this run from its last checkpoint",
                None => "start this run over; it has no checkpoint",
            },
        ),
    };
    let (other, other_purpose) = match overview.status {
        Status::Live => ("ctl stop", "stop it, with a checkpoint"),
        Status::Completed
        | Status::Stopped
        | Status::Failed
        | Status::Crashed
        | Status::Unknown
        | Status::Unreadable => ("view", "open its screen, replay it with space"),
    };
    [
        (format!("epochtop {verb} {name}"), purpose),
        (format!("epochtop {other} {name}"), other_purpose),
        ("epochtop train".to_owned(), "start another training"),
    ]
}
