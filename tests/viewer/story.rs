//! Synthetic runs with realistic values, generated from a fixed seed: the records are the same every time.

use epochtop::event::{
    Answer, CheckpointReason, CheckpointSaved, Command, DatasetInfo, EpochSummary, EvalReport,
    Event, F32, F64, GalleryImages, GalleryPredictions, LayerNorms, Level, Outcome, Phase, Pixels,
    Record, RunStarted, Split, StepWindow, WeightsKind,
};
use epochtop::metrics::{Confusion, Measure, Temperature, fit_temperature};
use epochtop::report::{Options, Predictions, measure};

/// Start time of the run, in ms since the Unix epoch.
pub(crate) const START: u64 = 1_770_000_000_000;
/// Steps per epoch.
const STEPS: u64 = 215;
/// Mean time of a step, in ms.
const MILLIS: f64 = 45.0;
/// Steps per `StepWindow` event.
const WINDOW: u64 = 16;

const GARMENTS: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// A linear congruential generator with Knuth's MMIX constants; sufficient for noise.
struct Noise(u64);

impl Noise {
    /// Uniform in [0, 1).
    fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Approximately normal with mean 0 and variance 1: the sum of 12 uniform values, minus 6.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// Generates the records of a run.
pub(crate) struct Story {
    records: Vec<Record>,
    noise: Noise,
    t_ms: f64,
    step: u64,
    epochs: u32,
    classes: Vec<String>,
    best: f64,
    /// From this step on, the loss of every fifth step is NaN.
    pub(crate) broken_from: u64,
}

impl Story {
    /// A run of this many epochs on the ten classes of Fashion-MNIST.
    pub(crate) fn new(epochs: u32) -> Self {
        Self::of(epochs, GARMENTS.map(str::to_owned).to_vec())
    }

    /// A run of this many epochs on these classes.
    pub(crate) fn of(epochs: u32, classes: Vec<String>) -> Self {
        Self {
            records: Vec::new(),
            noise: Noise(42),
            t_ms: START as f64,
            step: 0,
            epochs,
            classes,
            best: 0.0,
            broken_from: u64::MAX,
        }
    }

    /// The records generated so far.
    pub(crate) fn records(self) -> Vec<Record> {
        self.records
    }

    /// Appends a record with the current time.
    pub(crate) fn record(&mut self, event: Event) {
        let seq = self.records.len() as u64 + 1;
        self.records.push(Record {
            seq,
            t_ms: self.t_ms as u64,
            run_ms: None,
            event,
        });
    }

    /// Advances the clock of the run.
    pub(crate) fn wait(&mut self, ms: f64) {
        self.t_ms += ms;
    }

    /// Records a change of phase.
    pub(crate) fn phase(&mut self, phase: Phase) {
        self.record(Event::Phase { phase });
    }

    /// Records the start of the run, the gallery images and a log line.
    pub(crate) fn start(&mut self, name: &str) {
        let dataset = DatasetInfo {
            name: "fashion-mnist".to_owned(),
            classes: self.classes.clone(),
            height: 28,
            width: 28,
            channels: 1,
            background: 0,
            train: 55_000,
            valid: 5_000,
            test: 10_000,
            ..DatasetInfo::default()
        };
        self.record(Event::RunStarted(Box::new(RunStarted {
            precision: "f32".to_owned(),
            run: name.to_owned(),
            dataset,
            model: "cnn".to_owned(),
            parameters: 464_458,
            device: "cpu".to_owned(),
            threads: 2,
            seed: 1,
            epochs: self.epochs,
            steps_per_epoch: STEPS,
            batch_size: 256,
            clip_norm: F64(1.0),
            lr: F64(0.002),
            warnings: vec!["data.augment.shift = 5 is strong for images of 28x28".to_owned()],
        })));
        self.wait(800.0);
        let labels: Vec<u32> = (0..64)
            .map(|i| (i * 7 % 10) % self.classes.len().max(1) as u32)
            .collect();
        let pixels = labels
            .iter()
            .enumerate()
            .flat_map(|(i, label)| garment(*label, i))
            .collect();
        self.record(Event::GalleryImages(GalleryImages {
            height: 28,
            width: 28,
            labels,
            pixels: Pixels(pixels),
        }));
        self.record(Event::Log {
            level: Level::Info,
            text: "464,458 parameters, 215 steps an epoch".to_owned(),
        });
    }

