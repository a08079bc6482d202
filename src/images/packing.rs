//! Packing: decodes and resizes the images of a listing in parallel, and writes them to a file of packed images.
//!
//! Pixels are written to `KEY.part` in the order of the listing, and for each image one line to `KEY.part.list`: the BLAKE3
//! hash of its pixels, or why it was left out. After an interruption the pixels are compared with their hashes, and packing
//! continues behind the last image that is complete. Only the complete file gets its final name. The list is locked, so
//! that two processes do not pack the same images.

mod flusher;
mod part;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::bounded;

use super::cache::KEY;
use super::fit::{Fitter, Target};
use super::pack::{ENTRY, NAMED_SKIPPED, PackInfo, fingerprint};
use super::tally::Original;
use super::{Counts, DataError, Item, Items, Listing, Pack, decode};
use crate::config::OnCorrupt;
use crate::files::Dir;
use crate::threads;
use part::{Opened, Part};

/// Version of decoder, resizing and file format: a change packs all images again.
const VERSION: u32 = 1;
/// Largest image file, bytes.
const LARGEST_FILE: u64 = 512 << 20;
/// Images in work at the same time, for each thread: more when one image takes much longer than the others.
const WINDOW: usize = 32;
/// Free space that is left on the disk, bytes.
const RESERVE: u64 = 16 << 20;

/// How far packing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackProgress {
    /// Images that are done, including those that were skipped.
    pub done: usize,
    /// Of these, images that an earlier start had packed.
    pub earlier: usize,
    /// All images.
    pub total: usize,
    /// Images that could not be decoded.
    pub skipped: usize,
    /// Whether another process packs these images, and this one waits for it.
    pub waiting: bool,
}

/// What is packed.
#[derive(Debug)]
pub struct Packing<'a> {
    /// The images.
    pub listing: &'a Listing,
    /// The data directory, for the list of packs.
    pub data_dir: String,
    /// Format of the data, for the list of packs.
    pub source: &'static str,
    /// Format of the packed images.
    pub target: Target,
    /// What happens to an image that cannot be decoded.
    pub on_corrupt: OnCorrupt,
}

