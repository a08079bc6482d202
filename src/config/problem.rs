//! Problems in a configuration, their origins, and the text of a list of problems.

use std::fmt;
use std::path::PathBuf;

/// The source that set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// No source set it: the default applies.
    Default,
    /// A file.
    File {
        /// The path as given by the user.
        path: PathBuf,
        /// The line, from 1, if known.
        line: Option<usize>,
    },
    /// The preset with this name.
    Preset(String),
    /// A `--set` option with this argument.
    Set(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::Preset(name) => write!(f, "preset {name}"),
            // The argument is omitted because the key and the value are shown in the next column.
            Self::Set(_) => f.write_str("--set"),
        }
    }
}

/// One problem in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The source that contains the problem.
    pub origin: Origin,
    /// The dotted key; empty if the problem does not concern a key.
    pub key: String,
    /// The offending value as TOML, if it helps.
    pub value: Option<String>,
    /// What is wrong and what is expected.
    pub message: String,
}

impl Problem {
    /// A problem without a value.
    pub fn new(origin: Origin, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            origin,
            key: key.into(),
            value: None,
            message: message.into(),
        }
    }

    /// Adds the offending value.
    #[must_use]
    pub fn with_value(mut self, value: &toml::Value) -> Self {
        self.value = Some(value.to_string());
        self
    }

    /// `key = value`, or only the key if there is no value.
    fn subject(&self) -> String {
        match &self.value {
            Some(value) => printable(&format!("{} = {}", self.key, shortened(value))),
            None => printable(&self.key),
        }
    }
}

/// All problems in a configuration. Displayed as a header followed by one aligned line per problem.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 problem in the configuration")?,
            n => write!(f, "{n} problems in the configuration")?,
        }
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|problem| {
                (
                    printable(&problem.origin.to_string()),
                    problem.subject(),
                    problem,
                )
            })
            .collect();
        let origins = rows
            .iter()
            .map(|(origin, ..)| origin.chars().count())
            .max()
            .unwrap_or(0);
        let subjects = rows
            .iter()
            .map(|(_, subject, _)| subject.chars().count())
            .max()
            .unwrap_or(0);
        for (origin, subject, problem) in &rows {
            write!(f, "\n{origin:<origins$}  ")?;
            // If no problem concerns a key, the column of keys is omitted.
            if subjects > 0 {
                write!(f, "{subject:<subjects$}  ")?;
            }
            f.write_str(&printable(&problem.message))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Truncates a long value, which would push the message off the screen.
fn shortened(value: &str) -> String {
    const WIDTH: usize = 40;
    if value.chars().count() <= WIDTH {
        return value.to_owned();
    }
    value.chars().take(WIDTH - 1).chain(['…']).collect()
}

/// Escapes control characters: text from a file must not control the terminal or break the line.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned() {
        let file = |line| Origin::File {
            path: "my.toml".into(),
            line: Some(line),
        };
        let problems = Problems(vec![
            Problem::new(file(12), "optim.lr", "must be greater than 0").with_value(&(-0.1).into()),
            Problem::new(Origin::Set("x".to_owned()), "x", "has no `=`"),
        ]);
        assert_eq!(
            problems.to_string(),
            "2 problems in the configuration\n\
             my.toml:12  optim.lr = -0.1  must be greater than 0\n\
             --set       x                has no `=`"
        );
    }

    #[test]
    fn control_characters_are_escaped() {
        let problem =
            Problem::new(Origin::Default, "a\x1b[2J", "b\nc").with_value(&"x".repeat(90).into());
        let text = Problems(vec![problem]).to_string();
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains('\x1b') && text.contains('…'), "{text}");
    }
}
