//! How a kernel is started: compiled for the widest vectors the CPU has, with as many channels at once as suit it.

use std::cell::RefCell;

use pulp::{Arch, NullaryFnOnce};

/// A loop over groups of `L` channels, all of them whole if `W`. `run` must be inlined, or it is compiled for the oldest CPU.
pub(super) trait Kernel {
    /// Does the work.
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

/// Runs a kernel over this many channels.
pub(super) fn launch(channels: usize, kernel: impl Kernel) {
    Arch::new().dispatch(ByLanes { kernel, channels });
}

/// A [`Kernel`] that calls a function with these arguments. (A closure would do, could it be told to be inlined.)
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
    /// A group's dz of one image, in f32. It lives in the cache, and an allocation for each image would cost more.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Calls `body` with room for `length` numbers.
pub(super) fn with_scratch<R>(length: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < length {
            scratch.resize(length, 0.0);
        }
        body(&mut scratch[..length])
    })
}
