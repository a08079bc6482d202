//! What `--resume` and `--fork` continue from: a checkpoint, its recorded configuration with the settings of the command
//! line applied, and its data set.

use std::path::{Path, PathBuf};

use super::front_end::Mode;
use super::restore::{dataset_of, recorded_data_dir, run_of};
use super::train::make_absolute;
use super::user_file;
use crate::checkpoint::State;
use crate::config::{self, Change, Config, Loaded, Sources};
use crate::images::Dataset;
use crate::inference::read_state;
use crate::session::RunsDir;
use crate::train;

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
    /// The configuration of the command line, if it is for a new run only (`--resume-or-start`). A note is made of what
    /// differs from the recorded one.
    pub(super) unused: Option<Config>,
}

/// A checkpoint with everything needed to continue from it.
pub(super) struct ResumePoint {
    pub(super) state: State,
    pub(super) loaded: Loaded,
    pub(super) changes: Vec<Change>,
    pub(super) dataset: Dataset,
}

/// Reads the state of a checkpoint, applies the settings to its configuration and loads its data set.
///
/// # Errors
/// If the checkpoint cannot be read, a setting cannot be changed, or the data set or the device is not available.
pub(super) fn read_resume_point(
    checkpoint: &Path,
    request: &ResumeRequest,
) -> Result<ResumePoint, String> {
    let state = read_state(checkpoint)?;
    let recorded = (checkpoint.join("state.json"), state.config.clone());
    let ResumeSettings {
        loaded,
        changes,
        data_dir,
    } = with_settings(&run_of(checkpoint), &recorded, request)?;
    let dataset = dataset_of(&loaded.config, &state, data_dir.as_deref())?;
    train::choose_device(&loaded.config.train.device)?;
    Ok(ResumePoint {
        state,
        loaded,
        changes,
        dataset,
    })
}

/// A recorded configuration with settings applied, what they change, and the directory of the data in training if the
/// configuration does not have it.
pub(super) struct ResumeSettings {
    pub(super) loaded: Loaded,
    pub(super) changes: Vec<Change>,
    pub(super) data_dir: Option<PathBuf>,
}

/// Applies the settings of a request to a recorded configuration.
///
/// # Errors
/// If the configuration or a setting is invalid, or a setting cannot be changed.
pub(super) fn with_settings(
    run: &Path,
    recorded: &(PathBuf, String),
    request: &ResumeRequest,
) -> Result<ResumeSettings, String> {
    let load = |sets: &[String]| {
        let sources = Sources {
            user_file: user_file(),
            recorded: Some(recorded.clone()),
            sets: sets.to_vec(),
            runs: request.runs_option.clone(),
            ..Sources::default()
        };
        config::load(&sources).map_err(|problems| problems.to_string())
    };
    let mut loaded = load(&request.sets)?;
    let data_dir = recorded_data_dir(run, &loaded);
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
    Ok(ResumeSettings {
        loaded,
        changes,
        data_dir,
    })
}

/// A change as a line of the log.
pub(super) fn describe(Change { key, from, to }: &Change) -> String {
    format!("{key}: {from} -> {to}")
}

/// Whether `--set` sets this key.
pub(super) fn is_set(sets: &[String], key: &str) -> bool {
    let mut keys = sets.iter().filter_map(|set| set.split('=').next());
    keys.any(|set| set.trim() == key)
}

/// The total number of epochs. A number changed by key during the run stays in effect, unless `--set` overrides it.
pub(super) fn total_epochs(state: &State, loaded: &Loaded, sets: &[String]) -> u32 {
    if is_set(sets, "train.epochs") {
        loaded.config.train.epochs
    } else {
        state.epochs
    }
}
