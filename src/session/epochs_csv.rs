//! `epochs.csv`: a row per epoch.

use std::collections::BTreeMap;
use std::io;

use super::journal_prefix::CheckpointPosition;
use crate::event::{EpochSummary, Event};
use crate::files::Dir;

/// The file name in a run directory.
pub(super) const EPOCHS: &str = "epochs.csv";
const HEADER: &str = "epoch,global_step,train_loss,train_accuracy,valid_nll,valid_accuracy,valid_macro_f1,lr,\
grad_norm_mean,grad_norm_max,clipped_fraction,images_per_second,seconds";
/// The maximum size in bytes of a file whose rows are used.
const LONGEST: u64 = 64 << 20;

/// The line of an epoch.
pub(super) fn line(row: &EpochSummary) -> Vec<u8> {
    let line = format!(
        "{},{},{},{},{},{},{},{},{},{},{},{:.1},{:.3}\n",
        row.epoch,
        row.global_step,
        row.train_loss.0,
        row.train_accuracy.0,
        row.valid_nll.0,
        row.valid_accuracy.0,
        row.valid_macro_f1.0,
        row.lr.0,
        row.grad_norm_mean.0,
        row.grad_norm_max.0,
        row.clipped_fraction.0,
        row.images_per_second.0,
        row.seconds.0
    );
    line.into_bytes()
}

/// Rewrites the file: the rows of the events, and for other epochs the valid rows that it has up to `at`, because the
/// journal may have lost records. Returns whether the file has changed.
///
/// # Errors
/// An I/O error that names the path.
pub(super) fn rebuild<'a>(
    dir: &Dir,
    events: impl Iterator<Item = &'a Event>,
    at: CheckpointPosition,
) -> io::Result<bool> {
    let old = dir.read(EPOCHS, LONGEST).unwrap_or_default();
    let text = String::from_utf8_lossy(&old);
    let mut lines = text.split_inclusive('\n');
    let is_known = lines.next().is_some_and(|first| first.trim_end() == HEADER);
    let valid = lines.filter(|_| is_known).filter_map(|line| {
        let (epoch, step) = position(line)?;
        // The validation of the last epoch is repeated if it came after the checkpoint.
        let is_before = step < at.global_step || step == at.global_step && at.epoch_done;
        is_before.then(|| (epoch, line.as_bytes().to_vec()))
    });
    let mut rows: BTreeMap<u32, Vec<u8>> = valid.collect();
    rows.extend(events.filter_map(|event| match event {
        Event::EpochFinished(row) => Some((row.epoch, line(row))),
        _ => None,
    }));
    let mut new = format!("{HEADER}\n").into_bytes();
    rows.into_values().for_each(|row| new.extend(row));
    if new == old {
        return Ok(false);
    }
    dir.replace(EPOCHS, &new)?;
    Ok(true)
}

/// The epoch and the step of a complete row; `None` for any other line.
fn position(line: &str) -> Option<(u32, u64)> {
    let cells: Vec<&str> = line.strip_suffix('\n')?.split(',').collect();
    let is_row = cells.len() == HEADER.split(',').count()
        && cells.iter().all(|cell| cell.parse::<f64>().is_ok());
    let [epoch, step, ..] = cells.as_slice() else {
        return None;
    };
    Some((epoch.parse().ok()?, step.parse().ok()?)).filter(|_| is_row)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    fn row(epoch: u32) -> EpochSummary {
        EpochSummary {
            epoch,
            global_step: u64::from(epoch) * 10,
            ..EpochSummary::default()
        }
    }

    /// Regression test: rows whose records the journal had lost were deleted.
    #[test]
    fn rows_that_only_the_file_has_are_kept_up_to_the_restored_step() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let write = |epochs: &[u32], rest: &str| {
            let rows: Vec<u8> = epochs.iter().flat_map(|epoch| line(&row(*epoch))).collect();
            let text = format!("{HEADER}\n{}{rest}", String::from_utf8(rows).unwrap());
            std::fs::write(place.path().join(EPOCHS), text).unwrap();
        };
        let epochs = || -> Vec<String> {
            let text = std::fs::read_to_string(place.path().join(EPOCHS)).unwrap();
            let rows = text.lines().skip(1);
            rows.map(|row| row.split(',').next().unwrap().to_owned())
                .collect()
        };
        let at = |global_step, epoch_done| CheckpointPosition {
            mark: 0,
            global_step,
            epoch_done,
        };
        let event = Event::EpochFinished(EpochSummary {
            seconds: crate::event::F64(7.0),
            ..row(2)
        });
        write(&[1, 2, 3, 4], "5,50,0.5");
        assert!(rebuild(&dir, [&event].into_iter(), at(30, true)).unwrap());
        assert_eq!(epochs(), ["1", "2", "3"]);
        let text = std::fs::read_to_string(place.path().join(EPOCHS)).unwrap();
        assert!(text.lines().nth(2).unwrap().ends_with(",7.000"), "{text}");
        assert!(!rebuild(&dir, [&event].into_iter(), at(30, true)).unwrap());
        // The validation of epoch 3 came after the checkpoint.
        assert!(rebuild(&dir, [&event].into_iter(), at(30, false)).unwrap());
        assert_eq!(epochs(), ["1", "2"]);
        rebuild(&dir, [].into_iter(), CheckpointPosition::default()).unwrap();
        assert_eq!(epochs(), [""; 0]);
    }
}
