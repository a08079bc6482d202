//! Restores a checkpoint with its recorded configuration.

use std::path::Path;

use super::print::print_error;
use super::user_file;
use crate::checkpoint::State;
use crate::config::{self, Config, Sources};
use crate::data::{self, Dataset};
use crate::inference::{LoadedNetwork, read_state};
use crate::train::{choose_device, set_threads};

/// A restored network with its training state and configuration.
pub(super) struct Restored {
    pub(super) state: State,
    pub(super) config: Config,
    pub(super) trained: LoadedNetwork,
}

/// Keys, or prefixes of keys, that may be overridden: locations, device and evaluation, but not network and data split.
const OVERRIDABLE: [&str; 6] = [
    "data.dir",
    "train.device",
    "train.threads",
    "eval.",
    "runs.",
    "ui.",
];

/// The keys among the settings that may not be overridden.
fn refused(settings: &[String]) -> Vec<&str> {
    let keys = settings
        .iter()
        .map(|set| set.split('=').next().unwrap_or(set).trim());
    keys.filter(|key| !OVERRIDABLE.iter().any(|prefix| key.starts_with(prefix)))
        .collect()
}

/// Restores a checkpoint. `settings` override keys of its configuration, for example `data.dir` or `train.device`.
///
/// # Errors
/// If a setting may not be overridden, the checkpoint cannot be read or the device does not exist.
pub(super) fn restore(checkpoint: &Path, settings: &[String]) -> Result<Restored, String> {
    let wrong = refused(settings);
    if !wrong.is_empty() {
        return Err(format!(
            "--set {}: the network and data split of a checkpoint cannot be changed; only data.dir, train.device, \
             train.threads and eval.* can be set",
            wrong.join(", ")
        ));
    }
    let state = read_state(checkpoint)?;
    let sources = Sources {
        user_file: user_file(),
        recorded: Some((checkpoint.join("state.json"), state.config.clone())),
        sets: settings.to_vec(),
        ..Sources::default()
    };
    let config = config::load(&sources)
        .map_err(|problems| problems.to_string())?
        .config;
    if let Some(warning) = set_threads(config.train.threads)? {
        print_error(&format!("warning: {warning}"));
    }
    let device = choose_device(&config.train.device)?;
    let trained = LoadedNetwork::load(checkpoint, &config.model, &state.dataset, device)?;
    Ok(Restored {
        state,
        config,
        trained,
    })
}

impl Restored {
    /// The data set that the network was trained on.
    ///
    /// # Errors
    /// If it is not found or differs from the one used in training.
    pub(super) fn dataset(&self) -> Result<Dataset, String> {
        dataset_of(&self.config, &self.state)
    }
}

/// The data set that a checkpoint was trained on, loaded from the location in the configuration.
///
/// # Errors
/// If it is not found or differs from the one used in training.
pub(super) fn dataset_of(config: &Config, state: &State) -> Result<Dataset, String> {
    let dataset = data::load(&config.data, config.train.seed).map_err(|error| error.0)?;
    if dataset.fingerprint == state.data {
        let (now, then) = (&dataset.info, &state.dataset);
        if now == then {
            return Ok(dataset);
        }
        return Err(format!(
            "{}: the images match, but their classes or shape differ from training: now {} classes ({}) and \
             {}×{}×{}, in training {} classes ({}) and {}×{}×{}; check classes.txt in this directory",
            dataset.dir.display(),
            now.classes.len(),
            now.classes.join(", "),
            now.channels,
            now.height,
            now.width,
            then.classes.len(),
            then.classes.join(", "),
            then.channels,
            then.height,
            then.width
        ));
    }
    let short = |print: &str| print.get(..16).unwrap_or(print).to_owned();
    Err(format!(
        "{}: data fingerprint {} differs from {} in the checkpoint; select the training data with --set data.dir=DIR",
        dataset.dir.display(),
        short(&dataset.fingerprint),
        short(&state.data)
    ))
}
