//! The command-line program: parses arguments, connects the parts and returns an exit code. Only this module uses all
//! layers.

mod args;
mod attach;
#[cfg(feature = "train")]
mod bench;
mod check;
mod ctl;
mod data;
mod doctor;
mod duplicates;
#[cfg(feature = "train")]
mod eval;
#[cfg(feature = "train")]
mod export;
#[cfg(feature = "train")]
mod front_end;
#[cfg(feature = "train")]
mod launch;
#[cfg(feature = "train")]
mod leaks;
mod load;
#[cfg(feature = "train")]
mod lr_find;
#[cfg(feature = "train")]
mod own_session;
#[cfg(feature = "train")]
mod predict;
mod print;
mod progress;
#[cfg(feature = "train")]
mod repair;
#[cfg(feature = "train")]
mod restore;
#[cfg(feature = "train")]
mod resume;
#[cfg(feature = "train")]
mod resume_point;
mod runs;
mod screen;
mod screenshot;
mod signals;
mod start;
#[cfg(feature = "train")]
mod summary;
mod themes;
#[cfg(feature = "train")]
mod train;
mod view;
mod write_file;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use color_eyre::eyre::Report;

use crate::caught;
use crate::config::{self, Loaded, Origin, Sources};
use crate::session::RunsDir;
use crate::shell;
#[cfg(feature = "train")]
use args::ReferenceArgs;
use args::{
    Cli, ConfigArgs, ConfigVerb, DataVerb, EvalArgs, ExportArgs, LrFindArgs, PredictArgs, ShowArgs,
    TrainArgs, Verb, ViewArgs,
};
use print::{print_error, print_line};

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

    /// The code for how a run ended.
    pub(super) fn of(state: &crate::run::RunState) -> u8 {
        use crate::event::Outcome;
        match &state.outcome {
            Some(Outcome::Completed) if state.unwritten.is_empty() => COMPLETED,
            Some(Outcome::Stopped) => STOPPED,
            // Also if a result could not be written, or if the process ended before the run did.
            Some(Outcome::Completed | Outcome::Failed { .. }) | None => FAILED,
        }
    }
}

/// Reports panics on stderr. The hook of color-eyre panics if stderr is a closed terminal, and a panic inside the hook
/// would abort the process and the run with it.
fn report_panics() {
    let builder = color_eyre::config::HookBuilder::default()
        .display_location_section(false)
        .display_env_section(false);
    let (panics, errors) = builder.into_hooks();
    // Tests may install it twice; the second call fails without effect.
    let _ = errors.install();
    std::panic::set_hook(Box::new(move |info| {
        if caught::is_catching() {
            return;
        }
        let _ = writeln!(io::stderr(), "{}", panics.panic_report(info));
    }));
}

/// Runs the program.
pub fn main() -> ExitCode {
    report_panics();
    signals::report_file_size_limit();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if error.kind() == clap::error::ErrorKind::InvalidUtf8 {
                print_error(&not_utf8());
            } else {
                let _ = error.print();
            }
            return ExitCode::from(if error.use_stderr() {
                code::USAGE
            } else {
                code::COMPLETED
            });
        }
    };
    let Some(verb) = cli.verb else {
        return ExitCode::from(start());
    };
    let trained = matches!(verb, Verb::Train(_));
    let code = match verb {
        Verb::Train(args) => train_verb(args),
        Verb::Attach(args) => attach::run(args),
        Verb::Ctl(args) => ctl::run(args),
        Verb::View(args) => exit_code_of(view(args)),
        Verb::Eval(args) => eval_verb(args),
        Verb::Predict(args) => predict_verb(args),
        Verb::LrFind(args) => lr_find_verb(args),
        #[cfg(feature = "train")]
        Verb::Bench(args) => bench::run(args),
        Verb::Runs(args) => runs::runs(args),
        Verb::Checkpoints(args) => runs::checkpoints(args),
        Verb::Clean(args) => runs::clean(args),
        Verb::Export(args) => export_verb(args),
        Verb::Summary(args) => with_config(args, summary_verb),
        Verb::Data(verb) => data_verb(verb),
        Verb::Config(ConfigVerb::Print(args)) => with_config(args, |loaded| {
            print_line(&loaded.config.to_toml());
            code::COMPLETED
        }),
        Verb::Config(ConfigVerb::Check(args)) => with_config(args, check::report),
        Verb::Themes(args) => themes::run(&args),
        Verb::Doctor(args) => with_config(args, |loaded| doctor::report(&loaded.config)),
        Verb::Completions { shell } => print_bytes(&completions(shell)),
        Verb::Man => print_bytes(&manual()),
    };
    // Lost output is a failure, except after training: its result is in the run directory.
    let succeeded = print::output_complete() || code != code::COMPLETED || trained;
    ExitCode::from(if succeeded { code } else { code::FAILED })
}

