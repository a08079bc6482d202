//! Non-finite steps, early stopping, time limits and failures of a training run.

use std::path::Path;

use epochtop::config::{Config, NonFinite, ScheduleName};
use epochtop::event::{Command, Event, Finding, Health, LayerNorms, Outcome, Phase, Remedy};
use epochtop::metrics::Measure;
use epochtop::run::{Bucket, Curve};

use crate::fixture::{Story, load, shapes, small_config, train, train_on};

/// A training run whose learning rate is set to 1e30 after step 60, with a policy for non-finite steps.
fn exploding(
    policy: NonFinite,
    dir: &Path,
    mut steer: impl FnMut(&Event) -> Vec<Command>,
) -> Story {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    config.train.epochs = 12;
    config.optim.clip_norm = 0.0;
    config.health.non_finite = policy;
    let mut exploded = false;
    train(&config, dir, |event| match event {
        Event::Steps(window) if !exploded && window.global_step >= 60 => {
            exploded = true;
            vec![Command::SetLearningRate { lr: 1e30 }]
        }
        event => steer(event),
    })
}

fn health(story: &Story) -> Vec<&Health> {
    let events = story.events.iter();
    events
        .filter_map(|event| match event {
            Event::Health(health) => Some(health),
            _ => None,
        })
        .filter(|health| matches!(health.finding, Finding::NonFinite { .. }))
        .collect()
}

#[test]
fn non_finite_steps_are_skipped_and_five_in_a_row_pause() {
    let dir = tempfile::tempdir().unwrap();
    let mut paused = 0;
    let story = exploding(NonFinite::Skip, dir.path(), |event| match event {
        Event::Phase {
            phase: Phase::Paused,
        } => {
            paused += 1;
            vec![Command::Stop]
        }
        _ => Vec::new(),
    });
    assert_eq!((paused, &story.state.outcome), (1, &Some(Outcome::Stopped)));
    let health = health(&story);
    let last = health.last().expect("the health event was logged");
    assert_eq!(last.remedy, Remedy::Paused);
    let Finding::NonFinite {
        in_a_row, layer, ..
    } = &last.finding
    else {
        panic!("{last:?}")
    };
    assert!(*in_a_row >= 5, "{last:?}");
    // The output of the first convolution is large but finite; after its norm, the next layer overflows.
    let layer = layer
        .as_deref()
        .expect("the first non-finite layer is reported");
    assert!(layer.starts_with("blocks."), "{layer}");
    let expected = format!("first non-finite layer {layer}; paused");
    assert!(
        story
            .state
            .log
            .iter()
            .any(|line| line.text.ends_with(&expected)),
        "{:?}",
        story.state.log
    );
}

#[test]
fn the_policy_stop_ends_as_failed_with_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let story = exploding(NonFinite::Stop, dir.path(), |_| Vec::new());
    let Some(Outcome::Failed { message }) = &story.state.outcome else {
        panic!("{:?}", story.state.outcome)
    };
    assert!(
        message.contains("was not finite") && message.contains("optim.lr"),
        "{message}"
    );
    assert_eq!(
        health(&story).last().map(|h| &h.remedy),
        Some(&Remedy::Stopped)
    );
    let saved = story.state.checkpoint.expect("a checkpoint");
    assert!(
        dir.path()
            .join(saved.path)
            .join("model.safetensors")
            .exists()
    );
}

#[test]
fn the_policy_rollback_restores_good_weights() {
    let dir = tempfile::tempdir().unwrap();
    let story = exploding(NonFinite::Rollback, dir.path(), |event| match event {
        Event::Health(Health {
            remedy: Remedy::RolledBack { .. },
            ..
        }) => {
            vec![Command::SetLearningRate { lr: 0.01 }]
        }
        _ => Vec::new(),
    });
    assert_eq!(
        story.state.outcome,
        Some(Outcome::Completed),
        "{:?}",
        story.state.log
    );
    let back = health(&story)
        .into_iter()
        .find_map(|health| match health.remedy {
            Remedy::RolledBack { global_step, lr } => Some((health.global_step, global_step, lr.0)),
            _ => None,
        });
    let (at, to, lr) = back.expect("the run was rolled back");
    assert!(to < at && lr == 5e29, "rolled back from {at} to {to}, {lr}");
    let last = story.state.valid.latest.expect("the run was validated");
    assert!(
        last.value(Measure::Accuracy) > 0.9,
        "the run must learn after the rollback: {}",
        last.value(Measure::Accuracy)
    );
}

#[test]
fn early_stopping_ends_the_run() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    config.train.epochs = 20;
    config.train.patience = 2;
    (config.optim.lr, config.optim.schedule) = (1e-12, ScheduleName::Constant);
    let dir = tempfile::tempdir().unwrap();
    let story = train(&config, dir.path(), |_| Vec::new());
    assert_eq!(story.state.outcome, Some(Outcome::Completed));
    assert!(
        story.state.epoch < 10,
        "ended after epoch {}",
        story.state.epoch
    );
    assert!(
        story
            .state
            .log
            .iter()
            .any(|line| line.text.contains("train.patience"))
    );
    assert!(
        story.state.test.latest.is_some(),
        "the best weights must be evaluated on the test set"
    );
}

