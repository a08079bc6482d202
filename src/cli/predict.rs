//! `predict`: classifies image files, with calibrated probabilities.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::args::PredictArgs;
use super::code;
use super::print::{print_error, print_json, print_line};
use super::restore::{Restored, restore};
use crate::event::DatasetInfo;
use crate::files::any_path;
use crate::images::{Images, image_files, parallel};
use crate::inference::{InputFormat, InputImage, read_image};
use crate::metrics::{argmax, softmax};
use crate::report::class_name;
use crate::session::locate_checkpoint;
use crate::threads;
use crate::tui::art;

/// Width of a drawn image, in cells.
const COLUMNS: usize = 28;
/// Width of the bar of probability 1, in cells.
const BAR: usize = 24;
/// Images of a directory that are classified together.
const BATCH: usize = 256;

/// An image and its predictions: class index and probability, most probable first.
struct Prediction {
    image: InputImage,
    top: Vec<(usize, f64)>,
}

/// Classifies each file. An unreadable file does not affect the others, but the exit code is 2.
pub(super) fn run(args: PredictArgs) -> u8 {
    let PredictArgs {
        files,
        run,
        runs,
        top,
        no_invert,
        json,
        light,
        sets,
    } = args;
    let found = super::runs_dir(runs, &sets).and_then(|runs| {
        locate_checkpoint(&runs, run.as_deref()).map_err(|error| error.to_string())
    });
    let restored = found.and_then(|found| Ok((restore(&found.path, &sets)?, found.title())));
    let (restored, title) = match restored {
        Ok(restored) => restored,
        Err(error) => {
            print_error(&format!("error: {error}"));
            return code::USAGE;
        }
    };
    let is_table = !json && files.iter().any(|file| file.is_dir());
    let files = match expanded(files) {
        Ok(files) => files,
        Err(error) => {
            print_error(&format!("error: {error}"));
            return code::USAGE;
        }
    };
    if is_table {
        print_error(&format!("{title} · {}", calibration(&restored)));
        return match print_table(&restored, &files, !no_invert) {
            Ok(bad) => end(bad, files.len()),
            Err(error) => {
                print_error(&format!("error: {error}"));
                code::FAILED
            }
        };
    }
    if !json {
        print_line(&format!("{title} · {}\n", calibration(&restored)));
    }
    let mut bad = 0;
    let mut all = Vec::new();
    for file in &files {
        match predict(&restored, file, !no_invert, top.into()) {
            Ok(prediction) if json => all.push(as_json(&restored, &title, file, &prediction)),
            Ok(prediction) => {
                print_line(&shown(&restored.state.dataset, file, &prediction, !light));
                print_line("");
            }
            Err(error) => {
                bad += 1;
                print_error(&format!("error: {error}"));
                all.push(json!({ "file": any_path::json(file), "error": error }));
            }
        }
    }
    if json {
        let printed = print_json(&Value::Array(all));
        if !printed {
            return code::FAILED;
        }
    }
    end(bad, files.len())
}

/// The exit code after `bad` of `all` files could not be classified, with a summary.
fn end(bad: usize, all: usize) -> u8 {
    if bad == 0 {
        return code::COMPLETED;
    }
    if all > 1 {
        print_error(&format!("{bad} of {all} files could not be read"));
    }
    code::USAGE
}

