//! `runs`, `checkpoints` and `clean`: list and delete the files of runs.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::args::{CheckpointsArgs, CleanArgs, RunsArgs};
use super::print::{print_error, print_json, print_line};
use super::{code, runs_dir};
use crate::checkpoint::{Depth, Store, VerifyError, step_name, verify};
use crate::config::DataConfig;
use crate::event::Phase;
use crate::files::any_path;
use crate::images::{CachedFile, CachedKind, cache_dir, cached_files};
use crate::metrics::{Interval, Measure};
use crate::run::Unwritten;
use crate::session::{Deletable, Overview, RunsDir, Status, deletable, overviews, resolve, size};

/// The directory of runs, or the exit code.
fn runs_path(runs: Option<PathBuf>) -> Result<RunsDir, u8> {
    runs_dir(runs, &[]).map_err(|problems| {
        print_error(&problems);
        code::USAGE
    })
}

/// Lists all runs, oldest first.
pub(super) fn runs(args: RunsArgs) -> u8 {
    let place = match runs_path(args.runs) {
        Ok(place) => place.path,
        Err(code) => return code,
    };
    let all = overviews(&place);
    if args.json {
        let all: Vec<Value> = all.iter().map(run_json).collect();
        return if print_json(&Value::Array(all)) {
            code::COMPLETED
        } else {
            code::FAILED
        };
    }
    if all.is_empty() {
        print_line(&format!(
            "No runs in {}; start one with `epochtop train`, or choose another directory with --runs DIR",
            place.display()
        ));
        return code::COMPLETED;
    }
    let width = io::stdout()
        .is_terminal()
        .then(crossterm::terminal::size)
        .and_then(|size| Some(usize::from(size.ok()?.0)));
    print_line(&run_table(all.iter(), width));
    for overview in &all {
        let (name, state) = (&overview.run.name, &overview.state);
        if let Some(problem) = &overview.problem {
            print_error(&format!("warning: {name}: {problem}"));
        }
        let unwritten = state.unwritten.iter().map(Unwritten::line);
        let notes = unwritten.chain(state.missing_line());
        notes.for_each(|note| print_line(&format!("{name}: {note}")));
    }
    code::COMPLETED
}

/// The table of `epochtop runs`, with a header. If it is wider than `width`, sizes and then ages are left out.
pub(super) fn run_table<'a>(
    all: impl Iterator<Item = &'a Overview>,
    width: Option<usize>,
) -> String {
    let mut rows = vec![
        [
            "run",
            "state",
            "epoch",
            "best valid [95 %]",
            "test [95 %]",
            "age",
            "size",
        ]
        .map(str::to_owned),
    ];
    rows.extend(all.map(run_row));
    let tables = [
        table(&rows, &[2, 5, 6]),
        table(&first_columns::<6>(&rows), &[2, 5]),
        table(&first_columns::<5>(&rows), &[2]),
    ];
    let fits = |text: &&String| width.is_none_or(|width| text.lines().all(|l| l.width() <= width));
    let [.., narrow] = &tables;
    tables.iter().find(fits).unwrap_or(narrow).clone()
}

fn first_columns<const N: usize>(rows: &[[String; 7]]) -> Vec<[String; N]> {
    let cell = |row: &[String; 7], at: usize| row.get(at).cloned().unwrap_or_default();
    rows.iter()
        .map(|row| std::array::from_fn(|at| cell(row, at)))
        .collect()
}

fn run_row(overview: &Overview) -> [String; 7] {
    let Overview {
        run,
        meta,
        status,
        state,
        bytes,
        problem: _,
    } = overview;
    let done = state.history.back().map_or(0, |row| row.epoch);
    let best = state.best.as_ref();
    [
        run.name.clone(),
        shown_status(*status, state.phase).to_owned(),
        format!("{done}/{}", state.epochs),
        best.map_or_else(none, |best| percent(best.accuracy.0, best.interval)),
        state.test.latest.as_ref().map_or_else(none, |report| {
            percent(
                report.value(Measure::Accuracy),
                report.interval(Measure::Accuracy),
            )
        }),
        age(now_ms().saturating_sub(meta.started_ms)),
        megabytes(*bytes),
    ]
}

/// The status; `paused` for a live run that waits for somebody to resume it.
fn shown_status(status: Status, phase: Phase) -> &'static str {
    match (status, phase) {
        (Status::Live, Phase::Paused) => "paused",
        (status, _) => status.name(),
    }
}

fn none() -> String {
    "-".to_owned()
}

