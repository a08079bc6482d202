//! A run told again: its state at any moment between its first record and its last.
//!
//! A [`Replay`] holds the records and, every so many of them, the state they had made by then; so a seek folds a bounded
//! stretch, wherever it goes. Its clock leaves out what nobody would watch: where nothing was said for longer than
//! [`MOST_GAP_MS`], it goes on as if that had been all.

use super::marks::MarkKind;
use super::series::Bucket;
use super::state::RunState;
use crate::event::{EvalReport, Event, Phase, Record};

/// Milliseconds without a record that are replayed at most: a night's pause is no night to watch.
pub const MOST_GAP_MS: u64 = 2_000;

/// States kept at most, and bytes they may take; where they take more, every second goes.
const STATES: usize = 64;
const STATE_BYTES: usize = 64 << 20;
/// Records between two states at least: to fold these takes a millisecond or two.
const LEAST_APART: usize = 1024;
/// Bytes of a state besides what [`weight`] counts.
const REST_BYTES: usize = 64 << 10;
/// Bytes of what is kept of a GPU.
const GPU_BYTES: usize = 8 << 10;

/// A run's records with its state at any moment.
///
/// Memory: the records, which take about as much as their lines in the journal, and at most 64 MiB of states.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replay {
    records: Vec<Record>,
    /// When each record comes, in milliseconds of the replay; never falling.
    times: Vec<u64>,
    /// The state after so many records.
    states: Vec<(usize, RunState)>,
    epochs: Vec<u64>,
    breaks: Vec<(u64, MarkKind)>,
    looks: u64,
}

impl Replay {
    /// A replay of the records that count, in their order; those the fold would pass over are left out.
    pub fn new(records: Vec<Record>) -> Self {
        let apart = records.len().div_ceil(STATES + 1).max(LEAST_APART);
        Self::spaced(records, apart, STATE_BYTES)
    }

    /// The same with a state every `apart` records, which together take about so many `bytes` at most.
    pub fn spaced(mut records: Vec<Record>, apart: usize, bytes: usize) -> Self {
        let mut last = 0;
        records.retain(|record| {
            let new = record.seq > last;
            last = last.max(record.seq);
            new
        });
        let mut replay = Self::default();
        replay.lay_out(&records);
        replay.fold(&records, apart.max(1), bytes);
        replay.records = records;
        replay
    }

    /// Gives each record its time, and finds what the slider marks.
    fn lay_out(&mut self, records: &[Record]) {
        let (mut clock, mut before, mut held) = (0_u64, None, false);
        for record in records {
            // A clock that was set back tells nothing of how long it took.
            let gap = record.t_ms.saturating_sub(before.unwrap_or(record.t_ms));
            clock = clock.saturating_add(gap.min(MOST_GAP_MS));
            let anew = matches!(record.event, Event::Restored(_) | Event::RunStarted(_));
            if gap > MOST_GAP_MS && (anew || held) {
                let kind = if anew {
                    MarkKind::Restored
                } else {
                    MarkKind::Paused
                };
                self.breaks.push((clock, kind));
            }
            match record.event {
                Event::Phase { phase } => held = phase == Phase::Paused,
                Event::EpochFinished(_) => self.epochs.push(clock),
                _ => held &= !anew,
            }
            before = Some(record.t_ms);
            self.times.push(clock);
        }
    }

    /// Keeps states on the way through the records.
    fn fold(&mut self, records: &[Record], mut apart: usize, bytes: usize) {
        let (mut state, mut taken) = (RunState::default(), 0);
        for (done, record) in (1..).zip(records) {
            state.apply(record);
            if done % apart != 0 {
                continue;
            }
            taken += weight(&state);
            self.states.push((done, state.clone()));
            while taken > bytes && !self.states.is_empty() {
                apart = apart.saturating_mul(2);
                self.states.retain(|(after, _)| after % apart == 0);
                taken = self.states.iter().map(|(_, state)| weight(state)).sum();
            }
        }
        self.looks = state.test_looks;
    }