    /// Trains this many steps of an epoch. At the first step it also records the start of the epoch.
    pub(crate) fn steps(&mut self, epoch: u32, count: u64) {
        let done = (self.step % STEPS).min(STEPS);
        if done == 0 {
            self.record(Event::EpochStarted {
                epoch,
                epochs: self.epochs,
                steps: STEPS,
            });
            self.phase(Phase::Training);
        }
        let mut left = count;
        while left > 0 {
            let n = left.min(WINDOW);
            left -= n;
            self.window(epoch, n);
        }
    }

    fn window(&mut self, epoch: u32, count: u64) {
        let mut window = StepWindow {
            epoch,
            images: count * 256,
            ..StepWindow::default()
        };
        let mut skipped = Vec::new();
        for _ in 0..count {
            self.step += 1;
            let s = self.step as f64;
            let broken = self.step >= self.broken_from && self.step.is_multiple_of(5);
            let loss = 0.56
                + 1.25 * (-s / 45.0).exp()
                + 0.45 * (-s / 700.0).exp()
                + 0.035 * self.noise.normal();
            let accuracy = (0.955 - 0.6 * (-s / 40.0).exp() - 0.16 * (-s / 800.0).exp()
                + 0.02 * self.noise.normal())
            .clamp(0.0, 1.0);
            let spike = if self.noise.unit() > 0.985 {
                4.0 * self.noise.unit()
            } else {
                0.0
            };
            let norm = (0.55 + 2.2 * (-s / 80.0).exp() + 0.16 * self.noise.normal())
                .abs()
                .max(0.12)
                + spike;
            let (loss, norm) = if broken {
                (f64::NAN, f64::NAN)
            } else {
                (loss, norm)
            };
            if broken {
                skipped.push(self.step);
            }
            window.loss.push(F32(loss as f32));
            window.accuracy.push(F32(accuracy as f32));
            window.grad_norm.push(F32(norm as f32));
            window.clipped.push(u8::from(norm > 1.0));
            window.rates.push(F64(self.lr()));
        }
        let millis = count as f64 * (MILLIS + 2.0 * self.noise.normal());
        self.wait(millis);
        window.epoch_step = (self.step - 1) % STEPS + 1;
        window.global_step = self.step;
        window.lr = F64(self.lr());
        window.millis = F64(millis);
        self.record(Event::Steps(window));
        for global_step in skipped {
            self.record(Event::StepSkipped {
                global_step,
                loss: F32(f32::NAN),
                grad_norm: F32(f32::NAN),
                statistics: false,
            });
        }
    }

    fn lr(&self) -> f64 {
        let share = self.step as f64 / (f64::from(self.epochs) * STEPS as f64);
        let warm = (self.step as f64 / STEPS as f64).min(1.0);
        0.002 * warm * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
    }

    /// The base error rate at the current step.
    fn error(&self) -> f64 {
        0.075 + 0.16 * (-(self.step as f64) / 350.0).exp()
    }

    /// A confusion matrix of `n` images in which class 6 (shirt) has the most errors.
    fn confusion(&mut self, n: u64) -> Confusion {
        let classes = self.classes.len() as u32;
        let mut confusion = Confusion::new(self.classes.len());
        let error = self.error();
        for i in 0..n {
            let label = (i % u64::from(classes)) as u32;
            let hard = match label % 10 {
                6 => 3.2,
                0 | 2 | 4 => 1.6,
                3 => 1.0,
                1 | 5 | 8 => 0.2,
                _ => 0.5,
            };
            let wrong = self.noise.unit() < error * hard;
            let other = match label % 10 {
                6 => 0,
                4 => 2,
                7 => 9,
                9 => 7,
                3 => 4,
                _ => 6,
            };
            let other = if self.noise.unit() < 0.6 {
                label / 10 * 10 + other
            } else {
                (self.noise.unit() * f64::from(classes)) as u32
            };
            confusion.add(label, if wrong { other.min(classes - 1) } else { label });
        }
        confusion
    }

