//! Comparison of runs: differences between their configurations, their results, the best run for each result, and
//! whether a difference is statistically distinguishable from 0.

use super::state::RunState;
use crate::event::Outcome;
use crate::metrics::{self, Better, Measure};

/// Greatest number of runs in a comparison, including the reference run.
pub const MAX_RUNS: usize = 8;
/// Sections of the configuration that belong to the user and not to the run.
const USER_SECTIONS: [&str; 3] = ["ui.", "keys.", "runs."];

/// A run that is compared with the reference run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ComparedRun {
    /// Its name.
    pub name: String,
    /// Its last state.
    pub state: RunState,
    /// Its configuration: pairs of `section.key` and value, in the order of its file. Empty if unknown.
    pub config: Vec<(String, String)>,
    /// Paired differences from the reference run on the common test images: this run minus the reference run.
    pub against: Vec<PairedDifference>,
    /// Why `against` is empty, if the user should know.
    pub unpaired: Option<String>,
    /// The run has other training and test images than the reference run, so its results cannot be ranked.
    pub other_data: bool,
}

/// The compared runs that were found, and an error for each that was not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ComparedRuns {
    /// The configuration of the reference run, as in [`ComparedRun::config`].
    pub config: Vec<(String, String)>,
    /// The compared runs.
    pub others: Vec<ComparedRun>,
    /// An error message for each run that cannot be shown, with its name and the reason.
    pub problems: Vec<String>,
}

/// The difference of a measure between two runs on the same images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedDifference {
    /// The measure.
    pub measure: Measure,
    /// The compared evaluations of the reference run and of the other run, by the training steps of their weights.
    pub global_steps: [u64; 2],
    /// Value of the other run minus that of the reference run, with its 95 % interval from a paired bootstrap.
    pub difference: metrics::Difference,
}

/// The conclusion from a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The run is better than the reference run.
    Better,
    /// The run is worse than the reference run.
    Worse,
    /// The interval contains 0: the two runs are not distinguishable.
    Unclear,
}

impl PairedDifference {
    /// The conclusion about the compared run.
    pub fn verdict(&self) -> Verdict {
        if !self.difference.distinguishable() {
            return Verdict::Unclear;
        }
        if self
            .measure
            .info()
            .better
            .prefers(self.difference.value, 0.0)
        {
            Verdict::Better
        } else {
            Verdict::Worse
        }
    }
}

/// A result that is compared between runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunResult {
    /// Validation accuracy of the best epoch, 0 to 1.
    ValidAccuracy,
    /// The epoch in which it was reached, from 1.
    BestEpoch,
    /// Validation NLL of that epoch, in nats.
    ValidNll,
    /// A measure of the latest test-set evaluation.
    Test(Measure),
    /// The epoch of the weights in the latest test-set evaluation, from 1.
    TestEpoch,
    /// Working time in seconds, without pauses.
    Seconds,
    /// Epochs done.
    Epochs,
    /// Parameter count.
    Parameters,
}

impl RunResult {
    /// All results, in display order.
    pub fn all() -> impl Iterator<Item = Self> {
        let compared = |measure: &Measure| measure.info().compared;
        let measures = Measure::ALL.into_iter().filter(compared).map(Self::Test);
        [Self::ValidAccuracy, Self::BestEpoch, Self::ValidNll]
            .into_iter()
            .chain(measures)
            .chain([
                Self::TestEpoch,
                Self::Seconds,
                Self::Epochs,
                Self::Parameters,
            ])
    }

    /// Which direction is better; `None` if the result does not rank runs.
    pub fn better(self) -> Option<Better> {
        match self {
            Self::ValidAccuracy => Some(Measure::Accuracy.info().better),
            Self::ValidNll => Some(Measure::Nll.info().better),
            Self::Test(measure) => Some(measure.info().better),
            Self::Seconds => Some(Better::Lower),
            Self::BestEpoch | Self::TestEpoch | Self::Epochs | Self::Parameters => None,
        }
    }

    /// The measure of the result, if it describes the quality of the network. Such results have a column for the
    /// difference.
    pub fn measure(self) -> Option<Measure> {
        match self {
            Self::ValidAccuracy => Some(Measure::Accuracy),
            Self::ValidNll => Some(Measure::Nll),
            Self::Test(measure) => Some(measure),
            Self::BestEpoch | Self::TestEpoch | Self::Seconds | Self::Epochs | Self::Parameters => {
                None
            }
        }
    }

    /// The value for a run so far; `None` if there is none yet.
    pub fn of(self, state: &RunState) -> Option<f64> {
        let best = state.best.as_ref();
        let test = state.test.latest.as_ref();
        let last = state.history.back();
        match self {
            Self::ValidAccuracy => best.map(|best| best.accuracy.0),
            Self::BestEpoch => best.map(|best| f64::from(best.epoch)),
            Self::ValidNll => best.map(|best| best.nll.0),
            Self::Test(measure) => {
                let found = test?.estimates.measures.get(&measure);
                found.map(|estimate| estimate.value)
            }
            Self::TestEpoch => test.map(|report| f64::from(report.epoch)),
            Self::Seconds => (state.seq > 0).then(|| state.worked_ms(state.now_ms) as f64 / 1000.0),
            Self::Epochs => last.map(|row| f64::from(row.epoch)),
            Self::Parameters => state.info.as_ref().map(|info| info.parameters as f64),
        }
    }
}

