//! Queries for test-set images and steps, answered from a run directory that the tests write.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use epochtop::event::{
    EvalReport, Event, F32, F64, GalleryImages, GalleryPredictions, Pixels, Record, Restoration,
    Split, StepWindow,
};
use epochtop::link::{EarlierPrediction, Filter, ImagePage, Link, Query, Reply};
use epochtop::metrics::fit_temperature;
use epochtop::report::{Options, Predictions, measure};
use epochtop::run::Curve;
use epochtop::session::{Meta, RunDir, replay};

fn run() -> (tempfile::TempDir, RunDir) {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::create(dir.path(), "one", "").unwrap();
    std::fs::write(run.journal(), "").unwrap();
    (dir, run)
}

/// Replaces a file atomically, as the program does.
fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, bytes).unwrap();
    std::fs::rename(temporary, path).unwrap();
}

/// Writes these events as the run's journal.
fn write_journal(run: &RunDir, events: Vec<Event>) {
    let lines = (1..).zip(events).map(|(seq, event)| {
        let record = Record {
            seq,
            t_ms: seq,
            run_ms: None,
            event,
        };
        serde_json::to_string(&record).unwrap() + "\n"
    });
    put(&run.journal(), lines.collect::<String>());
}

/// Sends a query and waits for the reply.
fn ask(link: &Link, query: Query) -> Reply {
    let queries = link.queries.as_ref().unwrap();
    queries.ask.send((1, query)).unwrap();
    let reply = queries.replies.recv_timeout(Duration::from_secs(60));
    reply.unwrap().1
}

fn link(run: &RunDir) -> Link {
    replay(run).unwrap().0
}

fn page(link: &Link, filter: Filter, from: u32, count: u32) -> ImagePage {
    let query = Query::Images {
        from,
        count,
        filter,
    };
    match ask(link, query) {
        Reply::Images(page) => page,
        other => panic!("{other:?}"),
    }
}

/// The text of a `predictions.csv` with this number of test images of ten classes.
fn table(images: u32) -> String {
    let mut csv = "split,index,label,predicted,confidence".to_owned();
    (0..10).for_each(|class| write!(csv, ",logit_{class}").unwrap());
    csv += "\nvalid,0,1,2,0.5,0,0,1,0,0,0,0,0,0,0\n";
    for index in 0..images {
        let (label, predicted) = (index % 10, index.wrapping_mul(7919) % 11 % 10);
        let confidence = 0.1 + f64::from(index % 89) / 100.0;
        write!(csv, "test,{index},{label},{predicted},{confidence}").unwrap();
        for class in 0..10 {
            let logit = if class == predicted { 9.5 } else { 0.125 };
            let logit = logit + f64::from((index * 13 + class) % 97) * 0.01;
            write!(csv, ",{logit}").unwrap();
        }
        csv.push('\n');
    }
    csv
}

/// A row of an `evals/*.csv` file.
fn prediction_row(index: u32, class: u32, probability: f32) -> String {
    format!("test,{index},0,{class},{probability}\n")
}

const FILTERS: [Filter; 6] = [
    Filter::All,
    Filter::Mistakes,
    Filter::ConfidentMistakes,
    Filter::Class(3),
    Filter::Confused {
        truth: 3,
        predicted: 7,
    },
    Filter::LeastCertain,
];

#[test]
fn pages_cover_the_full_list_without_duplicates() {
    let (_dir, run) = run();
    put(&run.path.join("predictions.csv"), table(1_000));
    let link = link(&run);
    for filter in FILTERS {
        for count in [1, 7, 256] {
            let (mut all, mut from) = (Vec::new(), 0);
            loop {
                let page = page(&link, filter, from, count);
                assert!(page.from == from && page.rows.len() <= count as usize);
                if page.rows.is_empty() {
                    assert_eq!(page.total, from, "{filter:?}");
                    break;
                }
                from += page.rows.len() as u32;
                all.extend(page.rows.iter().map(|row| row.index));
            }
            let mut unique = all.clone();
            unique.sort_unstable();
            unique.dedup();
            assert!(unique.len() == all.len() && !all.is_empty(), "{filter:?}");
            if count == 1 {
                continue;
            }
            let start = page(&link, filter, 0, u32::MAX);
            assert_eq!(start.rows.len(), all.len().min(256));
            assert!(
                start
                    .rows
                    .iter()
                    .map(|row| row.index)
                    .eq(all.iter().copied().take(256))
            );
        }
    }
    assert_eq!(page(&link, Filter::All, u32::MAX, u32::MAX).rows.len(), 0);
}

