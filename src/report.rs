//! The report of an evaluation: from logits to every number, and from numbers to files and words.
//!
//! [`measure()`] turns the [`Predictions`] of a split into an [`EvalReport`](crate::event::EvalReport); [`write()`] leaves
//! `eval.json` and `predictions.csv` in a run directory; [`table`] says it to people and [`comparison`] says how two differ.
//! What a number means is told in [`crate::metrics`]. No tensor is known here: the trainer and `epochtop eval` bring logits.

mod compare;
mod csv;
mod files;
mod json;
mod measure;
mod words;

pub use compare::{Contender, comparison, comparison_json};
pub use csv::csv;
pub use files::{Evaluated, write};
pub use json::eval_json;
pub use measure::{Options, Predictions, SEED, measure};
pub use words::{class_name, flattery, sureness, table};

#[cfg(test)]
mod tests;
