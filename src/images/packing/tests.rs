#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use std::sync::atomic::AtomicUsize;

use super::super::{Bitmap, PixelFormat};
use super::*;
use crate::config::Resize;

/// Images whose pixels follow from their number. Those in `broken` cannot be decoded.
#[derive(Debug, Default)]
struct Numbered {
    count: usize,
    broken: Vec<usize>,
    /// The stream ends with an error before this image.
    ends_at: Option<usize>,
    decoded: AtomicUsize,
}

impl Items for Numbered {
    fn stream(
        &self,
        start: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<Item, DataError>> + Send + '_>, DataError> {
        Ok(Box::new((start..self.count).map(|index| {
            if self.ends_at == Some(index) {
                return Err(DataError("the source is gone".to_owned()));
            }
            self.decoded.fetch_add(1, Ordering::Relaxed);
            if self.broken.contains(&index) {
                return Ok(Item::Encoded(b"no image".to_vec()));
            }
            let bitmap = Bitmap {
                width: 16,
                height: 16,
                channels: 1,
                pixels: vec![(index * 7 % 251) as u8; 256],
            };
            Ok(Item::Pixels(bitmap))
        })))
    }

    fn sample(&self, _count: usize) -> Result<Vec<Item>, DataError> {
        Ok(Vec::new())
    }

    fn name(&self, index: usize) -> String {
        format!("image {index}")
    }
}

fn listing(items: Numbered) -> Listing {
    let count = items.count;
    Listing {
        classes: vec!["a".to_owned(), "b".to_owned()],
        labels: (0..count).map(|index| (index % 2) as u16).collect(),
        counts: Counts {
            train: count - count / 4,
            valid: None,
            test: Some(count / 4),
        },
        format: PixelFormat::Encoded,
        stamp: blake3::hash(b"listing"),
        notes: Vec::new(),
        warnings: Vec::new(),
        legacy_fingerprint: None,
        items: Box::new(items),
    }
}

fn packing(listing: &Listing, on_corrupt: OnCorrupt) -> Packing<'_> {
    Packing {
        listing,
        data_dir: "/data".to_owned(),
        source: "numbers",
        target: Target {
            channels: 1,
            height: 16,
            width: 16,
            resize: Resize::Squash,
        },
        on_corrupt,
    }
}

fn check_pixels(pack: &Pack, left_out: &[usize]) {
    let size = pack.image_size();
    let mut index = 0;
    for number in (0..pack.len() + left_out.len()).filter(|number| !left_out.contains(number)) {
        let mut image = vec![0; size];
        pack.read(index, &mut image).unwrap();
        assert!(
            image.iter().all(|pixel| *pixel == (number * 7 % 251) as u8),
            "image {number}"
        );
        assert_eq!(pack.labels().get(index), Some(&((number % 2) as u16)));
        index += 1;
    }
    assert_eq!(index, pack.len());
}

fn names(dir: &Path) -> Vec<String> {
    let mut names = Dir::open(dir).unwrap().names().unwrap();
    names.sort();
    names
}

#[test]
fn images_are_packed_in_order_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = Numbered {
        count: 1000,
        broken: vec![3, 997],
        ..Numbered::default()
    };
    let listing = listing(numbers);
    let packing = packing(&listing, OnCorrupt::Skip);
    let mut last = PackProgress::default();
    let pack = packing
        .open(dir.path(), &mut |progress| last = progress)
        .unwrap();
    check_pixels(&pack, &[3, 997]);
    let counts = Counts {
        train: 749,
        valid: None,
        test: Some(249),
    };
    assert_eq!(pack.info().counts, counts);
    let skipped: Vec<&str> = pack
        .info()
        .skipped
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(skipped, ["image 3", "image 997"]);
    assert_eq!((last.done, last.total, last.skipped), (1000, 1000, 2));
    assert_eq!(names(dir.path()), [packing.file_name()]);
    let again = packing
        .open(dir.path(), &mut |_| panic!("packed again"))
        .unwrap();
    assert_eq!(again.info(), pack.info());
    assert_eq!(again.read_all().unwrap(), pack.read_all().unwrap());
}

#[test]
fn corrupt_image_is_named_and_refused_if_configured() {
    let dir = tempfile::tempdir().unwrap();
    let listing = listing(Numbered {
        count: 50,
        broken: vec![7],
        ..Numbered::default()
    });
    let error = packing(&listing, OnCorrupt::Fail)
        .open(dir.path(), &mut |_| ())
        .unwrap_err();
    assert!(error.0.starts_with("image 7: "), "{error}");
    assert!(error.0.contains("data.on_corrupt"), "{error}");
    packing(&listing, OnCorrupt::Skip)
        .open(dir.path(), &mut |_| ())
        .unwrap();
    let again = packing(&listing, OnCorrupt::Fail)
        .open(dir.path(), &mut |_| ())
        .unwrap_err();
    assert_eq!(again, error, "packed without the image meanwhile");
}

