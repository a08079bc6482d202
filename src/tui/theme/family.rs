//! All themes that can be named, and a theme with all it inherits.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ratatui::style::{Color, Style};
use toml::Value;

use super::file::{self, File, Look, Paint};
use super::{BUILT_IN, Role, Theme};
use crate::config::{Origin, Problem, Problems};

/// The key of the configuration that names a theme.
const NAMED_BY: &str = "ui.theme";

/// All themes that can be named: those compiled in, then the user's own.
#[derive(Debug, Clone)]
pub struct Themes(Vec<Known>);

#[derive(Debug, Clone)]
struct Known {
    name: String,
    /// The user's file.
    path: Option<PathBuf>,
    text: Cow<'static, str>,
}

impl Known {
    /// What its file is called in problems.
    fn path(&self) -> PathBuf {
        let built_in = || Path::new("themes").join(format!("{}.toml", self.name));
        self.path.clone().unwrap_or_else(built_in)
    }
}

impl Themes {
    /// Those that are compiled in, the default first.
    pub fn built_in() -> Self {
        let known = BUILT_IN.iter().map(|(name, text)| Known {
            name: (*name).to_owned(),
            path: None,
            text: Cow::Borrowed(text),
        });
        Self(known.collect())
    }

    /// Takes a user's file in, by the name it is to have; nothing is read or judged yet.
    ///
    /// # Errors
    /// When another theme has the name.
    pub fn add(&mut self, name: &str, path: PathBuf, text: String) -> Result<(), Problem> {
        if let Some(other) = self.find(name) {
            let whose = match &other.path {
                Some(path) => path.display().to_string(),
                None => "a theme that is built in".to_owned(),
            };
            let message = format!("`{name}` is the name of {whose}: give the file another");
            return Err(Problem::new(Origin::File { path, line: None }, "", message));
        }
        self.0.push(Known {
            name: name.to_owned(),
            path: Some(path),
            text: Cow::Owned(text),
        });
        Ok(())
    }

    /// Their names: those compiled in, the default first, then the user's own in the order they came.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().map(|known| known.name.as_str())
    }

    /// The file of a theme; none for one that is built in.
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.find(name)?.path.as_deref()
    }

    /// Every theme without a fault by its name, and all faults of the others.
    pub fn all(&self) -> (Vec<(String, Theme)>, Vec<Problem>) {
        let (mut themes, mut problems) = (Vec::new(), Vec::new());
        for name in self.names() {
            match self.load(name) {
                Ok(theme) => themes.push((name.to_owned(), theme)),
                Err(Problems(found)) => {
                    for problem in found {
                        // A parent's faults are those of all its children.
                        if !problems.contains(&problem) {
                            problems.push(problem);
                        }
                    }
                }
            }
        }
        (themes, problems)
    }

    /// A theme by its name.
    ///
    /// # Errors
    /// Everything that is wrong with it and with what it inherits, each with file, line, key, value and rule; or that
    /// there is none of this name, as a problem of the key `ui.theme`.
    pub fn load(&self, name: &str) -> Result<Theme, Problems> {
        let Some(known) = self.find(name) else {
            let problem = Problem::new(Origin::Default, NAMED_BY, self.missing(name));
            return Err(Problems(vec![
                problem.with_value(&Value::String(name.to_owned())),
            ]));
        };
        let mut problems = Vec::new();
        let line = self.line(known, &mut problems);
        let mut palette = BTreeMap::new();
        let mut looks: Vec<Option<&Look>> = vec![None; Role::ALL.len()];
        let mut dark = true;
        // From the oldest ancestor to the theme itself.
        for file in line.iter().rev() {
            palette.extend(
                file.palette
                    .iter()
                    .map(|(name, color)| (name.as_str(), *color)),
            );
            for (role, look) in &file.roles {
                if let Some(slot) = looks.get_mut(*role as usize) {
                    *slot = Some(look);
                }
            }
            dark = file.dark.unwrap_or(dark);
        }
        let styles = looks
            .into_iter()
            .map(|look| look.map_or_else(Style::new, |look| style(look, &palette, &mut problems)));
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

    /// From a theme to its oldest ancestor. Ends where a theme would be its own ancestor.
    fn line<'a>(&'a self, theme: &'a Known, problems: &mut Vec<Problem>) -> Vec<File> {
        let mut seen = vec![theme.name.as_str()];
        let mut files = Vec::new();
        let mut next = Some(theme);
        while let Some(known) = next.take() {
            let (file, found) = file::read(&known.path(), &known.text);
            problems.extend(found);
            if let Some(inherits) = &file.inherits {
                let parent = self.find(&inherits.what);
                next = parent.filter(|parent| !seen.contains(&parent.name.as_str()));
                match (parent, next) {
                    (_, Some(parent)) => seen.push(&parent.name),
                    (Some(_), None) => {
                        problems.push(inherits.wrong("leads back to where it came from"));
                    }
                    (None, None) => problems.push(inherits.wrong(&self.missing(&inherits.what))),
                }
            }
            files.push(file);
        }
        files
    }

    fn find(&self, name: &str) -> Option<&Known> {
        self.0.iter().find(|known| known.name == name)
    }

    fn missing(&self, name: &str) -> String {
        format!(
            "there is no such theme, {}",
            file::unknown(name, self.names())
        )
    }
}

/// A look in the colours of the family's palette.
fn style(look: &Look, palette: &BTreeMap<&str, Color>, problems: &mut Vec<Problem>) -> Style {
    let mut resolve = |paint: &Option<Paint>| match paint.as_ref()? {
        Paint::Color(color) => Some(*color),
        Paint::Word(word) => {
            // The palette comes first: it may give a colour's name another colour.
            let known = palette.get(word.what.as_str()).copied();
            let found = known.or_else(|| file::color(&word.what));
            if found.is_none() {
                let hint = file::meant(&word.what, palette.keys().copied());
                let hint = hint.map_or_else(String::new, |hint| format!(", {hint}"));
                problems.push(word.wrong(&format!("{}, or be in the palette{hint}", file::COLOR)));
            }
            found
        }
    };
    Style {
        fg: resolve(&look.fg),
        bg: resolve(&look.bg),
        ..Style::new().add_modifier(look.modifiers)
    }
}
