//! Small training runs in the test process.

use std::time::{Duration, Instant};

use epochtop::config::{Config, Precision};
use epochtop::event::{Command, Event, Outcome, Phase, Split, StepTime, WeightsKind};
use epochtop::metrics::Measure;

use crate::fixture::{Story, load, shapes, small_config, train, train_on};

#[test]
fn two_thousand_images_reach_70_percent_accuracy() {
    let mut config = Config::default();
    config.data.train_limit = 2000;
    config.train.epochs = 4;
    config.train.batch_size = 64;
    let dir = tempfile::tempdir().unwrap();
    let story = train_on(load(&config), &config, dir.path(), |_| Vec::new());
    assert_eq!(
        story.state.outcome,
        Some(Outcome::Completed),
        "{:?}",
        story.state.log
    );
    let best = story.state.best.expect("epochs were validated");
    assert!(
        best.accuracy.0 >= 0.70,
        "best validation accuracy {}",
        best.accuracy.0
    );
    let test = story
        .state
        .test
        .latest
        .expect("the run ends with a test-set evaluation");
    assert_eq!(
        (test.n, test.weights, test.epoch),
        (10_000, WeightsKind::Best, best.epoch)
    );
    assert!(
        (test.value(Measure::Accuracy) - best.accuracy.0).abs() < 0.05,
        "test {} and validation differ",
        test.value(Measure::Accuracy)
    );
    assert!(
        test.value(Measure::NllCalibrated) <= test.value(Measure::Nll),
        "the temperature made the NLL worse"
    );
}

#[test]
fn three_imbalanced_classes_of_20_by_24_images_are_learnt() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    config.train.epochs = 8;
    let dir = tempfile::tempdir().unwrap();
    let story = train(&config, dir.path(), |_| Vec::new());
    let info = story.state.info.as_ref().expect("the run has started");
    assert_eq!((info.dataset.height, info.dataset.width), (20, 24));
    assert_eq!(info.dataset.classes, ["level", "upright", "blob"]);
    let report = story
        .state
        .test
        .latest
        .as_ref()
        .expect("the run ends with a test-set evaluation");
    assert_eq!(
        report
            .classes
            .iter()
            .map(|class| class.support)
            .collect::<Vec<_>>(),
        [140, 40, 20]
    );
    assert!(
        report.value(Measure::MacroF1) > 0.9,
        "macro-F1 {}",
        report.value(Measure::MacroF1)
    );
    let predictions = story
        .state
        .predictions
        .as_ref()
        .expect("there are predictions of the gallery");
    assert_eq!(predictions.top.len(), 64);
    assert!(predictions.top.iter().all(|top| top.len() == 3));
    assert_eq!(story.state.gallery.pixels.0.len(), 64 * 20 * 24);
}

#[test]
fn every_step_is_logged_once_and_in_order() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let config = small_config(data.path());
    let dir = tempfile::tempdir().unwrap();
    let story = train(&config, dir.path(), |_| Vec::new());
    // 500 training images in batches of 32: 16 steps, the last with 20 images.
    let mut steps = 0;
    let mut images = 0;
    for event in &story.events {
        if let Event::Steps(window) = event {
            steps += window.loss.len() as u64;
            images += window.images;
            assert_eq!(window.global_step, steps);
            assert_eq!(window.grad_norm.len(), window.loss.len());
        }
    }
    assert_eq!((steps, images), (4 * 16, 4 * 500));
    let validations = story
        .events
        .iter()
        .filter(|e| matches!(e, Event::EvalFinished(r) if r.split == Split::Valid));
    assert_eq!(validations.count(), 4);
}

/// The step breakdowns that were logged, and the total milliseconds of the steps in them.
fn step_times(story: &Story) -> (Vec<StepTime>, f64) {
    let times = story.events.iter().filter_map(|event| match event {
        Event::StepTime(time) => Some(*time),
        _ => None,
    });
    let times: Vec<StepTime> = times.collect();
    let totals = times.iter().map(|time| time.total_ms() * time.steps as f64);
    let sum = totals.sum();
    (times, sum)
}

