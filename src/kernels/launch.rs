//! Launching a kernel: compiled for the widest vectors of the CPU, with a group size that suits the number of channels.

use std::cell::RefCell;

use pulp::{Arch, NullaryFnOnce};

/// A loop over groups of `L` channels; if `W`, all groups are full. `run` must be inlined, otherwise it is compiled for
/// the baseline CPU.
pub(super) trait Kernel {
    /// Runs the kernel.
    fn run<const L: usize, const W: bool>(self);
}

struct ByLanes<K> {
    kernel: K,
    channels: usize,
}

impl<K: Kernel> NullaryFnOnce for ByLanes<K> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        if self.channels.is_multiple_of(32) {
            self.kernel.run::<32, true>();
        } else if self.channels.is_multiple_of(16) {
            self.kernel.run::<16, true>();
        } else {
            self.kernel.run::<16, false>();
        }
    }
}

/// Runs a kernel over `channels` channels.
pub(super) fn launch(channels: usize, kernel: impl Kernel) {
    Arch::new().dispatch(ByLanes { kernel, channels });
}

/// Defines a [`Kernel`] that calls a function with these arguments. A closure cannot be used, as it cannot be marked
/// for inlining.
macro_rules! kernel {
    ($name:ident = $function:ident($($argument:ident: $kind:ty),*)) => {
        struct $name<'a, T> {
            $($argument: $kind,)*
        }

        impl<T: $crate::kernels::Element> $crate::kernels::launch::Kernel for $name<'_, T> {
            #[inline(always)]
            fn run<const L: usize, const W: bool>(self) {
                $function::<T, L, W>($(self.$argument),*);
            }
        }
    };
}
pub(super) use kernel;

thread_local! {
    /// Reusable buffer, such as for the dz of a group of channels of one image. It stays in the cache, and an
    /// allocation per image would be slower.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Calls `body` with a buffer of `length` elements with arbitrary contents.
pub(super) fn with_scratch<R>(length: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < length {
            scratch.resize(length, 0.0);
        }
        body(&mut scratch[..length])
    })
}
