//! Rebuilds files of a run that are missing, empty or incomplete, for example after a full disk or a power failure, from
//! its journal and its newest checkpoint.

use std::io;

use serde_json::Value;

use crate::checkpoint::{State, Store, read_state};
use crate::event::{EvalReport, Event, Split};
use crate::files::Dir;
use crate::report::eval_json;
use crate::run::RunState;
use crate::session::{Journal, Meta, RunDir, RunOutcome, live_records, outcome_of};

/// Greatest size in bytes of an `eval.json` that is checked.
const LONGEST: u64 = 256 << 20;

/// What the journal and the newest checkpoint of a run record about its files.
struct Recorded {
    state: RunState,
    checkpoint: Option<State>,
    /// The records of finished epochs.
    epochs: Vec<Event>,
    /// The last evaluation on the test set.
    tested: Option<EvalReport>,
    /// When the run ended, milliseconds since 1970-01-01 UTC.
    ended_ms: Option<u64>,
}

/// Rebuilds `config.toml`, `run.json`, `epochs.csv` and `eval.json` where that is necessary and possible. Returns
/// sentences about what was rebuilt, what failed and what is still missing.
pub(super) fn repair(run: &RunDir, journal: &Journal) -> Vec<String> {
    let recorded = match read(run) {
        Ok(recorded) => recorded,
        Err(error) => return vec![error.to_string()],
    };
    let (mut rebuilt, mut notes) = (Vec::new(), Vec::new());
    for (file, result) in [
        ("config.toml", config(run, &recorded)),
        ("epochs.csv", journal.rebuild_epochs(&recorded.epochs)),
        ("eval.json", evaluation(run, journal.dir(), &recorded)),
        ("run.json", meta(run, &recorded)),
    ] {
        match result {
            Ok(true) => rebuilt.push(file),
            Ok(false) => {}
            Err(error) => notes.push(format!("{file} cannot be rebuilt: {error}")),
        }
    }
    if !rebuilt.is_empty() {
        let files = rebuilt.join(", ");
        notes.push(format!(
            "rebuilt from the journal and the newest checkpoint: {files}"
        ));
    }
    if recorded.tested.is_some() && is_empty(journal.dir(), "predictions.csv") {
        notes.push("predictions.csv is missing or empty: `epochtop eval` writes it".to_owned());
    }
    notes
}

fn read(run: &RunDir) -> io::Result<Recorded> {
    let store = Store::new(&run.path);
    let mut newest_first = store.steps().into_iter().rev();
    let mut recorded = Recorded {
        state: RunState::default(),
        checkpoint: newest_first.find_map(|step| read_state(&store.path(step)).ok()),
        epochs: Vec::new(),
        tested: None,
        ended_ms: None,
    };
    live_records(run, |record| {
        recorded.state.apply(record);
        match &record.event {
            Event::EpochFinished(_) => recorded.epochs.push(record.event.clone()),
            Event::EvalFinished(report) if report.split == Split::Test => {
                recorded.tested = Some((**report).clone());
            }
            Event::RunFinished { .. } => recorded.ended_ms = Some(record.t_ms),
            Event::Restored(_) => recorded.ended_ms = None,
            _ => {}
        }
    })?;
    Ok(recorded)
}

/// Whether a file is missing or empty. One that cannot be read is not.
fn is_empty(dir: &Dir, file: &str) -> bool {
    match dir.open_read(file).and_then(|file| file.metadata()) {
        Ok(about) => about.len() == 0,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn config(run: &RunDir, recorded: &Recorded) -> io::Result<bool> {
    match &recorded.checkpoint {
        Some(state) if is_empty(&run.open()?, "config.toml") => {
            run.write_config(&state.config)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// `eval.json` is also rebuilt if it belongs to an earlier evaluation.
fn evaluation(run: &RunDir, dir: &Dir, recorded: &Recorded) -> io::Result<bool> {
    let Some(report) = &recorded.tested else {
        return Ok(false);
    };
    let known = dir.read("eval.json", LONGEST);
    let known: Option<Value> = known
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok());
    let step = known.and_then(|known| known.get("global_step")?.as_u64());
    if step == Some(report.global_step) {
        return Ok(false);
    }
    let info = recorded.state.info.as_ref();
    let names = info.map_or(&[][..], |info| &info.dataset.classes);
    let mut json = serde_json::to_vec_pretty(&eval_json(report, Some(&run.name), names))?;
    json.push(b'\n');
    dir.replace("eval.json", &json)?;
    Ok(true)
}

/// `run.json` is also rewritten if it lacks the outcome, or names files that have been rebuilt since.
fn meta(run: &RunDir, recorded: &Recorded) -> io::Result<bool> {
    let old = run.meta();
    let mut new = old.clone().unwrap_or_else(|| from_journal(run, recorded));
    new.outcome = outcome_of(run, &new);
    if old.as_ref().is_none_or(|old| old.outcome != new.outcome) {
        new.ended_ms = recorded.ended_ms;
        new.socket = None;
    }
    if new.outcome == RunOutcome::Completed {
        new.error = None;
    }
    if old.as_ref() == Some(&new) {
        return Ok(false);
    }
    run.write_meta(&new)?;
    Ok(true)
}

fn from_journal(run: &RunDir, recorded: &Recorded) -> Meta {
    let info = recorded.state.info.clone().unwrap_or_default();
    let (data_fingerprint, libtorch) = recorded
        .checkpoint
        .as_ref()
        .map_or_else(Default::default, |state| {
            (state.data.clone(), state.computed.libtorch.clone())
        });
    Meta {
        run: run.name.clone(),
        libtorch,
        seed: info.seed,
        device: info.device,
        precision: info.precision,
        threads: info.threads,
        data_fingerprint,
        parameters: info.parameters,
        started_ms: recorded.state.started_ms,
        ..Meta::default()
    }
}
