//! Progress, working time and remaining time of a [`RunState`].

use super::parts::share;
use super::state::RunState;
use crate::event::{Event, Record};

/// Number of steps in the recent clip share.
pub const CLIP_WINDOW: usize = 100;

impl RunState {
    /// Whether the data have a test split, as far as is known. Without one, the gallery shows images of the validation split.
    pub fn has_test_split(&self) -> bool {
        self.info.as_ref().is_none_or(|info| info.dataset.test > 0)
    }

    /// The time of a record on the clock of this state, milliseconds since 1970.
    pub fn time_of(&self, record: &Record) -> u64 {
        match record.run_ms {
            Some(run_ms) if self.started_ms > 0 => self.started_ms.saturating_add(run_ms),
            _ => {
                let behind = self.ahead_ms.saturating_neg();
                record.t_ms.saturating_add_signed(behind)
            }
        }
    }

    /// Sets the clock of the state to a record. Returns the time of the record on this clock.
    pub(super) fn advance(&mut self, record: &Record) -> u64 {
        if self.seq == 0 || self.started_ms == 0 {
            self.started_ms = record.t_ms.saturating_sub(record.run_ms.unwrap_or(0));
        }
        let t_ms = self.time_of(record);
        if matches!(record.event, Event::Restored(_)) {
            // The time between the processes counts as a pause. In a fork there was no process before.
            let since = self.paused_since.take();
            let since = since.unwrap_or(self.now_ms.max(self.started_ms));
            self.paused_ms = self.paused_ms.saturating_add(t_ms.saturating_sub(since));
        }
        // Time never goes backwards here, even if the clock is set back. Evaluations are excluded because they can be
        // made long after the end of the run.
        if !matches!(record.event, Event::EvalFinished(_)) {
            self.now_ms = self.now_ms.max(t_ms);
            self.ahead_ms = (record.t_ms as i64).saturating_sub_unsigned(t_ms);
        }
        t_ms
    }

    /// Time since the start of the run at the latest record, in milliseconds, with pauses.
    pub fn run_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.started_ms)
    }

    /// Working time of the run at `now_ms`, in milliseconds, without pauses.
    pub fn worked_ms(&self, now_ms: u64) -> u64 {
        let now_ms = self.paused_since.unwrap_or(now_ms);
        now_ms
            .saturating_sub(self.started_ms)
            .saturating_sub(self.paused_ms)
    }

    /// Clipping threshold of the gradient norm; 0 for no clipping.
    pub fn clip_norm(&self) -> f32 {
        self.info
            .as_ref()
            .map_or(0.0, |info| info.clip_norm.0 as f32)
    }

    /// Share of clipped steps among the latest [`CLIP_WINDOW`], 0 to 1.
    pub fn recent_clip_share(&self) -> f64 {
        let window = self.recent.iter().rev().take(CLIP_WINDOW);
        let (clipped, steps) = window.fold((0, 0), |(c, n), sample| {
            (c + u64::from(sample.clipped), n + 1)
        });
        share(clipped, steps)
    }

    /// The last epoch: the current one if the run was asked to stop after it.
    pub fn last_epoch(&self) -> u32 {
        if self.stop_after_epoch.is_some() {
            self.epoch.max(1).min(self.epochs)
        } else {
            self.epochs
        }
    }

    /// Total number of steps of the run, up to the end of its last epoch.
    pub fn total_steps(&self) -> u64 {
        u64::from(self.last_epoch()).saturating_mul(self.epoch_steps)
    }

    /// Share of the run's steps that are done, 0 to 1.
    pub fn progress(&self) -> f64 {
        share(self.global_step, self.total_steps()).min(1.0)
    }

    /// Estimated remaining time after the last record, in milliseconds: the remaining steps, the remaining validations
    /// and the final test-set evaluation, at the pace measured so far. `None` before the pace is known and after the
    /// run has ended.
    pub fn remaining_ms(&self) -> Option<u64> {
        if self.outcome.is_some() {
            return None;
        }
        let step = self.step_millis.value()?;
        let info = self.info.as_ref()?;
        let train = self.total_steps().saturating_sub(self.global_step) as f64 * step;
        let image = self
            .eval_image_millis()
            .unwrap_or(step / f64::from(info.batch_size.max(1)) / 3.0);
        let validations = u64::from(self.last_epoch())
            .saturating_sub(self.history.back().map_or(0, |row| row.epoch.into()));
        // A run that stops early is not evaluated on the test set.
        let test = if self.last_epoch() == self.epochs {
            info.dataset.test
        } else {
            0
        };
        let images = validations
            .saturating_mul(info.dataset.valid)
            .saturating_add(test);
        let measured = self.eval_progress.map_or(0, |(_, done, _)| done);
        let total = train + images.saturating_sub(measured) as f64 * image;
        (total.is_finite() && total >= 0.0).then_some(total as u64)
    }

    /// Evaluation time per image in the latest validation, in milliseconds.
    fn eval_image_millis(&self) -> Option<f64> {
        let report = self.valid.latest.as_ref()?;
        (report.n > 0 && report.seconds.0 > 0.0)
            .then(|| report.seconds.0 * 1000.0 / report.n as f64)
    }
}
