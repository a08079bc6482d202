//! `export`: a run for other programs.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::{Value, json};

use super::args::{ExportArgs, ExportFormat};
use super::print::{complain, say};
use super::restore::restore;
use super::{code, runs_dir, screen_sets};
use crate::event::Event;
use crate::session::{RunDir, live_records, locate_checkpoint, resolve};

/// Writes what was asked for.
pub(super) fn run(args: ExportArgs) -> u8 {
    let sets = [args.sets, screen_sets(args.runs, None)].concat();
    let done = runs_dir(&sets).and_then(|runs| {
        let runs = PathBuf::from(runs);
        let out = args.output.as_deref();
        match args.format {
            ExportFormat::Torchscript => {
                torchscript(&runs, args.run.as_deref(), &sets, out).map(|()| None)
            }
            ExportFormat::Csv => found(&runs, args.run.as_deref())
                .and_then(|run| csv(&run))
                .map(Some),
            ExportFormat::Json => found(&runs, args.run.as_deref())
                .and_then(|run| story(&run))
                .map(|story| Some(format!("{story:#}\n"))),
        }
    });
    let written = done.map(|text| text.map_or(Ok(()), |text| write(&text, args.output.as_deref())));
    let (error, code) = match written {
        Ok(Ok(())) => return code::COMPLETED,
        Ok(Err(error)) => (error, code::FAILED),
        Err(error) => (error, code::USAGE),
    };
    complain(&format!("error: {error}"));
    code
}

fn found(runs: &Path, name: Option<&str>) -> Result<RunDir, String> {
    resolve(runs, name).map_err(|error| error.to_string())
}

fn write(text: &str, out: Option<&Path>) -> Result<(), String> {
    let done = match out {
        Some(path) => fs::write(path, text),
        None => match io::stdout().lock().write_all(text.as_bytes()) {
            // A reader that went away wanted no more.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        },
    };
    done.map_err(|error| error.to_string())
}

/// A row for each step.
fn csv(run: &RunDir) -> Result<String, String> {
    let mut text = "global_step,epoch,loss,accuracy,grad_norm,clipped,lr\n".to_owned();
    live_records(run, |record| {
        let Event::Steps(window) = &record.event else {
            return;
        };
        let first = window.global_step.saturating_sub(window.loss.len() as u64);
        let rows = window.loss.iter().zip(&window.accuracy);
        let rows = rows.zip(window.grad_norm.iter().zip(&window.clipped));
        for (i, ((loss, accuracy), (norm, clipped))) in rows.enumerate() {
            let _ = writeln!(
                text,
                "{},{},{},{},{},{clipped},{}",
                first + i as u64 + 1,
                window.epoch,
                loss.0,
                accuracy.0,
                norm.0,
                window.lr.0
            );
        }
    })
    .map_err(|error| error.to_string())?;
    Ok(text)
}

/// The run with its epochs and measurements.
fn story(run: &RunDir) -> Result<Value, String> {
    let (mut info, mut epochs, mut evals, mut checkpoints, mut outcome) =
        (Value::Null, Vec::new(), Vec::new(), Vec::new(), Value::Null);
    live_records(run, |record| {
        let value = |event: &Event| serde_json::to_value(event).unwrap_or_default();
        match &record.event {
            Event::RunStarted(_) => info = value(&record.event),
            Event::EpochFinished(_) => epochs.push(value(&record.event)),
            Event::EvalFinished(_) => evals.push(value(&record.event)),
            Event::CheckpointSaved(_) => checkpoints.push(value(&record.event)),
            Event::RunFinished { .. } => outcome = value(&record.event),
            _ => {}
        }
    })
    .map_err(|error| error.to_string())?;
    Ok(json!({
        "run": run.name,
        "meta": run.meta(),
        "started": info,
        "epochs": epochs,
        "evaluations": evals,
        "checkpoints": checkpoints,
        "finished": outcome,
    }))
}

/// The network of a checkpoint, traced.
fn torchscript(
    runs: &Path,
    name: Option<&str>,
    sets: &[String],
    out: Option<&Path>,
) -> Result<(), String> {
    let found = locate_checkpoint(runs, name).map_err(|error| error.to_string())?;
    // Traced on the CPU: constants made on a GPU would not load without one.
    let sets = [sets, &["train.device=cpu".to_owned()]].concat();
    let restored = restore(&found.path, &sets)?;
    let home = found.run.as_ref().map_or(&found.path, |run| &run.path);
    let path = out.map_or_else(|| home.join("model.pt"), Path::to_owned);
    restored.trained.write_torchscript(&path)?;
    let info = &restored.state.dataset;
    say(&format!(
        "{}: TorchScript of {}; takes f32 images (N, {}, {}, {}) in -1 to 1, gives logits (N, {})",
        path.display(),
        found.title(),
        info.channels,
        info.height,
        info.width,
        info.classes.len()
    ));
    Ok(())
}