    /// Evaluates a split; records and returns the report.
    pub(crate) fn evaluate(
        &mut self,
        split: Split,
        epoch: u32,
        weights: WeightsKind,
    ) -> EvalReport {
        let n = if split == Split::Test { 10_000 } else { 5_000 };
        self.phase(if split == Split::Test {
            Phase::Testing
        } else {
            Phase::Validating
        });
        for done in 1..=2 {
            self.record(Event::EvalProgress {
                split,
                done: done * n / 2,
                total: n,
            });
            self.wait(300.0);
        }
        let confusion = self.confusion(n);
        let rows = rows_of(&confusion, split, &mut self.noise);
        let temperature = fit_temperature(&rows.logits, &rows.labels, rows.classes);
        // Runs with very many classes test the screens; the bootstrap would only slow them down.
        let resamples = if self.classes.len() > 100 { 0 } else { 100 };
        let options = Options {
            bins: 15,
            resamples,
        };
        let mut report = measure(&rows, temperature, options);
        report.epoch = epoch;
        report.global_step = self.step;
        report.weights = weights;
        report.seconds = F64(0.6);
        self.record(Event::EvalFinished(Box::new(report.clone())));
        report
    }

    /// Completes an epoch with its validation, gallery predictions and checkpoint.
    pub(crate) fn epoch(&mut self, epoch: u32) {
        self.steps(epoch, STEPS - self.step % STEPS);
        let report = self.evaluate(Split::Valid, epoch, WeightsKind::Current);
        let best = report.value(Measure::Accuracy) > self.best;
        self.best = self.best.max(report.value(Measure::Accuracy));
        let s = self.step as f64;
        self.record(Event::EpochFinished(EpochSummary {
            epoch,
            global_step: self.step,
            train_loss: F64(0.57 + 0.45 * (-s / 700.0).exp()),
            train_accuracy: F64(0.95 - 0.16 * (-s / 800.0).exp()),
            valid_nll: F64(report.value(Measure::Nll)),
            valid_accuracy: F64(report.value(Measure::Accuracy)),
            valid_macro_f1: F64(report.value(Measure::MacroF1)),
            lr: F64(self.lr()),
            grad_norm_mean: F64(0.7),
            grad_norm_max: F64(4.2),
            clipped_fraction: F64(0.1),
            images_per_second: F64(5_600.0),
            seconds: F64(10.3),
            best,
        }));
        self.layers();
        self.predict(epoch);
        self.save(epoch, CheckpointReason::Periodic, best);
    }

    /// Records gradient, weight and update norms; the updates of the first layers shrink over time.
    fn layers(&mut self) {
        let names = [
            "blocks.0.conv.weight",
            "blocks.0.norm.weight",
            "blocks.1.conv.weight",
            "blocks.1.res.conv1.weight",
            "blocks.2.conv.weight",
            "head.weight",
            "head.bias",
        ];
        let age = self.step as f32 / STEPS as f32;
        let layers = (0..).zip(names).map(|(i, name)| LayerNorms {
            name: name.to_owned(),
            grad_norm: F32(0.3 / (1.0 + age * i as f32)),
            weight_norm: F32(4.0),
            update_norm: F32(0.02 * 0.3_f32.powf(age * (7 - i) as f32 / 5.0)),
        });
        let layers = layers.collect();
        self.record(Event::Layers {
            global_step: self.step,
            layers,
        });
    }

    /// Records predictions for the gallery.
    pub(crate) fn predict(&mut self, epoch: u32) {
        let classes = self.classes.len() as u32;
        let error = self.error();
        let mut top = Vec::new();
        for i in 0..64_u32 {
            let label = (i * 7 % 10) % classes;
            let confidence = 0.55 + 0.44 * self.noise.unit();
            let first = if self.noise.unit() < error * 1.5 {
                (label + 1) % classes
            } else {
                label
            };
            let second = (first + 2) % classes;
            let third = (first + 5) % classes;
            top.push(vec![
                (first, F32(confidence as f32)),
                (second, F32((0.7 * (1.0 - confidence)) as f32)),
                (third, F32((0.2 * (1.0 - confidence)) as f32)),
            ]);
        }
        self.record(Event::GalleryPredictions(GalleryPredictions {
            epoch,
            global_step: self.step,
            temperature: F64(0.712),
            top,
        }));
    }

    /// Records a saved checkpoint.
    pub(crate) fn save(&mut self, epoch: u32, reason: CheckpointReason, best: bool) {
        let path = format!("checkpoints/step-{:09}", self.step);
        self.record(Event::CheckpointSaved(CheckpointSaved {
            global_step: self.step,
            epoch,
            path,
            bytes: 5_600_000,
            reason,
            best,
            pause_ms: F64(1.5),
            write_ms: F64(40.0),
        }));
    }

    /// Records the answer to a request.
    pub(crate) fn answer(&mut self, id: u64, command: Command, answer: Answer) {
        self.record(Event::Acknowledged {
            id,
            command,
            answer,
            global_step: self.step,
        });
    }

