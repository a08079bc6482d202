//! Parses one source of settings into single keys, each with its origin.
//!
//! Only the syntax is checked here; `load` checks whether a key exists and whether its value is valid.

use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::problem::{Origin, Problem};

/// One setting as written in its source.
#[derive(Debug)]
pub(super) struct Entry {
    /// The segments of the key.
    pub(super) path: Vec<String>,
    /// The value. It is a table only if no section with that name exists.
    pub(super) value: Value,
    /// The unparsed text of the value if it may be a string without quotes.
    pub(super) bare: Option<String>,
    /// The origin of the setting.
    pub(super) origin: Origin,
}

impl Entry {
    /// The dotted key, with quotes where TOML requires them.
    pub(super) fn key(&self) -> String {
        dotted(&self.path)
    }
}

/// The dotted key, with quotes where TOML requires them.
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

/// The settings in the text of a file; `defaults` defines which names are sections.
pub(super) fn from_file(path: &Path, text: &str, defaults: &Table) -> Result<Vec<Entry>, Problem> {
    let (table, locate) = located(path, text)?;
    Ok(flattened(table, defaults, &locate))
}

/// Parses the text of a file. Returns the table and a function that maps a key, given as its segments, to its file and
/// line.
///
/// # Errors
/// If the text is not valid TOML.
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
        Problem::new(place(line), "", invalid_toml(error.message()))
    };
    // Parsed twice: once for the values, once for the positions of their keys.
    let table: Table = toml::from_str(text).map_err(|error| syntax(&error))?;
    let spans = DeTable::parse(text).map_err(|error| syntax(&error))?;
    let locate =
        move |path: &[String]| place(offset(spans.get_ref(), path).map(|start| lines.at(start)));
    Ok((table, locate))
}

/// The settings of a preset.
pub(super) fn from_preset(name: &str, text: &str, defaults: &Table) -> Result<Vec<Entry>, Problem> {
    let origin = Origin::Preset(name.to_owned());
    match toml::from_str(text) {
        Ok(table) => Ok(flattened(table, defaults, &|_| origin.clone())),
        Err(error) => Err(Problem::new(origin, "", invalid_toml(error.message()))),
    }
}

/// The settings of one `section.key=value`; a value that is an inline table may contain several.
pub(super) fn from_set(text: &str, defaults: &Table) -> Result<Vec<Entry>, Problem> {
    let origin = Origin::Set(text.to_owned());
    let malformed = || Problem::new(origin.clone(), text, "must have the form section.key=value");
    let (key, bare) = text.split_once('=').ok_or_else(malformed)?;
    let path: Vec<&str> = key.split('.').map(str::trim).collect();
    // No key has more than three segments; thousands of nested tables would overflow the stack.
    if path.len() > 8 || path.iter().any(|segment| segment.is_empty()) {
        return Err(malformed());
    }
    let bare = bare.trim();
    let mut value = value_of(bare);
    for segment in path.iter().rev() {
        value = Value::Table(Table::from_iter([((*segment).to_owned(), value)]));
    }
    let Value::Table(table) = value else {
        return Err(malformed());
    };
    let mut entries = flattened(table, defaults, &|_| origin.clone());
    // Quotes may be omitted only around a single value; strings in an inline table require them.
    if let [entry] = entries.as_mut_slice()
        && entry.path.len() == path.len()
    {
        entry.bare = Some(bare.to_owned());
    }
    Ok(entries)
}

/// The text parsed as a TOML value, or the text itself as a string if it is not one.
fn value_of(text: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("value = {text}")).ok();
    // A line break in the text could define a second key; such a text is a plain string.
    let single = parsed
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"));
    single.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn flattened(table: Table, defaults: &Table, locate: &dyn Fn(&[String]) -> Origin) -> Vec<Entry> {
    let mut entries = Vec::new();
    flatten(&mut Vec::new(), table, defaults, locate, &mut entries);
    entries
}

/// Descends only into sections that the defaults have. An unknown section thus becomes one entry, and the recursion is
/// no deeper than the defaults.
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

/// Byte offset of the last segment of a key.
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

/// Maps byte offsets to line numbers, from the offsets of the line breaks.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset) + 1
    }
}

fn invalid_toml(message: &str) -> String {
    let lines: Vec<_> = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    format!("invalid TOML: {}", lines.join("; "))
}
