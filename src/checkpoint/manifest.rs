//! `MANIFEST.json`: the list of a checkpoint's files, written last. A checkpoint is valid only if it matches its
//! manifest.

use serde::{Deserialize, Serialize};

use super::verify::VerifyError;
use crate::config::BestBy;
use crate::event::Validation;

/// Version of the format that this program reads and writes.
pub const FORMAT: u32 = 2;
/// Greatest size of a manifest in bytes; a larger file is rejected.
pub(super) const LONGEST: u64 = 1 << 20;
/// Greatest number of files in a checkpoint.
const FILES: usize = 64;

/// A file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the checkpoint's directory.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// BLAKE3 hash of its content, in hexadecimal.
    pub blake3: String,
}

/// Description of a checkpoint and list of its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// Name of the run.
    pub run: String,
    /// Training steps of its weights.
    pub global_step: u64,
    /// Epoch of its weights, from 1.
    pub epoch: u32,
    /// Why it was written: `periodic`, `requested`, `final`.
    pub reason: String,
    /// A user requested it, so the retention policy never removes it.
    pub pinned: bool,
    /// Creation time, milliseconds since 1970, UTC. For information only: clocks can be set back, so times are never
    /// compared.
    pub created_ms: u64,
    /// Validation accuracy of its weights in parts per million, if known.
    pub valid_accuracy_ppm: Option<u32>,
    /// The measures by which epochs are compared, at the end of an epoch; see [`Manifest::validation`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validated: Option<Validation>,
    /// The measure by which the best epoch was chosen when it was written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub best_by: BestBy,
    /// Its files except the manifest.
    pub files: Vec<Entry>,
    /// BLAKE3 hash of this manifest with this field empty.
    pub blake3: String,
}

impl Manifest {
    /// The manifest as JSON text, with its own hash filled in.
    ///
    /// # Errors
    /// Never in practice: every field can be represented in JSON.
    pub fn seal(mut self) -> serde_json::Result<Vec<u8>> {
        self.blake3 = self.hash()?;
        serde_json::to_vec_pretty(&self)
    }

    fn hash(&self) -> serde_json::Result<String> {
        let open = Self {
            blake3: String::new(),
            ..self.clone()
        };
        Ok(blake3::hash(&serde_json::to_vec(&open)?)
            .to_hex()
            .to_string())
    }

    /// Parses and validates a manifest: its version, its own hash, the number of files and their names.
    ///
    /// # Errors
    /// The first problem that was found.
    pub fn parse(text: &[u8]) -> Result<Self, VerifyError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let damaged = |what: String| VerifyError::Damaged(format!("MANIFEST.json: {what}"));
        let invalid = |error: serde_json::Error| damaged(error.to_string());
        let Version { format } = serde_json::from_slice(text).map_err(invalid)?;
        if format != FORMAT {
            return Err(VerifyError::OtherFormat(format!(
                "MANIFEST.json: format {format}; this program reads format {FORMAT}"
            )));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(invalid)?;
        // The text must match byte for byte: an equivalent text in another form was not written by this program.
        if manifest.clone().seal().map_err(invalid)? != text {
            return Err(damaged("does not match its own blake3".to_owned()));
        }
        if manifest.files.len() > FILES {
            return Err(damaged(format!(
                "{} files; a checkpoint has at most {FILES}",
                manifest.files.len()
            )));
        }
        match manifest.files.iter().find(|file| !is_plain(&file.name)) {
            Some(file) => Err(damaged(format!("{:?} is not a plain file name", file.name))),
            None => Ok(manifest),
        }
    }

    /// The validation of its weights, if they were validated. Manifests of version 0.1 have the accuracy only.
    pub fn validation(&self) -> Option<Validation> {
        let accuracy = || {
            Some(Validation::of_accuracy(
                f64::from(self.valid_accuracy_ppm?) / 1e6,
            ))
        };
        self.validated.or_else(accuracy)
    }

    /// Total size of all files in bytes.
    pub fn bytes(&self) -> u64 {
        self.files
            .iter()
            .fold(0, |sum, file| sum.saturating_add(file.bytes))
    }
}

/// Whether a value is the default. Such values are not written, so that a manifest keeps its hash.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_default(by: &BestBy) -> bool {
    *by == BestBy::default()
}

/// Whether a name is safe: short, without path separators, and not hidden.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use proptest::prelude::*;

    fn manifest(name: &str) -> Manifest {
        Manifest {
            format: FORMAT,
            run: "one".to_owned(),
            global_step: 7,
            epoch: 1,
            reason: "periodic".to_owned(),
            pinned: false,
            created_ms: 1,
            valid_accuracy_ppm: Some(912_000),
            validated: None,
            best_by: BestBy::Accuracy,
            files: vec![Entry {
                name: name.to_owned(),
                bytes: 3,
                blake3: "00".to_owned(),
            }],
            blake3: String::new(),
        }
    }

    #[test]
    fn sealed_manifest_parses_and_a_changed_one_is_rejected() {
        let text = manifest("model.safetensors").seal().unwrap();
        assert_eq!(Manifest::parse(&text).unwrap().global_step, 7);
        let changed = String::from_utf8(text)
            .unwrap()
            .replace("\"bytes\": 3", "\"bytes\": 4");
        let error = Manifest::parse(changed.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("own blake3"), "{error}");
    }

    #[test]
    fn names_outside_the_directory_are_rejected() {
        for name in [
            "",
            "..",
            "../x",
            "/etc/passwd",
            "a/b",
            ".hidden",
            "a\\b",
            "a\nb",
        ] {
            let text = manifest(name).seal().unwrap();
            assert!(
                Manifest::parse(&text)
                    .unwrap_err()
                    .to_string()
                    .contains("plain"),
                "{name:?}"
            );
        }
    }

    #[test]
    fn newer_format_is_reported_before_anything_else_is_parsed() {
        let error = Manifest::parse(b"{\"format\": 9, \"files\": 1}").unwrap_err();
        assert!(
            matches!(&error, VerifyError::OtherFormat(what) if what.contains("format 9")),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn invalid_text_is_an_error(text in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Manifest::parse(&text).is_err());
        }
    }
}
