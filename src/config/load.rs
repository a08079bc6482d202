//! Lays the sources over each other: defaults, the user's file, `-c FILE`, a preset, `--set`; the only part of the
//! configuration that reads files.
//!
//! Each key of each source is tried by itself on top of the defaults, so one wrong key hides no other and serde's own error
//! tells which type or word it wanted. What fits is merged; what the merged whole breaks is looked up in [`validate`], and
//! blamed on the place that set the key last.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::layer::{self, Entry};
use super::{Config, Origin, Problem, Problems, suggest, validate};

/// Where settings are taken from, the later over the earlier.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The user's own file, for `ui`, `keys`, `notify` and `runs.dir`; it need not exist.
    pub user_file: Option<PathBuf>,
    /// The file of `-c FILE`; it must exist.
    pub file: Option<PathBuf>,
    /// What a checkpoint keeps of its run's configuration, and the file it stands in.
    pub recorded: Option<(PathBuf, String)>,
    /// One of [`presets`].
    pub preset: Option<String>,
    /// Each `section.key=value` of `--set`, in order.
    pub sets: Vec<String>,
}

/// A configuration, and where each of its keys was set.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration; every rule holds.
    pub config: Config,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Where a dotted key was set.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }
}

/// The compiled-in overlays: name and TOML.
pub fn presets() -> &'static [(&'static str, &'static str)] {
    &[
        ("textbook", include_str!("presets/textbook.toml")),
        ("fast", include_str!("presets/fast.toml")),
        ("large", include_str!("presets/large.toml")),
    ]
}

/// Reads all sources and checks the result; on failure, everything that is wrong with any of them.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    load_and(sources, |_| Vec::new())
}

/// As [`load()`], with rules of others, who know what this module does not: names of themes, actions, keys.
pub fn load_and(
    sources: &Sources,
    rules: impl FnOnce(&Loaded) -> Vec<Problem>,
) -> Result<Loaded, Problems> {
    let mut merge = Merge::new(sources.user_file.clone())?;
    if let Some(path) = &sources.user_file {
        merge.file(path, Whose::User);
    }
    if let Some(path) = &sources.file {
        merge.file(path, Whose::Run);
    }
    if let Some((path, text)) = &sources.recorded {
        merge.settings(
            layer::from_file(path, text, &merge.defaults),
            Whose::Checkpoint,
        );
    }
    if let Some(name) = &sources.preset {
        merge.preset(name);
    }
    for text in &sources.sets {
        merge.settings(layer::from_set(text, &merge.defaults), Whose::Run);
    }
    merge.finish(rules)
}

/// Which keys a source may set.
#[derive(Clone, Copy, PartialEq)]
enum Whose {
    /// Those of the person who looks on.
    User,
    /// All.
    Run,
    /// Those that make a run. A checkpoint may come from anywhere, and must not bring commands along.
    Checkpoint,
}

