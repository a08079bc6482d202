#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::*;

/// A resize by Pillow, made by scripts/fixtures/images.py.
#[derive(Debug, Deserialize)]
struct Case {
    size: (u32, u32),
    channels: u32,
    target: (u32, u32),
    target_channels: u32,
    resize: Resize,
    pixels: String,
    tolerance: u8,
}

#[derive(Debug, Deserialize)]
struct Fixtures {
    fits: Vec<Case>,
}

/// An image of computed levels, as in the script.
fn image((width, height): (u32, u32), channels: u32) -> Bitmap {
    let level = |number: u32| (number.wrapping_mul(2_654_435_761) >> 24) as u8;
    Bitmap {
        width,
        height,
        channels,
        pixels: (0..width * height * channels).map(level).collect(),
    }
}

fn target(size: u32, resize: Resize) -> Target {
    Target {
        channels: 3,
        height: size,
        width: size,
        resize,
    }
}

#[test]
fn resized_images_equal_those_of_pillow() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/images.json"
    ));
    let cases = serde_json::from_str::<Fixtures>(text).unwrap().fits;
    assert!(cases.len() > 40);
    let mut fitter = Fitter::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let target = Target {
            channels: case.target_channels,
            width: case.target.0,
            height: case.target.1,
            resize: case.resize,
        };
        let found = fitter.fit(&image(case.size, case.channels), target);
        let packed = BASE64_STANDARD.decode(&case.pixels).unwrap();
        let mut expected = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::ZlibDecoder::new(&packed[..]),
            &mut expected,
        )
        .unwrap();
        assert_eq!(found.len(), expected.len());
        let most = found
            .iter()
            .zip(&expected)
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap();
        if most > case.tolerance {
            wrong.push(format!(
                "{:?} {:?} {target:?}: {most}",
                case.size, case.channels
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A full resize of the longer side would have 4,480,000×224 pixels.
#[test]
fn extreme_aspect_ratios_are_resized() {
    for resize in [Resize::Squash, Resize::Crop, Resize::Pad] {
        for size in [(20_000, 1), (1, 20_000)] {
            let pixels = fit(&image(size, 3), target(224, resize));
            assert_eq!(pixels.len(), 3 * 224 * 224);
        }
    }
    let line = fit(&image((20_000, 1), 1), target(8, Resize::Pad));
    let is_padding = |levels: &[u8]| levels.iter().all(|&level| level == PADDING);
    assert!(is_padding(&line[..24]) && is_padding(&line[32..64]));
    assert!(!is_padding(&line[24..32]));
}

#[test]
fn order_of_the_pixels_is_channel_row_column() {
    let bitmap = Bitmap {
        width: 2,
        height: 1,
        channels: 3,
        pixels: vec![1, 2, 3, 4, 5, 6],
    };
    let target = Target {
        channels: 3,
        height: 1,
        width: 2,
        resize: Resize::Squash,
    };
    assert_eq!(fit(&bitmap, target), [1, 4, 2, 5, 3, 6]);
}

#[test]
fn losses_are_the_fraction_cut_off_and_the_change_of_aspect_ratio() {
    let loss = |width, height, resize| loss(width, height, target(200, resize));
    assert_eq!(loss(300, 300, Resize::Pad), None);
    assert_eq!(loss(400, 300, Resize::Pad), Some(Loss::Padded(0.25)));
    assert_eq!(loss(300, 300, Resize::Crop), None);
    assert_eq!(loss(300, 300, Resize::Squash), None);
    assert_eq!(loss(600, 300, Resize::Crop), Some(Loss::Cut(0.5)));
    assert_eq!(loss(300, 600, Resize::Squash), Some(Loss::Stretched(2.0)));
    assert_eq!(loss(600, 300, Resize::Squash), Some(Loss::Stretched(2.0)));
}
