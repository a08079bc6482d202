//! `train --resume` and `train --fork`: find a checkpoint, verify it and continue training from it.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use super::front_end::Mode;
use super::print::print_error;
use super::restore::{dataset_of, recorded_data_dir};
use super::train::{RunStart, make_absolute, meta, train_and_show};
use super::{code, user_file};
use crate::checkpoint::{Depth, State, Store, step_name, verify};
use crate::config::{self, Change, Loaded, Sources};
use crate::data::Dataset;
use crate::event::{Event, Level, Record, Restoration};
use crate::inference::read_state;
use crate::run::RunState;
use crate::session::{
    CheckpointPosition, Journal, Meta, RunDir, RunFiles, RunOutcome, RunsDir, default_name,
    locate_checkpoint, prefix, resolve,
};
use crate::train::{self, Resume};

/// The options of `--resume` and `--fork`, except the checkpoint.
pub(super) struct ResumeRequest {
    /// Where the run is searched.
    pub(super) runs: RunsDir,
    /// The directory of `--runs`.
    pub(super) runs_option: Option<PathBuf>,
    /// Whether to restart a run that another process may still train.
    pub(super) take_over: bool,
    /// Settings that override the recorded configuration.
    pub(super) sets: Vec<String>,
    pub(super) mode: Mode,
}

/// Continues a run in place, from its newest valid checkpoint.
pub(super) fn resume(run: Option<&OsStr>, request: &ResumeRequest) -> u8 {
    exit_code_of(try_resume(run, request))
}

/// Starts a new run from a checkpoint.
pub(super) fn fork(checkpoint: &OsStr, name: Option<String>, request: &ResumeRequest) -> u8 {
    exit_code_of(try_fork(checkpoint, name, request))
}

