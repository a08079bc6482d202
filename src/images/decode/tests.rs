#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// A file made by scripts/fixtures/images.py, and what is expected of it.
#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    file: String,
    /// The first words of the message.
    error: Option<String>,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
    #[serde(default)]
    channels: u32,
    #[serde(default)]
    pixels: String,
    /// Largest difference of a level, and of the mean.
    #[serde(default)]
    tolerance: u8,
    #[serde(default)]
    mean: f64,
    #[serde(default)]
    icc: bool,
}

#[derive(Debug, Deserialize)]
struct Fixtures {
    cases: Vec<Case>,
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(&self.file).unwrap()
    }

    fn expected(&self) -> Vec<u8> {
        let packed = BASE64_STANDARD.decode(&self.pixels).unwrap();
        let mut pixels = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::ZlibDecoder::new(&packed[..]),
            &mut pixels,
        )
        .unwrap();
        pixels
    }

    /// What is wrong with the result, if anything.
    fn complaint(&self) -> Option<String> {
        let bytes = self.bytes();
        let decoded = match (decode(&bytes), &self.error) {
            (Err(found), Some(expected)) if found == *expected => return None,
            // Messages of libraries have only their beginning in the fixture.
            (Err(found), Some(expected))
                if expected.ends_with(": ") || expected.ends_with("error") =>
            {
                return (!found.starts_with(expected)).then_some(found);
            }
            (Err(found), _) => return Some(found),
            (Ok(_), Some(expected)) => return Some(format!("no error; expected {expected}")),
            (Ok(decoded), None) => decoded,
        };
        let bitmap = &decoded.bitmap;
        let shape = (bitmap.width, bitmap.height, bitmap.channels);
        if shape != (self.width, self.height, self.channels) {
            return Some(format!("has the shape {shape:?}"));
        }
        if decoded.has_icc != self.icc {
            return Some(format!("ICC profile: {}", decoded.has_icc));
        }
        let seen = header(&bytes).unwrap();
        if (seen.width, seen.height, seen.channels) != shape {
            return Some(format!("the header gives {seen:?}"));
        }
        let expected = self.expected();
        assert_eq!(expected.len(), bitmap.pixels.len(), "{}", self.name);
        let differences = bitmap
            .pixels
            .iter()
            .zip(&expected)
            .map(|(a, b)| a.abs_diff(*b));
        let most = differences.clone().max().unwrap_or(0);
        let sum: u64 = differences.map(u64::from).sum();
        let mean = sum as f64 / expected.len() as f64;
        (most > self.tolerance || mean > self.mean)
            .then(|| format!("differs by up to {most} levels, {mean:.3} in the mean"))
    }
}

fn cases() -> Vec<Case> {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/images.json"
    ));
    serde_json::from_str::<Fixtures>(text).unwrap().cases
}

#[test]
fn every_kind_of_file_gives_the_pixels_or_the_error_of_its_fixture() {
    let cases = cases();
    assert!(cases.len() > 100);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.name, case.complaint()?)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A truncated file is never an image, except that what follows the pixels may be missing.
#[test]
fn files_cut_anywhere_are_errors_or_have_all_pixels() {
    for case in cases().iter().filter(|case| case.error.is_none()) {
        let bytes = case.bytes();
        let whole = decode(&bytes).unwrap();
        for cut in 0..bytes.len() {
            if let Ok(decoded) = decode(&bytes[..cut]) {
                let same = decoded.bitmap.pixels == whole.bitmap.pixels
                    // The orientation or the ICC profile may be lost with the end.
                    || case.name.contains("behind");
                assert!(same, "{} cut at {cut} of {}", case.name, bytes.len());
            }
        }
    }
}

/// The header of the first bytes is that of the file, or they are too few.
#[test]
fn headers_of_the_first_bytes_are_those_of_the_file() {
    for case in cases().iter().filter(|case| case.error.is_none()) {
        let bytes = case.bytes();
        let whole = header(&bytes).unwrap();
        for cut in 32..bytes.len() {
            let found = peek(&bytes[..cut]);
            let is_same = matches!(found, Ok(None)) || found == Ok(Some(whole));
            assert!(
                is_same || case.name.contains("behind"),
                "{} cut at {cut}: {found:?}",
                case.name
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_files_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let cases = CASES.get_or_init(|| cases().iter().map(Case::bytes).collect());
        let mut bytes = which.get(cases).clone();
        if !bytes.is_empty() {
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if is_cut {
                bytes.truncate(cut.index(bytes.len()));
            }
        }
        let seen = header(&bytes);
        if let Ok(decoded) = decode(&bytes) {
            let bitmap = decoded.bitmap;
            let shape = (bitmap.width, bitmap.height, bitmap.channels);
            let seen = seen.unwrap();
            prop_assert_eq!(shape, (seen.width, seen.height, seen.channels));
            let count = bitmap.width * bitmap.height * bitmap.channels;
            prop_assert_eq!(bitmap.pixels.len(), count as usize);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (decode(&bytes), peek(&bytes));
    }
}

static CASES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
