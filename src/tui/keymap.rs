//! Key bindings: parses and validates `[keys]` of the configuration.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::Action;
use crate::config::Keys;

/// Names of the keys that are not written as a single character.
//
// The crate `crokey` is not used: it lower-cases names, so that `Q` would become `q`, rejects `ü` and `ctrl--`, and
// would save about 45 lines at the cost of three more crates.
const NAMED: &[(&str, KeyCode)] = &[
    ("space", KeyCode::Char(' ')),
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("backtab", KeyCode::BackTab),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
];

/// Minimum Jaro-Winkler similarity for a suggestion in an error message.
const MIN_SIMILARITY: f64 = 0.8;

/// A key with the modifiers ctrl and alt. Shift is part of the character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    code: KeyCode,
    ctrl: bool,
    alt: bool,
}

impl Key {
    /// Parses a key of `[keys]`: `q`, `space`, `ctrl-c`, `alt-x`, `f5`.
    ///
    /// # Errors
    /// A message for the user if there is no such key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut rest, mut ctrl, mut alt) = (text, false, false);
        loop {
            if let Some(after) = rest.strip_prefix("ctrl-").filter(|after| !after.is_empty()) {
                (rest, ctrl) = (after, true);
            } else if let Some(after) = rest.strip_prefix("alt-").filter(|after| !after.is_empty())
            {
                (rest, alt) = (after, true);
            } else {
                break;
            }
        }
        let code = code(rest).ok_or_else(|| unknown_key(text, rest))?;
        Ok(Self { code, ctrl, alt }.normal())
    }

    /// The key of a terminal event.
    pub fn of(event: KeyEvent) -> Self {
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        let alt = event.modifiers.contains(KeyModifiers::ALT);
        Self {
            code: event.code,
            ctrl,
            alt,
        }
        .normal()
    }

    /// Lower-cases characters with ctrl, as terminals cannot distinguish ctrl-C from ctrl-c.
    fn normal(mut self) -> Self {
        if let (KeyCode::Char(c), true) = (self.code, self.ctrl) {
            self.code = KeyCode::Char(c.to_ascii_lowercase());
        }
        self
    }

    /// Ctrl-C, which opens the quit dialog even if it is not bound.
    pub(super) fn is_interrupt(self) -> bool {
        self.ctrl && self.code == KeyCode::Char('c')
    }

    /// The key that confirms input.
    pub(super) fn is_enter(self) -> bool {
        self.code == KeyCode::Enter
    }

    /// A key that deletes the last character.
    pub(super) fn is_erase(self) -> bool {
        matches!(self.code, KeyCode::Backspace | KeyCode::Delete)
    }

    /// The character of a key without ctrl and alt.
    pub(super) fn plain(self) -> Option<char> {
        match self.code {
            KeyCode::Char(c) if !self.ctrl && !self.alt => Some(c),
            _ => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("ctrl-")?;
        }
        if self.alt {
            f.write_str("alt-")?;
        }
        match (NAMED.iter().find(|(_, code)| *code == self.code), self.code) {
            (Some((name, _)), _) => f.write_str(name),
            (None, KeyCode::Char(c)) => write!(f, "{c}"),
            (None, KeyCode::F(n)) => write!(f, "f{n}"),
            (None, other) => write!(f, "{other}"),
        }
    }
}

fn code(text: &str) -> Option<KeyCode> {
    if let Some((_, code)) = NAMED.iter().find(|(name, _)| *name == text) {
        return Some(*code);
    }
    let mut chars = text.chars();
    if let (Some(c), None) = (chars.next(), chars.next()) {
        return (!c.is_control()).then_some(KeyCode::Char(c));
    }
    let number: u8 = text.strip_prefix('f')?.parse().ok()?;
    (1..=12).contains(&number).then_some(KeyCode::F(number))
}

fn unknown_key(text: &str, rest: &str) -> String {
    let names = NAMED.iter().map(|(name, _)| *name);
    match nearest(rest, names) {
        Some(name) => format!("`{text}` is not a key, did you mean `{name}`?"),
        None => format!(
            "`{text}` is not a key: write one character, or a name such as space, enter, ctrl-c, alt-x, f5"
        ),
    }
}

fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::jaro_winkler(written, name), name))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// The key bindings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keymap {
    bindings: Vec<(Key, Action)>,
}

