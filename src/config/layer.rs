//! One source of settings, taken apart into single keys, each with the place it was written at.
//!
//! Nothing is judged here but the syntax: whether a key exists and a value fits is left to `load`.

use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::problem::{Origin, Problem};

/// One setting as it was written.
#[derive(Debug)]
pub(super) struct Entry {
    /// The segments of the key.
    pub(super) path: Vec<String>,
    /// What it is set to. A table only where no section of that name exists.
    pub(super) value: Value,
    /// The characters of the value, where quotes may have been left out.
    pub(super) bare: Option<String>,
    /// Where this was written.
    pub(super) origin: Origin,
}

impl Entry {
    /// The key with dots, quoted where TOML wants quotes.
    pub(super) fn key(&self) -> String {
        dotted(&self.path)
    }
}

/// The key with dots, quoted where TOML wants quotes.
pub(super) fn dotted(path: &[String]) -> String {
    let plain = |segment: &str| {
        !segment.is_empty()
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let quoted = |segment: &String| {
        if plain(segment) {
            segment.clone()
        } else {
            format!("{segment:?}")
        }
    };
    path.iter().map(quoted).collect::<Vec<_>>().join(".")
}

/// The settings of a file's text; `defaults` tells what is a section.
pub(super) fn from_file(path: &Path, text: &str, defaults: &Table) -> Result<Vec<Entry>, Problem> {
    let (table, locate) = located(path, text)?;
    Ok(flattened(table, defaults, &locate))
}

/// A file's text as a table, and what tells the place in it at which a key (its segments) stands.
///
/// # Errors
/// When it is not TOML.
pub fn located<'a>(
    path: &'a Path,
    text: &'a str,
) -> Result<(Table, impl Fn(&[String]) -> Origin + 'a), Problem> {
    let lines = Lines::of(text);
    let place = |line| Origin::File {
        path: path.to_owned(),
        line,
    };
    let syntax = |error: &toml::de::Error| {
        let line = error.span().map(|span| lines.at(span.start));
        Problem::new(place(line), "", not_toml(error.message()))
    };
    // Read twice: once for the values, once for where their keys stand.
    let table: Table = toml::from_str(text).map_err(|error| syntax(&error))?;
    let spans = DeTable::parse(text).map_err(|error| syntax(&error))?;
    let locate =
        move |path: &[String]| place(offset(spans.get_ref(), path).map(|start| lines.at(start)));
    Ok((table, locate))
}

/// The settings of a compiled-in overlay.
pub(super) fn from_preset(name: &str, text: &str, defaults: &Table) -> Result<Vec<Entry>, Problem> {
    let origin = Origin::Preset(name.to_owned());
    match toml::from_str(text) {
        Ok(table) => Ok(flattened(table, defaults, &|_| origin.clone())),
        Err(error) => Err(Problem::new(origin, "", not_toml(error.message()))),
    }
}

/// The settings of one `section.key=value`: a table in braces may hold several.
pub(super) fn from_set(text: &str, defaults: &Table) -> Result<Vec<Entry>, Problem> {
    let origin = Origin::Set(text.to_owned());
    let wrong = || Problem::new(origin.clone(), text, "must look like section.key=value");
    let (key, bare) = text.split_once('=').ok_or_else(wrong)?;
    let path: Vec<&str> = key.split('.').map(str::trim).collect();
    // No key is deeper than three; a nest of thousands would cost the stack.
    if path.len() > 8 || path.iter().any(|segment| segment.is_empty()) {
        return Err(wrong());
    }
    let bare = bare.trim();
    let mut value = value_of(bare);
    for segment in path.iter().rev() {
        value = Value::Table(Table::from_iter([((*segment).to_owned(), value)]));
    }
    let Value::Table(table) = value else {
        return Err(wrong());
    };
    let mut entries = flattened(table, defaults, &|_| origin.clone());
    // Only a value that stands alone was written without its quotes; inside braces they are asked for.
    if let [entry] = entries.as_mut_slice()
        && entry.path.len() == path.len()
    {
        entry.bare = Some(bare.to_owned());
    }
    Ok(entries)
}

/// The text as a TOML value, or as a string if it is none.
fn value_of(text: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("value = {text}")).ok();
    // A line break could smuggle in a second key; then it is a string like any other.
    let alone = parsed
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"));
    alone.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn flattened(table: Table, defaults: &Table, locate: &dyn Fn(&[String]) -> Origin) -> Vec<Entry> {
    let mut entries = Vec::new();
    flatten(&mut Vec::new(), table, defaults, locate, &mut entries);
    entries
}

/// Goes down only where the defaults have a section too, so an unknown section is one entry, and the depth is theirs.
fn flatten(
    above: &mut Vec<String>,
    table: Table,
    known: &Table,
    locate: &dyn Fn(&[String]) -> Origin,
    entries: &mut Vec<Entry>,
) {
    for (key, value) in table {
        above.push(key);
        match (value, above.last().and_then(|key| known.get(key))) {
            (Value::Table(inner), Some(Value::Table(known))) => {
                flatten(above, inner, known, locate, entries);
            }
            (value, _) => entries.push(Entry {
                path: above.clone(),
                value,
                bare: None,
                origin: locate(above),
            }),
        }
        above.pop();
    }
}

/// Where the last segment of a key begins.
fn offset(table: &DeTable<'_>, path: &[String]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table
        .iter()
        .find(|(key, _)| key.get_ref().as_ref() == first.as_str())?;
    match (rest, value.get_ref()) {
        ([], _) => Some(key.span().start),
        (_, DeValue::Table(inner)) => offset(inner, rest),
        _ => None,
    }
}

/// Line numbers of byte offsets.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset) + 1
    }
}

fn not_toml(message: &str) -> String {
    let lines: Vec<_> = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    format!("is not TOML: {}", lines.join("; "))
}