/// The error for arguments that are not UTF-8 where they must be.
fn not_utf8() -> String {
    let odd: Vec<String> = std::env::args_os()
        .filter(|argument| argument.to_str().is_none())
        .map(|argument| shell::quote(argument, false))
        .collect();
    format!(
        "error: {}: not UTF-8; only runs and the paths of --runs, -c, --socket and output files may be; \
         give data.dir relative to the working directory, or set EPOCHTOP_DATA",
        odd.join(" ")
    )
}

/// No command: the start on a terminal, else the help as an error, so that a script notices.
fn start() -> u8 {
    if io::stdout().is_terminal() {
        start::run()
    } else {
        print_error(&Cli::command().render_help().to_string());
        code::USAGE
    }
}

fn print_bytes(text: &[u8]) -> u8 {
    print_line(String::from_utf8_lossy(text).trim_end());
    code::COMPLETED
}

/// The completion script for a shell.
fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "epochtop", &mut text);
    text
}

/// The manual in roff format: the page of the program, then one page per subcommand.
fn manual() -> Vec<u8> {
    let mut text = Vec::new();
    let mut program = Cli::command();
    program.build();
    let commands = program
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    for command in std::iter::once(&program).chain(commands) {
        // Writing to memory cannot fail.
        let _ = clap_mangen::Man::new(command.clone()).render(&mut text);
    }
    text
}

