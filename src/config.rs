//! The configuration: what a run is, how it is looked at, and where it is kept.
//!
//! [`Config`] is plain data, one struct a section, and every key has a default. `config.toml` at the root of the repository
//! documents the keys, is compiled in, and is proved equal to [`Config::default`] by a test; it is also the only place where
//! the default key bindings are written down.
//!
//! [`load()`] lays the sources over each other and finds all problems at once, each with the place it came from; reading
//! files is left to that one module. Whether an action or a key of `[keys]` exists is left to the screen, which knows them.

mod advice;
mod change;
mod keys;
mod layer;
mod load;
mod optimizer;
mod problem;
mod sections;
mod suggest;
mod validate;
mod words;

pub use change::Change;
pub use keys::Keys;
pub use layer::located;
pub use load::{Loaded, Sources, load, load_and, presets};
pub use optimizer::{Betas, Decay, OptimName, OptimTraits, StepLength};
pub use problem::{Origin, Problem, Problems};
pub use sections::{
    AugmentConfig, CheckpointConfig, DataConfig, EvalConfig, HealthConfig, ModelConfig,
    NotifyConfig, OptimConfig, RunsConfig, SystemConfig, TrainConfig, UiConfig,
};
pub use validate::validate;
pub use words::{
    Art, AsciiMode, ChartMode, Head, ModelName, NonFinite, Occasion, OnSignal, Padding, Precision,
    ScheduleName,
};

use serde::{Deserialize, Serialize};

/// The documented default configuration, as compiled in.
pub const DEFAULT_TOML: &str = include_str!("../config.toml");

/// Everything that can be set, with a default for each key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which images, and how they are varied.
    pub data: DataConfig,
    /// The network.
    pub model: ModelConfig,
    /// How long, on what, from which seed.
    pub train: TrainConfig,
    /// The optimizer, its schedule and the loss.
    pub optim: OptimConfig,
    /// How the network is measured.
    pub eval: EvalConfig,
    /// When the state is saved.
    pub checkpoint: CheckpointConfig,
    /// What is watched, and what is done about it.
    pub health: HealthConfig,
    /// How the machine is looked at.
    pub system: SystemConfig,
    /// Where runs are kept.
    pub runs: RunsConfig,
    /// How the screen looks.
    pub ui: UiConfig,
    /// Who is told when a run ends or is not well.
    pub notify: NotifyConfig,
    /// Which keys do what.
    pub keys: Keys,
}

impl Config {
    /// The whole configuration as TOML that loads to the same value.
    pub fn to_toml(&self) -> String {
        written(toml::to_string(self))
    }

    /// What makes a run: everything but `ui`, `notify`, `keys` and `runs`. Training it again repeats the run, for whoever looks on.
    pub fn run_toml(&self) -> String {
        let Self {
            data,
            model,
            train,
            optim,
            eval,
            checkpoint,
            health,
            system,
            runs: _,
            ui: _,
            notify: _,
            keys: _,
        } = self;
        written(toml::to_string(&RunSections {
            data,
            model,
            train,
            optim,
            eval,
            checkpoint,
            health,
            system,
        }))
    }
}

/// The sections of [`Config`] that make a run. A new section must be sorted in or out where this is filled.
#[derive(Serialize)]
struct RunSections<'a> {
    data: &'a DataConfig,
    model: &'a ModelConfig,
    train: &'a TrainConfig,
    optim: &'a OptimConfig,
    eval: &'a EvalConfig,
    checkpoint: &'a CheckpointConfig,
    health: &'a HealthConfig,
    system: &'a SystemConfig,
}

/// Every type of the sections has a form in TOML, so this cannot fail; if it ever did, the text would say so.
fn written(text: Result<String, toml::ser::Error>) -> String {
    text.unwrap_or_else(|error| {
        format!("# this configuration cannot be written as TOML: {error}\n")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn the_documented_default_is_the_default() {
        assert_eq!(
            toml::from_str::<Config>(DEFAULT_TOML).unwrap(),
            Config::default()
        );
    }

    #[test]
    fn every_key_is_documented() {
        let written: toml::Table = toml::from_str(DEFAULT_TOML).unwrap();
        assert_eq!(written, toml::Table::try_from(Config::default()).unwrap());
    }

    #[test]
    fn a_written_configuration_reads_back() {
        let mut config = Config::default();
        config.model.padding = Padding::Valid;
        config.model.head = Head::Flatten;
        config.train.seed = i64::MAX as u64;
        config.optim.lr = 0.1 + 0.2;
        assert_eq!(toml::from_str::<Config>(&config.to_toml()).unwrap(), config);
    }

    #[test]
    fn a_run_keeps_what_it_needs_and_no_more() {
        let mut config = Config::default();
        config.train.epochs = 3;
        config.ui.theme = "light".to_owned();
        config.notify.command = "a token may stand in it".to_owned();
        let text = config.run_toml();
        for section in ["[ui]", "[notify]", "[keys]", "[runs]"] {
            assert!(!text.contains(section), "{section} in\n{text}");
        }
        let read: Config = toml::from_str(&text).unwrap();
        config.ui = UiConfig::default();
        config.notify = NotifyConfig::default();
        assert_eq!(read, config);
    }
}
