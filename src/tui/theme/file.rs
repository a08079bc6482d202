//! One theme file as it is written, judged by itself. A wrong entry hides no other: what is right is kept, and each thing
//! that is wrong is a [`Problem`] with its line.

use std::collections::BTreeMap;
use std::path::Path;

use ratatui::style::{Color, Modifier};
use toml::{Table, Value};

use super::{MODIFIERS, Role};
use crate::config::{Origin, Problem, located};

/// What a colour can be.
pub(super) const COLOR: &str =
    "must be a colour: 0 to 255, \"#rrggbb\", default, or a name such as red or bright-red";
/// The keys of a theme file, and those of a role's table.
const KEYS: [&str; 4] = ["inherits", "background", "palette", "roles"];
const LOOK: [&str; 3] = ["fg", "bg", "modifiers"];

/// A value, and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Written<T> {
    pub(super) what: T,
    pub(super) key: String,
    pub(super) origin: Origin,
}

impl Written<String> {
    /// A problem of this value.
    pub(super) fn wrong(&self, rule: &str) -> Problem {
        Problem::new(self.origin.clone(), self.key.clone(), rule)
            .with_value(&Value::String(self.what.clone()))
    }
}

/// A colour, or a word: the whole family's palette decides which colour that is.
#[derive(Debug, Clone)]
pub(super) enum Paint {
    Color(Color),
    Word(Written<String>),
}

/// What a role is to look like.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    pub(super) fg: Option<Paint>,
    pub(super) bg: Option<Paint>,
    pub(super) modifiers: Modifier,
}

/// A theme file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) inherits: Option<Written<String>>,
    pub(super) dark: Option<bool>,
    pub(super) palette: BTreeMap<String, Color>,
    /// What is written only; the rest is inherited.
    pub(super) roles: Vec<(Role, Look)>,
}

/// Reads a theme's text; `path` is what its file is called in problems.
pub(super) fn read(path: &Path, text: &str) -> (File, Vec<Problem>) {
    match located(path, text) {
        Ok((table, locate)) => {
            let mut reader = Reader {
                locate: &locate,
                problems: Vec::new(),
            };
            let file = reader.file(&table);
            let mut problems = reader.problems;
            problems.sort_by_key(|problem| match problem.origin {
                Origin::File { line, .. } => line,
                _ => None,
            });
            (file, problems)
        }
        Err(problem) => (File::default(), vec![problem]),
    }
}

/// A colour in the words of a theme file; none for any other word.
pub(super) fn color(text: &str) -> Option<Color> {
    if let Some(hex) = text.strip_prefix('#') {
        let plain = hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let value = u32::from_str_radix(hex, 16).ok().filter(|_| plain);
        return value.map(Color::from_u32);
    }
    if text == "default" {
        return Some(Color::Reset);
    }
    text.parse().ok()
}

/// Which of some names was probably meant, as a question.
pub(super) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(alike, _)| *alike >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| format!("did you mean `{known}`?"))
}

/// What to say of a name that is none of some: the likeliest of them, else all.
pub(super) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    meant(name, known.clone())
        .unwrap_or_else(|| format!("there are {}", known.collect::<Vec<_>>().join(", ")))
}

