#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use std::io::Write;

use super::super::super::journal::live_records;
use super::super::super::rundir::RunDir;
use super::super::series::{between, nearest};
use super::*;
use crate::event::{EpochSummary, Event, F32, F64, GalleryPredictions, Level, Record, StepWindow};
use crate::link::StepValues;
use crate::run::{Curve, CurveId};

/// A journal written by the test.
struct TestJournal {
    _dir: tempfile::TempDir,
    run: RunDir,
    seq: u64,
}

impl TestJournal {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::at(dir.path());
        std::fs::write(run.journal(), "").unwrap();
        Self {
            _dir: dir,
            run,
            seq: 0,
        }
    }

    fn write(&self, bytes: &[u8]) {
        let options = std::fs::OpenOptions::new()
            .append(true)
            .open(self.run.journal());
        options.unwrap().write_all(bytes).unwrap();
    }

    fn line(&mut self, event: Event) -> Vec<u8> {
        self.seq += 1;
        let record = Record {
            seq: self.seq,
            t_ms: 1000 + self.seq,
            run_ms: None,
            event,
        };
        let mut line = serde_json::to_vec(&record).unwrap();
        line.push(b'\n');
        line
    }

    fn record(&mut self, event: Event) {
        let line = self.line(event);
        self.write(&line);
    }

    /// Writes the steps after `from`, up to `to`, in windows of 16 steps. The loss of a step is its number plus `mark`.
    fn steps(&mut self, from: u64, to: u64, mark: f32) {
        let mut bytes = Vec::new();
        for last in (from..to).step_by(16).map(|first| (first + 16).min(to)) {
            let first = last - (last - from - 1) % 16;
            let list = |f: fn(u64) -> f32| (first..=last).map(|step| F32(f(step))).collect();
            let window = StepWindow {
                epoch: 1 + (last / 1000) as u32,
                global_step: last,
                lr: F64(0.5),
                rates: (first..=last).map(|step| F64(step as f64)).collect(),
                loss: (first..=last).map(|step| F32(step as f32 + mark)).collect(),
                accuracy: list(|step| (step % 7) as f32),
                grad_norm: list(|step| if step == 40 { f32::NAN } else { 1.0 }),
                clipped: (first..=last).map(|step| u8::from(step % 3 == 0)).collect(),
                ..StepWindow::default()
            };
            bytes.extend(self.line(Event::Steps(window)));
        }
        self.write(&bytes);
        let row = EpochSummary {
            global_step: to,
            valid_nll: F64(to as f64),
            ..EpochSummary::default()
        };
        self.record(Event::EpochFinished(row));
    }

    fn resume(&mut self, after: u64) {
        self.record(Event::Restored(Box::new(Restoration {
            after,
            ..Restoration::default()
        })));
    }

    fn index(&self) -> Index {
        let mut index = Index::new(self.run.journal());
        index.refresh().unwrap();
        index
    }

    /// The losses from a full scan of the journal.
    fn losses(&self) -> Vec<(u64, F32)> {
        let mut all = Vec::new();
        live_records(&self.run, |record| {
            if let Event::Steps(window) = &record.event {
                let first = window.global_step + 1 - window.loss.len() as u64;
                all.extend((first..).zip(window.loss.iter().copied()));
            }
        })
        .unwrap();
        all
    }
}

fn loss(values: &StepValues) -> f64 {
    values.value(&Curve::TrainLoss.into()).unwrap()
}

fn losses(index: &Index, from: u64, to: u64) -> Vec<(u64, F32)> {
    between(index, &Curve::TrainLoss.into(), (from, to), u32::MAX).unwrap()
}