fn exit_code_of(result: Result<u8, String>) -> u8 {
    result.unwrap_or_else(|error| {
        print_error(&format!("error: {error}"));
        code::USAGE
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn message(error: io::Error) -> String {
    error.to_string()
}

fn try_resume(name: Option<&OsStr>, request: &ResumeRequest) -> Result<u8, String> {
    let run = resolve(&request.runs, name).map_err(message)?;
    // The journal is locked: from here on no other process can write this run.
    let mut journal = Journal::take_with(&run, request.take_over).map_err(message)?;
    let store = Store::new(&run.path);
    store.sweep();
    let (newest, mut notes) = store
        .newest_verified()
        .map_err(|error| format!("{}: {error}", run.path.display()))?;
    let manifest = newest.ok_or_else(|| no_valid_checkpoint(&run, &notes))?;
    let checkpoint = store.path(manifest.global_step);
    let ResumePoint {
        state,
        loaded,
        changes,
        dataset,
    } = read_resume_point(&checkpoint, request)?;
    // The process may have been killed between writing a checkpoint and updating LATEST and BEST.
    notes.extend(update_pointers(&store, &state));
    refuse_complete(&run, &state, &changes)?;
    notes.extend(changes.iter().map(describe));
    // The journal must be writable: without a record of the restart, repeated steps would count twice.
    let text = format!("restarted by process {}", std::process::id());
    let level = Level::Info;
    journal
        .append(Event::Log { level, text })
        .map_err(|error| format!("{}: {error}", run.journal().display()))?;
    let mut records = Vec::new();
    let at = CheckpointPosition {
        mark: state.mark,
        global_step: state.global_step,
        epoch_done: state.epoch_done,
    };
    let before = prefix(&run, at, |record| {
        if is_in_exports(record) {
            records.push(record.clone());
        }
    })
    .map_err(message)?;
    if before.torn {
        let what = "journal records before this checkpoint are lost; the charts have a gap";
        notes.push(what.to_owned());
    }
    let restoration = Restoration {
        after: before.after,
        checkpoint: format!("checkpoints/{}", step_name(state.global_step)),
        bytes: manifest.bytes(),
        global_step: state.global_step,
        epoch: state.epoch,
        redone: before.redone,
        notes,
    };
    let start = files(&run, &loaded, journal, &dataset, &records).map(|files| RunStart {
        files,
        state: before.state,
        resume: Some(resume_job(
            checkpoint,
            state,
            &loaded,
            &request.sets,
            restoration,
            false,
        )),
    });
    Ok(train_and_show(
        &loaded,
        dataset,
        &run,
        request.mode.clone(),
        start,
        false,
    ))
}

/// Updates `LATEST` and `BEST` to existing checkpoints; returns the errors.
fn update_pointers(store: &Store, state: &State) -> Vec<String> {
    let best = state
        .best
        .filter(|best| store.steps().contains(&best.global_step));
    let mut errors = Vec::new();
    errors.extend(store.point("LATEST", state.global_step).err());
    errors.extend(best.and_then(|best| store.point("BEST", best.global_step).err()));
    errors.iter().map(ToString::to_string).collect()
}

/// Refuses to resume a completed run, unless a changed setting allows more training.
fn refuse_complete(run: &RunDir, state: &State, changes: &[Change]) -> Result<(), String> {
    const EXTENDING: [&str; 4] = [
        "train.epochs",
        "train.patience",
        "train.min_delta",
        "train.max_minutes",
    ];
    let complete = run
        .meta()
        .is_some_and(|meta| meta.outcome == RunOutcome::Completed);
    if complete
        && !changes
            .iter()
            .any(|change| EXTENDING.contains(&change.key.as_str()))
    {
        let more = state.epochs.max(state.epoch).saturating_add(10);
        return Err(format!(
            "{}: completed after {} epochs; to train longer, add --set train.epochs={more} (if train.patience or \
             train.max_minutes ended the run, raise it or set it to 0)",
            run.path.display(),
            state.epoch
        ));
    }
    Ok(())
}

fn no_valid_checkpoint(run: &RunDir, notes: &[String]) -> String {
    let dir = run.path.join("checkpoints");
    let mut text = format!(
        "{}: no valid checkpoint to restart from; the run ended before it saved one",
        dir.display()
    );
    for note in notes {
        let _ = write!(text, "\n  {note}");
    }
    text
}

/// Whether the record is needed to write `epochs.csv` or `tb/`.
fn is_in_exports(record: &Record) -> bool {
    matches!(
        record.event,
        Event::Steps(_) | Event::EpochFinished(_) | Event::EvalFinished(_)
    )
}

fn files(
    run: &RunDir,
    loaded: &Loaded,
    journal: Journal,
    dataset: &Dataset,
    records: &[Record],
) -> io::Result<RunFiles> {
    let new = meta(&loaded.config, dataset, run);
    let meta = Meta {
        started_ms: run.meta().map_or(new.started_ms, |old| old.started_ms),
        ..new
    };
    run.write_config(&loaded.config.run_toml())?;
    RunFiles::resume(journal, meta, records)
}

fn try_fork(
    checkpoint: &OsStr,
    name: Option<String>,
    request: &ResumeRequest,
) -> Result<u8, String> {
    let found = locate_checkpoint(&request.runs, Some(checkpoint)).map_err(message)?;
    let manifest = verify(&found.path, Depth::Bytes)
        .map_err(|flaw| format!("{}: {flaw}", found.path.display()))?;
    let ResumePoint {
        state,
        loaded,
        changes,
        dataset,
    } = read_resume_point(&found.path, request)?;
    let model = loaded.config.model.name;
    let name = name.unwrap_or_else(|| default_name(&request.runs.path, model.name()));
    let run =
        RunDir::create(&request.runs.path, &name, &loaded.config.run_toml()).map_err(message)?;
    let restoration = Restoration {
        checkpoint: found.title(),
        bytes: manifest.bytes(),
        global_step: state.global_step,
        epoch: state.epoch,
        notes: changes.iter().map(describe).collect(),
        ..Restoration::default()
    };
    let resume = resume_job(found.path, state, &loaded, &request.sets, restoration, true);
    if resume.state.epoch_done && resume.epochs <= resume.state.epoch {
        run.discard();
        return Err(format!(
            "{}: all {} epochs are complete; to train longer, add --set train.epochs={}",
            resume.checkpoint.display(),
            resume.state.epoch,
            resume.state.epoch.saturating_add(10)
        ));
    }
    let files = RunFiles::create(&run.path, meta(&loaded.config, &dataset, &run));
    let start = files.map(|files| RunStart {
        files,
        state: RunState::default(),
        resume: Some(resume),
    });
    Ok(train_and_show(
        &loaded,
        dataset,
        &run,
        request.mode.clone(),
        start,
        true,
    ))
}

/// A checkpoint with everything needed to continue from it.
struct ResumePoint {
    state: State,
    loaded: Loaded,
    changes: Vec<Change>,
    dataset: Dataset,
}

/// Reads the state of a checkpoint, applies the settings to its configuration and loads its data set.
///
/// # Errors
/// If the checkpoint cannot be read, a setting cannot be changed, or the data set or the device is not available.
fn read_resume_point(checkpoint: &Path, request: &ResumeRequest) -> Result<ResumePoint, String> {
    let state = read_state(checkpoint)?;
    let load = |sets: &[String]| {
        let sources = Sources {
            user_file: user_file(),
            recorded: Some((checkpoint.join("state.json"), state.config.clone())),
            sets: sets.to_vec(),
            runs: request.runs_option.clone(),
            ..Sources::default()
        };
        config::load(&sources).map_err(|problems| problems.to_string())
    };
    let mut loaded = load(&request.sets)?;
    let data_dir = recorded_data_dir(checkpoint, &loaded);
    if data_dir.is_none() {
        make_absolute(&mut loaded.config);
    }
    let changes = load(&[])?.config.changes(&loaded.config);
    let refused: Vec<String> = changes
        .iter()
        .filter(|change| change.is_refused())
        .map(|Change { key, from, to }| {
            format!("{key}: cannot change from {from} to {to} with --resume or --fork; start a new run instead")
        })
        .collect();
    if !refused.is_empty() {
        return Err(refused.join("\n"));
    }
    let dataset = dataset_of(&loaded.config, &state, data_dir.as_deref())?;
    train::choose_device(&loaded.config.train.device)?;
    Ok(ResumePoint {
        state,
        loaded,
        changes,
        dataset,
    })
}

fn describe(Change { key, from, to }: &Change) -> String {
    format!("{key}: {from} -> {to}")
}

fn resume_job(
    checkpoint: PathBuf,
    state: State,
    loaded: &Loaded,
    sets: &[String],
    restoration: Restoration,
    fork: bool,
) -> Resume {
    let is_set = |key: &str| {
        let keys = sets.iter().filter_map(|set| set.split('=').next());
        keys.into_iter().any(|set| set.trim() == key)
    };
    let config = &loaded.config;
    // Values changed by key during the run stay in effect, unless --set overrides them.
    let lr = if is_set("optim.lr") {
        config.optim.lr
    } else {
        state.lr
    };
    let epochs = if is_set("train.epochs") {
        config.train.epochs
    } else {
        state.epochs
    };
    Resume {
        checkpoint,
        lr,
        epochs: epochs.max(state.epoch),
        changed: config.run_toml() != state.config || lr != state.lr || epochs != state.epochs,
        fork,
        restoration,
        state,
    }
}
