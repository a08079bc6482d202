//! One epoch: its training steps, then its validation.

use std::rc::Rc;
use std::time::Duration;

use tch::Tensor;

use super::super::average::Average;
use super::super::clock::Part;
use super::super::schedule::Schedule;
use super::super::step::{Hyper, StepStats, timed_step, weights_before};
use super::super::window::EpochSums;
use super::measure::Best;
use super::{Flow, Trainer, fail};
use crate::data::{Batch, order};
use crate::event::{CheckpointReason, EpochSummary, Event, F64, Level, Phase, Remedy, StepWindow};
use crate::fault;
use crate::metrics::Measure;
use crate::model::{Computation, Weights};
use crate::random::{augment_words, step_seed};

/// Of consecutive steps without batch statistics, the first few and every hundredth are reported.
const FEW: u64 = 5;
const MANY: u64 = 100;

impl Trainer {
    /// Starts the next epoch.
    pub(super) fn begin_epoch(&mut self) {
        self.epoch += 1;
        (self.epoch_step, self.epoch_done) = (0, false);
        self.sums = EpochSums::default();
        self.report_epoch_start();
    }

    pub(super) fn report_epoch_start(&self) {
        self.control.emit(Event::EpochStarted {
            epoch: self.epoch,
            epochs: self.epochs,
            steps: self.steps_per_epoch(),
        });
    }

    /// Trains the remaining steps of the current epoch.
    pub(super) fn train_epoch(&mut self) -> Flow {
        let steps = self.steps_per_epoch();
        self.paused = Duration::ZERO;
        self.set_phase(Phase::Training);
        let order = self.order(self.epoch);
        self.expect_batches(&order);
        self.window.restart_clock();
        self.clock.skip();
        while self.epoch_step < steps {
            let lr = self.lr_at(self.global_step);
            let stats = self.step(&order);
            self.window.push(stats, lr);
            self.epoch_step += 1;
            self.global_step += 1;
            self.clock.count(self.global_step);
            self.optimizer.settle();
            if self.window.is_due() || self.epoch_step == steps {
                self.close_window();
                if let Some(time) = self.clock.take(self.epoch_step == steps) {
                    self.control.emit(Event::StepTime(time));
                }
                if self.check_health() == Flow::Stop {
                    return Flow::Stop;
                }
            }
            if self.save_if_due() == Flow::Stop {
                return Flow::Stop;
            }
            if self.handle_requests(Phase::Training) == Flow::Stop {
                return Flow::Stop;
            }
            if self.is_out_of_time() {
                self.close_window();
                return Flow::Finish;
            }
        }
        Flow::Go
    }

    /// Duration of the run so far in seconds, including pauses and earlier processes.
    pub(super) fn seconds_of_run(&self) -> f64 {
        (self.earlier + self.began.elapsed()).as_secs_f64()
    }

    /// Between two epochs: whether the run ends early, because patience is exhausted (possibly before a restart) or the
    /// time budget is used up.
    pub(super) fn is_over(&self) -> bool {
        let patience = self.job.config.train.patience;
        patience > 0 && self.stale.0 >= patience || self.is_out_of_time()
    }

    /// Whether the time budget is used up. If it is, this is logged.
    fn is_out_of_time(&self) -> bool {
        let minutes = self.job.config.train.max_minutes;
        let out = minutes > 0.0 && self.seconds_of_run() >= minutes * 60.0;
        if out {
            let step = self.global_step;
            let text = format!(
                "time limit train.max_minutes = {minutes} reached at step {step}: ending the run"
            );
            self.control.emit(Event::Log {
                level: Level::Info,
                text,
            });
        }
        out
    }

    /// Trains one step. Its batch, augmentation and dropout depend only on the seed and the step number.
    fn step(&mut self, order: &Tensor) -> StepStats {
        fault::before_step(self.global_step + 1);
        let last = self.epoch_step + 1 == self.steps_per_epoch();
        let before = self.begin_detail(last);
        let number = self.global_step + 1;
        let start = weights_before(number, &self.weights);
        self.clock.begin(last);
        let indices = self.indices(order, self.epoch_step);
        let Batch { images, targets } = self.batch(&indices);
        self.clock.lap_data(self.train.take_times());
        let hyper = self.hyper();
        let (network, weights, optimizer) = (&self.network, &mut self.weights, &mut self.optimizer);
        let how = (hyper, &mut self.clock);
        let (mut stats, gradient) =
            timed_step(network, weights, optimizer, (&images, &targets), how);
        if let Some(start) = start {
            stats.measure_update(number, &start, &self.weights);
            self.clock.lap(Part::Optimizer);
        }
        if let Some(average) = &mut self.average {
            average.update(&self.weights);
            self.clock.lap(Part::Optimizer);
        }
        if let Some(before) = before {
            self.report_layer_norms(&before, &gradient, &stats);
        }
        stats
    }

    /// The training images at `indices` with the augmentation of the current step, and their targets.
    pub(super) fn batch(&self, indices: &Tensor) -> Batch {
        let seed = self.job.config.train.seed;
        // Dropout uses libtorch's global random number generator.
        tch::manual_seed(step_seed(seed, 0, self.global_step));
        let words = augment_words(seed, 0, self.global_step);
        let batch = self.train.batch(indices, &words);
        batch.unwrap_or_else(|error| fail(error))
    }

    /// Announces the remaining batches of the epoch, so that images which are not in memory or are changed on the host are ready.
    fn expect_batches(&self, order: &Tensor) {
        let order = Vec::<i64>::try_from(order).unwrap_or_default();
        let batch = self.job.config.train.batch_size;
        let start = self.epoch_step as usize * batch.max(1) as usize;
        let seed = self.job.config.train.seed;
        self.train
            .expect(&order, batch, start, (seed, self.global_step));
    }

