//! Advice on augmentation for images of a given size.

use crate::config::{AugmentConfig, Policy};

/// Sides of photos from which on their augmentation is advised, pixels.
const PHOTO: u32 = 64;

/// Warnings about settings that spoil images of this shape (channels, height, width), one sentence each.
pub(in crate::images) fn warnings(
    config: &AugmentConfig,
    [_, height, width]: [u32; 3],
) -> Vec<String> {
    let side = height.min(width);
    let mut warnings = Vec::new();
    if config.policy == Policy::Trivial && side < PHOTO {
        warnings.push(format!(
            "data.augment.policy = \"trivial\": it shifts images by up to 32 pixels, and these have {side}; larger images are \
             usual (data.size = 64 or more)"
        ));
    }
    if config.crop > 0.0 && config.crop < 0.3 && side < 48 {
        warnings.push(format!(
            "data.augment.crop = {}: so small a part of an image of {side} pixels often has nothing to recognise; 0.5 or more \
             is usual",
            config.crop
        ));
    }
    if u64::from(config.shift) * 4 > u64::from(side) {
        warnings.push(format!(
            "data.augment.shift = {}: more than a quarter of the {side} pixels of the images",
            config.shift
        ));
    }
    warnings
}

/// Notes on what augmentation means for the training accuracy, and on augmentation that suits images of this shape, if none
/// is set.
pub(in crate::images) fn notes(
    config: &AugmentConfig,
    [channels, height, width]: [u32; 3],
) -> Vec<String> {
    let are_photos = channels == 3 && height.min(width) >= PHOTO;
    let advice = (are_photos && !config.has_photo_stage()).then(|| {
        "for photos, `--preset photo` has the usual augmentation: random resized crops and TrivialAugment".to_owned()
    });
    let mixed = config.mixes().then(|| {
        "with mixup and CutMix an image has two classes, so there is no training accuracy"
            .to_owned()
    });
    advice.into_iter().chain(mixed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_spoil_small_images_are_warned_of() {
        let strong = AugmentConfig {
            policy: Policy::Trivial,
            crop: 0.1,
            shift: 9,
            ..AugmentConfig::default()
        };
        assert_eq!(warnings(&strong, [3, 32, 32]).len(), 3);
        assert_eq!(warnings(&strong, [3, 224, 224]), Vec::<String>::new());
        assert_eq!(
            warnings(&AugmentConfig::default(), [1, 28, 28]),
            Vec::<String>::new()
        );
        assert!(notes(&AugmentConfig::default(), [3, 64, 64]).len() == 1);
        assert!(notes(&AugmentConfig::default(), [3, 32, 32]).is_empty());
        assert!(notes(&strong, [3, 64, 64]).is_empty());
        let mixed = AugmentConfig {
            mixup: 0.2,
            ..AugmentConfig::default()
        };
        assert_eq!(notes(&mixed, [1, 28, 28]).len(), 1);
    }
}
