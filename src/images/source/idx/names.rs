//! Names of files and classes of the data sets in IDX format.

use std::path::Path;

use super::super::super::DataError;
use super::super::super::fashion::has_fashion_labels;
use super::super::arrays::Layout;
use super::super::common::{Split, check_names, plain_name, wrong};
use super::Set;
use crate::config::FASHION;

/// Class names of Fashion-MNIST, by label.
const FASHION_CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// Longest list of class names of EMNIST, bytes; the longest published one has 62 lines.
const LONGEST_MAPPING: u64 = 64 << 10;

/// A splitting of EMNIST into classes and images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Emnist {
    Balanced,
    ByClass,
    ByMerge,
    Digits,
    Letters,
    Mnist,
}

impl Emnist {
    const ALL: [Self; 6] = [
        Self::Balanced,
        Self::ByClass,
        Self::ByMerge,
        Self::Digits,
        Self::Letters,
        Self::Mnist,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::ByClass => "byclass",
            Self::ByMerge => "bymerge",
            Self::Digits => "digits",
            Self::Letters => "letters",
            Self::Mnist => "mnist",
        }
    }

    /// The classes as its authors number them, for a directory without their list.
    fn classes(self) -> Vec<String> {
        let one = |letters: &str| letters.chars().map(String::from).collect();
        match self {
            Self::Digits | Self::Mnist => one("0123456789"),
            Self::Letters => ('A'..='Z')
                .map(|letter| format!("{letter}{}", letter.to_ascii_lowercase()))
                .collect(),
            Self::ByClass => one("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
            // Lower-case letters that look like their capitals are merged with them.
            Self::Balanced | Self::ByMerge => {
                one("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
            }
        }
    }
}

/// A family of file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// MNIST, Fashion-MNIST, KMNIST and other data in the files of MNIST.
    Classic,
    /// QMNIST: labels of eight columns.
    Qmnist,
    /// EMNIST: images stored transposed.
    Emnist(Emnist),
}

impl Family {
    /// All families.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let emnist = Emnist::ALL.into_iter().map(Self::Emnist);
        [Self::Classic, Self::Qmnist].into_iter().chain(emnist)
    }

    /// The name of the data set, if the files name it.
    pub(super) fn title(self) -> Option<String> {
        match self {
            Self::Classic => None,
            Self::Qmnist => Some("QMNIST".to_owned()),
            Self::Emnist(split) => Some(format!("emnist-{}", split.name())),
        }
    }

    /// Whether a plain name is the short name of a splitting of EMNIST.
    pub(super) fn is_split(self, plain: &str) -> bool {
        matches!(self, Self::Emnist(split) if plain_name(split.name()) == plain)
    }

    /// The name of the image file of a split, without an optional `.gz`.
    pub(super) fn images(self, split: Split) -> String {
        format!("{}-images-idx3-ubyte", self.prefix(split))
    }

    /// The name of the label file of a split, without an optional `.gz`.
    pub(super) fn labels(self, split: Split) -> String {
        let kind = match self {
            Self::Qmnist => "idx2-int",
            Self::Classic | Self::Emnist(_) => "idx1-ubyte",
        };
        format!("{}-labels-{kind}", self.prefix(split))
    }

    fn prefix(self, split: Split) -> String {
        let is_train = split == Split::Train;
        let word = if is_train { "train" } else { "test" };
        match self {
            Self::Classic if is_train => "train".to_owned(),
            Self::Classic => "t10k".to_owned(),
            Self::Qmnist => format!("qmnist-{word}"),
            Self::Emnist(split) => format!("emnist-{}-{word}", split.name()),
        }
    }

    /// Order of the pixels of an image.
    pub(super) fn layout(self) -> Layout {
        match self {
            Self::Classic | Self::Qmnist => Layout::ChannelsFirst,
            Self::Emnist(_) => Layout::Transposed,
        }
    }

    /// Channels, height and width of images with this shape in the file.
    pub(super) fn upright(self, (channels, height, width): (u32, u32, u32)) -> (u32, u32, u32) {
        match self {
            Self::Classic | Self::Qmnist => (channels, height, width),
            Self::Emnist(_) => (channels, width, height),
        }
    }

    /// What is done with files of this family, as a sentence without its full stop.
    pub(super) fn conventions(self) -> &'static str {
        match self {
            Self::Classic => "images and labels as they are",
            Self::Qmnist => "the first of eight columns of the labels is the class",
            Self::Emnist(Emnist::Letters) => {
                "images are stored transposed and are turned upright; labels begin at 1, the first class is 0 here"
            }
            Self::Emnist(_) => "images are stored transposed and are turned upright",
        }
    }

    /// The class indices for the labels in a file.
    pub(super) fn class_indices(self, file: &Path, labels: &[u16]) -> Result<Vec<u16>, DataError> {
        if self != Self::Emnist(Emnist::Letters) {
            return Ok(labels.to_vec());
        }
        let index = |(image, label): (usize, &u16)| {
            label.checked_sub(1).ok_or_else(|| {
                let what = format!("label 0 of image {image} is out of range: expected 1 to 26");
                wrong(file, what)
            })
        };
        labels.iter().enumerate().map(index).collect()
    }
}

/// Class names of a data set without `classes.txt`; `None` if they are unknown.
///
/// # Errors
/// If the list of an EMNIST data set cannot be read.
pub(super) fn classes_of(set: &Set, name: &str) -> Result<Option<Vec<String>>, DataError> {
    let names = match set.family {
        Family::Emnist(split) => Some(mapping(set, split)?.unwrap_or_else(|| split.classes())),
        Family::Classic => {
            // The name was once the default: it says nothing about a directory with the name of another data set.
            let is_named = name == FASHION && !has_other_name(&set.dir);
            let is_fashion = is_named || name.is_empty() && has_fashion_labels(&set.dir);
            is_fashion.then(|| FASHION_CLASSES.map(str::to_owned).to_vec())
        }
        Family::Qmnist => None,
    };
    Ok(names)
}

/// Whether a directory is torchvision's for MNIST or KMNIST.
fn has_other_name(dir: &Path) -> bool {
    dir.ends_with("MNIST/raw") || dir.ends_with("KMNIST/raw")
}

/// The classes in `emnist-NAME-mapping.txt`: a label and the ASCII codes of its characters on each line.
fn mapping(set: &Set, split: Emnist) -> Result<Option<Vec<String>>, DataError> {
    let path = set.dir.join(format!("emnist-{}-mapping.txt", split.name()));
    let Ok(meta) = path.metadata() else {
        return Ok(None);
    };
    if !meta.is_file() || meta.len() > LONGEST_MAPPING {
        return Err(wrong(&path, "expected a small text file"));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(&path, error))?;
    let first = u32::from(split == Emnist::Letters);
    let mut names = Vec::new();
    for (index, line) in text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .enumerate()
    {
        let numbers = line.split_whitespace().map(|word| word.parse::<u32>().ok());
        let name = match numbers.collect::<Option<Vec<u32>>>().as_deref() {
            Some([label, codes @ ..]) if *label == index as u32 + first => {
                let letters = codes.iter().map(|code| char::from_u32(*code));
                letters.collect::<Option<String>>()
            }
            _ => None,
        };
        names.push(name.ok_or_else(|| {
            let label = index as u32 + first;
            let expected = format!("expected the label {label} and the codes of its characters");
            DataError(format!(
                "{}:{}: {line:?}: {expected}",
                path.display(),
                index + 1
            ))
        })?);
    }
    check_names(&path, &names)?;
    Ok(Some(names))
}
