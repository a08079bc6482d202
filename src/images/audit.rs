//! Duplicates: images that occur twice, or nearly, within a split or in two of them. A test image that is also a training
//! image is leaked: its prediction says nothing about new images.
//!
//! Images are compared as the network receives them, after decoding and resizing. They are exact duplicates if all pixels
//! are the same. They are near duplicates, such as the same picture compressed again or resized, if thumbnails of
//! [`sketch::SIDE`] pixels differ by at most [`NEAR`] levels (root mean square), directly or mirrored.

mod sketch;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use pulp::Arch;

use super::parallel::parallel;
use super::{DataError, Dataset, Pixels};
use crate::event::Split;
use crate::threads;
use sketch::{Candidates, Hashes, Sketch, Sketcher};

/// Most images that are compared with each other; above, only exact duplicates are found. The time grows with the square.
pub const MOST_COMPARED: usize = 100_000;
/// Largest difference of near duplicates, levels of 255.
const NEAR: f32 = 6.0;
/// Largest difference of near duplicates relative to the contrast (standard deviation) of the image: pale images are similar
/// without being the same.
const NEAR_OF_CONTRAST: f32 = 0.1;
/// Images between two reports of the progress.
const BLOCK: usize = 1000;

/// How much an image is like another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// All pixels are the same.
    Exact,
    /// The same picture with small differences.
    Near,
    /// The same picture mirrored horizontally, perhaps with small differences.
    Mirrored,
}

impl Likeness {
    /// All, from the strictest.
    pub const ALL: [Self; 3] = [Self::Exact, Self::Near, Self::Mirrored];

    /// The word in messages and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Near => "near",
            Self::Mirrored => "mirrored",
        }
    }
}

/// An image of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its split.
    pub split: Split,
    /// Its number in the dataset.
    pub number: u32,
    /// Its class index.
    pub label: u16,
}

/// An image and the image that it duplicates, which comes before it: the training split is first, the test split last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Duplicate {
    /// The duplicate.
    pub image: Place,
    /// The original; of several, one of the first split, and of these the most similar one.
    pub of: Place,
    /// How much they are alike.
    pub likeness: Likeness,
    /// Root mean square difference of their thumbnails, levels of 255.
    pub difference: f32,
}

/// The duplicates of a dataset.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Duplicates {
    /// Each image that duplicates another, with one that it duplicates.
    pub pairs: Vec<Duplicate>,
    /// Whether near duplicates were looked for.
    pub is_complete: bool,
}

impl Duplicates {
    /// The duplicates in a split whose original is in the split `of`.
    pub fn between(&self, split: Split, of: Split) -> impl Iterator<Item = &Duplicate> {
        let wanted = move |pair: &&Duplicate| pair.image.split == split && pair.of.split == of;
        self.pairs.iter().filter(wanted)
    }
}

