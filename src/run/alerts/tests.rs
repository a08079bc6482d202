#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod announcer;
mod crowded;
mod diverged;
mod starved;

use super::*;
use crate::event::{
    DatasetInfo, EpochSummary, Event, F32, F64, Finding, Health, LayerNorms, Outcome, Record,
    Remedy, RunStarted, StepWindow,
};

const START: u64 = 1_000_000;

/// A run of 40 epochs with 100 steps each.
struct Run {
    state: RunState,
    t_ms: u64,
}

impl Run {
    fn new() -> Self {
        let mut run = Self {
            state: RunState::default(),
            t_ms: START,
        };
        run.apply(Event::RunStarted(Box::new(RunStarted {
            epochs: 40,
            steps_per_epoch: 100,
            clip_norm: F64(1.0),
            lr: F64(0.01),
            dataset: DatasetInfo {
                valid: 5000,
                ..DatasetInfo::default()
            },
            ..RunStarted::default()
        })));
        run.apply(Event::Phase {
            phase: Phase::Training,
        });
        run
    }

    fn apply(&mut self, event: Event) {
        self.t_ms += 10;
        self.state.apply(&Record {
            seq: self.state.seq + 1,
            t_ms: self.t_ms,
            run_ms: None,
            event,
        });
    }

    /// Runs `count` steps; `clipped` decides for each step whether it is clipped.
    fn steps(&mut self, count: u64, clipped: impl Fn(u64) -> bool) {
        for _ in 0..count / 10 {
            let first = self.state.global_step + 1;
            self.apply(Event::Steps(StepWindow {
                epoch: 1,
                global_step: first + 9,
                lr: F64(0.01),
                millis: F64(500.0),
                images: 2560,
                loss: vec![F32(0.5); 10],
                accuracy: vec![F32(0.9); 10],
                grad_norm: vec![F32(2.0); 10],
                clipped: (first..first + 10)
                    .map(|step| clipped(step).into())
                    .collect(),
                ..StepWindow::default()
            }));
        }
    }

    fn epoch(&mut self, train: f64, accuracy: f64, nll: f64) {
        let epoch = self.state.history.back().map_or(0, |row| row.epoch) + 1;
        self.apply(Event::EpochFinished(EpochSummary {
            epoch,
            global_step: u64::from(epoch) * 100,
            train_accuracy: F64(train),
            valid_accuracy: F64(accuracy),
            valid_nll: F64(nll),
            ..EpochSummary::default()
        }));
    }

    fn health(&mut self, global_step: u64, finding: Finding, remedy: Remedy) {
        self.apply(Event::Health(Health {
            global_step,
            finding,
            remedy,
        }));
    }

    fn alerts(&self) -> Vec<Alert> {
        alerts(&self.state, self.t_ms)
    }

    fn rules(&self) -> Vec<Rule> {
        self.alerts().iter().map(|alert| alert.rule).collect()
    }

    fn text(&self, rule: Rule) -> String {
        let alerts = self.alerts();
        let alert = alerts.into_iter().find(|alert| alert.rule == rule);
        alert.unwrap().text
    }

    /// The log lines about a rule.
    fn lines(&self, rule: Rule) -> Vec<&str> {
        let lines = self.state.log.iter().map(|line| line.text.as_str());
        lines
            .filter(|text| text.starts_with(&format!("alert {}", rule.name())))
            .collect()
    }
}

fn skipped(global_step: u64) -> Event {
    Event::StepSkipped {
        global_step,
        loss: F32(f32::NAN),
        grad_norm: F32(1.0),
        statistics: false,
    }
}

fn not_finite(in_a_row: u64, layer: Option<&str>) -> Finding {
    Finding::NonFinite {
        in_a_row,
        loss: F32(f32::NAN),
        grad_norm: F32(1.0),
        layer: layer.map(str::to_owned),
    }
}

#[test]
fn healthy_run_has_no_alert() {
    let mut run = Run::new();
    for i in 0..30 {
        run.steps(100, |step| step % 3 == 0);
        let i = f64::from(i);
        run.epoch(0.8 + 0.005 * i, 0.8 + 0.004 * i, 0.6 - 0.01 * i);
        assert_eq!(run.rules(), [], "epoch {i}");
    }
    assert!(run.state.log.is_empty());
    assert_eq!(alerts(&RunState::default(), u64::MAX), []);
}

