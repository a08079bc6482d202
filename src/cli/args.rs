//! The command line: subcommands, their arguments and the `--help` texts.

mod live;
mod lr_find;
mod screenshot;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

#[cfg(feature = "train")]
use super::bench::BenchArgs;
pub(super) use live::{AttachArgs, CtlArgs, CtlSplit, CtlVerb};
pub(super) use lr_find::LrFindArgs;
pub(super) use screenshot::{ScreenshotArgs, Size};

#[derive(Debug, Parser)]
#[command(
    name = "epochtop",
    version,
    about = "Train an image classifier with libtorch; monitor, control and evaluate it from a terminal",
    after_help = "Exit codes: 0 completed, 1 failed, 2 invalid arguments, configuration or data,\n\
                  3 stopped on request after a checkpoint,\n\
                  130/131/143 ended by SIGINT/SIGQUIT/SIGTERM after a checkpoint."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Train a network and monitor it on a live screen
    #[command(
        after_help = "Example: epochtop train --preset fast --set optim.lr=1e-3 --name first-try"
    )]
    Train(TrainArgs),
    /// Open a screen on a running job, from any terminal and any directory; several screens can be attached at once
    #[command(
        after_help = "Example: epochtop attach                (the only running job in runs.dir)\n         \
                      epochtop attach first-try --read-only\n\n\
                      From another machine: ssh -t HOST epochtop attach RUN\n\
                      With epochtop installed locally:\n         \
                      ssh -L /tmp/run.sock:SOCKET HOST    (`epochtop runs --json` on HOST shows SOCKET)\n         \
                      epochtop attach --socket /tmp/run.sock"
    )]
    Attach(AttachArgs),
    /// Send a command to a running job and wait until it has been carried out (for scripts and schedulers)
    #[command(
        after_help = "Example: epochtop ctl checkpoint first-try && echo saved\n         \
                      echo 'epochtop ctl stop first-try' | at midnight\n\n\
                      Exit codes: 0 done, 1 refused or failed, 2 no such running job."
    )]
    Ctl(CtlArgs),
    /// Show a saved run in its final state, or compare several runs in the same charts
    #[command(
        after_help = "Example: epochtop view            (the newest run)\n         epochtop view first-try\n         \
                      epochtop view first-try second-try    (curves overlaid; key 0 opens the comparison)\n         \
                      epochtop view first-try --page confusion --screenshot confusion.svg"
    )]
    View(ViewArgs),
    /// Evaluate a checkpoint with confidence intervals; compare each further checkpoint with the first
    #[command(
        after_help = "Example: epochtop eval                       (best of the newest run, test split)\n         \
                      epochtop eval first-try second-try  (adds a paired comparison)\n         \
                      epochtop eval runs/first-try/checkpoints/step-000000645 --split valid"
    )]
    Eval(EvalArgs),
    /// Classify image files, with calibrated probabilities
    #[command(after_help = "Example: epochtop predict shoe.jpg coat.png --run first-try --top 5")]
    Predict(PredictArgs),
    /// List runs with status, progress and accuracy
    #[command(
        after_help = "Example: epochtop runs --json | jq '.[] | select(.state == \"crashed\") | .run'"
    )]
    Runs(RunsArgs),
    /// List the checkpoints of a run and check that they are complete
    #[command(after_help = "Example: epochtop checkpoints first-try --verify")]
    Checkpoints(CheckpointsArgs),
    /// Delete leftovers of interrupted saves, damaged checkpoints and runs without any result
    #[command(
        after_help = "Example: epochtop clean          (lists them)\n         epochtop clean --yes    (deletes them)"
    )]
    Clean(CleanArgs),
    /// Export a run as TorchScript, as CSV with one row per step, or as JSON
    #[command(
        after_help = "Example: epochtop export first-try --format torchscript -o shoes.pt\n         \
                      epochtop export --format csv > steps.csv"
    )]
    Export(ExportArgs),
    /// Print layers, output shapes and parameter counts, and how other model settings would change them
    #[command(after_help = "Example: epochtop summary --preset textbook --set model.head=flatten")]
    Summary(ConfigArgs),
    /// Check the data set or show samples of it
    #[command(subcommand)]
    Data(DataVerb),
    /// Print the effective configuration, or check it for errors
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Find a good learning rate with a short range test and draw its chart
    #[command(after_help = "Example: epochtop lr-find --set optim.name=sgd --to 10")]
    LrFind(LrFindArgs),
    /// Measure training speed and print it as one JSON object (see make bench)
    #[cfg(feature = "train")]
    #[command(
        hide = true,
        after_help = "Example: epochtop bench --preset textbook --set train.precision=f32 --seconds 8"
    )]
    Bench(BenchArgs),
    /// List the screen themes, or all styles of one theme
    #[command(
        after_help = "Example: epochtop themes\n         epochtop themes colour-blind\n\n\
                      Your own themes are files NAME.toml in $XDG_CONFIG_HOME/epochtop/themes\n\
                      (~/.config/epochtop/themes). Exit code 2 if one of them contains an error."
    )]
    Themes(ThemesArgs),
    /// Check the installation: what was found, what is missing and how to fix it
    #[command(after_help = "Example: epochtop doctor")]
    Doctor(ConfigArgs),
    /// Print shell completions to standard output
    #[command(
        after_help = "Example: epochtop completions bash > ~/.local/share/bash-completion/completions/epochtop"
    )]
    Completions {
        /// Shell to generate completions for
        shell: clap_complete::Shell,
    },
    /// Print the manual page to standard output
    #[command(after_help = "Example: epochtop man > epochtop.1 && man ./epochtop.1")]
    Man,
}

