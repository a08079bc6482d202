//! Themes: what each role looks like. A theme is a TOML file with a palette and roles; it may inherit another.
//!
//! Panels ask for roles and never name a colour.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use super::color::ColorDepth;

/// The themes that are compiled in, the default first.
const BUILT_IN: [(&str, &str); 3] = [
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
];

/// More generations than anyone needs; a theme that inherits itself ends here.
const GENERATIONS: usize = 8;

/// Defines the roles once: the enum, their number and their names in theme files.
macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident = $name:literal,)*) => {
        /// What a thing on the screen is for; a theme says what it looks like.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Role { $($(#[$doc])* $role,)* }

        impl Role {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$role,)*];

            /// Its name in theme files.
            pub fn name(self) -> &'static str {
                match self { $(Self::$role => $name,)* }
            }
        }
    };
}

roles! {
    /// Plain text and numbers.
    Text = "text",
    /// What the eye should find first.
    Strong = "strong",
    /// Labels and units.
    Dim = "dim",
    /// Guides and what is hardly there.
    Faint = "faint",
    /// The program's name.
    Brand = "brand",
    /// Rules above panes.
    Rule = "rule",
    /// The rule above the focused pane.
    RuleFocus = "rule-focus",
    /// Titles of panes.
    Title = "title",
    /// The title of the focused pane.
    TitleFocus = "title-focus",
    /// Training curves.
    Train = "train",
    /// The spread behind training curves.
    TrainBand = "train-band",
    /// Validation curves.
    Valid = "valid",
    /// The curve of the gradient norm.
    Gradient = "gradient",
    /// The spread behind it.
    GradientBand = "gradient-band",
    /// The clip threshold and clipped steps.
    Clip = "clip",
    /// Right, better.
    Good = "good",
    /// Wrong, worse.
    Bad = "bad",
    /// Worth a look.
    Warn = "warn",
    /// Failed.
    Error = "error",
    /// Bars of scores and probabilities.
    Bar = "bar",
    /// The bar of the worst class.
    BarWorst = "bar-worst",
    /// A share of mistakes worth seeing.
    Heat1 = "heat-1",
    /// A larger one.
    Heat2 = "heat-2",
    /// A large one.
    Heat3 = "heat-3",
    /// The largest.
    Heat4 = "heat-4",
    /// Progress made.
    Gauge = "gauge",
    /// Progress to come.
    GaugeRest = "gauge-rest",
    /// Keys in the footer and the help.
    Key = "key",
    /// Images.
    Art = "art",
    /// The selected mark.
    Selected = "selected",
    /// Boxes over the screen.
    Popup = "popup",
    /// The second of several runs laid over each other, and so on; a fifth looks like the first of these again.
    RunB = "run-b",
    /// The third.
    RunC = "run-c",
    /// The fourth.
    RunD = "run-d",
    /// The fifth.
    RunE = "run-e",
}

impl Role {
    /// The role of a run beside the first one, counted from 0.
    pub fn of_other(at: usize) -> Self {
        const CYCLE: [Role; 4] = [Role::RunB, Role::RunC, Role::RunD, Role::RunE];
        CYCLE.get(at % CYCLE.len()).copied().unwrap_or(Self::RunB)
    }
}

/// What each role looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    name: String,
    dark: bool,
    styles: Vec<Style>,
}

/// A theme file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    inherits: Option<String>,
    background: Option<Background>,
    #[serde(default)]
    palette: BTreeMap<String, Paint>,
    #[serde(default)]
    roles: BTreeMap<String, Look>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Background {
    Dark,
    Light,
}

/// A colour: a number of the 256, `#rrggbb`, or a name.
#[derive(Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a colour: 0 to 255, \"#rrggbb\" or a name"
)]
enum Paint {
    Number(u8),
    Text(String),
}

/// A role: a foreground alone, or a table.
#[derive(Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a colour, or a table with fg, bg and modifiers"
)]
enum Look {
    Fg(Paint),
    Full(FullLook),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FullLook {
    fg: Option<Paint>,
    bg: Option<Paint>,
    #[serde(default)]
    modifiers: Vec<String>,
}

/// All themes that are compiled in, the default first.
pub fn themes() -> Vec<(String, Theme)> {
    BUILT_IN
        .iter()
        .filter_map(|(name, _)| Some(((*name).to_owned(), Theme::load(name).ok()?)))
        .collect()
}

impl Theme {
    /// A theme that is compiled in.
    ///
    /// # Errors
    /// A sentence naming file and key.
    pub fn load(name: &str) -> Result<Self, String> {
        Self::parse(name, built_in(name)?)
    }

