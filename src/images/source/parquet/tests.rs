#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use std::fs;

use super::super::common::fixtures::{directory, fixture, put, streamed};
use super::*;
use crate::images::Item;

fn listing(dir: &Path) -> Result<Listing, String> {
    named(dir, "mine")
}

fn named(dir: &Path, name: &str) -> Result<Listing, String> {
    let options = ListOptions {
        name: name.to_owned(),
        ..ListOptions::default()
    };
    list(dir, &options).map_err(|error| error.0)
}

/// The bytes that the fixtures have as image `i`.
fn bytes(i: usize) -> Item {
    let mut bytes = format!("image {i} ").into_bytes();
    bytes.extend(vec![i as u8; i % 7]);
    Item::Encoded(bytes)
}

fn all_bytes(numbers: impl IntoIterator<Item = usize>) -> Vec<Item> {
    numbers.into_iter().map(bytes).collect()
}

#[test]
fn files_of_the_library_datasets_are_read_with_their_class_names() {
    let dir = directory(&[
        (
            "data/train-00000-of-00001.parquet",
            "parquet/datasets-train",
        ),
        ("data/test-00000-of-00001.parquet", "parquet/datasets-test"),
    ]);
    let found = recognise(dir.path()).unwrap();
    assert_eq!(found.dir, dir.path().join("data"));
    assert_eq!(found.reason, "has train-00000-of-00001.parquet");
    let listing = listing(&found.dir).unwrap();
    assert_eq!(listing.classes, ["cat", "dog", "owl"]);
    assert_eq!(listing.labels, [0, 1, 2, 0, 0, 1]);
    let counts = listing.counts;
    assert_eq!(
        (counts.train, counts.valid, counts.test),
        (4, None, Some(2))
    );
    assert_eq!(listing.format, PixelFormat::Encoded);
    let expected = [0, 1, 2, 3, 3, 4].map(|i| Item::Encoded(fixture(&format!("parquet/png-{i}"))));
    assert_eq!(streamed(&listing, 0), expected);
    assert_eq!(streamed(&listing, 5), expected[5..]);
    assert_eq!(listing.items.name(4), "test-00000-of-00001.parquet, row 0");
    assert!(listing.notes.is_empty() && listing.warnings.is_empty());
}

#[test]
fn all_compressions_and_page_versions_are_read() {
    for name in ["none", "snappy", "gzip", "zstd", "v2"] {
        let dir = directory(&[("train.parquet", &format!("parquet/{name}"))]);
        let listing = listing(dir.path()).unwrap();
        assert_eq!(listing.labels, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0], "{name}");
        for start in 0..=10 {
            assert_eq!(streamed(&listing, start), all_bytes(start..10), "{name}");
        }
    }
    let dir = directory(&[("train.parquet", "parquet/lz4")]);
    let error = listing(dir.path()).unwrap_err();
    assert!(
        error.contains("train.parquet") && error.to_lowercase().contains("lz4"),
        "{error}"
    );
}

#[test]
fn several_shards_are_read_in_order_and_sampled_from_all_parts() {
    let dir = directory(&[
        ("train-00000-of-00002.parquet", "parquet/none"),
        ("train-00001-of-00002.parquet", "parquet/second"),
    ]);
    let listing = listing(dir.path()).unwrap();
    assert_eq!(listing.labels.len(), 13);
    assert_eq!(listing.labels[10..], [2, 1, 0]);
    for start in 0..=13 {
        assert_eq!(streamed(&listing, start), all_bytes(start..13));
    }
    assert_eq!(
        listing.items.name(12),
        "train-00001-of-00002.parquet, row 2"
    );
    // Row groups begin at 0, 4, 8 and 10.
    assert_eq!(listing.items.sample(4).unwrap(), all_bytes([0, 0, 4, 8]));
    assert_eq!(listing.items.sample(1).unwrap(), all_bytes([0]));
    assert_eq!(listing.items.sample(8).unwrap().len(), 8);
    assert!(listing.items.sample(100).unwrap().len() > 20);
    assert_eq!(listing.items.sample(0).unwrap(), []);
    fs::remove_file(dir.path().join("train-00001-of-00002.parquet")).unwrap();
    let error = list(dir.path(), &ListOptions::default()).unwrap_err().0;
    assert!(
        error.contains("number 1 (00001-of-00002) is missing"),
        "{error}"
    );
}

#[test]
fn directories_of_splits_and_configurations_are_found() {
    let dir = directory(&[
        ("default/train/0000.parquet", "parquet/none"),
        ("default/validation/0000.parquet", "parquet/second"),
    ]);
    let found = recognise(dir.path()).unwrap();
    assert_eq!(found.reason, "has train/0000.parquet");
    let listing = listing(&found.dir).unwrap();
    assert_eq!((listing.counts.train, listing.counts.valid), (10, Some(3)));
    assert_eq!(listing.items.name(10), "validation/0000.parquet, row 0");
    let dir = directory(&[
        ("plain_text/train.parquet", "parquet/none"),
        ("fine/train.parquet", "parquet/cifar100"),
    ]);
    assert_eq!(
        recognise(dir.path()).unwrap().reason,
        "has Parquet files in fine and plain_text"
    );
    let error = list(dir.path(), &ListOptions::default()).unwrap_err().0;
    assert!(
        error.contains("several data sets: fine and plain_text; set data.name"),
        "{error}"
    );
    assert_eq!(named(dir.path(), "plain-text").unwrap().labels.len(), 10);
}

