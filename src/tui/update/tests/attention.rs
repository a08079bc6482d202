//! When a screen rings.

use super::*;

/// A screen that rings, of a run under way.
fn ringing() -> App {
    let mut app = app();
    app.settings.notify.bell = true;
    let info = crate::event::RunStarted {
        run: "one\x1b[2J".to_owned(),
        ..crate::event::RunStarted::default()
    };
    tell(&mut app, Event::RunStarted(Box::new(info)));
    app
}

fn bad_step(app: &mut App) -> Vec<Effect> {
    tell(
        app,
        Event::StepSkipped {
            global_step: 5,
            loss: crate::event::F32(f32::NAN),
            grad_norm: crate::event::F32(1.0),
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
fn each_cause_rings_once() {
    let mut app = ringing();
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
        notices(&tell(&mut app, end.clone())),
        ["epochtop one: completed after 0 epochs"]
    );
    assert!(tell(&mut app, end).is_empty());
}

#[test]
fn only_what_is_wanted_rings_and_nothing_of_the_past() {
    let failed = |app: &mut App| {
        let message = "no memory".to_owned();
        tell(
            app,
            Event::RunFinished {
                outcome: Outcome::Failed { message },
                global_step: 5,
            },
        )
    };
    let mut app = ringing();
    app.settings.notify.on = vec![crate::config::Occasion::Failure];
    assert!(bad_step(&mut app).is_empty());
    assert_eq!(
        notices(&failed(&mut app)),
        ["epochtop one: failed at step 5: no memory"]
    );
    let mut quiet = ringing();
    quiet.settings.notify.bell = false;
    assert!(failed(&mut quiet).is_empty());
    let mut replay = ringing();
    replay.live = false;
    assert!(bad_step(&mut replay).is_empty() && failed(&mut replay).is_empty());
    // Who attaches sees what is: it is not news.
    let mut late = App::new(Settings::default(), true);
    late.settings.notify.osc9 = true;
    let snapshot = Feed::Snapshot(Box::new(app.run));
    assert!(update(&mut late, Msg::Feed(snapshot)).is_empty());
    assert!(update(&mut late, Msg::Tick(1)).is_empty());
}

#[test]
fn a_stall_rings_with_the_clock_but_not_when_the_screen_was_away() {
    let mut app = ringing();
    tell(
        &mut app,
        Event::Phase {
            phase: Phase::Training,
        },
    );
    // The trainer's clock is another host's: only this screen's counts once it was heard.
    let mut now = 1 << 40;
    let mut rung = Vec::new();
    for _ in 0..130 {
        now += 1000;
        rung.extend(update(&mut app, Msg::Tick(now)));
        if rung.len() == 1 {
            break;
        }
    }
    assert!(
        matches!(notices(&rung)[..], [text] if text.contains("stalled: no step for 2:01")),
        "{rung:?}"
    );
    assert!(update(&mut app, Msg::Tick(now + 1000)).is_empty());
    let mut away = ringing();
    update(&mut away, Msg::Tick(now));
    tell(
        &mut away,
        Event::Phase {
            phase: Phase::Training,
        },
    );
    assert!(update(&mut away, Msg::Tick(now + 600_000)).is_empty());
}