fn percent(share: f64, interval: Option<Interval>) -> String {
    let ends = interval.map_or_else(String::new, |interval| {
        let Interval { low, high } = interval.displayed(100.0, 2);
        format!(" [{low:.2}, {high:.2}]")
    });
    format!("{:.2} %{ends}", share * 100.0)
}

fn run_json(overview: &Overview) -> Value {
    let Overview {
        run,
        meta,
        status,
        state,
        bytes,
        problem,
    } = overview;
    let ends = |interval: Option<Interval>| interval.map(|i| [i.low, i.high]);
    json!({
        "run": run.name,
        "path": any_path::json(&run.path),
        "state": status.name(),
        "epoch": state.history.back().map_or(0, |row| row.epoch),
        "epochs": state.epochs,
        "global_step": state.global_step,
        "best": state.best.as_ref().map(|best| json!({
            "epoch": best.epoch,
            "valid_accuracy": best.accuracy.0,
            "ci95": ends(best.interval),
        })),
        "test": state.test.latest.as_ref().map(|report| json!({
            "accuracy": report.value(Measure::Accuracy),
            "ci95": ends(report.interval(Measure::Accuracy)),
            "global_step": report.global_step,
        })),
        "started_ms": meta.started_ms,
        "ended_ms": meta.ended_ms,
        "error": meta.error,
        "missing_records": state.missing,
        "unwritten": state.unwritten,
        "host": meta.host,
        "pid": meta.pid,
        "socket": meta.socket.as_deref().map(any_path::json),
        "bytes": bytes,
        "problem": problem,
    })
}

/// Lists the checkpoints of a run, newest last. Exit code 1 if one is damaged.
pub(super) fn checkpoints(args: CheckpointsArgs) -> u8 {
    let found = runs_path(args.runs).and_then(|place| {
        resolve(&place, args.run.as_deref()).map_err(|error| {
            print_error(&format!("error: {error}"));
            code::USAGE
        })
    });
    let run = match found {
        Ok(run) => run,
        Err(code) => return code,
    };
    let store = Store::new(&run.path);
    let steps = match store.list() {
        Ok(steps) => steps,
        Err(error) => {
            print_error(&format!("error: {error}"));
            return code::FAILED;
        }
    };
    // Not from the files BEST and LATEST, whose writes can have failed.
    let best = store.best().ok().flatten().map(|best| best.global_step);
    let latest = store.newest(Depth::Lengths).ok().flatten();
    let mut rows = vec![
        [
            "checkpoint",
            "epoch",
            "valid",
            "why",
            "size",
            "marks",
            "state",
        ]
        .map(str::to_owned),
    ];
    let mut all_valid = true;
    for step in steps {
        let name = step_name(step);
        let depth = if args.verify {
            Depth::Bytes
        } else {
            Depth::Lengths
        };
        let checked = verify(&store.path(step), depth);
        if checked.is_err() && !store.path(step).exists() {
            // A running job has deleted it in the meantime.
            continue;
        }
        all_valid &= checked.is_ok();
        let manifest = store.manifest(step).ok();
        let of = |text: Option<String>| text.unwrap_or_else(none);
        let marks: Vec<&str> = [
            (best == Some(step), "best"),
            (latest == Some(step), "latest"),
            (manifest.as_ref().is_some_and(|m| m.pinned), "pinned"),
        ]
        .into_iter()
        .filter_map(|(is, word)| is.then_some(word))
        .collect();
        rows.push([
            name,
            of(manifest.as_ref().map(|m| m.epoch.to_string())),
            of(manifest
                .as_ref()
                .and_then(|m| m.valid_accuracy_ppm)
                .map(|ppm| format!("{:.2} %", f64::from(ppm) / 1e4))),
            of(manifest.as_ref().map(|m| m.reason.clone())),
            of(manifest.as_ref().map(|m| megabytes(m.bytes()))),
            marks.join(", "),
            match checked {
                Ok(_) if args.verify => "verified".to_owned(),
                Ok(_) => "complete".to_owned(),
                Err(VerifyError::Damaged(flaw)) => format!("DAMAGED: {flaw}"),
                Err(unknown) => format!("unknown: {unknown}"),
            },
        ]);
    }
    if rows.len() == 1 {
        print_line(&format!("{}: no checkpoints yet", run.path.display()));
    } else {
        print_line(&table(&rows, &[1, 2, 4]));
    }
    if all_valid {
        code::COMPLETED
    } else {
        code::FAILED
    }
}

