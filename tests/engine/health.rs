//! What a training does when it is not well, and when it has had enough.

use std::path::Path;

use epochtop::config::{Config, NonFinite, ScheduleName};
use epochtop::event::{Command, Event, Finding, Health, LayerNorms, Outcome, Phase, Remedy};
use epochtop::metrics::Measure;
use epochtop::run::{Bucket, Curve};

use crate::fixture::{Story, load, shapes, small_config, train, train_on};

/// A training whose learning rate becomes absurd at step 30, under a policy.
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
fn bad_steps_are_skipped_and_five_in_a_row_pause() {
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
    let last = health.last().expect("it was told");
    assert_eq!(last.remedy, Remedy::Paused);
    let Finding::NonFinite {
        in_a_row, layer, ..
    } = &last.finding
    else {
        panic!("{last:?}")
    };
    assert!(*in_a_row >= 5, "{last:?}");
    // The first convolution's output is large but finite; what normalises it hands on numbers that overflow in the next.
    let layer = layer.as_deref().expect("a layer is named");
    assert!(layer.starts_with("blocks."), "{layer}");
    let told = format!("first bad layer {layer}; paused");
    assert!(
        story
            .state
            .log
            .iter()
            .any(|line| line.text.ends_with(&told)),
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
fn the_policy_rollback_goes_back_to_weights_that_were_good() {
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
    let (at, to, lr) = back.expect("it went back");
    assert!(to < at && lr == 5e29, "back from {at} to {to}, {lr}");
    let last = story.state.valid.latest.expect("it was validated");
    assert!(
        last.value(Measure::Accuracy) > 0.9,
        "it goes on learning: {}",
        last.value(Measure::Accuracy)
    );
}

#[test]
fn without_progress_the_run_comes_to_its_end() {
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
    assert!(story.state.test.latest.is_some(), "the best is tested");
}

#[test]
fn when_the_time_is_used_up_what_was_learnt_is_tested() {
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
fn the_last_step_of_an_epoch_tells_how_each_parameter_moved() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let config = small_config(data.path());
    let dir = tempfile::tempdir().unwrap();
    let story = train(&config, dir.path(), |_| Vec::new());
    let told: Vec<(u64, &Vec<LayerNorms>)> = story
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
        told.iter().map(|(step, _)| *step).collect::<Vec<_>>(),
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
    for (step, layers) in told {
        assert_eq!(layers[0].name, "blocks.0.conv.weight");
        // The parts' moves make up that of the whole network.
        let norm = |pick: fn(&LayerNorms) -> f32| {
            layers
                .iter()
                .map(|layer| f64::from(pick(layer)).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        let whole = norm(|layer| layer.update_norm.0) / norm(|layer| layer.weight_norm.0);
        let ratio = ratios.bucket_at(step).and_then(Bucket::mean).unwrap();
        assert!(
            (ratio - whole).abs() < 1e-4 * whole,
            "step {step}: {ratio}, parts {whole}"
        );
        // The parts' norms make up the whole's, which is the one before clipping.
        let whole = layers
            .iter()
            .map(|layer| layer.grad_norm.0.powi(2))
            .sum::<f32>()
            .sqrt();
        let known = norms[step as usize - 1];
        assert!(
            (whole - known).abs() < 1e-3 * known,
            "step {step}: {whole} of {known}"
        );
        assert!(
            layers
                .iter()
                .all(|layer| layer.weight_norm.0.is_finite() && layer.update_norm.0 >= 0.0)
        );
    }
}

#[test]
fn what_was_learnt_before_a_failure_is_saved() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let config = small_config(data.path());
    let mut dataset = load(&config);
    // A label beyond the classes passes no reader; here it makes one step of the first epoch fail inside libtorch.
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
fn with_an_average_the_model_is_it_and_the_weights_lie_with_the_optimizer() {
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
        .expect("the weights to go on from");
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
    // The average steers nothing: the weights beside it are those of a run without.
    assert!(
        (raw - flat(&plain)).abs() < 1e-3 * raw,
        "{raw} and {}",
        flat(&plain)
    );
    assert!((raw - flat(&average)).abs() > 1e-6 * raw);
}
