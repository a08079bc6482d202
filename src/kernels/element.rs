//! Conversion between the stored dtype of activations, f32 or bf16, and f32, in which everything is computed.

use crate::native::{Bf16, Stored};

/// An element type in which activations are stored.
pub(crate) trait Element: Stored {
    /// Converts to f32.
    fn widen(self) -> f32;
    /// Rounds to the nearest representable value, ties to even.
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
        // Adds half a unit in the last place, minus 1 if the last remaining bit is even. NaN stays NaN: the mantissa of
        // a quiet NaN, which is what arithmetic returns, does not overflow.
        let bits = value.to_bits();
        Self((bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16)
    }
}

/// Loads `L` channels from the start of `row`. If `W` is false, the group may be partial; channels beyond the end of
/// the row are 0. `W` is a compile-time parameter because one loop for both cases would not be vectorised.
#[inline(always)]
pub(super) fn load<T: Element, const L: usize, const W: bool>(row: &[T]) -> [f32; L] {
    let mut out = [0.0; L];
    if W {
        let Some(full) = row.first_chunk::<L>() else {
            unreachable!("a partial group with W = true")
        };
        for (to, from) in out.iter_mut().zip(full) {
            *to = from.widen();
        }
    } else {
        for (to, from) in out.iter_mut().zip(row) {
            *to = from.widen();
        }
    }
    out
}

/// Stores `L` channels at the start of `row`, or as many as fit if `W` is false.
#[inline(always)]
pub(super) fn store<T: Element, const L: usize, const W: bool>(row: &mut [T], values: &[f32; L]) {
    if W {
        let Some(full) = row.first_chunk_mut::<L>() else {
            unreachable!("a partial group with W = true")
        };
        for (to, from) in full.iter_mut().zip(values) {
            *to = T::narrow(*from);
        }
    } else {
        for (to, from) in row.iter_mut().zip(values) {
            *to = T::narrow(*from);
        }
    }
}

/// The channels `first..first + L` of a row, or fewer at its end.
#[inline(always)]
pub(super) fn group<T, const L: usize>(row: &[T], first: usize) -> &[T] {
    row.get(first..row.len().min(first + L)).unwrap_or_default()
}

#[inline(always)]
pub(super) fn group_mut<T, const L: usize>(row: &mut [T], first: usize) -> &mut [T] {
    let end = row.len().min(first + L);
    row.get_mut(first..end).unwrap_or_default()
}

/// The array of `f(l)` for each channel `l` of a group.
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
    fn bf16_is_rounded_as_in_pytorch() {
        // Expected values from PyTorch: torch.tensor([...]).bfloat16().view(torch.int16)
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
    fn partial_group_is_padded_with_zeros_and_stored_partially() {
        assert_eq!(load::<f32, 4, false>(&[1.0, 2.0]), [1.0, 2.0, 0.0, 0.0]);
        let mut row = [0.0_f32; 3];
        store::<f32, 4, false>(&mut row, &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(row, [1.0, 2.0, 3.0]);
    }
}
