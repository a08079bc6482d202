//! A checkpoint taken up again, with the configuration it was made with.

use std::path::Path;

use super::user_file;
use crate::checkpoint::State;
use crate::config::{self, Config, Sources};
use crate::data::{self, Dataset};
use crate::inference::{Trained, read_state};
use crate::train::{choose_device, set_threads};

/// A network that can be asked.
pub(super) struct Restored {
    pub(super) state: State,
    pub(super) config: Config,
    pub(super) trained: Trained,
}

/// What may be set anew: where things are and how they are measured, not what was trained on what.
const FREE: [&str; 6] = [
    "data.dir",
    "train.device",
    "train.threads",
    "eval.",
    "runs.",
    "ui.",
];

/// Settings that would make another network of it, or other splits.
fn refused(settings: &[String]) -> Vec<&str> {
    let keys = settings
        .iter()
        .map(|set| set.split('=').next().unwrap_or(set).trim());
    keys.filter(|key| !FREE.iter().any(|free| key.starts_with(free)))
        .collect()
}

/// Takes up a checkpoint. `settings` are laid over its configuration: where the data lies now, which device there is.
pub(super) fn restore(checkpoint: &Path, settings: &[String]) -> Result<Restored, String> {
    let wrong = refused(settings);
    if !wrong.is_empty() {
        return Err(format!(
            "--set {}: a checkpoint's network and splits are what they are; only data.dir, train.device, train.threads and eval.* can be set",
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
    set_threads(config.train.threads);
    let device = choose_device(&config.train.device)?;
    let trained = Trained::load(checkpoint, &config.model, &state.dataset, device)?;
    Ok(Restored {
        state,
        config,
        trained,
    })
}

impl Restored {
    /// The data it was trained on.
    ///
    /// # Errors
    /// When it is not there, or not the same.
    pub(super) fn dataset(&self) -> Result<Dataset, String> {
        dataset_of(&self.config, &self.state)
    }
}

/// The data that a checkpoint was trained on, where the configuration says that it lies now.
///
/// # Errors
/// When it is not there, or not the same.
pub(super) fn dataset_of(config: &Config, state: &State) -> Result<Dataset, String> {
    let dataset = data::load(&config.data, config.train.seed).map_err(|error| error.0)?;
    if dataset.fingerprint == state.data {
        let (there, then) = (&dataset.info, &state.dataset);
        if there == then {
            return Ok(dataset);
        }
        return Err(format!(
            "{}: these are the right images, but they are read differently than in training: {} classes ({}) and {}×{}×{}, then {} classes ({}) and {}×{}×{}; see classes.txt there",
            dataset.found.display(),
            there.classes.len(),
            there.classes.join(", "),
            there.channels,
            there.height,
            there.width,
            then.classes.len(),
            then.classes.join(", "),
            then.channels,
            then.height,
            then.width
        ));
    }
    let short = |print: &str| print.get(..16).unwrap_or(print).to_owned();
    Err(format!(
        "{}: these images have the fingerprint {}, the checkpoint was trained on {}; name the right ones with --set data.dir=DIR",
        dataset.found.display(),
        short(&dataset.fingerprint),
        short(&state.data)
    ))
}
