//! `eval --without-leaks`: the metrics without the images that are also in an earlier split.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::duplicates::kinds;
use super::progress::Progress;
use crate::event::{EvalReport, Split};
use crate::images::Dataset;
use crate::images::audit::{self, Duplicate, Likeness};
use crate::metrics::Measure;
use crate::report::{Options, Predictions, eval_json, measure};

/// The metrics of a split without its leaked images.
pub(super) struct WithoutLeaks {
    split: Split,
    /// The leaked images.
    leaked: Vec<Duplicate>,
    /// Number of images of the split.
    images: usize,
    /// The metrics of the others; `None` if no image is leaked, or each one.
    report: Option<EvalReport>,
    /// Whether near and mirrored copies were looked for.
    is_complete: bool,
}

/// Finds the leaked images of the split of `rows` and computes its metrics without them. `all` is the report with them.
///
/// # Errors
/// If images cannot be read.
pub(super) fn without_leaks(
    dataset: &Dataset,
    rows: &Predictions,
    all: &EvalReport,
    options: Options,
) -> Result<WithoutLeaks, String> {
    let mut line = Progress::new();
    let mut progress = |what: &str, done: usize, total: usize| {
        line.show(what, done as u64, total as u64);
    };
    let found = audit::duplicates(dataset, &mut progress).map_err(|error| error.0)?;
    let leaked = found.pairs.iter().copied();
    let leaked: Vec<Duplicate> = leaked
        .filter(|pair| pair.image.split == rows.split && pair.of.split < rows.split)
        .collect();
    let numbers: HashSet<u32> = leaked.iter().map(|pair| pair.image.number).collect();
    let images = dataset.split(rows.split).numbers();
    let others = rows.only(|row| images.get(row).is_some_and(|n| !numbers.contains(n)));
    let some = !leaked.is_empty() && !others.labels.is_empty();
    Ok(WithoutLeaks {
        split: rows.split,
        report: some.then(|| EvalReport {
            epoch: all.epoch,
            global_step: all.global_step,
            weights: all.weights,
            checkpoint: all.checkpoint.clone(),
            ..measure(&others, all.temperature, options)
        }),
        is_complete: found.is_complete,
        images: rows.labels.len(),
        leaked,
    })
}

impl WithoutLeaks {
    /// The metrics with and without the leaked images, as a table.
    pub(super) fn table(&self, all: &EvalReport) -> String {
        let incomplete =
            "\nnote: only exact copies were looked for, as there are more than 100,000 images";
        self.comparison(all) + if self.is_complete { "" } else { incomplete }
    }

    fn comparison(&self, all: &EvalReport) -> String {
        let (count, images, split) = (self.leaked.len(), self.images, self.split.name());
        let earlier = match self.split {
            Split::Test => "train or valid",
            Split::Train | Split::Valid => "train",
        };
        let Some(without) = &self.report else {
            return match count {
                0 => format!("no {split} image is also in {earlier}"),
                _ => format!("all {images} {split} images are also in {earlier}"),
            };
        };
        let kinds = kinds(&self.leaked.iter().collect::<Vec<_>>());
        let mut lines = vec![
            format!("{count} of {images} {split} images are also in {earlier} ({kinds})"),
            format!("{:<17}  {:<30}  without them", "", "with them"),
        ];
        lines.extend(Measure::of_classes(all.classes.len()).map(|measure| {
            let written = |report: &EvalReport| {
                let ends = measure.ends(report.interval(measure));
                format!("{:>10} {ends}", measure.written(report.value(measure)))
            };
            let line = format!(
                "{:<17}  {:<30}  {}",
                measure.title(),
                written(all),
                written(without)
            );
            line.trim_end().to_owned()
        }));
        lines.join("\n")
    }

    /// The same as JSON, with the complete report.
    pub(super) fn json(&self, run: Option<&str>, names: &[String]) -> Value {
        let count = |kind: Likeness| {
            self.leaked
                .iter()
                .filter(|pair| pair.likeness == kind)
                .count()
        };
        json!({
            "leaked": {
                "images": self.leaked.len(),
                "exact": count(Likeness::Exact),
                "near": count(Likeness::Near),
                "mirrored": count(Likeness::Mirrored),
                "only_exact": !self.is_complete,
            },
            "report": self.report.as_ref().map(|report| eval_json(report, run, names)),
        })
    }
}
