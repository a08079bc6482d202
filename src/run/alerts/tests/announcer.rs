//! Notifications for the bell, the hook command and the plain log.

use super::*;

#[test]
fn each_cause_is_announced_once_and_again_only_after_ten_minutes() {
    let mut run = Run::new();
    let mut announcer = Announcer::default();
    let mut causes = |run: &Run, now_ms| -> Vec<Cause> {
        let news = announcer.update(&run.state, now_ms);
        news.into_iter().map(|news| news.cause).collect()
    };
    let now = run.t_ms;
    assert_eq!(causes(&run, now), []);
    run.apply(skipped(1));
    assert_eq!(causes(&run, now), [Cause::Alert(Rule::NonFinite)]);
    run.apply(skipped(2));
    assert_eq!(causes(&run, now), []);
    for (later, expected) in [
        (599_000, vec![]),
        (601_000, vec![Cause::Alert(Rule::NonFinite)]),
    ] {
        run.steps(1000, |_| false);
        assert_eq!(causes(&run, now), []);
        run.apply(skipped(run.state.global_step));
        // `now_ms` is the client's clock, not that of the records. No stall is reported while validating.
        run.apply(Event::Phase {
            phase: Phase::Validating,
        });
        assert_eq!(causes(&run, now + later), expected, "{later}");
    }
    let failed = Outcome::Failed {
        message: "no memory".to_owned(),
    };
    run.apply(Event::RunFinished {
        outcome: failed,
        global_step: 1,
    });
    assert_eq!(causes(&run, now), [Cause::Failure]);
    assert_eq!(causes(&run, now), []);
}

#[test]
fn late_client_gets_no_past_notifications() {
    let mut run = Run::new();
    run.apply(skipped(1));
    let mut announcer = Announcer::default();
    assert_eq!(announcer.update(&run.state, run.t_ms), []);
    run.apply(Event::RunFinished {
        outcome: Outcome::Completed,
        global_step: 1,
    });
    let news = announcer.update(&run.state, run.t_ms);
    assert_eq!(news[0].text, "completed after 0 epochs");
    let mut late = Announcer::default();
    assert_eq!(late.update(&run.state, run.t_ms), []);
    assert_eq!(late.update(&run.state, run.t_ms), []);
}

#[test]
fn plain_log_has_lines_for_the_start_and_the_end() {
    let mut run = Run::new();
    let before = run.state.health.active().to_vec();
    run.apply(skipped(1));
    let lines = alert_lines(&before, &run.state);
    assert!(
        lines.len() == 1 && lines[0].starts_with("warning: alert non-finite: step 1"),
        "{lines:?}"
    );
    let before = run.state.health.active().to_vec();
    assert_eq!(alert_lines(&before, &run.state), Vec::<String>::new());
    run.steps(510, |_| false);
    assert_eq!(
        alert_lines(&before, &run.state),
        ["alert non-finite resolved (active since step 1)"]
    );
}
