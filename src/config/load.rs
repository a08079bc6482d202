//! Merges the sources of the configuration: defaults, the user's file, `-c FILE`, a preset, `--set`. This is the only
//! part of the configuration that reads files.
//!
//! Each key of each source is first deserialized alone on top of the defaults. So one invalid key does not hide
//! another, and serde's own error message gives the expected type or words. Valid values are merged. [`validate`] then
//! checks the merged configuration, and each violation is reported with the source that set the key last.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::layer::{self, Entry};
use super::{Config, Origin, Problem, Problems, suggest, validate};

/// The sources of settings. Later ones override earlier ones.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The user's file, for `ui`, `keys`, `notify` and `runs.dir`; it need not exist.
    pub user_file: Option<PathBuf>,
    /// The file of `-c FILE`; it must exist.
    pub file: Option<PathBuf>,
    /// The configuration stored in a checkpoint: the file that contains it, and its text.
    pub recorded: Option<(PathBuf, String)>,
    /// The name of one of the [`presets`].
    pub preset: Option<String>,
    /// The arguments of `--set`, each `section.key=value`, in order.
    pub sets: Vec<String>,
    /// The directory of `--runs`; it need not be UTF-8.
    pub runs: Option<PathBuf>,
}

/// A valid configuration, and the origin of each of its keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration; it satisfies all rules of [`validate`].
    pub config: Config,
    origins: BTreeMap<String, Origin>,
    runs: Option<PathBuf>,
}

impl Loaded {
    /// The directory of runs: that of `--runs`, else `runs.dir`.
    pub fn runs_dir(&self) -> PathBuf {
        let configured = || PathBuf::from(&self.config.runs.dir);
        self.runs.clone().unwrap_or_else(configured)
    }

    /// The origin of a dotted key.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }
}

/// The compiled-in presets, each with its name and its TOML text.
pub fn presets() -> &'static [(&'static str, &'static str)] {
    &[
        ("textbook", include_str!("presets/textbook.toml")),
        ("fast", include_str!("presets/fast.toml")),
        ("large", include_str!("presets/large.toml")),
        ("photo", include_str!("presets/photo.toml")),
    ]
}

/// Reads all sources and validates the merged configuration.
///
/// # Errors
/// All problems in all sources.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    load_and(sources, |_| Vec::new())
}

/// Like [`load()`], with additional `rules` from callers that know the valid names of themes, actions and keys.
///
/// # Errors
/// All problems in all sources, and those that `rules` returns.
pub fn load_and(
    sources: &Sources,
    rules: impl FnOnce(&Loaded) -> Vec<Problem>,
) -> Result<Loaded, Problems> {
    let mut merge = Merge::new(sources.user_file.clone())?;
    if let Some(path) = &sources.user_file {
        merge.file(path, SourceKind::User);
    }
    if let Some(path) = &sources.file {
        merge.file(path, SourceKind::Run);
    }
    if let Some((path, text)) = &sources.recorded {
        merge.settings(
            layer::from_file(path, text, &merge.defaults),
            SourceKind::Run,
        );
    }
    if let Some(name) = &sources.preset {
        merge.preset(name);
    }
    for text in &sources.sets {
        merge.settings(
            layer::from_set(text, &merge.defaults),
            SourceKind::CommandLine,
        );
    }
    if let Some(runs) = &sources.runs {
        let text = Value::String(runs.to_string_lossy().into_owned());
        let text = format!("runs.dir={text}");
        merge.settings(
            layer::from_set(&text, &merge.defaults),
            SourceKind::CommandLine,
        );
        merge.runs = Some(runs.clone());
    }
    merge.finish(rules)
}

/// The kind of a source, which determines the keys that it may set.
#[derive(Clone, Copy, PartialEq)]
enum SourceKind {
    /// The user's file: only personal keys.
    User,
    /// A file of `-c`, a preset or the configuration in a run or checkpoint: all but the personal keys. They may come from
    /// somebody else, who must not choose a command that is executed, or where files are written.
    Run,
    /// `--set` and `--runs`: all keys.
    CommandLine,
}

/// The sources merged so far.
struct Merge {
    defaults: Table,
    merged: Table,
    origins: BTreeMap<String, Origin>,
    problems: Vec<Problem>,
    user_file: Option<PathBuf>,
    runs: Option<PathBuf>,
}