#[test]
fn non_finite_steps_are_logged_once_and_resolved_after_500_steps() {
    let mut run = Run::new();
    run.steps(100, |_| false);
    run.apply(skipped(101));
    assert_eq!(run.rules(), [Rule::NonFinite]);
    assert_eq!(run.alerts()[0].severity, Level::Warn);
    assert!(
        run.text(Rule::NonFinite)
            .starts_with("step 101 is not finite")
    );
    for step in 102..106 {
        run.apply(skipped(step));
    }
    run.health(105, not_finite(5, Some("conv1")), Remedy::Paused);
    let alert = &run.alerts()[0];
    assert_eq!((alert.severity, alert.since_step), (Level::Error, 101));
    assert!(
        alert
            .text
            .starts_with("5 steps are not finite, the latest 105, first non-finite layer conv1;"),
        "{}",
        alert.text
    );
    run.steps(500, |_| false);
    assert_eq!(run.rules(), [Rule::NonFinite], "step 600 is 495 later");
    run.steps(10, |_| false);
    assert_eq!(run.rules(), []);
    assert_eq!(run.lines(Rule::NonFinite).len(), 2);
    assert_eq!(
        run.lines(Rule::NonFinite)[1],
        "alert non-finite resolved (active since step 101)"
    );
}

#[test]
fn loss_spike_is_active_for_200_steps() {
    let mut run = Run::new();
    run.steps(100, |_| false);
    let spike = |loss| Finding::Spike {
        loss: F32(loss),
        mean: F64(0.5),
    };
    run.health(100, spike(9.0), Remedy::Reported);
    assert_eq!(run.rules(), [Rule::Spike]);
    assert!(
        run.text(Rule::Spike)
            .starts_with("loss spike at step 100: 9.000 after a mean of 0.500;")
    );
    run.steps(100, |_| false);
    run.health(200, spike(8.0), Remedy::Reported);
    assert!(
        run.text(Rule::Spike)
            .starts_with("2 loss spikes, the latest at step 200")
    );
    run.steps(200, |_| false);
    assert_eq!(run.rules(), [Rule::Spike]);
    run.steps(10, |_| false);
    assert_eq!(run.rules(), []);
    assert_eq!(run.lines(Rule::Spike).len(), 2, "{:?}", run.state.log);
}

#[test]
fn dead_gradient_is_active_until_the_next_sample_without_a_finding() {
    let mut run = Run::new();
    let layers = |global_step| Event::Layers {
        global_step,
        layers: vec![LayerNorms {
            name: "a".to_owned(),
            grad_norm: F32(0.0),
            weight_norm: F32(1.0),
            update_norm: F32(0.0),
        }],
    };
    let names: Vec<String> = (0..6).map(|i| format!("layer{i}")).collect();
    for step in [100, 200] {
        let layers_found = Finding::DeadGradient {
            layers: names.clone(),
        };
        run.health(step, layers_found, Remedy::Reported);
        run.apply(layers(step));
        assert_eq!(run.rules(), [Rule::DeadGradient]);
    }
    assert_eq!(run.alerts()[0].since_step, 100);
    assert!(
        run.text(Rule::DeadGradient).starts_with(
            "no gradient reaches layer0, layer1, layer2, layer3 and 2 more at step 200;"
        )
    );
    run.apply(layers(300));
    assert_eq!(run.rules(), []);
    assert_eq!(run.lines(Rule::DeadGradient).len(), 2);
}

#[test]
fn always_clipping_starts_after_the_warm_up_and_has_hysteresis() {
    let mut run = Run::new();
    run.steps(490, |_| true);
    assert_eq!(run.rules(), [], "still in the warm-up");
    run.steps(10, |_| true);
    assert_eq!(run.rules(), [Rule::AlwaysClipping]);
    let text = run.text(Rule::AlwaysClipping);
    assert!(
        text.starts_with(
            "100 of the last 100 steps were clipped (median norm 2.00, optim.clip_norm 1)"
        ),
        "{text}"
    );
    // A share of 0.8 is between the two thresholds: too low to start the alert, too high to end it.
    run.steps(200, |step| step % 5 != 0);
    assert_eq!(run.rules(), [Rule::AlwaysClipping]);
    run.steps(100, |step| step % 2 == 0);
    assert_eq!(run.rules(), []);
    run.steps(100, |step| step % 5 != 0);
    assert_eq!(run.rules(), []);
    assert_eq!(run.lines(Rule::AlwaysClipping).len(), 2);
}

