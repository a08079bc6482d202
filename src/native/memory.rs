//! Access to a CPU tensor's memory as a slice.
#![expect(unsafe_code, reason = "tch returns a pointer, not a slice")]

use tch::{Device, Kind, Tensor};

/// A bfloat16 value: the upper 16 bits of an f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub(crate) struct Bf16(pub(crate) u16);

/// An element type of libtorch tensors.
pub(crate) trait Stored: Copy + Send + Sync + 'static {
    /// Its dtype in libtorch.
    const KIND: Kind;
}

impl Stored for f32 {
    const KIND: Kind = Kind::Float;
}
impl Stored for Bf16 {
    const KIND: Kind = Kind::BFloat16;
}
impl Stored for u8 {
    const KIND: Kind = Kind::Uint8;
}

/// An uninitialised contiguous CPU tensor of shape (N, H, W, C).
pub(crate) fn empty_nhwc(shape: [i64; 4], kind: Kind) -> Tensor {
    Tensor::empty(shape, (kind, Device::Cpu))
}

fn check<T: Stored>(tensor: &Tensor) -> usize {
    assert!(
        tensor.device() == Device::Cpu && tensor.kind() == T::KIND && tensor.is_contiguous(),
        "expected a contiguous {:?} tensor on the CPU, got {:?} with strides {:?} on {:?}",
        T::KIND,
        tensor.kind(),
        tensor.stride(),
        tensor.device()
    );
    tensor.numel()
}

/// The elements of a contiguous CPU tensor.
///
/// # Panics
/// If the tensor is not contiguous, not on the CPU, or has another dtype.
pub(crate) fn slice<T: Stored>(tensor: &Tensor) -> &[T] {
    let count = check::<T>(tensor);
    if count == 0 {
        return &[];
    }
    // SAFETY: the tensor is contiguous, of type T, on the CPU and borrowed for the lifetime of the slice. All bit
    // patterns are valid for the `Stored` types. Nothing writes to it during that time: tensors are used on one thread
    // only, and the kernels that use several threads have disjoint outputs.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<T>(), count) }
}

/// The elements of a contiguous CPU tensor, mutably. No other tensor may share its storage; this holds for new tensors.
///
/// # Panics
/// As for [`slice`].
pub(crate) fn slice_mut<T: Stored>(tensor: &mut Tensor) -> &mut [T] {
    let count = check::<T>(tensor);
    if count == 0 {
        return &mut [];
    }
    // SAFETY: as for `slice`, and the tensor is borrowed mutably.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<T>(), count) }
}
