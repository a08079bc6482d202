//! Benchmark of the viewer: time per frame of each page after a million steps, records per second of the fold, and
//! memory of a run state.
//!
//! Prints a table; run with `make bench-frames`. Times depend on the machine; compare them with the frame budget.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::time::Instant;

use epochtop::event::{Event, F32, F64, LayerNorms, Record, RunStarted, StepWindow};
use epochtop::link::Feed;
use epochtop::run::RunState;
use epochtop::tui::{self, App, Msg, Page, Settings, Theme, update};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

const STEPS: u64 = 1_000_000;
const EPOCH: u64 = 1000;
const WINDOW: u64 = 16;
const FRAMES: usize = 400;
const BUDGET_MS: f64 = 4.0;

fn record(seq: u64, event: Event) -> Record {
    let t_ms = 1_770_000_000_000 + seq * 700;
    Record {
        seq,
        t_ms,
        run_ms: None,
        event,
    }
}

/// The records of a run of a million steps.
fn records() -> Vec<Record> {
    let mut records = Vec::new();
    let mut info = RunStarted {
        run: "a-million".to_owned(),
        epochs: (STEPS / EPOCH) as u32,
        steps_per_epoch: EPOCH,
        batch_size: 256,
        clip_norm: F64(1.0),
        ..RunStarted::default()
    };
    info.dataset.classes = (0..10).map(|i| format!("class {i}")).collect();
    records.push(record(1, Event::RunStarted(Box::new(info))));
    let mut step = 0;
    while step < STEPS {
        step += WINDOW;
        let seq = records.len() as u64 + 1;
        let value = |i: u64| F32(((step + i) as f32 * 0.37).sin().abs() + 0.1);
        records.push(record(
            seq,
            Event::Steps(StepWindow {
                epoch: (step / EPOCH) as u32 + 1,
                epoch_step: step % EPOCH,
                global_step: step,
                lr: F64(1e-3),
                images: WINDOW * 256,
                millis: F64(700.0),
                loss: (0..WINDOW).map(value).collect(),
                accuracy: (0..WINDOW).map(|i| F32(value(i).0 / 2.0)).collect(),
                grad_norm: (0..WINDOW).map(|i| F32(value(i).0 * 2.0)).collect(),
                clipped: vec![0; WINDOW as usize],
                ..StepWindow::default()
            }),
        ));
        if step % 8000 == 0 {
            let layers = (0..40).map(|i| LayerNorms {
                name: format!("blocks.{i}.conv.weight"),
                grad_norm: F32(0.1),
                weight_norm: F32(2.0),
                update_norm: F32(0.002),
            });
            let layers = layers.collect();
            let seq = records.len() as u64 + 1;
            records.push(record(
                seq,
                Event::Layers {
                    global_step: step,
                    layers,
                },
            ));
        }
    }
    records
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = ((sorted.len() - 1) as f64 * share).round() as usize;
    sorted[at]
}

fn main() {
    let records = records();
    let start = Instant::now();
    let mut run = RunState::default();
    records.iter().for_each(|record| run.apply(record));
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "fold: {} records of {WINDOW} steps in {seconds:.3} s: {:.2} million records/s, {:.0} million steps/s (target: 1 million records/s)",
        records.len(),
        records.len() as f64 / seconds / 1e6,
        STEPS as f64 / seconds / 1e6,
    );
    // Small records: progress events only.
    let small: Vec<Record> = (0..1_000_000_u64)
        .map(|i| {
            let event = Event::EvalProgress {
                split: epochtop::event::Split::Test,
                done: i,
                total: 1_000_000,
            };
            record(records.len() as u64 + 2 + i, event)
        })
        .collect();
    let start = Instant::now();
    let mut other = run.clone();
    small.iter().for_each(|record| other.apply(record));
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "fold: small records: {:.1} million records/s",
        small.len() as f64 / seconds / 1e6
    );
    drop(small);
    let before = resident();
    let copies: Vec<RunState> = (0..64).map(|_| run.clone()).collect();
    let size = resident().saturating_sub(before) / copies.len() as u64;
    println!(
        "memory: run state of {STEPS} steps {:.0} KiB, as JSON {:.0} KiB",
        size as f64 / 1024.0,
        serde_json::to_vec(&run).map_or(0, |bytes| bytes.len()) as f64 / 1024.0
    );
    drop(copies);

    let theme = Theme::load("dark").unwrap_or_else(|error| panic!("{error}"));
    let mut app = App::new(Settings::default(), true);
    update(&mut app, Msg::Feed(Feed::Snapshot(Box::new(run))));
    println!("frames at 200x60, ms (budget {BUDGET_MS} ms):");
    println!("  page          median    99 %");
    let area = Rect::new(0, 0, 200, 60);
    update(&mut app, Msg::Resize(area.width, area.height));
    for page in Page::ALL {
        app.ui.page = page;
        app.ui.focus = page.panes()[0];
        update(&mut app, Msg::Resize(area.width, area.height));
        let mut times: Vec<f64> = (0..FRAMES)
            .map(|_| {
                let start = Instant::now();
                let mut buffer = Buffer::empty(area);
                tui::draw(&app, &theme, area, &mut buffer);
                std::hint::black_box(&buffer);
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "  {:<12} {:>7.3} {:>7.3}",
            page.key(),
            quantile(&times, 0.5),
            quantile(&times, 0.99)
        );
    }
}
