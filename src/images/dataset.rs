//! A dataset, ready for training: located, listed, packed if necessary, and split.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::augment::Augment;
use super::fashion::known_data_warning;
use super::fit::{Fitter, Target};
use super::listing::{Item, Listing, PixelFormat};
use super::locate::{Located, locate, recognised};
use super::pack::{Pack, fingerprint};
use super::packing::{PackProgress, Packing};
use super::source::ListOptions;
use super::split::{Images, Pixels, class_counts};
use super::survey::{Formats, formats};
use super::{Counts, DataError, absent, memory, statistics, stratified};
use crate::config::{AugmentConfig, DataConfig, InMemory, few_valid};
use crate::event::{DatasetInfo, Split};
use crate::limits::{check_classes, many_classes_note};

/// Channels, height and width of an image.
pub type Shape = (u32, u32, u32);

/// Skipped images that a warning names.
const NAMED: usize = 3;

/// A dataset, split for training.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Image size, class names and number of images.
    pub info: DatasetInfo,
    /// Training split.
    pub train: Images,
    /// Validation split: that of the data, or cut from the training images.
    pub valid: Images,
    /// Test split; empty if the data have none.
    pub test: Images,
    /// The directory of the files.
    pub dir: PathBuf,
    /// Format of the data, and why it was recognised.
    pub format: String,
    /// BLAKE3 hash of image size, class names, labels and pixels, in hex ([`fingerprint`]).
    pub fingerprint: String,
    /// The hash that versions before 0.2 recorded: of the four IDX files.
    pub idx_fingerprint: Option<String>,
    /// Class counts of the training images, before a validation split is taken out.
    pub counts_before: Vec<u64>,
    /// Properties of the data that are no problem, one sentence each.
    pub notes: Vec<String>,
    /// Warnings about the data, one sentence each.
    pub warnings: Vec<String>,
    /// Images that could not be decoded, with the reason; at most [`super::NAMED_SKIPPED`].
    pub skipped: Vec<(String, String)>,
    /// The packed images, if they are in a file.
    pub pack: Option<PathBuf>,
}

impl Dataset {
    /// Whether a recorded fingerprint, of this or an earlier version, is that of this dataset.
    pub fn is(&self, recorded: &str) -> bool {
        self.fingerprint == recorded || self.idx_fingerprint.as_deref() == Some(recorded)
    }

    /// The augmentation of the training images.
    pub fn augment(&self, config: &AugmentConfig) -> Augment {
        let DatasetInfo {
            channels,
            height,
            width,
            packed,
            ..
        } = self.info;
        let shape = [channels, height, width].map(|length| length as usize);
        let packed = packed.unwrap_or([height, width]).map(|side| side as usize);
        Augment::new(config, shape, packed)
    }

    /// The images of a split.
    pub fn split(&self, split: Split) -> &Images {
        match split {
            Split::Train => &self.train,
            Split::Valid => &self.valid,
            Split::Test => &self.test,
        }
    }

    /// The split that is evaluated at the end and shown in the gallery: the test split, or validation if there is no test
    /// split.
    pub fn shown(&self) -> &Images {
        if self.test.is_empty() {
            &self.valid
        } else {
            &self.test
        }
    }
}

/// Locates, reads, checks and splits a dataset, and packs its images first if that is necessary. `seed` decides which images
/// are used for validation.
///
/// # Errors
/// What is wrong with the data, or why the images cannot be packed.
pub fn load(
    config: &DataConfig,
    seed: u64,
    progress: &mut dyn FnMut(PackProgress),
) -> Result<Dataset, DataError> {
    load_located(&locate(config)?, config, seed, progress)
}

/// As [`load()`], from the files in this directory.
///
/// # Errors
/// As [`load()`].
pub fn load_in(
    dir: &Path,
    config: &DataConfig,
    seed: u64,
    progress: &mut dyn FnMut(PackProgress),
) -> Result<Dataset, DataError> {
    load_located(&recognised(dir, config)?, config, seed, progress)
}

