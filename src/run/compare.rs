//! Runs beside each other: which keys of their configurations differ, what came out of each, which is best, and whether a
//! difference can be told from none.

use super::state::RunState;
use crate::event::Outcome;
use crate::metrics::{self, Better, Measure};

/// Runs shown at once, the first one included.
pub const MOST_RUNS: usize = 8;
/// Sections of the configuration that are a person's and not a run's.
const NOT_OF_RUNS: [&str; 3] = ["ui.", "keys.", "runs."];

/// A run shown beside the first one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Other {
    /// What it is called.
    pub name: String,
    /// Its last state.
    pub state: RunState,
    /// Its configuration: `section.key` and value, in the order of its file. Empty where it is not known.
    pub config: Vec<(String, String)>,
    /// What differs from the first run on the test images both measured: this one minus the first.
    pub against: Vec<Paired>,
    /// Why there is nothing in `against`, where that is worth telling.
    pub unpaired: Option<String>,
    /// It was trained and tested on other images than the first: none of its numbers is better or worse.
    pub other_data: bool,
}

/// Runs beside the one that is shown, as they were found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Beside {
    /// The configuration of the first run, as in [`Other::config`].
    pub config: Vec<(String, String)>,
    /// The others.
    pub others: Vec<Other>,
    /// What could not be shown, each with its name and why.
    pub problems: Vec<String>,
}

/// How much a measure of two runs differs on the same images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// Which measure.
    pub measure: Measure,
    /// The evaluations that were compared, of the first and of the other run, by the steps their weights had seen.
    pub global_steps: [u64; 2],
    /// The other run's minus the first's, with its 95 % interval by a paired bootstrap.
    pub difference: metrics::Difference,
}

/// What a difference says of the other run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is better than the first.
    Better,
    /// It is worse than the first.
    Worse,
    /// The interval holds 0: the two cannot be told apart.
    Unclear,
}

impl Paired {
    /// What it says of the other run.
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

/// What is compared of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunResult {
    /// Validation accuracy of the best epoch, 0 to 1.
    ValidAccuracy,
    /// The epoch it was reached in, from 1.
    BestEpoch,
    /// Validation NLL of that epoch, in nats.
    ValidNll,
    /// A measure of the last test-set evaluation.
    Test(Measure),
    /// The epoch of the weights that were evaluated on test, from 1.
    TestEpoch,
    /// How long it worked, pauses left out, in seconds.
    Seconds,
    /// Epochs done.
    Epochs,
    /// Parameter count.
    Parameters,
}

impl RunResult {
    /// All of them, in the order they are shown.
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

    /// Which direction is better; none where a run is neither better nor worse for it.
    pub fn better(self) -> Option<Better> {
        match self {
            Self::ValidAccuracy => Some(Measure::Accuracy.info().better),
            Self::ValidNll => Some(Measure::Nll.info().better),
            Self::Test(measure) => Some(measure.info().better),
            Self::Seconds => Some(Better::Lower),
            Self::BestEpoch | Self::TestEpoch | Self::Epochs | Self::Parameters => None,
        }
    }

    /// The measure that it is a value of, if it says how good the network is: a difference is worth its own column then.
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

    /// Its value of a run, as far as the run has come.
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

/// A result of all runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRow {
    /// Which result.
    pub result: RunResult,
    /// Of the first run, then of the others.
    pub values: Vec<Option<f64>>,
    /// Whether no other run has a better one. All that share the best are marked; none where all share it, or only one run
    /// has any.
    pub best: Vec<bool>,
}

impl ResultRow {
    /// What the run at this place has more than the first one; none for the first one itself.
    pub fn difference(&self, at: usize) -> Option<f64> {
        let first = self.values.first().copied().flatten()?;
        let other = self.values.get(at).copied().flatten()?;
        (at > 0).then_some(other - first)
    }
}

