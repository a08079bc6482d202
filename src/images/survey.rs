//! The size and the number of channels of the images in training.

use std::path::Path;

use super::augment::advice;
use super::fit::Target;
use super::listing::{Item, Listing, PixelFormat};
use super::packing::read_file;
use super::{DataError, decode};
use crate::config::DataConfig;
use crate::limits::{DEFAULT_SIZE, KEPT_SIZE, SIZES, check_image};

/// Images whose headers are read to find out their size and number of channels.
const SAMPLE: usize = 2000;
/// Bytes of a file that are read for its header.
const HEAD: u64 = 64 << 10;

/// The formats of the images of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Formats {
    /// As they are packed.
    pub(super) packed: Target,
    /// As they are in training.
    pub(super) trained: Target,
}

impl Formats {
    /// Notes on the way from packed images to those of training.
    pub(super) fn notes(self, config: &DataConfig) -> Vec<String> {
        let Self { packed, trained } = self;
        let resized = (packed != trained).then(|| {
            format!(
                "images are packed at {}×{} (data.pack_size) and cropped or resized to {}×{} when they are read",
                packed.width, packed.height, trained.width, trained.height
            )
        });
        let advice = advice::notes(&config.augment, self.shape());
        resized.into_iter().chain(advice).collect()
    }

    /// Warnings about augmentation that does not suit the size of the images.
    pub(super) fn warnings(self, config: &DataConfig) -> Vec<String> {
        advice::warnings(&config.augment, self.shape())
    }

    /// Channels, height and width of the images in training.
    fn shape(self) -> [u32; 3] {
        [
            self.trained.channels,
            self.trained.height,
            self.trained.width,
        ]
    }
}

/// The formats of the images, and a note if the size in training was chosen.
pub(super) fn formats(
    listing: &Listing,
    config: &DataConfig,
) -> Result<(Formats, Option<String>), DataError> {
    let (own, sizes, grey) = match listing.format {
        PixelFormat::Raw(channels, height, width) => (Some((height, width)), None, channels == 1),
        PixelFormat::Encoded => {
            let found = survey(listing)?;
            (found.size, Some(found.range), found.grey)
        }
    };
    let channels = config.channels.count().unwrap_or(if grey { 1 } else { 3 });
    let usable = |side: u32| sizes.is_none() || (SIZES[0]..=KEPT_SIZE).contains(&side);
    let kept = own.filter(|(height, width)| usable(*height) && usable(*width));
    let (size, note) = match (config.size, kept) {
        (0, Some(own)) => (own, None),
        (0, None) => {
            let range = sizes.map_or_else(String::new, |[(w, h), most]| {
                let most = if most == (w, h) {
                    String::new()
                } else {
                    format!(" to {}×{}", most.0, most.1)
                };
                format!(" of {w}×{h}{most} pixels")
            });
            let note = format!(
                "images{range} are resized to {DEFAULT_SIZE}×{DEFAULT_SIZE}; set data.size (16 to 512) for another size"
            );
            ((DEFAULT_SIZE, DEFAULT_SIZE), Some(note))
        }
        (side, _) => ((side, side), None),
    };
    let target = Target {
        channels,
        height: size.0,
        width: size.1,
        resize: config.resize,
    };
    check_image((channels, size.0, size.1)).map_err(DataError)?;
    let (height, width) = pack_size(config, size, own)?;
    let packed = Target {
        height,
        width,
        ..target
    };
    let trained = target;
    Ok((Formats { packed, trained }, note))
}

/// Height and width of packed images, given those in training and those of the images, if all have the same.
fn pack_size(
    config: &DataConfig,
    size: (u32, u32),
    own: Option<(u32, u32)>,
) -> Result<(u32, u32), DataError> {
    let longer = size.0.max(size.1);
    match config.pack_size {
        0 if config.augment.crop > 0.0 && own != Some(size) => {
            // torchvision's recipes evaluate at 224 pixels of 256.
            let more = |side: u32| (side * 8).div_ceil(7).min(SIZES[1].max(side));
            Ok((more(size.0), more(size.1)))
        }
        0 => Ok(size),
        wanted if wanted < longer => Err(DataError(format!(
            "data.pack_size = {wanted} is less than the {longer} pixels of the images in training; expected 0 or at least \
             {longer}"
        ))),
        wanted => Ok((wanted, wanted)),
    }
}

/// What the headers of a sample of images say.
struct Survey {
    /// Height and width, if all have the same.
    size: Option<(u32, u32)>,
    /// Smallest and largest (width, height) by area.
    range: [(u32, u32); 2],
    grey: bool,
}

fn survey(listing: &Listing) -> Result<Survey, DataError> {
    let mut headers = Vec::new();
    for item in listing.items.sample(SAMPLE)? {
        let header = match &item {
            Item::Pixels(bitmap) => Some((bitmap.width, bitmap.height, bitmap.channels)),
            Item::Encoded(bytes) => header_of(bytes),
            Item::File(path) => head(path).and_then(|bytes| header_of(&bytes)).or_else(|| {
                // Some files have long metadata before the header.
                header_of(&read_file(path).ok()?)
            }),
        };
        headers.extend(header);
    }
    let Some(&(width, height, _)) = headers.first() else {
        return Err(DataError(
            "none of the sampled image files has a readable header; `epochtop data check` names what is wrong".to_owned(),
        ));
    };
    let same = headers.iter().all(|(w, h, _)| (*w, *h) == (width, height));
    let area = |(w, h): &(u32, u32)| u64::from(*w) * u64::from(*h);
    let sizes = || headers.iter().map(|(w, h, _)| (*w, *h));
    Ok(Survey {
        size: same.then_some((height, width)),
        range: [
            sizes().min_by_key(area).unwrap_or((width, height)),
            sizes().max_by_key(area).unwrap_or((width, height)),
        ],
        grey: headers.iter().all(|(_, _, channels)| *channels == 1),
    })
}

fn header_of(bytes: &[u8]) -> Option<(u32, u32, u32)> {
    let header = decode::header(bytes).ok()?;
    Some((header.width, header.height, header.channels))
}

fn head(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(HEAD).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