impl Keymap {
    /// Builds the bindings from `[keys]` of the configuration.
    ///
    /// # Errors
    /// All errors at once: pairs of the name in `[keys]` and a message.
    pub fn from_config(keys: &Keys) -> Result<Self, Vec<(String, String)>> {
        let mut bindings: Vec<(Key, Action)> = Vec::new();
        let mut errors = Vec::new();
        for (name, texts) in &keys.0 {
            let Some(action) = Action::from_name(name) else {
                errors.push((name.clone(), unknown_action(name)));
                continue;
            };
            for text in texts {
                match Key::parse(text) {
                    Err(message) => errors.push((name.clone(), message)),
                    Ok(key) => match bindings.iter().find(|(bound, _)| *bound == key) {
                        Some((_, other)) if *other != action => {
                            errors.push((
                                name.clone(),
                                format!("`{text}` is already bound to `{}`", other.name()),
                            ));
                        }
                        Some(_) => {}
                        None => bindings.push((key, action)),
                    },
                }
            }
        }
        if errors.is_empty() {
            Ok(Self { bindings })
        } else {
            Err(errors)
        }
    }

    /// The action bound to the key.
    pub fn action(&self, key: Key) -> Option<Action> {
        self.bindings
            .iter()
            .find(|(bound, _)| *bound == key)
            .map(|(_, action)| *action)
    }

    /// The keys bound to the action, in the order of the configuration.
    pub fn keys(&self, action: Action) -> impl Iterator<Item = Key> + '_ {
        self.bindings
            .iter()
            .filter(move |(_, bound)| *bound == action)
            .map(|(key, _)| *key)
    }

    /// The first key bound to the action, as text.
    pub(super) fn first(&self, action: Action) -> Option<String> {
        self.keys(action).next().map(|key| key.to_string())
    }
}

impl Default for Keymap {
    fn default() -> Self {
        // A test verifies that the default table is valid.
        Self::from_config(&Keys::default()).unwrap_or(Self {
            bindings: Vec::new(),
        })
    }
}

fn unknown_action(name: &str) -> String {
    let known: Vec<&str> = Action::all().map(Action::name).collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("unknown action, did you mean `{near}`?"),
        None => format!("unknown action, expected one of {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    fn keys(text: &str) -> Keys {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn default_binds_every_action_and_the_first_ten_pages() {
        let keymap = Keymap::from_config(&Keys::default()).unwrap();
        let unbound = |action: &Action| action.page().is_some_and(|page| page as usize >= 10);
        for action in Action::all().filter(|action| !unbound(action)) {
            assert!(keymap.keys(action).next().is_some(), "{}", action.name());
        }
        assert_eq!(
            keymap.action(Key::parse("ctrl-c").unwrap()),
            Some(Action::Quit)
        );
    }

    #[test]
    fn keys_round_trip_as_text() {
        for text in [
            "q",
            "Q",
            "space",
            "ctrl-l",
            "alt-x",
            "ctrl-alt-x",
            "f12",
            "-",
            "ctrl--",
            "?",
            "backtab",
            "ü",
        ] {
            assert_eq!(Key::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Key::parse("ctrl-C").unwrap(), Key::parse("ctrl-c").unwrap());
    }

    #[test]
    fn all_errors_are_reported_at_once() {
        let errors = Keymap::from_config(&keys(
            "pase = 'p'\nquit = 'q'\nhelp = ['q', 'hyper-x']\nzoom = 'entr'",
        ))
        .unwrap_err();
        let messages: Vec<String> = errors
            .iter()
            .map(|(key, message)| format!("{key}: {message}"))
            .collect();
        assert_eq!(messages.len(), 4, "{messages:?}");
        assert!(
            messages.contains(&"pase: unknown action, did you mean `pause`?".to_owned()),
            "{messages:?}"
        );
        assert!(
            messages.contains(&"zoom: `entr` is not a key, did you mean `enter`?".to_owned()),
            "{messages:?}"
        );
        assert!(
            messages.contains(&"quit: `q` is already bound to `help`".to_owned()),
            "{messages:?}"
        );
    }

    #[test]
    fn an_empty_list_unbinds() {
        let keymap = Keymap::from_config(&keys("quit = []")).unwrap();
        assert_eq!(keymap.keys(Action::Quit).count(), 0);
    }
}
