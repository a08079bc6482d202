//! A diverged training is named as such.

use epochtop::config::OptimName;
use epochtop::event::{Event, Finding};
use epochtop::run::Rule;

use crate::fixture::{shapes, small_config, train};

#[test]
fn divergence_is_reported_and_not_a_dead_gradient() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    shapes(data.path());
    let mut config = small_config(data.path());
    (config.optim.name, config.optim.lr) = (OptimName::Sgd, 900.0);
    (config.optim.clip_norm, config.optim.warmup_epochs) = (0.0, 0.0);
    let story = train(&config, dir.path(), |_| Vec::new());
    let active = story.state.health.active();
    let rules: Vec<Rule> = active.iter().map(|active| active.rule).collect();
    assert!(
        rules.contains(&Rule::Diverged) && !rules.contains(&Rule::DeadGradient),
        "{rules:?}"
    );
    let dead = story.events.iter().find(|event| {
        matches!(event, Event::Health(health) if matches!(health.finding, Finding::DeadGradient { .. }))
    });
    assert_eq!(dead, None);
    let line = story.state.log.iter();
    let line = line
        .map(|line| &line.text)
        .find(|text| text.starts_with("alert diverged:"));
    let line = line.unwrap();
    assert!(line.contains("set optim.clip_norm above 0"), "{line}");
}
