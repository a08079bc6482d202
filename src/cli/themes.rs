//! `themes`: lists the themes and reads the theme files of the user.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::args::ThemesArgs;
use super::print::{print_error, print_line};
use super::{code, user_dir};
use crate::config::{Origin, Problem, Problems};
use crate::tui::{Role, Theme, Themes};

/// Maximum size of a theme file in bytes, far more than any theme needs.
const MAX_BYTES: u64 = 64 * 1024;

/// All themes by name: the built-in ones and `themes/*.toml` in the directory of the user. The second value has an
/// error for each file that could not be read.
pub(super) fn found() -> (Themes, Vec<Problem>) {
    let mut themes = Themes::built_in();
    let mut problems = Vec::new();
    let files = match files() {
        Ok(files) => files,
        Err(problem) => {
            problems.push(problem);
            Vec::new()
        }
    };
    for path in files {
        let text = read(&path);
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let added = match (name, text) {
            (Some(name), Ok(text)) => themes.add(name, path.clone(), text),
            (None, _) => Err(problem(&path, "the file name is not UTF-8")),
            (_, Err(why)) => Err(problem(&path, &why)),
        };
        problems.extend(added.err());
    }
    (themes, problems)
}

/// The directory of the theme files of the user, which may not exist.
fn directory() -> Option<PathBuf> {
    user_dir().map(|dir| dir.join("themes"))
}

/// The theme files of the user, sorted by name. Empty if the directory does not exist.
fn files() -> Result<Vec<PathBuf>, Problem> {
    let Some(dir) = directory() else {
        return Ok(Vec::new());
    };
    let cannot = |error: io::Error| problem(&dir, &format!("cannot be read: {error}"));
    let entries = match fs::read_dir(&dir) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(cannot)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(cannot)?.path();
        let toml = path.extension().is_some_and(|end| end == "toml");
        // Hidden files are temporary files of editors.
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if toml && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a theme file.
///
/// # Errors
/// If it cannot be read, is not a regular file (reading a pipe could block) or is too large.
fn read(path: &Path) -> Result<String, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let about = fs::metadata(path).map_err(cannot)?;
    if !about.is_file() {
        return Err("not a regular file".to_owned());
    }
    if about.len() > MAX_BYTES {
        return Err(format!("larger than {MAX_BYTES} bytes"));
    }
    fs::read_to_string(path).map_err(cannot)
}

fn problem(path: &Path, message: &str) -> Problem {
    let path = path.to_owned();
    Problem::new(Origin::File { path, line: None }, "", message)
}

/// Prints all themes, or one.
pub(super) fn run(args: &ThemesArgs) -> u8 {
    let (themes, unread) = found();
    let problems = match &args.name {
        None => {
            let (all, mut problems) = themes.all();
            problems.splice(0..0, unread);
            list(&themes, &all);
            problems
        }
        Some(name) => match themes.load(name) {
            Ok(theme) => {
                one(&theme);
                Vec::new()
            }
            Err(Problems(mut problems)) => {
                problems.splice(0..0, unread);
                problems
            }
        },
    };
    if problems.is_empty() {
        return code::COMPLETED;
    }
    print_error(&Problems(problems).to_string());
    code::USAGE
}

fn source(themes: &Themes, name: &str) -> String {
    let path = themes.path(name).map(|path| path.display().to_string());
    path.unwrap_or_else(|| "built in".to_owned())
}

/// Prints all themes with their sources.
fn list(themes: &Themes, all: &[(String, Theme)]) {
    for (name, _) in all {
        print_line(&format!("{name:<16}  {}", source(themes, name)));
    }
    if let Some(dir) = directory() {
        print_line(&format!(
            "Choose a theme with --theme NAME, ui.theme or the key t. Add your own: {}",
            dir.join("NAME.toml").display()
        ));
    }
}

/// Prints the style of each role of a theme.
fn one(theme: &Theme) {
    for role in Role::ALL {
        let line = format!("{:<14}  {}", role.name(), theme.describe(*role));
        print_line(line.trim_end());
    }
}
