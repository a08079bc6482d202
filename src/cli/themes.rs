//! `themes`: what the screen can look like, the user's own themes among it; and where those are read from.

use std::fs;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::args::ThemesArgs;
use super::print::{complain, say};
use super::{code, user_dir};
use crate::config::{ChartMode, Origin, Problem, Problems};
use crate::tui::{self, ColorDepth, Dots, Role, Theme, Themes, preview};

/// Bytes of a theme, at most: far more than one with every role and a comment beside it has.
const LARGEST: u64 = 64 * 1024;
/// Columns of the previews, and of a terminal that does not say how wide it is.
const WIDTH: u16 = 80;

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
    let paper = Paper::find();
    let problems = match &args.name {
        None => {
            let (all, mut problems) = themes.all();
            problems.splice(0..0, unread);
            list(&themes, &all, paper.as_ref());
            problems
        }
        Some(name) => match themes.load(name) {
            Ok(theme) => {
                one(&themes, &theme, paper.as_ref());
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

/// How previews are printed.
struct Paper {
    depth: ColorDepth,
    ascii: bool,
    width: u16,
}

impl Paper {
    /// None where colours cannot be seen, or are not wanted.
    fn find() -> Option<Self> {
        let lookup = |key: &str| std::env::var(key).ok();
        let depth = ColorDepth::detect(lookup);
        let dumb = lookup("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if !io::stdout().is_terminal() || depth == ColorDepth::None || dumb {
            return None;
        }
        let size = tui::Tty::open().and_then(|tty| tty.size());
        let columns = size.map_or(WIDTH, |(columns, _)| columns);
        let plain = !tui::utf8_locale(lookup);
        Some(Self {
            depth,
            // The preview's curves are drawn once, in braille and in ASCII: a console without braille gets the latter.
            ascii: Dots::choose(ChartMode::Auto, plain, lookup) != Dots::Braille,
            width: if columns == 0 { WIDTH } else { columns },
        })
    }

    /// Prints cells. A reader that went away wanted no more.
    fn print(buffer: &ratatui::buffer::Buffer) {
        let mut out = io::stdout().lock();
        let lines = tui::ansi_lines(buffer);
        let _ = writeln!(out, "{}", lines.join("\n"));
    }
}

fn source(themes: &Themes, name: &str) -> String {
    let path = themes.path(name).map(|path| path.display().to_string());
    path.unwrap_or_else(|| "built in".to_owned())
}

fn list(themes: &Themes, all: &[(String, Theme)], paper: Option<&Paper>) {
    let Some(paper) = paper else {
        all.iter().for_each(|(name, _)| say(name));
        return;
    };
    for (name, theme) in all {
        let theme = theme.reduced(paper.depth);
        let source = source(themes, name);
        let width = paper.width.min(WIDTH);
        Paper::print(&preview::card(&theme, &source, paper.ascii, width));
        say("");
    }
    if let Some(dir) = directory() {
        say(&format!(
            "--theme NAME, ui.theme or the key t choose one; your own: {}",
            dir.join("NAME.toml").display()
        ));
    }
}

fn one(themes: &Themes, theme: &Theme, paper: Option<&Paper>) {
    if let Some(paper) = paper {
        let source = source(themes, theme.name());
        // What a role is for stands last, and may be cut.
        Paper::print(&preview::table(
            theme,
            &source,
            paper.depth,
            paper.ascii,
            paper.width.min(120),
        ));
        return;
    }
    for role in Role::ALL {
        let line = format!("{:<14}  {}", role.name(), theme.words(*role));
        say(line.trim_end());
    }
}
