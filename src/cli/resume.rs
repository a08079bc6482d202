//! `train --resume` and `train --fork`: find a checkpoint, verify it and continue training from it.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use super::code;
use super::front_end::Mode;
use super::print::{print_error, print_line};
use super::repair::repair;
use super::restore::other_data;
use super::resume_point::{
    ResumePoint, ResumeRequest, ResumeSettings, describe, is_set, read_resume_point, total_epochs,
    with_settings,
};
use super::train::{RunStart, check, create, meta, train_and_show};
use crate::checkpoint::{Depth, Manifest, State, Store, step_name, verify};
use crate::config::{Change, Config, Loaded};
use crate::event::{Answer, Command, Event, Level, Record, Restoration};
use crate::images::Dataset;
use crate::run::{CommandLine, RunState};
use crate::session::{
    CheckpointPosition, Journal, JournalPrefix, Meta, RunDir, RunFiles, RunOutcome, RunsDir,
    locate_checkpoint, nothing, outcome_of, prefix, resolve,
};
use crate::train::{self, Resume};

/// Continues a run in place, from its newest valid checkpoint.
pub(super) fn resume(run: Option<&OsStr>, request: &ResumeRequest) -> u8 {
    let run = resolve(&request.runs, run).map_err(message);
    exit_code_of(run.and_then(|run| try_resume(&run, request)))
}

/// Continues the run `name`, for `--resume-or-start`. A completed run needs nothing, which is a success.
pub(super) fn resume_named(name: &str, loaded: &Loaded, mode: Mode, take_over: bool) -> u8 {
    let runs = loaded.runs_dir();
    let run = RunDir::at(&runs.join(name));
    let request = ResumeRequest {
        runs_option: Some(runs.clone()),
        runs: RunsDir::only(runs),
        take_over,
        sets: Vec::new(),
        mode,
        unused: Some(loaded.config.clone()),
    };
    if is_complete(&run) {
        if let Ok(journal) = Journal::take(&run) {
            print_notes(&repair(&run, &journal));
        }
        print_line(&format!(
            "{}: the run is completed; nothing to do",
            run.path.display()
        ));
        return code::COMPLETED;
    }
    exit_code_of(try_resume(&run, &request))
}

fn is_complete(run: &RunDir) -> bool {
    run.meta()
        .is_some_and(|meta| outcome_of(run, &meta) == RunOutcome::Completed)
}

fn print_notes(notes: &[String]) {
    notes
        .iter()
        .for_each(|note| print_line(&format!("warning: {note}")));
}

