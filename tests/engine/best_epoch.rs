//! The best epoch: which measure chooses it, and ties.

use epochtop::checkpoint::Store;
use epochtop::config::BestBy;
use epochtop::event::{EpochSummary, WeightsKind};

use crate::fixture::{shapes, small_config, train};

/// The epoch with the largest key.
fn best_by(rows: &[EpochSummary], key: impl Fn(&EpochSummary) -> [f64; 2]) -> u32 {
    let mut best = &rows[0];
    for row in rows {
        if key(row) > key(best) {
            best = row;
        }
    }
    best.epoch
}

#[test]
fn the_best_epoch_is_chosen_by_train_best_and_ties_by_nll() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    (config.train.epochs, config.eval.bootstrap) = (6, 0);
    (config.model.channels, config.model.residual) = (vec![8], false);
    config.data.valid = 60;
    let mut chosen = Vec::new();
    for by in [BestBy::Accuracy, BestBy::Nll, BestBy::MacroF1] {
        config.train.best = by;
        let dir = tempfile::tempdir().unwrap();
        let state = train(&config, dir.path(), |_| Vec::new()).state;
        let rows: Vec<EpochSummary> = state.history.iter().cloned().collect();
        let (_, wanted) = [
            (
                BestBy::Accuracy,
                best_by(&rows, |row| [row.valid_accuracy.0, -row.valid_nll.0]),
            ),
            (
                BestBy::Nll,
                best_by(&rows, |row| [-row.valid_nll.0, row.valid_accuracy.0]),
            ),
            (
                BestBy::MacroF1,
                best_by(&rows, |row| [row.valid_macro_f1.0, -row.valid_nll.0]),
            ),
        ]
        .into_iter()
        .find(|(known, _)| *known == by)
        .unwrap();
        let best = state.best.unwrap();
        let test = state.test.latest.unwrap();
        assert_eq!(
            (best.epoch, test.epoch, test.weights),
            (wanted, wanted, WeightsKind::Best),
            "{by:?} {rows:?}"
        );
        // Its checkpoint says by what it was chosen, and has the measures for that.
        let store = Store::new(dir.path());
        let manifest = store.manifest(best.global_step).unwrap();
        assert_eq!(manifest.best_by, by);
        let validated = manifest.validation().unwrap();
        assert_eq!(
            (validated.accuracy, validated.nll),
            (best.accuracy, best.nll)
        );
        let first = rows
            .iter()
            .find(|row| row.valid_accuracy == best.accuracy)
            .unwrap();
        chosen.push((best.epoch, first.epoch));
    }
    // The data are easy: several epochs have the highest accuracy, and the first of them is not the best.
    assert!(chosen[0].0 > chosen[0].1, "{chosen:?}");
}
