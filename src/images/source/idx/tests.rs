#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use std::fs;
use std::io::Write;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::common::fixtures::{image, images, streamed};
use super::*;

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";
const SHAPE: (u32, u32, u32) = (1, 5, 6);

/// The bytes of an IDX file of `u8` values.
fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// The pixels of images with these numbers in the order (image, channel, row, column).
fn pixels(numbers: &[u32], (channels, height, width): (u32, u32, u32)) -> Vec<u8> {
    let mut bytes = Vec::new();
    for i in numbers {
        for c in 0..channels {
            for y in 0..height {
                bytes.extend((0..width).map(|x| (37 * i + 85 * c + 7 * y + 3 * x) as u8));
            }
        }
    }
    bytes
}

fn write(dir: &Path, prefix: &str, labels: &[u8]) {
    fs::create_dir_all(dir).unwrap();
    let count = labels.len() as u32;
    let numbers: Vec<u32> = (0..count).collect();
    let images = idx(&[count, 5, 6], &pixels(&numbers, SHAPE));
    fs::write(dir.join(format!("{prefix}-images-idx3-ubyte")), images).unwrap();
    let labels = idx(&[count], labels);
    fs::write(dir.join(format!("{prefix}-labels-idx1-ubyte")), labels).unwrap();
}

fn mnist() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "train", &[0, 2, 1, 2]);
    write(dir.path(), "t10k", &[1, 0]);
    dir
}

fn named(dir: &Path, name: &str) -> Result<Listing, String> {
    let options = ListOptions {
        name: name.to_owned(),
        ..ListOptions::default()
    };
    list(dir, &options).map_err(|error| error.0)
}

fn listing(dir: &Path) -> Result<Listing, String> {
    named(dir, "mine")
}

#[test]
fn the_files_of_mnist_are_read_plain_and_compressed() {
    let dir = mnist();
    let known = listing(dir.path()).unwrap();
    for compressed in [false, true] {
        if compressed {
            for entry in fs::read_dir(dir.path()).unwrap() {
                let path = entry.unwrap().path();
                let packed = gz(&fs::read(&path).unwrap());
                fs::write(
                    path.with_file_name(format!("{}.gz", file_name(&path))),
                    packed,
                )
                .unwrap();
                fs::remove_file(path).unwrap();
            }
        }
        let found = recognise(dir.path()).unwrap();
        let extension = if compressed { ".gz" } else { "" };
        assert_eq!(found.reason, format!("has {IMAGES}{extension}"));
        let listing = listing(&found.dir).unwrap();
        assert_eq!(listing.classes, ["0", "1", "2"]);
        assert_eq!(listing.labels, [0, 2, 1, 2, 1, 0]);
        assert_eq!((listing.counts.train, listing.counts.test), (4, Some(2)));
        assert_eq!(listing.format, PixelFormat::Raw(1, 5, 6));
        let all = images(&[0, 1, 2, 3, 0, 1], SHAPE);
        for start in 0..=6 {
            assert_eq!(streamed(&listing, start), all[start..]);
        }
        assert_eq!(listing.legacy_fingerprint, known.legacy_fingerprint);
        assert_eq!(
            listing.items.name(5),
            format!("t10k-images-idx3-ubyte{extension}, image 1")
        );
    }
}

/// The fingerprint in old checkpoints: shapes as `u64` and values of the four files, in BLAKE3.
#[test]
fn the_legacy_fingerprint_is_that_of_earlier_versions() {
    let dir = mnist();
    let mut hasher = blake3::Hasher::new();
    for (dims, data) in [
        (vec![4_u64, 5, 6], pixels(&[0, 1, 2, 3], SHAPE)),
        (vec![4], vec![0, 2, 1, 2]),
        (vec![2, 5, 6], pixels(&[0, 1], SHAPE)),
        (vec![2], vec![1, 0]),
    ] {
        dims.iter().for_each(|dim| {
            hasher.update(&dim.to_le_bytes());
        });
        hasher.update(&data);
    }
    let expected = hasher.finalize().to_hex().to_string();
    assert_eq!(
        listing(dir.path()).unwrap().legacy_fingerprint,
        Some(expected)
    );
}

