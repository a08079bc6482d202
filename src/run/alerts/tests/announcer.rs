//! What is passed on to a bell, a hook, a plain log.

use super::*;

#[test]
fn each_cause_is_told_once_and_one_that_comes_and_goes_after_ten_minutes() {
    let mut run = Run::new();
    let mut announcer = Announcer::default();
    let mut look = |run: &Run, now_ms| -> Vec<Cause> {
        let news = announcer.look(&run.state, now_ms);
        news.into_iter().map(|news| news.cause).collect()
    };
    let now = run.t_ms;
    assert_eq!(look(&run, now), []);
    run.say(skipped(1));
    assert_eq!(look(&run, now), [Cause::Alert(Rule::NonFinite)]);
    run.say(skipped(2));
    assert_eq!(look(&run, now), []);
    for (later, expected) in [
        (599_000, vec![]),
        (601_000, vec![Cause::Alert(Rule::NonFinite)]),
    ] {
        run.steps(1000, |_| false);
        assert_eq!(look(&run, now), []);
        run.say(skipped(run.state.global_step));
        // The clock here is that of who is told, which is not the records'; in this phase that is no stall.
        run.say(Event::Phase {
            phase: Phase::Validating,
        });
        assert_eq!(look(&run, now + later), expected, "{later}");
    }
    let failed = Outcome::Failed {
        message: "no memory".to_owned(),
    };
    run.say(Event::RunFinished {
        outcome: failed,
        global_step: 1,
    });
    assert_eq!(look(&run, now), [Cause::Failure]);
    assert_eq!(look(&run, now), []);
}

#[test]
fn who_comes_late_is_told_nothing_of_what_was() {
    let mut run = Run::new();
    run.say(skipped(1));
    let mut announcer = Announcer::default();
    assert_eq!(announcer.look(&run.state, run.t_ms), []);
    run.say(Event::RunFinished {
        outcome: Outcome::Completed,
        global_step: 1,
    });
    let news = announcer.look(&run.state, run.t_ms);
    assert_eq!(news[0].text, "completed after 0 epochs");
    let mut late = Announcer::default();
    assert_eq!(late.look(&run.state, run.t_ms), []);
    assert_eq!(late.look(&run.state, run.t_ms), []);
}

#[test]
fn the_plain_log_tells_what_begins_and_what_is_over() {
    let mut run = Run::new();
    let before = run.state.health.active().to_vec();
    run.say(skipped(1));
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
        ["alert non-finite is over (since step 1)"]
    );
}
