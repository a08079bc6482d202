#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde::Deserialize;

use super::photo::{Photographer, Region};
use super::*;
use crate::config::Policy;

/// Results of torchvision with fixed parameters, made by scripts/fixtures/augment.py.
#[derive(Debug, Deserialize)]
struct Fixtures {
    size: [usize; 2],
    operations: Vec<OperationCase>,
    crops: Vec<CropCase>,
}

#[derive(Debug, Deserialize)]
struct OperationCase {
    channels: usize,
    name: String,
    value: f64,
    pixels: String,
}

#[derive(Debug, Deserialize)]
struct CropCase {
    channels: usize,
    region: [usize; 4],
    size: [usize; 2],
    pixels: String,
}

/// The image of the script, in the order (channel, row, column).
fn image([width, height]: [usize; 2], channels: usize) -> Vec<u8> {
    let mut pixels = Vec::new();
    for channel in 0..channels {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let number = ((y * width + x) * channels + channel) as u32;
            let noise = number.wrapping_mul(2_654_435_761) >> 27;
            pixels.push((x * 9 + y * 6 + channel * 70 + noise as usize) as u8);
        }
    }
    pixels
}

fn operation(case: &OperationCase, [width, height]: [usize; 2]) -> Operation {
    let value = case.value;
    match case.name.as_str() {
        "brightness" => Operation::Brightness(value as f32),
        "contrast" => Operation::Contrast(value as f32),
        "saturation" => Operation::Saturation(value as f32),
        "hue" => Operation::Hue(value),
        "sharpness" => Operation::Sharpness(value as f32),
        "shear_x" => Operation::shear(value, 0.0),
        "shear_y" => Operation::shear(0.0, value),
        "translate_x" => Operation::shift(value, 0.0),
        "translate_y" => Operation::shift(0.0, value),
        "rotate" => Operation::rotate(value, [height, width]),
        "posterize" => Operation::Posterize(value as u32),
        "solarize" => Operation::Solarize(value),
        "autocontrast" => Operation::AutoContrast,
        "equalize" => Operation::Equalize,
        other => panic!("unknown operation {other}"),
    }
}

/// Number of bytes that differ by more than `tolerance`.
fn differences(found: &[u8], expected: &str, tolerance: u8) -> usize {
    let expected = BASE64_STANDARD.decode(expected).unwrap();
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(&expected);
    pairs.filter(|(a, b)| a.abs_diff(**b) > tolerance).count()
}

