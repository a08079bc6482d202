//! What can be said on the command line: verbs, their arguments and the words of `--help`.

mod live;
mod screenshot;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

#[cfg(feature = "train")]
use super::bench::BenchArgs;
#[cfg(feature = "train")]
use super::lr_find::LrFindArgs;
pub(super) use live::{AttachArgs, CtlArgs, CtlVerb};
pub(super) use screenshot::{ScreenshotArgs, Size};

#[derive(Debug, Parser)]
#[command(
    name = "epochtop",
    version,
    about = "Train an image classifier with libtorch; watch it, steer it and trust its numbers from a terminal",
    after_help = "Exit codes: 0 completed, 1 failed, 2 bad arguments, configuration or data, 3 stopped on request with a checkpoint,\n\
                  130/143 ended by SIGINT/SIGTERM after a checkpoint.",
    arg_required_else_help = true
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Train a network and watch it
    #[command(
        after_help = "Example: epochtop train --preset fast --set optim.lr=1e-3 --name first-try"
    )]
    Train(TrainArgs),
    /// A screen for a run that is being trained, from any terminal and directory; any number at once
    #[command(
        after_help = "Example: epochtop attach                (the newest live run)\n         epochtop attach first-try --read-only\n\n\
                      From another machine: ssh -t HOST epochtop attach; or, with a viewer there,\n         \
                      ssh -L /tmp/run.sock:SOCKET HOST    (SOCKET is in `epochtop runs --json` on HOST)\n         \
                      epochtop attach --socket /tmp/run.sock"
    )]
    Attach(AttachArgs),
    /// Ask one thing of a run and wait until it is done, for scripts and schedulers
    #[command(
        after_help = "Example: epochtop ctl checkpoint first-try && echo saved\n         echo 'epochtop ctl stop' | at midnight\n\n\
                      Exit codes: 0 done, 1 refused or not done, 2 there is no such run to ask."
    )]
    Ctl(CtlArgs),
    /// Look at a run again, as its last screen showed it; or at several, laid over each other
    #[command(
        after_help = "Example: epochtop view            (the newest run)\n         epochtop view first-try\n         \
                      epochtop view first-try second-try    (their curves over each other; key 0 compares them)\n         \
                      epochtop view first-try --page confusion --screenshot confusion.svg"
    )]
    View(ViewArgs),
    /// Every number of a checkpoint, with intervals; each further one is compared with the first
    #[command(
        after_help = "Example: epochtop eval                                  (the best checkpoint of the newest run, test split)\n         \
                      epochtop eval first-try second-try             (and a paired comparison)\n         \
                      epochtop eval runs/first-try/checkpoints/step-000000645 --split valid"
    )]
    Eval(EvalArgs),
    /// What is in some images: calibrated classes for PNG and JPEG files
    #[command(after_help = "Example: epochtop predict shoe.jpg coat.png --run first-try --top 5")]
    Predict(PredictArgs),
    /// All runs: whether they live, how far they came, how good they are
    #[command(
        after_help = "Example: epochtop runs --json | jq '.[] | select(.state == \"crashed\") | .run'"
    )]
    Runs(RunsArgs),
    /// The checkpoints of a run, and whether they are whole
    #[command(after_help = "Example: epochtop checkpoints first-try --verify")]
    Checkpoints(CheckpointsArgs),
    /// What nobody needs any more: leftovers of interrupted saves, damaged checkpoints, runs that never got anywhere
    #[command(
        after_help = "Example: epochtop clean          (shows it)\n         epochtop clean --yes    (removes it)"
    )]
    Clean(CleanArgs),
    /// A run for other programs: TorchScript, a row for each step, or JSON
    #[cfg(feature = "train")]
    #[command(
        after_help = "Example: epochtop export first-try --format torchscript -o shoes.pt\n         epochtop export --format csv > steps.csv"
    )]
    Export(ExportArgs),
    /// Layers, output shapes, parameters, and what other choices would give
    #[command(after_help = "Example: epochtop summary --preset textbook --set model.head=flatten")]
    Summary(ConfigArgs),
    /// The images: files, checksums, class counts, samples
    #[command(subcommand)]
    Data(DataVerb),
    /// The configuration: print it as it would be used, or check a file
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Which learning rate suits: a test of a few seconds, with a chart
    #[cfg(feature = "train")]
    #[command(after_help = "Example: epochtop lr-find --set optim.name=sgd --to 10")]
    LrFind(LrFindArgs),
    /// How fast training is, as one JSON object (see make bench)
    #[cfg(feature = "train")]
    #[command(
        hide = true,
        after_help = "Example: epochtop bench --preset textbook --set train.precision=f32 --seconds 8"
    )]
    Bench(BenchArgs),
    /// The themes of the screen, or every role of one
    #[command(
        after_help = "Example: epochtop themes\n         epochtop themes colour-blind\n\n\
                      Your own are files NAME.toml in $XDG_CONFIG_HOME/epochtop/themes (~/.config/epochtop/themes). Exit code 2 when one of your own has a mistake."
    )]
    Themes(ThemesArgs),
    /// What was found, what is missing, what to do
    #[command(after_help = "Example: epochtop doctor")]
    Doctor(ConfigArgs),
    /// Completions of the command line for a shell, on standard output
    #[command(
        after_help = "Example: epochtop completions bash > ~/.local/share/bash-completion/completions/epochtop"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// The manual page, on standard output
    #[command(after_help = "Example: epochtop man > epochtop.1 && man ./epochtop.1")]
    Man,
}

