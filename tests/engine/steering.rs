//! Commands to the trainer, which it carries out between steps.

use std::time::Duration;

use epochtop::event::{Answer, Command, Event, Outcome, Phase, Split};

use crate::fixture::{Story, shapes, small_config, train};

const TEST: Command = Command::Evaluate { split: Split::Test };

/// Trains on the small data set and sends `commands` after the first window of steps.
pub(crate) fn train_with_commands(commands: &[Command], epochs: u32) -> (Story, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    config.train.epochs = epochs;
    let dir = tempfile::tempdir().unwrap();
    let mut waiting = Some(commands.to_vec());
    let story = train(&config, dir.path(), |event| match event {
        Event::Steps(_) => waiting.take().unwrap_or_default(),
        _ => Vec::new(),
    });
    (story, dir)
}

pub(crate) fn answers(story: &Story, wanted: Command) -> Vec<&Answer> {
    let matching = |event| match event {
        &Event::Acknowledged {
            command,
            ref answer,
            ..
        } if command == wanted => Some(answer),
        _ => None,
    };
    story.events.iter().filter_map(matching).collect()
}

#[test]
fn pause_and_resume() {
    let (story, _dir) = train_with_commands(&[Command::Pause, Command::Resume], 2);
    let phases: Vec<Phase> = story
        .events
        .iter()
        .filter_map(|e| {
            if let Event::Phase { phase } = e {
                Some(*phase)
            } else {
                None
            }
        })
        .collect();
    let paused_at = phases
        .iter()
        .position(|phase| *phase == Phase::Paused)
        .expect("the run paused");
    assert_eq!(
        phases.get(paused_at + 1),
        phases.get(paused_at - 1),
        "the phase after the pause must be the one before it"
    );
    for command in [Command::Pause, Command::Resume] {
        assert!(matches!(
            answers(&story, command).as_slice(),
            [Answer::Accepted, Answer::Done { .. }]
        ));
    }
    assert_eq!(story.state.outcome, Some(Outcome::Completed));
    assert_eq!(story.state.global_step, 32);
}

#[test]
fn stop_ends_within_a_step_and_saves_a_checkpoint() {
    let (story, dir) = train_with_commands(&[Command::Stop], 50);
    assert_eq!(story.state.outcome, Some(Outcome::Stopped));
    assert!(
        story.state.global_step < 50 * 16,
        "the run continued to step {}",
        story.state.global_step
    );
    let latest = std::fs::read_to_string(dir.path().join("checkpoints/LATEST")).unwrap();
    assert_eq!(
        latest.trim(),
        epochtop::checkpoint::step_name(story.state.global_step)
    );
    assert!(matches!(
        answers(&story, Command::Stop).as_slice(),
        [Answer::Accepted, Answer::Done { .. }]
    ));
}

/// Weights, running statistics and optimizer state equal those of a run without extra evaluations, byte for byte.
#[test]
fn evaluations_change_neither_weights_nor_random_streams() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    config.train.epochs = 2;
    config.data.augment.shift = 2;
    config.model.dropout = 0.3;
    let last = |dir: &std::path::Path, every: usize| {
        let mut windows = 0;
        let story = train(&config, dir, |event| {
            let Event::Steps(_) = event else {
                return Vec::new();
            };
            windows += 1;
            if every > 0 && windows % every == 0 {
                vec![TEST]
            } else {
                Vec::new()
            }
        });
        let tests = story
            .events
            .iter()
            .filter(|e| matches!(e, Event::EvalFinished(report) if report.split == Split::Test));
        let step = dir.join("checkpoints/step-000000032");
        let bytes = ["model.safetensors", "optim.safetensors"]
            .map(|f| std::fs::read(step.join(f)).unwrap());
        (bytes, tests.count())
    };
    let (quiet, watched) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ((bytes, once), (same, often)) = (last(quiet.path(), 0), last(watched.path(), 1));
    assert!(once == 1 && often > 2, "{once} and {often} evaluations");
    assert!(bytes == same, "evaluations changed the training");
}

#[test]
fn a_requested_checkpoint_is_pinned_and_complete() {
    let (story, dir) = train_with_commands(&[Command::Checkpoint], 3);
    let Some(Answer::Done { note }) = answers(&story, Command::Checkpoint).last().copied() else {
        panic!("{:?}", answers(&story, Command::Checkpoint));
    };
    for file in ["model.safetensors", "optim.safetensors", "state.json"] {
        assert!(dir.path().join(note).join(file).is_file(), "{note}/{file}");
    }
    let state = epochtop::checkpoint::read_state(&dir.path().join(note)).unwrap();
    assert!(state.global_step > 0 && state.epoch == 1);
}

