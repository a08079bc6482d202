//! Architecture layers (DESIGN.md, section 2), checked against the sources: a module imports only modules of lower
//! layers, and files have no large import cycles.

mod imports;

use std::fs;
use std::path::Path;

/// The import rules of a top-level module.
struct Layer {
    module: &'static str,
    /// Modules of this crate that it may import.
    uses: &'static [&'static str],
    /// External crates, standard-library modules and macros that it must not use.
    forbidden: &'static [&'static [&'static str]],
}

const TENSORS: &[&str] = &["tch"];
const SCREEN: &[&str] = &["ratatui", "crossterm"];
const CHANNELS: &[&str] = &["crossbeam_channel"];
const FILES: &[&str] = &["std::fs", "fs_err"];
const CLOCKS: &[&str] = &["std::time"];
const STDOUT: &[&str] = &["io::stdout", "println"];

const LAYERS: &[Layer] = &[
    Layer {
        module: "limits",
        uses: &[],
        forbidden: &[TENSORS, SCREEN, CHANNELS, FILES, CLOCKS],
    },
    Layer {
        module: "random",
        uses: &[],
        forbidden: &[TENSORS, SCREEN, CHANNELS, FILES, CLOCKS],
    },
    Layer {
        module: "metrics",
        uses: &["limits", "random"],
        forbidden: &[TENSORS, SCREEN, CHANNELS, FILES, CLOCKS],
    },
    Layer {
        module: "fault",
        uses: &[],
        forbidden: &[TENSORS, SCREEN, CHANNELS, FILES],
    },
    Layer {
        module: "caught",
        uses: &[],
        forbidden: &[TENSORS, SCREEN, CHANNELS, FILES, CLOCKS],
    },
    Layer {
        module: "shell",
        uses: &[],
        forbidden: &[TENSORS, SCREEN, CHANNELS, FILES, CLOCKS],
    },
    Layer {
        module: "stopwatch",
        uses: &["threads"],
        forbidden: &[TENSORS, SCREEN, CHANNELS, FILES],
    },
    Layer {
        module: "threads",
        uses: &[],
        forbidden: &[TENSORS, SCREEN, CHANNELS, CLOCKS],
    },
    Layer {
        module: "config",
        uses: &["limits"],
        forbidden: &[TENSORS, SCREEN, CHANNELS],
    },
    Layer {
        module: "event",
        uses: &["metrics", "config", "shell"],
        forbidden: &[TENSORS, SCREEN, CHANNELS, FILES, CLOCKS],
    },
    Layer {
        module: "run",
        uses: &["metrics", "config", "event"],
        forbidden: &[TENSORS, SCREEN, CHANNELS, FILES, CLOCKS],
    },
    Layer {
        module: "link",
        uses: &["event", "run"],
        forbidden: &[TENSORS, SCREEN, FILES],
    },
    Layer {
        module: "files",
        uses: &["fault"],
        forbidden: &[TENSORS, SCREEN, CHANNELS, CLOCKS],
    },
    Layer {
        module: "images",
        uses: &[
            "limits", "config", "event", "random", "files", "threads", "caught",
        ],
        forbidden: &[TENSORS, SCREEN, STDOUT],
    },
    Layer {
        module: "report",
        uses: &["limits", "metrics", "event", "files"],
        forbidden: &[TENSORS, SCREEN, CHANNELS, FILES, CLOCKS],
    },
    Layer {
        module: "checkpoint",
        uses: &["config", "event", "files", "fault"],
        forbidden: &[TENSORS, SCREEN, CHANNELS],
    },
    Layer {
        module: "native",
        uses: &[],
        forbidden: &[SCREEN, CHANNELS, STDOUT],
    },
    Layer {
        module: "kernels",
        uses: &["native"],
        forbidden: &[TENSORS, SCREEN, CHANNELS, FILES, CLOCKS],
    },
    Layer {
        module: "data",
        uses: &["config", "event", "random", "images", "native", "threads"],
        forbidden: &[SCREEN],
    },
    Layer {
        module: "model",
        uses: &[
            "config", "event", "random", "metrics", "native", "kernels", "data",
        ],
        forbidden: &[SCREEN, CHANNELS],
    },
    Layer {
        module: "inference",
        uses: &[
            "limits",
            "config",
            "event",
            "files",
            "checkpoint",
            "report",
            "images",
            "data",
            "model",
        ],
        forbidden: &[SCREEN, CHANNELS, STDOUT],
    },
    Layer {
        module: "train",
        uses: &[
            "limits",
            "images",
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
            "threads",
            "stopwatch",
        ],
        forbidden: &[SCREEN, STDOUT],
    },
    Layer {
        module: "session",
        uses: &[
            "limits",
            "fault",
            "images",
            "config",
            "event",
            "metrics",
            "link",
            "run",
            "files",
            "checkpoint",
            "shell",
            "threads",
            "stopwatch",
        ],
        forbidden: &[TENSORS, SCREEN],
    },
    Layer {
        module: "tui",
        uses: &[
            "config", "event", "metrics", "link", "run", "report", "fault", "threads", "caught",
        ],
        forbidden: &[TENSORS, &["std::fs::write"]],
    },
];

