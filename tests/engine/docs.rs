//! Runs the shell blocks in README.md and docs/: those of a page in order, in one directory, with a small data set instead
//! of Fashion-MNIST. Blocks marked `sh no-run`, which need a terminal, a network or minutes, are skipped.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use epochtop::random::Random;

use crate::fixture::idx;

/// The `sh` blocks of a page.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in text.lines() {
        match &mut open {
            Some((_, _)) if line.starts_with("```") => {
                if let Some((true, block)) = open.take() {
                    blocks.push(block);
                }
                open = None;
            }
            Some((_, block)) => {
                block.push_str(line);
                block.push('\n');
            }
            None if line.starts_with("```") => open = Some((line == "```sh", String::new())),
            None => {}
        }
    }
    assert!(open.is_none(), "a code block is not closed");
    blocks
}

/// Writes the `epochtop` of the blocks. It names the small data set, because files called fashion-mnist must have the
/// published checksums, and makes the network small, except for runs in the background: commands must reach those in time.
fn wrapper(path: &Path) {
    let script = format!(
        r#"#!/bin/bash
sample=(--set data.name=sample --set data.valid=200)
small=(--set "model.channels=[8,16]" --set train.threads=1)
case "$*" in
*--resume*|*--fork*) sample=(); small=();;
*--detach*) small=();;
esac
case "${{1-}}" in
data) exec {program} "$1" "$2" "${{sample[@]}}" "${{@:3}}";;
train) exec {program} "$1" "${{sample[@]}}" "${{small[@]}}" "${{@:2}}";;
lr-find) exec {program} "$1" --steps 20 "${{sample[@]}}" "${{small[@]}}" "${{@:2}}";;
*) exec {program} "$@";;
esac
"#,
        program = env!("CARGO_BIN_EXE_epochtop")
    );
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Writes a data set of ten classes of 28×28 images, stripes of ten widths. Its 1,400 training images are enough for the
/// default validation split.
fn data(dir: &Path) {
    let mut random = Random::new(&[3]);
    for (prefix, count) in [("train", 1_400), ("t10k", 400)] {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for i in 0..count {
            let label = i % 10;
            labels.push(label as u8);
            for at in 0..28 * 28 {
                let bright = (at % 28) % (label + 2) == 0;
                pixels.push(if bright { 200 } else { 20 } + random.below(50) as u8);
            }
        }
        let file = |kind: &str| dir.join(format!("{prefix}-{kind}-ubyte"));
        fs::write(file("images-idx3"), idx(&[count as u32, 28, 28], &pixels)).unwrap();
        fs::write(file("labels-idx1"), idx(&[count as u32], &labels)).unwrap();
    }
}

/// Runs the blocks of these pages.
fn run(pages: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = tempfile::tempdir().unwrap();
    let place = fs::canonicalize(place.path()).unwrap();
    let (bin, images) = (place.join("bin"), place.join("data"));
    fs::create_dir(&bin).unwrap();
    fs::create_dir(&images).unwrap();
    fs::create_dir(place.join("sockets")).unwrap();
    wrapper(&bin.join("epochtop"));
    data(&images);
    for page in pages {
        let dir: PathBuf = place.join(page.replace('/', "-"));
        fs::create_dir(&dir).unwrap();
        symlink(root.join("docs"), dir.join("docs")).unwrap();
        symlink(root.join("config.toml"), dir.join("config.toml")).unwrap();
        let blocks = blocks(&fs::read_to_string(root.join(page)).unwrap());
        assert!(!blocks.is_empty(), "{page}");
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &blocks.concat()])
            .current_dir(&dir)
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("HOME", &place)
            .env("XDG_CONFIG_HOME", place.join("config"))
            .env("EPOCHTOP_DATA", &images)
            .env("EPOCHTOP_SOCKET_DIR", place.join("sockets"))
            .env("TERM", "dumb")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{page}: {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn blocks_of_the_readme_run() {
    run(&["README.md"]);
}

#[test]
fn blocks_of_the_tutorial_run() {
    run(&["docs/tutorial.md"]);
}

#[test]
fn blocks_of_the_other_pages_run() {
    run(&[
        "docs/screen.md",
        "docs/remote.md",
        "docs/data.md",
        "docs/training.md",
        "docs/numbers.md",
        "docs/run-directory.md",
        "docs/configuration.md",
        "docs/troubleshooting.md",
    ]);
}
