//! `train --resume` and `train --fork`: a checkpoint found, proved whole, and gone on from.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use super::front::Mode;
use super::print::complain;
use super::restore::dataset_of;
use super::train::{Beginning, go, meta};
use super::{code, user_file};
use crate::checkpoint::{Depth, State, Store, step_name, verify};
use crate::config::{self, Change, Loaded, Sources};
use crate::data::Dataset;
use crate::event::{Event, Level, Record, Restoration};
use crate::inference::read_state;
use crate::run::RunState;
use crate::session::{
    Journal, Meta, Moment, RunDir, RunFiles, RunOutcome, default_name, locate_checkpoint, prefix,
    resolve,
};
use crate::train::{self, Resume};

/// What was asked for besides the checkpoint.
pub(super) struct Wanted {
    /// The directory of runs.
    pub(super) runs: PathBuf,
    /// Settings to change.
    pub(super) sets: Vec<String>,
    pub(super) mode: Mode,
}

/// Goes on with a run, in place.
pub(super) fn resume(run: Option<&str>, wanted: &Wanted) -> u8 {
    told(try_resume(run, wanted))
}

/// Begins a new run from a checkpoint.
pub(super) fn fork(checkpoint: &str, name: Option<String>, wanted: &Wanted) -> u8 {
    told(try_fork(checkpoint, name, wanted))
}

