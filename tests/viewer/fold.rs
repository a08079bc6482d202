//! Properties of the fold from records to run state: continuing from a snapshot gives the same state as folding all
//! records, and no record causes a panic.

use epochtop::event::{
    Answer, CheckpointReason, CheckpointSaved, Command, EpochSummary, EvalReport, Event, F32, F64,
    Finding, GalleryImages, GalleryPredictions, GpuSample, Health, LayerNorms, Level, Outcome,
    Phase, Pixels, Record, Remedy, Restoration, RunStarted, Split, StepTime, StepWindow,
    SystemSample, WeightsKind,
};
use epochtop::run::{Curve, CurveId, MAX_NAMED, RunState};
use proptest::prelude::*;

use crate::story;

fn number() -> impl Strategy<Value = F32> {
    prop_oneof![
        any::<f32>().prop_map(F32),
        Just(F32(f32::NAN)),
        Just(F32(f32::INFINITY)),
        (0.0_f32..3.0).prop_map(F32)
    ]
}

fn double() -> impl Strategy<Value = F64> {
    prop_oneof![
        any::<f64>().prop_map(F64),
        Just(F64(f64::NAN)),
        (0.0_f64..3.0).prop_map(F64)
    ]
}

/// Counts: mostly realistic, sometimes up to `u64::MAX`.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0_u64..5000, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

/// A step window whose lists may differ in length.
fn window() -> impl Strategy<Value = Event> {
    let list = || prop::collection::vec(number(), 0..18);
    let flags = prop::collection::vec(any::<u8>(), 0..18);
    (
        any::<u32>(),
        count(),
        count(),
        double(),
        count(),
        double(),
        list(),
        list(),
        list(),
        flags,
    )
        .prop_map(
            |(
                epoch,
                epoch_step,
                global_step,
                lr,
                images,
                millis,
                loss,
                accuracy,
                grad_norm,
                clipped,
            )| {
                Event::Steps(StepWindow {
                    epoch,
                    epoch_step,
                    global_step,
                    lr,
                    rates: vec![lr; loss.len() / 2],
                    images,
                    millis,
                    loss,
                    accuracy,
                    grad_norm,
                    clipped,
                    update_ratio: vec![(global_step, F32(lr.0 as f32))],
                })
            },
        )
}

fn summary() -> impl Strategy<Value = Event> {
    (any::<u32>(), count(), double(), double(), double()).prop_map(
        |(epoch, global_step, a, b, c)| {
            Event::EpochFinished(EpochSummary {
                epoch,
                global_step,
                train_loss: a,
                valid_nll: b,
                valid_accuracy: c,
                ..EpochSummary::default()
            })
        },
    )
}

/// Scalars, some with invalid names.
fn scalars() -> impl Strategy<Value = Event> {
    let name = prop_oneof![4 => "(train/|val/)?(loss|f1)", 1 => ".{0,200}"];
    (count(), prop::collection::vec((name, double()), 0..4)).prop_map(|(global_step, values)| {
        Event::Scalars {
            global_step,
            values,
        }
    })
}

fn acknowledged() -> impl Strategy<Value = Event> {
    let answer = prop_oneof![
        Just(Answer::Accepted),
        ".*".prop_map(|note| Answer::Done { note }),
        ".*".prop_map(|reason| Answer::Refused { reason }),
    ];
    let command = prop_oneof![
        Just(Command::Pause),
        any::<u32>().prop_map(|epochs| Command::SetEpochs { epochs }),
        (0.0_f64..1.0).prop_map(|lr| Command::SetLearningRate { lr }),
    ];
    (0_u64..20, command, answer, count()).prop_map(|(id, command, answer, global_step)| {
        Event::Acknowledged {
            id,
            command,
            answer,
            global_step,
        }
    })
}

