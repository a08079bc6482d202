//! Diverged training, and steps without batch statistics.

use super::*;

/// A run with ten classes, in which guessing has a loss of 2.3, and an event of steps with this loss.
fn ten_classes() -> Run {
    let mut run = Run::new();
    let info = run.state.info.as_mut().unwrap();
    info.dataset.classes = vec![String::new(); 10];
    run
}

fn losses(run: &mut Run, loss: f32, count: usize) {
    run.apply(Event::Steps(StepWindow {
        epoch: 1,
        global_step: run.state.global_step + count as u64,
        loss: vec![F32(loss); count],
        ..StepWindow::default()
    }));
}

#[test]
fn diverged_training_is_not_called_a_dead_gradient() {
    let mut run = ten_classes();
    let layers = vec!["head.logits.bias".to_owned()];
    run.health(5, Finding::DeadGradient { layers }, Remedy::Reported);
    assert_eq!(run.rules(), [Rule::DeadGradient]);
    losses(&mut run, 4.1e17, 19);
    assert_eq!(run.rules(), [Rule::DeadGradient]);
    losses(&mut run, 4.1e17, 1);
    assert_eq!(run.rules(), [Rule::Diverged]);
    assert_eq!(run.alerts()[0].severity, Level::Error);
    assert_eq!(run.alerts()[0].since_step, 1);
    run.apply(Event::EpochFinished(EpochSummary {
        epoch: 1,
        global_step: 20,
        train_loss: F64(4.1e17),
        valid_nll: F64(1e28),
        ..EpochSummary::default()
    }));
    assert_eq!(
        run.text(Rule::Diverged),
        "diverged: training loss 4.1e17, validation NLL 1.0e28 in epoch 1, where guessing has 2.30: lower optim.lr, and \
         restart or resume from an earlier checkpoint"
    );
    losses(&mut run, 2.0, 19);
    assert_eq!(run.rules()[0], Rule::Diverged);
    losses(&mut run, 2.0, 1);
    assert!(!run.rules().contains(&Rule::Diverged));
    assert_eq!(run.lines(Rule::Diverged).len(), 2);
}

#[test]
fn an_epoch_of_few_steps_can_show_divergence() {
    let epoch = |train, valid| {
        let mut run = ten_classes();
        run.apply(Event::EpochFinished(EpochSummary {
            epoch: 1,
            global_step: 8,
            train_loss: F64(train),
            valid_nll: F64(valid),
            ..EpochSummary::default()
        }));
        run.rules().contains(&Rule::Diverged)
    };
    assert!(epoch(50.0, 1e28) && epoch(50.0, f64::INFINITY) && epoch(50.0, f64::NAN));
    // A spike in the training loss from which the weights recovered, and ordinary epochs.
    assert!(!epoch(50.0, 2.0) && !epoch(2.3, 7.0) && !epoch(f64::NAN, f64::NAN));
}

#[test]
fn single_high_losses_are_no_divergence() {
    let mut run = ten_classes();
    for _ in 0..10 {
        losses(&mut run, 40.0, 19);
        losses(&mut run, 2.0, 1);
    }
    assert_eq!(run.rules(), []);
    // Without classes the loss of guessing is unknown.
    let mut run = Run::new();
    losses(&mut run, 1e9, 100);
    assert_eq!(run.rules(), []);
}

#[test]
fn step_without_batch_statistics_is_named_with_its_cause() {
    let skipped = |train: u64| {
        let mut run = Run::new();
        let info = run.state.info.as_mut().unwrap();
        (info.dataset.train, info.batch_size) = (train, 64);
        info.steps_per_epoch = train.div_ceil(64);
        let step = info.steps_per_epoch;
        run.apply(Event::StepSkipped {
            global_step: step,
            loss: F32(1.4),
            grad_norm: F32(0.2),
            statistics: true,
        });
        assert_eq!(run.rules(), [Rule::NonFinite]);
        assert_eq!(run.alerts()[0].severity, Level::Warn);
        run.text(Rule::NonFinite)
    };
    assert_eq!(
        skipped(65),
        "step 2 is not finite: its batch has a single image, and batch norm over 1x1 maps needs more: choose a \
         train.batch_size that leaves no single image; such a step changes no weights"
    );
    assert!(
        skipped(66).starts_with("step 2 is not finite: the statistics of its batch are not finite")
    );
}