impl Packing<'_> {
    /// The name of the packed images: a hash of the listing and everything that changes the pixels.
    pub fn key(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.listing.stamp.as_bytes());
        let settings = format!("{VERSION} {:?}", self.target);
        let hash = hasher.update(settings.as_bytes()).finalize().to_hex();
        hash.get(..KEY).unwrap_or_default().to_owned()
    }

    /// The file name of the packed images.
    pub fn file_name(&self) -> String {
        format!("{}.pack", self.key())
    }

    /// Opens the packed images in `dir`, which is created if necessary, and packs them first if they are missing or damaged.
    ///
    /// # Errors
    /// If the disk has not enough space, a file cannot be written, the source cannot be read, or an image is corrupt and
    /// `data.on_corrupt` is `"fail"`.
    pub fn open(
        &self,
        dir: &Path,
        progress: &mut dyn FnMut(PackProgress),
    ) -> Result<Pack, DataError> {
        let path = dir.join(self.file_name());
        if let Ok(pack) = Pack::open(&path) {
            return self.accept(pack);
        }
        let failed = |error: std::io::Error| {
            DataError(format!(
                "{}: packed images cannot be written: {error}; choose another directory with data.cache_dir",
                dir.display()
            ))
        };
        fs_err::create_dir_all(dir).map_err(failed)?;
        let dir = Dir::open(dir).map_err(failed)?;
        let total = self.listing.labels.len();
        let waiting = &mut || {
            progress(PackProgress {
                total,
                waiting: true,
                ..PackProgress::default()
            });
        };
        let part = match Part::open(&dir, &self.key(), self.target, waiting).map_err(failed)? {
            Opened::Complete(pack) => return self.accept(*pack),
            Opened::Part(part) => *part,
        };
        self.check_space(&dir, &part)?;
        self.pack(part, &dir, progress)?;
        let damaged = |error| DataError(format!("{}: {error}", path.display()));
        Pack::open(&path).map_err(damaged)
    }

    /// Refuses a pack without the images that could not be decoded, if `data.on_corrupt` is `"fail"`.
    fn accept(&self, pack: Pack) -> Result<Pack, DataError> {
        match pack.info().skipped.first() {
            Some((name, why)) if self.on_corrupt == OnCorrupt::Fail => Err(corrupt(name, why)),
            Some(_) | None => Ok(pack),
        }
    }

    /// Fails if the disk has not enough space for the packed images.
    fn check_space(&self, dir: &Dir, part: &Part) -> Result<(), DataError> {
        let Ok(system) = dir.file_system() else {
            return Ok(());
        };
        let left = (self.listing.labels.len() - part.items().len()) as u64;
        // The line of the list is written as well.
        let needed = left * (self.target.size() as u64 + ENTRY + 65) + RESERVE;
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        if free >= needed {
            return Ok(());
        }
        Err(DataError(format!(
            "{}: the packed images need {:.1} GB, {:.1} GB are free; free some space, or choose another directory with \
             data.cache_dir, or smaller images with data.size",
            dir.path().display(),
            needed as f64 / 1e9,
            free as f64 / 1e9
        )))
    }

    /// Packs what is missing, and gives the file its final name.
    fn pack(
        &self,
        mut part: Part,
        dir: &Dir,
        progress: &mut dyn FnMut(PackProgress),
    ) -> Result<(), DataError> {
        let written = self.write_images(&mut part, progress);
        let info = written.and_then(|()| self.info(&part));
        let finished = info.and_then(|(info, labels)| {
            let finished = part.finish(dir, &self.file_name(), &info, &labels);
            finished.map_err(|error| cannot_write(dir, &error))
        });
        finished.inspect_err(|_| {
            if part.is_out_of_space() {
                part.discard(dir);
            }
        })
    }

    fn write_images(
        &self,
        part: &mut Part,
        progress: &mut dyn FnMut(PackProgress),
    ) -> Result<(), DataError> {
        let (total, earlier) = (self.listing.labels.len(), part.items().len());
        let mut show = |part: &Part| {
            progress(PackProgress {
                done: part.items().len(),
                earlier,
                total,
                skipped: part.skipped(),
                waiting: false,
            });
        };
        show(part);
        let dir = part.dir().clone();
        decode_all(
            &*self.listing.items,
            self.target,
            earlier,
            &mut |index, image| {
                let image = image.map_err(|why| (self.listing.items.name(index), why));
                if let (Err((name, why)), OnCorrupt::Fail) = (&image, self.on_corrupt) {
                    return Err(corrupt(name, why));
                }
                part.push(image.as_ref().map_err(|(_, why)| why.as_str()))
                    .map_err(|error| cannot_write(&dir, &error))?;
                show(part);
                Ok(())
            },
        )?;
        if part.items().len() != total {
            return Err(DataError(format!(
                "the data has {} images, but {total} were listed: it changed in the meantime; start again",
                part.items().len()
            )));
        }
        Ok(())
    }

    /// The description of the complete pack, and the labels of its images.
    fn info(&self, part: &Part) -> Result<(PackInfo, Vec<u16>), DataError> {
        let listing = self.listing;
        let items = part.items();
        let (mut labels, mut hashes, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        let mut kept = [0; 3];
        for (index, (item, label)) in items.iter().zip(&listing.labels).enumerate() {
            match item {
                Ok(hash) => {
                    labels.push(*label);
                    hashes.push(*hash);
                    let split = listing.counts.split_of(index);
                    if let Some(kept) = kept.get_mut(split) {
                        *kept += 1;
                    }
                }
                Err(why) if skipped.len() < NAMED_SKIPPED => {
                    skipped.push((listing.items.name(index), why.clone()));
                }
                Err(_) => {}
            }
        }
        let [train, valid, test] = kept;
        let counts = Counts {
            train,
            valid: listing.counts.valid.map(|_| valid),
            test: listing.counts.test.map(|_| test),
        };
        if labels.is_empty() {
            let (name, why) = skipped.first().cloned().unwrap_or_default();
            return Err(DataError(format!(
                "no image could be decoded; {name}: {why}"
            )));
        }
        let Target {
            channels,
            height,
            width,
            resize,
        } = self.target;
        let shape = (channels, height, width);
        let info = PackInfo {
            dir: self.data_dir.clone(),
            source: self.source.to_owned(),
            channels,
            height,
            width,
            resize,
            classes: listing.classes.clone(),
            counts,
            skipped_count: part.skipped(),
            skipped,
            notes: part.tally().notes(),
            fingerprint: fingerprint(shape, &listing.classes, counts, &labels, &hashes),
        };
        Ok((info, labels))
    }
}