fn load_located(
    located: &Located,
    config: &DataConfig,
    seed: u64,
    progress: &mut dyn FnMut(PackProgress),
) -> Result<Dataset, DataError> {
    let listing = list(located, config)?;
    let (formats, size_note) = formats(&listing, config)?;
    let prepared = prepare(located, &listing, formats.packed, config, progress)?;
    let mut notes = listing.notes.clone();
    notes.extend(size_note);
    notes.extend(formats.notes(config));
    notes.extend(prepared.notes.iter().cloned());
    let mut warnings = listing.warnings.clone();
    warnings.extend(formats.warnings(config));
    warnings.extend(skipped_warning(&prepared, listing.labels.len()));
    warnings.extend(known_data_warning(
        &located.name(config),
        listing.legacy_fingerprint.as_deref(),
    ));
    split(
        located, listing, prepared, formats, config, seed, notes, warnings,
    )
}

/// The images of a located data directory.
///
/// # Errors
/// If the data cannot be listed, have fewer than two or too many classes, or no training images.
pub fn list(located: &Located, config: &DataConfig) -> Result<Listing, DataError> {
    let listing = (located.source.list)(&located.dir, &options(config))?;
    let wrong = |what: String| DataError(format!("{}: {what}", located.dir.display()));
    check_classes(listing.classes.len()).map_err(wrong)?;
    if listing.counts.train == 0 {
        return Err(wrong("has no training images".to_owned()));
    }
    Ok(listing)
}

fn options(config: &DataConfig) -> ListOptions {
    ListOptions {
        name: config.known_name().to_owned(),
        order: config.order,
    }
}

/// The packed images of a data directory, made now unless they exist.
///
/// # Errors
/// As [`load()`].
pub fn pack(
    located: &Located,
    config: &DataConfig,
    progress: &mut dyn FnMut(PackProgress),
) -> Result<(Listing, Pack), DataError> {
    let listing = list(located, config)?;
    let (formats, _) = formats(&listing, config)?;
    let packing = packing(located, &listing, formats.packed, config);
    let pack = packing.open(&cache_dir(config)?, progress)?;
    Ok((listing, pack))
}

fn packing<'a>(
    located: &Located,
    listing: &'a Listing,
    target: Target,
    config: &DataConfig,
) -> Packing<'a> {
    Packing {
        listing,
        data_dir: located.dir.display().to_string(),
        source: located.source.title,
        target,
        on_corrupt: config.on_corrupt,
    }
}