/// Finds the duplicates of a dataset. `progress` is called with what is done, the number of images done, and all.
///
/// # Errors
/// If images cannot be read.
pub fn duplicates(
    dataset: &Dataset,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Duplicates, DataError> {
    let places = places(dataset);
    let info = &dataset.info;
    let shape = (info.channels, info.height, info.width);
    let cores = threads::cores();
    let is_complete = places.len() <= MOST_COMPARED;
    let blocks = |count: usize| (0..count.div_ceil(BLOCK)).map(|block| block * BLOCK);
    let mut sketches = Vec::with_capacity(places.len());
    for start in blocks(places.len()) {
        progress("reading", start, places.len());
        let block = places.get(start..).unwrap_or_default();
        let block = block.get(..BLOCK).unwrap_or(block);
        // Each thread takes several images, so that it can keep its buffers.
        let parts: Vec<&[Place]> = block.chunks(BLOCK / 10).collect();
        let read = |part: usize| {
            let mut reducer = Sketcher::new(shape);
            let places = parts.get(part).copied().unwrap_or_default().iter();
            let sketch = |place: &Place| {
                let images = dataset.split(place.split);
                let pixels = images.pixels().image(place.number as usize)?;
                Ok(reducer.sketch(&pixels, is_complete))
            };
            places.map(sketch).collect::<Result<Vec<_>, DataError>>()
        };
        for part in parallel(cores, parts.len(), read) {
            sketches.extend(part?);
        }
    }
    let search = Search {
        firsts: firsts(&sketches),
        hashes: sketches.iter().map(|sketch| sketch.hashes).collect(),
        sketches,
        places,
        is_complete,
    };
    let count = search.places.len();
    let mut pairs = Vec::new();
    for start in blocks(count) {
        progress("comparing", start, count);
        let found = parallel(cores, BLOCK.min(count - start), |at| {
            search.original(start + at)
        });
        pairs.extend(found.into_iter().flatten());
    }
    Ok(Duplicates { pairs, is_complete })
}

/// A warning if images are exact copies of images in an earlier split. `None` also if the images are not in memory or more
/// than [`MOST_COMPARED`]: then only `data check` looks for copies.
///
/// # Errors
/// If images cannot be read.
pub fn leak_warning(dataset: &Dataset) -> Result<Option<String>, DataError> {
    let places = places(dataset);
    let is_in_memory = matches!(**dataset.train.pixels(), Pixels::Memory { .. });
    if !is_in_memory || places.len() > MOST_COMPARED {
        return Ok(None);
    }
    let mut splits = HashMap::new();
    let mut leaked = BTreeMap::<Split, usize>::new();
    for Place { split, number, .. } in places {
        let pixels = dataset.split(split).pixels().image(number as usize)?;
        let first = *splits.entry(blake3::hash(&pixels)).or_insert(split);
        if first < split {
            *leaked.entry(split).or_default() += 1;
        }
    }
    let counts: Vec<String> = leaked
        .iter()
        .map(|(split, count)| {
            let (all, name) = (dataset.split(*split).len(), split.name());
            format!("{count} of {all} {name} images")
        })
        .collect();
    Ok((!counts.is_empty()).then(|| {
        format!(
            "{} are exact copies of images in an earlier split: results on them are optimistic; `epochtop data check` lists \
             them and near or mirrored ones, `epochtop eval --without-leaks` leaves them out",
            counts.join(" and ")
        )
    }))
}

/// All images, the training split first; within a split in the order of the dataset.
fn places(dataset: &Dataset) -> Vec<Place> {
    let of = |split: Split| {
        let images = dataset.split(split);
        let places = images.numbers().iter().zip(&images.labels);
        let mut places: Vec<Place> = places
            .map(|(&number, &label)| Place {
                split,
                number,
                label,
            })
            .collect();
        places.sort_unstable_by_key(|place| place.number);
        places
    };
    [Split::Train, Split::Valid, Split::Test].map(of).concat()
}

/// For each image the index of the first one with the same pixels.
fn firsts(sketches: &[Sketch]) -> Vec<usize> {
    let mut known = HashMap::new();
    let first = |(at, sketch): (usize, &Sketch)| *known.entry(sketch.pixels).or_insert(at);
    sketches.iter().enumerate().map(first).collect()
}

/// What is searched for duplicates.
struct Search {
    places: Vec<Place>,
    sketches: Vec<Sketch>,
    hashes: Vec<Hashes>,
    firsts: Vec<usize>,
    is_complete: bool,
}

impl Search {
    /// The image that image `at` duplicates, if there is one before it.
    fn original(&self, at: usize) -> Option<Duplicate> {
        let first = *self.firsts.get(at)?;
        let exact = (first < at).then(|| self.duplicate(at, first, Likeness::Exact, 0.0));
        let exact = exact.flatten();
        if !self.is_complete {
            return exact;
        }
        let candidates = Arch::new().dispatch(Candidates {
            hashes: *self.hashes.get(at)?,
            others: self.hashes.get(..at)?,
        });
        let near = candidates.into_iter().filter_map(|of| self.near(at, of));
        near.chain(exact).min_by(by_importance)
    }

    /// The duplicate, if two images are not the same, but nearly.
    fn near(&self, at: usize, of: usize) -> Option<Duplicate> {
        if self.firsts.get(at) == self.firsts.get(of) {
            return None;
        }
        let (sketch, other) = (self.sketches.get(at)?, self.sketches.get(of)?);
        let most = NEAR.min(NEAR_OF_CONTRAST * sketch.contrast.min(other.contrast));
        let (plain, mirrored) = (sketch.difference(other), sketch.mirrored_difference(other));
        let (likeness, difference) = if plain <= mirrored {
            (Likeness::Near, plain)
        } else {
            (Likeness::Mirrored, mirrored)
        };
        (difference <= most)
            .then(|| self.duplicate(at, of, likeness, difference))
            .flatten()
    }

    fn duplicate(
        &self,
        at: usize,
        of: usize,
        likeness: Likeness,
        difference: f32,
    ) -> Option<Duplicate> {
        Some(Duplicate {
            image: *self.places.get(at)?,
            of: *self.places.get(of)?,
            likeness,
            difference,
        })
    }
}

/// An original in an earlier split first, then the more similar one.
fn by_importance(a: &Duplicate, b: &Duplicate) -> Ordering {
    let key = |pair: &Duplicate| (pair.of.split, pair.likeness);
    key(a)
        .cmp(&key(b))
        .then(a.difference.total_cmp(&b.difference))
}

#[cfg(test)]
mod tests;