#[test]
fn images_of_three_channels_are_turned_to_channels_last() {
    let dir = mnist();
    let shape = (3, 4, 5);
    fs::write(
        dir.path().join(IMAGES),
        idx(&[4, 3, 4, 5], &pixels(&[0, 1, 2, 3], shape)),
    )
    .unwrap();
    let error = listing(dir.path()).unwrap_err();
    assert!(
        error.contains("t10k-images-idx3-ubyte: image shape (1, 5, 6) differs from"),
        "{error}"
    );
    fs::remove_file(dir.path().join("t10k-images-idx3-ubyte")).unwrap();
    let error = listing(dir.path()).unwrap_err();
    assert!(error.contains("lacks t10k-images-idx3-ubyte (or t10k-images-idx3-ubyte.gz), which belongs to t10k-labels-idx1-ubyte"), "{error}");
    fs::remove_file(dir.path().join("t10k-labels-idx1-ubyte")).unwrap();
    let listing = listing(dir.path()).unwrap();
    assert_eq!(listing.counts.test, None);
    assert_eq!(listing.legacy_fingerprint, None);
    assert_eq!(streamed(&listing, 0), images(&[0, 1, 2, 3], shape));
}

#[test]
fn damaged_and_mismatched_files_are_named() {
    let header_and = |dims: &[u32], data: &[u8]| idx(dims, data);
    let floats = [&[0, 0, 13, 3][..], &[0, 0, 0, 1].repeat(3), &[0; 4]].concat();
    for (name, bytes, words) in [
        (
            IMAGES,
            header_and(&[4, 5, 6], &[0; 119]),
            "truncated: the header [4, 5, 6] requires 120 bytes of data, the file has 119",
        ),
        (IMAGES, header_and(&[4, 5, 6], &[0; 121]), "too long"),
        (IMAGES, header_and(&[0, 5, 6], &[]), "is empty"),
        (
            IMAGES,
            header_and(&[4], &[0; 4]),
            "contains labels, expected images",
        ),
        (IMAGES, floats, "type 0x0d (32-bit floats); expected 0x08"),
        (
            IMAGES,
            header_and(&[2, 8, 8, 3], &[0; 384]),
            "the channels seem to be last (N×H×W×3)",
        ),
        (
            IMAGES,
            header_and(&[3, 5, 6], &[0; 90]),
            "has 3 images, but",
        ),
        (
            IMAGES,
            b"\x1f\x8b\x08\x00garbage".to_vec(),
            "damaged gzip data after 0 bytes",
        ),
        (
            IMAGES,
            gz(&header_and(&[4, 5, 6], &[0; 120]))[..30].to_vec(),
            "damaged gzip data after",
        ),
        (
            LABELS,
            header_and(&[4, 1, 1], &[0; 4]),
            "contains images, expected labels",
        ),
        (
            LABELS,
            header_and(&[4], &[1; 4]),
            "all images have the same label",
        ),
        (
            "t10k-labels-idx1-ubyte",
            header_and(&[2], &[0, 3]),
            "label 3 of image 1 is out of range: expected 3 classes, 0 to 2",
        ),
    ] {
        let dir = mnist();
        fs::write(dir.path().join(name), bytes).unwrap();
        let error = listing(dir.path()).unwrap_err();
        assert!(error.contains(name) && error.contains(words), "{error}");
    }
}

#[test]
fn of_a_plain_and_a_compressed_file_the_newer_is_used_and_a_difference_is_said() {
    let dir = mnist();
    let known = listing(dir.path()).unwrap();
    let plain = dir.path().join(IMAGES);
    let packed = dir.path().join(format!("{IMAGES}.gz"));
    let set_age = |path: &Path, seconds: u64| {
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
            .unwrap();
    };
    let bytes = fs::read(&plain).unwrap();
    // The same contents: no warning, whichever is newer, also in several gzip members.
    let members = [gz(&bytes[..40]), gz(&bytes[40..])].concat();
    for contents in [gz(&bytes), members] {
        fs::write(&packed, contents).unwrap();
        for age in [10, 30] {
            set_age(&plain, 20);
            set_age(&packed, age);
            let listing = listing(dir.path()).unwrap();
            assert_eq!(listing.warnings, Vec::<String>::new());
            assert_eq!(listing.legacy_fingerprint, known.legacy_fingerprint);
        }
    }
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&packed, gz(&other)).unwrap();
    for (age, used, is_known) in [
        (10, format!("{IMAGES}.gz"), false),
        (30, IMAGES.to_owned(), true),
    ] {
        set_age(&packed, age);
        let listing = listing(dir.path()).unwrap();
        assert_eq!(
            listing.legacy_fingerprint == known.legacy_fingerprint,
            is_known
        );
        assert_eq!(streamed(&listing, 3)[0] == image(3, SHAPE), is_known);
        let warned = listing.warnings.join("\n");
        assert!(
            warned.contains(&format!("using {used}, which is newer")),
            "{warned}"
        );
    }
}

