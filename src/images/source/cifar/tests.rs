#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use std::fs;

use super::super::common::fixtures::{directory, fixture, image, images, put, streamed};
use super::*;
use crate::images::Item;

fn listing(dir: &Path) -> Result<Listing, String> {
    list(dir, &ListOptions::default()).map_err(|error| error.0)
}

/// The error with one file of the fixtures as the only batch.
fn error_with(fixture_name: &str) -> String {
    let dir = directory(&[("data_batch_1", fixture_name)]);
    listing(dir.path()).unwrap_err()
}

/// A record of a binary file.
fn record(labels: &[u8], number: u32) -> Vec<u8> {
    let mut bytes = labels.to_vec();
    for c in 0..3 {
        for y in 0..32 {
            bytes.extend((0..32).map(|x| (37 * number + 85 * c + 7 * y + 3 * x) as u8));
        }
    }
    bytes
}

#[test]
fn pickles_of_all_protocols_are_read() {
    for name in [
        "python2",
        "protocol2",
        "protocol3",
        "protocol4",
        "protocol5",
        "text-keys",
        "labels-array2",
        "labels-numbers",
        "fortran",
        "fortran5",
    ] {
        let batch = format!("cifar/{name}");
        let dir = directory(&[
            ("data_batch_1", &batch),
            ("test_batch", "cifar/protocol4"),
            ("batches.meta", "cifar/batches.meta"),
        ]);
        let listing = listing(dir.path()).unwrap();
        assert_eq!(
            listing.classes,
            ["airplane", "automobile", "bird"],
            "{name}"
        );
        assert_eq!(listing.labels, [2, 0, 1, 2, 0, 1], "{name}");
        assert_eq!((listing.counts.train, listing.counts.test), (3, Some(3)));
        assert_eq!(listing.format, PixelFormat::Raw(3, 32, 32));
        assert_eq!(
            streamed(&listing, 0),
            images(&[0, 1, 2, 0, 1, 2], SHAPE),
            "{name}"
        );
        assert_eq!(
            streamed(&listing, 1),
            images(&[1, 2, 0, 1, 2], SHAPE),
            "{name}"
        );
        assert_eq!(listing.items.name(4), "test_batch, image 1");
        let warned = listing.warnings.join("\n");
        assert!(
            warned.contains("lacks data_batch_2, data_batch_3"),
            "{warned}"
        );
    }
}

#[test]
fn fine_labels_and_names_of_cifar_100_are_used() {
    let dir = directory(&[
        ("cifar-100-python/train", "cifar/fine"),
        ("cifar-100-python/meta", "cifar/meta"),
    ]);
    let found = recognise(dir.path()).unwrap();
    assert_eq!(found.dir, dir.path().join("cifar-100-python"));
    assert_eq!(found.reason, "has train");
    let listing = listing(&found.dir).unwrap();
    assert_eq!(listing.classes, ["apple", "aquarium_fish"]);
    assert_eq!(listing.labels, [1, 1, 0]);
    assert_eq!(listing.counts.test, None);
}

/// Nothing in a pickle is executed: another function than NumPy's is an error that names it.
#[test]
fn a_pickle_that_calls_something_else_is_refused() {
    for (name, function) in [
        ("cifar/evil-system2", "posix.system"),
        ("cifar/evil-system4", "posix.system"),
        ("cifar/evil-eval", "builtins.eval"),
        ("cifar/evil-open", ".open"),
    ] {
        let error = error_with(name);
        assert!(error.contains("data_batch_1"), "{error}");
        assert!(error.contains(function), "{error}");
        assert!(error.contains("Nothing in it was executed"), "{error}");
    }
    assert!(!Path::new("EXECUTED").exists());
}