/// A result for all runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRow {
    /// The result.
    pub result: RunResult,
    /// The value for the reference run, then for the others.
    pub values: Vec<Option<f64>>,
    /// Whether the run has the best value. Runs with equal best values are all marked; none is marked if all are equal
    /// or only one run has a value.
    pub best: Vec<bool>,
}

impl ResultRow {
    /// The value of the run at an index minus that of the reference run; `None` for the reference run itself.
    pub fn difference(&self, at: usize) -> Option<f64> {
        let first = self.values.first().copied().flatten()?;
        let other = self.values.get(at).copied().flatten()?;
        (at > 0).then_some(other - first)
    }
}

/// The results of the runs: a row for each result that at least one run has.
pub fn result_rows(first: &RunState, others: &[ComparedRun]) -> Vec<ResultRow> {
    let states = || std::iter::once(first).chain(others.iter().map(|other| &other.state));
    let rows = RunResult::all().map(|result| {
        let values: Vec<Option<f64>> = states().map(|state| result.of(state)).collect();
        // Runs on other images are not ranked, and the working time is ranked only for completed runs.
        let ranked = states().enumerate().map(|(at, state)| {
            let other = at.checked_sub(1).and_then(|at| others.get(at));
            let other_data = other.is_some_and(|other| other.other_data);
            let completed = state.outcome == Some(Outcome::Completed);
            !other_data && (result != RunResult::Seconds || completed)
        });
        let ranked: Vec<bool> = ranked.collect();
        ResultRow {
            result,
            best: best(result.better(), &values, &ranked),
            values,
        }
    });
    rows.filter(|row| row.values.iter().any(Option::is_some))
        .collect()
}

fn best(better: Option<Better>, values: &[Option<f64>], ranked: &[bool]) -> Vec<bool> {
    let none = vec![false; values.len()];
    let Some(better) = better else {
        return none;
    };
    let known =
        |(value, ranked): (&Option<f64>, &bool)| value.filter(|value| *ranked && value.is_finite());
    let known: Vec<Option<f64>> = values.iter().zip(ranked).map(known).collect();
    let choose = |best: f64, value: f64| {
        if better.prefers(value, best) {
            value
        } else {
            best
        }
    };
    let Some(best) = known.iter().copied().flatten().reduce(choose) else {
        return none;
    };
    let marked: Vec<bool> = known.iter().map(|value| *value == Some(best)).collect();
    let (candidates, winners) = (
        known.iter().flatten().count(),
        marked.iter().filter(|mark| **mark).count(),
    );
    if winners < candidates { marked } else { none }
}

impl ComparedRun {
    /// The paired difference of a result from the reference run. `None` if it does not belong to the latest
    /// evaluations: a live run can have been evaluated again.
    pub fn paired(&self, first: &RunState, result: RunResult) -> Option<&PairedDifference> {
        let RunResult::Test(measure) = result else {
            return None;
        };
        let step = |run: &RunState| run.test.latest.as_ref().map(|report| report.global_step);
        let shown = [step(first)?, step(&self.state)?];
        let found = self
            .against
            .iter()
            .find(|paired| paired.measure == measure)?;
        (found.global_steps == shown).then_some(found)
    }
}

/// A configuration key whose value differs between runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `section.key`.
    pub key: String,
    /// Its value in the reference run, then in the others; `None` where the key is not set.
    pub values: Vec<Option<String>>,
}

