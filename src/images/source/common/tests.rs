#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use super::*;
use crate::limits::class_index;

fn labels(split: Split, labels: &[u16]) -> Labels {
    Labels {
        split,
        file: format!("{split:?}.bin"),
        classes: labels.to_vec(),
    }
}

#[test]
fn a_stamp_notices_name_length_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let stamp = |name: &str| {
        let mut hasher = blake3::Hasher::new();
        stamp_file(&mut hasher, name, &path.metadata().unwrap());
        hasher.finalize()
    };
    std::fs::write(&path, "1").unwrap();
    let first = stamp("a");
    assert_eq!(first, stamp("a"));
    assert_ne!(first, stamp("b"));
    let file = std::fs::File::options().append(true).open(&path).unwrap();
    let time = path.metadata().unwrap().modified().unwrap();
    file.set_modified(time + std::time::Duration::from_micros(1))
        .unwrap();
    assert_ne!(first, stamp("a"));
    std::fs::write(&path, "12").unwrap();
    file.set_modified(time).unwrap();
    assert_ne!(first, stamp("a"));
    let before_1970 = |seconds| {
        file.set_modified(UNIX_EPOCH - std::time::Duration::from_secs(seconds))
            .unwrap();
        stamp("a")
    };
    assert_ne!(before_1970(5), before_1970(6));
}

#[test]
fn class_names_are_read_without_mark_and_trailing_lines() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(listed_classes(dir.path()), Ok(None));
    let list = dir.path().join("classes.txt");
    std::fs::write(&list, "\u{feff}level\r\nup right \r\n\r\n").unwrap();
    let names = listed_classes(dir.path()).unwrap().unwrap();
    assert_eq!(names, ["level", "up right"]);
    for (bytes, words) in [
        (b"a\nb\na".to_vec(), ":3: \"a\": duplicate class name"),
        (b"a\n\nb".to_vec(), ":2: \"\": empty line"),
        (b"\xff\xfea\0".to_vec(), "not UTF-8"),
        (b"x".repeat(201), "more than 200 characters"),
        (b"a\n".repeat(4097), "4097 classes; expected at most 4096"),
        (b"a".repeat((4 << 20) + 1), "larger than 4194304 bytes"),
    ] {
        std::fs::write(&list, bytes).unwrap();
        let error = listed_classes(dir.path()).unwrap_err().0;
        assert!(
            error.contains("classes.txt") && error.contains(words),
            "{error}"
        );
    }
    std::fs::remove_file(&list).unwrap();
    std::fs::create_dir(&list).unwrap();
    let error = listed_classes(dir.path()).unwrap_err().0;
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn labels_are_joined_and_checked() {
    let train = labels(Split::Train, &[0, 1]);
    let more = labels(Split::Train, &[2]);
    let test = labels(Split::Test, &[1, 1]);
    let groups = [train.clone(), more, test];
    let (all, counts) = join_labels(&groups, 3).unwrap();
    assert_eq!(all, [0, 1, 2, 1, 1]);
    assert_eq!(
        (counts.train, counts.valid, counts.test),
        (3, None, Some(2))
    );
    assert_eq!(numbered_classes(&groups), ["0", "1", "2"]);
    let error = join_labels(&groups, 2).unwrap_err().0;
    assert!(
        error.starts_with(
            "Train.bin: label 2 of image 0 is out of range: expected 2 classes, 0 to 1"
        ),
        "{error}"
    );
    let error = join_labels(&[labels(Split::Train, &[1, 1])], 3).unwrap_err();
    assert!(
        error.0.contains("all images have the same label"),
        "{error}"
    );
    let error = join_labels(&[train, labels(Split::Valid, &[])], 3).unwrap_err();
    assert!(error.0.contains("Valid.bin: has no images"), "{error}");
}

#[test]
fn a_label_becomes_a_class_index_within_the_limits() {
    assert_eq!(class_index(4095, 3), Ok(4095));
    for value in [-1, 4096, i64::MAX] {
        let error = class_index(value, 3).unwrap_err();
        assert!(
            error.contains(&format!("label {value} of image 3")),
            "{error}"
        );
    }
}

#[test]
fn names_are_listed_in_words() {
    let names = |count: usize| -> Vec<String> { (0..count).map(|n| n.to_string()).collect() };
    assert_eq!(list_of(&names(1)), "0");
    assert_eq!(list_of(&names(2)), "0 and 1");
    assert_eq!(list_of(&names(3)), "0, 1 and 2");
    assert_eq!(plain_name("Path-MNIST_64"), "pathmnist64");
}
