//! `MANIFEST.json`: what a checkpoint consists of, written last. A checkpoint without one, or unlike it, is none.

use serde::{Deserialize, Serialize};

use super::verify::Flaw;

/// The layout this program writes.
pub const FORMAT: u32 = 2;
/// No manifest is larger; a file that is, is not read.
pub(super) const LONGEST: u64 = 1 << 20;
/// No checkpoint has more files.
const FILES: usize = 64;

/// A file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the checkpoint's directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub blake3: String,
}

/// What a checkpoint is and consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout.
    pub format: u32,
    /// Name of the run.
    pub run: String,
    /// Steps its weights have seen.
    pub global_step: u64,
    /// Epoch of its weights, from 1.
    pub epoch: u32,
    /// Why it was written: `periodic`, `requested`, `final`.
    pub reason: String,
    /// Somebody asked for it: no policy removes it.
    pub pinned: bool,
    /// Milliseconds since 1970, UTC. Never compared: clocks go backwards.
    pub created_ms: u64,
    /// Validation accuracy of its weights, times a million, where it is known.
    pub valid_accuracy_ppm: Option<u32>,
    /// Its files but this one.
    pub files: Vec<Entry>,
    /// BLAKE3 of this manifest, with this field empty.
    pub blake3: String,
}

impl Manifest {
    /// As text, sealed.
    ///
    /// # Errors
    /// Never, as there is nothing in it that JSON cannot say.
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

    /// Reads a manifest and believes nothing: its seal, its version, that its names are plain ones.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, Flaw> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let damaged = |what: String| Flaw::Damaged(format!("MANIFEST.json: {what}"));
        let no = |error: serde_json::Error| damaged(error.to_string());
        let Version { format } = serde_json::from_slice(text).map_err(no)?;
        if format != FORMAT {
            return Err(Flaw::OtherFormat(format!(
                "MANIFEST.json: format {format}; this program reads format {FORMAT}"
            )));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(no)?;
        // Byte for byte: what says the same in other words was written by somebody else.
        if manifest.clone().seal().map_err(no)? != text {
            return Err(damaged("does not match its own blake3".to_owned()));
        }
        if manifest.files.len() > FILES {
            return Err(damaged(format!(
                "{} files; a checkpoint has at most {FILES}",
                manifest.files.len()
            )));
        }
        match manifest.files.iter().find(|file| !is_plain(&file.name)) {
            Some(file) => Err(damaged(format!("{:?} is no plain file name", file.name))),
            None => Ok(manifest),
        }
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files
            .iter()
            .fold(0, |sum, file| sum.saturating_add(file.bytes))
    }
}

/// A name that leads nowhere else.
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
            files: vec![Entry {
                name: name.to_owned(),
                bytes: 3,
                blake3: "00".to_owned(),
            }],
            blake3: String::new(),
        }
    }

    #[test]
    fn what_was_sealed_is_read_and_what_was_changed_is_not() {
        let text = manifest("model.safetensors").seal().unwrap();
        assert_eq!(Manifest::parse(&text).unwrap().global_step, 7);
        let changed = String::from_utf8(text)
            .unwrap()
            .replace("\"bytes\": 3", "\"bytes\": 4");
        let error = Manifest::parse(changed.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("own blake3"), "{error}");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
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
    fn a_newer_layout_is_named_before_anything_else_is_believed() {
        let error = Manifest::parse(b"{\"format\": 9, \"files\": 1}").unwrap_err();
        assert!(
            matches!(&error, Flaw::OtherFormat(what) if what.contains("format 9")),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Manifest::parse(&text).is_err());
        }
    }
}