#[test]
fn operations_and_crops_equal_those_of_torchvision() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/augment.json"
    ));
    let text = std::env::var("EPOCHTOP_AUGMENT_CASES").map_or_else(
        |_| text.to_owned(),
        |path| std::fs::read_to_string(path).unwrap(),
    );
    let cases: Fixtures = serde_json::from_str(&text).unwrap();
    let [width, height] = cases.size;
    let mut wrong = Vec::new();
    for case in &cases.operations {
        let mut pixels = image(cases.size, case.channels);
        let operation = operation(case, cases.size);
        if case.channels > 1 || !operation.needs_colour() {
            operation.apply(&mut pixels, [case.channels, height, width]);
        }
        let count = differences(&pixels, &case.pixels, 0);
        if count > 0 {
            wrong.push(format!(
                "{} {} of {} channels: {count} bytes",
                case.name, case.value, case.channels
            ));
        }
    }
    let mut photographer = Photographer::new();
    for case in &cases.crops {
        let pixels = image(cases.size, case.channels);
        let [top, left, down, across] = case.region;
        let region = Region {
            left,
            top,
            width: across,
            height: down,
        };
        let params = PhotoParams {
            crop: Some(region),
            operations: Vec::new(),
        };
        let [h, w] = case.size;
        let mut out = Vec::new();
        photographer.apply(
            &params,
            (&pixels, [height, width]),
            [case.channels, h, w],
            &mut out,
        );
        // As in the resizing of all images (`fit`), the intermediate sums are rounded differently.
        let count = differences(&out, &case.pixels, 1);
        if count > 0 {
            wrong.push(format!(
                "crop {:?} of {} channels: {count} bytes",
                case.region, case.channels
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cases.operations.len() > 80 && cases.crops.len() > 4);
}

fn photos() -> AugmentConfig {
    AugmentConfig {
        flip: true,
        shift: 2,
        rotate: 12.0,
        scale: 0.1,
        shear: 5.0,
        erase: 0.5,
        crop: 0.3,
        brightness: 0.4,
        contrast: 0.4,
        saturation: 0.4,
        hue: 0.1,
        policy: Policy::Trivial,
        mixup: 0.2,
        cutmix: 1.0,
    }
}

fn augment(config: &AugmentConfig, side: usize) -> Augment {
    Augment::new(config, [3, side, side], [side * 8 / 7; 2])
}

#[test]
fn one_setting_does_not_change_the_draws_of_others() {
    let with = |erase, crop, mixup| {
        let config = AugmentConfig {
            erase,
            crop,
            mixup,
            ..photos()
        };
        let augment = augment(&config, 28);
        let geometry: Vec<_> = augment
            .draws(&[7], 50)
            .into_iter()
            .map(|draw| (draw.matrix.map(f32::to_bits), draw.shift.map(f32::to_bits)))
            .collect();
        geometry
    };
    assert_eq!(with(0.0, 0.0, 0.0), with(1.0, 0.5, 1.0));
}

#[test]
fn geometry_draws_are_within_the_configured_limits() {
    let draws = augment(&photos(), 28).draws(&[3], 500);
    let mirrored = draws.iter().filter(|draw| draw.matrix[0] < 0.0).count();
    assert!((200..300).contains(&mirrored), "{mirrored} of 500");
    let erased = draws.iter().filter(|draw| draw.erase.is_some()).count();
    assert!((200..300).contains(&erased), "{erased} of 500");
    for draw in &draws {
        assert!(
            draw.shift
                .iter()
                .all(|t| t.abs() <= 2.0 && t.fract() == 0.0)
        );
        if let Some(([left, top, w, h], _)) = draw.erase {
            assert!(
                left + w <= 28 && top + h <= 28 && (10..=210).contains(&(w * h)),
                "{w}×{h}"
            );
        }
    }
}

#[test]
fn without_augmentation_nothing_is_drawn() {
    let off = AugmentConfig {
        flip: false,
        shift: 0,
        erase: 0.0,
        ..AugmentConfig::default()
    };
    let off = augment(&off, 28);
    assert!(
        off.draws(&[3], 20)
            .iter()
            .all(|draw| *draw == AugmentParams::default())
    );
    assert!(!off.has_photo_stage());
    assert_eq!(off.photo(&[3], 1), PhotoParams::default());
    assert_eq!(off.mix(&[3]), None);
}

#[test]
fn each_operation_of_the_policy_is_drawn_about_equally_often() {
    let config = AugmentConfig {
        policy: Policy::Trivial,
        ..AugmentConfig::default()
    };
    let augment = augment(&config, 28);
    let mut counts = std::collections::BTreeMap::new();
    for image in 0..5600 {
        let params = augment.photo(&[9], image);
        let [operation] = params.operations[..] else {
            panic!("{params:?}")
        };
        let text = format!("{operation:?}");
        let name = text.split('(').next().unwrap().to_owned();
        *counts.entry(name).or_insert(0) += 1;
    }
    // Shear and shift in two directions and rotation are affine.
    let affine = counts.remove("Affine").unwrap();
    assert!((1800..2200).contains(&affine), "{affine}");
    assert_eq!(counts.len(), 9);
    assert!(
        counts.values().all(|count| (320..480).contains(count)),
        "{counts:?}"
    );
}

proptest! {
    #[test]
    fn photo_draws_are_within_the_configured_limits(
        seed: u64, image in 0_usize..1000, crop in 0.01_f64..1.0, height in 16_usize..90, width in 16_usize..90,
    ) {
        let config = AugmentConfig { crop, policy: Policy::None, ..photos() };
        let augment = Augment::new(&config, [3, 24, 24], [height, width]);
        let params = augment.photo(&[seed], image);
        prop_assert_eq!(&params, &augment.photo(&[seed], image));
        let Region { left, top, width: across, height: down } = params.crop.unwrap();
        prop_assert!(left + across <= width && top + down <= height && across > 0 && down > 0);
        prop_assert_eq!(params.operations.len(), 4);
        for operation in params.operations {
            match operation {
                Operation::Brightness(factor) | Operation::Contrast(factor) | Operation::Saturation(factor) => {
                    prop_assert!((0.6..=1.4).contains(&factor));
                }
                Operation::Hue(shift) => prop_assert!(shift.abs() <= 0.1),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        let share = augment.mix(&[seed]).unwrap().share();
        prop_assert!((0.0..=1.0).contains(&share));
    }

    #[test]
    fn operations_keep_any_size(seed: u64, width in 1_usize..9, height in 1_usize..9, channels in prop_oneof![Just(1_usize), Just(3)]) {
        let config = AugmentConfig { crop: 0.2, ..photos() };
        let augment = Augment::new(&config, [channels, 5, 6], [height, width]);
        let pixels = image_of(width * height * channels);
        let mut out = Vec::new();
        for number in 0..20 {
            let params = augment.photo(&[seed], number);
            Photographer::new().apply(&params, (&pixels, [height, width]), [channels, 5, 6], &mut out);
            prop_assert_eq!(out.len(), channels * 30);
        }
    }
}

fn image_of(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * 97 % 256) as u8).collect()
}
