#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::super::super::Item;
use super::*;
use crate::config::ClassOrder;
use crate::limits::LONGEST_NAME;

mod order;

/// A data directory with these files; a path that ends with `/` is an empty directory.
fn tree<P: AsRef<[u8]>>(paths: &[P]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for path in paths {
        add(dir.path(), path.as_ref());
    }
    dir
}

fn add(root: &Path, path: &[u8]) {
    let file = root.join(OsStr::from_bytes(path));
    if path.ends_with(b"/") {
        fs::create_dir_all(file).unwrap();
        return;
    }
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, path).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::options()
        .write(true)
        .open(file)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

fn listed(dir: &TempDir, order: ClassOrder) -> Result<Listing, DataError> {
    let options = ListOptions {
        order,
        ..ListOptions::default()
    };
    list(dir.path(), &options)
}

fn good(dir: &TempDir) -> Listing {
    listed(dir, ClassOrder::Bytes).unwrap()
}

fn error(dir: &TempDir) -> String {
    listed(dir, ClassOrder::Bytes).unwrap_err().0
}

/// Paths and labels in order.
fn images(listing: &Listing) -> Vec<(String, u16)> {
    let names = (0..listing.labels.len()).map(|index| listing.items.name(index));
    names.zip(listing.labels.iter().copied()).collect()
}

fn names(listing: &Listing) -> Vec<String> {
    images(listing).into_iter().map(|(name, _)| name).collect()
}

const SPLITS: [&str; 7] = [
    "train/cat/1.jpg",
    "train/cat/2.jpg",
    "train/dog/1.jpg",
    "train/dog/2.jpg",
    "val/dog/3.jpg",
    "test/cat/4.PNG",
    "test/dog/5.TIFF",
];

#[test]
fn splits_are_numbered_train_valid_test_and_classes_are_matched_by_name() {
    let dir = tree(&SPLITS);
    let listing = good(&dir);
    assert_eq!(listing.classes, ["cat", "dog"]);
    assert_eq!(names(&listing), SPLITS);
    assert_eq!(listing.labels, [0, 0, 1, 1, 1, 0, 1]);
    let counts = Counts {
        train: 4,
        valid: Some(1),
        test: Some(2),
    };
    assert_eq!(listing.counts, counts);
    assert_eq!(listing.format, PixelFormat::Encoded);
    assert_eq!((listing.notes, listing.warnings), (vec![], vec![]));
    let recognised = recognise::recognise(dir.path()).unwrap();
    assert_eq!(recognised.dir, dir.path());
    assert_eq!(recognised.reason, "has the splits test, train, val");
}

#[test]
fn every_word_for_a_split_is_known() {
    for train in ["train", "Training", "TRAIN"] {
        for valid in ["val", "valid", "Validation", "dev"] {
            for test in ["test", "testing", "Eval", "evaluation"] {
                let paths = [train, valid, test].map(|split| format!("{split}/a/1.png"));
                let dir = tree(&[&paths[..], &[format!("{train}/b/1.png")]].concat());
                let counts = good(&dir).counts;
                assert_eq!(
                    (counts.train, counts.valid, counts.test),
                    (2, Some(1), Some(1))
                );
            }
        }
    }
}

#[test]
fn two_directories_of_one_split_are_an_error() {
    let error = error(&tree(&[&SPLITS[..], &["valid/cat/1.jpg"]].concat()));
    assert!(
        error.contains("val and valid are both the validation split"),
        "{error}"
    );
}

#[test]
fn class_directories_without_splits_are_all_training() {
    let dir = tree(&["b/1.jpg", "a/1.jpg", "a/2.webp", "read.me", "loose.jpg"]);
    let listing = good(&dir);
    assert_eq!(names(&listing), ["a/1.jpg", "a/2.webp", "b/1.jpg"]);
    let counts = Counts {
        train: 3,
        ..Counts::default()
    };
    assert_eq!(listing.counts, counts);
    assert_eq!(
        listing.notes,
        [
            "1 file that is not an image skipped: read.me.",
            "1 class with a single training image, which stays in the training split: b."
        ]
    );
    assert_eq!(
        listing.warnings,
        [
            "The 1 image directly in the data directory, such as loose.jpg, belong to no class and are skipped."
        ]
    );
}