#[derive(Debug, Subcommand)]
pub(super) enum DataVerb {
    /// Recognise the format, decode all images, and print class counts and everything that was noticed
    #[command(after_help = "Example: epochtop data check ~/photos")]
    Check(DataArgs),
    /// Show samples of each class as ASCII art, as the network receives them
    #[command(after_help = "Example: epochtop data show ~/photos --count 1 --light")]
    Show(ShowArgs),
    /// Decode and resize the images ahead of a run, into the cache of packed images (data.cache_dir)
    #[command(after_help = "Example: epochtop data pack ~/photos --set data.size=224")]
    Pack(DataArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigVerb {
    /// Print the effective configuration as TOML
    #[command(after_help = "Example: epochtop config print --preset large")]
    Print(ConfigArgs),
    /// Report all errors of the configuration at once; exit code 2 if there are any
    #[command(after_help = "Example: epochtop config check -c mine.toml")]
    Check(ConfigArgs),
}

/// The configuration and a directory of data.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct DataArgs {
    /// Directory of the images [default: data.dir]
    #[arg(value_name = "DIR", conflicts_with = "data")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

impl DataArgs {
    /// The configuration with the directory.
    pub(super) fn config(self) -> ConfigArgs {
        let data = self.dir.or(self.config.data);
        ConfigArgs {
            data,
            ..self.config
        }
    }
}

/// The sources of the configuration.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ConfigArgs {
    /// Configuration file; keys not in it keep their defaults. Personal settings (ui, keys, notify, runs.dir) are not
    /// accepted: they belong in ~/.config/epochtop/config.toml
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Built-in preset: textbook, fast, large, photo
    #[arg(long, value_name = "NAME")]
    pub(super) preset: Option<String>,
    /// Directory of the images, short for --set data.dir=DIR
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Set one key, for example optim.lr=1e-3; repeatable
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(super) sets: Vec<String>,
    /// The directory of `--runs`, where a command has that option.
    #[arg(skip)]
    pub(super) runs: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a command-line flag; clap rejects conflicting ones"
)]
pub(super) struct TrainArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Directory that contains the runs (runs.dir)
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
    /// Name of the run [default: date, time and network type]
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Restart a run in place from its newest valid checkpoint, or from step 0 if it ended before the first one
    /// [default: the newest run]; --set may change settings other than the model, data split, batch size, seed and
    /// optimizer
    #[arg(long, value_name = "RUN", num_args = 0..=1, group = "restart", conflicts_with_all = ["config", "preset", "name", "fork"])]
    #[expect(
        clippy::option_option,
        reason = "clap: flag absent, flag without a value, flag with a value"
    )]
    pub(super) resume: Option<Option<OsString>>,
    /// Restart even if it cannot be determined whether another process still trains the run; only if that process has
    /// ended
    #[arg(long, requires = "restart")]
    pub(super) take_over: bool,
    /// Resume the run --name if it exists, otherwise start it: one command for jobs that a scheduler starts again.
    /// Settings apply to a new run only; a completed run is a success
    #[arg(long, requires = "name", group = "restart", conflicts_with_all = ["resume", "fork"])]
    pub(super) resume_or_start: bool,
    /// Start a new run from the best checkpoint of a run, or from a checkpoint directory
    #[arg(long, value_name = "RUN|CHECKPOINT", conflicts_with_all = ["config", "preset"])]
    pub(super) fork: Option<OsString>,
    /// Print one line per epoch to stdout instead of showing the screen (automatic if there is no terminal)
    #[arg(long, conflicts_with_all = ["in_process", "detach"])]
    pub(super) headless: bool,
    /// Start the run in the background and return; show it with `epochtop attach`
    #[arg(long, conflicts_with = "in_process")]
    pub(super) detach: bool,
    /// Run screen and trainer as threads of one process; training continues if the terminal closes
    #[arg(long)]
    pub(super) in_process: bool,
    #[command(flatten)]
    pub(super) reference: ReferenceArgs,
    /// Internal: run as the trainer process of another epochtop process
    #[arg(long, hide = true)]
    pub(super) trainer: bool,
    /// Screen theme: dark, light, high-contrast, colour-blind, mono, or your own (see epochtop themes)
    #[arg(long, value_name = "NAME")]
    pub(super) theme: Option<String>,
}

