//! `export`: writes a run in formats for other programs.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::args::{ExportArgs, ExportFormat};
use super::print::{json_text, print_error, print_line};
use super::restore::restore;
use super::write_file::{Existing, check_new, write_file};
use super::{code, runs_dir};
use crate::event::{Event, F64};
use crate::run::{Curve, MAX_NAMED, Source, Steps, is_curve_name};
use crate::session::{RunDir, RunsDir, live_records, locate_checkpoint, resolve};

/// An export before it is written.
struct Export {
    bytes: Vec<u8>,
    /// Its file; `None` is stdout.
    file: Option<PathBuf>,
    /// The line that is printed afterwards.
    summary: Option<String>,
}

/// Writes the export in the requested format.
pub(super) fn run(args: ExportArgs) -> u8 {
    let existing = Existing::forced(args.force);
    let done = export(args).map(|export| write(export, existing));
    let (error, code) = match done {
        Ok(Ok(())) => return code::COMPLETED,
        Ok(Err(error)) => (error.to_string(), code::FAILED),
        Err(error) => (error, code::USAGE),
    };
    print_error(&format!("error: {error}"));
    code
}

fn export(args: ExportArgs) -> Result<Export, String> {
    let ExportArgs {
        run,
        format,
        output,
        force,
        runs,
        sets,
    } = args;
    let runs = runs_dir(runs, &sets)?;
    let existing = Existing::forced(force);
    if let Some(file) = &output {
        check_new(file, existing).map_err(|error| error.to_string())?;
    }
    let text = |text: String| Export {
        bytes: text.into_bytes(),
        file: output.clone(),
        summary: None,
    };
    match format {
        ExportFormat::Torchscript => {
            torchscript(&runs, run.as_deref(), &sets, output.clone(), existing)
        }
        ExportFormat::Csv => csv(&found(&runs, run.as_deref())?).map(text),
        ExportFormat::Json => {
            run_json(&found(&runs, run.as_deref())?).map(|value| text(json_text(&value) + "\n"))
        }
    }
}

fn found(runs: &RunsDir, name: Option<&OsStr>) -> Result<RunDir, String> {
    resolve(runs, name).map_err(|error| error.to_string())
}

fn write(export: Export, existing: Existing) -> io::Result<()> {
    let Export {
        bytes,
        file,
        summary,
    } = export;
    match file {
        Some(path) => write_file(&path, &bytes, existing)?,
        None => match io::stdout().lock().write_all(&bytes) {
            // A closed pipe (for example `| head`) is not an error.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            done => done?,
        },
    }
    summary.iter().for_each(|line| print_line(line));
    Ok(())
}

/// Values of the named curves by step, each with the index of its curve in the list of names.
type Named = BTreeMap<u64, Vec<(usize, F64)>>;

/// The names of the named curves of a run, at most [`MAX_NAMED`], and their values.
fn named(run: &RunDir) -> io::Result<(Vec<String>, Named)> {
    let (mut names, mut rows) = (Vec::<String>::new(), Named::new());
    live_records(run, |record| {
        let Event::Scalars {
            global_step,
            values,
        } = &record.event
        else {
            return;
        };
        for (name, value) in values.iter().filter(|(name, _)| is_curve_name(name)) {
            let known = names.iter().position(|known| known == name);
            let at = known.unwrap_or(names.len());
            if at == names.len() && at < MAX_NAMED {
                names.push(name.clone());
            }
            if at < names.len() {
                rows.entry(*global_step).or_default().push((at, *value));
            }
        }
    })?;
    Ok((names, rows))
}

/// The run as CSV, with one row per step.
fn csv(run: &RunDir) -> Result<String, String> {
    let (names, mut rows) = named(run).map_err(|error| error.to_string())?;
    let (by_step, others): (Vec<Curve>, Vec<Curve>) = Curve::ALL
        .into_iter()
        .filter(|curve| curve.info().column.is_some())
        .partition(|curve| matches!(curve.info().source, Source::Steps(_)));
    let columns = |curves: &[Curve]| {
        curves
            .iter()
            .filter_map(|curve| curve.info().column)
            .collect::<Vec<_>>()
    };
    let head = [
        &["global_step", "epoch"][..],
        &columns(&by_step),
        &["clipped"],
        &columns(&others),
    ]
    .concat();
    let mut text = head.join(",");
    names
        .iter()
        .for_each(|name| text.extend([",", &quoted(name)]));
    text.push('\n');
    let cells = |text: &mut String, values: &[(usize, F64)]| {
        for at in 0..names.len() {
            // If a value was logged twice for a step, the last one counts.
            let value = values.iter().rfind(|(known, _)| *known == at);
            text.push(',');
            text.extend(value.map(|(_, value)| value.0.to_string()));
        }
        text.push('\n');
    };
    let empty = ",".repeat(head.len() - 1);
    live_records(run, |record| {
        let Event::Steps(window) = &record.event else {
            return;
        };
        let steps = Steps::of(window);
        for (at, sample) in steps.samples().enumerate() {
            // Steps that only have values of named curves.
            while let Some(row) = rows.first_entry().filter(|row| *row.key() < sample.step) {
                let (step, values) = row.remove_entry();
                let _ = write!(text, "{step}{empty}");
                cells(&mut text, &values);
            }
            let _ = write!(text, "{},{}", sample.step, window.epoch);
            by_step
                .iter()
                .for_each(|curve| cell(&mut text, *curve, steps.value(*curve, at)));
            let _ = write!(text, ",{}", u8::from(sample.clipped));
            others
                .iter()
                .for_each(|curve| cell(&mut text, *curve, steps.value(*curve, at)));
            cells(&mut text, &rows.remove(&sample.step).unwrap_or_default());
        }
    })
    .map_err(|error| error.to_string())?;
    for (step, values) in rows {
        let _ = write!(text, "{step}{empty}");
        cells(&mut text, &values);
    }
    Ok(text)
}