#[test]
fn range_query_matches_full_scan() {
    let mut journal = TestJournal::new();
    journal.steps(0, 6_000, 0.0);
    journal.write(b"no record\n\n{\"event\":\"steps\"}\n\xff\xfe\n[1]\n");
    journal.steps(6_000, 12_000, 0.0);
    let index = journal.index();
    assert!(index.blocks.len() > 3, "{} blocks", index.blocks.len());
    let all = journal.losses();
    assert_eq!(all.len(), 12_000);
    for (from, to) in [
        (0, u64::MAX),
        (1, 1),
        (5_990, 6_010),
        (12_000, 12_000),
        (3, 2),
    ] {
        let inside = all.iter().filter(|(step, _)| (from..=to).contains(step));
        assert_eq!(
            losses(&index, from, to),
            inside.copied().collect::<Vec<_>>()
        );
    }
    let rows = between(&index, &Curve::ValidNll.into(), (0, u64::MAX), 100).unwrap();
    assert_eq!(rows, [(6_000, F32(6_000.0)), (12_000, F32(12_000.0))]);
}

#[test]
fn records_discarded_by_a_restart_are_not_returned() {
    let mut journal = TestJournal::new();
    journal.steps(0, 4_000, 0.0);
    let after = journal.seq;
    journal.steps(4_000, 9_000, 0.25);
    let mut index = journal.index();
    assert_eq!(losses(&index, 8_999, 9_000).len(), 2);
    assert_eq!(loss(&nearest(&index, 8_000).unwrap().unwrap()), 8_000.25);
    journal.resume(after);
    index.refresh().unwrap();
    assert_eq!(
        losses(&index, 3_999, 9_000),
        [(3_999, F32(3_999.0)), (4_000, F32(4_000.0))]
    );
    assert_eq!(nearest(&index, 8_000).unwrap().unwrap().step, 4_000);
    journal.steps(4_000, 6_000, 0.5);
    index.refresh().unwrap();
    assert_eq!(losses(&index, 0, u64::MAX), journal.losses());
    assert_eq!(
        index.blocks,
        journal.index().blocks,
        "read in parts or at once"
    );
    for (wanted, step) in [(0, 1), (1, 1), (4_500, 4_500), (u64::MAX, 6_000)] {
        let found = nearest(&index, wanted).unwrap().unwrap();
        assert_eq!(found.step, step);
        let mark = if step > 4_000 { 0.5 } else { 0.0 };
        assert_eq!(loss(&found), step as f64 + mark);
    }
}

#[test]
fn named_curves_are_returned() {
    let mut journal = TestJournal::new();
    let name = || CurveId::Named("val/loss".to_owned());
    let log = |journal: &mut TestJournal, global_step: u64, value: f64| {
        let other = ("val/f1".to_owned(), F64(0.0));
        let values = vec![("val/loss".to_owned(), F64(value)), other];
        journal.record(Event::Scalars {
            global_step,
            values,
        });
    };
    journal.steps(0, 4_000, 0.0);
    log(&mut journal, 3_000, 0.5);
    let after = journal.seq;
    journal.steps(4_000, 8_000, 0.0);
    log(&mut journal, 8_000, 9.0);
    journal.resume(after);
    log(&mut journal, 50_000, f64::NAN);
    let index = journal.index();
    let values = between(&index, &name(), (0, u64::MAX), 100).unwrap();
    assert_eq!(values[0], (3_000, F32(0.5)));
    assert!(values.len() == 2 && values[1].0 == 50_000 && values[1].1.0.is_nan());
    let missing = CurveId::Named("loss".to_owned());
    assert_eq!(between(&index, &missing, (0, u64::MAX), 100).unwrap(), []);
    // Merged with the window that contains the step, and without one.
    let found = nearest(&index, 3_000).unwrap().unwrap();
    assert_eq!((loss(&found), found.value(&name())), (3_000.0, Some(0.5)));
    let found = nearest(&index, 49_000).unwrap().unwrap();
    assert_eq!((found.step, found.epoch), (50_000, 0));
    assert!(found.value(&name()).is_some_and(f64::is_nan));
}