fn gallery() -> impl Strategy<Value = Event> {
    prop_oneof![
        (
            any::<u32>(),
            any::<u32>(),
            prop::collection::vec(any::<u32>(), 0..5),
            prop::collection::vec(any::<u8>(), 0..40)
        )
            .prop_map(|(height, width, labels, pixels)| {
                Event::GalleryImages(GalleryImages {
                    height,
                    width,
                    labels,
                    pixels: Pixels(pixels),
                })
            }),
        (
            any::<u32>(),
            count(),
            double(),
            prop::collection::vec(prop::collection::vec((any::<u32>(), number()), 0..4), 0..5)
        )
            .prop_map(|(epoch, global_step, temperature, top)| {
                Event::GalleryPredictions(GalleryPredictions {
                    epoch,
                    global_step,
                    temperature,
                    top,
                })
            }),
    ]
}

/// A system sample with arbitrary, possibly inconsistent values. NaN is left out because it is serialised as unknown
/// and does not round-trip.
fn system_sample() -> impl Strategy<Value = Event> {
    let share = || prop::option::of(-1e30_f32..1e30);
    let gpu = (0_u32..70, ".*", share(), prop::option::of(count()), share()).prop_map(
        |(index, name, utilisation, memory, power_w)| GpuSample {
            index,
            throttled: vec![name.clone().into()],
            name,
            utilisation,
            memory_used: memory,
            memory_total: memory,
            power_w,
            ..GpuSample::default()
        },
    );
    (
        share(),
        share(),
        prop::option::of(count()),
        prop::option::of(count()),
        prop::collection::vec(gpu, 0..4),
    )
        .prop_map(|(cpu, load, memory_used, memory_total, gpus)| {
            Event::System(Box::new(SystemSample {
                cpu,
                load,
                memory_used,
                memory_total,
                disk_free: memory_used,
                gpus,
                ..SystemSample::default()
            }))
        })
}

fn event() -> impl Strategy<Value = Event> {
    let phase = prop_oneof![
        Just(Phase::Training),
        Just(Phase::Validating),
        Just(Phase::Paused)
    ];
    prop_oneof![
        6 => window(),
        2 => summary(),
        2 => scalars(),
        1 => acknowledged(),
        1 => gallery(),
        1 => phase.prop_map(|phase| Event::Phase { phase }),
        1 => (any::<u32>(), any::<u32>(), count()).prop_map(|(epoch, epochs, steps)| Event::EpochStarted { epoch, epochs, steps }),
        1 => (any::<u32>(), count(), double()).prop_map(|(epochs, steps_per_epoch, clip_norm)| {
            Event::RunStarted(Box::new(RunStarted { epochs, steps_per_epoch, clip_norm, ..RunStarted::default() }))
        }),
        1 => (count(), double(), any::<bool>()).prop_map(|(global_step, ms, sampled)| {
            Event::StepTime(StepTime { global_step, steps: 1, forward_ms: ms, sampled, ..StepTime::default() })
        }),
        1 => (count(), count()).prop_map(|(done, total)| Event::EvalProgress { split: Split::Valid, done, total }),
        1 => (count(), number(), number(), any::<bool>()).prop_map(|(global_step, loss, grad_norm, statistics)| Event::StepSkipped { global_step, loss, grad_norm, statistics }),
        1 => (count(), number(), number()).prop_map(|(global_step, loss, grad_norm)| Event::Health(Health {
            global_step,
            finding: Finding::NonFinite { in_a_row: 2, loss, grad_norm, layer: None },
            remedy: Remedy::Reported,
        })),
        1 => (count(), ".*", number()).prop_map(|(global_step, name, norm)| Event::Layers {
            global_step,
            layers: vec![LayerNorms { name, grad_norm: norm, weight_norm: norm, update_norm: norm }],
        }),
        1 => system_sample(),
        1 => ".*".prop_map(|text| Event::Log { level: Level::Warn, text }),
        1 => (count(), ".*").prop_map(|(global_step, path)| {
            Event::CheckpointSaved(CheckpointSaved { global_step, epoch: 1, path, bytes: 1, reason: CheckpointReason::Final, best: true, pause_ms: F64(1.0), write_ms: F64(2.0) })
        }),
        1 => (".*", ".*").prop_map(|(file, why)| Event::NotWritten { file, why }),
        1 => (".*", count()).prop_map(|(message, global_step)| Event::RunFinished { outcome: Outcome::Failed { message }, global_step }),
    ]
}

