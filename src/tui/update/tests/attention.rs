//! When a screen sends notifications.

use super::*;

/// A screen with the bell enabled, of a run in progress.
fn with_bell() -> App {
    let mut app = app();
    app.settings.notify.bell = true;
    let info = crate::event::RunStarted {
        run: "one\x1b[2J".to_owned(),
        ..crate::event::RunStarted::default()
    };
    feed(&mut app, Event::RunStarted(Box::new(info)));
    app
}

fn bad_step(app: &mut App) -> Vec<Effect> {
    feed(
        app,
        Event::StepSkipped {
            global_step: 5,
            loss: crate::event::F32(f32::NAN),
            grad_norm: crate::event::F32(1.0),
            statistics: false,
        },
    )
}

fn notices(effects: &[Effect]) -> Vec<&str> {
    let texts = effects.iter().filter_map(|effect| match effect {
        Effect::Notify(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn each_cause_notifies_once() {
    let mut app = with_bell();
    let effects = bad_step(&mut app);
    assert!(
        matches!(notices(&effects)[..], [text] if text.starts_with("epochtop one: step 5 is not finite;")),
        "{effects:?}"
    );
    assert!(bad_step(&mut app).is_empty());
    let end = Event::RunFinished {
        outcome: Outcome::Completed,
        global_step: 5,
    };
    assert_eq!(
        notices(&feed(&mut app, end.clone())),
        ["epochtop one: completed after 0 epochs"]
    );
    assert!(feed(&mut app, end).is_empty());
}

#[test]
fn only_selected_occasions_notify_and_past_events_do_not() {
    let failed = |app: &mut App| {
        let message = "no memory".to_owned();
        feed(
            app,
            Event::RunFinished {
                outcome: Outcome::Failed { message },
                global_step: 5,
            },
        )
    };
    let mut app = with_bell();
    app.settings.notify.on = vec![crate::config::Occasion::Failure];
    assert!(bad_step(&mut app).is_empty());
    assert_eq!(
        notices(&failed(&mut app)),
        ["epochtop one: failed at step 5: no memory"]
    );
    let mut quiet = with_bell();
    quiet.settings.notify.bell = false;
    assert!(failed(&mut quiet).is_empty());
    let mut replay = with_bell();
    replay.live = false;
    assert!(bad_step(&mut replay).is_empty() && failed(&mut replay).is_empty());
    // A screen that attaches later shows the current alerts without a notification.
    let mut late = App::new(Settings::default(), true);
    late.settings.notify.osc9 = true;
    let snapshot = Feed::Snapshot(Box::new(app.run));
    assert!(update(&mut late, Msg::Feed(snapshot)).is_empty());
    assert!(update(&mut late, Msg::Tick(1)).is_empty());
}

#[test]
fn a_stall_notifies_unless_the_screen_was_suspended() {
    let mut app = with_bell();
    feed(
        &mut app,
        Event::Phase {
            phase: Phase::Training,
        },
    );
    // The trainer's host may have a different clock: after the first record only the clock of this screen is used.
    let mut now = 1 << 40;
    let mut effects = Vec::new();
    for _ in 0..130 {
        now += 1000;
        effects.extend(update(&mut app, Msg::Tick(now)));
        if effects.len() == 1 {
            break;
        }
    }
    assert!(
        matches!(notices(&effects)[..], [text] if text.contains("stalled: no step for 2:01")),
        "{effects:?}"
    );
    assert!(update(&mut app, Msg::Tick(now + 1000)).is_empty());
    let mut suspended = with_bell();
    update(&mut suspended, Msg::Tick(now));
    feed(
        &mut suspended,
        Event::Phase {
            phase: Phase::Training,
        },
    );
    assert!(update(&mut suspended, Msg::Tick(now + 600_000)).is_empty());
}