impl Merge {
    fn new(user_file: Option<PathBuf>) -> Result<Self, Problems> {
        let defaults = Table::try_from(Config::default()).map_err(|error| {
            Problems(vec![Problem::new(Origin::Default, "", error.to_string())])
        })?;
        Ok(Self {
            merged: defaults.clone(),
            defaults,
            origins: BTreeMap::new(),
            problems: Vec::new(),
            user_file,
            runs: None,
        })
    }

    fn file(&mut self, path: &Path, kind: SourceKind) {
        match std::fs::read_to_string(path) {
            Ok(text) => self.settings(layer::from_file(path, &text, &self.defaults), kind),
            Err(error) if kind == SourceKind::User && is_absent(&error) => {}
            Err(error) => {
                let origin = Origin::File {
                    path: path.to_owned(),
                    line: None,
                };
                self.problems
                    .push(Problem::new(origin, "", format!("cannot be read: {error}")));
            }
        }
    }

    fn preset(&mut self, name: &str) {
        let names = || presets().iter().map(|(name, _)| *name);
        if let Some((name, text)) = presets().iter().find(|(known, _)| *known == name) {
            self.settings(
                layer::from_preset(name, text, &self.defaults),
                SourceKind::Run,
            );
            return;
        }
        let hint = match suggest::name(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the presets are {}", names().collect::<Vec<_>>().join(", ")),
        };
        self.problems.push(Problem::new(
            Origin::Preset(name.to_owned()),
            "",
            format!("no such preset, {hint}"),
        ));
    }