/// Reference runs, drawn behind a live run.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ReferenceArgs {
    /// Reference run to show in the background for comparison; repeatable
    #[arg(long, value_name = "RUN", alias = "beside")]
    pub(super) reference: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(super) struct ViewArgs {
    /// Names or directories of runs, at most 8; further runs are compared with the first [default: the newest]
    #[arg(value_name = "RUN")]
    pub(super) run: Vec<OsString>,
    #[command(flatten)]
    pub(super) screenshot: ScreenshotArgs,
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Directory that contains the runs (runs.dir)
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
    /// Screen theme: dark, light, high-contrast, colour-blind, mono, or your own (see epochtop themes)
    #[arg(long, value_name = "NAME")]
    pub(super) theme: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ThemesArgs {
    /// Show all styles of this theme [default: list the themes]
    pub(super) name: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct RunsArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Directory that contains the runs (runs.dir)
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CheckpointsArgs {
    /// Name or directory of a run [default: the newest]
    pub(super) run: Option<OsString>,
    /// Read all files and verify their checksums
    #[arg(long)]
    pub(super) verify: bool,
    /// Directory that contains the runs (runs.dir)
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CleanArgs {
    /// Delete the files; without this flag they are only listed
    #[arg(long)]
    pub(super) yes: bool,
    /// Include packed images that are complete; a run that needs them packs its images again
    #[arg(long)]
    pub(super) packed: bool,
    /// Directory of packed images (data.cache_dir)
    #[arg(long, value_name = "DIR")]
    pub(super) cache_dir: Option<PathBuf>,
    /// Directory that contains the runs (runs.dir)
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
}

/// Format that `export` writes.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum ExportFormat {
    /// The network of the best checkpoint, for torch.jit.load
    Torchscript,
    /// One row per step
    Csv,
    /// The run, its epochs, measurements and checkpoints
    Json,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// A run or, for torchscript, a checkpoint directory [default: the newest run]
    #[arg(value_name = "RUN|CHECKPOINT")]
    pub(super) run: Option<OsString>,
    /// Output format
    #[arg(long, value_enum)]
    pub(super) format: ExportFormat,
    /// Output file [default: stdout; for torchscript model.pt in the directory of the run]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Replace an existing output file
    #[arg(long)]
    pub(super) force: bool,
    /// Directory that contains the runs (runs.dir)
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
    /// Set runs.dir or train.threads; repeatable
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(super) sets: Vec<String>,
}

/// Data split that `eval` evaluates.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum EvalSplit {
    /// Recorded in the journal of the run, because repeated test-set evaluation biases the result
    Test,
    /// Used for checkpoint selection and for fitting the temperature
    Valid,
    /// Used for training
    Train,
}

#[cfg(feature = "train")]
impl EvalSplit {
    pub(super) fn split(self) -> crate::event::Split {
        match self {
            Self::Test => crate::event::Split::Test,
            Self::Valid => crate::event::Split::Valid,
            Self::Train => crate::event::Split::Train,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// Runs (their best checkpoints) or checkpoint directories [default: the newest run]
    #[arg(value_name = "RUN|CHECKPOINT")]
    pub(super) checkpoints: Vec<OsString>,
    /// Data split to evaluate [default: test, or valid if the data have no test split]
    #[arg(long, value_enum)]
    pub(super) split: Option<EvalSplit>,
    /// Also compute the metrics without the images that are also in an earlier split (exact, near and mirrored copies)
    #[arg(long)]
    pub(super) without_leaks: bool,
    /// Print the results as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Directory that contains the runs (runs.dir)
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
    /// Override one key of the configuration in the checkpoint, for example data.dir=/data/fashion; repeatable
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(super) sets: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    /// Image files (JPEG, PNG, WebP, BMP, GIF, TIFF); for a directory, a CSV with a line per image is printed
    #[arg(value_name = "FILE|DIR", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// A run (its best checkpoint) or a checkpoint directory [default: the newest run]
    #[arg(long, value_name = "RUN|CHECKPOINT")]
    pub(super) run: Option<OsString>,
    /// Directory that contains the runs (runs.dir)
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
    /// Number of classes to print
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) top: u16,
    /// Never invert images [default: invert images with a light background if the training images have a dark one]
    #[arg(long)]
    pub(super) no_invert: bool,
    /// Print the predictions as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Draw for a terminal with a light background
    #[arg(long)]
    pub(super) light: bool,
    /// Override one key of the configuration in the checkpoint, for example train.device=cpu; repeatable
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(super) sets: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    pub(super) data: DataArgs,
    #[command(flatten)]
    pub(super) samples: SampleArgs,
}

#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    /// Number of samples per class
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=20))]
    pub(super) count: u16,
    /// Draw one sample per class unchanged, and then as it is in --count steps of training
    #[arg(long)]
    pub(super) augmented: bool,
    /// Draw for a terminal with a light background
    #[arg(long)]
    pub(super) light: bool,
}