/// QMNIST: eight columns of 32-bit integers for each image.
#[test]
fn qmnist_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("QMNIST/raw");
    write(&raw, "qmnist-train", &[0; 3]);
    let rows: Vec<u32> = [3, 0, 4]
        .iter()
        .flat_map(|label| [*label, 1, 2, 3, 4, 5, 6, 7])
        .collect();
    let values: Vec<u8> = rows.iter().flat_map(|value| value.to_be_bytes()).collect();
    let header = [0, 0, 0x0c, 2, 0, 0, 0, 3, 0, 0, 0, 8];
    fs::write(
        raw.join("qmnist-train-labels-idx2-int"),
        [&header[..], &values].concat(),
    )
    .unwrap();
    let found = recognise(dir.path()).unwrap();
    assert_eq!(
        (found.dir.as_path(), found.reason.as_str()),
        (raw.as_path(), "has qmnist-train-images-idx3-ubyte")
    );
    let listing = listing(&found.dir).unwrap();
    assert_eq!(listing.labels, [3, 0, 4]);
    assert_eq!(listing.classes.len(), 5);
    assert_eq!(streamed(&listing, 0), images(&[0, 1, 2], SHAPE));
}

/// Writes EMNIST images as they are published: each transposed.
fn emnist(dir: &Path, split: &str, labels: &[u8]) {
    write(dir, &format!("emnist-{split}-train"), labels);
    let count = labels.len() as u32;
    let mut bytes = Vec::new();
    for i in 0..count {
        for x in 0..6 {
            bytes.extend((0..5).map(|y| (37 * i + 7 * y + 3 * x) as u8));
        }
    }
    // Published images are square; these are not, so that a wrong order is noticed.
    let file = dir.join(format!("emnist-{split}-train-images-idx3-ubyte"));
    fs::write(file, idx(&[count, 6, 5], &bytes)).unwrap();
}

#[test]
fn emnist_is_turned_upright_and_letters_begin_at_0() {
    let dir = tempfile::tempdir().unwrap();
    emnist(dir.path(), "letters", &[1, 26, 3]);
    let letters = listing(dir.path()).unwrap();
    assert_eq!(letters.labels, [0, 25, 2]);
    assert_eq!(
        (letters.classes.len(), letters.classes[2].as_str()),
        (26, "Cc")
    );
    assert_eq!(letters.format, PixelFormat::Raw(1, 5, 6));
    assert_eq!(streamed(&letters, 0), images(&[0, 1, 2], SHAPE));
    assert!(
        letters.notes[0].contains("labels begin at 1"),
        "{:?}",
        letters.notes
    );
    let mapping = dir.path().join("emnist-letters-mapping.txt");
    let lines = |count: u32| -> String {
        let line = |n| format!("{n} {} {}\n", 64 + n, 96 + n);
        (1..=count).map(line).collect::<Vec<String>>().concat()
    };
    fs::write(&mapping, lines(26)).unwrap();
    assert_eq!(listing(dir.path()).unwrap().classes, letters.classes);
    for (text, words) in [
        (
            lines(20),
            "label 25 of image 1 is out of range: expected 20 classes",
        ),
        (
            "1 65 97\n3 66 98\n".to_owned(),
            "mapping.txt:2: \"3 66 98\": expected the label 2",
        ),
        ("1 65 x\n".to_owned(), "mapping.txt:1"),
        ("1\n".to_owned(), "class 0, \"\""),
    ] {
        fs::write(&mapping, text).unwrap();
        let error = listing(dir.path()).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    fs::remove_file(&mapping).unwrap();
    emnist(dir.path(), "letters", &[1, 0, 3]);
    let error = listing(dir.path()).unwrap_err();
    assert!(
        error.contains("label 0 of image 1 is out of range: expected 1 to 26"),
        "{error}"
    );
}

#[test]
fn of_several_splittings_of_emnist_data_name_chooses() {
    let dir = tempfile::tempdir().unwrap();
    for split in [
        "balanced", "byclass", "bymerge", "digits", "letters", "mnist",
    ] {
        emnist(&dir.path().join("EMNIST/raw"), split, &[1, 2, 3]);
    }
    let found = recognise(dir.path()).unwrap();
    assert_eq!(found.dir, dir.path().join("EMNIST/raw"));
    let error = listing(&found.dir).unwrap_err();
    assert!(error.contains("emnist-balanced, emnist-byclass, emnist-bymerge, emnist-digits, emnist-letters and emnist-mnist; set data.name"), "{error}");
    for (name, classes, second) in [
        ("emnist-balanced", 47, "1"),
        ("byclass", 62, "1"),
        ("ByMerge", 47, "1"),
        ("digits", 10, "1"),
        ("emnist letters", 26, "Bb"),
        ("emnist-mnist", 10, "1"),
    ] {
        let listing = named(&found.dir, name).unwrap();
        assert_eq!(
            (listing.classes.len(), listing.classes[1].as_str()),
            (classes, second),
            "{name}"
        );
    }
    assert_eq!(named(&found.dir, "balanced").unwrap().classes[46], "t");
}

/// Labels with the published checksums are those of Fashion-MNIST, whatever the directory is called; others are not, even
/// under the default name.
#[test]
fn without_data_name_other_labels_do_not_get_the_names_of_clothes() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "train", &[0, 1, 1]);
    assert_eq!(named(dir.path(), "").unwrap().classes, ["0", "1"]);
    assert_eq!(
        named(dir.path(), "fashion-mnist").unwrap().classes[1],
        "Trouser"
    );
}