#[test]
fn plateau_starts_after_a_fifth_of_the_run() {
    let mut run = Run::new();
    for epoch in 1..=6 {
        run.epoch(
            0.9,
            0.80 + 0.02 * f64::from(epoch),
            0.5 - 0.02 * f64::from(epoch),
        );
    }
    // 8 of 40 epochs. A gain below half the interval (1.96 * sqrt(0.92 * 0.08 / 5000) = 0.75 points) is no progress.
    for i in 0..7 {
        run.epoch(0.9, 0.925, 0.38);
        assert_eq!(run.rules(), [], "{i}");
    }
    run.epoch(0.9, 0.925, 0.38);
    assert_eq!(run.rules(), [Rule::Plateau]);
    let text = run.text(Rule::Plateau);
    assert!(
        text.starts_with("plateau: no better validation for 8 epochs (best accuracy 92.00 %, NLL 0.3800 at epoch 6)"),
        "{text}"
    );
    assert_eq!(run.alerts()[0].since_step, 600);
    // A decrease of the NLL by two percent is.
    run.epoch(0.9, 0.925, 0.37);
    assert_eq!(run.rules(), []);
    let lines = run.lines(Rule::Plateau);
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with("alert plateau: no better validation"),
        "{lines:?}"
    );
}

#[test]
fn slow_progress_is_not_a_plateau() {
    let mut run = Run::new();
    for epoch in 0..30 {
        run.epoch(
            0.9,
            0.90 + 0.001 * f64::from(epoch),
            0.5 - 0.001 * f64::from(epoch),
        );
        assert_eq!(run.rules(), [], "{epoch}");
    }
}

#[test]
fn rising_validation_nll_with_improving_training_is_overfitting() {
    let mut run = Run::new();
    let falling = [0.60, 0.50, 0.42, 0.36, 0.32, 0.30];
    for (i, nll) in falling.into_iter().enumerate() {
        // Training accuracy is lower than validation accuracy because of augmentation.
        run.epoch(0.80 + 0.01 * i as f64, 0.85, nll);
    }
    let mut began = 0;
    for i in 1..=8 {
        run.epoch(0.86 + 0.01 * f64::from(i), 0.85, 0.30 + 0.02 * f64::from(i));
        if began == 0 && run.rules().contains(&Rule::Overfitting) {
            began = i;
        }
    }
    assert!((3..=6).contains(&began), "{began}");
    let text = run.text(Rule::Overfitting);
    assert!(
        text.starts_with("overfitting: valid NLL 0.4400 is ")
            && text.contains("points: stop after"),
        "{text}"
    );
    // The learning rate was lowered, and validation recovers.
    for _ in 0..3 {
        run.epoch(0.94, 0.86, 0.30);
    }
    assert!(!run.rules().contains(&Rule::Overfitting));
    assert_eq!(run.lines(Rule::Overfitting).len(), 2, "{:?}", run.state.log);
}

#[test]
fn noisy_validation_is_not_overfitting() {
    let mut run = Run::new();
    let mut dice = 7_u64;
    for epoch in 0..40 {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let noise = (dice >> 33) as f64 / (1_u64 << 31) as f64 - 0.5;
        let nll = 0.4 + 0.3 * (-f64::from(epoch) / 5.0).exp() + 0.08 * noise;
        run.epoch(0.8 + 0.004 * f64::from(epoch), 0.88 - 0.05 * noise, nll);
        assert!(!run.rules().contains(&Rule::Overfitting), "epoch {epoch}");
    }
    // Neither is a rise without an improvement of training.
    let mut run = Run::new();
    for epoch in 0..12 {
        let rises = 0.3 + 0.02 * f64::from((epoch - 6).max(0));
        run.epoch(0.9, 0.8, rises);
    }
    assert!(
        !run.rules().contains(&Rule::Overfitting),
        "the gap is unchanged"
    );
}

