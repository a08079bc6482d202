#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use image::{GrayImage, ImageFormat, Luma, RgbaImage};

use super::*;

const GARMENTS: InputFormat = InputFormat {
    channels: 1,
    height: 28,
    width: 28,
    background: 0,
};

fn bytes(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn fitted(image: &DynamicImage, format: ImageFormat, invert: bool) -> InputImage {
    fit(&decode(bytes(image, format)).unwrap(), GARMENTS, invert)
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
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
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

/// EXIF orientation 6: the camera was held upright, so the image must be rotated clockwise.
#[test]
fn exif_orientation_is_applied() {
    let rotated = bytes(&bar().rotate270(), ImageFormat::Jpeg);
    let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let with_exif = [&rotated[..2], exif, &rotated[2..]].concat();
    let upright = fit(&decode(with_exif).unwrap(), GARMENTS, true);
    assert_eq!(upright.size, (300, 200));
    for y in [2, 14, 25] {
        let row = &upright.pixels[y * 28..(y + 1) * 28];
        assert!(row[14] > 150 && row[2] < 60 && row[25] < 60, "{row:?}");
    }
}

#[test]
fn transparent_pixels_are_white() {
    let image = RgbaImage::from_fn(60, 60, |x, _| {
        if (20..40).contains(&x) {
            Rgba([0, 0, 0, 255])
        } else {
            Rgba([0, 0, 0, 0])
        }
    });
    let image = fitted(&image.into(), ImageFormat::Png, true);
    assert!(image.inverted);
    assert!(image.pixels[14 * 28 + 14] > 200 && image.pixels[14 * 28] < 50);
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

/// Regression test: a file was refused as truncated if bytes that start a scan came last in what follows its end.
#[test]
fn motion_photos_are_complete_and_truncated_images_are_not() {
    let jpeg = bytes(&bar(), ImageFormat::Jpeg);
    let video = b"\0\0\0\x18ftypmp42\x12\xff\xda\x34\xff\xd8\xff\xe1\x11".repeat(9);
    let whole = decode(jpeg.clone()).unwrap();
    assert!(decode([&jpeg[..], &video].concat()).unwrap() == whole);
    assert!(is_complete(&jpeg));
    for cut in 0..jpeg.len() - 1 {
        assert!(!is_complete(&jpeg[..cut]), "cut at {cut}");
    }
    // A thumbnail, itself a JPEG file with an end marker, is inside a segment.
    let length = (jpeg.len() as u16 + 2).to_be_bytes();
    let thumbnail = [&[0xff, 0xe1][..], &length, &jpeg].concat();
    let with_thumbnail = [&jpeg[..2], &thumbnail, &jpeg[2..]].concat();
    assert!(is_complete(&with_thumbnail));
    assert!(!is_complete(&with_thumbnail[..with_thumbnail.len() - 9]));
    let png = bytes(&bar(), ImageFormat::Png);
    assert!(decode([&png[..], &video].concat()).is_ok());
}

#[test]
fn colour_network_gets_planar_channels() {
    let expected = InputFormat {
        channels: 3,
        height: 2,
        width: 2,
        background: 0,
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

#[test]
fn invalid_files_have_specific_errors() {
    let png = bytes(&bar(), ImageFormat::Png);
    let jpeg = bytes(&bar(), ImageFormat::Jpeg);
    let mut flipped = png.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    // A header that claims 60,000 × 60,000 pixels.
    let mut huge = png.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    for (bytes, words) in [
        (Vec::new(), "is empty"),
        (b"no image at all".to_vec(), "unsupported image format;"),
        (png[..png.len() / 2].to_vec(), "cannot be read"),
        (flipped, "cannot be read"),
        (huge, "cannot be read"),
        (
            b"GIF89a\x01\x00\x01\x00".to_vec(),
            "format Gif; expected PNG",
        ),
        (jpeg[..jpeg.len() / 2].to_vec(), "truncated"),
    ] {
        let error = decode(bytes).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let error = read_image(Path::new("/no/such.png"), GARMENTS, true).unwrap_err();
    assert!(error.contains("/no/such.png"), "{error}");
}