/// What came out of the runs, a row for each number that any of them has.
pub fn result_rows(first: &RunState, others: &[Other]) -> Vec<ResultRow> {
    let states = || std::iter::once(first).chain(others.iter().map(|other| &other.state));
    let rows = RunResult::all().map(|result| {
        let values: Vec<Option<f64>> = states().map(|state| result.of(state)).collect();
        // A run that is not through has spent little time, and one on other images is not in the race.
        let judged = states().enumerate().map(|(at, state)| {
            let rival = at.checked_sub(1).and_then(|at| others.get(at));
            let of_others = rival.is_some_and(|other| other.other_data);
            let through = state.outcome == Some(Outcome::Completed);
            !of_others && (result != RunResult::Seconds || through)
        });
        let judged: Vec<bool> = judged.collect();
        ResultRow {
            result,
            best: best(result.better(), &values, &judged),
            values,
        }
    });
    rows.filter(|row| row.values.iter().any(Option::is_some))
        .collect()
}

fn best(better: Option<Better>, values: &[Option<f64>], judged: &[bool]) -> Vec<bool> {
    let none = vec![false; values.len()];
    let Some(better) = better else {
        return none;
    };
    let known =
        |(value, judged): (&Option<f64>, &bool)| value.filter(|value| *judged && value.is_finite());
    let known: Vec<Option<f64>> = values.iter().zip(judged).map(known).collect();
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
    let (rivals, winners) = (
        known.iter().flatten().count(),
        marked.iter().filter(|mark| **mark).count(),
    );
    if winners < rivals { marked } else { none }
}

impl Other {
    /// The paired difference of a result to the first run, if it is of the evaluations that are shown: a live run may have
    /// been evaluated again since.
    pub fn paired(&self, first: &RunState, result: RunResult) -> Option<&Paired> {
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

/// A key of the configuration that is not the same in all runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `section.key`.
    pub key: String,
    /// Its value in the first run, then in the others; none where it is not written.
    pub values: Vec<Option<String>>,
}

/// The keys whose values differ, in the order of the first file; then those that only others have. Runs whose configuration
/// is not known have no part in it.
pub fn config_differences(first: &[(String, String)], others: &[Other]) -> Vec<Difference> {
    let configs: Vec<&[(String, String)]> = std::iter::once(first)
        .chain(others.iter().map(|other| other.config.as_slice()))
        .collect();
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in configs.iter().copied().flatten() {
        let ours = !NOT_OF_RUNS.iter().any(|section| key.starts_with(section));
        if ours && !keys.contains(&key.as_str()) {
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

    fn configured(text: &[(&str, &str)]) -> Other {
        Other {
            config: config(text),
            ..Other::default()
        }
    }

    fn scored(accuracy: f64) -> Other {
        Other {
            state: state(accuracy),
            ..Other::default()
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

    fn marks(first: f64, others: &[Other]) -> Vec<bool> {
        let rows = result_rows(&state(first), others);
        let row = rows
            .into_iter()
            .find(|row| row.result == RunResult::ValidAccuracy);
        row.map(|row| row.best).unwrap_or_default()
    }

    #[test]
    fn only_keys_that_differ_are_told_in_the_order_of_the_file() {
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
    fn a_run_whose_configuration_is_not_known_differs_in_nothing() {
        let first = config(&[("optim.lr", "0.008")]);
        assert!(config_differences(&first, &[configured(&[])]).is_empty());
        assert!(config_differences(&[], &[configured(&[("optim.lr", "1")])]).is_empty());
        assert!(config_differences(&[], &[]).is_empty());
    }

    #[test]
    fn the_best_is_marked_and_all_that_share_it_unless_all_do() {
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
    fn less_is_better_of_a_loss_and_nothing_of_a_number_of_epochs() {
        let rows = result_rows(&state(0.9), &[scored(0.8)]);
        let row = |result| rows.iter().find(|row| row.result == result);
        let best = |result| row(result).map(|row| row.best.clone());
        assert_eq!(best(RunResult::ValidNll), Some(vec![true, false]));
        assert_eq!(best(RunResult::BestEpoch), Some(vec![false, false]));
        assert_eq!(
            row(RunResult::Test(Measure::Accuracy)),
            None,
            "nothing was tested"
        );
    }

    #[test]
    fn a_run_on_other_images_is_in_no_race() {
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
    fn a_verdict_needs_an_interval_without_0_and_knows_which_direction_is_better() {
        let verdict = |measure, value, low, high| {
            let paired = Paired {
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
