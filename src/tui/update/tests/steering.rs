//! Which request a key sends, before and after the end of the run.

use super::*;
use crate::event::{RunStarted, Split};
use crate::link::{Filter, Query, Reply};

fn command(effects: &[Effect]) -> Option<Command> {
    sent(effects).map(|request| request.command)
}

fn press(app: &mut App, letter: char) -> Vec<Effect> {
    key(app, KeyCode::Char(letter))
}

fn notice(app: &App) -> &str {
    app.ui.notice.as_ref().map_or("", |notice| &notice.text)
}

fn ended(app: &mut App) {
    let info = RunStarted {
        run: "t".to_owned(),
        epochs: 8,
        ..RunStarted::default()
    };
    feed(app, Event::RunStarted(Box::new(info)));
    let outcome = Outcome::Completed;
    feed(
        app,
        Event::RunFinished {
            outcome,
            global_step: 5,
        },
    );
}

/// Regression test: the key evaluated the test set too, in the middle of the training.
#[test]
fn the_test_set_is_evaluated_by_its_own_key_only() {
    let mut app = app();
    for (letter, split) in [('e', Split::Valid), ('E', Split::Test)] {
        let command = command(&press(&mut app, letter));
        assert_eq!(command, Some(Command::Evaluate { split }));
    }
}

/// Regression test: a second press was refused, so an accidental one could not be undone.
#[test]
fn a_stop_after_the_epoch_is_taken_back_by_the_same_key() {
    let mut app = app();
    let stop = sent(&press(&mut app, 'a')).expect("a request");
    assert_eq!(stop.command, Command::StopAfterEpoch);
    answer(&mut app, stop, Answer::Accepted);
    assert_eq!(app.run.stop_after_epoch, Some(stop.id));
    let cancel = sent(&press(&mut app, 'a')).expect("a request");
    assert_eq!(cancel.command, Command::CancelStopAfterEpoch);
    answer(&mut app, cancel, Answer::Accepted);
    let reason = "taken back".to_owned();
    answer(&mut app, stop, Answer::Refused { reason });
    let note = String::new();
    answer(&mut app, cancel, Answer::Done { note });
    assert_eq!(app.run.stop_after_epoch, None);
    assert_eq!(
        command(&press(&mut app, 'a')),
        Some(Command::StopAfterEpoch)
    );
}

/// The request can come from another screen or from `ctl`.
#[test]
fn a_stop_of_another_client_can_be_taken_back() {
    let mut app = app();
    let stop = crate::link::request(Command::StopAfterEpoch);
    answer(&mut app, stop, Answer::Accepted);
    assert_eq!(
        command(&press(&mut app, 'a')),
        Some(Command::CancelStopAfterEpoch)
    );
}

/// Regression test: they learnt only that commands are unavailable.
#[test]
fn requests_in_a_finished_run_say_what_can_be_done() {
    for live in [true, false] {
        let mut app = App::new(Settings::default(), live);
        ended(&mut app);
        for (letter, words) in [
            ('e', "use `epochtop eval t --split valid`"),
            ('E', "use `epochtop eval t`"),
            ('n', "use `epochtop train --resume t --set train.epochs=9`"),
            ('c', "checkpoint is not possible"),
        ] {
            assert_eq!(press(&mut app, letter), []);
            assert!(notice(&app).contains(words), "{letter}: {}", notice(&app));
        }
    }
}

/// Regression test: the gallery still reported that there is no test-set evaluation when the final one was done.
#[test]
fn images_are_queried_again_when_the_run_has_ended() {
    let mut app = app();
    let images = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Query(id, Query::Images { .. }) => Some(*id),
            _ => None,
        })
    };
    update(&mut app, Msg::Tick(10_000));
    let id = images(&press(&mut app, '7')).expect("a query for images");
    app.ui.panels.images.filter = Filter::Mistakes;
    let reason = "no test-set evaluation yet".to_owned();
    let effects = update(&mut app, Msg::Reply(id, Reply::Unknown { reason }));
    assert_eq!(images(&effects), None, "not before the retry interval");
    let outcome = Outcome::Completed;
    let effects = feed(
        &mut app,
        Event::RunFinished {
            outcome,
            global_step: 5,
        },
    );
    assert!(images(&effects).is_some());
}