/// Starts a new run from a checkpoint.
pub(super) fn fork(checkpoint: &OsStr, name: Option<&str>, request: &ResumeRequest) -> u8 {
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

fn try_resume(run: &RunDir, request: &ResumeRequest) -> Result<u8, String> {
    // The journal is locked: from here on no other process can write this run.
    let mut journal = Journal::take_with(run, request.take_over).map_err(message)?;
    let store = Store::new(&run.path);
    store.sweep();
    let (newest, mut notes) = store
        .newest_verified()
        .map_err(|error| format!("{}: {error}", run.path.display()))?;
    notes.extend(repair(run, &journal));
    let Some(manifest) = newest else {
        return start_over(run, journal, &store, &notes, request);
    };
    // The process may have been killed between writing a checkpoint and updating LATEST and BEST. This also repairs the
    // files of a completed run.
    notes.extend(store.update_pointers().iter().map(ToString::to_string));
    let checkpoint = store.path(manifest.global_step);
    let ResumePoint {
        state,
        loaded,
        changes,
        dataset,
    } = read_resume_point(&checkpoint, request)?;
    let epochs = total_epochs(&state, &loaded, &request.sets);
    let nothing_left = train::nothing_left(&state, &loaded.config, epochs);
    if let Err(refusal) = refuse_complete(run, &state, &changes, nothing_left.as_deref()) {
        print_notes(&notes);
        return Err(refusal);
    }
    notes.extend(changes.iter().map(describe));
    notes.extend(unused_settings(&loaded.config, request));
    notes.extend(
        nothing_left.map(|why| format!("no step is left to train after this checkpoint: {why}")),
    );
    announce(run, &mut journal)?;
    let mut records = Vec::new();
    let at = CheckpointPosition {
        mark: state.mark,
        global_step: state.global_step,
        epoch_done: state.epoch_done,
    };
    let before = prefix(run, at, |record| {
        if is_in_exports(record) {
            records.push(record.clone());
        }
    })
    .map_err(message)?;
    if before.torn {
        let what = "journal records before this checkpoint are lost; the charts have a gap";
        notes.push(what.to_owned());
    }
    notes.extend(before.state.missing_line());
    let restoration = Restoration {
        after: before.after,
        checkpoint: format!("checkpoints/{}", step_name(state.global_step)),
        bytes: manifest.bytes(),
        global_step: state.global_step,
        epoch: state.epoch,
        redone: before.redone,
        notes,
        answers: answers(&before, &store, &manifest),
    };
    let start = files(run, &loaded, journal, &dataset, (at, &records)).map(|files| RunStart {
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
        started_over: None,
    });
    Ok(train_and_show(
        &loaded,
        dataset,
        run,
        request.mode.clone(),
        start,
        false,
    ))
}

/// Records the restart in the journal. It must be writable: without a record of the restart, repeated steps would count
/// twice.
fn announce(run: &RunDir, journal: &mut Journal) -> Result<(), String> {
    let text = format!("restarted by process {}", std::process::id());
    let level = Level::Info;
    journal
        .append(Event::Log { level, text })
        .map_err(|error| format!("{}: {error}", run.journal().display()))
}

/// Trains a run that ended before its first checkpoint again, from step 0 with the same configuration.
fn start_over(
    run: &RunDir,
    mut journal: Journal,
    store: &Store,
    notes: &[String],
    request: &ResumeRequest,
) -> Result<u8, String> {
    if journal.has_checkpoint() || !store.damaged().is_empty() {
        return Err(no_valid_checkpoint(run, store, notes));
    }
    let recorded = (run.path.join("config.toml"), run.config().map_err(message)?);
    let ResumeSettings {
        loaded, changes, ..
    } = with_settings(&run.path, &recorded, request)?;
    let dataset = check(&loaded.config)?;
    let then = run.meta().unwrap_or_default().data_fingerprint;
    if !then.is_empty() && !dataset.is(&then) {
        return Err(other_data(&dataset, &then, "at the start of the run"));
    }
    announce(run, &mut journal)?;
    let before = nothing(run).map_err(message)?;
    let started_over = Restoration {
        redone: before.redone,
        notes: changes
            .iter()
            .map(describe)
            .chain(unused_settings(&loaded.config, request))
            .collect(),
        ..Restoration::default()
    };
    let nothing = (CheckpointPosition::default(), &[][..]);
    let start = files(run, &loaded, journal, &dataset, nothing).map(|files| RunStart {
        files,
        state: before.state,
        resume: None,
        started_over: Some(started_over),
    });
    let mode = request.mode.clone();
    Ok(train_and_show(&loaded, dataset, run, mode, start, false))
}

/// A note for each setting of the command line that is for a new run only and differs from the recorded one.
fn unused_settings(recorded: &Config, request: &ResumeRequest) -> Vec<String> {
    let unused = request
        .unused
        .iter()
        .flat_map(|given| recorded.changes(given));
    unused
        .map(|Change { key, from, to }| {
            format!(
                "{key} = {to} is ignored: the run continues with {from} (--resume --set changes it)"
            )
        })
        .collect()
}

/// The answers to the requests that had none at the checkpoint, where it is known.
fn answers(before: &JournalPrefix, store: &Store, manifest: &Manifest) -> Vec<(u64, Answer)> {
    let saved = |step| {
        let note = format!("checkpoints/{}", step_name(step));
        Some(Answer::Done { note })
    };
    let steps = store.steps();
    let answer = |line: &CommandLine| {
        let mut given = before.answers.iter();
        if let Some((_, answer)) = given.find(|(id, _)| *id == line.id) {
            return Some(answer.clone());
        }
        // The process was killed after it had done this and before it recorded the answer.
        match line.command {
            Command::Checkpoint if steps.contains(&line.global_step) => saved(line.global_step),
            Command::Stop | Command::StopAfterEpoch if manifest.reason == "final" => {
                saved(manifest.global_step)
            }
            _ => None,
        }
    };
    let pending = before.state.commands.iter();
    pending
        .filter(|line| line.answer == Answer::Accepted)
        .filter_map(|line| Some((line.id, answer(line)?)))
        .collect()
}

/// Refuses to resume a completed run, unless a changed setting allows more training. Otherwise it would only be
/// evaluated on the test set once more.
fn refuse_complete(
    run: &RunDir,
    state: &State,
    changes: &[Change],
    nothing_left: Option<&str>,
) -> Result<(), String> {
    const EXTENDING: [&str; 4] = [
        "train.epochs",
        "train.patience",
        "train.min_delta",
        "train.max_minutes",
    ];
    let extended = changes
        .iter()
        .any(|change| EXTENDING.contains(&change.key.as_str()));
    if !is_complete(run) || extended && nothing_left.is_none() {
        return Ok(());
    }
    let more = state.epochs.max(state.epoch).saturating_add(10);
    let why = nothing_left.map_or_else(
        || format!("to train longer, add --set train.epochs={more}"),
        str::to_owned,
    );
    Err(format!(
        "{}: completed after {} epochs, so there is nothing to do: {why}",
        run.path.display(),
        state.epoch
    ))
}

/// The error for a run that had checkpoints of which none can be used.
fn no_valid_checkpoint(run: &RunDir, store: &Store, notes: &[String]) -> String {
    let dir = run.path.join("checkpoints");
    let mut text = format!(
        "{}: no valid checkpoint to restart from, though the run had saved one; put one back, or train again under \
         another --name",
        dir.display()
    );
    for note in notes {
        let _ = write!(text, "\n  {note}");
    }
    if notes.is_empty() && !store.damaged().is_empty() {
        let _ = write!(text, "\n  damaged: {}", store.damaged().join(", "));
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
    (at, records): (CheckpointPosition, &[Record]),
) -> io::Result<RunFiles> {
    let new = meta(&loaded.config, dataset, run);
    let meta = Meta {
        started_ms: run.meta().map_or(new.started_ms, |old| old.started_ms),
        ..new
    };
    run.write_config(&loaded.config.run_toml())?;
    RunFiles::resume(journal, meta, at, records)
}

fn try_fork(checkpoint: &OsStr, name: Option<&str>, request: &ResumeRequest) -> Result<u8, String> {
    let found = locate_checkpoint(&request.runs, Some(checkpoint)).map_err(message)?;
    let manifest = verify(&found.path, Depth::Bytes)
        .map_err(|flaw| format!("{}: {flaw}", found.path.display()))?;
    let ResumePoint {
        state,
        loaded,
        changes,
        dataset,
    } = read_resume_point(&found.path, request)?;
    let run = create(&request.runs.path, name, &loaded.config).map_err(message)?;
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
        started_over: None,
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

fn resume_job(
    checkpoint: PathBuf,
    state: State,
    loaded: &Loaded,
    sets: &[String],
    restoration: Restoration,
    fork: bool,
) -> Resume {
    let config = &loaded.config;
    // Values changed by key during the run stay in effect, unless --set overrides them.
    let lr = if is_set(sets, "optim.lr") {
        config.optim.lr
    } else {
        state.lr
    };
    let epochs = total_epochs(&state, loaded, sets);
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
