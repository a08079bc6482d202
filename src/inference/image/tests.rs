#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use std::io::Cursor;

use image::{GrayImage, ImageFormat, Luma};

use super::*;

const GARMENTS: InputFormat = InputFormat {
    channels: 1,
    height: 28,
    width: 28,
    background: 0,
    resize: None,
    packed: None,
};

fn bytes(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn fitted(image: &DynamicImage, format: ImageFormat, invert: bool) -> InputImage {
    prepared(
        decode(&bytes(image, format)).unwrap().bitmap,
        GARMENTS,
        invert,
    )
}

/// A dark vertical bar of 40×120 pixels, off-centre on a light background.
fn bar() -> DynamicImage {
    GrayImage::from_fn(300, 200, |x, y| {
        let inside = (200..240).contains(&x) && (50..170).contains(&y);
        Luma([if inside { 30 } else { 235 }])
    })
    .into()
}

#[test]
fn image_of_the_networks_size_is_unchanged() {
    let own = GrayImage::from_fn(28, 28, |x, y| Luma([(x * 3 + y) as u8]));
    let image = fitted(&own.clone().into(), ImageFormat::Png, true);
    assert!(image.pixels == own.into_raw());
    assert!(!image.inverted);
}

#[test]
fn dark_object_on_light_background_is_inverted_and_fills_the_height() {
    for format in [ImageFormat::Png, ImageFormat::Bmp] {
        let image = fitted(&bar(), format, true);
        assert_eq!((image.size, image.inverted), ((300, 200), true));
        let row = |y: usize| &image.pixels[y * 28..(y + 1) * 28];
        for y in [1, 14, 26] {
            let light: Vec<usize> = (0..28).filter(|&x| row(y)[x] > 150).collect();
            assert!((8..=10).contains(&light.len()), "row {y}: {:?}", row(y));
            assert!(
                light[0] >= 8 && light[light.len() - 1] <= 19,
                "not centred: {light:?}"
            );
        }
        assert!(row(14)[0] < 40 && row(14)[27] < 40);
    }
    let dark = fitted(&bar(), ImageFormat::Png, false);
    assert!(!dark.inverted && dark.pixels[14 * 28 + 14] < 60);
}

#[test]
fn images_without_foreground_and_single_pixels_are_valid() {
    let blank = GrayImage::from_pixel(50, 90, Luma([250]));
    assert!(fitted(&blank.clone().into(), ImageFormat::Png, true).empty);
    assert!(!fitted(&bar(), ImageFormat::Png, true).empty);
    assert!(
        fitted(&blank.into(), ImageFormat::Png, true)
            .pixels
            .iter()
            .all(|&p| p < 10)
    );
    let dot = GrayImage::from_pixel(1, 1, Luma([9]));
    assert_eq!(
        fitted(&dot.into(), ImageFormat::Png, true).pixels.len(),
        28 * 28
    );
    let strip = GrayImage::from_fn(5000, 1, |x, _| Luma([(x % 256) as u8]));
    assert_eq!(
        fitted(&strip.into(), ImageFormat::Png, true).pixels.len(),
        28 * 28
    );
}

#[test]
fn colour_network_gets_planar_channels() {
    let expected = InputFormat {
        channels: 3,
        height: 2,
        width: 2,
        background: 0,
        resize: None,
        packed: None,
    };
    let image = RgbImage::from_fn(2, 2, |x, y| Rgb([x as u8, 10 + y as u8, 20]));
    let image = fit(&image.into(), expected, true);
    assert_eq!(image.pixels, [0, 1, 0, 1, 10, 10, 11, 11, 20, 20, 20, 20]);
}

#[test]
fn light_background_is_preserved_for_a_network_with_light_background() {
    let digits = InputFormat {
        background: 255,
        ..GARMENTS
    };
    let image = fit(&bar(), digits, true);
    assert!(!image.inverted && image.pixels[14 * 28] > 200 && image.pixels[14 * 28 + 14] < 60);
}

/// Images for a network that was trained on image files are prepared as those were: not cropped, not inverted.
#[test]
fn images_are_prepared_as_the_training_images_were() {
    let photos = InputFormat {
        resize: Some(Resize::Squash),
        packed: None,
        ..GARMENTS
    };
    let image = prepared(
        decode(&bytes(&bar(), ImageFormat::Png)).unwrap().bitmap,
        photos,
        true,
    );
    assert!(!image.inverted);
    assert_eq!((image.size, image.pixels.len()), ((300, 200), 28 * 28));
    assert!(image.pixels[0] > 200 && image.pixels[14 * 28 + 20] < 60);
}

#[test]
fn unreadable_files_are_named() {
    let error = read_image(Path::new("/no/such.png"), GARMENTS, true).unwrap_err();
    assert!(error.contains("/no/such.png"), "{error}");
}