#[test]
fn step_breakdowns_are_logged_even_in_a_short_run() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    (config.train.ema, config.train.accumulate) = (0.9, 2);
    let dir = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let story = train(&config, dir.path(), |_| Vec::new());
    let wall = started.elapsed().as_secs_f64() * 1000.0;
    let (times, sum) = step_times(&story);
    assert_eq!(story.state.step_time, times.last().copied());
    assert!(
        times.iter().map(|time| time.steps).sum::<u64>() <= 4 * 16,
        "{times:?}"
    );
    for time in &times {
        let [(_, loader), parts @ ..] = time.parts();
        assert_eq!(loader, 0.0, "images in memory need no loader");
        assert!(parts.iter().all(|(_, ms)| *ms > 0.0), "{time:?}");
        assert!(!time.sampled && time.steps <= time.global_step, "{time:?}");
    }
    assert!(sum > 0.0 && sum <= wall, "{sum} of {wall} ms: {times:?}");
    // Resuming discards events of later steps, so a breakdown must not come before the steps that it describes.
    let mut steps = 0;
    for event in &story.events {
        match event {
            Event::Steps(window) => steps = window.global_step,
            Event::StepTime(time) => assert_eq!(time.global_step, steps),
            _ => {}
        }
    }
}

#[test]
fn step_times_exclude_pauses_and_evaluations() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    (config.train.epochs, config.train.batch_size) = (1, 4);
    let pause = Duration::from_millis(300);
    let (mut requested, mut paused) = (false, false);
    let dir = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let story = train(&config, dir.path(), |event| match event {
        Event::Steps(_) if !requested => {
            requested = true;
            vec![Command::Pause]
        }
        Event::Phase {
            phase: Phase::Paused,
        } if !paused => {
            paused = true;
            std::thread::sleep(pause);
            vec![Command::EvaluateBoth, Command::Resume]
        }
        _ => Vec::new(),
    });
    let wall = started.elapsed();
    let (times, sum) = step_times(&story);
    assert!(paused && !times.is_empty());
    let training = wall.saturating_sub(pause).as_secs_f64() * 1000.0;
    assert!(sum <= training, "{sum} of {training} ms: {times:?}");
}

#[test]
fn runs_are_reproducible_byte_for_byte() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    config.train.epochs = 2;
    let augment = &mut config.data.augment;
    (augment.shift, augment.rotate, augment.scale, augment.erase) = (2, 10.0, 0.1, 0.5);
    config.model.dropout = 0.2;
    (config.train.ema, config.train.accumulate) = (0.9, 2);
    let weights = |config: &Config, dir: &std::path::Path| {
        train(config, dir, |_| Vec::new());
        // Weights, EMA weights, optimizer state and running statistics.
        ["model.safetensors", "optim.safetensors"].map(|name| {
            let path = dir.join("checkpoints/step-000000032").join(name);
            blake3::hash(&std::fs::read(path).unwrap())
        })
    };
    for (precision, threads) in [
        (Precision::F32, 1),
        (Precision::F32, 2),
        (Precision::Bf16, 2),
    ] {
        (config.train.precision, config.train.threads) = (precision, threads);
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let what = format!("{precision:?}, {threads} threads");
        assert_eq!(
            weights(&config, a.path()),
            weights(&config, b.path()),
            "{what}"
        );
    }
}

#[test]
fn a_libtorch_error_ends_the_run_as_failed_with_its_message() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let config = small_config(data.path());
    let mut dataset = load(&config);
    // Labels out of range, which the reader would reject, make the loss fail inside libtorch.
    dataset.train.labels.fill(9);
    let dir = tempfile::tempdir().unwrap();
    let story = train_on(dataset, &config, dir.path(), |_| Vec::new());
    let Some(Outcome::Failed { message }) = story.state.outcome else {
        panic!("{:?}", story.state.outcome)
    };
    assert!(message.starts_with("libtorch: "), "{message}");
    assert!(!message.contains("frame #"), "{message}");
}

#[test]
fn a_run_without_a_finite_validation_fails() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    config.optim.lr = 1e30;
    config.optim.clip_norm = 0.0;
    config.train.epochs = 1;
    config.health.in_a_row = 1000;
    let dir = tempfile::tempdir().unwrap();
    let story = train(&config, dir.path(), |_| Vec::new());
    let Some(Outcome::Failed { message }) = &story.state.outcome else {
        panic!("{:?}", story.state.outcome)
    };
    assert!(message.contains("diverged"), "{message}");
    assert_eq!(story.state.best, None);
    assert_eq!(
        story.state.global_step, 16,
        "all steps that were done must be logged"
    );
    let report = story
        .state
        .valid
        .latest
        .as_ref()
        .expect("the run was validated");
    assert!(report.value(Measure::Ece).is_nan() && report.value(Measure::Nll).is_nan());
    let predictions = story
        .state
        .predictions
        .as_ref()
        .expect("there are predictions");
    assert!(
        predictions.top.iter().all(Vec::is_empty),
        "a prediction was made from NaN"
    );
}