struct Reader<'a> {
    locate: &'a dyn Fn(&[String]) -> Origin,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn file(&mut self, table: &Table) -> File {
        let mut file = File::default();
        for (key, value) in table {
            let at = [key.as_str()];
            match (key.as_str(), value) {
                ("inherits", Value::String(name)) => {
                    file.inherits = Some(self.written(&at, name.clone()));
                }
                ("inherits", _) => self.wrong(&at, value, "must be the name of a theme"),
                ("background", Value::String(word)) if word == "dark" => file.dark = Some(true),
                ("background", Value::String(word)) if word == "light" => file.dark = Some(false),
                ("background", _) => self.wrong(&at, value, "must be \"dark\" or \"light\""),
                ("palette", Value::Table(entries)) => file.palette = self.palette(entries),
                ("roles", Value::Table(entries)) => file.roles = self.roles(entries),
                ("palette" | "roles", _) => self.wrong(&at, value, "must be a section"),
                _ => {
                    let rule = format!("unknown key, {}", unknown(key, KEYS.into_iter()));
                    self.wrong(&at, value, &rule);
                }
            }
        }
        file
    }

    /// An entry of the palette is a colour, never another entry.
    fn palette(&mut self, entries: &Table) -> BTreeMap<String, Color> {
        let mut palette = BTreeMap::new();
        for (name, value) in entries {
            let found = match value {
                Value::Integer(index) => u8::try_from(*index).ok().map(Color::Indexed),
                Value::String(text) => color(text),
                _ => None,
            };
            match found {
                Some(color) => drop(palette.insert(name.clone(), color)),
                None => self.wrong(&["palette", name], value, COLOR),
            }
        }
        palette
    }

    fn roles(&mut self, entries: &Table) -> Vec<(Role, Look)> {
        let mut roles = Vec::new();
        for (name, value) in entries {
            let look = self.look(name, value);
            if let Some(role) = Role::named(name) {
                roles.push((role, look));
            } else {
                let names = Role::ALL.iter().map(|role| role.name());
                let rule = format!("unknown role, {}", unknown(name, names));
                self.wrong(&["roles", name], value, &rule);
            }
        }
        roles
    }

    /// A foreground alone, or a table.
    fn look(&mut self, role: &str, value: &Value) -> Look {
        let mut look = Look::default();
        let Value::Table(parts) = value else {
            look.fg = self.paint(&["roles", role], value);
            return look;
        };
        for (part, value) in parts {
            let at = ["roles", role, part.as_str()];
            match (part.as_str(), value) {
                ("fg", _) => look.fg = self.paint(&at, value),
                ("bg", _) => look.bg = self.paint(&at, value),
                ("modifiers", Value::Array(words)) => {
                    for word in words {
                        look.modifiers |= self.modifier(&at, word);
                    }
                }
                ("modifiers", _) => self.wrong(&at, value, "must be a list"),
                _ => {
                    let why = format!("unknown key, {}", unknown(part, LOOK.into_iter()));
                    self.wrong(&at, value, &why);
                }
            }
        }
        look
    }

    fn paint(&mut self, at: &[&str], value: &Value) -> Option<Paint> {
        let paint = match value {
            Value::Integer(index) => u8::try_from(*index)
                .ok()
                .map(|index| Paint::Color(Color::Indexed(index))),
            Value::String(text) => Some(Paint::Word(self.written(at, text.clone()))),
            _ => None,
        };
        if paint.is_none() {
            self.wrong(at, value, COLOR);
        }
        paint
    }

    fn modifier(&mut self, at: &[&str], word: &Value) -> Modifier {
        let known = MODIFIERS
            .iter()
            .find(|(name, _)| word.as_str() == Some(name));
        if known.is_none() {
            let names: Vec<&str> = MODIFIERS.iter().map(|(name, _)| *name).collect();
            let rule = format!("unknown modifier, there are {}", names.join(", "));
            self.wrong(at, word, &rule);
        }
        known.map_or(Modifier::empty(), |(_, modifier)| *modifier)
    }

    fn written<T>(&self, at: &[&str], what: T) -> Written<T> {
        Written {
            what,
            key: at.join("."),
            origin: self.place(at),
        }
    }

    fn wrong(&mut self, at: &[&str], value: &Value, rule: &str) {
        let problem = Problem::new(self.place(at), at.join("."), rule);
        self.problems.push(problem.with_value(value));
    }

    fn place(&self, at: &[&str]) -> Origin {
        let path: Vec<String> = at.iter().map(|part| (*part).to_owned()).collect();
        (self.locate)(&path)
    }
}
