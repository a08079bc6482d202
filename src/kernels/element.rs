//! What is stored, f32 or bf16, and what is computed with, always f32.

use crate::native::{Bf16, Stored};

/// A number as activations are stored.
pub(crate) trait Element: Stored {
    /// Its value.
    fn widen(self) -> f32;
    /// The nearest there is, ties to even.
    fn narrow(value: f32) -> Self;
}

impl Element for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
    #[inline(always)]
    fn narrow(value: f32) -> Self {
        value
    }
}

impl Element for Bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
    #[inline(always)]
    fn narrow(value: f32) -> Self {
        // Half of the last place, a little less where the last bit is even. NaN stays NaN: the quiet NaN that arithmetic
        // makes has room below the bits that are kept.
        let bits = value.to_bits();
        Self((bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16)
    }
}

/// `L` channels from the start of `row`. Where groups are not whole (`W` is false) those beyond its end are 0. The two
/// are told apart when compiling: a loop that could do both would do neither in wide vectors.
#[inline(always)]
pub(super) fn load<T: Element, const L: usize, const W: bool>(row: &[T]) -> [f32; L] {
    let mut out = [0.0; L];
    if W {
        let Some(whole) = row.first_chunk::<L>() else {
            unreachable!("a group that is not whole")
        };
        for (to, from) in out.iter_mut().zip(whole) {
            *to = from.widen();
        }
    } else {
        for (to, from) in out.iter_mut().zip(row) {
            *to = from.widen();
        }
    }
    out
}

/// Stores `L` channels, or as many as `row` has room for where groups are not whole.
#[inline(always)]
pub(super) fn store<T: Element, const L: usize, const W: bool>(row: &mut [T], values: &[f32; L]) {
    if W {
        let Some(whole) = row.first_chunk_mut::<L>() else {
            unreachable!("a group that is not whole")
        };
        for (to, from) in whole.iter_mut().zip(values) {
            *to = T::narrow(*from);
        }
    } else {
        for (to, from) in row.iter_mut().zip(values) {
            *to = T::narrow(*from);
        }
    }
}

/// Part of a row of channels that is group `first..first + L`.
#[inline(always)]
pub(super) fn group<T, const L: usize>(row: &[T], first: usize) -> &[T] {
    row.get(first..row.len().min(first + L)).unwrap_or_default()
}

#[inline(always)]
pub(super) fn group_mut<T, const L: usize>(row: &mut [T], first: usize) -> &mut [T] {
    let end = row.len().min(first + L);
    row.get_mut(first..end).unwrap_or_default()
}

/// `out[l] = f(l)` for each channel of a group.
#[inline(always)]
pub(super) fn lanes<const L: usize>(f: impl Fn(usize) -> f32) -> [f32; L] {
    let mut out = [0.0; L];
    for (l, to) in out.iter_mut().enumerate() {
        *to = f(l);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_rounded_as_pytorch_rounds_it() {
        // torch.tensor([1.00390625, 1.01171875, 2.1415927, -0.1, 1e-40, 3.4e38, 3.3961775e38]).bfloat16().view(torch.int16)
        let cases = [
            (1.003_906_3_f32, 0x3f80_u16),
            (1.011_718_8, 0x3f82),
            (2.141_592_7, 0x4009),
            (-0.1, 0xbdcd),
            (1e-40, 0x0001),
            (3.4e38, 0x7f80),
            (f32::INFINITY, 0x7f80),
        ];
        for (value, bits) in cases {
            assert_eq!(Bf16::narrow(value).0, bits, "{value}");
        }
        assert!(Bf16::narrow(f32::NAN).widen().is_nan());
        assert!(Bf16::narrow(-f32::NAN).widen().is_nan());
    }

    #[test]
    fn a_group_that_is_not_whole_is_filled_with_zeros_and_stored_as_far_as_there_is_room() {
        assert_eq!(load::<f32, 4, false>(&[1.0, 2.0]), [1.0, 2.0, 0.0, 0.0]);
        let mut row = [0.0_f32; 3];
        store::<f32, 4, false>(&mut row, &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(row, [1.0, 2.0, 3.0]);
    }
}
