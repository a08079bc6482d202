//! Random numbers that are determined by a key of 64-bit words, identical on all machines and in all releases.
//!
//! The random numbers of a step or an epoch must be a pure function of (seed, rank, step). So generators are created
//! where they are needed, and their state is never stored. The generator is our own because a crate may change its
//! shuffling between releases, which would change every run.

use std::collections::BTreeMap;

/// `SplitMix64` (Steele, Lea & Flood 2014): 64 bits of state, passes `BigCrush`. Used for shuffling and seeding.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The generator for a key.
    pub fn new(words: &[u64]) -> Self {
        let mut random = Self {
            state: 0x6570_6f63_6874_6f70,
        };
        for &word in words {
            random.state ^= word;
            random.state = random.next();
        }
        random
    }

    /// The next 64 bits.
    #[expect(
        clippy::should_implement_trait,
        reason = "an endless stream needs no Option"
    )]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`, by multiplication (Lemire 2019; the bias, below 2⁻³², is negligible here). Returns 0 if
    /// `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A number in [0, 1) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Shuffles the items (Fisher & Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// The order in which an epoch visits `n` images.
pub fn epoch_order(seed: u64, epoch: u32, n: usize) -> Vec<i64> {
    let mut order: Vec<i64> = (0..n as i64).collect();
    Random::new(&[seed, u64::from_le_bytes(*b"epochs__"), u64::from(epoch)]).shuffle(&mut order);
    order
}

/// The order in which an epoch visits as many images as there are labels, with each class that has images equally often
/// (their numbers differ by at most 1). Within a class, each image is visited equally often (by at most 1).
pub fn balanced_order(seed: u64, epoch: u32, labels: &[u16]) -> Vec<i64> {
    let random = &mut Random::new(&[seed, u64::from_le_bytes(*b"balanced"), u64::from(epoch)]);
    let mut classes: BTreeMap<u16, Vec<i64>> = BTreeMap::new();
    for (image, label) in labels.iter().enumerate() {
        classes.entry(*label).or_default().push(image as i64);
    }
    let mut classes: Vec<Vec<i64>> = classes.into_values().collect();
    // The first classes have one image more if the numbers do not divide.
    random.shuffle(&mut classes);
    let (share, rest) = (
        labels.len() / classes.len().max(1),
        labels.len() % classes.len().max(1),
    );
    let mut order = Vec::with_capacity(labels.len());
    for (number, mut images) in classes.into_iter().enumerate() {
        random.shuffle(&mut images);
        let count = share + usize::from(number < rest);
        order.extend(images.iter().cycle().take(count));
    }
    random.shuffle(&mut order);
    order
}

/// The key of the [`Random`] generator for the augmentation of a step's batch.
pub fn augment_words(seed: u64, rank: u64, global_step: u64) -> [u64; 4] {
    [seed, u64::from_le_bytes(*b"augment_"), rank, global_step]
}

/// The seed of libtorch's generator for a step, which it uses for dropout.
pub fn step_seed(seed: u64, rank: u64, global_step: u64) -> i64 {
    // libtorch's CPU generator uses only 32 bits of the seed, so we pass the high half, which is mixed better.
    (Random::new(&[seed, u64::from_le_bytes(*b"one_step"), rank, global_step]).next() >> 32) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splitmix64_matches_the_reference() {
        // C reference of SplitMix64 with state 1234567: 6457827717110365317, 3203168211198807973, …
        let mut random = Random { state: 1_234_567 };
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn neighbouring_keys_give_different_streams() {
        let seeds: std::collections::BTreeSet<i64> = (0..100)
            .flat_map(|seed| (0..100).map(move |step| step_seed(seed, 0, step)))
            .collect();
        assert_eq!(seeds.len(), 10_000);
        assert_ne!(epoch_order(1, 1, 50), epoch_order(1, 2, 50));
    }

    proptest! {
        #[test]
        fn a_balanced_epoch_has_each_class_and_each_image_of_a_class_equally_often(
            seed: u64,
            epoch: u32,
            labels in proptest::collection::vec(0_u16..5, 1..200),
        ) {
            let order = balanced_order(seed, epoch, &labels);
            prop_assert_eq!(&order, &balanced_order(seed, epoch, &labels));
            prop_assert_eq!(order.len(), labels.len());
            let mut visits = vec![0_usize; labels.len()];
            order.iter().for_each(|image| visits[*image as usize] += 1);
            let differ_by_one = |counts: &[usize]| {
                let (least, most) = (counts.iter().min(), counts.iter().max());
                least.zip(most).is_none_or(|(least, most)| most - least <= 1)
            };
            let mut of_classes = Vec::new();
            for class in 0..5 {
                let of_images: Vec<usize> =
                    visits.iter().zip(&labels).filter(|(_, l)| **l == class).map(|(v, _)| *v).collect();
                prop_assert!(differ_by_one(&of_images));
                of_classes.extend((!of_images.is_empty()).then(|| of_images.iter().sum::<usize>()));
            }
            prop_assert!(differ_by_one(&of_classes), "{:?}", of_classes);
        }

        #[test]
        fn epoch_order_is_a_permutation(seed: u64, epoch: u32, n in 0_usize..500) {
            let mut order = epoch_order(seed, epoch, n);
            prop_assert_eq!(&order, &epoch_order(seed, epoch, n));
            order.sort_unstable();
            prop_assert_eq!(order, (0..n as i64).collect::<Vec<_>>());
        }
    }
}