/// The layers so far.
struct Merge {
    defaults: Table,
    merged: Table,
    origins: BTreeMap<String, Origin>,
    problems: Vec<Problem>,
    user_file: Option<PathBuf>,
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
        })
    }

    fn file(&mut self, path: &Path, whose: Whose) {
        match std::fs::read_to_string(path) {
            Ok(text) => self.settings(layer::from_file(path, &text, &self.defaults), whose),
            Err(error) if whose == Whose::User && error.kind() == io::ErrorKind::NotFound => {}
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
            self.settings(layer::from_preset(name, text, &self.defaults), Whose::Run);
            return;
        }
        let hint = match suggest::name(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        };
        self.problems.push(Problem::new(
            Origin::Preset(name.to_owned()),
            "",
            format!("no such preset, {hint}"),
        ));
    }

    /// Merges what fits of one source and keeps the problems of the rest.
    fn settings(&mut self, read: Result<Vec<Entry>, Problem>, whose: Whose) {
        let entries = read.unwrap_or_else(|problem| {
            self.problems.push(problem);
            Vec::new()
        });
        for entry in entries {
            match self.checked(&entry, whose) {
                Ok(value) => {
                    put(&mut self.merged, &entry.path, value);
                    self.origins.insert(entry.key(), entry.origin);
                }
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    /// The value in the type its key wants, or why there is none.
    fn checked(&self, entry: &Entry, whose: Whose) -> Result<Value, Problem> {
        let problem = |message: String| Problem::new(entry.origin.clone(), entry.key(), message);
        let known = find(&self.defaults, &entry.path);
        let binding = matches!(entry.path.as_slice(), [section, _] if section == "keys");
        match known {
            Some(Value::Table(_)) => {
                return Err(problem("is a section, its keys stand below it".to_owned())
                    .with_value(&entry.value));
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
        if whose == Whose::User && !is_users(&entry.path) {
            let message = "does not belong into the user's file, which holds ui, keys, notify and runs.dir: use -c FILE, a preset or --set";
            return Err(problem(message.to_owned()));
        }
        if whose == Whose::Checkpoint && entry.path.first().is_some_and(|key| key == "notify") {
            let message = "is never taken from a checkpoint: it belongs into the user's file, -c FILE or --set";
            return Err(problem(message.to_owned()));
        }
        self.typed(entry).map_err(|wanted| {
            // A list of words or an example says it already.
            let usual = if wanted.contains('`') || wanted.contains("as in") {
                String::new()
            } else {
                self.usual(&entry.path)
            };
            problem(format!("must be {wanted}{usual}")).with_value(&entry.value)
        })
    }

    /// The value as written, or its bare text where only a string fits, or else what is wanted.
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
        // A number where a word is wanted is refused before serde looks at the words; a wrong word makes it list them.
        let error = match known {
            Some(Value::String(_)) if !entry.value.is_str() => self
                .fits(&entry.path, Value::String(String::new()))
                .err()
                .unwrap_or(error),
            _ => error,
        };
        let wanted = in_words(&error);
        Err(match (known, &entry.value) {
            (Some(Value::Array(_)), Value::Array(_))
                if wanted != "a list" && !wanted.starts_with("a key") =>
            {
                format!("a list, each {wanted}")
            }
            _ => wanted,
        })
    }

    /// Whether the defaults with this one value changed are still a configuration.
    fn fits(&self, path: &[String], value: Value) -> Result<(), String> {
        let mut trial = self.defaults.clone();
        put(&mut trial, path, value);
        Config::deserialize(Value::Table(trial))
            .map(|_| ())
            .map_err(|error| error.message().to_owned())
    }

    /// A hint for whoever has no idea what to write.
    fn usual(&self, path: &[String]) -> String {
        match find(&self.defaults, path) {
            Some(Value::String(text)) if text.is_empty() => String::new(),
            Some(value) => format!(" (a usual value is {value})"),
            None => String::new(),
        }
    }

    fn finish(mut self, rules: impl FnOnce(&Loaded) -> Vec<Problem>) -> Result<Loaded, Problems> {
        let config = match Config::deserialize(Value::Table(self.merged.clone())) {
            Ok(config) => config,
            // Each value fitted alone, and no type depends on another key; said all the same rather than swallowed.
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
            let problem = Problem::new(origin, key, format!("{rule}{}", self.usual(&path)));
            self.problems.push(match find(&self.merged, &path) {
                Some(value) => problem.with_value(value),
                None => problem,
            });
        }
        let loaded = Loaded {
            config,
            origins: self.origins,
        };
        self.problems.extend(rules(&loaded));
        if self.problems.is_empty() {
            return Ok(loaded);
        }
        // In the order the sources were read, a file from top to bottom.
        let user_file = self.user_file.as_deref();
        self.problems
            .sort_by_key(|problem| rank(&problem.origin, user_file));
        Err(Problems(self.problems))
    }
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

fn is_users(path: &[String]) -> bool {
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

/// What serde wanted, without the names of Rust's types.
fn in_words(error: &str) -> String {
    let wanted = error
        .rsplit_once("expected ")
        .map_or(error, |(_, wanted)| wanted);
    match wanted {
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