/// The files with each directory replaced by the images in it.
fn expanded(paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = image_files(&path).map_err(|error| error.0)?;
            if found.is_empty() {
                return Err(format!(
                    "{}: no image files in this directory",
                    path.display()
                ));
            }
            files.extend(found);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// Prints a CSV with a line per image: file, predicted class, its probability, and the probabilities of all classes. Returns
/// the number of images that could not be classified.
fn print_table(restored: &Restored, files: &[PathBuf], invert: bool) -> Result<usize, String> {
    let info = &restored.state.dataset;
    let mut out = csv::Writer::from_writer(io::stdout().lock());
    let fixed = ["file", "predicted", "confidence"]
        .map(str::to_owned)
        .into_iter();
    let failed = |error: csv::Error| format!("the table cannot be written: {error}");
    out.write_record(fixed.chain(info.classes.iter().cloned()))
        .map_err(failed)?;
    let mut bad = 0;
    let complain = |error: &str| print_error(&format!("error: {error}"));
    for batch in files.chunks(BATCH) {
        let images = read_images(restored, batch, invert);
        let good = images.iter().flatten();
        let pixels: Vec<u8> = good
            .clone()
            .flat_map(|image| &image.pixels)
            .copied()
            .collect();
        let count = good.count();
        let batch_images = Images::in_memory(pixels, &vec![0; count]);
        let logits = restored
            .trained
            .logits(&batch_images, info, BATCH as i64, &mut |_, _| ())?;
        let mut rows = logits.chunks_exact(info.classes.len().max(1));
        for (file, image) in batch.iter().zip(&images) {
            let row = match image {
                Ok(_) => rows.next().unwrap_or_default(),
                Err(error) => {
                    complain(error);
                    bad += 1;
                    continue;
                }
            };
            if row.iter().any(|logit| !logit.is_finite()) {
                complain(&format!("{}: the logits are not finite", file.display()));
                bad += 1;
                continue;
            }
            let shares = softmax(row, temperature(restored));
            let first = argmax(row);
            let share = |share: f64| format!("{share:.6}");
            let start = [
                file.display().to_string(),
                class_name(&info.classes, first),
                share(shares.get(first).copied().unwrap_or(f64::NAN)),
            ];
            out.write_record(start.into_iter().chain(shares.iter().copied().map(share)))
                .map_err(failed)?;
        }
        out.flush()
            .map_err(|error| format!("the table cannot be written: {error}"))?;
    }
    Ok(bad)
}

/// Reads and prepares images with all cores.
fn read_images(
    restored: &Restored,
    files: &[PathBuf],
    invert: bool,
) -> Vec<Result<InputImage, String>> {
    let expected = input_format(&restored.state.dataset);
    let read = |index: usize| {
        let file = files.get(index).map(PathBuf::as_path);
        read_image(file.unwrap_or(Path::new("")), expected, invert)
    };
    parallel(threads::cores(), files.len(), read)
}

fn input_format(info: &DatasetInfo) -> InputFormat {
    InputFormat {
        channels: info.channels,
        height: info.height,
        width: info.width,
        background: info.background,
        resize: info.resize,
        packed: info.packed,
    }
}

/// The calibration of the probabilities, for the title line.
fn calibration(restored: &Restored) -> String {
    match restored.state.temperature {
        Some((value, step)) if step == restored.state.global_step => {
            format!("calibrated, temperature {value:.3}")
        }
        Some((value, step)) => format!("temperature {value:.3}, fitted at step {step}"),
        None => "not calibrated: before this checkpoint no temperature was fitted on validation, or its fit did not \
                 converge"
            .to_owned(),
    }
}

fn temperature(restored: &Restored) -> f64 {
    restored.state.temperature.map_or(1.0, |(value, _)| value)
}

fn predict(
    restored: &Restored,
    file: &Path,
    invert: bool,
    top: usize,
) -> Result<Prediction, String> {
    let info = &restored.state.dataset;
    let image = read_image(file, input_format(info), invert)?;
    let images = Images::in_memory(image.pixels.clone(), &[0]);
    let logits = restored.trained.logits(&images, info, 1, &mut |_, _| ())?;
    if logits.iter().any(|logit| !logit.is_finite()) {
        return Err(format!("{}: the logits are not finite", file.display()));
    }
    let shares = softmax(&logits, temperature(restored));
    let mut ranked: Vec<(usize, f64)> = shares.into_iter().enumerate().collect();
    let first = argmax(&logits);
    ranked.sort_by(|a, b| {
        (b.0 == first)
            .cmp(&(a.0 == first))
            .then(b.1.total_cmp(&a.1))
    });
    ranked.truncate(top.max(1));
    Ok(Prediction { image, top: ranked })
}

/// The image as the network receives it, with its predictions next to it.
fn shown(info: &DatasetInfo, file: &Path, prediction: &Prediction, dark: bool) -> String {
    let Prediction { image, top } = prediction;
    let (height, width) = (info.height as usize, info.width as usize);
    let columns = COLUMNS.min(width * 2).max(1);
    let rows = art::rows_for(height, width, columns);
    let drawn = art::Cells::new(&image.pixels, height, width, columns, rows).lines(dark);
    let name = |class: usize| class_name(&info.classes, class);
    let longest = top
        .iter()
        .map(|(class, _)| name(*class).width())
        .max()
        .unwrap_or(0);
    let words: Vec<String> = top
        .iter()
        .map(|(class, share)| {
            let filled = ((share * BAR as f64).round() as usize).min(BAR);
            let bar = "━".repeat(filled);
            let name = name(*class);
            let pad = " ".repeat(longest.saturating_sub(name.width()));
            format!("{name}{pad}  {:>5.1} %  {bar}", share * 100.0)
        })
        .collect();
    let (from_width, from_height) = image.size;
    let inverted = if image.inverted { ", inverted" } else { "" };
    let empty = if image.empty { ", blank image" } else { "" };
    let mut lines = vec![format!(
        "{}  {from_width}×{from_height}{inverted}{empty}",
        file.display()
    )];
    let lead = rows.saturating_sub(words.len()) / 2;
    for row in 0..rows.max(words.len()) {
        let image = drawn.get(row).map_or("", String::as_str);
        let words = row
            .checked_sub(lead)
            .and_then(|row| words.get(row))
            .map_or("", String::as_str);
        lines.push(
            format!("  {image:<columns$}   {words}")
                .trim_end()
                .to_owned(),
        );
    }
    lines.join("\n")
}

fn as_json(restored: &Restored, title: &str, file: &Path, prediction: &Prediction) -> Value {
    let names = &restored.state.dataset.classes;
    let predictions = prediction.top.iter().map(|(class, share)| {
        json!({ "label": class, "class": names.get(*class), "probability": share })
    });
    json!({
        "file": any_path::json(file),
        "width": prediction.image.size.0,
        "height": prediction.image.size.1,
        "checkpoint": title,
        "inverted": prediction.image.inverted,
        "empty": prediction.image.empty,
        "temperature": temperature(restored),
        "predictions": predictions.collect::<Vec<Value>>(),
    })
}