    /// Indices of the images in step `epoch_step` of an epoch with this `order`.
    pub(super) fn indices(&self, order: &Tensor, epoch_step: u64) -> Tensor {
        let batch = self.job.config.train.batch_size;
        let start = epoch_step as i64 * batch;
        order.narrow(0, start, batch.min(self.train.len() - start))
    }

    /// The shuffled image indices of an epoch, (N).
    pub(super) fn order(&self, epoch: u32) -> Tensor {
        Tensor::from_slice(&order(&self.job.config, &self.job.dataset, epoch))
            .to_device(self.device)
    }

    /// The weights used for evaluation: the EMA weights if `train.ema` is on, otherwise the trained weights.
    pub(super) fn evaluated(&self) -> &Weights {
        self.average
            .as_ref()
            .map_or(&self.weights, Average::weights)
    }

    pub(super) fn hyper(&self) -> Hyper {
        Hyper {
            how: Computation {
                kind: self.kind,
                label_smoothing: self.job.config.optim.label_smoothing,
            },
            lr: self.lr_at(self.global_step),
            clip_norm: self.job.config.optim.clip_norm,
            accumulate: self.job.config.train.accumulate,
        }
    }

    pub(super) fn lr_at(&self, step: u64) -> f64 {
        Schedule::new(
            &self.job.config.optim,
            self.lr,
            self.steps_per_epoch(),
            self.epochs,
        )
        .at(step)
    }

    /// Reports the steps since the last window, and any loss spike or non-finite step among them.
    pub(super) fn close_window(&mut self) {
        let Some((window, applied)) = self.window.close() else {
            return;
        };
        let window = StepWindow {
            epoch: self.epoch,
            epoch_step: self.epoch_step,
            global_step: self.global_step,
            ..window
        };
        self.sums
            .add(&window, self.job.config.train.batch_size as u64);
        let first = self.global_step - window.loss.len() as u64 + 1;
        let mut findings = Vec::new();
        let steps = window.loss.iter().zip(&window.grad_norm).zip(applied);
        for (global_step, ((loss, grad_norm), applied)) in (first..).zip(steps) {
            let numbers = (loss.0, grad_norm.0);
            if let Some(finding) = self.watch.step(global_step, numbers, applied) {
                findings.push((global_step, finding));
            }
            let statistics = loss.0.is_finite() && grad_norm.0.is_finite();
            let in_a_row = self.watch.bad_in_a_row();
            // Batches without statistics do not pause the run, so there can be many in a row.
            let is_reported = !statistics || in_a_row <= FEW || in_a_row.is_multiple_of(MANY);
            if !applied && is_reported {
                self.control.emit(Event::StepSkipped {
                    global_step,
                    loss: *loss,
                    grad_norm: *grad_norm,
                    statistics,
                });
            }
        }
        self.control.emit(Event::Steps(window));
        for (global_step, finding) in findings {
            self.report_health(global_step, finding, Remedy::Reported);
        }
    }

    /// Validates, reports the epoch summary, and saves a checkpoint if one is due.
    pub(super) fn finish_epoch(&mut self) -> Flow {
        let start = self.evaluation_start();
        let Some(validated) = self.validate() else {
            return Flow::Stop;
        };
        let report = &validated.report;
        let (by, validation) = (self.job.config.train.best, report.validation());
        let so_far = self.best.as_ref();
        let so_far = so_far.map(|best| best.validated.report.validation());
        let best = validation.replaces(so_far.as_ref(), by);
        // Set before the summary is reported: a failure in between would otherwise report it twice.
        self.epoch_done = true;
        let row = self.sums.summary();
        let seconds = self.sums.seconds() + self.seconds_since(start);
        self.control.emit(Event::EpochFinished(EpochSummary {
            epoch: self.epoch,
            global_step: self.global_step,
            valid_nll: F64(report.value(Measure::Nll)),
            valid_accuracy: validation.accuracy,
            valid_macro_f1: validation.macro_f1,
            lr: F64(self.lr_at(self.global_step.saturating_sub(1))),
            seconds: F64(seconds),
            best,
            ..row
        }));
        if best {
            self.best = Some(Best {
                epoch: self.epoch,
                global_step: self.global_step,
                weights: Rc::new(self.evaluated().snapshot()),
                validated,
            });
        }
        let stale = self.is_stale(validation.score(by));
        let every = self.job.config.checkpoint.every_epochs;
        if best || (every > 0 && self.epoch.is_multiple_of(every)) {
            self.save_async(CheckpointReason::Periodic, None);
        }
        if self.handle_requests(Phase::Training) == Flow::Stop {
            return Flow::Stop;
        }
        if self.epoch < self.epochs && self.pending.stop_after_epoch.is_some() {
            self.pending.stop = self.pending.stop_after_epoch.take();
            return Flow::Stop;
        }
        if stale { Flow::Finish } else { Flow::Go }
    }

    /// Whether the score by `train.best` has not improved for `train.patience` epochs. If so, this is logged.
    fn is_stale(&mut self, score: f64) -> bool {
        let train = &self.job.config.train;
        if score > self.stale.1 + train.min_delta {
            self.stale = (0, score);
        } else {
            self.stale.0 += 1;
        }
        let stale =
            train.patience > 0 && self.stale.0 >= train.patience && self.epoch < self.epochs;
        if stale {
            let text = format!(
                "validation {} has not improved for {} epochs (train.patience): ending the run",
                train.best.name(),
                self.stale.0
            );
            self.control.emit(Event::Log {
                level: Level::Info,
                text,
            });
        }
        stale
    }

    pub(super) fn warn(&self, text: String) {
        self.control.emit(Event::Log {
            level: Level::Warn,
            text,
        });
    }
}
