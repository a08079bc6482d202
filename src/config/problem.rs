//! What is wrong with a configuration, where it was written, and how a list of that is shown.

use std::fmt;
use std::path::PathBuf;

/// The place a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// A file, and the line in it where that is known.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line, from 1.
        line: Option<usize>,
    },
    /// The preset of this name.
    Preset(String),
    /// This argument of `--set`.
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
            // The key and the value stand beside it and say the rest.
            Self::Set(_) => f.write_str("--set"),
        }
    }
}

/// One thing that is wrong, at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written.
    pub origin: Origin,
    /// The dotted key; empty when it is about no key.
    pub key: String,
    /// The value as TOML, where that tells something.
    pub value: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem with a key whose value does not matter.
    pub fn new(origin: Origin, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            origin,
            key: key.into(),
            value: None,
            message: message.into(),
        }
    }

    /// The same with the value that was written.
    #[must_use]
    pub fn with_value(mut self, value: &toml::Value) -> Self {
        self.value = Some(value.to_string());
        self
    }

    /// `key = value`, as far as there is something to show.
    fn subject(&self) -> String {
        match &self.value {
            Some(value) => printable(&format!("{} = {}", self.key, shortened(value))),
            None => printable(&self.key),
        }
    }
}

/// All that is wrong with a configuration. Shown as a header and one aligned line for each.
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
            // No column for keys when none of the problems is about one.
            if subjects > 0 {
                write!(f, "{subject:<subjects$}  ")?;
            }
            f.write_str(&printable(&problem.message))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A long value would push the message off the screen.
fn shortened(value: &str) -> String {
    const WIDTH: usize = 40;
    if value.chars().count() <= WIDTH {
        return value.to_owned();
    }
    value.chars().take(WIDTH - 1).chain(['…']).collect()
}

/// A file's text must not steer the terminal it is shown on, nor break the one line it has.
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
    fn a_value_cannot_steer_the_terminal() {
        let problem =
            Problem::new(Origin::Default, "a\x1b[2J", "b\nc").with_value(&"x".repeat(90).into());
        let text = Problems(vec![problem]).to_string();
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains('\x1b') && text.contains('…'), "{text}");
    }
}