/// The directory of packed images.
///
/// # Errors
/// If it is not set, and there is no home directory.
pub fn cache_dir(config: &DataConfig) -> Result<PathBuf, DataError> {
    if !config.cache_dir.is_empty() {
        return Ok(PathBuf::from(&config.cache_dir));
    }
    let directory = |key: &str| {
        env::var_os(key)
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
    };
    directory("XDG_CACHE_HOME")
        .or_else(|| directory("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("epochtop/data"))
        .ok_or_else(|| {
            DataError("no directory for packed images: neither XDG_CACHE_HOME nor HOME is set; set data.cache_dir".to_owned())
        })
}

/// Images and labels of all splits.
struct Prepared {
    pixels: Pixels,
    labels: Vec<u16>,
    counts: Counts,
    fingerprint: String,
    notes: Vec<String>,
    skipped: Vec<(String, String)>,
    skipped_count: usize,
    pack: Option<PathBuf>,
}

/// Reads the images into memory, or packs them.
fn prepare(
    located: &Located,
    listing: &Listing,
    target: Target,
    config: &DataConfig,
    progress: &mut dyn FnMut(PackProgress),
) -> Result<Prepared, DataError> {
    let bytes = listing.labels.len() as u64 * target.size() as u64;
    let fits = match config.in_memory {
        InMemory::Always => true,
        InMemory::Never => false,
        InMemory::Auto => memory::available().is_none_or(|available| bytes <= available / 2),
    };
    let raw = PixelFormat::Raw(target.channels, target.height, target.width);
    if fits && listing.format == raw {
        return read_raw(listing, target);
    }
    let pack = packing(located, listing, target, config).open(&cache_dir(config)?, progress)?;
    let info = pack.info().clone();
    Ok(Prepared {
        labels: pack.labels().to_vec(),
        pack: Some(pack.path().to_owned()),
        counts: info.counts,
        fingerprint: info.fingerprint,
        notes: info.notes,
        skipped: info.skipped,
        skipped_count: info.skipped_count,
        pixels: if fits {
            Pixels::Memory {
                bytes: pack.read_all()?,
                size: target.size(),
            }
        } else {
            Pixels::Packed(Box::new(pack))
        },
    })
}

/// Reads pixels that need no decoding and no resizing.
fn read_raw(listing: &Listing, target: Target) -> Result<Prepared, DataError> {
    let mut fitter = Fitter::new();
    let count = listing.labels.len();
    let mut bytes = Vec::with_capacity(count * target.size());
    let mut hashes = Vec::with_capacity(count);
    for item in listing.items.stream(0)? {
        if let Item::Pixels(bitmap) = item? {
            let pixels = fitter.fit(&bitmap, target);
            hashes.push(*blake3::hash(&pixels).as_bytes());
            bytes.extend(pixels);
        }
    }
    if hashes.len() != count {
        return Err(DataError(format!(
            "{} images were listed, but {} could be read: the data changed in the meantime; start again",
            count,
            hashes.len()
        )));
    }
    let shape = (target.channels, target.height, target.width);
    let (classes, counts, labels) = (&listing.classes, listing.counts, &listing.labels);
    Ok(Prepared {
        fingerprint: fingerprint(shape, classes, counts, labels, &hashes),
        pixels: Pixels::Memory {
            bytes,
            size: target.size(),
        },
        labels: labels.clone(),
        counts,
        notes: Vec::new(),
        skipped: Vec::new(),
        skipped_count: 0,
        pack: None,
    })
}

/// Calls `each` with shape (channels, height, width) and pixels (channel, row, column) of the test images of a directory, as
/// long as it returns true. Does nothing for images that must be decoded or resized: a run has packed those.
///
/// # Errors
/// If the directory cannot be read.
pub fn for_raw_test_images(
    dir: &Path,
    config: &DataConfig,
    each: &mut impl FnMut(Shape, &[u8]) -> bool,
) -> Result<(), DataError> {
    let listing = list(&recognised(dir, config)?, config)?;
    let PixelFormat::Raw(channels, height, width) = listing.format else {
        return Ok(());
    };
    let (Formats { packed, trained }, _) = formats(&listing, config)?;
    let raw = (channels, height, width);
    let target = trained;
    if packed != trained || (target.channels, target.height, target.width) != raw {
        return Ok(());
    }
    let mut fitter = Fitter::new();
    let [_, _, test] = listing.counts.ranges();
    for item in listing.items.stream(test.start)? {
        if let Item::Pixels(bitmap) = item?
            && !each((channels, height, width), &fitter.fit(&bitmap, target))
        {
            break;
        }
    }
    Ok(())
}

/// Makes the three splits.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a different result of the steps before"
)]
fn split(
    located: &Located,
    listing: Listing,
    prepared: Prepared,
    Formats { packed, trained }: Formats,
    config: &DataConfig,
    seed: u64,
    mut notes: Vec<String>,
    mut warnings: Vec<String>,
) -> Result<Dataset, DataError> {
    let classes = listing.classes;
    let Prepared {
        pixels,
        labels,
        counts,
        ..
    } = prepared;
    let [train_range, valid_range, test_range] = counts.ranges();
    let all_train = labels.get(train_range.clone()).unwrap_or_default();
    if all_train
        .iter()
        .all(|label| Some(label) == all_train.first())
    {
        return Err(DataError(format!(
            "{}: all training images have the same label, expected at least two classes",
            located.dir.display()
        )));
    }
    let counts_before = class_counts(all_train, classes.len());
    let (mut train, valid) = if counts.valid.is_some() {
        if config.valid > 0 {
            warnings.push(format!(
                "data.valid = {} is ignored: the data have a validation split of {} images",
                config.valid,
                valid_range.len()
            ));
        }
        (
            stratified::shuffled(train_range.len(), seed),
            valid_range.collect(),
        )
    } else {
        cut_validation(located, all_train, classes.len(), config, seed)?
    };
    if config.train_limit > 0 {
        train.truncate(config.train_limit);
    }
    let pixels = Arc::new(pixels);
    let side = |target: Target| [target.height as usize, target.width as usize];
    let images = |numbers: Vec<usize>| {
        Images::new(&pixels, numbers, &labels).resized(
            trained.channels as usize,
            side(packed),
            side(trained),
        )
    };
    let (train, valid, test) = (images(train), images(valid), images(test_range.collect()));
    if valid.is_empty() {
        return Err(DataError(format!(
            "{}: the validation split has no images",
            located.dir.display()
        )));
    }
    if config.valid == 0 {
        warnings.extend(few_valid(valid.len()));
    }
    if test.is_empty() {
        warnings.push(
            "the data have no test split: the results at the end are those of the validation split, which also selects the \
             best epoch, so they are optimistic"
                .to_owned(),
        );
    }
    // A test split that does not exist lacks no class.
    let tested = if test.is_empty() { &train } else { &test };
    warnings.extend(absent::warnings(&classes, [&train, &valid, tested]));
    notes.extend(many_classes_note(classes.len()));
    let info = DatasetInfo {
        name: located.name(config),
        classes,
        height: trained.height,
        width: trained.width,
        packed: (packed != trained).then_some([packed.height, packed.width]),
        channels: trained.channels,
        background: statistics::background(&train, trained)?,
        normalization: statistics::normalization(&config.normalize, &train, trained)?,
        resize: (listing.format == PixelFormat::Encoded).then_some(trained.resize),
        train: train.len() as u64,
        valid: valid.len() as u64,
        test: test.len() as u64,
    };
    Ok(Dataset {
        info,
        train,
        valid,
        test,
        dir: located.dir.clone(),
        format: format!("{}: {}", located.source.title, located.reason),
        fingerprint: prepared.fingerprint,
        idx_fingerprint: listing.legacy_fingerprint,
        counts_before,
        notes,
        warnings,
        skipped: prepared.skipped,
        pack: prepared.pack,
    })
}

