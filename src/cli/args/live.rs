//! What can be said of runs that are being trained: `attach` and `ctl`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{BesideArgs, ConfigArgs};
use crate::cli::ctl::Rate;

#[derive(Debug, Args)]
pub(in crate::cli) struct AttachArgs {
    /// A run's name or directory [default: the newest live one, else the newest]
    pub(in crate::cli) run: Option<String>,
    /// Only watch: no key can change the run
    #[arg(long)]
    pub(in crate::cli) read_only: bool,
    /// Where the trainer listens, for a socket that was brought here by ssh -L
    #[arg(long, value_name = "PATH", conflicts_with = "run")]
    pub(in crate::cli) socket: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) beside: BesideArgs,
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
    /// Only runs in this directory [default: live ones wherever they were started, then those in runs.dir]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) runs: Option<PathBuf>,
    /// Theme of the screen: dark, light, high-contrast, colour-blind, mono, or your own (see epochtop themes)
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) theme: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CtlArgs {
    #[command(subcommand)]
    pub(in crate::cli) verb: CtlVerb,
    /// Where the trainer listens [default: found by the run]
    #[arg(long, value_name = "PATH", global = true)]
    pub(in crate::cli) socket: Option<PathBuf>,
    /// Only runs in this directory [default: live ones wherever they were started, then those in runs.dir]
    #[arg(long, value_name = "DIR", global = true)]
    pub(in crate::cli) runs: Option<PathBuf>,
    /// Wait no longer than this many seconds
    #[arg(long, value_name = "SECONDS", global = true, value_parser = seconds)]
    pub(in crate::cli) timeout: Option<f64>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| (0.0..1e9).contains(value));
    value.ok_or_else(|| "a number of seconds, 0 or more".to_owned())
}

/// What can be asked of a run.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum CtlVerb {
    /// Hold at the next step
    Pause {
        /// A run's name or directory [default: the newest live one]
        run: Option<String>,
    },
    /// Go on after a pause
    Resume {
        /// A run's name or directory [default: the newest live one]
        run: Option<String>,
    },
    /// Measure validation and test now
    Evaluate {
        /// A run's name or directory [default: the newest live one]
        run: Option<String>,
    },
    /// Write a checkpoint now
    Checkpoint {
        /// A run's name or directory [default: the newest live one]
        run: Option<String>,
    },
    /// Another base learning rate
    Lr {
        /// The rate, such as 3e-4, or x0.5 for half of what it is
        rate: Rate,
        /// A run's name or directory [default: the newest live one]
        run: Option<String>,
    },
    /// Another number of epochs in all
    Epochs {
        /// Epochs in all
        epochs: u32,
        /// A run's name or directory [default: the newest live one]
        run: Option<String>,
    },
    /// End after the epoch under way, with a checkpoint
    StopAfterEpoch {
        /// A run's name or directory [default: the newest live one]
        run: Option<String>,
    },
    /// Finish the step, write a checkpoint, end
    Stop {
        /// A run's name or directory [default: the newest live one]
        run: Option<String>,
    },
}
