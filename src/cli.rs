//! Arguments in, the right parts put together, an exit code out. The only place that knows every floor.

#[cfg(feature = "train")]
mod bench;
mod check;
#[cfg(feature = "train")]
mod data;
mod doctor;
#[cfg(feature = "train")]
mod eval;
#[cfg(feature = "train")]
mod export;
#[cfg(feature = "train")]
mod lr_find;
#[cfg(feature = "train")]
mod predict;
mod print;
#[cfg(feature = "train")]
mod progress;
#[cfg(feature = "train")]
mod restore;
#[cfg(feature = "train")]
mod resume;
mod runs;
mod screen;
#[cfg(feature = "train")]
mod signals;
#[cfg(feature = "train")]
mod train;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use color_eyre::eyre::Report;

use crate::config::{self, Loaded, Sources};
use print::{complain, say};

/// Exit codes, documented in `--help`.
pub mod code {
    /// Completed.
    pub const COMPLETED: u8 = 0;
    /// Failed.
    pub const FAILED: u8 = 1;
    /// Bad arguments, configuration or data.
    pub const USAGE: u8 = 2;
    /// Stopped on request, with a checkpoint.
    pub const STOPPED: u8 = 3;
}

#[derive(Debug, Parser)]
#[command(
    name = "epochtop",
    version,
    about = "Train an image classifier with libtorch; watch it, steer it and trust its numbers from a terminal",
    after_help = "Exit codes: 0 completed, 1 failed, 2 bad arguments, configuration or data, 3 stopped on request with a checkpoint,\n\
                  130/143 ended by SIGINT/SIGTERM after a checkpoint.",
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train a network and watch it
    #[command(
        after_help = "Example: epochtop train --preset fast --set optim.lr=1e-3 --name first-try"
    )]
    Train(TrainArgs),
    /// Look at a run again, as its last screen showed it
    #[command(
        after_help = "Example: epochtop view            (the newest run)\n         epochtop view first-try"
    )]
    View(ViewArgs),
    /// Every number of a checkpoint, with intervals; each further one is compared with the first
    #[command(
        after_help = "Example: epochtop eval                                  (the best checkpoint of the newest run, test split)\n         \
                      epochtop eval first-try second-try             (and a paired comparison)\n         \
                      epochtop eval runs/first-try/checkpoints/step-000000645 --split valid"
    )]
    Eval(EvalArgs),
    /// What is in some pictures: calibrated classes for PNG and JPEG files
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
    LrFind(lr_find::LrFindArgs),
    /// How fast training is, as one JSON object (see make bench)
    #[cfg(feature = "train")]
    #[command(
        hide = true,
        after_help = "Example: epochtop bench --preset textbook --set train.precision=f32 --seconds 8"
    )]
    Bench(bench::BenchArgs),
    /// What was found, what is missing, what to do
    #[command(after_help = "Example: epochtop doctor")]
    Doctor(ConfigArgs),
}

#[derive(Debug, Subcommand)]
enum DataVerb {
    /// Files, checksums, sizes, class counts before and after the validation split
    #[command(after_help = "Example: epochtop data check --set data.dir=/data/fashion")]
    Check(ConfigArgs),
    /// Samples of each class as ASCII art
    #[command(after_help = "Example: epochtop data show --count 1 --light")]
    Show(ShowArgs),
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// The effective configuration, as TOML
    #[command(after_help = "Example: epochtop config print --preset large")]
    Print(ConfigArgs),
    /// All problems at once; exit code 2 if there are any
    #[command(after_help = "Example: epochtop config check -c mine.toml")]
    Check(ConfigArgs),
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Args)]
struct ConfigArgs {
    /// A configuration file; what it leaves out keeps its default
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A compiled-in set of changes: textbook, fast, large
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// One key, for example optim.lr=1e-3; may be given again
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
}

#[derive(Debug, Args)]
struct TrainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
    /// Name of the run [default: date, time and kind of network]
    #[arg(long)]
    name: Option<String>,
    /// Go on with a run from its newest whole checkpoint, in place [default: the newest run]; --set may change what does not
    /// make it another run
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with_all = ["config", "preset", "name", "fork"])]
    #[expect(
        clippy::option_option,
        reason = "clap: not given, given without a name, given with one"
    )]
    resume: Option<Option<String>>,
    /// Begin a new run from a run's best checkpoint, or from the directory of any
    #[arg(long, value_name = "RUN|CHECKPOINT", conflicts_with_all = ["config", "preset"])]
    fork: Option<String>,
    /// One line per epoch on stdout instead of the screen (also chosen without a terminal)
    #[arg(long, conflicts_with = "in_process")]
    headless: bool,
    /// Screen and trainer as two threads of one process; the only way so far, and so the default
    #[arg(long)]
    in_process: bool,
    /// Theme of the screen: dark, light, mono
    #[arg(long, value_name = "NAME")]
    theme: Option<String>,
}

#[derive(Debug, Args)]
struct ViewArgs {
    /// A run's name or directory [default: the newest]
    run: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
    /// Theme of the screen: dark, light, mono
    #[arg(long, value_name = "NAME")]
    theme: Option<String>,
}

