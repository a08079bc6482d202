//! The order of classes and files, and stamps.

use std::fs::{self, File};
use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use super::{SPLITS, good, images, listed, tree};
use crate::config::ClassOrder;
use order::compare;

#[test]
fn natural_order_compares_numbers_and_ignores_case() {
    let sorted = |mut names: Vec<&'static str>, order| {
        names.sort_by(|a, b| compare(order, a.as_bytes(), b.as_bytes()));
        names
    };
    let names = vec![
        "10", "9", "b1", "B", "a", "a10", "A9", "a09x", "a9b2", "a9b10", "", "a 1", "Z", "é",
    ];
    // sorted(names, key=natural_key) of timm 1.0.31, see scripts/fixtures/folders.py.
    assert_eq!(
        sorted(names.clone(), ClassOrder::Natural),
        [
            "", "9", "10", "a", "A9", "a9b2", "a9b10", "a09x", "a10", "a 1", "B", "b1", "Z", "é"
        ]
    );
    assert_eq!(
        sorted(names, ClassOrder::Bytes),
        [
            "", "10", "9", "A9", "B", "Z", "a", "a 1", "a09x", "a10", "a9b10", "a9b2", "b1", "é"
        ]
    );
    let long = ["1".repeat(50), "2".repeat(49)];
    assert!(compare(ClassOrder::Natural, long[0].as_bytes(), long[1].as_bytes()).is_gt());
}

/// Reference: `scripts/fixtures/folders.py`, with torchvision's `ImageFolder` and timm's `ReaderImageFolder`.
#[test]
fn order_equals_torchvision_and_timm() {
    #[derive(serde::Deserialize)]
    struct Expected {
        classes: Vec<String>,
        images: Vec<(String, u16)>,
    }
    let text = include_str!("../../../../../tests/fixtures/folders.json");
    let trees: Vec<HashMap<String, Expected>> = serde_json::from_str(text).unwrap();
    assert_eq!(trees.len(), 40);
    for expected in trees {
        let paths = expected["timm"]
            .images
            .iter()
            .map(|(path, _)| path.as_str());
        let dir = tree(&paths.collect::<Vec<_>>());
        for (library, order) in [
            ("torchvision", ClassOrder::Bytes),
            ("timm", ClassOrder::Natural),
        ] {
            let listing = listed(&dir, order).unwrap();
            let expected = &expected[library];
            assert_eq!(listing.classes, expected.classes, "{library}");
            assert_eq!(images(&listing), expected.images, "{library}");
        }
    }
}

/// Every change by which the pixels or labels of a source can differ changes the stamp.
#[test]
fn stamp_changes_with_names_sizes_and_times() {
    let dir = tree(&SPLITS);
    let stamp = || good(&dir).stamp;
    let first = stamp();
    assert_eq!(stamp(), first);
    let path = dir.path().join("val/dog/3.jpg");
    let file = File::options().append(true).open(&path).unwrap();
    let before = file.metadata().unwrap().modified().unwrap();
    file.set_modified(before + Duration::from_nanos(1)).unwrap();
    let later = stamp();
    assert_ne!(later, first);
    file.set_modified(before).unwrap();
    assert_eq!(stamp(), first);
    std::io::Write::write_all(&mut &file, b"x").unwrap();
    file.set_modified(before).unwrap();
    let longer = stamp();
    assert_ne!(longer, first);
    file.set_len(13).unwrap();
    file.set_modified(before).unwrap();
    assert_eq!(stamp(), first);
    fs::rename(&path, dir.path().join("val/dog/4.jpg")).unwrap();
    assert_ne!(stamp(), first);
    fs::rename(dir.path().join("val/dog/4.jpg"), &path).unwrap();
    fs::create_dir(dir.path().join("train/eel")).unwrap();
    assert_ne!(stamp(), first);
    fs::rename(dir.path().join("train/eel"), dir.path().join("train/.eel")).unwrap();
    assert_eq!(stamp(), first);
    fs::rename(dir.path().join("val"), dir.path().join("test2")).unwrap();
    assert_ne!(stamp(), first);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn listing_does_not_depend_on_the_order_of_creation(
        (paths, shuffled) in prop::collection::btree_set("[ab0-3-]{1,3}(/[a-c0-2-]{1,2}){0,2}/[a-cA-C0-9]{1,3}\\.jpg", 2..20)
            .prop_map(Vec::from_iter)
            .prop_flat_map(|paths| (Just(paths.clone()), Just(paths).prop_shuffle())),
        natural in any::<bool>(),
    ) {
        let order = if natural { ClassOrder::Natural } else { ClassOrder::Bytes };
        let listed = [paths, shuffled].map(|paths| listed(&tree(&paths), order));
        match listed {
            [Ok(a), Ok(b)] => {
                prop_assert_eq!(a.stamp, b.stamp);
                prop_assert_eq!(images(&a), images(&b));
                prop_assert_eq!((a.notes, a.warnings), (b.notes, b.warnings));
            }
            [a, b] => prop_assert!(a.is_err() && b.is_err()),
        }
    }

    #[test]
    fn names_are_never_shown_alike(a in prop::collection::vec(any::<u8>(), 0..4), b in prop::collection::vec(any::<u8>(), 0..4)) {
        prop_assert_eq!(a == b, shown(&a) == shown(&b));
        prop_assert!(!shown(&a).contains(char::is_control));
    }
}