/// Records numbered 1, 2, 3, …, with timestamps that may decrease.
pub(crate) fn records() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec((event(), any::<u32>()), 0..60).prop_map(|all| {
        let stamped = all.into_iter().zip(1..);
        stamped
            .map(|((event, t_ms), seq)| Record {
                seq,
                t_ms: t_ms.into(),
                run_ms: None,
                event,
            })
            .collect()
    })
}

fn fold(mut state: RunState, records: &[Record]) -> RunState {
    records.iter().for_each(|record| state.apply(record));
    state
}

fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_snapshot_plus_the_remaining_records_gives_the_full_state(records in records(), cut in 0_usize..60) {
        let cut = cut.min(records.len());
        let full = fold(RunState::default(), &records);
        let snapshot = through_json(&fold(RunState::default(), &records[..cut]));
        prop_assert_eq!(fold(snapshot, &records[cut..]), full);
    }

    #[test]
    fn records_round_trip_through_json(records in records()) {
        for record in &records {
            prop_assert_eq!(&through_json(record), record);
        }
    }

    #[test]
    fn repeated_records_are_ignored(records in records()) {
        let full = fold(RunState::default(), &records);
        prop_assert_eq!(fold(full.clone(), &records), full);
    }

    #[test]
    fn derived_values_are_defined_for_any_state(records in records()) {
        let state = fold(RunState::default(), &records);
        prop_assert!((0.0..=1.0).contains(&state.progress()));
        prop_assert!((0.0..=1.0).contains(&state.recent_clip_share()));
        let _ = (state.remaining_ms(), epochtop::run::final_lines(&state), epochtop::run::headline(&state));
    }
}

/// Regression test: nothing showed that records were missing after a full disk.
#[test]
fn records_missing_from_a_journal_are_counted_and_shown() {
    let log = |seq| Record {
        seq,
        t_ms: seq,
        run_ms: None,
        event: Event::Log {
            level: Level::Info,
            text: seq.to_string(),
        },
    };
    let restored = |seq, after| Record {
        event: Event::Restored(Box::new(Restoration {
            after,
            checkpoint: "checkpoints/step-000000001".to_owned(),
            ..Restoration::default()
        })),
        ..log(seq)
    };
    let state = fold(RunState::default(), &[1, 2, 3].map(log));
    assert_eq!((state.missing, state.missing_line()), (0, None));
    // Records 3 to 5 and 7.
    let state = fold(RunState::default(), &[1, 2, 6, 8].map(log));
    assert_eq!(state.missing, 4);
    let warnings = state.log.iter().filter(|line| line.level == Level::Warn);
    assert_eq!(warnings.count(), 1);
    let lines = epochtop::run::closing_lines(&state).concat();
    assert!(lines.contains("warning: 4 records are missing"), "{lines}");
    // Records 5 to 8 are obsolete, record 4 is missing.
    let state = fold(
        RunState::default(),
        &[log(1), log(2), log(3), restored(9, 4), log(10)],
    );
    assert_eq!(state.missing, 1);
    // A run that starts over lacks nothing.
    let over = fold(RunState::default(), &[restored(9, 0), log(10)]);
    assert_eq!(over.missing, 0);
}

#[test]
fn state_size_is_bounded_for_long_runs() {
    let mut state = RunState::default();
    let mut seq = 0;
    let mut size_at = |steps: u64, state: &mut RunState| {
        while state.global_step < steps {
            seq += 1;
            let global_step = state.global_step + 16;
            let value = vec![F32((global_step % 97) as f32 * 0.37); 16];
            let window = StepWindow {
                epoch: 1 + (global_step / 200) as u32,
                global_step,
                loss: value.clone(),
                accuracy: value.clone(),
                grad_norm: value,
                clipped: vec![1; 16],
                millis: F64(800.0),
                images: 4096,
                ..StepWindow::default()
            };
            state.apply(&Record {
                seq,
                t_ms: seq,
                run_ms: None,
                event: Event::Steps(window),
            });
        }
        serde_json::to_string(state).unwrap().len()
    };
    let minute = size_at(20_000, &mut state);
    let week = size_at(2_000_000, &mut state);
    assert!(week < minute * 2, "{minute} bytes grew to {week}");
    assert!(week < 1 << 20, "a snapshot of {week} bytes");
}

