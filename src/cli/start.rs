//! `epochtop` without arguments on a terminal: the runs found here, live ones first, and what to type next.

use std::path::Path;

use super::args::ConfigArgs;
use super::print::print_line;
use super::runs::run_table;
use super::with_config;
use crate::session::{Overview, Status, overviews};

/// Runs that are listed at most: the start must fit on a small screen.
const MAX_RUNS: usize = 8;

/// Prints the start.
pub(super) fn run() -> u8 {
    with_config(ConfigArgs::default(), |loaded| {
        print_line(&text(Path::new(&loaded.config.runs.dir)));
        super::code::COMPLETED
    })
}

fn text(dir: &Path) -> String {
    let mut all = overviews(dir);
    // Live runs first, then the newest.
    all.reverse();
    all.sort_by_key(|overview| overview.status != Status::Live);
    let found = if all.is_empty() {
        format!("No runs in {}.", dir.display())
    } else {
        let listed = all.len().min(MAX_RUNS);
        let more = match all.len() - listed {
            0 => String::new(),
            more => format!("\n{more} more: epochtop runs"),
        };
        format!(
            "Runs in {}\n{}{more}",
            dir.display(),
            run_table(all.iter().take(listed))
        )
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
    let name = &overview.run.name;
    let (verb, purpose) = match overview.status {
        Status::Live => ("attach", "open the screen of the live run"),
        Status::Completed => ("eval", "evaluate its best checkpoint on the test set"),
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
        Status::Completed | Status::Stopped | Status::Failed | Status::Crashed => {
            ("view", "open its screen, replay it with space")
        }
    };
    [
        (format!("epochtop {verb} {name}"), purpose),
        (format!("epochtop {other} {name}"), other_purpose),
        ("epochtop train".to_owned(), "start another training"),
    ]
}