/// The keys whose values differ, in the order of the reference run's file; then those that only other runs have. Runs
/// with unknown configuration are ignored.
pub fn config_differences(first: &[(String, String)], others: &[ComparedRun]) -> Vec<Difference> {
    let configs: Vec<&[(String, String)]> = std::iter::once(first)
        .chain(others.iter().map(|other| other.config.as_slice()))
        .collect();
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in configs.iter().copied().flatten() {
        let of_run = !USER_SECTIONS.iter().any(|section| key.starts_with(section));
        if of_run && !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let value = |config: &[(String, String)], wanted: &str| {
        let found = config.iter().find(|(key, _)| key == wanted);
        found.map(|(_, value)| value.clone())
    };
    let rows = keys.into_iter().map(|key| Difference {
        key: key.to_owned(),
        values: configs.iter().map(|config| value(config, key)).collect(),
    });
    let differs = |row: &Difference| {
        let known = row.values.iter().zip(&configs);
        let mut known = known.filter_map(|(value, config)| (!config.is_empty()).then_some(value));
        let first = known.next();
        known.any(|value| Some(value) != first)
    };
    rows.filter(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::F64;
    use crate::run::Best;
    use Measure::{Accuracy, Auc, EceCalibrated, NllCalibrated};

    fn config(text: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        text.iter().map(own).collect()
    }

    fn configured(text: &[(&str, &str)]) -> ComparedRun {
        ComparedRun {
            config: config(text),
            ..ComparedRun::default()
        }
    }

    fn scored(accuracy: f64) -> ComparedRun {
        ComparedRun {
            state: state(accuracy),
            ..ComparedRun::default()
        }
    }

    fn state(accuracy: f64) -> RunState {
        RunState {
            best: Some(Best {
                epoch: 3,
                global_step: 300,
                accuracy: F64(accuracy),
                interval: None,
                nll: F64(1.0 - accuracy),
            }),
            ..RunState::default()
        }
    }

    fn marks(first: f64, others: &[ComparedRun]) -> Vec<bool> {
        let rows = result_rows(&state(first), others);
        let row = rows
            .into_iter()
            .find(|row| row.result == RunResult::ValidAccuracy);
        row.map(|row| row.best).unwrap_or_default()
    }

    #[test]
    fn differing_keys_are_listed_in_the_order_of_the_file() {
        let first = config(&[
            ("data.name", "mine"),
            ("optim.name", "muon"),
            ("optim.lr", "0.008"),
            ("ui.theme", "dark"),
            ("keys.quit", "[\"q\"]"),
            ("runs.dir", "runs"),
        ]);
        let others = [
            configured(&[
                ("optim.lr", "0.002"),
                ("data.name", "mine"),
                ("optim.name", "muon"),
                ("ui.theme", "light"),
                ("train.ema", "0.9"),
            ]),
            configured(&[
                ("data.name", "mine"),
                ("optim.name", "sgd"),
                ("optim.lr", "0.008"),
            ]),
        ];
        let found = config_differences(&first, &others);
        let keys: Vec<&str> = found.iter().map(|row| row.key.as_str()).collect();
        assert_eq!(keys, ["optim.name", "optim.lr", "train.ema"]);
        let text = |value: &str| Some(value.to_owned());
        assert_eq!(
            found[1].values,
            [text("0.008"), text("0.002"), text("0.008")]
        );
        assert_eq!(found[2].values, [None, text("0.9"), None]);
    }

    #[test]
    fn unknown_configuration_has_no_differences() {
        let first = config(&[("optim.lr", "0.008")]);
        assert!(config_differences(&first, &[configured(&[])]).is_empty());
        assert!(config_differences(&[], &[configured(&[("optim.lr", "1")])]).is_empty());
        assert!(config_differences(&[], &[]).is_empty());
    }

    #[test]
    fn best_values_are_marked_unless_all_are_equal() {
        assert_eq!(marks(0.9, &[scored(0.8), scored(0.9)]), [true, false, true]);
        assert_eq!(marks(0.7, &[scored(0.8)]), [false, true]);
        assert_eq!(marks(0.8, &[scored(0.8)]), [false, false]);
        assert_eq!(marks(0.8, &[]), [false]);
        assert_eq!(
            marks(f64::NAN, &[scored(0.1), scored(0.2)]),
            [false, false, true]
        );
    }

    #[test]
    fn lower_loss_is_better_and_epochs_are_not_ranked() {
        let rows = result_rows(&state(0.9), &[scored(0.8)]);
        let row = |result| rows.iter().find(|row| row.result == result);
        let best = |result| row(result).map(|row| row.best.clone());
        assert_eq!(best(RunResult::ValidNll), Some(vec![true, false]));
        assert_eq!(best(RunResult::BestEpoch), Some(vec![false, false]));
        assert_eq!(
            row(RunResult::Test(Measure::Accuracy)),
            None,
            "no test-set evaluation"
        );
    }

    #[test]
    fn run_on_other_images_is_not_ranked() {
        let mut other = scored(0.99);
        other.other_data = true;
        assert_eq!(
            marks(0.9, &[other.clone(), scored(0.8)]),
            [true, false, false]
        );
        assert_eq!(marks(0.9, &[other]), [false, false]);
    }

    fn difference(value: f64, low: f64, high: f64) -> metrics::Difference {
        let ci95 = metrics::Interval { low, high };
        metrics::Difference { value, ci95 }
    }

    #[test]
    fn verdict_depends_on_the_interval_and_on_the_better_direction() {
        let verdict = |measure, value, low, high| {
            let paired = PairedDifference {
                measure,
                global_steps: [1, 1],
                difference: difference(value, low, high),
            };
            paired.verdict()
        };
        assert_eq!(verdict(Accuracy, 0.01, 0.001, 0.02), Verdict::Better);
        assert_eq!(verdict(Accuracy, -0.01, -0.02, -0.001), Verdict::Worse);
        assert_eq!(
            verdict(NllCalibrated, -0.01, -0.02, -0.001),
            Verdict::Better
        );
        assert_eq!(verdict(EceCalibrated, 0.01, -0.001, 0.02), Verdict::Unclear);
        assert_eq!(verdict(Auc, 0.01, 0.0, 0.02), Verdict::Unclear);
    }
}