#[test]
fn a_class_may_have_the_name_of_a_split() {
    let listing = good(&tree(&["bus/1.jpg", "train/1.jpg", "car/1.jpg"]));
    assert_eq!(listing.classes, ["bus", "car", "train"]);
    assert_eq!(listing.warnings, [""; 0]);
    let listing = good(&tree(&["bus/1.jpg", "car/1.jpg", "test/1.jpg"]));
    assert_eq!(listing.classes, ["bus", "car", "test"]);
    assert!(
        listing.warnings[0].starts_with("Taken as a class"),
        "{:?}",
        listing.warnings
    );
}

#[test]
fn a_flat_test_directory_is_unlabelled() {
    let dir = tree(&["train/a/1.jpg", "train/b/1.jpg", "test/1.jpg", "test/2.jpg"]);
    let listing = good(&dir);
    assert_eq!(listing.counts.test, None);
    let [warning] = listing.warnings.as_slice() else {
        panic!("{:?}", listing.warnings);
    };
    let predict = format!("`epochtop predict {}`", dir.path().join("test").display());
    assert!(warning.contains("2 images directly in test"), "{warning}");
    assert!(
        warning.contains("unlabelled") && warning.contains(&predict),
        "{warning}"
    );
}

#[test]
fn layouts_that_cannot_be_used_are_explained() {
    for (paths, expected) in [
        (
            &["1.jpg", "2.jpg"][..],
            "2 images directly in the data directory, but no class directories; expected a directory of",
        ),
        (
            &["x.txt"],
            "contains neither class directories nor images; expected",
        ),
        (
            &["only/1.jpg"],
            "one class directory, only, and at least two are needed",
        ),
        (&["train/only/1.jpg"], "one class directory, only,"),
        (
            &["train/a/x.txt", "train/b/"],
            "no images in the class directories of the training split (a, b)",
        ),
        (
            &["train/1.jpg", "val/1.jpg"],
            "no class directories in train, val",
        ),
        (
            &["val/a/1.jpg", "val/b/1.jpg"],
            "val has class directories, but there is no train directory",
        ),
        (
            &["train/a/1.jpg", "train/b/1.jpg", "val/1.jpg"],
            "1 image directly in val, but no class directories",
        ),
        (
            &[
                "train/a/1.jpg",
                "train/b/1.jpg",
                "val/b/1.jpg",
                "val/z/1.jpg",
                "val/c/2.jpg",
            ],
            "the validation split has classes that the training split lacks: val/c, val/z; expected the names of the directories in train",
        ),
    ] {
        let dir = tree(paths);
        let error = error(&dir);
        assert!(
            error.starts_with(&dir.path().display().to_string()),
            "{error}"
        );
        assert!(error.contains(expected), "{error}\nexpected: {expected}");
    }
}

#[test]
fn limits_of_classes_hold() {
    let many: Vec<_> = (0..=crate::limits::MOST_CLASSES)
        .map(|i| format!("{i}/"))
        .collect();
    assert!(error(&tree(&many)).contains("4097 classes; expected at most 4096"));
    let long = format!("{}/1.jpg", "x".repeat(LONGEST_NAME + 1));
    assert!(error(&tree(&[long.as_str(), "a/1.jpg"])).contains("more than 200 characters"));
}