fn told(result: Result<u8, String>) -> u8 {
    result.unwrap_or_else(|error| {
        complain(&format!("error: {error}"));
        code::USAGE
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn words(error: io::Error) -> String {
    error.to_string()
}

fn try_resume(name: Option<&str>, wanted: &Wanted) -> Result<u8, String> {
    let run = resolve(&wanted.runs, name).map_err(words)?;
    // From here on nobody else writes it.
    let mut journal = Journal::take(&run).map_err(words)?;
    let store = Store::new(&run.path);
    store.sweep();
    let (newest, mut notes) = store
        .newest_whole()
        .map_err(|error| format!("{}: {error}", run.path.display()))?;
    let manifest = newest.ok_or_else(|| nothing_whole(&run, &notes))?;
    let checkpoint = store.path(manifest.global_step);
    let Taken {
        state,
        loaded,
        changes,
        dataset,
    } = take(&checkpoint, &wanted.sets)?;
    // A kill may have come between a checkpoint and what names it.
    notes.extend(point(&store, &state));
    refuse_complete(&run, &state, &changes)?;
    notes.extend(changes.iter().map(in_words));
    // A journal that takes nothing could not tell that steps are done again, and they would count twice.
    let text = format!("taken up again by process {}", std::process::id());
    let level = Level::Info;
    journal
        .append(Event::Log { level, text })
        .map_err(|error| format!("{}: {error}", run.journal().display()))?;
    let mut records = Vec::new();
    let at = Moment {
        mark: state.mark,
        global_step: state.global_step,
        epoch_done: state.epoch_done,
    };
    let before = prefix(&run, at, |record| {
        if is_drawn(record) {
            records.push(record.clone());
        }
    })
    .map_err(words)?;
    if before.torn {
        let what = "the journal's end before this checkpoint is lost: the charts have a gap";
        notes.push(what.to_owned());
    }
    let told = Restoration {
        after: before.after,
        checkpoint: format!("checkpoints/{}", step_name(state.global_step)),
        bytes: manifest.bytes(),
        global_step: state.global_step,
        epoch: state.epoch,
        redone: before.redone,
        notes,
    };
    let begun = files(&run, &loaded, journal, &dataset, &records).map(|files| Beginning {
        files,
        state: before.state,
        resume: Some(going_on(
            checkpoint,
            state,
            &loaded,
            &wanted.sets,
            told,
            false,
        )),
    });
    Ok(go(
        &loaded,
        dataset,
        &run,
        wanted.mode.clone(),
        begun,
        false,
    ))
}

/// Lets `LATEST` and `BEST` name what is there; what went wrong is returned.
fn point(store: &Store, state: &State) -> Vec<String> {
    let best = state
        .best
        .filter(|best| store.steps().contains(&best.global_step));
    let mut wrong = Vec::new();
    wrong.extend(store.point("LATEST", state.global_step).err());
    wrong.extend(best.and_then(|best| store.point("BEST", best.global_step).err()));
    wrong.iter().map(ToString::to_string).collect()
}

/// A run that came to its end has nothing to go on with, unless it is given more.
fn refuse_complete(run: &RunDir, state: &State, changes: &[Change]) -> Result<(), String> {
    const MORE: [&str; 4] = [
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
            .any(|change| MORE.contains(&change.key.as_str()))
    {
        let more = state.epochs.max(state.epoch).saturating_add(10);
        return Err(format!(
            "{}: is complete after {} epochs; --set train.epochs={more} would go on (with train.patience and \
             train.max_minutes raised or 0, where they ended it)",
            run.path.display(),
            state.epoch
        ));
    }
    Ok(())
}

fn nothing_whole(run: &RunDir, notes: &[String]) -> String {
    let dir = run.path.join("checkpoints");
    let mut text = format!(
        "{}: no checkpoint to go on from: the run ended before its first one was on the disk",
        dir.display()
    );
    for note in notes {
        let _ = write!(text, "\n  {note}");
    }
    text
}

/// Whether `epochs.csv` or `tb/` are made of it.
fn is_drawn(record: &Record) -> bool {
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
    let fresh = meta(&loaded.config, dataset, run);
    let meta = Meta {
        started_ms: run.meta().map_or(fresh.started_ms, |old| old.started_ms),
        ..fresh
    };
    run.write_config(&loaded.config.run_toml())?;
    RunFiles::resume(&run.path, journal, meta, records)
}

fn try_fork(word: &str, name: Option<String>, wanted: &Wanted) -> Result<u8, String> {
    let found = locate_checkpoint(&wanted.runs, Some(word)).map_err(words)?;
    let manifest = verify(&found.path, Depth::Bytes)
        .map_err(|flaw| format!("{}: {flaw}", found.path.display()))?;
    let Taken {
        state,
        loaded,
        changes,
        dataset,
    } = take(&found.path, &wanted.sets)?;
    let model = loaded.config.model.name;
    let name = name.unwrap_or_else(|| default_name(&wanted.runs, model.name()));
    let run = RunDir::create(&wanted.runs, &name, &loaded.config.run_toml()).map_err(words)?;
    let told = Restoration {
        checkpoint: found.title(),
        bytes: manifest.bytes(),
        global_step: state.global_step,
        epoch: state.epoch,
        notes: changes.iter().map(in_words).collect(),
        ..Restoration::default()
    };
    let resume = going_on(found.path, state, &loaded, &wanted.sets, told, true);
    if resume.state.epoch_done && resume.epochs <= resume.state.epoch {
        run.discard();
        return Err(format!(
            "{}: all {} epochs are done there; --set train.epochs={} would go on",
            resume.checkpoint.display(),
            resume.state.epoch,
            resume.state.epoch.saturating_add(10)
        ));
    }
    let files = RunFiles::create(&run.path, meta(&loaded.config, &dataset, &run));
    let begun = files.map(|files| Beginning {
        files,
        state: RunState::default(),
        resume: Some(resume),
    });
    Ok(go(&loaded, dataset, &run, wanted.mode.clone(), begun, true))
}

/// A checkpoint with all that is needed to go on from it.
struct Taken {
    state: State,
    loaded: Loaded,
    changes: Vec<Change>,
    dataset: Dataset,
}

/// Reads a checkpoint's state, lays the settings over its configuration, and finds its data.
fn take(checkpoint: &Path, sets: &[String]) -> Result<Taken, String> {
    let state = read_state(checkpoint)?;
    let load = |sets: &[String]| {
        let sources = Sources {
            user_file: user_file(),
            recorded: Some((checkpoint.join("state.json"), state.config.clone())),
            sets: sets.to_vec(),
            ..Sources::default()
        };
        config::load(&sources).map_err(|problems| problems.to_string())
    };
    let loaded = load(sets)?;
    let changes = load(&[])?.config.changes(&loaded.config);
    let refused: Vec<String> = changes
        .iter()
        .filter(|change| change.is_refused())
        .map(|Change { key, from, to }| {
            format!("{key}: the run has {from}, --set says {to}; that would be another run, and a new one can be trained with it")
        })
        .collect();
    if !refused.is_empty() {
        return Err(refused.join("\n"));
    }
    let dataset = dataset_of(&loaded.config, &state)?;
    train::choose_device(&loaded.config.train.device)?;
    Ok(Taken {
        state,
        loaded,
        changes,
        dataset,
    })
}

fn in_words(Change { key, from, to }: &Change) -> String {
    format!("{key}: {from} -> {to}")
}

fn going_on(
    checkpoint: PathBuf,
    state: State,
    loaded: &Loaded,
    sets: &[String],
    told: Restoration,
    fork: bool,
) -> Resume {
    let is_set = |key: &str| {
        let keys = sets.iter().filter_map(|set| set.split('=').next());
        keys.into_iter().any(|set| set.trim() == key)
    };
    let config = &loaded.config;
    // What was changed by key while the run was going on holds, unless it is set anew.
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
        told,
        state,
    }
}