#[test]
fn the_time_limit_ends_the_run_with_a_test_set_evaluation() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    config.train.epochs = 100_000;
    config.train.max_minutes = 0.01;
    let dir = tempfile::tempdir().unwrap();
    let story = train(&config, dir.path(), |_| Vec::new());
    assert_eq!(story.state.outcome, Some(Outcome::Completed));
    assert!(
        story
            .state
            .log
            .iter()
            .any(|line| line.text.contains("train.max_minutes"))
    );
    assert!(story.state.test.latest.is_some() && story.state.best.is_some());
}

#[test]
fn the_last_step_of_an_epoch_logs_the_norms_of_each_layer() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let config = small_config(data.path());
    let dir = tempfile::tempdir().unwrap();
    let story = train(&config, dir.path(), |_| Vec::new());
    let logged: Vec<(u64, &Vec<LayerNorms>)> = story
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Layers {
                global_step,
                layers,
            } => Some((*global_step, layers)),
            _ => None,
        })
        .collect();
    assert_eq!(
        logged.iter().map(|(step, _)| *step).collect::<Vec<_>>(),
        [16, 32, 48, 64]
    );
    let norms: Vec<f32> = story
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Steps(window) => Some(window.grad_norm.iter().map(|n| n.0)),
            _ => None,
        })
        .flatten()
        .collect();
    let ratios = &story.state.curves[Curve::UpdateRatio];
    assert_eq!(ratios.filled().count(), 4, "every sixteenth step");
    for (step, layers) in logged {
        assert_eq!(layers[0].name, "blocks.0.conv.weight");
        // The norms of the layers combine to the update ratio of the network.
        let norm = |pick: fn(&LayerNorms) -> f32| {
            layers
                .iter()
                .map(|layer| f64::from(pick(layer)).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        let combined = norm(|layer| layer.update_norm.0) / norm(|layer| layer.weight_norm.0);
        let ratio = ratios.bucket_at(step).and_then(Bucket::mean).unwrap();
        assert!(
            (ratio - combined).abs() < 1e-4 * combined,
            "step {step}: {ratio}, from the layers {combined}"
        );
        // The gradient norms of the layers combine to that of the network, before clipping.
        let combined = layers
            .iter()
            .map(|layer| layer.grad_norm.0.powi(2))
            .sum::<f32>()
            .sqrt();
        let known = norms[step as usize - 1];
        assert!(
            (combined - known).abs() < 1e-3 * known,
            "step {step}: {combined} from the layers, expected {known}"
        );
        assert!(
            layers
                .iter()
                .all(|layer| layer.weight_norm.0.is_finite() && layer.update_norm.0 >= 0.0)
        );
    }
}

#[test]
fn the_state_before_a_failure_is_saved() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let config = small_config(data.path());
    let mut dataset = load(&config);
    // A label out of range, which the reader would reject, makes step 2 of the first epoch fail inside libtorch.
    let order = epochtop::random::epoch_order(config.train.seed, 1, dataset.train.labels.len());
    dataset.train.labels[order[40] as usize] = 9;
    let dir = tempfile::tempdir().unwrap();
    let story = train_on(dataset, &config, dir.path(), |_| Vec::new());
    let Some(Outcome::Failed { message }) = &story.state.outcome else {
        panic!("{:?}", story.state.outcome)
    };
    assert!(
        message.contains("after step 1, whose state is saved in checkpoints/step-000000001"),
        "{message}"
    );
    assert!(
        dir.path()
            .join("checkpoints/step-000000001/model.safetensors")
            .exists()
    );
}

#[test]
fn with_ema_the_model_file_has_the_average_and_the_optimizer_file_the_weights() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let read = |ema: f64| {
        let mut config: Config = small_config(data.path());
        config.train.epochs = 1;
        config.train.ema = ema;
        let dir = tempfile::tempdir().unwrap();
        train(&config, dir.path(), |_| Vec::new());
        let folder = dir.path().join("checkpoints/step-000000016");
        ["model.safetensors", "optim.safetensors"].map(|name| {
            let bytes = std::fs::read(folder.join(name)).unwrap();
            epochtop::checkpoint::decode(&bytes).unwrap()
        })
    };
    let [plain, memory] = read(0.0);
    assert!(memory.iter().all(|(name, _, _)| name != "weights"));
    let [average, memory] = read(0.9);
    let raw = memory
        .iter()
        .find(|(name, _, _)| name == "weights")
        .expect("the weights to resume from");
    let flat = |tensors: &[(String, Vec<i64>, Vec<f32>)]| -> f32 {
        let mut sum = 0.0;
        for (name, _, values) in tensors {
            if !name.contains("running") {
                sum += values.iter().map(|v| v * v).sum::<f32>();
            }
        }
        sum
    };
    let raw = raw.2.iter().map(|v| v * v).sum::<f32>();
    // The average does not affect training: the raw weights equal those of a run without EMA.
    assert!(
        (raw - flat(&plain)).abs() < 1e-3 * raw,
        "{raw} and {}",
        flat(&plain)
    );
    assert!((raw - flat(&average)).abs() > 1e-6 * raw);
}
