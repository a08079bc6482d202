//! The order of floors (DESIGN.md, section 3), read from the sources: a module uses only what stands below it.

use std::fs;
use std::path::{Path, PathBuf};

/// Module, the modules of ours it may use, and the crates it must never name.
const FLOORS: &[(&str, &[&str], &[&str])] = &[
    (
        "metrics",
        &["random"],
        &[
            "tch",
            "ratatui",
            "crossterm",
            "crossbeam_channel",
            "std::fs",
            "std::time",
        ],
    ),
    (
        "random",
        &[],
        &[
            "tch",
            "ratatui",
            "crossterm",
            "crossbeam_channel",
            "std::fs",
            "std::time",
        ],
    ),
    (
        "fault",
        &[],
        &[
            "tch",
            "ratatui",
            "crossterm",
            "crossbeam_channel",
            "std::fs",
        ],
    ),
    (
        "idx",
        &[],
        &[
            "tch",
            "ratatui",
            "crossterm",
            "crossbeam_channel",
            "std::fs",
            "std::time",
        ],
    ),
    (
        "config",
        &[],
        &["tch", "ratatui", "crossterm", "crossbeam_channel"],
    ),
    (
        "event",
        &["metrics", "config"],
        &[
            "tch",
            "ratatui",
            "crossterm",
            "crossbeam_channel",
            "std::fs",
            "std::time",
        ],
    ),
    (
        "run",
        &["metrics", "config", "event"],
        &[
            "tch",
            "ratatui",
            "crossterm",
            "crossbeam_channel",
            "std::fs",
            "std::time",
        ],
    ),
    (
        "report",
        &["metrics", "event", "files"],
        &[
            "tch",
            "ratatui",
            "crossterm",
            "crossbeam_channel",
            "std::time",
        ],
    ),
    (
        "link",
        &["event", "run"],
        &["tch", "ratatui", "crossterm", "std::fs"],
    ),
    (
        "files",
        &["fault"],
        &[
            "tch",
            "ratatui",
            "crossterm",
            "crossbeam_channel",
            "std::time",
        ],
    ),
    (
        "checkpoint",
        &["event", "config", "files"],
        &["tch", "ratatui", "crossterm", "crossbeam_channel"],
    ),
    (
        "native",
        &[],
        &["ratatui", "crossterm", "crossbeam_channel", "io::stdout"],
    ),
    (
        "kernels",
        &["native"],
        &[
            "tch",
            "ratatui",
            "crossterm",
            "crossbeam_channel",
            "std::fs",
            "std::time",
        ],
    ),
    (
        "data",
        &[
            "idx", "config", "event", "random", "metrics", "native", "kernels",
        ],
        &["ratatui", "crossterm", "crossbeam_channel"],
    ),
    (
        "model",
        &["config", "event", "random", "metrics", "native", "kernels"],
        &["ratatui", "crossterm", "crossbeam_channel"],
    ),
    (
        "inference",
        &["config", "event", "checkpoint", "report", "data", "model"],
        &["ratatui", "crossterm", "crossbeam_channel", "io::stdout"],
    ),
    (
        "train",
        &[
            "config",
            "event",
            "random",
            "metrics",
            "link",
            "run",
            "files",
            "checkpoint",
            "report",
            "data",
            "model",
            "native",
            "fault",
        ],
        &["ratatui", "crossterm", "io::stdout", "println"],
    ),
    (
        "session",
        &[
            "idx",
            "config",
            "event",
            "metrics",
            "link",
            "run",
            "files",
            "checkpoint",
        ],
        &["tch", "ratatui", "crossterm"],
    ),
    (
        "tui",
        &[
            "config", "event", "metrics", "link", "run", "report", "fault",
        ],
        &["tch", "std::fs::write"],
    ),
];

/// Files of a module: `src/name.rs` and all below `src/name/`.
fn sources(module: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![src.join(format!("{module}.rs"))];
    let mut folders = vec![src.join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// The code of a file: without comments, and without its unit tests, which may use what they like.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"));
    lines
        .enumerate()
        .map(|(i, line)| (i + 1, line.split("//").next().unwrap_or(line)))
}

/// The modules of ours that a line names: `crate::x`, and each of `crate::{x::…, y::…}`.
fn named(line: &str) -> Vec<String> {
    let word = |text: &str| {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let after = line.split("crate::").skip(1);
    after
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list
                .split('}')
                .next()
                .unwrap_or(list)
                .split(',')
                .map(|item| word(item.trim()))
                .collect(),
            None => vec![word(rest)],
        })
        .filter(|word| !word.is_empty())
        .collect()
}

#[test]
fn a_module_uses_only_the_floors_below_it() {
    let mut wrong = Vec::new();
    for (module, allowed, forbidden) in FLOORS {
        for path in sources(module) {
            let text =
                fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            for (number, line) in code(&text) {
                let place = format!("{}:{number}: {}", path.display(), line.trim());
                let ours = named(line);
                wrong.extend(
                    ours.iter()
                        .filter(|used| *used != module && !allowed.contains(&used.as_str()))
                        .map(|used| format!("{place}\n    {module} must not use {used}")),
                );
                let uses = |krate: &&&str| {
                    line.contains(&format!("{krate}::")) || line.contains(&format!("{krate}!"))
                };
                wrong.extend(
                    forbidden
                        .iter()
                        .filter(uses)
                        .map(|krate| format!("{place}\n    {module} must not see {krate}")),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_floor() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for line in text.lines() {
        if let Some(module) = line
            .strip_prefix("pub mod ")
            .and_then(|rest| rest.strip_suffix(';'))
        {
            assert!(
                module == "cli" || FLOORS.iter().any(|(known, _, _)| *known == module),
                "{module} has no floor"
            );
        }
    }
}