/// Appends a field of a built-in curve: empty without a value, else with the precision of the journal (f32 or f64).
fn cell(text: &mut String, curve: Curve, value: Option<f64>) {
    text.push(',');
    text.extend(value.map(|value| match curve.info().source {
        Source::Steps(_) | Source::Sampled(_) => (value as f32).to_string(),
        Source::Shared(_) | Source::Epoch(_) | Source::Evaluation(_) => value.to_string(),
    }));
}

/// A CSV field, quoted where RFC 4180 requires it.
fn quoted(field: &str) -> String {
    if field.contains([',', '"']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// The run as JSON: metadata, epochs, evaluations, checkpoints, named curves and outcome.
fn run_json(run: &RunDir) -> Result<Value, String> {
    let (names, rows) = named(run).map_err(|error| error.to_string())?;
    let mut scalars: BTreeMap<String, Vec<(u64, F64)>> = BTreeMap::new();
    for (step, values) in rows {
        for (at, value) in values {
            let name = names.get(at).cloned().unwrap_or_default();
            scalars.entry(name).or_default().push((step, value));
        }
    }
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
        "scalars": scalars,
        "finished": outcome,
    }))
}

/// Traces the network of a checkpoint.
fn torchscript(
    runs: &RunsDir,
    name: Option<&OsStr>,
    sets: &[String],
    out: Option<PathBuf>,
    existing: Existing,
) -> Result<Export, String> {
    let found = locate_checkpoint(runs, name).map_err(|error| error.to_string())?;
    let base = found.run.as_ref().map_or(&found.path, |run| &run.path);
    let path = out.unwrap_or_else(|| base.join("model.pt"));
    check_new(&path, existing).map_err(|error| error.to_string())?;
    // Traced on the CPU, because constants created on a GPU cannot be loaded on a machine without one.
    let sets = [sets, &["train.device=cpu".to_owned()]].concat();
    let restored = restore(&found.path, &sets)?;
    let info = &restored.state.dataset;
    let summary = format!(
        "{}: TorchScript of {}; input: f32 images (N, {}, {}, {}) in [-1, 1]; output: logits (N, {})",
        path.display(),
        found.title(),
        info.channels,
        info.height,
        info.width,
        info.classes.len()
    );
    Ok(Export {
        bytes: restored.trained.torchscript()?,
        file: Some(path),
        summary: Some(summary),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::event::{F32, Record, StepWindow};
    use fs_err as fs;

    #[test]
    fn named_curves_follow_the_built_in_columns() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::at(dir.path());
        let scalars = |global_step, name: &str, value| Event::Scalars {
            global_step,
            values: vec![(name.to_owned(), F64(value))],
        };
        let window = StepWindow {
            epoch: 1,
            global_step: 11,
            lr: F64(0.1),
            rates: vec![F64(0.05), F64(0.1)],
            loss: vec![F32(0.3), F32(f32::NAN)],
            accuracy: vec![F32(0.5); 2],
            grad_norm: vec![F32(2.0); 2],
            clipped: vec![1, 0],
            ..StepWindow::default()
        };
        let events = [
            scalars(5, "val/loss", 0.75),
            Event::Steps(window),
            scalars(10, "a,\"b\"", f64::NAN),
            scalars(10, "bad\n", 1.0),
            scalars(12, "val/loss", 0.5),
        ];
        let lines = (1..).zip(events).map(|(seq, event)| {
            let t_ms = 1;
            serde_json::to_string(&Record {
                seq,
                t_ms,
                run_ms: None,
                event,
            })
            .unwrap()
                + "\n"
        });
        fs::write(run.journal(), lines.collect::<String>()).unwrap();
        let rows = csv(&run).unwrap();
        let known = "global_step,epoch,loss,accuracy,grad_norm,clipped,lr";
        let [head, a, b, c, d] = rows.lines().collect::<Vec<_>>().try_into().unwrap();
        assert!(
            head.starts_with(known) && head.ends_with(",val/loss,\"a,\"\"b\"\"\""),
            "{head}"
        );
        assert!(a.starts_with("5,,") && a.ends_with(",0.75,"), "{a}");
        assert!(
            b.starts_with("10,1,0.3,0.5,2,1,0.05,") && b.ends_with(",,NaN"),
            "{b}"
        );
        assert!(
            c.starts_with("11,1,NaN,0.5,2,0,0.1,") && c.ends_with(",,"),
            "{c}"
        );
        assert!(d.starts_with("12,,") && d.ends_with(",0.5,"), "{d}");
        // A record of an older version has only the rate of the last step.
        let text = fs::read_to_string(run.journal()).unwrap();
        fs::write(run.journal(), text.replace("\"rates\":[0.05,0.1],", "")).unwrap();
        let rows = csv(&run).unwrap();
        let old: Vec<&str> = rows.lines().skip(2).take(2).collect();
        assert!(old[0].starts_with("10,1,0.3,0.5,2,1,,"), "{}", old[0]);
        assert!(old[1].starts_with("11,1,NaN,0.5,2,0,0.1,"), "{}", old[1]);
        let exported = run_json(&run).unwrap();
        assert_eq!(
            exported["scalars"]["val/loss"],
            json!([[5, 0.75], [12, 0.5]])
        );
    }
}