#[derive(Debug, Subcommand)]
pub(super) enum DataVerb {
    /// Files, checksums, sizes, class counts before and after the validation split
    #[command(after_help = "Example: epochtop data check --set data.dir=/data/fashion")]
    Check(ConfigArgs),
    /// Samples of each class as ASCII art
    #[command(after_help = "Example: epochtop data show --count 1 --light")]
    Show(ShowArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigVerb {
    /// The effective configuration, as TOML
    #[command(after_help = "Example: epochtop config print --preset large")]
    Print(ConfigArgs),
    /// All problems at once; exit code 2 if there are any
    #[command(after_help = "Example: epochtop config check -c mine.toml")]
    Check(ConfigArgs),
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Args)]
pub(super) struct ConfigArgs {
    /// A configuration file; what it leaves out keeps its default
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// A compiled-in set of changes: textbook, fast, large
    #[arg(long, value_name = "NAME")]
    pub(super) preset: Option<String>,
    /// One key, for example optim.lr=1e-3; may be given again
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(super) sets: Vec<String>,
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line; clap sees to those that exclude each other"
)]
pub(super) struct TrainArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
    /// Name of the run [default: date, time and kind of network]
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Go on with a run from its newest whole checkpoint, in place [default: the newest run]; --set may change what does not
    /// make it another run
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with_all = ["config", "preset", "name", "fork"])]
    #[expect(
        clippy::option_option,
        reason = "clap: not given, given without a name, given with one"
    )]
    pub(super) resume: Option<Option<String>>,
    /// Begin a new run from a run's best checkpoint, or from the directory of any
    #[arg(long, value_name = "RUN|CHECKPOINT", conflicts_with_all = ["config", "preset"])]
    pub(super) fork: Option<String>,
    /// One line per epoch on stdout instead of the screen (also chosen without a terminal)
    #[arg(long, conflicts_with_all = ["in_process", "detach"])]
    pub(super) headless: bool,
    /// Start the run without a screen, and return; `epochtop attach` shows it
    #[arg(long, conflicts_with = "in_process")]
    pub(super) detach: bool,
    /// Screen and trainer as two threads of one process; when the terminal goes away, it goes on without
    #[arg(long)]
    pub(super) in_process: bool,
    #[command(flatten)]
    pub(super) beside: BesideArgs,
    /// The process that trains, started by the one that shows it
    #[arg(long, hide = true)]
    pub(super) trainer: bool,
    /// Theme of the screen: dark, light, high-contrast, colour-blind, mono, or your own (see epochtop themes)
    #[arg(long, value_name = "NAME")]
    pub(super) theme: Option<String>,
}

/// Runs behind a live one.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct BesideArgs {
    /// A run to show behind this one, for comparison; may be given again
    #[arg(long, value_name = "RUN")]
    pub(super) beside: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ViewArgs {
    /// Names or directories of runs, at most 8; the others are laid beside the first [default: the newest]
    #[arg(value_name = "RUN")]
    pub(super) run: Vec<String>,
    #[command(flatten)]
    pub(super) screenshot: ScreenshotArgs,
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
    /// Theme of the screen: dark, light, high-contrast, colour-blind, mono, or your own (see epochtop themes)
    #[arg(long, value_name = "NAME")]
    pub(super) theme: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ThemesArgs {
    /// One theme, with every role [default: the names of all]
    pub(super) name: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct RunsArgs {
    /// The list as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CheckpointsArgs {
    /// A run's name or directory [default: the newest]
    pub(super) run: Option<String>,
    /// Read every byte and compare it with what was written
    #[arg(long)]
    pub(super) verify: bool,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CleanArgs {
    /// Remove it; without, it is only shown
    #[arg(long)]
    pub(super) yes: bool,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
}

/// What `export` writes.
#[cfg(feature = "train")]
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum ExportFormat {
    /// The network of the best checkpoint, for torch.jit.load
    Torchscript,
    /// A row for each step
    Csv,
    /// The run, its epochs, measurements and checkpoints
    Json,
}

#[cfg(feature = "train")]
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// A run, or for torchscript also the directory of a checkpoint [default: the newest run]
    #[arg(value_name = "RUN|CHECKPOINT")]
    pub(super) run: Option<String>,
    /// What is written
    #[arg(long, value_enum)]
    pub(super) format: ExportFormat,
    /// Where to [default: stdout; for torchscript model.pt in the run's directory]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
    /// runs.dir or train.threads; may be given again
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(super) sets: Vec<String>,
}

/// The part of the data that `eval` measures.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum EvalSplit {
    /// Recorded in the run's journal: looked at too often, it stops telling the truth
    Test,
    /// What chose the checkpoint and the temperature
    Valid,
    /// What taught it
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
    /// Runs (their best checkpoint) or directories of checkpoints [default: the newest run]
    #[arg(value_name = "RUN|CHECKPOINT")]
    pub(super) checkpoints: Vec<String>,
    /// Which part of the data
    #[arg(long, value_enum, default_value_t = EvalSplit::Test)]
    pub(super) split: EvalSplit,
    /// The numbers as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
    /// One key over the checkpoint's configuration, for example data.dir=/data/fashion; may be given again
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(super) sets: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    /// PNG or JPEG files of any size
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// A run (its best checkpoint) or the directory of a checkpoint [default: the newest run]
    #[arg(long, value_name = "RUN|CHECKPOINT")]
    pub(super) run: Option<String>,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<PathBuf>,
    /// How many classes to name
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) top: u16,
    /// Take light and dark as they are; else an image is inverted where its ground is light and the network's is dark
    #[arg(long)]
    pub(super) no_invert: bool,
    /// The answers as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// For terminals with a light background
    #[arg(long)]
    pub(super) light: bool,
    /// One key over the checkpoint's configuration, for example train.device=cpu; may be given again
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(super) sets: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Samples of each class
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=20))]
    pub(super) count: u16,
    /// For terminals with a light background
    #[arg(long)]
    pub(super) light: bool,
}