/// Interrupted at any image, packing continues with what is complete, and the result is the same file.
#[test]
fn interrupted_packing_continues_and_gives_the_same_file() {
    let complete = tempfile::tempdir().unwrap();
    let whole = listing(Numbered {
        count: 400,
        broken: vec![5],
        ..Numbered::default()
    });
    let packing_whole = packing(&whole, OnCorrupt::Skip);
    packing_whole.open(complete.path(), &mut |_| ()).unwrap();
    let expected = std::fs::read(complete.path().join(packing_whole.file_name())).unwrap();
    for ends_at in [0, 1, 6, 399] {
        let dir = tempfile::tempdir().unwrap();
        let partial = listing(Numbered {
            count: 400,
            broken: vec![5],
            ends_at: Some(ends_at),
            ..Numbered::default()
        });
        let error = packing(&partial, OnCorrupt::Skip)
            .open(dir.path(), &mut |_| ())
            .unwrap_err();
        assert_eq!(error.0, "the source is gone");
        assert_eq!(names(dir.path()).len(), 2, "part and list are kept");
        let mut first = None;
        packing_whole
            .open(dir.path(), &mut |progress| {
                first.get_or_insert(progress);
            })
            .unwrap();
        let first = first.unwrap();
        assert_eq!((first.earlier, first.done), (ends_at, ends_at));
        let found = std::fs::read(dir.path().join(packing_whole.file_name())).unwrap();
        assert!(
            found == expected,
            "other file after an interruption at {ends_at}"
        );
    }
}

/// What a kill leaves is never believed: pixels that differ from their hash, a torn line, a file that is too short.
#[test]
fn damaged_part_is_used_only_as_far_as_its_hashes_hold() {
    let whole = listing(Numbered {
        count: 100,
        ..Numbered::default()
    });
    let packing_whole = packing(&whole, OnCorrupt::Skip);
    for damage in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let partial = listing(Numbered {
            count: 100,
            ends_at: Some(60),
            ..Numbered::default()
        });
        packing(&partial, OnCorrupt::Skip)
            .open(dir.path(), &mut |_| ())
            .unwrap_err();
        let part = dir.path().join(format!("{}.part", packing_whole.key()));
        let list = dir
            .path()
            .join(format!("{}.part.list", packing_whole.key()));
        let (mut pixels, mut lines) =
            (std::fs::read(&part).unwrap(), std::fs::read(&list).unwrap());
        match damage {
            0 => *pixels.get_mut(4096 + 40 * 256).unwrap() ^= 1,
            1 => lines.truncate(lines.len() - 30),
            2 => pixels.truncate(4096 + 20 * 256 + 7),
            _ => pixels.truncate(100),
        }
        std::fs::write(&part, pixels).unwrap();
        std::fs::write(&list, lines).unwrap();
        let mut earlier = None;
        let pack = packing_whole
            .open(dir.path(), &mut |progress| {
                earlier.get_or_insert(progress.earlier);
            })
            .unwrap();
        let expected = [40, 59, 20, 0];
        assert_eq!(earlier, expected.get(damage).copied());
        check_pixels(&pack, &[]);
    }
}

#[test]
fn changed_pack_is_an_error_and_a_truncated_one_is_packed_again() {
    let dir = tempfile::tempdir().unwrap();
    let listing = listing(Numbered {
        count: 20,
        ..Numbered::default()
    });
    let packing = packing(&listing, OnCorrupt::Skip);
    let pack = packing.open(dir.path(), &mut |_| ()).unwrap();
    let path = dir.path().join(packing.file_name());
    let bytes = std::fs::read(&path).unwrap();
    let mut changed = bytes.clone();
    *changed.get_mut(4096 + 3 * 256).unwrap() ^= 1;
    std::fs::write(&path, &changed).unwrap();
    let mut image = vec![0; 256];
    let changed = Pack::open(&path).unwrap();
    changed.read(2, &mut image).unwrap();
    let error = changed.read(3, &mut image).unwrap_err();
    assert!(error.0.contains("image 3: the pixels differ"), "{error}");
    assert!(changed.read_all().is_err());
    // The file is cut while it is open: an error, and not a signal as with a memory map.
    std::fs::write(&path, bytes.get(..5000).unwrap()).unwrap();
    let error = pack.read(19, &mut image).unwrap_err();
    assert!(error.0.contains("too short"), "{error}");
    assert!(Pack::open(&path).is_err());
    let mut packed = 0;
    let again = packing
        .open(dir.path(), &mut |progress| packed = progress.done)
        .unwrap();
    assert_eq!(packed, 20);
    check_pixels(&again, &[]);
}

#[test]
fn key_depends_on_listing_and_settings() {
    let one = listing(Numbered::default());
    let mut other = listing(Numbered::default());
    other.stamp = blake3::hash(b"changed");
    let key = packing(&one, OnCorrupt::Skip).key();
    assert_eq!(packing(&one, OnCorrupt::Skip).key(), key);
    assert_ne!(packing(&other, OnCorrupt::Skip).key(), key);
    assert_eq!(
        packing(&one, OnCorrupt::Fail).key(),
        key,
        "the pixels are the same"
    );
    let mut larger = packing(&one, OnCorrupt::Skip);
    larger.target.height = 32;
    assert_ne!(larger.key(), key);
}