#[test]
fn a_missing_evaluation_is_explained_and_a_new_one_is_detected() {
    let (_dir, run) = run();
    let link = link(&run);
    let images = Query::Images {
        from: 0,
        count: 9,
        filter: Filter::All,
    };
    let meta = |ended_ms| Meta {
        ended_ms,
        ..Meta::default()
    };
    let journal = std::fs::File::open(run.journal()).unwrap();
    // A live run holds this lock.
    rustix::fs::flock(&journal, rustix::fs::FlockOperation::LockExclusive).unwrap();
    for (ended, words) in [(None, "at the end of the training"), (Some(1), "/one`")] {
        put(
            &run.path.join("run.json"),
            serde_json::to_vec(&meta(ended)).unwrap(),
        );
        match ask(&link, images.clone()) {
            Reply::Unknown { reason } => assert!(reason.contains(words), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    put(&run.path.join("predictions.csv"), table(20));
    assert_eq!(page(&link, Filter::All, 0, 9).total, 20);
    put(&run.path.join("predictions.csv"), table(30));
    put(&run.path.join("eval.json"), r#"{"global_step": 430}"#);
    let page = page(&link, Filter::All, 28, 9);
    assert_eq!(
        (page.total, page.rows.len(), page.global_step),
        (30, 2, Some(430))
    );
    assert_eq!(page.split, Split::Test);
}

/// The gallery predictions after a validation, with `first` as the predicted class of the first image.
fn gallery(epoch: u32, global_step: u64, first: u32) -> Event {
    Event::GalleryPredictions(GalleryPredictions {
        epoch,
        global_step,
        temperature: F64(1.0),
        top: vec![vec![(first, F32(0.5)), (9, F32(0.25))], Vec::new()],
    })
}

fn evaluated(epoch: u32, global_step: u64, split: Split) -> Event {
    let rows = Predictions {
        split,
        logits: vec![1.0, 0.0],
        labels: vec![0],
        classes: 2,
    };
    let options = Options {
        bins: 1,
        resamples: 0,
    };
    let temperature = fit_temperature(&rows.logits, &rows.labels, rows.classes);
    let report = measure(&rows, temperature, options);
    Event::EvalFinished(Box::new(EvalReport {
        epoch,
        global_step,
        ..report
    }))
}

fn save_predictions(run: &RunDir, global_step: u64, rows: &[String]) {
    let path = run.path.join(format!("evals/step-{global_step:09}.csv"));
    put(&path, rows.concat());
}

fn steps(rows: &[EarlierPrediction]) -> Vec<(u32, u64, u32)> {
    let short = |one: &EarlierPrediction| (one.epoch, one.global_step, one.label);
    rows.iter().map(short).collect()
}

#[test]
fn earlier_predictions_are_oldest_first_without_discarded_ones() {
    let (_dir, run) = run();
    put(&run.path.join("predictions.csv"), table(4));
    put(&run.path.join("eval.json"), r#"{"global_step": 30}"#);
    let resumed = Event::Restored(Box::new(Restoration {
        after: 3,
        ..Restoration::default()
    }));
    write_journal(
        &run,
        vec![
            gallery(1, 10, 1),
            evaluated(1, 10, Split::Test),
            gallery(2, 20, 2),
            // These two are discarded by the restore that follows and trained again.
            gallery(3, 25, 3),
            evaluated(3, 25, Split::Test),
            resumed,
            gallery(3, 30, 4),
            evaluated(3, 30, Split::Valid),
            evaluated(3, 30, Split::Test),
            gallery(4, 40, 5),
            evaluated(4, 40, Split::Test),
        ],
    );
    for step in [10, 20, 25, 30, 40] {
        save_predictions(
            &run,
            step,
            &[
                "garbage\n".to_owned(),
                prediction_row(2, 7, 0.75),
                prediction_row(0, 8, 0.5),
            ],
        );
    }
    let link = link(&run);
    let rows = page(&link, Filter::All, 0, 9).rows;
    // Predictions saved by a full evaluation take precedence over those of the gallery.
    assert_eq!(steps(&rows[0].earlier), [(1, 10, 8), (2, 20, 2)]);
    assert!(rows[1].earlier.is_empty() && rows[3].earlier.is_empty());
    assert_eq!(steps(&rows[2].earlier), [(1, 10, 7)]);
    assert_eq!(rows[2].earlier[0].probability, F32(0.75));
    save_predictions(&run, 10, &[prediction_row(2, 6, 0.5)]);
    let rows = page(&link, Filter::All, 0, 9).rows;
    assert_eq!(
        steps(&rows[2].earlier),
        [(1, 10, 6)],
        "a changed file is read again"
    );
    assert_eq!(steps(&rows[0].earlier), [(1, 10, 1), (2, 20, 2)]);
    // With the last evaluation shown, predictions of the one before count as earlier.
    put(&run.path.join("eval.json"), r#"{"global_step": 40}"#);
    let rows = page(&link, Filter::All, 0, 9).rows;
    assert_eq!(
        steps(&rows[0].earlier),
        [(1, 10, 1), (2, 20, 2), (3, 30, 8)]
    );
    // If the journal has no record of the shown evaluation, earlier means fewer steps.
    put(&run.path.join("eval.json"), r#"{"global_step": 25}"#);
    let rows = page(&link, Filter::All, 0, 9).rows;
    assert_eq!(steps(&rows[0].earlier), [(1, 10, 1), (2, 20, 2)]);
}

#[test]
fn at_most_the_last_32_evaluations_are_returned() {
    let (_dir, run) = run();
    put(&run.path.join("predictions.csv"), table(2));
    write_journal(
        &run,
        (1..=50).map(|n| gallery(n, u64::from(n) * 10, n)).collect(),
    );
    let rows = page(&link(&run), Filter::All, 0, 9).rows;
    assert_eq!(rows[0].earlier.len(), 32);
    assert_eq!(rows[0].earlier.first().map(|one| one.epoch), Some(19));
    assert_eq!(rows[0].earlier.last().map(|one| one.epoch), Some(50));
}

/// Writes IDX files with these test images of `side`×`side` pixels, and two training images.
fn write_test_images(dir: &Path, side: u32, pixels: &[u8]) {
    let file = |name: &str, dims: &[u32], data: &[u8]| {
        let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_be_bytes()).collect();
        let rank = dims.len() as u8 / 4;
        put(
            &dir.join(name),
            [&[0, 0, 8, rank], &dims[..], data].concat(),
        );
    };
    let area = (side * side) as usize;
    for (prefix, pixels) in [("train", vec![0; 2 * area]), ("t10k", pixels.to_vec())] {
        let count = (pixels.len() / area) as u32;
        let labels: Vec<u8> = (0..count).map(|image| (image % 2) as u8).collect();
        file(
            &format!("{prefix}-images-idx3-ubyte"),
            &[count, side, side],
            &pixels,
        );
        file(&format!("{prefix}-labels-idx1-ubyte"), &[count], &labels);
    }
}

#[test]
fn images_come_from_the_data_or_else_from_the_gallery() {
    let (dir, run) = run();
    put(&run.path.join("predictions.csv"), table(3));
    let images = GalleryImages {
        height: 1,
        width: 2,
        labels: vec![0, 1],
        pixels: Pixels(vec![1, 2, 3, 4]),
    };
    write_journal(&run, vec![Event::GalleryImages(images)]);
    let link = link(&run);
    let pixels = || {
        let rows = page(&link, Filter::All, 0, 9).rows;
        let pixels = rows.into_iter().map(|row| (row.size, row.pixels.0));
        pixels.collect::<Vec<_>>()
    };
    let none = ((0, 0), Vec::new());
    assert_eq!(pixels(), [((1, 2), vec![1, 2]), ((1, 2), vec![3, 4]), none]);
    let meta = Meta {
        data_dir: Some(dir.path().join("data")),
        ..Meta::default()
    };
    put(
        &run.path.join("run.json"),
        serde_json::to_vec(&meta).unwrap(),
    );
    write_test_images(&dir.path().join("data"), 1, &[7, 8, 9]);
    assert_eq!(pixels(), [7, 8, 9].map(|byte| ((1, 1), vec![byte])));
}

/// The largest image pages in normal use fit into one message.
#[test]
fn a_page_of_large_images_is_shortened_and_can_be_sent() {
    let (dir, run) = run();
    put(&run.path.join("predictions.csv"), table(256));
    let meta = Meta {
        data_dir: Some(dir.path().to_owned()),
        ..Meta::default()
    };
    put(
        &run.path.join("run.json"),
        serde_json::to_vec(&meta).unwrap(),
    );
    for (side, rows) in [(28_u32, 256), (256, 64)] {
        write_test_images(dir.path(), side, &vec![200; 256 * (side * side) as usize]);
        let page = page(&link(&run), Filter::All, 0, 256);
        assert_eq!((page.total, page.rows.len()), (256, rows));
        let reply = epochtop::session::wire::FromTrainer::Reply(1, Reply::Images(page));
        let mut bytes = Vec::new();
        reply.send(&mut bytes).unwrap();
        assert!(bytes.len() < 8 << 20, "{} bytes", bytes.len());
        let back = epochtop::session::wire::FromTrainer::receive(&mut bytes.as_slice());
        assert_eq!(back.unwrap(), Some(reply));
    }
}

/// Measures the time of queries. Run it with `--release` and `-- --ignored --nocapture`.
#[test]
#[ignore = "a measurement without assertions"]
#[expect(clippy::print_stdout, reason = "the times are its output")]
fn how_long_queries_take() {
    let (_dir, run) = run();
    let mut random = epochtop::random::Random::new(&[7]);
    let mut list = |scale: f32| -> Vec<F32> {
        let number = |_| F32(scale * (1.0 + random.below(1 << 20) as f32 / 1e6));
        (0..16).map(number).collect()
    };
    let mut events = Vec::new();
    for last in (1..=80_000_u64).map(|n| n * 16) {
        events.push(Event::Steps(StepWindow {
            epoch: 1,
            global_step: last,
            loss: list(0.3),
            accuracy: list(0.5),
            grad_norm: list(1.0),
            clipped: vec![0; 16],
            ..StepWindow::default()
        }));
    }
    write_journal(&run, events);
    let bytes = run.journal().metadata().unwrap().len();
    println!("journal: {:.1} MB, 1,280,000 steps", bytes as f64 / 1e6);
    // The replay reads the journal first; only the queries are timed.
    let link = link(&run);
    let timed = |what: &str, query: Query| {
        let began = Instant::now();
        let reply = ask(&link, query);
        let took = began.elapsed().as_secs_f64() * 1e3;
        assert!(!matches!(reply, Reply::Unknown { .. }), "{what}: {reply:?}");
        println!("{what}: {took:.1} ms");
    };
    let series = |from, to| Query::Series {
        curve: Curve::TrainLoss.into(),
        from,
        to,
        points: 2000,
    };
    timed("first query, a step", Query::Step { step: 1_279_000 });
    timed("a step near the end", Query::Step { step: 1_270_001 });
    timed("a step near the beginning", Query::Step { step: 5 });
    timed(
        "the last 2,000 steps of a curve",
        series(1_278_000, 1_280_000),
    );
    timed(
        "the last 100,000 steps of a curve",
        series(1_180_000, 1_280_000),
    );
    timed("all of a curve", series(0, u64::MAX));
    for images in [10_000, 100_000] {
        put(&run.path.join("predictions.csv"), table(images));
        println!("{images} images");
        for filter in [
            Filter::All,
            Filter::All,
            Filter::ConfidentMistakes,
            Filter::LeastCertain,
        ] {
            let query = Query::Images {
                from: images / 3,
                count: 64,
                filter,
            };
            timed(&format!("  a page of {filter:?}"), query);
        }
    }
}
