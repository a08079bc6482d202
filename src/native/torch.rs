//! Operations of libtorch that tch does not bind.
#![expect(unsafe_code, reason = "calls into C++ that tch does not bind")]

use std::ffi::{CStr, c_char, c_int};

use tch::Tensor;
use torch_sys::C_tensor;

// SAFETY: the signatures match native.cpp. `C_tensor` is tch's name for `at::Tensor`.
unsafe extern "C" {
    fn epochtop_error() -> *const c_char;
    fn epochtop_convolution_backward(
        gradient: *const C_tensor,
        input: *const C_tensor,
        weight: *const C_tensor,
        padding: i64,
        wants_input: bool,
        wants_weight: bool,
        input_gradient: *mut *mut C_tensor,
        weight_gradient: *mut *mut C_tensor,
    ) -> c_int;
    fn epochtop_fused_adam(
        decoupled: bool,
        count: usize,
        parameters: *const *const C_tensor,
        gradients: *const *const C_tensor,
        means: *const *const C_tensor,
        squares: *const *const C_tensor,
        steps: *const C_tensor,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        scale: *const C_tensor,
        skip: *const C_tensor,
    ) -> c_int;
    fn epochtop_fused_sgd(
        count: usize,
        parameters: *const *const C_tensor,
        gradients: *const *const C_tensor,
        velocities: *const *const C_tensor,
        lr: f64,
        momentum: f64,
        weight_decay: f64,
        nesterov: bool,
        scale: *const C_tensor,
        skip: *const C_tensor,
    ) -> c_int;
}

/// The error message of the last failed call on this thread.
pub(super) fn last_error() -> String {
    // SAFETY: the function returns a zero-terminated string that is valid until this thread's next call.
    let text = unsafe { CStr::from_ptr(epochtop_error()) };
    text.to_string_lossy().into_owned()
}

/// Panics with the same message format as tch's operations, so that both are handled in one place.
fn check(status: c_int) {
    assert!(status == 0, "Torch({:?})", last_error());
}

/// Gradients of a convolution with stride 1 and without bias with respect to its input and its weight. Only the
/// requested ones are computed.
///
/// # Panics
/// If libtorch reports an error, with its message, as tch's operations do.
pub(crate) fn convolution_backward(
    gradient: &Tensor,
    input: &Tensor,
    weight: &Tensor,
    padding: i64,
    (wants_input, wants_weight): (bool, bool),
) -> (Option<Tensor>, Option<Tensor>) {
    let (mut x, mut w) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the three tensors are alive and the two output pointers are valid. On success each requested output is a
    // new tensor with no other owner.
    unsafe {
        check(epochtop_convolution_backward(
            gradient.as_ptr(),
            input.as_ptr(),
            weight.as_ptr(),
            padding,
            wants_input,
            wants_weight,
            &raw mut x,
            &raw mut w,
        ));
        (
            wants_input.then(|| Tensor::from_ptr(x)),
            wants_weight.then(|| Tensor::from_ptr(w)),
        )
    }
}

/// Hyperparameters of one step of Adam or AdamW.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamStep {
    /// AdamW (decoupled weight decay) if true, Adam (decay added to the gradient) if false.
    pub(crate) decoupled: bool,
    pub(crate) lr: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) weight_decay: f64,
    pub(crate) eps: f64,
}

/// Hyperparameters of one step of SGD.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SgdStep {
    pub(crate) lr: f64,
    pub(crate) momentum: f64,
    pub(crate) weight_decay: f64,
    pub(crate) nesterov: bool,
}

/// Addresses of tensors. The vector must not outlive them; all callers in this file ensure that.
fn addresses(tensors: &[Tensor]) -> Vec<*const C_tensor> {
    tensors.iter().map(Tensor::as_ptr).collect()
}

/// Updates the parameters in place with the kernel of `torch.optim.Adam(W)(fused=True)`. The gradients are divided by
/// `scale`. If `skip` is 1, nothing changes. `steps` is the number of this step, from 1. All three are f32 scalars.
pub(crate) fn fused_adam(
    numbers: AdamStep,
    parameters: &[Tensor],
    gradients: &[Tensor],
    (means, squares): (&[Tensor], &[Tensor]),
    steps: &Tensor,
    (scale, skip): (&Tensor, &Tensor),
) {
    let count = parameters.len();
    assert!(
        [gradients.len(), means.len(), squares.len()] == [count; 3],
        "the numbers of gradients and moments must match the number of parameters"
    );
    let _guard = tch::no_grad_guard();
    // SAFETY: every list has `count` tensors, and they outlive the call.
    unsafe {
        check(epochtop_fused_adam(
            numbers.decoupled,
            count,
            addresses(parameters).as_ptr(),
            addresses(gradients).as_ptr(),
            addresses(means).as_ptr(),
            addresses(squares).as_ptr(),
            steps.as_ptr(),
            numbers.lr,
            numbers.beta1,
            numbers.beta2,
            numbers.weight_decay,
            numbers.eps,
            scale.as_ptr(),
            skip.as_ptr(),
        ));
    }
}

/// Updates the parameters in place with the kernel of `torch.optim.SGD(fused=True)`. `scale` and `skip` are as for
/// [`fused_adam`].
pub(crate) fn fused_sgd(
    numbers: SgdStep,
    parameters: &[Tensor],
    gradients: &[Tensor],
    velocities: &[Tensor],
    (scale, skip): (&Tensor, &Tensor),
) {
    let count = parameters.len();
    assert!(
        [gradients.len(), velocities.len()] == [count; 2],
        "the numbers of gradients and velocities must match the number of parameters"
    );
    let _guard = tch::no_grad_guard();
    // SAFETY: every list has `count` tensors, and they outlive the call.
    unsafe {
        check(epochtop_fused_sgd(
            count,
            addresses(parameters).as_ptr(),
            addresses(gradients).as_ptr(),
            addresses(velocities).as_ptr(),
            numbers.lr,
            numbers.momentum,
            numbers.weight_decay,
            numbers.nesterov,
            scale.as_ptr(),
            skip.as_ptr(),
        ));
    }
}
