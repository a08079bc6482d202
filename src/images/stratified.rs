//! The stratified validation split.

use crate::random::Random;

/// Selects `valid` images for validation such that every class has the same proportion in both splits. Returns the
/// indices of (train, valid), each in a random order that depends only on `seed`.
///
/// Each class contributes the floor of its proportional share; the remaining images come from the classes with the
/// largest remainders (Hamilton's method). At least one image of each class stays in the training split.
pub(super) fn stratified(
    labels: &[u16],
    classes: usize,
    valid: usize,
    seed: u64,
) -> (Vec<usize>, Vec<usize>) {
    let mut by_class = vec![Vec::new(); classes];
    for (index, &label) in labels.iter().enumerate() {
        if let Some(members) = by_class.get_mut(usize::from(label)) {
            members.push(index);
        }
    }
    let quotas = quotas(&by_class.iter().map(Vec::len).collect::<Vec<_>>(), valid);
    let mut random = Random::new(&[seed, u64::from_le_bytes(*b"validate")]);
    let (mut train, mut chosen) = (Vec::with_capacity(labels.len()), Vec::with_capacity(valid));
    for (members, quota) in by_class.iter_mut().zip(quotas) {
        random.shuffle(members);
        let cut = quota.min(members.len().saturating_sub(1));
        chosen.extend_from_slice(members.get(..cut).unwrap_or_default());
        train.extend_from_slice(members.get(cut..).unwrap_or_default());
    }
    random.shuffle(&mut train);
    random.shuffle(&mut chosen);
    (train, chosen)
}

/// The indices of `count` images in a random order that depends only on `seed`.
pub(super) fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..count).collect();
    Random::new(&[seed, u64::from_le_bytes(*b"validate")]).shuffle(&mut indices);
    indices
}

fn quotas(sizes: &[usize], wanted: usize) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    if total == 0 {
        return vec![0; sizes.len()];
    }
    let wanted = wanted.min(total);
    let mut quotas: Vec<usize> = sizes
        .iter()
        .map(|size| (*size as u128 * wanted as u128 / total as u128) as usize)
        .collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&class| {
        let size = sizes.get(class).copied().unwrap_or(0) as u128;
        (
            std::cmp::Reverse(size * wanted as u128 % total as u128),
            class,
        )
    });
    let missing = wanted - quotas.iter().sum::<usize>();
    for &class in order.iter().take(missing) {
        if let Some(quota) = quotas.get_mut(class) {
            *quota += 1;
        }
    }
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fashion_mnist_gives_500_of_each_class() {
        let labels: Vec<u16> = (0..60_000).map(|i| (i % 10) as u16).collect();
        let (train, valid) = stratified(&labels, 10, 5000, 1);
        for class in 0..10 {
            assert_eq!(valid.iter().filter(|&&i| labels[i] == class).count(), 500);
            assert_eq!(train.iter().filter(|&&i| labels[i] == class).count(), 5500);
        }
    }

    proptest! {
        #[test]
        fn splits_are_disjoint_complete_and_stratified(
            labels in prop::collection::vec(0_u16..4, 8..400),
            valid in 1_usize..200,
            seed: u64,
        ) {
            let (train, chosen) = stratified(&labels, 4, valid, seed);
            let mut all = [train.clone(), chosen.clone()].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
            prop_assert_eq!(stratified(&labels, 4, valid, seed), (train, chosen.clone()));
            for class in 0..4 {
                let size = (0..labels.len()).filter(|&i| labels[i] == class).count();
                let got = chosen.iter().filter(|&&i| labels[i] == class).count();
                let fair = size as f64 * valid.min(labels.len()) as f64 / labels.len() as f64;
                prop_assert!(got as f64 <= fair + 1.0 && (got as f64 >= fair - 1.0 || got + 1 == size));
            }
        }
    }
}