#[cfg(feature = "train")]
fn train_verb(args: TrainArgs) -> u8 {
    let TrainArgs {
        mut config,
        runs,
        name,
        resume,
        take_over,
        resume_or_start,
        fork,
        headless,
        detach,
        in_process,
        reference: ReferenceArgs { reference },
        trainer,
        theme,
    } = args;
    config.runs = runs;
    config.sets.extend(theme_set(theme));
    config.sets.extend(data_set(config.data.take()));
    if (headless || detach) && !reference.is_empty() {
        print_error(
            "warning: --reference is ignored without a screen; use `epochtop attach --reference RUN`",
        );
    }
    let mode = match (trainer, headless, detach, in_process) {
        (true, ..) => Some(front_end::Mode::Served),
        (_, true, ..) => Some(front_end::Mode::Lines),
        (_, _, true, _) => None,
        (.., in_process) => match screen::available() {
            Err(why) => {
                print_error(&format!(
                    "{why}: printing a line per epoch instead of the screen"
                ));
                Some(front_end::Mode::Lines)
            }
            Ok(()) => in_process.then(|| front_end::Mode::Screen {
                reference: reference.clone(),
            }),
        },
    };
    let Some(mode) = mode else {
        // Configuration errors are reported before the trainer process is started.
        return with_config(config, |loaded| launch::run(loaded, detach, &reference));
    };
    signals::survive_the_terminal();
    if resume.is_none() && fork.is_none() {
        let if_exists = if resume_or_start {
            train::IfExists::Resume { take_over }
        } else {
            train::IfExists::Refuse
        };
        return with_config(config, |loaded| {
            train::run(loaded, name.as_deref(), mode, if_exists)
        });
    }
    let runs = match runs_dir(config.runs.clone(), &config.sets) {
        Ok(runs) => runs,
        Err(problems) => {
            print_error(&problems);
            return code::USAGE;
        }
    };
    let request = resume_point::ResumeRequest {
        runs,
        runs_option: config.runs,
        take_over,
        sets: config.sets,
        mode,
        unused: None,
    };
    match (resume, fork) {
        (_, Some(checkpoint)) => resume::fork(&checkpoint, name.as_deref(), &request),
        (run, None) => resume::resume(run.flatten().as_deref(), &request),
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
fn lr_find_verb(args: LrFindArgs) -> u8 {
    lr_find::run(args)
}

#[cfg(feature = "train")]
fn export_verb(args: ExportArgs) -> u8 {
    export::run(args)
}

#[cfg(feature = "train")]
fn summary_verb(loaded: &Loaded) -> u8 {
    summary::run(&loaded.config)
}

fn data_verb(verb: DataVerb) -> u8 {
    match verb {
        DataVerb::Check(args) => with_config(args.config(), |loaded| data::check(&loaded.config)),
        DataVerb::Pack(args) => with_config(args.config(), |loaded| data::pack(&loaded.config)),
        DataVerb::Show(ShowArgs { data, samples }) => {
            with_config(data.config(), |loaded| data::show(&loaded.config, &samples))
        }
    }
}

#[cfg(not(feature = "train"))]
fn no_trainer() -> u8 {
    print_error(
        "error: this epochtop was built without libtorch and can only view runs; \
         to train, build with default features",
    );
    code::USAGE
}

#[cfg(not(feature = "train"))]
fn train_verb(_: TrainArgs) -> u8 {
    no_trainer()
}

#[cfg(not(feature = "train"))]
fn eval_verb(_: EvalArgs) -> u8 {
    no_trainer()
}

#[cfg(not(feature = "train"))]
fn predict_verb(_: PredictArgs) -> u8 {
    no_trainer()
}

#[cfg(not(feature = "train"))]
fn lr_find_verb(_: LrFindArgs) -> u8 {
    no_trainer()
}

#[cfg(not(feature = "train"))]
fn export_verb(_: ExportArgs) -> u8 {
    no_trainer()
}

#[cfg(not(feature = "train"))]
fn summary_verb(_: &Loaded) -> u8 {
    no_trainer()
}

fn view(args: ViewArgs) -> Result<u8, Report> {
    let ViewArgs {
        run,
        screenshot,
        mut config,
        runs,
        theme,
    } = args;
    config.runs = runs;
    config.sets.extend(theme_set(theme));
    match load(config) {
        Ok(loaded) => view::run(&loaded, &run, &screenshot),
        Err(code) => Ok(code),
    }
}

/// The `--set` setting for the flag `--theme`.
fn theme_set(theme: Option<String>) -> Option<String> {
    theme.map(|name| format!("ui.theme={}", toml::Value::String(name)))
}

/// The setting of `--data DIR`.
fn data_set(dir: Option<PathBuf>) -> Option<String> {
    dir.map(|dir| {
        let dir = dir.to_string_lossy().into_owned();
        format!("data.dir={}", toml::Value::String(dir))
    })
}

fn with_config(args: ConfigArgs, body: impl FnOnce(&Loaded) -> u8) -> u8 {
    match load(args) {
        Ok(loaded) => body(&loaded),
        Err(code) => code,
    }
}

/// The directory of runs, for subcommands that need nothing else from the configuration.
fn runs_dir(runs: Option<PathBuf>, sets: &[String]) -> Result<RunsDir, String> {
    let sources = Sources {
        user_file: user_file(),
        sets: sets.to_vec(),
        runs,
        ..Sources::default()
    };
    let loaded = config::load(&sources).map_err(|problems| problems.to_string())?;
    Ok(searched_runs(&loaded))
}

/// Where runs are searched by name: only in the directory that the command line names, if it names one.
fn searched_runs(loaded: &Loaded) -> RunsDir {
    RunsDir {
        path: loaded.runs_dir(),
        only: matches!(loaded.origin("runs.dir"), Origin::Set(_)),
    }
}

fn load(args: ConfigArgs) -> Result<Loaded, u8> {
    let ConfigArgs {
        config,
        preset,
        data,
        mut sets,
        runs,
    } = args;
    sets.extend(data_set(data));
    let sources = Sources {
        user_file: user_file(),
        file: config,
        preset,
        sets,
        runs,
        ..Sources::default()
    };
    config::load_and(&sources, screen::problems).map_err(|problems| {
        print_error(&problems.to_string());
        code::USAGE
    })
}

/// `$XDG_CONFIG_HOME/epochtop/config.toml`, for settings of a user, not of a run: `ui`, `keys`, `runs.dir`.
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

fn exit_code_of(result: Result<u8, Report>) -> u8 {
    result.unwrap_or_else(|report| {
        print_error(&format!("error: {report:#}"));
        code::FAILED
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap_complete::Shell;

    fn commands() -> Vec<String> {
        let program = Cli::command();
        let shown = program
            .get_subcommands()
            .filter(|command| !command.is_hide_set());
        shown.map(|command| command.get_name().to_owned()).collect()
    }

    #[test]
    fn completions_and_manual_contain_every_command() {
        let manual = String::from_utf8_lossy(&manual()).replace("\\-", "-");
        for command in commands() {
            for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
                let text = completions(shell);
                let text = String::from_utf8_lossy(&text);
                assert!(text.contains(&command), "{shell}: {command}");
            }
            assert!(
                manual.contains(&format!(".TH epochtop-{command} ")),
                "{command}"
            );
        }
    }
}