#[test]
fn other_contents_of_a_pickle_are_named() {
    for (name, words) in [
        ("cifar/floats", "64-bit floats; expected bytes (uint8)"),
        ("cifar/shape", "the shape [3, 3000]; expected N×3072"),
        ("cifar/count", "3 images, but 2 labels"),
        ("cifar/negative", "label -1 of image 1 is out of range"),
        ("cifar/meta", "has no \"data\""),
    ] {
        let error = error_with(name);
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn every_truncated_pickle_is_an_error_that_names_the_file() {
    for name in ["cifar/python2", "cifar/protocol2", "cifar/protocol5"] {
        let complete = fixture(name);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data_batch_1");
        for length in (3..complete.len()).step_by(41) {
            fs::write(&file, &complete[..length]).unwrap();
            let error = listing(dir.path()).unwrap_err();
            assert!(error.contains("data_batch_1"), "{error}");
        }
    }
}

#[test]
fn binary_files_of_cifar_10_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("cifar-10-batches-bin");
    fs::create_dir(&below).unwrap();
    for n in 1..=5_u8 {
        let records = [record(&[n], u32::from(n)), record(&[0], 9)].concat();
        fs::write(below.join(format!("data_batch_{n}.bin")), records).unwrap();
    }
    fs::write(below.join("test_batch.bin"), record(&[1], 7)).unwrap();
    fs::write(below.join("batches.meta.txt"), "a\nb\nc\nd\ne\nf\n\n").unwrap();
    let found = recognise(dir.path()).unwrap();
    assert_eq!(found.dir, below);
    assert!(
        found.reason.contains("data_batch_1.bin") && found.reason.contains("and data_batch_5.bin")
    );
    let found = listing(&below).unwrap();
    assert_eq!(found.classes, ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(found.labels, [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 1]);
    assert_eq!((found.counts.train, found.counts.test), (10, Some(1)));
    assert_eq!(streamed(&found, 8), images(&[5, 9, 7], SHAPE));
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    assert_eq!(found.items.sample(2).unwrap(), images(&[1, 9], SHAPE));
    // The same data as a pickle would be the same images; another time is another stamp.
    let file = fs::File::options()
        .append(true)
        .open(below.join("test_batch.bin"));
    let before = found.stamp;
    file.unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_ne!(listing(&below).unwrap().stamp, before);
}

#[test]
fn the_second_label_of_binary_cifar_100_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let train = [record(&[0, 5], 1), record(&[9, 0], 2)].concat();
    fs::write(dir.path().join("train.bin"), train).unwrap();
    fs::write(dir.path().join("test.bin"), record(&[3, 4], 3)).unwrap();
    let found = listing(dir.path()).unwrap();
    assert_eq!(found.labels, [5, 0, 4]);
    assert_eq!(found.classes.len(), 6);
    assert!(
        found
            .notes
            .iter()
            .any(|note| note.contains("no fine_label_names.txt"))
    );
    assert_eq!(streamed(&found, 0), images(&[1, 2, 3], SHAPE));
}

#[test]
fn a_truncated_binary_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let records = [record(&[0], 1), record(&[1], 2)].concat();
    fs::write(
        dir.path().join("data_batch_1.bin"),
        &records[..records.len() - 5],
    )
    .unwrap();
    assert!(recognise(dir.path()).is_some());
    let error = listing(dir.path()).unwrap_err();
    assert!(
        error.contains("data_batch_1.bin: truncated: 6141 bytes"),
        "{error}"
    );
}

#[test]
fn a_file_that_shrinks_after_listing_ends_the_stream_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data_batch_1.bin");
    let records = [record(&[0], 1), record(&[1], 2)].concat();
    fs::write(&file, &records).unwrap();
    let found = listing(dir.path()).unwrap();
    fs::write(&file, &records[..4000]).unwrap();
    let mut stream = found.items.stream(0).unwrap();
    assert_eq!(stream.next(), Some(Ok(image(1, SHAPE))));
    let error = stream.next().unwrap().unwrap_err().0;
    assert!(
        error.contains("data_batch_1.bin: truncated: it ends at image 1 of 2"),
        "{error}"
    );
    assert_eq!(stream.next(), None);
}

#[test]
fn of_two_data_sets_data_name_chooses() {
    let dir = directory(&[
        ("cifar-10-batches-py/data_batch_1", "cifar/protocol4"),
        ("cifar-100-python/train", "cifar/fine"),
    ]);
    assert_eq!(recognise(dir.path()).unwrap().dir, dir.path());
    let error = listing(dir.path()).unwrap_err();
    assert!(
        error.contains("set data.name to \"cifar-10\" or \"cifar-100\""),
        "{error}"
    );
    for (name, labels) in [("cifar-10", [2, 0, 1]), ("CIFAR100", [1, 1, 0])] {
        let options = ListOptions {
            name: name.to_owned(),
            ..ListOptions::default()
        };
        assert_eq!(list(dir.path(), &options).unwrap().labels, labels);
    }
}

#[test]
fn other_files_with_these_names_are_not_recognised() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("train")).unwrap();
    fs::create_dir(dir.path().join("test")).unwrap();
    assert_eq!(recognise(dir.path()), None);
    fs::write(dir.path().join("train.bin"), [0; 100]).unwrap();
    assert_eq!(recognise(dir.path()), None);
    assert!(
        listing(dir.path())
            .unwrap_err()
            .contains("expected data_batch_1.bin")
    );
    let below = directory(&[]);
    put(below.path(), &[("train", "numpy/images.npy")]);
    assert_eq!(recognise(below.path()), None);
}

#[test]
fn the_same_images_come_from_both_forms() {
    let pickled = directory(&[("data_batch_1", "cifar/protocol4")]);
    let binary = tempfile::tempdir().unwrap();
    let records = [record(&[2], 0), record(&[0], 1), record(&[1], 2)].concat();
    fs::write(binary.path().join("data_batch_1.bin"), records).unwrap();
    let [a, b] = [&pickled, &binary].map(|dir| listing(dir.path()).unwrap());
    assert_eq!(a.labels, b.labels);
    let all: Vec<Item> = streamed(&a, 0);
    assert_eq!(all, streamed(&b, 0));
}