    /// Records the end of the run.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.record(Event::RunFinished {
            outcome,
            global_step: self.step,
        });
    }
}

impl Story {
    /// Records the evaluation report of the given predictions.
    fn evaluate_rows(&mut self, rows: &Predictions) {
        let temperature = fit_temperature(&rows.logits, &rows.labels, rows.classes);
        let options = Options {
            bins: 15,
            resamples: 100,
        };
        let mut report = measure(rows, temperature, options);
        report.epoch = 1;
        report.global_step = self.step;
        self.record(Event::EvalFinished(Box::new(report)));
    }
}

/// A model that always predicts the majority class, which 90 % of the images have.
pub(crate) fn majority() -> Vec<Record> {
    let mut story = Story::of(3, vec!["healthy".to_owned(), "ill".to_owned()]);
    story.start("majority");
    story.steps(1, 215);
    let rows = Predictions {
        split: Split::Valid,
        logits: [2.0, -0.2].repeat(1000),
        labels: (0..1000).map(|i| u32::from(i % 10 == 3)).collect(),
        classes: 2,
    };
    story.evaluate_rows(&rows);
    story.records()
}

/// NaN logits, one class without images and one class that is never predicted.
pub(crate) fn not_a_number() -> Vec<Record> {
    let mut story = Story::of(3, ["one", "two", "absent"].map(str::to_owned).to_vec());
    story.start("nan");
    story.steps(1, 215);
    let rows = Predictions {
        split: Split::Valid,
        logits: [[3.0, 1.0, 0.0], [f32::NAN, 0.0, -1.0]]
            .concat()
            .repeat(100),
        labels: [0, 1].repeat(100),
        classes: 3,
    };
    story.evaluate_rows(&rows);
    story.records()
}

/// A run that has only started.
pub(crate) fn empty() -> Vec<Record> {
    let mut story = Story::new(12);
    story.start("20260202-0240-cnn");
    story.records()
}

/// A run in the fourth of twelve epochs.
pub(crate) fn midrun() -> Vec<Record> {
    middle().records()
}

fn middle() -> Story {
    let mut story = Story::new(12);
    story.start("20260202-0240-cnn");
    (1..=2).for_each(|epoch| story.epoch(epoch));
    story.steps(3, 100);
    let rate = Command::SetLearningRate { lr: 1e-3 };
    let note = "base learning rate 1e-3".to_owned();
    story.answer(6, rate, Answer::Done { note });
    story.epoch(3);
    story.steps(4, 96);
    story.answer(7, Command::Checkpoint, Answer::Accepted);
    story.save(3, CheckpointReason::Requested, false);
    story.answer(
        7,
        Command::Checkpoint,
        Answer::Done {
            note: "checkpoints/step-000000741 (5.6 MB)".to_owned(),
        },
    );
    story.steps(4, 40);
    story
}

/// A run paused in the fourth of twelve epochs.
pub(crate) fn paused() -> Vec<Record> {
    let mut story = middle();
    story.answer(8, Command::Pause, Answer::Accepted);
    story.phase(Phase::Paused);
    story.answer(
        8,
        Command::Pause,
        Answer::Done {
            note: "at step 781".to_owned(),
        },
    );
    story.records()
}

/// A run in which every fifth step from step 300 on is NaN.
pub(crate) fn nan() -> Vec<Record> {
    let mut story = Story::new(12);
    story.broken_from = 300;
    story.start("20260202-0240-cnn");
    story.epoch(1);
    story.steps(2, 160);
    story.records()
}

/// A run that failed in the second epoch.
pub(crate) fn failed() -> Vec<Record> {
    let mut story = Story::new(12);
    story.start("20260202-0240-cnn");
    story.epoch(1);
    story.steps(2, 90);
    story.end(Outcome::Failed {
        message: "the disk is full: checkpoints/step-000000305 needs 5.6 MB and 1.2 MB are free. Make room, then resume with `epochtop train --resume`".to_owned(),
    });
    story.records()
}

/// A completed run whose best weights were evaluated on the test set.
pub(crate) fn finished() -> Vec<Record> {
    let mut story = Story::new(12);
    story.start("20260202-0240-cnn");
    (1..=12).for_each(|epoch| story.epoch(epoch));
    story.evaluate(Split::Test, 11, WeightsKind::Best);
    story.predict(11);
    story.end(Outcome::Completed);
    story.records()
}