#[test]
fn labels_of_words_and_other_types_are_read() {
    let dir = directory(&[
        ("train.parquet", "parquet/words"),
        ("test.parquet", "parquet/words-test"),
    ]);
    let words = listing(dir.path()).unwrap();
    assert_eq!(words.classes, ["cat", "dog", "owl"]);
    assert_eq!(words.labels, [2, 0, 1, 0, 1, 2]);
    fs::write(dir.path().join("classes.txt"), "owl\ndog\ncat\n").unwrap();
    assert_eq!(listing(dir.path()).unwrap().labels, [0, 2, 1, 2, 1, 0]);
    fs::remove_file(dir.path().join("classes.txt")).unwrap();
    put(dir.path(), &[("test.parquet", "parquet/words-unknown")]);
    let error = listing(dir.path()).unwrap_err();
    assert!(
        error.contains(
            "test.parquet: label \"emu\" of row 1 is not among the classes: cat, dog and owl"
        ),
        "{error}"
    );
    let dir = directory(&[("train.parquet", "parquet/int32")]);
    assert_eq!(listing(dir.path()).unwrap().labels, [1, 0, 2, 1]);
    let dir = directory(&[("train.parquet", "parquet/required")]);
    let required = listing(dir.path()).unwrap();
    assert_eq!(required.labels, [0, 1, 1]);
    let expected = ["x", "yy", ""].map(|text| Item::Encoded(text.as_bytes().to_vec()));
    assert_eq!(streamed(&required, 0), expected);
}

#[test]
fn fine_labels_are_preferred_and_said() {
    let dir = directory(&[("train.parquet", "parquet/cifar100")]);
    let listing = listing(dir.path()).unwrap();
    assert_eq!(listing.labels, [1, 0, 2, 1]);
    assert_eq!(
        listing.notes,
        ["labels are those of the column fine_label; coarse_label is not used"]
    );
}

#[test]
fn a_split_without_labels_is_left_out_with_a_warning() {
    let dir = directory(&[
        ("train.parquet", "parquet/none"),
        ("test.parquet", "parquet/unlabelled"),
    ]);
    let found = listing(dir.path()).unwrap();
    assert_eq!(found.counts.test, None);
    let warned = found.warnings.join("\n");
    assert!(
        warned.contains("test.parquet: the split has no labels"),
        "{warned}"
    );
    assert_eq!(streamed(&found, 0).len(), 10);
    let dir = directory(&[("train.parquet", "parquet/unlabelled")]);
    let error = listing(dir.path()).unwrap_err();
    assert!(
        error.contains("label -1 of image 0 is out of range"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    for (name, words) in [
        ("null-label", "train.parquet: row 1 has no label (null)"),
        (
            "floats",
            "column label: values of the type DOUBLE; expected integers or text",
        ),
        (
            "multi-label",
            "the column label contains lists of labels: a multi-label data set",
        ),
        ("text", "the column image contains no bytes of image files"),
        (
            "no-label",
            "no column of labels among image, caption; expected label",
        ),
    ] {
        let dir = directory(&[("train.parquet", "parquet/none")]);
        // Recognised by the first file; the other is read with it.
        put(dir.path(), &[("train.parquet", &format!("parquet/{name}"))]);
        let error = listing(dir.path()).unwrap_err();
        let is_unrecognised = name == "no-label" && error.contains("expected train-00000");
        assert!(error.contains(words) || is_unrecognised, "{error}");
    }
    let dir = directory(&[("train.parquet", "parquet/null-image")]);
    let found = listing(dir.path()).unwrap();
    let mut stream = found.items.stream(0).unwrap();
    assert_eq!(stream.next(), Some(Ok(Item::Encoded(b"a".to_vec()))));
    let error = stream.next().unwrap().unwrap_err().0;
    assert!(
        error.contains("train.parquet: column image, row 1: no image (null)"),
        "{error}"
    );
    assert_eq!(stream.next(), None);
}

#[test]
fn other_files_are_not_recognised() {
    let dir = directory(&[("metadata.parquet", "parquet/no-label")]);
    assert_eq!(recognise(dir.path()), None);
    let dir = directory(&[("test.parquet", "parquet/none")]);
    assert_eq!(recognise(dir.path()), None);
    let dir = directory(&[("part-0.parquet", "parquet/none")]);
    assert!(recognise(dir.path()).is_some());
    let found = listing(dir.path()).unwrap();
    assert!(
        found.notes[0].contains("all images are training images"),
        "{:?}",
        found.notes
    );
    put(dir.path(), &[("train.parquet", "parquet/second")]);
    let found = listing(dir.path()).unwrap();
    assert_eq!(found.labels.len(), 3);
    assert!(found.notes[0].contains("left out") && found.notes[0].contains("part-0.parquet"));
}

/// No damage of a byte may panic, and an image that is read is either right or of the same file.
#[test]
fn damaged_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("train.parquet");
    for name in ["none", "snappy", "gzip", "zstd", "v2"] {
        let complete = fixture(&format!("parquet/{name}"));
        // Each byte with each change takes a minute.
        for at in (0..complete.len()).step_by(19) {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = complete.clone();
                bytes[at] ^= change;
                fs::write(&file, &bytes).unwrap();
                if let Ok(found) = listing(dir.path()) {
                    let _ = found.items.sample(3);
                    let items: Vec<_> = found.items.stream(0).unwrap().collect();
                    assert!(items.len() <= found.labels.len());
                }
            }
        }
        for length in (0..complete.len()).step_by(97) {
            fs::write(&file, &complete[..length]).unwrap();
            let error = listing(dir.path()).unwrap_err();
            assert!(
                error.contains("train.parquet: not a complete Parquet file"),
                "{error}"
            );
        }
    }
}
