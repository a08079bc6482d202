//! The available themes, and inheritance between them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ratatui::style::{Color, Style};
use toml::Value;

use super::file::{self, File, Paint, RoleStyle};
use super::{BUILT_IN, Role, Theme};
use crate::config::{Origin, Problem, Problems};

/// The configuration key that selects the theme.
const THEME_KEY: &str = "ui.theme";

/// All available themes: the built-in ones, then those of the user.
#[derive(Debug, Clone)]
pub struct Themes(Vec<ThemeEntry>);

#[derive(Debug, Clone)]
struct ThemeEntry {
    name: String,
    /// The file of a user's theme; `None` for a built-in theme.
    path: Option<PathBuf>,
    text: Cow<'static, str>,
}

impl ThemeEntry {
    /// The path of its file, for problems.
    fn path(&self) -> PathBuf {
        let built_in = || Path::new("themes").join(format!("{}.toml", self.name));
        self.path.clone().unwrap_or_else(built_in)
    }
}

impl Themes {
    /// The built-in themes, the default first.
    pub fn built_in() -> Self {
        let known = BUILT_IN.iter().map(|(name, text)| ThemeEntry {
            name: (*name).to_owned(),
            path: None,
            text: Cow::Borrowed(text),
        });
        Self(known.collect())
    }

    /// Adds a user's theme under this name. The text is not parsed yet.
    ///
    /// # Errors
    /// If another theme has this name.
    pub fn add(&mut self, name: &str, path: PathBuf, text: String) -> Result<(), Problem> {
        if let Some(other) = self.find(name) {
            let owner = match &other.path {
                Some(path) => path.display().to_string(),
                None => "a built-in theme".to_owned(),
            };
            let message = format!("`{name}` is already the name of {owner}: rename the file");
            return Err(Problem::new(Origin::File { path, line: None }, "", message));
        }
        self.0.push(ThemeEntry {
            name: name.to_owned(),
            path: Some(path),
            text: Cow::Owned(text),
        });
        Ok(())
    }

    /// The names of all themes: the built-in ones, the default first, then the user's in the order they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().map(|known| known.name.as_str())
    }

    /// The file of a theme; `None` for a built-in theme.
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.find(name)?.path.as_deref()
    }

    /// All valid themes with their names, and the problems of the others.
    pub fn all(&self) -> (Vec<(String, Theme)>, Vec<Problem>) {
        let (mut themes, mut problems) = (Vec::new(), Vec::new());
        for name in self.names() {
            match self.load(name) {
                Ok(theme) => themes.push((name.to_owned(), theme)),
                Err(Problems(found)) => {
                    for problem in found {
                        // The problems of a parent also occur for each of its children.
                        if !problems.contains(&problem) {
                            problems.push(problem);
                        }
                    }
                }
            }
        }
        (themes, problems)
    }

    /// Loads the theme with this name.
    ///
    /// # Errors
    /// All problems of the theme and its ancestors, each with file, line, key, value and rule. An unknown name is a
    /// problem of the key `ui.theme`.
    pub fn load(&self, name: &str) -> Result<Theme, Problems> {
        let Some(known) = self.find(name) else {
            let problem = Problem::new(Origin::Default, THEME_KEY, self.missing(name));
            return Err(Problems(vec![
                problem.with_value(&Value::String(name.to_owned())),
            ]));
        };
        let mut problems = Vec::new();
        let files = self.lineage(known, &mut problems);
        let mut palette = BTreeMap::new();
        let mut roles: Vec<Option<&RoleStyle>> = vec![None; Role::ALL.len()];
        let mut dark = true;
        // From the oldest ancestor to the theme itself.
        for file in files.iter().rev() {
            palette.extend(
                file.palette
                    .iter()
                    .map(|(name, color)| (name.as_str(), *color)),
            );
            for (role, written) in &file.roles {
                if let Some(slot) = roles.get_mut(*role as usize) {
                    *slot = Some(written);
                }
            }
            dark = file.dark.unwrap_or(dark);
        }
        let styles = roles
            .into_iter()
            .map(|role| role.map_or_else(Style::new, |role| style(role, &palette, &mut problems)));
        let theme = Theme {
            name: name.to_owned(),
            dark,
            styles: styles.collect(),
        };
        if problems.is_empty() {
            Ok(theme)
        } else {
            Err(Problems(problems))
        }
    }

    /// The files of a theme and its ancestors, the oldest last. Stops at a cycle, which is a problem.
    fn lineage<'a>(&'a self, theme: &'a ThemeEntry, problems: &mut Vec<Problem>) -> Vec<File> {
        let mut seen = vec![theme.name.as_str()];
        let mut files = Vec::new();
        let mut next = Some(theme);
        while let Some(known) = next.take() {
            let (file, found) = file::read(&known.path(), &known.text);
            problems.extend(found);
            if let Some(inherits) = &file.inherits {
                let parent = self.find(&inherits.value);
                next = parent.filter(|parent| !seen.contains(&parent.name.as_str()));
                match (parent, next) {
                    (_, Some(parent)) => seen.push(&parent.name),
                    (Some(_), None) => {
                        problems
                            .push(inherits.problem("themes inherit from each other in a cycle"));
                    }
                    (None, None) => problems.push(inherits.problem(&self.missing(&inherits.value))),
                }
            }
            files.push(file);
        }
        files
    }

    fn find(&self, name: &str) -> Option<&ThemeEntry> {
        self.0.iter().find(|known| known.name == name)
    }

    fn missing(&self, name: &str) -> String {
        format!("unknown theme, {}", file::unknown(name, self.names()))
    }
}

/// Resolves the colours of a role with the merged palette.
fn style(role: &RoleStyle, palette: &BTreeMap<&str, Color>, problems: &mut Vec<Problem>) -> Style {
    let mut resolve = |paint: &Option<Paint>| match paint.as_ref()? {
        Paint::Color(color) => Some(*color),
        Paint::Word(word) => {
            // The palette has precedence: it may redefine the name of a colour.
            let known = palette.get(word.value.as_str()).copied();
            let found = known.or_else(|| file::color(&word.value));
            if found.is_none() {
                let hint = file::suggestion(&word.value, palette.keys().copied());
                let hint = hint.map_or_else(String::new, |hint| format!(", {hint}"));
                let expected = format!("{}, or a name of the palette{hint}", file::COLOR);
                problems.push(word.problem(&expected));
            }
            found
        }
    };
    Style {
        fg: resolve(&role.fg),
        bg: resolve(&role.bg),
        ..Style::new().add_modifier(role.modifiers)
    }
}