/// A run on these classes in the third of three epochs.
pub(crate) fn with_classes(name: &str, classes: Vec<String>) -> Vec<Record> {
    let mut story = Story::of(3, classes);
    story.start(name);
    story.epoch(1);
    story.epoch(2);
    story.steps(3, 50);
    story.records()
}

/// Logits with the given confusion matrix, with confidences typical of training with label smoothing.
fn rows_of(confusion: &Confusion, split: Split, noise: &mut Noise) -> Predictions {
    let k = confusion.classes();
    let (mut logits, mut labels) = (Vec::new(), Vec::new());
    for label in 0..k {
        for predicted in 0..k {
            for _ in 0..confusion.count(label, predicted) {
                let first = logits.len() + predicted;
                let second = logits.len()
                    + if predicted == label {
                        (label + 1) % k
                    } else {
                        label
                    };
                logits.extend((0..k).map(|_| 0.3 * noise.normal() as f32));
                // Wrong predictions are less confident, and the true class has the second-highest logit.
                let margin = if predicted == label { 3.4 } else { 1.2 } + 0.9 * noise.normal();
                logits[first] = logits[second].max(1.0) + margin.max(0.01) as f32;
                labels.push(label as u32);
            }
        }
    }
    Predictions {
        split,
        logits,
        labels,
        classes: k,
    }
}

/// A 28×28 image of a garment: a shape for each label, filled with a fabric-like texture.
fn garment(label: u32, index: usize) -> Vec<u8> {
    let inside = |x: f64, y: f64| match label % 10 {
        1 => (0.28..0.72).contains(&x) && y > 0.08 && !((0.46..0.54).contains(&x) && y > 0.35),
        3 => (x - 0.5).abs() < 0.13 + 0.14 * y && y > 0.06,
        5 | 7 => y > 0.78 - 0.42 * x && y < 0.85 && (0.08..0.93).contains(&x),
        8 => {
            (0.15..0.85).contains(&x) && (0.38..0.88).contains(&y)
                || ((x - 0.5).hypot(y - 0.4) - 0.22).abs() < 0.03
        }
        9 => {
            (0.55..0.85).contains(&x) && y > 0.1 && y < 0.85
                || (0.1..0.85).contains(&x) && (0.6..0.85).contains(&y)
        }
        _ => {
            (x - 0.5).abs() < 0.22 && y > 0.1
                || (0.1..0.36).contains(&y) && (x - 0.5).abs() < 0.42 - 0.2 * (y - 0.1)
        }
    };
    (0..28 * 28)
        .map(|i| {
            let (x, y) = (f64::from(i % 28) / 28.0, f64::from(i / 28) / 28.0);
            if !inside(x + 0.018, y + 0.018) {
                return 0;
            }
            let texture =
                150.0 + 60.0 * (x * 9.0 + index as f64).sin() * (y * 5.0).cos() + 40.0 * (y - 0.5);
            texture.clamp(40.0, 255.0) as u8
        })
        .collect()
}

/// A completed run like `finished`, with another seed and number of epochs.
pub(crate) fn rival(name: &str, seed: u64, epochs: u32) -> Vec<Record> {
    let mut story = Story::new(epochs);
    story.noise = Noise(seed);
    story.start(name);
    (1..=epochs).for_each(|epoch| story.epoch(epoch));
    story.evaluate(Split::Test, epochs, WeightsKind::Best);
    story.end(Outcome::Completed);
    story.records()
}

/// A completed run whose test-set evaluation has these predictions: its records and the report.
pub(crate) fn tested(name: &str, rows: &Predictions) -> (Vec<Record>, EvalReport) {
    let temperature = fit_temperature(&rows.logits, &rows.labels, rows.classes);
    tested_at(name, rows, temperature)
}

/// As [`tested`], with a temperature that was fitted on other predictions.
pub(crate) fn tested_at(
    name: &str,
    rows: &Predictions,
    temperature: Temperature,
) -> (Vec<Record>, EvalReport) {
    let classes = (0..rows.classes).map(|i| format!("class {i}")).collect();
    let mut story = Story::of(3, classes);
    story.start(name);
    let options = Options {
        bins: 15,
        resamples: 200,
    };
    let mut report = measure(rows, temperature, options);
    report.weights = WeightsKind::Best;
    story.record(Event::EvalFinished(Box::new(report.clone())));
    story.end(Outcome::Completed);
    (story.records(), report)
}
