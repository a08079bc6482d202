//! Arguments of `attach` and `ctl`, the subcommands for running jobs.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ConfigArgs, ReferenceArgs};
use crate::cli::ctl::Rate;

#[derive(Debug, Args)]
pub(in crate::cli) struct AttachArgs {
    /// Name or directory of a run [default: the only running job in runs.dir]
    pub(in crate::cli) run: Option<OsString>,
    /// Watch only: no key can control the run
    #[arg(long)]
    pub(in crate::cli) read_only: bool,
    /// Socket of the trainer, for example one forwarded with ssh -L
    #[arg(long, value_name = "PATH", conflicts_with = "run")]
    pub(in crate::cli) socket: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) reference: ReferenceArgs,
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
    /// Search only this directory [default: running jobs on this machine, runs.dir, then known runs elsewhere]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) runs: Option<PathBuf>,
    /// Screen theme: dark, light, high-contrast, colour-blind, mono, or your own (see epochtop themes)
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) theme: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CtlArgs {
    #[command(subcommand)]
    pub(in crate::cli) verb: CtlVerb,
    /// Socket of the trainer [default: the socket of the run]
    #[arg(long, value_name = "PATH", global = true)]
    pub(in crate::cli) socket: Option<PathBuf>,
    /// Search only this directory [default: running jobs on this machine, runs.dir, then known runs elsewhere]
    #[arg(long, value_name = "DIR", global = true)]
    pub(in crate::cli) runs: Option<PathBuf>,
    /// Wait at most this many seconds
    #[arg(long, value_name = "SECONDS", global = true, value_parser = seconds)]
    pub(in crate::cli) timeout: Option<f64>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| (0.0..1e9).contains(value));
    value.ok_or_else(|| "expected a number of seconds, 0 or more".to_owned())
}

/// Data split that `ctl evaluate` evaluates.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(in crate::cli) enum CtlSplit {
    /// Used for checkpoint selection and for fitting the temperature
    Valid,
    /// Recorded and counted, because repeated test-set evaluation biases the result
    Test,
}

/// Commands that can be sent to a running job.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum CtlVerb {
    /// Pause at the next step
    Pause {
        /// Name or directory of a run [default: the only running job in runs.dir]
        run: Option<OsString>,
    },
    /// Resume after a pause
    Resume {
        /// Name or directory of a run [default: the only running job in runs.dir]
        run: Option<OsString>,
    },
    /// Evaluate the current weights now
    Evaluate {
        /// Name or directory of a run [default: the only running job in runs.dir]
        run: Option<OsString>,
        /// Data split to evaluate
        #[arg(long, value_enum, default_value_t = CtlSplit::Valid)]
        split: CtlSplit,
    },
    /// Write a checkpoint now
    Checkpoint {
        /// Name or directory of a run [default: the only running job in runs.dir]
        run: Option<OsString>,
    },
    /// Set the base learning rate
    Lr {
        /// New rate, for example 3e-4, or x0.5 for half the current rate
        rate: Rate,
        /// Name or directory of a run [default: the only running job in runs.dir]
        run: Option<OsString>,
    },
    /// Set the total number of epochs
    Epochs {
        /// Total number of epochs
        epochs: u32,
        /// Name or directory of a run [default: the only running job in runs.dir]
        run: Option<OsString>,
    },
    /// Stop after the current epoch, with a checkpoint
    StopAfterEpoch {
        /// Name or directory of a run [default: the only running job in runs.dir]
        run: Option<OsString>,
        /// Take back a pending stop: the run continues
        #[arg(long)]
        cancel: bool,
    },
    /// Finish the current step, write a checkpoint and stop
    Stop {
        /// Name or directory of a run [default: the only running job in runs.dir]
        run: Option<OsString>,
    },
}