#[test]
fn empty_and_ignored_directories_are_reported() {
    let listing = good(&tree(&[
        "train/a/1.jpg",
        "train/a/2.jpg",
        "train/b/",
        "train/c/1.jpg",
        "train/c/2.jpg",
        "val/a/",
        "test/",
        "extra/c/1.jpg",
    ]));
    assert_eq!(listing.classes, ["a", "b", "c"]);
    assert_eq!(listing.labels, [0, 0, 2, 2]);
    assert_eq!((listing.counts.valid, listing.counts.test), (None, None));
    let [ignored, test, valid, empty] = listing.warnings.as_slice() else {
        panic!("{:?}", listing.warnings);
    };
    assert!(
        ignored.starts_with("Directories that are no split are ignored: extra."),
        "{ignored}"
    );
    assert!(
        test.starts_with("The directory test contains neither"),
        "{test}"
    );
    assert!(
        valid.contains("validation split contain no images"),
        "{valid}"
    );
    assert!(
        empty.starts_with("1 class without training images: b."),
        "{empty}"
    );
}

#[test]
fn clutter_is_skipped_and_counted() {
    let listing = good(&tree(&[
        "a/1.jpg",
        "a/2.jpg",
        "b/1.jpg",
        "b/2.jpg",
        "a/._1.jpg",
        "a/Thumbs.db",
        "b/.ipynb_checkpoints/1.jpg",
        ".git/x.jpg",
        "__MACOSX/a/1.jpg",
        ".DS_Store",
        "a/notes.txt",
        "a/labels.json",
        "b/noextension",
        "b/jpg",
    ]));
    assert_eq!(
        names(&listing),
        ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg"]
    );
    assert_eq!(
        listing.notes,
        [
            "6 hidden entries skipped, such as .DS_Store.",
            "4 files that are not images skipped, such as a/labels.json."
        ]
    );
}

#[test]
fn subdirectories_belong_to_the_class_above_them() {
    let listing = good(&tree(&["a/x/1.jpg", "a/1.jpg", "b/p/1.jpg", "b/q/r/2.jpg"]));
    assert_eq!(
        names(&listing),
        ["a/1.jpg", "a/x/1.jpg", "b/p/1.jpg", "b/q/r/2.jpg"]
    );
    assert_eq!(
        listing.notes,
        [
            "3 images in subdirectories of class directories, such as a/x/1.jpg; each belongs to the class of the upper directory."
        ]
    );
    assert!(
        listing.warnings[0].starts_with("1 class directory with images only in subdirectories: b.")
    );
}

#[test]
fn links_are_followed_and_their_place_decides_the_class() {
    let dir = tree(&[
        "data/a/1.jpg",
        "data/a/2.jpg",
        "data/b/1.jpg",
        "data/b/2.jpg",
        "far/3.jpg",
        "far/in/4.jpg",
    ]);
    let root = dir.path();
    let link = |target: &str, place: &str| symlink(root.join(target), root.join(place)).unwrap();
    link("far", "data/c");
    link("data/a/1.jpg", "data/b/0.jpg");
    link("data/a", "data/b/again");
    link("data", "data/a/loop");
    link("data/a", "data/a/self");
    link("nowhere", "data/a/gone.jpg");
    symlink("round.jpg", root.join("data/a/round.jpg")).unwrap();
    symlink("/dev/zero", root.join("data/a/zero.jpg")).unwrap();
    let listing = list(&root.join("data"), &ListOptions::default()).unwrap();
    assert_eq!(
        names(&listing),
        [
            "a/1.jpg",
            "a/2.jpg",
            "b/0.jpg",
            "b/1.jpg",
            "b/2.jpg",
            "b/again/1.jpg",
            "b/again/2.jpg",
            "c/3.jpg",
            "c/in/4.jpg"
        ]
    );
    assert_eq!(listing.labels, [0, 0, 1, 1, 1, 1, 1, 2, 2]);
    assert_eq!(
        listing.warnings,
        [
            // Links in a, and the same through b/again.
            "4 broken links skipped, such as a/gone.jpg.",
            "4 links to a directory above themselves not followed, such as a/loop."
        ]
    );
    assert_eq!(
        listing.notes[0],
        "2 files that are not images skipped, such as a/zero.jpg."
    );
}