    /// Merges the valid settings of one source and records the problems of the others.
    fn settings(&mut self, read: Result<Vec<Entry>, Problem>, kind: SourceKind) {
        let entries = read.unwrap_or_else(|problem| {
            self.problems.push(problem);
            Vec::new()
        });
        for entry in entries {
            match self.checked(&entry, kind) {
                Ok(value) => {
                    put(&mut self.merged, &entry.path, value);
                    self.origins.insert(entry.key(), entry.origin);
                }
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    /// The value of a setting in the type of its key, or the problem with it.
    fn checked(&self, entry: &Entry, kind: SourceKind) -> Result<Value, Problem> {
        let problem = |message: String| Problem::new(entry.origin.clone(), entry.key(), message);
        let known = find(&self.defaults, &entry.path);
        let binding = matches!(entry.path.as_slice(), [section, _] if section == "keys");
        match known {
            Some(Value::Table(_)) => {
                return Err(
                    problem("is a section: set one of its keys instead".to_owned())
                        .with_value(&entry.value),
                );
            }
            None if !binding && entry.value.is_table() => {
                return Err(problem(suggest::unknown_section(
                    &entry.path,
                    &self.defaults,
                )));
            }
            None if !binding => {
                return Err(problem(suggest::unknown_key(&entry.path, &self.defaults)));
            }
            _ => {}
        }
        match (kind, is_personal(&entry.path)) {
            (SourceKind::User, false) => {
                let message = "cannot be set in the user's file (only ui, keys, notify and runs.dir): \
                               use -c FILE, a preset or --set";
                return Err(problem(message.to_owned()));
            }
            (SourceKind::Run, true) => {
                let message = "is a personal setting (as all of ui, keys, notify and runs.dir): set it in your own file \
                               ~/.config/epochtop/config.toml or with --set";
                return Err(problem(message.to_owned()));
            }
            (SourceKind::User, true) | (SourceKind::Run, false) | (SourceKind::CommandLine, _) => {}
        }
        self.typed(entry).map_err(|expected| {
            // A list of the valid words or an example needs no further hint.
            let hint = if expected.contains('`') || expected.contains("as in") {
                String::new()
            } else {
                self.default_hint(&entry.path)
            };
            problem(format!("must be {expected}{hint}")).with_value(&entry.value)
        })
    }

    /// The value as written, or its unparsed text where only a string is valid.
    ///
    /// # Errors
    /// A description of the expected value.
    fn typed(&self, entry: &Entry) -> Result<Value, String> {
        let Err(error) = self.fits(&entry.path, entry.value.clone()) else {
            return Ok(entry.value.clone());
        };
        let known = find(&self.defaults, &entry.path);
        if let Some(bare) = entry.bare.clone().map(Value::String)
            && !entry.value.is_str()
            && self.fits(&entry.path, bare.clone()).is_ok()
        {
            return Ok(bare);
        }
        // For a number in place of a word, serde reports only the type; for an unknown word it lists the valid ones.
        let error = match known {
            Some(Value::String(_)) if !entry.value.is_str() => self
                .fits(&entry.path, Value::String(String::new()))
                .err()
                .unwrap_or(error),
            _ => error,
        };
        let expected = expected_value(&error);
        Err(match (known, &entry.value) {
            (Some(Value::Array(_)), Value::Array(_))
                if expected != "a list" && !expected.starts_with("a key") =>
            {
                format!("a list, each {expected}")
            }
            _ => expected,
        })
    }

    /// Whether the defaults with this one value replaced can be deserialized.
    ///
    /// # Errors
    /// serde's message.
    fn fits(&self, path: &[String], value: Value) -> Result<(), String> {
        let mut trial = self.defaults.clone();
        put(&mut trial, path, value);
        Config::deserialize(Value::Table(trial))
            .map(|_| ())
            .map_err(|error| error.message().to_owned())
    }

    /// The default value of a key, as a hint after an error message.
    fn default_hint(&self, path: &[String]) -> String {
        match find(&self.defaults, path) {
            Some(Value::String(text)) if text.is_empty() => String::new(),
            Some(value) => format!(" (default: {value})"),
            None => String::new(),
        }
    }

    fn finish(mut self, rules: impl FnOnce(&Loaded) -> Vec<Problem>) -> Result<Loaded, Problems> {
        let config = match Config::deserialize(Value::Table(self.merged.clone())) {
            Ok(config) => config,
            // Not expected: each value was valid alone, and no type depends on another key.
            Err(error) => {
                return Err(Problems(vec![Problem::new(
                    Origin::Default,
                    "",
                    error.message(),
                )]));
            }
        };
        for (key, rule) in validate(&config) {
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            let origin = self.origins.get(key).cloned().unwrap_or(Origin::Default);
            let problem = Problem::new(origin, key, format!("{rule}{}", self.default_hint(&path)));
            self.problems.push(match find(&self.merged, &path) {
                Some(value) => problem.with_value(value),
                None => problem,
            });
        }
        let loaded = Loaded {
            config,
            origins: self.origins,
            runs: self.runs,
        };
        self.problems.extend(rules(&loaded));
        if self.problems.is_empty() {
            return Ok(loaded);
        }
        // Sorted in the order of the sources, and by line within a file.
        let user_file = self.user_file.as_deref();
        self.problems
            .sort_by_key(|problem| rank(&problem.origin, user_file));
        Err(Problems(self.problems))
    }
}

/// Whether a file does not exist. On the way to it there may also be a file where a directory is expected.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn rank(origin: &Origin, user_file: Option<&Path>) -> (u8, Option<usize>) {
    match origin {
        Origin::Default => (0, None),
        Origin::File { path, line } if Some(path.as_path()) == user_file => (1, *line),
        Origin::File { line, .. } => (2, *line),
        Origin::Preset(_) => (3, None),
        Origin::Set(_) => (4, None),
    }
}

fn is_personal(path: &[String]) -> bool {
    match path {
        [section, ..] if section == "ui" || section == "keys" || section == "notify" => true,
        [section, key] => section == "runs" && key == "dir",
        _ => false,
    }
}

fn find<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = table.get(first)?;
    if rest.is_empty() {
        Some(value)
    } else {
        find(value.as_table()?, rest)
    }
}

fn put(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [section, rest @ ..] => {
            if let Some(Value::Table(inner)) = table.get_mut(section) {
                put(inner, rest, value);
            }
        }
    }
}

/// The value that serde expected, without the names of Rust types.
fn expected_value(error: &str) -> String {
    let expected = error
        .rsplit_once("expected ")
        .map_or(error, |(_, expected)| expected);
    match expected {
        "f32" | "f64" => "a number".to_owned(),
        "i64" => "a whole number".to_owned(),
        "i32" => format!("a whole number between {} and {}", i32::MIN, i32::MAX),
        "u32" => format!("a whole number between 0 and {}", u32::MAX),
        "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests;