#[test]
fn missing_steps_are_a_stall_only_while_training() {
    let mut run = Run::new();
    let at = |run: &Run, seconds: u64| {
        let found = alerts(&run.state, run.t_ms + seconds * 1000);
        found.iter().any(|alert| alert.rule == Rule::Stalled)
    };
    assert!(!at(&run, 119) && at(&run, 121), "before the first step");
    run.steps(100, |_| false);
    assert!(!at(&run, 29) && at(&run, 31), "50 ms a step");
    let found = alerts(&run.state, run.t_ms + 65_000);
    assert_eq!(found[0].severity, Level::Error);
    assert!(
        found[0]
            .text
            .starts_with("stalled: no step for 1:05 (usually 0.05 s per step)"),
        "{}",
        found[0].text
    );
    // Log lines of other clients do not count as activity.
    run.t_ms += 40_000;
    run.apply(Event::Log {
        level: Level::Info,
        text: "a client connected".to_owned(),
    });
    assert!(at(&run, 0));
    for phase in [Phase::Paused, Phase::Validating, Phase::Checkpointing] {
        run.apply(Event::Phase { phase });
        assert!(!at(&run, 10_000), "{phase:?}");
    }
    run.apply(Event::Phase {
        phase: Phase::Training,
    });
    assert!(!at(&run, 29) && at(&run, 31));
    run.apply(Event::RunFinished {
        outcome: Outcome::Completed,
        global_step: 100,
    });
    assert!(!at(&run, 10_000));
    assert!(run.lines(Rule::Stalled).is_empty(), "the fold has no clock");
}

#[test]
fn stall_limit_scales_with_the_step_time() {
    let mut run = Run::new();
    for step in 1..=50 {
        run.apply(Event::Steps(StepWindow {
            global_step: step,
            millis: F64(4000.0),
            images: 8,
            loss: vec![F32(1.0)],
            ..StepWindow::default()
        }));
    }
    let at = |seconds: u64| !alerts(&run.state, run.t_ms + seconds * 1000).is_empty();
    assert!(!at(79) && at(81));
}

#[test]
fn low_disk_means_space_for_fewer_than_five_checkpoints() {
    const GIB: u64 = 1 << 30;
    assert_eq!(low_disk(100 * GIB, 0), None);
    assert_eq!(low_disk(10 * GIB, 2 * GIB), None);
    let few = low_disk(10 * GIB - 1, 2 * GIB).unwrap();
    assert_eq!(few.severity, Level::Warn);
    assert!(
        few.text
            .starts_with("10.7 GB free on the disk of the run, 4 more checkpoints of 2.1 GB fit:"),
        "{}",
        few.text
    );
    assert_eq!(low_disk(GIB, 1000), None);
    assert_eq!(low_disk(GIB - 1, 0).unwrap().severity, Level::Warn);
    assert_eq!(low_disk(GIB, 2 * GIB).unwrap().severity, Level::Error);
    assert_eq!(low_disk(0, 0).unwrap().severity, Level::Error);
}

#[test]
fn throttling_reports_the_reasons_that_are_not_intended() {
    assert_eq!(throttling(0, &[]), None);
    let blank = ThrottleReason::Other(String::new());
    let intended = [ThrottleReason::PowerLimit, ThrottleReason::SyncBoost, blank];
    assert_eq!(throttling(0, &intended), None);
    let hot = throttling(1, &[ThrottleReason::PowerLimit, ThrottleReason::Overheated]).unwrap();
    assert!(
        hot.text
            .starts_with("GPU 1 is throttled (far too hot, clocks halved):"),
        "{}",
        hot.text
    );
}

#[test]
fn most_severe_alert_is_first_and_none_remain_after_the_end() {
    let mut run = Run::new();
    run.steps(600, |_| true);
    let spike = Finding::Spike {
        loss: F32(9.0),
        mean: F64(0.5),
    };
    run.health(600, spike, Remedy::Reported);
    run.health(600, not_finite(9, None), Remedy::Paused);
    assert_eq!(
        run.rules(),
        [Rule::NonFinite, Rule::Spike, Rule::AlwaysClipping]
    );
    run.apply(Event::RunFinished {
        outcome: Outcome::Stopped,
        global_step: 600,
    });
    assert_eq!(run.rules(), []);
}
