//! Integration tests of the training engine, with libtorch and, where it matters, with Fashion-MNIST.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed unwrap fails the test"
)]

mod art;
mod asked;
mod bad_data;
mod checkpoints;
mod diverged;
mod docs;
mod evaluation;
mod fixture;
mod fused;
mod health;
mod lifetime;
mod masked_step;
mod old_runs;
mod optimizers;
mod over_ssh;
mod program;
mod pty;
mod pytorch_losses;
mod restored;
mod resume;
mod single_image;
mod steering;
mod stopped_process;
mod terminal;
mod training;
