//! Themes: the style of each role. A theme is a TOML file with a palette and roles; it can inherit from another theme.
//!
//! Panels use roles, never colours. `file` parses a single theme file, `family` merges a theme with its ancestors.
//! Neither reads files: the caller that knows where the user's themes are located passes their text to [`Themes`].

mod family;
mod file;
mod role;
#[cfg(test)]
mod tests;

use std::path::Path;

use ratatui::style::{Color, Modifier, Style};

use super::color::ColorDepth;
use crate::config::Problems;

pub use family::Themes;
pub use role::Role;

/// Names and texts of the built-in themes, the default first.
const BUILT_IN: [(&str, &str); 5] = [
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    (
        "high-contrast",
        include_str!("../../themes/high-contrast.toml"),
    ),
    (
        "colour-blind",
        include_str!("../../themes/colour-blind.toml"),
    ),
    ("mono", include_str!("../../themes/mono.toml")),
];

/// Names of the modifiers in theme files.
const MODIFIERS: [(&str, Modifier); 5] = [
    ("bold", Modifier::BOLD),
    ("dim", Modifier::DIM),
    ("italic", Modifier::ITALIC),
    ("underlined", Modifier::UNDERLINED),
    ("reversed", Modifier::REVERSED),
];

/// The style of each role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    name: String,
    dark: bool,
    styles: Vec<Style>,
}

/// All built-in themes with their names, the default first.
pub fn themes() -> Vec<(String, Theme)> {
    Themes::built_in().all().0
}

impl Theme {
    /// Loads a built-in theme.
    ///
    /// # Errors
    /// If there is no built-in theme with this name.
    pub fn load(name: &str) -> Result<Self, Problems> {
        Themes::built_in().load(name)
    }

    /// Parses the text of a theme file. `name` is used in errors and on the screen.
    ///
    /// # Errors
    /// All problems of the file, each with file, line, key, value and rule.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        let mut themes = Themes::built_in();
        let path = Path::new("themes").join(format!("{name}.toml"));
        themes
            .add(name, path, text.to_owned())
            .map_err(|problem| Problems(vec![problem]))?;
        themes.load(name)
    }

    /// The name of the theme.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the theme is for a dark background.
    pub fn is_dark(&self) -> bool {
        self.dark
    }

    /// The style of a role.
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(role as usize).copied().unwrap_or_default()
    }

    /// The style of a role as text, with the names of theme files: `#d55e00 on 235, bold`. Empty for a role without
    /// style.
    pub fn describe(&self, role: Role) -> String {
        let style = self.style(role);
        let mut words = style.fg.map(color_word).unwrap_or_default();
        if let Some(bg) = style.bg {
            let gap = if words.is_empty() { "" } else { " " };
            words = format!("{words}{gap}on {}", color_word(bg));
        }
        let modifiers = MODIFIERS
            .iter()
            .filter(|(_, modifier)| style.add_modifier.contains(*modifier));
        for (word, _) in modifiers {
            let gap = if words.is_empty() { "" } else { ", " };
            words = format!("{words}{gap}{word}");
        }
        words
    }

    /// The theme reduced to the colours of a terminal.
    #[must_use]
    pub fn reduced(&self, depth: ColorDepth) -> Self {
        let mut theme = self.clone();
        for style in &mut theme.styles {
            style.fg = style.fg.map(|color| depth.reduce(color));
            style.bg = style.bg.map(|color| depth.reduce(color));
        }
        theme
    }
}

fn color_word(color: Color) -> String {
    match color {
        Color::Reset => "default".to_owned(),
        // Formats such as `#D55E00` and `LightRed`.
        other => other.to_string().to_lowercase(),
    }
}