/// Largest allowed import cycle, in files: larger ones cannot be understood file by file.
const MAX_CYCLE: usize = 3;

fn src() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn module_of(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or(file)
}

/// The code lines of a file with their line numbers, without comments and unit tests. Unit tests may import anything.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"));
    lines
        .enumerate()
        .map(|(i, line)| (i + 1, line.split("//").next().unwrap_or(line)))
}

#[test]
fn modules_import_only_lower_layers() {
    let mut wrong = Vec::new();
    for (file, targets) in &imports::graph(&src()) {
        let module = module_of(file);
        let Some(layer) = LAYERS.iter().find(|layer| layer.module == module) else {
            continue;
        };
        let used = targets.iter().filter(|target| {
            let used = module_of(target);
            used != module && !layer.uses.contains(&used)
        });
        wrong.extend(used.map(|target| format!("{file} must not import {target}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a line has a path or macro that begins with this text, not only one that contains it.
fn names(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[test]
fn modules_do_not_use_forbidden_crates() {
    let mut wrong = Vec::new();
    for path in imports::sources(&src()) {
        let file = path.strip_prefix(src()).unwrap().to_string_lossy();
        let layer = LAYERS.iter().find(|layer| layer.module == module_of(&file));
        let forbidden = layer.map_or(&[][..], |layer| layer.forbidden).concat();
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text) {
            let named = forbidden.iter().filter(|name| {
                names(line, &format!("{name}::"))
                    || names(line, &format!("{name}!"))
                    || line.contains(&format!("use {name};"))
            });
            wrong.extend(named.map(|name| format!("src/{file}:{number} must not name {name}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_large_import_cycles_between_files_and_none_between_modules() {
    let graph = imports::graph(&src());
    let cycles = imports::cycles(&graph);
    let large = cycles.iter().filter(|cycle| cycle.len() > MAX_CYCLE);
    let large: Vec<String> = large
        .map(|cycle| imports::describe(cycle, &graph))
        .collect();
    assert!(large.is_empty(), "{}", large.join("\n"));
    let modules = imports::of_modules(&graph);
    if let Some(cycle) = imports::cycles(&modules).first() {
        // List the imports between files that cause the cycle.
        let across = graph.iter().flat_map(|(file, targets)| {
            let targets = targets.iter().filter(|target| {
                let (from, to) = (module_of(file), module_of(target));
                from != to && cycle.contains(from) && cycle.contains(to)
            });
            targets.map(move |target| format!("    {file} imports {target}"))
        });
        let across: Vec<String> = across.collect();
        panic!(
            "{}\n{}",
            imports::describe(cycle, &modules),
            across.join("\n")
        );
    }
}

#[test]
fn every_module_belongs_to_a_layer() {
    let text = fs::read_to_string(src().join("lib.rs")).unwrap();
    for line in text.lines() {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        if let Some(module) = line
            .strip_prefix("mod ")
            .and_then(|rest| rest.strip_suffix(';'))
        {
            assert!(
                module == "cli" || LAYERS.iter().any(|layer| layer.module == module),
                "{module} has no layer"
            );
        }
    }
}
