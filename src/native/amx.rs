//! The weight gradient of a convolution on the CPU's tile unit, AMX (`amx.cpp`).
#![expect(unsafe_code, reason = "calls into C++ that works on slices")]

use std::ffi::c_int;
use std::sync::OnceLock;

use super::memory::Bf16;
use super::parallel::for_chunks;

/// A convolution with stride 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Convolution {
    /// Height of the input.
    pub(crate) height: usize,
    /// Width of the input.
    pub(crate) width: usize,
    /// Number of input channels.
    pub(crate) inputs: usize,
    /// Number of output channels.
    pub(crate) outputs: usize,
    /// Side length of the kernel.
    pub(crate) kernel: usize,
    /// Number of zeros added on each side of the input.
    pub(crate) padding: usize,
}

// SAFETY: the signatures and the layout of `Convolution` match amx.cpp.
unsafe extern "C" {
    fn epochtop_amx_available() -> c_int;
    fn epochtop_amx_scratch(convolution: *const Convolution) -> usize;
    fn epochtop_amx_weight_gradient(
        convolution: *const Convolution,
        images: usize,
        input: *const Bf16,
        gradient: *const Bf16,
        sums: *mut f32,
        scratch: *mut u16,
    );
}

impl Convolution {
    /// Number of output elements per image.
    fn output(self) -> usize {
        let side = |n: usize| n + 2 * self.padding + 1 - self.kernel;
        side(self.height) * side(self.width) * self.outputs
    }

    /// Number of input elements per image.
    fn input(self) -> usize {
        self.height * self.width * self.inputs
    }

    /// Whether this CPU has AMX and the numbers of channels are multiples of its tile size.
    pub(crate) fn is_supported(self) -> bool {
        static AVAILABLE: OnceLock<bool> = OnceLock::new();
        // SAFETY: queries the CPU and requests permission from the operating system; it has no other effect.
        let available = *AVAILABLE.get_or_init(|| unsafe { epochtop_amx_available() } != 0);
        let fits = self.kernel <= self.height + 2 * self.padding
            && self.kernel <= self.width + 2 * self.padding;
        available && fits && self.inputs.is_multiple_of(16) && self.outputs.is_multiple_of(16)
    }

    /// The gradient of the weight (out, in, k, k) of this convolution, from its input and the gradient of its output,
    /// both (image, row, column, channel). The images are divided into `threads` parts, whose gradients are added in
    /// order.
    ///
    /// # Panics
    /// If the convolution is not supported or a slice has the wrong length.
    pub(crate) fn weight_gradient(
        self,
        images: usize,
        input: &[Bf16],
        gradient: &[Bf16],
        threads: usize,
    ) -> Vec<f32> {
        assert!(
            self.is_supported()
                && input.len() == images * self.input()
                && gradient.len() == images * self.output(),
            "{self:?}, {images} images: {} input and {} gradient elements",
            input.len(),
            gradient.len()
        );
        let size = self.kernel * self.kernel * self.inputs * self.outputs;
        let threads = threads.clamp(1, images.max(1));
        // SAFETY: only reads `self`.
        let scratch = unsafe { epochtop_amx_scratch(&raw const self) };
        let mut sums = vec![0.0_f32; threads * size];
        let mut buffers = vec![0_u16; threads * scratch];
        for_chunks(threads, &mut sums, &mut buffers, |thread, sums, scratch| {
            let first = images * thread / threads;
            let count = images * (thread + 1) / threads - first;
            // SAFETY: both slices contain `count` images from `first`, as their lengths were checked above. `sums` and
            // `scratch` have the required lengths and are exclusive to this call. AMX is available, as also checked
            // above.
            unsafe {
                epochtop_amx_weight_gradient(
                    &raw const self,
                    count,
                    input.as_ptr().add(first * self.input()),
                    gradient.as_ptr().add(first * self.output()),
                    sums.as_mut_ptr(),
                    scratch.as_mut_ptr(),
                );
            }
        });
        self.sum_parts(&sums, size)
    }

    /// The sum of the parts, each (k, k, out, in), in PyTorch's order (out, in, k, k).
    fn sum_parts(self, parts: &[f32], size: usize) -> Vec<f32> {
        let (taps, (inputs, outputs)) = (self.kernel * self.kernel, (self.inputs, self.outputs));
        let mut out = vec![0.0; size];
        for part in parts.chunks_exact(size.max(1)) {
            for (tap, matrix) in part.chunks_exact(inputs * outputs).enumerate() {
                for (pair, value) in matrix.iter().enumerate() {
                    out[pair * taps + tap] += value;
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::native::{convolution_backward, slice};
    use tch::{Device, Kind, Tensor};

    /// Random bf16 values, (N, H, W, C).
    fn random(shape: [i64; 4]) -> Tensor {
        Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(Kind::BFloat16)
    }

    #[test]
    fn weight_gradient_agrees_with_libtorch_in_f32() {
        let shapes = [
            // height, width, inputs, outputs, kernel, padding, images
            (7, 7, 32, 64, 3, 1, 19),
            (5, 9, 48, 16, 3, 1, 3),
            (14, 14, 16, 96, 3, 1, 2),
            (8, 6, 32, 32, 3, 0, 9),
            (9, 9, 16, 32, 5, 2, 1),
            (4, 4, 48, 48, 1, 0, 8),
        ];
        for (height, width, inputs, outputs, kernel, padding, images) in shapes {
            let convolution = Convolution {
                height,
                width,
                inputs,
                outputs,
                kernel,
                padding,
            };
            if !convolution.is_supported() {
                return; // this CPU has no AMX, so the code is not used
            }
            let side = |n: usize| (n + 2 * padding + 1 - kernel) as i64;
            let input = random([images, height as i64, width as i64, inputs as i64]);
            let gradient = random([images, side(height), side(width), outputs as i64]);
            let nchw = |t: &Tensor| t.to_kind(Kind::Float).permute([0, 3, 1, 2]);
            let weight = Tensor::zeros(
                [outputs as i64, inputs as i64, kernel as i64, kernel as i64],
                (Kind::Float, Device::Cpu),
            );
            let (_, expected) = convolution_backward(
                &nchw(&gradient),
                &nchw(&input),
                &weight,
                padding as i64,
                (false, true),
            );
            let expected: Vec<f32> = expected
                .unwrap()
                .contiguous()
                .view([-1])
                .try_into()
                .unwrap();
            for threads in [1, 2, 3] {
                let got = convolution.weight_gradient(
                    images as usize,
                    slice(&input),
                    slice(&gradient),
                    threads,
                );
                let far = got
                    .iter()
                    .zip(&expected)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                assert!(far < 1e-3, "{convolution:?}, {threads} threads: {far} off");
            }
        }
    }
}
