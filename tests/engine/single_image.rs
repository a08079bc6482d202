//! A batch of one image has no batch statistics over maps of 1×1: its step changes nothing, which is said with its cause
//! and is not taken for a dead gradient.

use epochtop::config::Config;
use epochtop::event::{Event, Outcome};
use epochtop::run::{Rule, RunState, alerts};

use crate::fixture::{Story, shapes, small_config, train};

/// A network whose last maps are 1×1, trained on 65 images.
fn config(data: &std::path::Path) -> Config {
    shapes(data);
    let mut config = small_config(data);
    config.model.channels = vec![8; 5];
    config.model.residual = false;
    config.data.train_limit = 65;
    (config.train.batch_size, config.train.epochs) = (64, 2);
    config.optim.warmup_epochs = 0.0;
    config
}

fn skipped(story: &Story) -> Vec<(u64, bool)> {
    let events = story.events.iter();
    let skipped = events.filter_map(|event| match event {
        Event::StepSkipped {
            global_step,
            statistics,
            ..
        } => Some((*global_step, *statistics)),
        _ => None,
    });
    skipped.collect()
}

fn rules(state: &RunState) -> Vec<Rule> {
    let state = RunState {
        outcome: None,
        ..state.clone()
    };
    let all = alerts(&state, state.now_ms);
    all.into_iter().map(|alert| alert.rule).collect()
}

#[test]
fn the_skipped_step_is_reported_and_is_no_dead_gradient() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = config(data.path());
    let story = train(&config, dir.path(), |_| Vec::new());
    assert_eq!(story.state.outcome, Some(Outcome::Completed));
    assert_eq!(skipped(&story), [(2, true), (4, true)]);
    let findings = story
        .events
        .iter()
        .filter(|event| matches!(event, Event::Health(_)));
    assert_eq!(findings.count(), 0);
    assert_eq!(rules(&story.state), [Rule::NonFinite]);
    let warnings = &story.state.info.as_ref().unwrap().warnings;
    assert!(
        warnings.iter().any(|text| text.contains("a single image")),
        "{warnings:?}"
    );
    // The norms of the next step are reported instead of those of the skipped one.
    let layers: Vec<u64> = story
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Layers { global_step, .. } => Some(*global_step),
            _ => None,
        })
        .collect();
    assert_eq!(layers, [3]);
}

#[test]
fn many_in_a_row_do_not_flood_the_log() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut config = config(data.path());
    config.data.train_limit = 120;
    config.train.batch_size = 1;
    let story = train(&config, dir.path(), |_| Vec::new());
    assert_eq!(story.state.outcome, Some(Outcome::Completed));
    let steps = skipped(&story).into_iter().map(|(step, _)| step);
    assert_eq!(steps.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 100, 200]);
}
