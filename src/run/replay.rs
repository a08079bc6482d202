//! Replay of a run: its state at any time between its first and its last record.
//!
//! A [`Replay`] contains the records and, at regular intervals, the state after them; so a seek folds a bounded number
//! of records. Its clock shortens long gaps: if there is no record for longer than [`MAX_GAP_MS`], the gap counts as
//! [`MAX_GAP_MS`].

use super::marks::MarkKind;
use super::series::Bucket;
use super::state::RunState;
use crate::event::{EvalReport, Event, Phase, Record};

/// Greatest replayed duration of a gap between two records, in milliseconds: a pause overnight is not replayed in full.
pub const MAX_GAP_MS: u64 = 2_000;

/// Greatest number of retained states, and their greatest total size in bytes. Above that size, every second one is
/// discarded.
const STATES: usize = 64;
const STATE_BYTES: usize = 64 << 20;
/// Least number of records between two states; folding these takes one or two milliseconds.
const LEAST_APART: usize = 1024;
/// Size in bytes of the parts of a state that [`state_bytes`] does not count.
const REST_BYTES: usize = 64 << 10;
/// Size in bytes of the history of one GPU.
const GPU_BYTES: usize = 8 << 10;

/// The records of a run, with access to its state at any time.
///
/// Memory: the records, which take about as much as their lines in the journal, and at most 64 MiB of states.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replay {
    records: Vec<Record>,
    /// Time of each record on the replay's clock, in milliseconds; ascending.
    times: Vec<u64>,
    /// Retained states, each with the number of records folded into it.
    states: Vec<(usize, RunState)>,
    epochs: Vec<u64>,
    breaks: Vec<(u64, MarkKind)>,
    test_evaluations: u64,
}

impl Replay {
    /// A replay of the records, in their order. Records that the fold would skip are omitted.
    pub fn new(records: Vec<Record>) -> Self {
        let apart = records.len().div_ceil(STATES + 1).max(LEAST_APART);
        Self::spaced(records, apart, STATE_BYTES)
    }

    /// As [`Self::new`], with a state every `apart` records and at most about `bytes` bytes of states.
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

    /// Assigns each record its time on the replay's clock, and finds the marks of the slider.
    fn lay_out(&mut self, records: &[Record]) {
        let (mut clock, mut before, mut paused) = (0_u64, None, false);
        for record in records {
            let restarted = matches!(record.event, Event::Restored(_) | Event::RunStarted(_));
            let gap = before.map_or(0, |before| gap(before, record, restarted));
            clock = clock.saturating_add(gap.min(MAX_GAP_MS));
            if gap > MAX_GAP_MS && (restarted || paused) {
                let kind = if restarted {
                    MarkKind::Restored
                } else {
                    MarkKind::Paused
                };
                self.breaks.push((clock, kind));
            }
            match record.event {
                Event::Phase { phase } => paused = phase == Phase::Paused,
                Event::EpochFinished(_) => self.epochs.push(clock),
                _ => paused &= !restarted,
            }
            before = Some(record);
            self.times.push(clock);
        }
    }

    /// Folds the records and retains states at regular intervals.
    fn fold(&mut self, records: &[Record], mut apart: usize, bytes: usize) {
        let (mut state, mut taken) = (RunState::default(), 0);
        for (done, record) in (1..).zip(records) {
            state.apply(record);
            if done % apart != 0 {
                continue;
            }
            taken += state_bytes(&state);
            self.states.push((done, state.clone()));
            while taken > bytes && !self.states.is_empty() {
                apart = apart.saturating_mul(2);
                self.states.retain(|(after, _)| after % apart == 0);
                taken = self
                    .states
                    .iter()
                    .map(|(_, state)| state_bytes(state))
                    .sum();
            }
        }
        self.test_evaluations = state.test_evaluations;
    }

    /// Duration of the replay in milliseconds.
    pub fn span(&self) -> u64 {
        self.times.last().copied().unwrap_or(0)
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// End of each epoch on the replay's clock, in milliseconds.
    pub fn epochs(&self) -> &[u64] {
        &self.epochs
    }

    /// The gaps that were shortened because the run was paused or restarted: the end of each gap on the replay's clock,
    /// in milliseconds, and which of the two it was.
    pub fn breaks(&self) -> &[(u64, MarkKind)] {
        &self.breaks
    }

    /// Total number of test-set evaluations at the end of the run.
    pub fn test_evaluations(&self) -> u64 {
        self.test_evaluations
    }

    /// The state at a time of the replay's clock, in milliseconds.
    pub fn at(&self, ms: u64) -> RunState {
        let mut state = RunState::default();
        self.show(&mut state, ms);
        state
    }

    /// Moves a state of this replay, or an empty one, to a time of the replay's clock, in milliseconds. Forwards, it
    /// folds the records in between or starts from a retained state that is nearer; backwards, it starts from a
    /// retained state.
    pub fn show(&self, state: &mut RunState, ms: u64) {
        let wanted = self.times.partition_point(|time| *time <= ms);
        let mut here = self
            .records
            .partition_point(|record| record.seq <= state.seq);
        let retained = self.states.partition_point(|(done, _)| *done <= wanted);
        let retained = retained.checked_sub(1).and_then(|at| self.states.get(at));
        if here > wanted || retained.is_some_and(|(done, _)| *done > here) {
            if let Some((done, retained)) = retained {
                state.clone_from(retained);
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

/// Time between two consecutive records, in milliseconds. Only the system clock shows the time between two processes of
/// a run; if it was set back, that time is unknown and counts as 0.
fn gap(before: &Record, record: &Record, restarted: bool) -> u64 {
    match (before.run_ms, record.run_ms) {
        (Some(before), Some(now)) if !restarted => now.saturating_sub(before),
        _ => record.t_ms.saturating_sub(before.t_ms),
    }
}

/// Approximate size of a state in bytes.
fn state_bytes(state: &RunState) -> usize {
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
        Record {
            seq,
            t_ms,
            run_ms: None,
            event,
        }
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
    fn long_gaps_are_shortened_and_marked() {
        let night = 10 * 3_600_000;
        let resumed = || Event::Restored(Box::default());
        let records = vec![
            record(1, 1_000, steps(1)),
            record(2, 1_500, phase(Phase::Paused)),
            record(3, 1_500 + night, phase(Phase::Training)),
            // The clock was set back by an hour.
            record(4, 1_500 + night - 3_600_000, steps(2)),
            record(5, 2_000 + night - 3_600_000, steps(3)),
            record(6, 2_000 + 2 * night, resumed()),
            // A slow step is shortened too, but without a mark.
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
    fn records_that_the_fold_skips_are_omitted() {
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
    fn states_are_bounded_in_number_and_size() {
        let records: Vec<Record> = (1..=20_000).map(|i| record(i, i, steps(i))).collect();
        let replay = Replay::new(records.clone());
        assert!((8..=STATES).contains(&replay.states.len()));
        let few = Replay::spaced(records, 100, 3 * REST_BYTES);
        assert!((1..=3).contains(&few.states.len()), "{}", few.states.len());
        assert_eq!(few.at(15_000), replay.at(15_000));
    }

    #[test]
    fn empty_replay_has_the_default_state() {
        let replay = Replay::new(Vec::new());
        assert!(replay.is_empty());
        assert_eq!((replay.span(), replay.at(5)), (0, RunState::default()));
    }
}