#[test]
fn unregistered_curves_are_stored_like_built_in_ones() {
    let line = r#"{"seq":1,"t_ms":5,"event":"scalars","global_step":40,"values":[["val/loss",0.5],["lr","nan"]]}"#;
    let record: Record = serde_json::from_str(line).unwrap();
    assert_eq!(serde_json::to_string(&record).unwrap(), line);
    let mut state = RunState::default();
    state.apply(&record);
    let many = (0..1000).map(|i| (format!("x/{i}"), F64(1.0))).collect();
    state.apply(&Record {
        seq: 2,
        t_ms: 6,
        run_ms: None,
        event: Event::Scalars {
            global_step: 50,
            values: many,
        },
    });
    assert_eq!(
        (state.global_step, state.log.len()),
        (50, 1),
        "{:?}",
        state.log
    );
    assert_eq!(state.curves.named().count(), MAX_NAMED);
    let curve = state.curves.of(&CurveId::Named("val/loss".to_owned()));
    let points: Vec<_> = curve
        .filled()
        .map(|(step, bucket)| (step, bucket.mean()))
        .collect();
    assert_eq!(points, [(40, Some(0.5))]);
    assert!(state.curves[Curve::TrainLoss].is_empty());
}

#[test]
fn evaluations_of_the_current_weights_on_validation_are_a_curve() {
    let mut state = fold(RunState::default(), &story::finished());
    let report = state.valid.latest.clone().unwrap();
    let points = |state: &RunState| {
        let filled = state.curves[Curve::ValidEce].filled();
        filled.map(|(_, bucket)| bucket.count).sum::<u32>()
    };
    let before = points(&state);
    for (split, weights) in [
        (Split::Valid, WeightsKind::Current),
        (Split::Test, WeightsKind::Current),
        (Split::Valid, WeightsKind::Best),
        (Split::Valid, WeightsKind::Checkpoint),
    ] {
        let report = EvalReport {
            split,
            weights,
            ..report.clone()
        };
        state.apply(&Record {
            seq: state.seq + 1,
            t_ms: state.now_ms,
            run_ms: None,
            event: Event::EvalFinished(Box::new(report)),
        });
    }
    assert_eq!(points(&state), before + 1);
}

/// Journals of the previous version fold to the same curves.
#[test]
fn an_old_window_folds_to_the_same_curves() {
    let line = r#"{"seq":1,"t_ms":5,"event":"steps","epoch":1,"epoch_step":2,"global_step":2,"lr":0.001,"images":8,"millis":9.0,
        "loss":[2.5,1.5],"accuracy":[0.25,0.5],"grad_norm":[3.0,"nan"],"clipped":[1,0]}"#;
    let mut state = RunState::default();
    state.apply(&serde_json::from_str(line).unwrap());
    let points = |curve| {
        let points = state.curves[curve].filled();
        points
            .map(|(step, bucket)| (step, bucket.mean()))
            .collect::<Vec<_>>()
    };
    assert_eq!(points(Curve::TrainLoss), [(1, Some(2.5)), (2, Some(1.5))]);
    assert_eq!(
        points(Curve::TrainAccuracy),
        [(1, Some(0.25)), (2, Some(0.5))]
    );
    assert_eq!(points(Curve::GradNorm), [(1, Some(3.0)), (2, None)]);
    assert_eq!(
        points(Curve::LearningRate),
        [(2, Some(f64::from(0.001_f32)))]
    );
    assert!(points(Curve::ValidNll).is_empty());
    assert_eq!(state.recent[1].value(Curve::TrainLoss), Some(F32(1.5)));
}

#[test]
fn pauses_do_not_count_as_training_time() {
    let mut state = RunState::default();
    let phases = [
        (1000, Phase::Training),
        (5000, Phase::Paused),
        (9000, Phase::Training),
        (10_000, Phase::Paused),
    ];
    for (seq, (t_ms, phase)) in (1..).zip(phases) {
        state.apply(&Record {
            seq,
            t_ms,
            run_ms: None,
            event: Event::Phase { phase },
        });
    }
    assert_eq!(state.worked_ms(12_000), 5000);
}

