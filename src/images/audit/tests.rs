#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use std::path::PathBuf;
use std::sync::Arc;

use super::super::Images;
use super::*;
use crate::event::DatasetInfo;
use crate::random::Random;

const SIDE: usize = 32;

/// A picture of smooth shapes.
fn picture(seed: u64) -> Vec<u8> {
    let mut random = Random::new(&[seed]);
    let waves: Vec<[f64; 4]> = (0..6)
        .map(|_| {
            [
                random.unit() * 9.0,
                random.unit() * 9.0,
                random.unit() * 6.3,
                30.0 * random.unit(),
            ]
        })
        .collect();
    let mut pixels = Vec::new();
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (x, y) = (x as f64 / SIDE as f64, y as f64 / SIDE as f64);
            let sum: f64 = waves
                .iter()
                .map(|[a, b, c, size]| size * (a * x + b * y + c).sin())
                .sum();
            pixels.push((128.0 + sum).clamp(0.0, 255.0) as u8);
        }
    }
    pixels
}

/// The picture with noise, as compression adds it.
fn noisy(pixels: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random::new(&[seed]);
    pixels
        .iter()
        .map(|level| {
            level
                .saturating_add(random.below(9) as u8)
                .saturating_sub(4)
        })
        .collect()
}

fn mirrored(pixels: &[u8]) -> Vec<u8> {
    pixels
        .chunks_exact(SIDE)
        .flat_map(|row| row.iter().rev().copied())
        .collect()
}

/// A dataset with these images in its three splits.
fn dataset(splits: &[Vec<Vec<u8>>; 3]) -> Dataset {
    let sizes = splits.each_ref().map(Vec::len);
    let bytes = splits.concat().concat();
    let size = SIDE * SIDE;
    let labels: Vec<u16> = (0..sizes.iter().sum::<usize>())
        .map(|n| (n % 2) as u16)
        .collect();
    let pixels = Arc::new(Pixels::Memory { bytes, size });
    let [train, valid, test] = sizes;
    let images = |range| Images::new(&pixels, range, &labels);
    Dataset {
        info: DatasetInfo {
            channels: 1,
            height: SIDE as u32,
            width: SIDE as u32,
            ..DatasetInfo::default()
        },
        train: images(0..train),
        valid: images(train..train + valid),
        test: images(train + valid..train + valid + test),
        dir: PathBuf::new(),
        format: String::new(),
        fingerprint: String::new(),
        idx_fingerprint: None,
        counts_before: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
        skipped: Vec::new(),
        pack: None,
    }
}

fn found(dataset: &Dataset) -> Vec<(Split, u32, u32, Likeness)> {
    let duplicates = duplicates(dataset, &mut |_, _, _| ()).unwrap();
    assert!(duplicates.is_complete);
    let pairs = duplicates.pairs.iter();
    pairs
        .map(|pair| {
            (
                pair.image.split,
                pair.image.number,
                pair.of.number,
                pair.likeness,
            )
        })
        .collect()
}

#[test]
fn copies_are_found_within_and_across_splits() {
    let p: Vec<Vec<u8>> = (0..8).map(picture).collect();
    let data = dataset(&[
        vec![p[0].clone(), p[1].clone(), p[2].clone(), p[0].clone()],
        vec![p[3].clone(), noisy(&p[1], 1)],
        vec![
            mirrored(&noisy(&p[2], 2)),
            p[4].clone(),
            p[3].clone(),
            p[1].clone(),
        ],
    ]);
    assert_eq!(
        found(&data),
        [
            (Split::Train, 3, 0, Likeness::Exact),
            (Split::Valid, 5, 1, Likeness::Near),
            (Split::Test, 6, 2, Likeness::Mirrored),
            (Split::Test, 8, 4, Likeness::Exact),
            (Split::Test, 9, 1, Likeness::Exact),
        ]
    );
}

#[test]
fn different_pictures_and_pale_ones_are_no_duplicates() {
    let mut pictures: Vec<Vec<u8>> = (0..200).map(picture).collect();
    // Nearly white pictures differ by less than compression does.
    for seed in 0..20 {
        pictures.push(noisy(&[250; SIDE * SIDE], seed));
    }
    assert_eq!(found(&dataset(&[pictures, Vec::new(), Vec::new()])), []);
}

#[test]
fn exact_copies_across_splits_are_a_warning_at_the_start() {
    let p: Vec<Vec<u8>> = (0..6).map(picture).collect();
    let clean = [
        vec![p[0].clone(), p[0].clone()],
        vec![p[1].clone()],
        vec![p[2].clone()],
    ];
    assert_eq!(leak_warning(&dataset(&clean)).unwrap(), None);
    let leaked = [
        vec![p[0].clone(), p[1].clone()],
        vec![p[2].clone(), p[0].clone()],
        vec![p[0].clone(), p[2].clone(), p[3].clone()],
    ];
    let warning = leak_warning(&dataset(&leaked)).unwrap().unwrap();
    assert!(
        warning.starts_with("1 of 2 valid images and 2 of 3 test images are exact copies"),
        "{warning}"
    );
}

/// An exact copy in the same split does not hide that the image is in the training split, too.
#[test]
fn the_original_is_in_the_first_split() {
    let picture = picture(1);
    let data = dataset(&[
        vec![noisy(&picture, 1)],
        Vec::new(),
        vec![picture.clone(), picture],
    ]);
    let expected = [
        (Split::Test, 1, 0, Likeness::Near),
        (Split::Test, 2, 0, Likeness::Near),
    ];
    assert_eq!(found(&data), expected);
}