#[derive(Debug, Args)]
struct RunsArgs {
    /// The list as JSON
    #[arg(long)]
    json: bool,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct CheckpointsArgs {
    /// A run's name or directory [default: the newest]
    run: Option<String>,
    /// Read every byte and compare it with what was written
    #[arg(long)]
    verify: bool,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct CleanArgs {
    /// Remove it; without, it is only shown
    #[arg(long)]
    yes: bool,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
}

/// What `export` writes.
#[cfg(feature = "train")]
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ExportFormat {
    /// The network of the best checkpoint, for torch.jit.load
    Torchscript,
    /// A row for each step
    Csv,
    /// The run, its epochs, measurements and checkpoints
    Json,
}

#[cfg(feature = "train")]
#[derive(Debug, Args)]
struct ExportArgs {
    /// A run, or for torchscript also the directory of a checkpoint [default: the newest run]
    #[arg(value_name = "RUN|CHECKPOINT")]
    run: Option<String>,
    /// What is written
    #[arg(long, value_enum)]
    format: ExportFormat,
    /// Where to [default: stdout; for torchscript model.pt in the run's directory]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
    /// runs.dir or train.threads; may be given again
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
}

/// The part of the data that `eval` measures.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum EvalSplit {
    /// Recorded in the run's journal: looked at too often, it stops telling the truth
    Test,
    /// What chose the checkpoint and the temperature
    Valid,
    /// What taught it
    Train,
}

#[derive(Debug, Args)]
struct EvalArgs {
    /// Runs (their best checkpoint) or directories of checkpoints [default: the newest run]
    #[arg(value_name = "RUN|CHECKPOINT")]
    checkpoints: Vec<String>,
    /// Which part of the data
    #[arg(long, value_enum, default_value_t = EvalSplit::Test)]
    split: EvalSplit,
    /// The numbers as JSON
    #[arg(long)]
    json: bool,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
    /// One key over the checkpoint's configuration, for example data.dir=/data/fashion; may be given again
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
}

#[derive(Debug, Args)]
struct PredictArgs {
    /// PNG or JPEG files of any size
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// A run (its best checkpoint) or the directory of a checkpoint [default: the newest run]
    #[arg(long, value_name = "RUN|CHECKPOINT")]
    run: Option<String>,
    /// Directory that holds a directory for each run
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
    /// How many classes to name
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    top: u16,
    /// Take light and dark as they are; else a picture is inverted where its ground is light and the network's is dark
    #[arg(long)]
    no_invert: bool,
    /// The answers as JSON
    #[arg(long)]
    json: bool,
    /// For terminals with a light background
    #[arg(long)]
    light: bool,
    /// One key over the checkpoint's configuration, for example train.device=cpu; may be given again
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Samples of each class
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=20))]
    count: u16,
    /// For terminals with a light background
    #[arg(long)]
    light: bool,
}

/// Panics are reported on stderr. The reporter's own hook would panic where stderr is a dead terminal, and a panic
/// inside the hook would end the process and the run with it.
fn report_panics() {
    let builder = color_eyre::config::HookBuilder::default()
        .display_location_section(false)
        .display_env_section(false);
    let (panics, errors) = builder.into_hooks();
    // Installed twice, as tests might, it stays as it was.
    let _ = errors.install();
    std::panic::set_hook(Box::new(move |info| {
        let _ = writeln!(io::stderr(), "{}", panics.panic_report(info));
    }));
}

/// Runs the program.
pub fn main() -> ExitCode {
    report_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                code::USAGE
            } else {
                code::COMPLETED
            });
        }
    };
    ExitCode::from(match cli.verb {
        Verb::Train(args) => train_verb(args),
        Verb::View(args) => finished(view(args)),
        Verb::Eval(args) => eval_verb(args),
        Verb::Predict(args) => predict_verb(args),
        #[cfg(feature = "train")]
        Verb::LrFind(args) => lr_find::run(args),
        #[cfg(feature = "train")]
        Verb::Bench(args) => bench::run(args),
        Verb::Runs(args) => runs::runs(args),
        Verb::Checkpoints(args) => runs::checkpoints(args),
        Verb::Clean(args) => runs::clean(args),
        #[cfg(feature = "train")]
        Verb::Export(args) => export::run(args),
        Verb::Summary(args) => with_config(args, summary_verb),
        Verb::Data(verb) => data_verb(verb),
        Verb::Config(ConfigVerb::Print(args)) => with_config(args, |loaded| {
            say(&loaded.config.to_toml());
            code::COMPLETED
        }),
        Verb::Config(ConfigVerb::Check(args)) => with_config(args, check::report),
        Verb::Doctor(args) => with_config(args, |loaded| doctor::report(&loaded.config)),
    })
}