#[test]
fn evaluating_the_same_weights_again_changes_neither_the_previous_report_nor_the_end_time() {
    let records = story::finished();
    let mut state = fold(RunState::default(), &records);
    let (ended, previous) = (state.now_ms, state.valid.previous.clone());
    let report = state.valid.latest.clone().unwrap();
    // `epochtop eval` a day later.
    state.apply(&Record {
        seq: state.seq + 1,
        t_ms: ended + 86_400_000,
        run_ms: None,
        event: Event::EvalFinished(Box::new(report)),
    });
    assert_eq!(state.now_ms, ended);
    assert_eq!(state.valid.previous, previous);
}

#[test]
fn a_state_without_step_time_can_be_read() {
    let time = StepTime {
        global_step: 7,
        steps: 7,
        loader_ms: F64(0.0),
        reading: F64(0.0),
        data_ms: F64(1.0),
        forward_ms: F64(2.0),
        backward_ms: F64(4.0),
        optimizer_ms: F64(0.5),
        wait_ms: F64(0.25),
        sampled: false,
    };
    let mut state = RunState::default();
    state.apply(&Record {
        seq: 1,
        t_ms: 1,
        run_ms: None,
        event: Event::StepTime(time),
    });
    assert_eq!(state.step_time, Some(time));
    assert_eq!(time.total_ms(), 7.75);
    let mut old = serde_json::to_value(&state).unwrap();
    old.as_object_mut().unwrap().remove("step_time");
    let old: RunState = serde_json::from_value(old).unwrap();
    assert_eq!(old.step_time, None);
}

#[test]
fn unknown_events_are_ignored_and_logged_once() {
    let mut state = RunState::default();
    for seq in 1..=3 {
        let line = format!(
            r#"{{"seq":{seq},"t_ms":5,"event":"tea_is_ready","cups":[{{"of":2}}],"hot":true}}"#
        );
        let record: Record = serde_json::from_str(&line).unwrap();
        assert_eq!(record.event, Event::Unknown);
        state.apply(&record);
    }
    assert_eq!((state.seq, state.unknown), (3, 3));
    let lines: Vec<&str> = state.log.iter().map(|line| line.text.as_str()).collect();
    assert!(
        lines.len() == 1 && lines[0].contains("a newer version can show them"),
        "{lines:?}"
    );
}

#[test]
fn per_class_f1_history_is_stored_per_epoch_and_bounded() {
    let mut run = RunState::default();
    let records = story::finished();
    records.iter().for_each(|record| run.apply(record));
    let epochs: Vec<u32> = run.class_f1.moments.iter().map(|row| row.0).collect();
    assert_eq!(epochs, (1..=12).collect::<Vec<u32>>());
    let report = run.valid.latest.as_ref().unwrap();
    let (_, latest) = run.class_f1.moments.last().unwrap();
    for (stored, scores) in latest.iter().zip(&report.classes) {
        assert!((f64::from(stored.0) - scores.f1).abs() < 1e-4);
    }
    let names = (0..200).map(|i| format!("class {i}")).collect();
    let records = story::with_classes("many", names);
    let mut run = RunState::default();
    records.iter().for_each(|record| run.apply(record));
    let Some(Event::EpochFinished(summary)) = (records.iter().rev())
        .map(|record| record.event.clone())
        .find(|event| matches!(event, Event::EpochFinished(_)))
    else {
        panic!("an epoch")
    };
    for epoch in 3..500 {
        let summary = EpochSummary {
            epoch,
            ..summary.clone()
        };
        let record = Record {
            seq: run.seq + 1,
            t_ms: run.now_ms,
            run_ms: None,
            event: Event::EpochFinished(summary),
        };
        run.apply(&record);
        let numbers = run.class_f1.moments.iter().map(|row| row.1.len());
        assert!(numbers.sum::<usize>() <= 1 << 16);
    }
    assert_eq!(run.class_f1.moments.last().map(|row| row.0), Some(499));
    assert!(run.class_f1.moments.len() > 100);
}
