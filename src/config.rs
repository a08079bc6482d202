//! The configuration of a training run, the user interface and the run directory.
//!
//! [`Config`] is plain data with one struct per section; every key has a default. `config.toml` and `personal.toml` at the
//! root of the repository document the keys of a run and those of the user, and are compiled in. A test ensures that they
//! equal [`Config::default`]. They are also the only definition of the default key bindings.
//!
//! [`load()`] merges the sources and reports all problems at once, each with its origin. Only that module reads files.
//! This module does not check the action names and key names in `[keys]`: the user interface defines and checks them.

mod advice;
mod change;
mod class_weights;
mod keys;
mod layer;
mod load;
mod optimizer;
mod pixels;
mod problem;
mod sections;
mod suggest;
mod validate;
mod words;

pub use advice::few_valid;
pub use change::Change;
pub use class_weights::ClassWeights;
pub use keys::Keys;
pub use layer::located;
pub use load::{Loaded, Sources, load, load_and, presets};
pub use optimizer::{Betas, Decay, OptimName, OptimTraits, StepLength};
pub use pixels::{Channels, Normalize};
pub use problem::{Origin, Problem, Problems};
pub use sections::{
    AugmentConfig, CheckpointConfig, DataConfig, EvalConfig, FASHION, HealthConfig, ModelConfig,
    NotifyConfig, OptimConfig, RunsConfig, SystemConfig, TrainConfig, UiConfig,
};
pub use validate::validate;
pub use words::{
    Art, AsciiMode, BestBy, ChartMode, ClassOrder, Head, InMemory, ModelName, NonFinite, Occasion,
    OnCorrupt, OnSignal, Padding, Policy, Precision, Resize, Sampling, ScheduleName, SourceName,
};

use serde::{Deserialize, Serialize};

/// The documented default configuration, as compiled in.
pub const DEFAULT_TOML: &str = concat!(
    include_str!("../config.toml"),
    include_str!("../personal.toml")
);

/// The complete configuration. Every key has a default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The dataset and its augmentation.
    pub data: DataConfig,
    /// The network.
    pub model: ModelConfig,
    /// Length, batch size, device and seed of the training.
    pub train: TrainConfig,
    /// The optimizer, its schedule and the loss.
    pub optim: OptimConfig,
    /// How the network is evaluated.
    pub eval: EvalConfig,
    /// When checkpoints are saved.
    pub checkpoint: CheckpointConfig,
    /// Health checks of the training, and the reaction to a failed check.
    pub health: HealthConfig,
    /// How the machine is monitored.
    pub system: SystemConfig,
    /// Where runs are stored.
    pub runs: RunsConfig,
    /// Appearance of the user interface.
    pub ui: UiConfig,
    /// Notifications when a run ends or needs attention.
    pub notify: NotifyConfig,
    /// Key bindings.
    pub keys: Keys,
}

impl Config {
    /// The complete configuration as TOML, with the personal settings as comments, because a file of `-c FILE` must not
    /// have them. Without the comment signs, it gives the same value.
    pub fn to_toml(&self) -> String {
        let personal = PersonalSections {
            runs: &self.runs,
            ui: &self.ui,
            notify: &self.notify,
            keys: &self.keys,
        };
        let personal = serialized(toml::to_string(&personal));
        let personal: Vec<String> = personal
            .lines()
            .map(|line| format!("# {line}").trim_end().to_owned())
            .collect();
        let title = "# Personal settings, for ~/.config/epochtop/config.toml or --set:";
        format!("{}\n{title}\n#\n{}\n", self.run_toml(), personal.join("\n"))
    }

    /// The sections that define a run, as TOML: all but `ui`, `notify`, `keys` and `runs`, which only concern the user.
    /// Training with them again reproduces the run.
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
        serialized(toml::to_string(&RunSections {
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

/// The sections of [`Config`] that define a run. Where this struct is filled, [`Config`] is destructured completely, so
/// that a new section must be included or excluded explicitly.
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

/// The other sections of [`Config`], which are personal.
#[derive(Serialize)]
struct PersonalSections<'a> {
    runs: &'a RunsConfig,
    ui: &'a UiConfig,
    notify: &'a NotifyConfig,
    keys: &'a Keys,
}

/// The serialized text. Every type in the sections has a TOML form, so an error is not expected; if there is one, the
/// text is a comment that contains it.
fn serialized(text: Result<String, toml::ser::Error>) -> String {
    text.unwrap_or_else(|error| {
        format!("# this configuration cannot be written as TOML: {error}\n")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn config_toml_equals_the_defaults() {
        assert_eq!(
            toml::from_str::<Config>(DEFAULT_TOML).unwrap(),
            Config::default()
        );
    }

    #[test]
    fn every_key_is_documented() {
        let documented: toml::Table = toml::from_str(DEFAULT_TOML).unwrap();
        assert_eq!(
            documented,
            toml::Table::try_from(Config::default()).unwrap()
        );
    }

    #[test]
    fn to_toml_round_trips() {
        let mut config = Config::default();
        config.model.padding = Padding::Valid;
        config.model.head = Head::Flatten;
        config.train.seed = i64::MAX as u64;
        config.optim.lr = 0.1 + 0.2;
        assert_eq!(toml::from_str::<Config>(&config.to_toml()).unwrap(), config);
        config.ui.fps = 3;
        config.notify.command = "mail me".to_owned();
        let text = config.to_toml();
        let (run, personal) = text.split_once("# Personal settings").unwrap();
        let personal: Vec<&str> = personal
            .lines()
            .skip(1)
            .map(|line| line.trim_start_matches(['#', ' ']))
            .collect();
        let complete = format!("{run}{}", personal.join("\n"));
        assert_eq!(toml::from_str::<Config>(&complete).unwrap(), config);
    }

    #[test]
    fn run_toml_excludes_the_sections_of_the_user() {
        let mut config = Config::default();
        config.train.epochs = 3;
        config.ui.theme = "light".to_owned();
        config.notify.command = "may contain a token".to_owned();
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
