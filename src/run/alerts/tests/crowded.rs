use super::*;
use crate::event::SystemSample;

/// Samples in which the trainer used and waited for so many cores.
fn samples(run: &mut Run, count: usize, busy: f32, waiting: Option<f32>) {
    for _ in 0..count {
        run.apply(Event::System(Box::new(SystemSample {
            cores: Some(2),
            load: Some(3.25),
            process_cpu: Some(busy),
            process_waiting: waiting,
            ..SystemSample::default()
        })));
    }
}

#[test]
fn waiting_for_a_core_is_an_alert_with_cause_and_advice() {
    let mut run = Run::new();
    run.steps(10, |_| false);
    samples(&mut run, 5, 1.3, Some(0.7));
    assert_eq!(run.rules(), [], "too few samples");
    samples(&mut run, 1, 1.3, Some(0.7));
    assert_eq!(run.rules(), [Rule::Crowded]);
    let text = run.text(Rule::Crowded);
    assert!(
        text.starts_with(
            "crowded: the training threads wait for a core 35 % of their time; load 3.2 on 2 cores: other processes"
        ) && text.contains("train.threads"),
        "{text}"
    );
    // The others have gone.
    samples(&mut run, 6, 1.98, Some(0.01));
    assert_eq!(run.rules(), []);
}

#[test]
fn waiting_is_no_alert_in_a_pause_or_if_it_is_unknown() {
    let mut run = Run::new();
    samples(&mut run, 6, 1.3, None);
    assert_eq!(run.rules(), []);
    samples(&mut run, 6, 1.3, Some(0.7));
    run.apply(Event::Phase {
        phase: Phase::Paused,
    });
    assert_eq!(run.rules(), []);
}
