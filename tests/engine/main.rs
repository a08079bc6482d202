//! Integration tests of the training engine, with libtorch and, where it matters, with Fashion-MNIST.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed unwrap fails the test"
)]

mod art;
mod asked;
mod bad_data;
mod best_epoch;
mod by_path;
mod checkpoints;
mod data_limits;
mod diverged;
mod docs;
mod evaluated_splits;
mod evaluation;
mod finished_screen;
mod fixture;
mod fused;
mod guards;
mod health;
mod hostile;
#[path = "../viewer/hostile_runs.rs"]
#[allow(
    dead_code,
    reason = "some of its helpers are for the tests of the viewer"
)]
mod hostile_runs;
mod imbalance;
mod last_save;
mod lifetime;
mod limits;
mod masked_step;
mod old_runs;
mod optimizers;
mod over_ssh;
mod program;
mod pty;
mod pytorch_losses;
mod restart;
mod restored;
mod resume;
mod single_image;
mod sources;
mod steering;
mod stopped_process;
mod terminal;
mod training;
mod unreadable;