#[cfg(feature = "train")]
fn train_verb(args: TrainArgs) -> u8 {
    let TrainArgs {
        config,
        runs,
        name,
        resume,
        fork,
        headless,
        in_process: _,
        theme,
    } = args;
    let mut config = config;
    config.sets.extend(screen_sets(runs, theme));
    if resume.is_none() && fork.is_none() {
        return with_config(config, |loaded| train::run(loaded, name, headless));
    }
    let runs = match runs_dir(&config.sets) {
        Ok(runs) => PathBuf::from(runs),
        Err(problems) => {
            complain(&problems);
            return code::USAGE;
        }
    };
    let wanted = resume::Wanted {
        runs,
        sets: config.sets,
        headless,
    };
    match (resume, fork) {
        (_, Some(checkpoint)) => resume::fork(&checkpoint, name, &wanted),
        (run, None) => resume::resume(run.flatten().as_deref(), &wanted),
    }
}

#[cfg(feature = "train")]
fn eval_verb(args: EvalArgs) -> u8 {
    eval::run(args)
}

#[cfg(feature = "train")]
fn predict_verb(args: PredictArgs) -> u8 {
    predict::run(args)
}

#[cfg(feature = "train")]
impl EvalSplit {
    fn split(self) -> crate::event::Split {
        match self {
            Self::Test => crate::event::Split::Test,
            Self::Valid => crate::event::Split::Valid,
            Self::Train => crate::event::Split::Train,
        }
    }
}

#[cfg(feature = "train")]
fn summary_verb(loaded: &Loaded) -> u8 {
    data::summary(&loaded.config)
}

#[cfg(feature = "train")]
fn data_verb(verb: DataVerb) -> u8 {
    match verb {
        DataVerb::Check(args) => with_config(args, |loaded| data::check(&loaded.config)),
        DataVerb::Show(ShowArgs {
            config,
            count,
            light,
        }) => with_config(config, |loaded| {
            data::show(&loaded.config, count.into(), light)
        }),
    }
}

#[cfg(not(feature = "train"))]
fn no_engine() -> u8 {
    complain(
        "this epochtop is the viewer, built without libtorch: it cannot train or read data sets; build it with default features for that",
    );
    code::USAGE
}

#[cfg(not(feature = "train"))]
fn train_verb(_: TrainArgs) -> u8 {
    no_engine()
}

#[cfg(not(feature = "train"))]
fn eval_verb(_: EvalArgs) -> u8 {
    no_engine()
}

#[cfg(not(feature = "train"))]
fn predict_verb(_: PredictArgs) -> u8 {
    no_engine()
}

#[cfg(not(feature = "train"))]
fn summary_verb(_: &Loaded) -> u8 {
    no_engine()
}

#[cfg(not(feature = "train"))]
fn data_verb(_: DataVerb) -> u8 {
    no_engine()
}

fn view(args: ViewArgs) -> Result<u8, Report> {
    let ViewArgs {
        run,
        mut config,
        runs,
        theme,
    } = args;
    config.sets.extend(screen_sets(runs, theme));
    match load(config) {
        Ok(loaded) => screen::view(&loaded, run.as_deref()),
        Err(code) => Ok(code),
    }
}

/// Options of their own that are keys of the configuration too.
fn screen_sets(runs: Option<PathBuf>, theme: Option<String>) -> Vec<String> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let runs = runs.map(|dir| format!("runs.dir={}", quoted(&dir.to_string_lossy())));
    let theme = theme.map(|name| format!("ui.theme={}", quoted(&name)));
    runs.into_iter().chain(theme).collect()
}

fn with_config(args: ConfigArgs, body: impl FnOnce(&Loaded) -> u8) -> u8 {
    match load(args) {
        Ok(loaded) => body(&loaded),
        Err(code) => code,
    }
}

/// The directory of runs, for who needs no more of the configuration.
fn runs_dir(sets: &[String]) -> Result<String, String> {
    let sources = Sources {
        user_file: user_file(),
        sets: sets.to_vec(),
        ..Sources::default()
    };
    let loaded = config::load(&sources).map_err(|problems| problems.to_string())?;
    Ok(loaded.config.runs.dir)
}

fn load(args: ConfigArgs) -> Result<Loaded, u8> {
    let ConfigArgs {
        config,
        preset,
        sets,
    } = args;
    let sources = Sources {
        user_file: user_file(),
        file: config,
        preset,
        sets,
        ..Sources::default()
    };
    config::load_and(&sources, screen::problems).map_err(|problems| {
        complain(&problems.to_string());
        code::USAGE
    })
}

/// `$XDG_CONFIG_HOME/epochtop/config.toml`, for what is a person's and not a run's: `ui`, `keys`, `runs.dir`.
fn user_file() -> Option<PathBuf> {
    let directory = |key: &str| {
        std::env::var_os(key)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = directory("XDG_CONFIG_HOME")
        .or_else(|| directory("HOME").map(|home| home.join(".config")))?;
    Some(base.join("epochtop").join("config.toml"))
}

fn finished(result: Result<u8, Report>) -> u8 {
    result.unwrap_or_else(|report| {
        complain(&format!("Error: {report:#}"));
        code::FAILED
    })
}
