//! `predictions.csv`: the logits and labels from which every number of `eval.json` can be recomputed.

use std::fmt::Write;

use super::Predictions;
use crate::metrics::confidences;

/// The CSV text, one row per image: split, index in the split, label, predicted class, calibrated confidence, logits.
///
/// Numbers have the fewest digits that parse to the same bits. All splits must have the same classes. Without `with_logits`,
/// the logits are left out.
pub fn csv(splits: &[&Predictions], temperature: f64, with_logits: bool) -> String {
    let classes = splits.first().map_or(0, |split| split.classes);
    let classes = if with_logits { classes } else { 0 };
    let mut out = "split,index,label,predicted,confidence".to_owned();
    (0..classes).for_each(|class| {
        let _ = write!(out, ",logit_{class}");
    });
    out.push('\n');
    for split in splits {
        let predictions = confidences(&split.logits, split.classes, temperature);
        let rows = split.rows().zip(&split.labels).zip(predictions).enumerate();
        for (index, ((row, label), (predicted, confidence))) in rows {
            let name = split.split.name();
            let _ = write!(out, "{name},{index},{label},{predicted},{confidence}");
            row.iter().take(classes).for_each(|logit| {
                let _ = write!(out, ",{logit}");
            });
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Split;

    #[test]
    fn logits_round_trip_bit_for_bit() {
        let logits = vec![
            0.1,
            -1e-30,
            3.402_823_5e38,
            f32::NAN,
            f32::NEG_INFINITY,
            -0.0,
        ];
        let split = Predictions {
            split: Split::Valid,
            logits: logits.clone(),
            labels: vec![1, 0, 1],
            classes: 2,
        };
        let text = csv(&[&split], 0.5, true);
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some("split,index,label,predicted,confidence,logit_0,logit_1")
        );
        let back: Vec<f32> = lines
            .flat_map(|line| {
                line.split(',')
                    .skip(5)
                    .map(|field| field.parse().unwrap_or(0.5))
            })
            .collect();
        assert_eq!(back.len(), logits.len());
        for (back, logit) in back.iter().zip(&logits) {
            assert!(back.to_bits() == logit.to_bits() || (back.is_nan() && logit.is_nan()));
        }
        assert!(text.contains("\nvalid,0,1,0,0.5"), "{text}");
        let short = csv(&[&split], 0.5, false);
        assert!(short.starts_with("split,index,label,predicted,confidence\nvalid,0,1,0,0.5"));
        assert_eq!(short.split(',').count(), 5 + 3 * 4);
    }
}
