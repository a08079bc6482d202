//! Arguments in, the right parts put together, an exit code out. The only place that knows every layer.

mod args;
mod attach;
#[cfg(feature = "train")]
mod bench;
mod check;
mod ctl;
#[cfg(feature = "train")]
mod data;
mod doctor;
#[cfg(feature = "train")]
mod eval;
#[cfg(feature = "train")]
mod export;
#[cfg(feature = "train")]
mod front;
#[cfg(feature = "train")]
mod launch;
#[cfg(feature = "train")]
mod lr_find;
#[cfg(feature = "train")]
mod own_session;
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
mod screenshot;
mod signals;
mod themes;
#[cfg(feature = "train")]
mod train;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use color_eyre::eyre::Report;

use crate::config::{self, Loaded, Sources};
#[cfg(feature = "train")]
use args::{BesideArgs, ShowArgs};
use args::{
    Cli, ConfigArgs, ConfigVerb, DataVerb, EvalArgs, PredictArgs, TrainArgs, Verb, ViewArgs,
};
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
    let trained = matches!(cli.verb, Verb::Train(_));
    let code = match cli.verb {
        Verb::Train(args) => train_verb(args),
        Verb::Attach(args) => attach::run(args),
        Verb::Ctl(args) => ctl::run(args),
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
        Verb::Themes(args) => themes::run(&args),
        Verb::Doctor(args) => with_config(args, |loaded| doctor::report(&loaded.config)),
    };
    // What was not said was not done; a run that was trained was.
    let told = print::all_told() || code != code::COMPLETED || trained;
    ExitCode::from(if told { code } else { code::FAILED })
}

#[cfg(feature = "train")]
fn train_verb(args: TrainArgs) -> u8 {
    let TrainArgs {
        mut config,
        runs,
        name,
        resume,
        fork,
        headless,
        detach,
        in_process,
        beside: BesideArgs { beside },
        trainer,
        theme,
    } = args;
    config.sets.extend(screen_sets(runs, theme));
    if (headless || detach) && !beside.is_empty() {
        complain("warning: --beside needs a screen; `epochtop attach --beside RUN` has one");
    }
    let mode = match (trainer, headless, detach, in_process) {
        (true, ..) => Some(front::Mode::Served),
        (_, true, ..) => Some(front::Mode::Lines),
        (_, _, true, _) => None,
        (.., in_process) => match screen::available() {
            Err(why) => {
                complain(&format!("{why}: a line per epoch instead of the screen"));
                Some(front::Mode::Lines)
            }
            Ok(()) => in_process.then(|| front::Mode::Screen {
                beside: beside.clone(),
            }),
        },
    };
    let Some(mode) = mode else {
        // Mistakes are told before a process is started for them.
        return with_config(config, |loaded| launch::run(loaded, detach, &beside));
    };
    if resume.is_none() && fork.is_none() {
        return with_config(config, |loaded| train::run(loaded, name, mode));
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
        mode,
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
        screenshot,
        mut config,
        runs,
        theme,
    } = args;
    config.sets.extend(screen_sets(runs, theme));
    match load(config) {
        Ok(loaded) => screen::view(&loaded, &run, &screenshot),
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
    Some(user_dir()?.join("config.toml"))
}

/// `$XDG_CONFIG_HOME/epochtop`, or `~/.config/epochtop`.
fn user_dir() -> Option<PathBuf> {
    let directory = |key: &str| {
        std::env::var_os(key)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = directory("XDG_CONFIG_HOME")
        .or_else(|| directory("HOME").map(|home| home.join(".config")))?;
    Some(base.join("epochtop"))
}

fn finished(result: Result<u8, Report>) -> u8 {
    result.unwrap_or_else(|report| {
        complain(&format!("Error: {report:#}"));
        code::FAILED
    })
}
