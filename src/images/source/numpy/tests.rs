#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use std::fs;

use super::super::common::fixtures::{directory, fixture, images, put, streamed};
use super::*;

const GREY: (u32, u32, u32) = (1, 5, 6);
const COLOUR: (u32, u32, u32) = (3, 5, 6);

fn listing(dir: &Path) -> Result<Listing, String> {
    list(dir, &ListOptions::default()).map_err(|error| error.0)
}

#[test]
fn medmnist_is_read_stored_and_deflated() {
    for name in ["numpy/medmnist.npz", "numpy/deflated.npz"] {
        let dir = directory(&[("bloodmnist.npz", name)]);
        let found = recognise(dir.path()).unwrap();
        assert_eq!(found.reason, "has bloodmnist.npz");
        let listing = listing(&found.dir).unwrap();
        assert_eq!(listing.classes, ["0", "1", "2"]);
        assert_eq!(listing.labels, [1, 0, 2, 1, 1, 0, 0, 2, 1]);
        let counts = listing.counts;
        assert_eq!(
            (counts.train, counts.valid, counts.test),
            (4, Some(2), Some(3))
        );
        assert_eq!(listing.format, PixelFormat::Raw(1, 5, 6));
        let all = images(&[0, 1, 2, 3, 0, 1, 1, 2, 3], GREY);
        for start in 0..=all.len() {
            assert_eq!(streamed(&listing, start), all[start..], "{name}");
        }
        assert_eq!(listing.items.sample(5).unwrap(), all[..5]);
        assert_eq!(
            listing.items.name(5),
            "val_images in bloodmnist.npz, image 1"
        );
        assert!(listing.notes.is_empty() && listing.warnings.is_empty());
        fs::write(dir.path().join("classes.txt"), "a\nb\nc\n").unwrap();
        assert_eq!(
            list(dir.path(), &ListOptions::default()).unwrap().classes,
            ["a", "b", "c"]
        );
    }
}

#[test]
fn the_names_of_keras_are_read() {
    let dir = directory(&[("mnist.npz", "numpy/keras.npz")]);
    let listing = listing(dir.path()).unwrap();
    assert_eq!(listing.labels, [1, 0, 2, 1, 0, 2, 1]);
    assert_eq!((listing.counts.valid, listing.counts.test), (None, Some(3)));
    assert_eq!(streamed(&listing, 0), images(&[0, 1, 2, 3, 1, 2, 3], GREY));
}

#[test]
fn all_layouts_and_orders_are_the_same_images() {
    for (name, shape) in [
        ("colour-last", COLOUR),
        ("colour-first", COLOUR),
        ("one-channel", GREY),
        ("fortran-colour-last", COLOUR),
        ("fortran-colour-first", COLOUR),
        ("fortran-grey", GREY),
    ] {
        let dir = directory(&[("a.npz", &format!("numpy/{name}.npz"))]);
        let listing = listing(dir.path()).unwrap();
        assert_eq!(
            streamed(&listing, 0),
            images(&[0, 1, 2, 3], shape),
            "{name}"
        );
        assert_eq!(streamed(&listing, 3), images(&[3], shape), "{name}");
        assert_eq!(listing.counts.test, None);
    }
}

#[test]
fn pairs_of_npy_files_are_read() {
    for (images_name, labels_name) in [
        ("train_images.npy", "train_labels.npy"),
        ("X_train.npy", "y_train.npy"),
        ("images.npy", "labels.npy"),
    ] {
        let dir = directory(&[
            (images_name, "numpy/images.npy"),
            (labels_name, "numpy/labels-<i8.npy"),
            ("other.npy", "numpy/labels-objects.npy"),
        ]);
        let found = recognise(dir.path()).unwrap();
        assert_eq!(found.reason, format!("has {images_name}"));
        let listing = listing(dir.path()).unwrap();
        assert_eq!(listing.labels, [1, 0, 2, 1]);
        assert_eq!(streamed(&listing, 1), images(&[1, 2, 3], GREY));
        assert_eq!(listing.items.name(2), format!("{images_name}, image 2"));
    }
    for name in ["colour-last", "colour-first"] {
        let dir = directory(&[
            ("images.npy", &format!("numpy/fortran-{name}.npy")),
            ("labels.npy", "numpy/labels-|u1.npy"),
        ]);
        let listing = listing(dir.path()).unwrap();
        assert_eq!(streamed(&listing, 0), images(&[0, 1, 2, 3], COLOUR));
    }
}