#[cfg(target_os = "linux")]
#[test]
fn names_of_any_bytes_work_and_are_shown_escaped() {
    let dir = tree(&[
        &b"\xff/\xfe.jpg"[..],
        b"\\xff/a.jpg",
        b"new\nline/\x1b[31m.jpg",
        "ü/1.jpg".as_bytes(),
    ]);
    let listing = good(&dir);
    assert_eq!(listing.classes, [r"\x5cxff", r"new\x0aline", "ü", r"\xff"]);
    assert_eq!(listing.items.name(1), r"new\x0aline/\x1b[31m.jpg");
    for item in listing.items.stream(0).unwrap() {
        let Item::File(path) = item.unwrap() else {
            panic!("not a file");
        };
        let content = fs::read(&path).unwrap();
        assert_eq!(path, dir.path().join(OsStr::from_bytes(&content)));
    }
}

#[test]
fn unreadable_directory_is_named() {
    let dir = tree(&["a/1.jpg", "a/secret/1.jpg", "b/1.jpg"]);
    let secret = dir.path().join("a/secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser can read every directory.
    if fs::read_dir(&secret).is_err() {
        let error = error(&dir);
        assert!(error.contains("a/secret: cannot be read"), "{error}");
    }
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o755)).unwrap();
    let missing = list(&dir.path().join("missing"), &ListOptions::default()).unwrap_err();
    assert!(missing.0.contains("missing: cannot be read"), "{missing}");
}

#[test]
fn one_unpacked_directory_is_descended_into() {
    for paths in [
        &["photos/train/a/1.jpg", "photos/train/b/1.jpg"][..],
        &["photos/a/1.jpg", "photos/b/1.jpg"],
    ] {
        let dir = tree(&[paths, &["__MACOSX/x", "readme.txt"]].concat());
        let recognised = recognise::recognise(dir.path()).unwrap();
        assert_eq!(recognised.dir, dir.path().join("photos"));
        assert!(
            recognised
                .reason
                .starts_with("its only directory photos has "),
            "{}",
            recognised.reason
        );
        assert_eq!(
            list(&recognised.dir, &ListOptions::default())
                .unwrap()
                .counts
                .train,
            2
        );
    }
    let dir = tree(&["train/a/1.jpg", "train/b/1.jpg"]);
    assert_eq!(recognise::recognise(dir.path()).unwrap().dir, dir.path());
}

#[test]
fn only_directories_with_images_are_recognised() {
    for paths in [
        &["a/1.txt", "b/2.txt"][..],
        &["x/"],
        &["deep/er/than/that/goes/1.jpg"],
        &["train/a/.hidden.jpg"],
    ] {
        assert_eq!(recognise::recognise(tree(paths).path()), None, "{paths:?}");
    }
    for (paths, reason) in [
        (&["1.jpg"][..], "has images, but no class directories"),
        (&["b/1.jpg", "a/1.txt"], "has directories with images: a, b"),
    ] {
        assert_eq!(
            recognise::recognise(tree(paths).path()).unwrap().reason,
            reason
        );
    }
    assert_eq!(recognise::recognise(Path::new("/nowhere/at/all")), None);
}

#[test]
fn stream_and_sample_start_anywhere() {
    let paths: Vec<_> = (0..10).map(|i| format!("{}/{i}.jpg", i / 5)).collect();
    let dir = tree(&paths);
    let listing = good(&dir);
    let file = |i: usize| Item::File(dir.path().join(&paths[i]));
    let rest: Vec<_> = listing
        .items
        .stream(8)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rest, [file(8), file(9)]);
    assert_eq!(listing.items.stream(11).unwrap().count(), 0);
    assert_eq!(
        listing.items.sample(3).unwrap(),
        [file(0), file(3), file(6)]
    );
    assert_eq!(listing.items.sample(99).unwrap().len(), 10);
    assert_eq!(listing.items.sample(0).unwrap(), []);
}