/// Cuts the validation split from the training images: the numbers of the images of both.
fn cut_validation(
    located: &Located,
    labels: &[u16],
    classes: usize,
    config: &DataConfig,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let wanted = config.valid_size(labels.len());
    let (train, valid) = stratified::stratified(labels, classes, wanted, seed);
    // Classes of a single image stay in the training split, so a default size may not be reached.
    let enough = valid.len() == wanted || config.valid == 0 && !valid.is_empty();
    if !train.is_empty() && enough {
        return Ok((train, valid));
    }
    Err(DataError(format!(
        "data.valid = {wanted}: {} has {} training images, of which at most {} can be used for validation, as each class \
         needs at least one training image; a tenth ({}) is usual",
        located.dir.display(),
        labels.len(),
        valid.len().min(labels.len().saturating_sub(classes)),
        (labels.len() / 10).max(1)
    )))
}

/// A warning that names images which could not be decoded.
fn skipped_warning(prepared: &Prepared, total: usize) -> Option<String> {
    let count = prepared.skipped_count;
    let named = prepared.skipped.iter().take(NAMED);
    let named: Vec<String> = named.map(|(name, why)| format!("{name} ({why})")).collect();
    let more = if count > named.len() {
        "; `epochtop data check` lists them"
    } else {
        ""
    };
    (count > 0).then(|| {
        format!(
            "{count} of {total} images could not be decoded and were left out: {}{more}",
            named.join(", ")
        )
    })
}
