//! Evaluation reports: the metrics of a split computed from logits, and their output as files and text.
//!
//! [`measure()`] computes an [`EvalReport`](crate::event::EvalReport) from the [`Predictions`] of a split; [`write()`]
//! writes `eval.json` and `predictions.csv` to a run directory; [`table`] formats a report as text and [`comparison`]
//! the differences between two. The metrics are documented in [`crate::metrics`]. This module has no tensors: the
//! trainer and `epochtop eval` pass logits as slices.

mod compare;
mod csv;
mod files;
mod json;
mod measure;
mod words;

pub use compare::{ComparedEvaluation, comparison, comparison_json};
pub use csv::csv;
pub use files::{EvaluationOutput, write};
pub use json::eval_json;
pub use measure::{Options, Predictions, SEED, measure};
pub use words::{class_name, confidence_gap_note, imbalance_warning, table};

#[cfg(test)]
mod tests;
