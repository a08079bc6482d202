//! `[keys]`: actions and the keys bound to them, as text. The user interface defines the valid names of actions and
//! keys.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize};

/// Maps each action name to the keys that trigger it.
///
/// The default is the `[keys]` table of the compiled-in `personal.toml`. A single key may be written without brackets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Keys(pub BTreeMap<String, Vec<String>>);

impl Default for Keys {
    fn default() -> Self {
        static DOCUMENTED: LazyLock<Keys> = LazyLock::new(|| {
            // A test ensures that the compiled-in file parses, so the empty table is never used.
            toml::from_str(super::DEFAULT_TOML)
                .map_or_else(|_| Keys(BTreeMap::new()), |file: KeysOnly| file.keys)
        });
        DOCUMENTED.clone()
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bindings = BTreeMap::<String, OneOrMany>::deserialize(deserializer)?;
        Ok(Self(
            bindings
                .into_iter()
                .map(|(action, keys)| (action, keys.into()))
                .collect(),
        ))
    }
}

/// The `[keys]` table of `personal.toml`, parsed without the other sections. Parsing a complete [`super::Config`] would
/// need these keys as its default and recurse.
#[derive(Deserialize)]
struct KeysOnly {
    keys: Keys,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a key or a list of keys, as in \"space\" or [\"q\", \"ctrl-c\"]"
)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Vec<String> {
    fn from(keys: OneOrMany) -> Self {
        match keys {
            OneOrMany::One(key) => vec![key],
            OneOrMany::Many(keys) => keys,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn the_default_is_the_table_of_config_toml() {
        let keys = Keys::default().0;
        assert_eq!(keys["pause"], ["space"]);
        assert_eq!(keys["quit"], ["q", "ctrl-c"]);
        assert!(keys.len() > 30);
    }

    #[test]
    fn a_single_key_needs_no_brackets() {
        let keys: Keys = toml::from_str("pause = 'p'\nquit = ['q', 'x']").unwrap();
        assert_eq!(keys.0["pause"], ["p"]);
        assert_eq!(keys.0["quit"], ["q", "x"]);
    }
}
