//! Themes: what each role looks like. A theme is a TOML file with a palette and roles; it may inherit another.
//!
//! Panels ask for roles and never name a colour. `file` reads one theme as it is written, `family` lays a theme over its
//! ancestors; neither opens a file: whoever knows where a user's themes lie hands their text to [`Themes`].

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

/// The themes that are compiled in, the default first.
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

/// Words for modifiers in theme files.
const MODIFIERS: [(&str, Modifier); 5] = [
    ("bold", Modifier::BOLD),
    ("dim", Modifier::DIM),
    ("italic", Modifier::ITALIC),
    ("underlined", Modifier::UNDERLINED),
    ("reversed", Modifier::REVERSED),
];

/// What each role looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    name: String,
    dark: bool,
    styles: Vec<Style>,
}

/// All themes that are compiled in, the default first.
pub fn themes() -> Vec<(String, Theme)> {
    Themes::built_in().all().0
}

impl Theme {
    /// A theme that is compiled in.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn load(name: &str) -> Result<Self, Problems> {
        Themes::built_in().load(name)
    }

    /// A theme from the text of its file; `name` is what it is called in errors and on the screen.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with file, line, key, value and rule.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        let mut themes = Themes::built_in();
        let path = Path::new("themes").join(format!("{name}.toml"));
        themes
            .add(name, path, text.to_owned())
            .map_err(|problem| Problems(vec![problem]))?;
        themes.load(name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is meant for light letters on a dark ground.
    pub fn is_dark(&self) -> bool {
        self.dark
    }

    /// What a role looks like.
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(role as usize).copied().unwrap_or_default()
    }

    /// What a role looks like, in the words of a theme file: `#d55e00 on 235, bold`; empty for a role without a look.
    pub fn words(&self, role: Role) -> String {
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

    /// The theme in the colours a terminal has.
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
        // `#D55E00`, and names such as `LightRed`.
        other => other.to_string().to_lowercase(),
    }
}
