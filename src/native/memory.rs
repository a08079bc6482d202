//! A CPU tensor's memory as a slice.
#![expect(unsafe_code, reason = "tch hands out a pointer, not a slice")]

use tch::{Device, Kind, Tensor};

/// A number of 16 bits with the exponent of an f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub(crate) struct Bf16(pub(crate) u16);

/// A type that libtorch stores.
pub(crate) trait Stored: Copy + Send + Sync + 'static {
    /// libtorch's name of it.
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

/// A tensor without values for images, positions and channels in the order of memory: (N, H, W, C), contiguous.
pub(crate) fn empty_nhwc(shape: [i64; 4], kind: Kind) -> Tensor {
    Tensor::empty(shape, (kind, Device::Cpu))
}

fn check<T: Stored>(tensor: &Tensor) -> usize {
    assert!(
        tensor.device() == Device::Cpu && tensor.kind() == T::KIND && tensor.is_contiguous(),
        "expected a contiguous {:?} on the CPU, got {:?} of strides {:?} on {:?}",
        T::KIND,
        tensor.kind(),
        tensor.stride(),
        tensor.device()
    );
    tensor.numel()
}

/// The numbers of a contiguous CPU tensor.
pub(crate) fn slice<T: Stored>(tensor: &Tensor) -> &[T] {
    let count = check::<T>(tensor);
    if count == 0 {
        return &[];
    }
    // SAFETY: the tensor is contiguous, of type T, on the CPU and borrowed for as long as the slice. All bit patterns
    // are valid for the types that are `Stored`. Nothing writes to it meanwhile: tensors live on one thread, and the
    // kernels that run on several get disjoint outputs.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<T>(), count) }
}

/// The numbers of a contiguous CPU tensor, to write. Its storage must be its own: fresh tensors are.
pub(crate) fn slice_mut<T: Stored>(tensor: &mut Tensor) -> &mut [T] {
    let count = check::<T>(tensor);
    if count == 0 {
        return &mut [];
    }
    // SAFETY: as in `slice`, and the tensor is borrowed mutably.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<T>(), count) }
}