#[test]
fn labels_of_all_integer_types_are_read() {
    for size in ["1", "2", "4", "8"] {
        for kind in ["<i", ">i", "<u", ">u"] {
            let kind = if size == "1" {
                kind.replace(['<', '>'], "|")
            } else {
                kind.to_owned()
            };
            let dir = directory(&[
                ("images.npy", "numpy/images.npy"),
                ("labels.npy", &format!("numpy/labels-{kind}{size}.npy")),
            ]);
            assert_eq!(listing(dir.path()).unwrap().labels, [1, 0, 2, 1]);
        }
    }
}

#[test]
fn other_arrays_are_refused_in_words() {
    for (images_name, labels_name, words) in [
        (
            "images",
            "labels-<f4",
            "labels.npy: labels of 32-bit floats; expected integers",
        ),
        (
            "images",
            "labels-|b1",
            "labels of booleans; expected integers",
        ),
        ("images", "labels-<U1", "labels of text; expected integers"),
        (
            "images",
            "labels-objects",
            "labels of pickled objects; expected integers",
        ),
        (
            "images",
            "labels-records",
            "labels of records; expected integers",
        ),
        (
            "images",
            "labels-one-hot",
            "3 columns are a multi-label or one-hot data set",
        ),
        (
            "images",
            "labels-14",
            "14 columns are a multi-label or one-hot data set",
        ),
        (
            "images",
            "labels-negative",
            "labels.npy: label -1 of image 2 is out of range",
        ),
        (
            "images-<f4",
            "labels-<i8",
            "images.npy: images of 32-bit floats; expected bytes (uint8); floats of 0 to 1",
        ),
        ("images-<f8", "labels-<i8", "images of 64-bit floats"),
        (
            "images-|b1",
            "labels-<i8",
            "images of booleans; expected bytes",
        ),
        (
            "images-<c8",
            "labels-<i8",
            "images of 64-bit complex numbers",
        ),
        (
            "images-<u2",
            "labels-<i8",
            "images of unsigned 16-bit integers; expected bytes",
        ),
        (
            "images-flat",
            "labels-<i8",
            "images of the shape 4×30: flattened",
        ),
        (
            "images-4",
            "labels-<i8",
            "images of the shape 4×5×6×4; expected N×H×W",
        ),
        ("labels-<i8", "images", "images of 64-bit integers"),
    ] {
        let dir = directory(&[
            ("images.npy", &format!("numpy/{images_name}.npy")),
            ("labels.npy", &format!("numpy/{labels_name}.npy")),
        ]);
        let error = listing(dir.path()).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn an_ambiguous_shape_is_read_with_channels_last_and_said() {
    let dir = directory(&[
        ("images.npy", "numpy/images-ambiguous.npy"),
        ("labels.npy", "numpy/labels-<i8.npy"),
    ]);
    let listing = listing(dir.path()).unwrap();
    assert_eq!(listing.format, PixelFormat::Raw(1, 3, 6));
    let notes = listing.notes.join("\n");
    assert!(
        notes.contains("the shape 4×3×6×1 is read as N×H×W×C"),
        "{notes}"
    );
    assert_eq!(streamed(&listing, 0), images(&[0, 1, 2, 3], (1, 3, 6)));
}

#[test]
fn truncated_files_are_named() {
    let dir = directory(&[("labels.npy", "numpy/labels-<i8.npy")]);
    let complete = fixture("numpy/images.npy");
    for (bytes, words) in [
        (
            &complete[..complete.len() - 7],
            "images.npy: truncated: the shape 4×5×6 requires 248 bytes, the array has 241",
        ),
        (&complete[..50], "images.npy: ends inside its header"),
        (
            &[complete.as_slice(), b"x"].concat(),
            "images.npy: too long",
        ),
        (b"", "images.npy: ends inside its header"),
        (b"PK\x03\x04PK\x03\x04", "images.npy: not an .npy array"),
    ] {
        fs::write(dir.path().join("images.npy"), bytes).unwrap();
        let error = listing(dir.path()).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    for name in ["numpy/medmnist.npz", "numpy/deflated.npz"] {
        let dir = tempfile::tempdir().unwrap();
        let complete = fixture(name);
        for length in (0..complete.len()).step_by(61) {
            fs::write(dir.path().join("a.npz"), &complete[..length]).unwrap();
            assert!(recognise(dir.path()).is_some(), "{length}");
            let error = listing(dir.path()).unwrap_err();
            assert!(error.contains("a.npz: not a complete .npz file"), "{error}");
        }
    }
}

/// A changed byte in the pixels is found by the checksum of the member, in the labels already when they are listed.
#[test]
fn damage_in_a_member_is_found() {
    for name in [
        "numpy/medmnist.npz",
        "numpy/deflated.npz",
        "numpy/fortran-grey.npz",
    ] {
        let complete = fixture(name);
        let dir = tempfile::tempdir().unwrap();
        let mut found = 0;
        for at in 0..complete.len() {
            let mut bytes = complete.clone();
            bytes[at] ^= 0x10;
            fs::write(dir.path().join("a.npz"), &bytes).unwrap();
            let Ok(listing) = listing(dir.path()) else {
                found += 1;
                continue;
            };
            let stream = listing.items.stream(0);
            let read = stream.and_then(Iterator::collect::<Result<Vec<_>, _>>);
            match read {
                Err(error) => {
                    assert!(error.0.contains("a.npz"), "{error}");
                    found += 1;
                }
                // Times and other parts of the ZIP headers that no pixel depends on, and arrays whose names changed.
                Ok(items) => {
                    let all = if name.contains("fortran") {
                        images(&[0, 1, 2, 3], GREY)
                    } else {
                        images(&[0, 1, 2, 3, 0, 1, 1, 2, 3], GREY)
                    };
                    let is_part = items.iter().all(|item| all.contains(item));
                    assert!(is_part, "byte {at} of {name}");
                }
            }
        }
        assert!(found > complete.len() / 3, "{found} of {}", complete.len());
    }
}

#[test]
fn of_several_archives_data_name_chooses() {
    let dir = directory(&[
        ("pathmnist.npz", "numpy/medmnist.npz"),
        ("pathmnist_64.npz", "numpy/colour-last.npz"),
    ]);
    let found = recognise(dir.path()).unwrap();
    assert_eq!(found.reason, "has pathmnist.npz and pathmnist_64.npz");
    let error = listing(dir.path()).unwrap_err();
    assert!(
        error.contains("several data sets: pathmnist and pathmnist_64; set data.name"),
        "{error}"
    );
    for (name, format) in [
        ("PathMNIST", PixelFormat::Raw(1, 5, 6)),
        ("pathmnist-64", PixelFormat::Raw(3, 5, 6)),
    ] {
        let options = ListOptions {
            name: name.to_owned(),
            ..ListOptions::default()
        };
        assert_eq!(list(dir.path(), &options).unwrap().format, format);
    }
}

#[test]
fn an_array_without_its_partner_or_of_another_length_is_named() {
    let dir = directory(&[("train_images.npy", "numpy/images.npy")]);
    let error = listing(dir.path()).unwrap_err();
    assert!(error.contains("train_images.npy has no labels"), "{error}");
    put(
        dir.path(),
        &[
            ("train_labels.npy", "numpy/labels-<i8.npy"),
            ("dev_images.npy", "numpy/images-ambiguous.npy"),
            ("dev_labels.npy", "numpy/labels-<i8.npy"),
        ],
    );
    let error = listing(dir.path()).unwrap_err();
    assert!(
        error.contains("dev_images.npy: image shape (1, 3, 6)"),
        "{error}"
    );
    put(dir.path(), &[("val_images.npy", "numpy/images.npy")]);
    let error = listing(dir.path()).unwrap_err();
    assert!(error.contains("mean the same: remove one"), "{error}");
    let dir = directory(&[
        ("images.npy", "numpy/images.npy"),
        ("labels.npy", "cifar/protocol4"),
    ]);
    assert!(
        listing(dir.path())
            .unwrap_err()
            .contains("labels.npy: not an .npy array")
    );
}

#[test]
fn other_files_are_not_recognised() {
    let dir = directory(&[("predictions.npy", "numpy/labels-<i8.npy")]);
    assert_eq!(recognise(dir.path()), None);
    assert!(
        listing(dir.path())
            .unwrap_err()
            .contains("expected an .npz file")
    );
    assert_eq!(role("train_images"), Some((Split::Train, Role::Images)));
    assert_eq!(role("X_test"), Some((Split::Test, Role::Images)));
    assert_eq!(role("dev_labels"), Some((Split::Valid, Role::Labels)));
    for name in [
        "x",
        "y",
        "train",
        "train_data",
        "x_",
        "_images",
        "images_train_2",
    ] {
        assert_eq!(role(name), None, "{name}");
    }
}
