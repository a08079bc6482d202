//! Parses and validates a single theme file. All errors are reported at once: valid entries are used, and each invalid
//! one is a [`Problem`] with its line.

use std::collections::BTreeMap;
use std::path::Path;

use ratatui::style::{Color, Modifier};
use toml::{Table, Value};

use super::{MODIFIERS, Role};
use crate::config::{Origin, Problem, located};

/// The rule for colours, for error messages.
pub(super) const COLOR: &str =
    "must be a colour: 0 to 255, \"#rrggbb\", default, or a name such as red or bright-red";
/// The keys of a theme file, and of the table of a role.
const KEYS: [&str; 4] = ["inherits", "background", "palette", "roles"];
const ROLE_KEYS: [&str; 3] = ["fg", "bg", "modifiers"];

/// A value with its key and its location in the file.
#[derive(Debug, Clone)]
pub(super) struct Entry<T> {
    pub(super) value: T,
    pub(super) key: String,
    pub(super) origin: Origin,
}

impl Entry<String> {
    /// A problem with this value.
    pub(super) fn problem(&self, rule: &str) -> Problem {
        Problem::new(self.origin.clone(), self.key.clone(), rule)
            .with_value(&Value::String(self.value.clone()))
    }
}

/// A colour, or a word that is resolved with the merged palette of the theme and its ancestors.
#[derive(Debug, Clone)]
pub(super) enum Paint {
    Color(Color),
    Word(Entry<String>),
}

/// The style of a role in a theme file.
#[derive(Debug, Clone, Default)]
pub(super) struct RoleStyle {
    pub(super) fg: Option<Paint>,
    pub(super) bg: Option<Paint>,
    pub(super) modifiers: Modifier,
}

/// A parsed theme file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) inherits: Option<Entry<String>>,
    pub(super) dark: Option<bool>,
    pub(super) palette: BTreeMap<String, Color>,
    /// The roles in this file only; the others are inherited.
    pub(super) roles: Vec<(Role, RoleStyle)>,
}

/// Parses the text of a theme file. `path` is used in problems, which are sorted by line.
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

/// The colour that a word of a theme file denotes, if any.
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

/// Suggests the known name that is most similar to `name`, if one is similar enough.
pub(super) fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| format!("did you mean `{known}`?"))
}

/// The hint for an unknown name: the most similar known name, or the list of all known names.
pub(super) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    suggestion(name, known.clone())
        .unwrap_or_else(|| format!("expected one of {}", known.collect::<Vec<_>>().join(", ")))
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
                    file.inherits = Some(self.entry(&at, name.clone()));
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

    /// Palette entries are colours; they cannot refer to other entries.
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

    fn roles(&mut self, entries: &Table) -> Vec<(Role, RoleStyle)> {
        let mut roles = Vec::new();
        for (name, value) in entries {
            let style = self.role_style(name, value);
            if let Some(role) = Role::named(name) {
                roles.push((role, style));
            } else {
                let names = Role::ALL.iter().map(|role| role.name());
                let rule = format!("unknown role, {}", unknown(name, names));
                self.wrong(&["roles", name], value, &rule);
            }
        }
        roles
    }

    /// A role is a foreground colour or a table.
    fn role_style(&mut self, role: &str, value: &Value) -> RoleStyle {
        let mut style = RoleStyle::default();
        let Value::Table(parts) = value else {
            style.fg = self.paint(&["roles", role], value);
            return style;
        };
        for (part, value) in parts {
            let at = ["roles", role, part.as_str()];
            match (part.as_str(), value) {
                ("fg", _) => style.fg = self.paint(&at, value),
                ("bg", _) => style.bg = self.paint(&at, value),
                ("modifiers", Value::Array(words)) => {
                    for word in words {
                        style.modifiers |= self.modifier(&at, word);
                    }
                }
                ("modifiers", _) => self.wrong(&at, value, "must be a list"),
                _ => {
                    let problem = format!("unknown key, {}", unknown(part, ROLE_KEYS.into_iter()));
                    self.wrong(&at, value, &problem);
                }
            }
        }
        style
    }

    fn paint(&mut self, at: &[&str], value: &Value) -> Option<Paint> {
        let paint = match value {
            Value::Integer(index) => u8::try_from(*index)
                .ok()
                .map(|index| Paint::Color(Color::Indexed(index))),
            Value::String(text) => Some(Paint::Word(self.entry(at, text.clone()))),
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
            let rule = format!("unknown modifier, expected one of {}", names.join(", "));
            self.wrong(at, word, &rule);
        }
        known.map_or(Modifier::empty(), |(_, modifier)| *modifier)
    }

    fn entry<T>(&self, at: &[&str], value: T) -> Entry<T> {
        Entry {
            value,
            key: at.join("."),
            origin: self.origin(at),
        }
    }

    fn wrong(&mut self, at: &[&str], value: &Value, rule: &str) {
        let problem = Problem::new(self.origin(at), at.join("."), rule);
        self.problems.push(problem.with_value(value));
    }

    fn origin(&self, at: &[&str]) -> Origin {
        let path: Vec<String> = at.iter().map(|part| (*part).to_owned()).collect();
        (self.locate)(&path)
    }
}