#[test]
fn nearest_step_has_all_its_values() {
    let mut journal = TestJournal::new();
    assert_eq!(nearest(&journal.index(), 3).unwrap(), None);
    journal.steps(0, 100, 0.0);
    let found = nearest(&journal.index(), 42).unwrap().unwrap();
    assert_eq!(
        (found.step, found.epoch, found.clipped, found.t_ms),
        (42, 1, true, 1003)
    );
    let value = |curve: Curve| found.value(&curve.into());
    assert_eq!(value(Curve::LearningRate), Some(42.0));
    assert_eq!(value(Curve::TrainLoss), Some(42.0));
    assert_eq!(value(Curve::TrainAccuracy), Some(0.0));
    assert_eq!(value(Curve::GradNorm), Some(1.0));
    assert_eq!(value(Curve::ValidNll), None);
    let hole = nearest(&journal.index(), 40).unwrap().unwrap();
    let norm = hole.value(&Curve::GradNorm.into());
    assert!(norm.is_some_and(f64::is_nan) && !hole.clipped);
    // The journal has a gap between steps 100 and 111.
    journal.steps(110, 120, 0.0);
    for (wanted, step) in [(105, 100), (106, 111), (104, 100)] {
        let found = nearest(&journal.index(), wanted).unwrap().unwrap();
        assert_eq!(found.step, step);
    }
}

#[test]
fn incomplete_line_is_indexed_when_complete() {
    let mut journal = TestJournal::new();
    journal.steps(0, 16, 0.0);
    let complete = journal.line(Event::Steps(StepWindow {
        global_step: 17,
        loss: vec![F32(1.0)],
        ..StepWindow::default()
    }));
    let mut index = journal.index();
    for byte in complete {
        assert_eq!(nearest(&index, 20).unwrap().unwrap().step, 16);
        journal.write(&[byte]);
        index.refresh().unwrap();
    }
    assert_eq!(nearest(&index, 20).unwrap().unwrap().step, 17);
}

#[test]
fn replaced_journal_is_read_again() {
    let mut journal = TestJournal::new();
    journal.steps(0, 3_000, 0.0);
    let mut index = journal.index();
    let other = journal.run.path.join("other");
    let mut new = TestJournal::new();
    new.steps(0, 32, 0.5);
    std::fs::copy(new.run.journal(), &other).unwrap();
    std::fs::rename(&other, journal.run.journal()).unwrap();
    index.refresh().unwrap();
    assert_eq!(loss(&nearest(&index, 3_000).unwrap().unwrap()), 32.5);
    std::fs::remove_file(journal.run.journal()).unwrap();
    assert!(index.refresh().is_err());
}

#[test]
fn merging_blocks_does_not_change_results() {
    let mut journal = TestJournal::new();
    journal.steps(0, 30_000, 0.0);
    let (fine, mut coarse) = (journal.index(), journal.index());
    for _ in 0..3 {
        coarse.coarsen();
    }
    assert_eq!(coarse.blocks.len(), fine.blocks.len().div_ceil(8));
    for (from, to) in [(0, u64::MAX), (17, 18_000), (29_999, 30_000)] {
        assert_eq!(losses(&coarse, from, to), losses(&fine, from, to));
    }
    assert_eq!(nearest(&coarse, 777).unwrap(), nearest(&fine, 777).unwrap());
}

#[test]
fn event_type_is_found_in_any_field_order() {
    for (line, expected) in [
        (
            r#"{"seq":1,"t_ms":2,"event":"steps","loss":[]}"#,
            Some("steps"),
        ),
        (
            r#"{"event":"log","text":"\"event\":\"steps\""}"#,
            Some("log"),
        ),
        (
            r#"{"seq":1,"long":"------------------------------------------------------------------------------------------------------------------","event":"resumed"}"#,
            Some("resumed"),
        ),
        (r#"{"seq":1}"#, None),
        ("no record", None),
        ("", None),
    ] {
        assert_eq!(kind(line.as_bytes()).as_deref(), expected, "{line}");
    }
}

#[test]
fn positions_of_valid_records_are_indexed() {
    let mut journal = TestJournal::new();
    let predictions = |epoch| {
        Event::GalleryPredictions(GalleryPredictions {
            epoch,
            ..GalleryPredictions::default()
        })
    };
    journal.record(predictions(1));
    journal.record(predictions(2));
    journal.resume(1);
    let text = "x".repeat(300);
    journal.record(Event::Log {
        level: Level::Info,
        text,
    });
    journal.record(predictions(3));
    let index = journal.index();
    let read = |place| index.read::<GalleryPredictions>(place).unwrap().epoch;
    assert_eq!(index.galleries().map(read).collect::<Vec<_>>(), [1, 3]);
}