    /// Milliseconds from the first record to the last.
    pub fn span(&self) -> u64 {
        self.times.last().copied().unwrap_or(0)
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// When each epoch was done, in milliseconds of the replay.
    pub fn epochs(&self) -> &[u64] {
        &self.epochs
    }

    /// Where a longer time was left out because the run was held or its process gone: when it goes on, and which of the two.
    pub fn breaks(&self) -> &[(u64, MarkKind)] {
        &self.breaks
    }

    /// How often the test split had been looked at in the end.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// The state at a moment: all records up to then, folded.
    pub fn at(&self, ms: u64) -> RunState {
        let mut state = RunState::default();
        self.show(&mut state, ms);
        state
    }

    /// Turns a state of this replay, or an empty one, into that of a moment. Forwards it folds what came in between, at most
    /// from the nearest state kept; backwards it begins with one.
    pub fn show(&self, state: &mut RunState, ms: u64) {
        let wanted = self.times.partition_point(|time| *time <= ms);
        let mut here = self
            .records
            .partition_point(|record| record.seq <= state.seq);
        let kept = self.states.partition_point(|(done, _)| *done <= wanted);
        let kept = kept.checked_sub(1).and_then(|at| self.states.get(at));
        if here > wanted || kept.is_some_and(|(done, _)| *done > here) {
            if let Some((done, kept)) = kept {
                state.clone_from(kept);
                here = *done;
            } else {
                *state = RunState::default();
                here = 0;
            }
        }
        let between = self.records.get(here..wanted).unwrap_or_default();
        between.iter().for_each(|record| state.apply(record));
    }
}

/// About how many bytes a state takes.
fn weight(state: &RunState) -> usize {
    let buckets: usize = state.curves.all().map(|curve| curve.buckets().len()).sum();
    let reports = [
        &state.valid.latest,
        &state.valid.previous,
        &state.test.latest,
        &state.test.previous,
    ];
    let cells = |report: &EvalReport| {
        let classes = report.confusion.classes();
        classes.saturating_mul(classes.saturating_add(16)) * size_of::<u64>()
    };
    let reports: usize = reports.into_iter().flatten().map(cells).sum();
    let layers = state.layers.history.moments.len() * state.layers.names.len() * size_of::<u64>();
    let gpus = state.system.gpus.len() * GPU_BYTES;
    let pixels = state.gallery.pixels.0.len();
    REST_BYTES + buckets * size_of::<Bucket>() + reports + layers + gpus + pixels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Level, StepWindow};

    fn record(seq: u64, t_ms: u64, event: Event) -> Record {
        Record { seq, t_ms, event }
    }

    fn steps(global_step: u64) -> Event {
        Event::Steps(StepWindow {
            global_step,
            ..StepWindow::default()
        })
    }

    fn phase(phase: Phase) -> Event {
        Event::Phase { phase }
    }

    #[test]
    fn a_night_is_two_seconds_and_marked_where_it_was() {
        let night = 10 * 3_600_000;
        let resumed = || Event::Restored(Box::default());
        let records = vec![
            record(1, 1_000, steps(1)),
            record(2, 1_500, phase(Phase::Paused)),
            record(3, 1_500 + night, phase(Phase::Training)),
            // An hour back: the clock was set.
            record(4, 1_500 + night - 3_600_000, steps(2)),
            record(5, 2_000 + night - 3_600_000, steps(3)),
            record(6, 2_000 + 2 * night, resumed()),
            // A step that took long is shortened too, without a mark: nothing happened there.
            record(7, 9_000 + 2 * night, steps(4)),
        ];
        let replay = Replay::new(records);
        assert_eq!(replay.times, [0, 500, 2_500, 2_500, 3_000, 5_000, 7_000]);
        assert_eq!(
            replay.breaks,
            [(2_500, MarkKind::Paused), (5_000, MarkKind::Restored)]
        );
        assert_eq!(
            (replay.at(0).global_step, replay.at(6_999).global_step),
            (1, 3)
        );
        assert_eq!(replay.at(u64::MAX).global_step, 4);
    }

    #[test]
    fn records_that_count_no_more_are_no_part_of_it() {
        let log = |text: &str| Event::Log {
            level: Level::Info,
            text: text.to_owned(),
        };
        let records = vec![
            record(0, 1, log("no number")),
            record(2, 2, log("one")),
            record(2, 900, log("again")),
            record(1, 900, log("late")),
            record(7, 3, Event::Restored(Box::default())),
        ];
        let replay = Replay::new(records);
        assert_eq!((replay.records.len(), replay.span()), (2, 1));
    }

    #[test]
    fn states_are_bounded_in_number_and_bytes() {
        let records: Vec<Record> = (1..=20_000).map(|i| record(i, i, steps(i))).collect();
        let replay = Replay::new(records.clone());
        assert!((8..=STATES).contains(&replay.states.len()));
        let few = Replay::spaced(records, 100, 3 * REST_BYTES);
        assert!((1..=3).contains(&few.states.len()), "{}", few.states.len());
        assert_eq!(few.at(15_000), replay.at(15_000));
    }

    #[test]
    fn nothing_can_be_told_again_too() {
        let replay = Replay::new(Vec::new());
        assert!(replay.is_empty());
        assert_eq!((replay.span(), replay.at(5)), (0, RunState::default()));
    }
}
