//! Which splits a request evaluates, and the pending stop that can be taken back.

use epochtop::event::{Answer, Command, Event, Outcome, Split};

use crate::fixture::Story;
use crate::steering::{answers, train_with_commands};

const VALID: Command = Command::Evaluate {
    split: Split::Valid,
};
const TEST: Command = Command::Evaluate { split: Split::Test };

fn evaluations(story: &Story, split: Split) -> usize {
    let events = story.events.iter();
    let of_split = |event: &&Event| matches!(event, Event::EvalFinished(r) if r.split == split);
    events.filter(of_split).count()
}

/// Regression test: every request evaluated the test set too.
#[test]
fn the_test_set_is_evaluated_only_on_explicit_request() {
    let (undisturbed, _dir) = train_with_commands(&[], 2);
    assert_eq!(undisturbed.state.test_evaluations, 1, "the one at the end");
    for (command, tests) in [(VALID, 1), (TEST, 2), (Command::EvaluateBoth, 2)] {
        let (story, _dir) = train_with_commands(&[command], 2);
        assert_eq!(evaluations(&story, Split::Test), tests, "{command:?}");
        assert_eq!(story.state.test_evaluations, tests as u64, "{command:?}");
        assert_eq!(evaluations(&story, Split::Valid), 3, "{command:?}");
        let expected = if tests == 1 { "validation" } else { "test" };
        assert!(
            matches!(
                answers(&story, command).as_slice(),
                [Answer::Accepted, Answer::Done { note }] if note.starts_with(expected)
            ),
            "{command:?}"
        );
        let losses = |story: &Story| story.state.history.back().map(|row| row.train_loss);
        assert_eq!(losses(&story), losses(&undisturbed));
        assert_eq!(story.state.best, undisturbed.state.best);
    }
}

#[test]
fn both_splits_can_be_requested_at_once() {
    let (story, _dir) = train_with_commands(&[Command::Pause, TEST, VALID, Command::Resume], 2);
    assert_eq!(evaluations(&story, Split::Test), 2);
    assert_eq!(evaluations(&story, Split::Valid), 3, "validated once");
    for command in [TEST, VALID] {
        assert!(matches!(
            answers(&story, command).as_slice(),
            [Answer::Accepted, Answer::Done { .. }]
        ));
    }
}

#[test]
fn the_training_split_is_refused() {
    let train = Command::Evaluate {
        split: Split::Train,
    };
    let (story, _dir) = train_with_commands(&[train], 1);
    assert!(matches!(
        answers(&story, train).as_slice(),
        [Answer::Accepted, Answer::Refused { .. }]
    ));
}

/// Regression test: there was no way back.
#[test]
fn a_stop_after_the_epoch_can_be_taken_back() {
    let commands = [
        Command::StopAfterEpoch,
        Command::CancelStopAfterEpoch,
        Command::CancelStopAfterEpoch,
    ];
    let (story, _dir) = train_with_commands(&commands, 2);
    assert_eq!(story.state.outcome, Some(Outcome::Completed));
    assert_eq!(story.state.history.len(), 2);
    assert!(matches!(
        answers(&story, Command::StopAfterEpoch).as_slice(),
        [Answer::Accepted, Answer::Refused { reason }] if reason == "taken back"
    ));
    let notes: Vec<&str> = answers(&story, Command::CancelStopAfterEpoch)
        .into_iter()
        .filter_map(|answer| match answer {
            Answer::Done { note } => Some(note.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        notes,
        ["the run does not stop after epoch 1", "no stop was pending"]
    );
}

/// A request that arrives while the run is being completed is answered with what can be done then.
#[test]
fn a_request_at_the_end_of_the_run_names_the_command_for_a_finished_run() {
    use crate::fixture::{shapes, small_config, train};
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    config.train.epochs = 1;
    let dir = tempfile::tempdir().unwrap();
    let mut waiting = Some(vec![VALID]);
    let story = train(&config, dir.path(), |event| match event {
        Event::EvalProgress {
            split: Split::Test, ..
        } => waiting.take().unwrap_or_default(),
        _ => Vec::new(),
    });
    let replies = answers(&story, VALID);
    assert!(
        matches!(
            replies.as_slice(),
            [Answer::Accepted, Answer::Refused { reason }]
                if reason.contains("epochtop eval") && reason.contains("--split valid")
        ),
        "{replies:?}"
    );
}