/// Lists incomplete and damaged files and runs; deletes them with `--yes`.
pub(super) fn clean(args: CleanArgs) -> u8 {
    let place = match runs_path(args.runs) {
        Ok(place) => place.path,
        Err(code) => return code,
    };
    let found: Vec<(Deletable, u64)> = deletable(&place)
        .into_iter()
        .map(|one| {
            let size = disk_size(&one.path);
            (one, size)
        })
        .collect();
    let cached = match cached(args.cache_dir.as_deref()) {
        Ok(cached) => cached,
        Err(error) => {
            print_error(&format!("error: {error}"));
            return code::FAILED;
        }
    };
    let (packs, leftovers): (Vec<_>, Vec<_>) =
        cached.into_iter().partition(|file| match file.kind {
            CachedKind::Pack { .. } | CachedKind::Duplicates => true,
            CachedKind::Unfinished | CachedKind::Damaged => false,
        });
    let (deleted_packs, kept_packs) = if args.packed {
        (packs, Vec::new())
    } else {
        (Vec::new(), packs)
    };
    let cached: Vec<CachedFile> = leftovers.into_iter().chain(deleted_packs).collect();
    for file in &cached {
        let path = file.path.display();
        print_line(&format!(
            "{:>9}  {path}  ({})",
            megabytes(file.bytes),
            describe(&file.kind)
        ));
    }
    // The complete list comes first, so that there is a record of what was deleted even if this process is killed.
    for (one, size) in &found {
        let (path, why) = (one.path.display(), one.why);
        print_line(&format!("{:>9}  {path}  ({why})", megabytes(*size)));
    }
    let mut bytes = 0_u64;
    let mut failed = false;
    for (one, size) in &found {
        match if args.yes { one.remove() } else { Ok(()) } {
            Ok(()) => bytes = bytes.saturating_add(*size),
            Err(error) => {
                failed = true;
                print_error(&format!("error: not deleted: {error}"));
            }
        }
    }
    for file in &cached {
        match if args.yes { file.remove() } else { Ok(()) } {
            Ok(()) => bytes = bytes.saturating_add(file.bytes),
            Err(error) => {
                failed = true;
                print_error(&format!("error: not deleted: {error}"));
            }
        }
    }
    if !kept_packs.is_empty() {
        print_line("packed images, deleted only with --packed:");
        for file in &kept_packs {
            let path = file.path.display();
            print_line(&format!(
                "{:>9}  {path}  ({})",
                megabytes(file.bytes),
                describe(&file.kind)
            ));
        }
    }
    print_line(&match (found.is_empty() && cached.is_empty(), args.yes) {
        (true, _) => format!("{}: nothing to delete", place.display()),
        (false, true) => format!("deleted: {}", megabytes(bytes)),
        (false, false) => format!("{} can be deleted; add --yes to delete", megabytes(bytes)),
    });
    if failed {
        code::FAILED
    } else {
        code::COMPLETED
    }
}

/// The files in the directory of packed images.
fn cached(dir: Option<&Path>) -> io::Result<Vec<CachedFile>> {
    // Without a home directory there is no cache.
    let dir = dir
        .map(Path::to_owned)
        .or_else(|| cache_dir(&DataConfig::default()).ok());
    dir.map_or_else(|| Ok(Vec::new()), |dir| cached_files(&dir))
}

fn describe(kind: &CachedKind) -> String {
    match kind {
        CachedKind::Pack {
            dir,
            images,
            size: (height, width),
        } => format!("{images} packed images of {height}×{width} from {dir}"),
        CachedKind::Unfinished => {
            "packing was interrupted; `train` or `data pack` would continue it".to_owned()
        }
        CachedKind::Duplicates => "duplicates that `data check` has found".to_owned(),
        CachedKind::Damaged => "packed images that are damaged and not used".to_owned(),
    }
}

fn disk_size(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => size(path),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    }
}

/// Formats rows as a table; the columns in `right` are right-aligned.
fn table<const N: usize>(rows: &[[String; N]], right: &[usize]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.width()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells: Vec<String> = cells
            .map(|(i, (cell, &width))| {
                if right.contains(&i) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A duration in milliseconds as text, in one suitable unit.
fn age(ms: u64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0 => format!("{} s", ms / 1000),
        1..60 => format!("{minutes} min"),
        60..2880 => format!("{} h", minutes / 60),
        _ => format!("{} d", minutes / 1440),
    }
}

fn now_ms() -> u64 {
    jiff::Timestamp::now().as_millisecond().max(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["run", "size"], ["a", "1.0 MB"], ["longer", "12.0 MB"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(
            table(&rows, &[1]),
            "run        size\na        1.0 MB\nlonger  12.0 MB"
        );
    }

    #[test]
    fn ages_have_one_unit() {
        let ages = [5_000, 60_000, 3_600_000, 200_000_000].map(age);
        assert_eq!(ages, ["5 s", "1 min", "1 h", "2 d"]);
    }
}