#[test]
fn the_directories_of_torchvision_are_found_and_data_name_chooses() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("FashionMNIST/raw"), "train", &[0, 9, 1]);
    let found = recognise(dir.path()).unwrap();
    assert_eq!(found.dir, dir.path().join("FashionMNIST/raw"));
    assert_eq!(
        named(&found.dir, "fashion-mnist").unwrap().classes[9],
        "Ankle boot"
    );
    write(&dir.path().join("MNIST/raw"), "train", &[1, 0]);
    let found = recognise(dir.path()).unwrap();
    assert_eq!(found.dir, dir.path());
    assert_eq!(found.reason, "has the IDX files of FashionMNIST and MNIST");
    assert!(
        listing(dir.path())
            .unwrap_err()
            .contains("FashionMNIST and MNIST; set data.name")
    );
    assert_eq!(
        named(dir.path(), "fashion-mnist").unwrap().labels,
        [0, 9, 1]
    );
    assert_eq!(named(dir.path(), "mnist").unwrap().labels, [1, 0]);
    // The earlier default of data.name does not give digits the names of clothes.
    let digits = named(&dir.path().join("MNIST/raw"), "fashion-mnist").unwrap();
    assert_eq!(digits.classes, ["0", "1"]);
    // Files in the directory itself come first, as before there were others.
    write(dir.path(), "train", &[1, 0, 1, 0]);
    emnist(dir.path(), "digits", &[1, 2, 3]);
    assert_eq!(listing(dir.path()).unwrap().labels.len(), 4);
    assert_eq!(named(dir.path(), "emnist-digits").unwrap().labels.len(), 3);
    fs::write(dir.path().join("classes.txt"), "no\nyes\n").unwrap();
    assert_eq!(listing(dir.path()).unwrap().classes, ["no", "yes"]);
}

#[test]
fn a_directory_without_idx_files_is_not_recognised() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(recognise(dir.path()), None);
    assert!(
        listing(dir.path())
            .unwrap_err()
            .contains("expected train-images-idx3-ubyte")
    );
    fs::write(dir.path().join(IMAGES), idx(&[1, 1, 1], &[0])).unwrap();
    assert!(recognise(dir.path()).is_some());
    let error = listing(dir.path()).unwrap_err();
    assert!(error.contains(&format!("lacks {LABELS}")), "{error}");
}

#[test]
fn the_stamp_notices_changed_files_labels_and_classes() {
    let dir = mnist();
    let stamp = || listing(dir.path()).unwrap().stamp;
    let first = stamp();
    assert_eq!(first, stamp());
    fs::write(dir.path().join("classes.txt"), "a\nb\nc\n").unwrap();
    let second = stamp();
    assert_ne!(first, second);
    let file = fs::File::options()
        .append(true)
        .open(dir.path().join(IMAGES))
        .unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_ne!(second, stamp());
}