    /// A theme from the text of its file; `name` is what it is called in errors and on the screen.
    ///
    /// # Errors
    /// A sentence naming file and key.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        // From the theme itself to its oldest ancestor; then laid over each other the other way round.
        let mut line: Vec<(String, File)> = vec![(name.to_owned(), read(name, text)?)];
        while let Some(parent) = line.last().and_then(|(_, file)| file.inherits.clone()) {
            let child = line.last().map_or(name, |(child, _)| child.as_str());
            if line.len() > GENERATIONS {
                return Err(format!(
                    "themes/{child}.toml: inherits: `{parent}` leads back to where it came from"
                ));
            }
            let text = built_in(&parent)
                .map_err(|error| format!("themes/{child}.toml: inherits: {error}"))?;
            let file = read(&parent, text)?;
            line.push((parent, file));
        }
        let mut palette: BTreeMap<&str, (&str, &Paint)> = BTreeMap::new();
        let mut looks: BTreeMap<&str, (&str, &Look)> = BTreeMap::new();
        let mut background = Background::Dark;
        for (file_name, file) in line.iter().rev() {
            palette.extend(
                file.palette
                    .iter()
                    .map(|(key, paint)| (key.as_str(), (file_name.as_str(), paint))),
            );
            looks.extend(
                file.roles
                    .iter()
                    .map(|(key, look)| (key.as_str(), (file_name.as_str(), look))),
            );
            background = file.background.unwrap_or(background);
        }
        let mut styles = vec![Style::new(); Role::ALL.len()];
        for (key, (file_name, look)) in looks {
            let place =
                |message: String| format!("themes/{file_name}.toml: roles.{key}: {message}");
            let role = Role::ALL
                .iter()
                .find(|role| role.name() == key)
                .ok_or_else(|| place(unknown_role(key)))?;
            let style = resolve(look, &palette).map_err(place)?;
            if let Some(slot) = styles.get_mut(*role as usize) {
                *slot = style;
            }
        }
        Ok(Self {
            name: name.to_owned(),
            dark: background == Background::Dark,
            styles,
        })
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

fn built_in(name: &str) -> Result<&'static str, String> {
    BUILT_IN
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
        .ok_or_else(|| {
            let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            format!("there is no theme `{name}`, there are {}", names.join(", "))
        })
}

fn read(name: &str, text: &str) -> Result<File, String> {
    toml::from_str(text)
        .map_err(|error| format!("themes/{name}.toml: {}", error.to_string().trim_end()))
}

fn unknown_role(key: &str) -> String {
    let near = Role::ALL
        .iter()
        .map(|role| (strsim::jaro_winkler(key, role.name()), role.name()));
    match near
        .filter(|(alike, _)| *alike >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
    {
        Some((_, name)) => format!("unknown role, did you mean `{name}`?"),
        None => "unknown role".to_owned(),
    }
}

fn resolve(look: &Look, palette: &BTreeMap<&str, (&str, &Paint)>) -> Result<Style, String> {
    let full = match look {
        Look::Fg(paint) => &FullLook {
            fg: Some(paint.clone()),
            bg: None,
            modifiers: Vec::new(),
        },
        Look::Full(full) => full,
    };
    let mut style = Style::new();
    style.fg = full
        .fg
        .as_ref()
        .map(|paint| paint_color(paint, palette))
        .transpose()?;
    style.bg = full
        .bg
        .as_ref()
        .map(|paint| paint_color(paint, palette))
        .transpose()?;
    for word in &full.modifiers {
        style = style.add_modifier(match word.as_str() {
            "bold" => Modifier::BOLD,
            "dim" => Modifier::DIM,
            "italic" => Modifier::ITALIC,
            "underlined" => Modifier::UNDERLINED,
            "reversed" => Modifier::REVERSED,
            other => {
                return Err(format!(
                    "unknown modifier `{other}`, there are bold, dim, italic, underlined, reversed"
                ));
            }
        });
    }
    Ok(style)
}

fn paint_color(paint: &Paint, palette: &BTreeMap<&str, (&str, &Paint)>) -> Result<Color, String> {
    match paint {
        Paint::Number(index) => Ok(Color::Indexed(*index)),
        Paint::Text(text) => match palette.get(text.as_str()) {
            // A palette entry is a colour, never another entry.
            Some((_, Paint::Number(index))) => Ok(Color::Indexed(*index)),
            Some((file, Paint::Text(color))) => plain_color(color)
                .map_err(|error| format!("palette.{text} in themes/{file}.toml: {error}")),
            None => plain_color(text),
        },
    }
}

fn plain_color(text: &str) -> Result<Color, String> {
    if let Some(hex) = text.strip_prefix('#') {
        return match u32::from_str_radix(hex, 16) {
            Ok(value) if hex.len() == 6 => Ok(Color::from_u32(value)),
            _ => Err(format!("`{text}` is no colour: write #rrggbb")),
        };
    }
    if text == "default" {
        return Ok(Color::Reset);
    }
    text.parse()
        .map_err(|_| format!("`{text}` is neither in the palette nor a colour (0 to 255, #rrggbb, default, red, bright-red, …)"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn every_theme_loads_and_gives_each_role_a_look() {
        assert_eq!(themes().len(), BUILT_IN.len());
        for (name, _) in BUILT_IN {
            let theme = Theme::load(name).unwrap();
            assert_eq!(theme.name(), name);
            assert_eq!(theme.is_dark(), name != "light");
        }
    }

    #[test]
    fn dark_names_every_role() {
        let file = read("dark", BUILT_IN[0].1).unwrap();
        for role in Role::ALL {
            assert!(file.roles.contains_key(role.name()), "{}", role.name());
        }
    }

    #[test]
    fn mono_knows_no_colour() {
        let theme = Theme::load("mono").unwrap();
        for role in Role::ALL {
            let style = theme.style(*role);
            assert!(
                matches!(style.fg, None | Some(Color::Reset)),
                "{}",
                role.name()
            );
            assert!(
                matches!(style.bg, None | Some(Color::Reset)),
                "{}",
                role.name()
            );
        }
    }

    #[test]
    fn without_colours_the_modifiers_stay() {
        let theme = Theme::load("dark").unwrap().reduced(ColorDepth::None);
        for role in Role::ALL {
            let style = theme.style(*role);
            assert!(
                matches!(style.fg, None | Some(Color::Reset))
                    && matches!(style.bg, None | Some(Color::Reset))
            );
        }
        assert_eq!(
            theme.style(Role::Strong).add_modifier,
            Theme::load("dark")
                .unwrap()
                .style(Role::Strong)
                .add_modifier
        );
    }

    #[test]
    fn mistakes_name_file_and_key() {
        let wrong = |text: &str| Theme::parse("mine", text).unwrap_err();
        assert_eq!(
            wrong("[roles]\ntrian = 1"),
            "themes/mine.toml: roles.trian: unknown role, did you mean `train`?"
        );
        assert!(
            wrong("[roles]\ntrain = 'nocolour'")
                .starts_with("themes/mine.toml: roles.train: `nocolour` is neither")
        );
        assert!(
            wrong("[palette]\nblue = '#12'\n[roles]\ntrain = 'blue'")
                .contains("palette.blue in themes/mine.toml")
        );
        assert!(
            wrong("inherits = 'none'")
                .contains("themes/mine.toml: inherits: there is no theme `none`")
        );
        assert!(
            wrong("[roles]\ntrain = { fg = 1, modifiers = ['blink'] }")
                .contains("unknown modifier `blink`")
        );
        assert!(wrong("colour = 1").contains("themes/mine.toml"));
        assert!(wrong("[roles]\ntrain = 300").contains("expected a colour"));
    }

    #[test]
    fn a_child_changes_the_palette_of_its_parent() {
        let child =
            Theme::parse("child", "inherits = 'dark'\n[palette]\nblue = '#010203'").unwrap();
        assert_eq!(child.style(Role::Train).fg, Some(Color::Rgb(1, 2, 3)));
        assert_eq!(
            child.style(Role::Valid),
            Theme::load("dark").unwrap().style(Role::Valid)
        );
    }
}