#[test]
fn invalid_commands_are_refused_with_a_reason() {
    let (story, _dir) = train_with_commands(
        &[
            Command::SetLearningRate { lr: -1.0 },
            Command::SetEpochs { epochs: 0 },
        ],
        1,
    );
    let lr = answers(&story, Command::SetLearningRate { lr: -1.0 });
    assert!(
        matches!(lr.as_slice(), [Answer::Accepted, Answer::Refused { reason }] if reason.contains("between 1e-10 and 1e30"))
    );
    assert!(matches!(
        answers(&story, Command::SetEpochs { epochs: 0 }).as_slice(),
        [_, Answer::Refused { .. }]
    ));
}

#[test]
fn learning_rate_epochs_and_the_end_can_be_changed() {
    let commands = [
        Command::SetLearningRate { lr: 1e-4 },
        Command::SetEpochs { epochs: 3 },
    ];
    let (story, _dir) = train_with_commands(&commands, 2);
    assert_eq!(story.state.history.len(), 3);
    assert!(
        story
            .state
            .history
            .iter()
            .all(|row| row.lr.0 <= 1e-4 + 1e-12)
    );
    let (story, _dir) = train_with_commands(&[Command::StopAfterEpoch], 50);
    assert_eq!(story.state.outcome, Some(Outcome::Stopped));
    assert_eq!(story.state.global_step % 16, 0, "an epoch has 16 steps");
    assert_eq!(
        story.state.history.len() as u64,
        story.state.global_step / 16
    );
    let last = story.state.global_step;
    let saves = story.events.iter().filter(
        |event| matches!(event, Event::CheckpointSaved(saved) if saved.global_step == last),
    );
    assert_eq!(
        saves.count(),
        1,
        "the checkpoint of the epoch must not be saved again"
    );
}

#[test]
fn a_second_stop_after_epoch_is_refused() {
    let (story, _dir) =
        train_with_commands(&[Command::StopAfterEpoch, Command::StopAfterEpoch], 50);
    let replies = answers(&story, Command::StopAfterEpoch);
    let refused = replies.iter().filter(|answer| {
        matches!(answer, Answer::Refused { reason } if reason.contains("already requested"))
    });
    assert_eq!(refused.count(), 1, "{replies:?}");
    assert_eq!(story.state.outcome, Some(Outcome::Stopped));
}

#[test]
fn evaluate_works_during_a_pause() {
    let (story, _dir) = train_with_commands(&[Command::Pause, TEST, Command::Resume], 2);
    assert_eq!(story.state.outcome, Some(Outcome::Completed));
    assert!(matches!(
        answers(&story, TEST).as_slice(),
        [Answer::Accepted, Answer::Done { .. }]
    ));
    assert_eq!(story.state.global_step, 32);
}

/// Regression test: the evaluation ran only after the pause, so a client that waited for it before resuming hung.
#[test]
fn evaluate_works_during_a_pause_within_a_validation() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    config.train.epochs = 1;
    config.eval.batch_size = 1;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut waiting = Some(vec![Command::Pause, TEST]);
        let story = train(&config, &path, |event| match event {
            Event::EvalProgress { .. } => waiting.take().unwrap_or_default(),
            Event::Acknowledged {
                command: Command::Evaluate { .. },
                answer: Answer::Done { .. },
                ..
            } => vec![Command::Resume],
            _ => Vec::new(),
        });
        let _ = sender.send(story);
    });
    let story = receiver.recv_timeout(Duration::from_secs(120));
    let story = story.expect("the evaluation is done during the pause");
    assert_eq!(story.state.outcome, Some(Outcome::Completed));
    // The paused validation also answers the request, because both are of the same weights.
    let validations = story.events.iter().filter(
        |event| matches!(event, Event::EvalFinished(report) if report.split == Split::Valid),
    );
    assert_eq!(validations.count(), 1);
}

#[test]
fn pending_requests_are_refused_when_the_run_is_stopped() {
    let (story, _dir) = train_with_commands(&[TEST, Command::StopAfterEpoch, Command::Stop], 50);
    assert_eq!(story.state.outcome, Some(Outcome::Stopped));
    assert!(matches!(
        answers(&story, TEST).as_slice(),
        [Answer::Accepted, Answer::Refused { .. }]
    ));
}

#[test]
fn stopping_after_the_last_epoch_is_answered() {
    let (story, _dir) = train_with_commands(&[Command::StopAfterEpoch], 1);
    assert_eq!(story.state.outcome, Some(Outcome::Completed));
    assert!(matches!(
        answers(&story, Command::StopAfterEpoch).as_slice(),
        [Answer::Accepted, Answer::Done { .. }]
    ));
}
