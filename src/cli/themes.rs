//! `themes`: what the screen can look like, the user's own themes among it; and where those are read from.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::args::ThemesArgs;
use super::print::{complain, say};
use super::{code, user_dir};
use crate::config::{Origin, Problem, Problems};
use crate::tui::{Role, Theme, Themes};

/// Bytes of a theme, at most: far more than one with every role and a comment beside it has.
const LARGEST: u64 = 64 * 1024;

/// All themes by name: those compiled in and `themes/*.toml` of the user's directory. And what of that could not be read.
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
            (None, _) => Err(wrong(&path, "has a name that is not UTF-8")),
            (_, Err(why)) => Err(wrong(&path, &why)),
        };
        problems.extend(added.err());
    }
    (themes, problems)
}

/// Where the user's own themes lie, whether there are any or not.
fn directory() -> Option<PathBuf> {
    user_dir().map(|dir| dir.join("themes"))
}

/// The user's theme files by name. A directory that is not there has none.
fn files() -> Result<Vec<PathBuf>, Problem> {
    let Some(dir) = directory() else {
        return Ok(Vec::new());
    };
    let cannot = |error: io::Error| wrong(&dir, &format!("cannot be read: {error}"));
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(cannot)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(cannot)?.path();
        let toml = path.extension().is_some_and(|end| end == "toml");
        // Editors leave hidden files beside those they are writing.
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

/// A theme's text, or why there is none. A pipe would never end, and something huge is no theme.
fn read(path: &Path) -> Result<String, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let about = fs::metadata(path).map_err(cannot)?;
    if !about.is_file() {
        return Err("is no file".to_owned());
    }
    if about.len() > LARGEST {
        return Err(format!("is larger than {LARGEST} bytes: no theme is"));
    }
    fs::read_to_string(path).map_err(cannot)
}

fn wrong(path: &Path, message: &str) -> Problem {
    let path = path.to_owned();
    Problem::new(Origin::File { path, line: None }, "", message)
}

/// All themes, or one.
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
    complain(&Problems(problems).to_string());
    code::USAGE
}

fn source(themes: &Themes, name: &str) -> String {
    let path = themes.path(name).map(|path| path.display().to_string());
    path.unwrap_or_else(|| "built in".to_owned())
}

/// All themes, each with where it is from.
fn list(themes: &Themes, all: &[(String, Theme)]) {
    for (name, _) in all {
        say(&format!("{name:<16}  {}", source(themes, name)));
    }
    if let Some(dir) = directory() {
        say(&format!(
            "--theme NAME, ui.theme or the key t choose one; your own: {}",
            dir.join("NAME.toml").display()
        ));
    }
}

/// Every role of a theme.
fn one(theme: &Theme) {
    for role in Role::ALL {
        let line = format!("{:<14}  {}", role.name(), theme.words(*role));
        say(line.trim_end());
    }
}
