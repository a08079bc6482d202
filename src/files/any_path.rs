//! Paths in JSON, also those that are not UTF-8: a string, or else the list of the bytes. For `#[serde(with = …)]`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Encoded {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&Path> for Encoded {
    fn from(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(path.as_os_str().as_bytes().to_vec()),
        }
    }
}

impl From<Encoded> for PathBuf {
    fn from(encoded: Encoded) -> Self {
        match encoded {
            Encoded::Text(text) => text.into(),
            Encoded::Bytes(bytes) => OsString::from_vec(bytes).into(),
        }
    }
}

/// Writes a path.
///
/// # Errors
/// The error of the serializer.
pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    Encoded::from(path).serialize(to)
}

/// Reads a path.
///
/// # Errors
/// If the value is neither a string nor a list of bytes.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    Encoded::deserialize(from).map(PathBuf::from)
}

/// The same for an optional path.
pub mod optional {
    use super::{Deserialize, Deserializer, Encoded, PathBuf, Serialize, Serializer};

    /// Writes a path or null.
    ///
    /// # Errors
    /// The error of the serializer.
    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(Encoded::from).serialize(to)
    }

    /// Reads a path or null.
    ///
    /// # Errors
    /// If the value is neither null, a string nor a list of bytes.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<Encoded>::deserialize(from)?.map(PathBuf::from))
    }
}

/// The JSON value of a path.
pub fn json(path: &Path) -> serde_json::Value {
    serialize(path, serde_json::value::Serializer).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn paths_that_are_not_utf8_survive_json() {
        for (bytes, written) in [(&b"/a/b"[..], "\"/a/b\""), (b"/\xe9", "[47,233]")] {
            let path = PathBuf::from(OsString::from_vec(bytes.to_vec()));
            let text = json(&path).to_string();
            assert_eq!(text, written);
            let mut reader = serde_json::Deserializer::from_str(&text);
            assert_eq!(deserialize(&mut reader).unwrap(), path);
        }
    }
}