fn corrupt(name: &str, why: &str) -> DataError {
    DataError(format!(
        "{name}: {why}; repair or delete the file, or leave it out with data.on_corrupt = \"skip\""
    ))
}

fn cannot_write(dir: &Dir, error: &std::io::Error) -> DataError {
    DataError(format!(
        "{}: packed images cannot be written: {error}; free some space, or choose another directory with data.cache_dir",
        dir.path().display()
    ))
}

/// A decoded and resized image.
#[derive(Debug)]
pub(super) struct PackedImage {
    /// Brightness 0–255 in the order (channel, row, column).
    pub(super) pixels: Vec<u8>,
    /// BLAKE3 hash of the pixels.
    pub(super) hash: blake3::Hash,
    /// What it was before.
    pub(super) original: Original,
}

/// Decodes and resizes all images from number `start` on with all cores, and calls `done` with each in their order; an image
/// that cannot be decoded is an `Err` with the reason.
///
/// # Errors
/// The first error of the source or of `done`.
pub(super) fn decode_all(
    items: &dyn Items,
    target: Target,
    start: usize,
    done: &mut dyn FnMut(usize, Result<PackedImage, String>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let workers = threads::cores().max(1);
    let stream = Mutex::new((start, items.stream(start)?));
    let stopped = AtomicBool::new(false);
    // An image that is in work holds a place, so that a slow one does not let the others pile up in memory.
    let (free, places) = bounded(workers * WINDOW);
    for _ in 0..workers * WINDOW {
        let _ = free.send(());
    }
    let (sender, results) = bounded(workers * WINDOW);
    thread::scope(|scope| {
        let mut started = 0;
        for _ in 0..workers {
            let (places, sender, stream, stopped) = (&places, sender.clone(), &stream, &stopped);
            let worker = thread::Builder::new().spawn_scoped(scope, move || {
                let mut fitter = Fitter::new();
                while places.recv().is_ok() && !stopped.load(Ordering::Relaxed) {
                    let next = {
                        let Ok(mut stream) = stream.lock() else {
                            return;
                        };
                        let index = stream.0;
                        stream.0 += 1;
                        stream.1.next().map(|item| (index, item))
                    };
                    let Some((index, item)) = next else { return };
                    let image = item.map(|item| convert(item, &mut fitter, target));
                    if sender.send((index, image)).is_err() {
                        return;
                    }
                }
            });
            started += usize::from(worker.is_ok());
        }
        drop(sender);
        if started == 0 {
            return Err(DataError(format!(
                "no thread can be started to decode images: {}",
                threads::limits()
            )));
        }
        let written = in_order(start, &results, &mut |index, image| {
            done(index, image?)?;
            let _ = free.send(());
            Ok(())
        });
        stopped.store(true, Ordering::Relaxed);
        drop((results, free));
        written
    })
}

/// Passes results on in the order of their numbers.
fn in_order<T>(
    mut next: usize,
    results: &crossbeam_channel::Receiver<(usize, T)>,
    done: &mut dyn FnMut(usize, T) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut early = BTreeMap::new();
    for (index, result) in results {
        early.insert(index, result);
        while let Some(result) = early.remove(&next) {
            done(next, result)?;
            next += 1;
        }
    }
    Ok(())
}

fn convert(item: Item, fitter: &mut Fitter, target: Target) -> Result<PackedImage, String> {
    let (bitmap, has_icc) = match item {
        Item::Pixels(bitmap) => (bitmap, false),
        Item::Encoded(bytes) => decoded(&bytes)?,
        Item::File(path) => decoded(&read_file(&path)?)?,
    };
    let pixels = fitter.fit(&bitmap, target);
    Ok(PackedImage {
        hash: blake3::hash(&pixels),
        pixels,
        original: Original {
            width: bitmap.width,
            height: bitmap.height,
            channels: bitmap.channels,
            has_icc,
        },
    })
}

fn decoded(bytes: &[u8]) -> Result<(super::Bitmap, bool), String> {
    let decoded = decode::decode(bytes)?;
    Ok((decoded.bitmap, decoded.has_icc))
}

/// The bytes of a regular file of at most [`LARGEST_FILE`] bytes; reading a pipe or a device might never end.
///
/// # Errors
/// Why it cannot be read, without its name.
pub fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("not a regular file; expected an image".to_owned());
    }
    if meta.len() > LARGEST_FILE {
        return Err(format!(
            "has {} bytes; the limit is {LARGEST_FILE}",
            meta.len()
        ));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
