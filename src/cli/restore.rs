//! Restores a checkpoint with its recorded configuration.

use std::path::{Path, PathBuf};

use super::load::{PackingLine, load};
use super::print::print_error;
use super::user_file;
use crate::checkpoint::State;
use crate::config::{self, Config, Loaded, Origin, Sources};
use crate::event::DatasetInfo;
use crate::images::{self, Dataset};
use crate::inference::{LoadedNetwork, read_state};
use crate::session::RunDir;
use crate::train::{choose_device, set_threads};

/// A restored network with its training state and configuration.
pub(super) struct Restored {
    pub(super) state: State,
    pub(super) config: Config,
    /// The directory of the data in training, if it is to be searched first.
    data_dir: Option<PathBuf>,
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
    let loaded = config::load(&sources).map_err(|problems| problems.to_string())?;
    let data_dir = recorded_data_dir(&run_of(checkpoint), &loaded);
    let config = loaded.config;
    if let Some(warning) = set_threads(config.train.threads)? {
        print_error(&format!("warning: {warning}"));
    }
    let device = choose_device(&config.train.device)?;
    let trained = LoadedNetwork::load(checkpoint, &config.model, &state.dataset, device)?;
    Ok(Restored {
        state,
        config,
        data_dir,
        trained,
    })
}

impl Restored {
    /// The data set that the network was trained on.
    ///
    /// # Errors
    /// If it is not found or differs from the one used in training.
    pub(super) fn dataset(&self) -> Result<Dataset, String> {
        dataset_of(&self.config, &self.state, self.data_dir.as_deref())
    }
}

/// The run directory of a checkpoint.
pub(super) fn run_of(checkpoint: &Path) -> PathBuf {
    checkpoint
        .ancestors()
        .nth(2)
        .unwrap_or(checkpoint)
        .to_owned()
}

/// The directory of the data in training, from `run.json`, unless the configuration has an absolute path or the user has
/// set one: a relative path, or that of a search, depends on the working directory and the environment.
pub(super) fn recorded_data_dir(run: &Path, loaded: &Loaded) -> Option<PathBuf> {
    let is_set = matches!(loaded.origin("data.dir"), Origin::Set(_));
    if is_set || Path::new(&loaded.config.data.dir).is_absolute() {
        return None;
    }
    RunDir::at(run).meta()?.data_dir
}

/// The data set that a checkpoint was trained on, loaded from the directory `recorded` or else from the location in the
/// configuration.
///
/// # Errors
/// If it is not found or differs from the one used in training.
pub(super) fn dataset_of(
    config: &Config,
    state: &State,
    recorded: Option<&Path>,
) -> Result<Dataset, String> {
    let seed = config.train.seed;
    let found = recorded.and_then(|dir| {
        let mut line = PackingLine::new();
        images::load_in(dir, &config.data, seed, &mut |progress| line.show(progress)).ok()
    });
    let found = found.filter(|dataset| dataset.is(&state.data));
    let dataset = found.map_or_else(|| load(config), Ok);
    let dataset = dataset.map_err(|error| match recorded {
        Some(dir) => format!(
            "{}\nin training, the data was in {}; select it with --set data.dir=DIR",
            error.0,
            dir.display()
        ),
        None => error.0,
    })?;
    if dataset.is(&state.data) {
        let (now, then) = (&dataset.info, &state.dataset);
        // The name can be that of the directory, which may have another one now.
        let renamed = DatasetInfo {
            name: then.name.clone(),
            ..now.clone()
        };
        if renamed == *then {
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
    Err(other_data(&dataset, &state.data, "in the checkpoint"))
}

/// The error for a data set that differs from the one with the fingerprint `then`.
pub(super) fn other_data(dataset: &Dataset, then: &str, place: &str) -> String {
    let short = |print: &str| print.get(..16).unwrap_or(print).to_owned();
    format!(
        "{}: data fingerprint {} differs from {} {place}; select the training data with --set data.dir=DIR",
        dataset.dir.display(),
        short(&dataset.fingerprint),
        short(then)
    )
}
