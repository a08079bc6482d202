//! `predict`: what is in some images, with probabilities that mean what they say.

use std::path::Path;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::args::PredictArgs;
use super::print::{complain, say, say_json};
use super::restore::{Restored, restore};
use super::{code, screen_sets};
use crate::data::Images;
use crate::event::DatasetInfo;
use crate::inference::{Expected, InputImage, read_image};
use crate::metrics::{argmax, softmax};
use crate::report::class_name;
use crate::session::locate_checkpoint;
use crate::tui::art;

/// Columns of a image and of a bar.
const COLUMNS: usize = 28;
const BAR: usize = 24;

/// A image and what the network takes it for: class and probability, best first.
struct Answer {
    image: InputImage,
    top: Vec<(usize, f64)>,
}

/// Names what is in each file. One bad file spoils no other; the exit code tells of it.
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
    let settings = [sets, screen_sets(runs, None)].concat();
    let found = super::runs_dir(&settings).and_then(|runs| {
        locate_checkpoint(Path::new(&runs), run.as_deref()).map_err(|error| error.to_string())
    });
    let restored = found.and_then(|found| Ok((restore(&found.path, &settings)?, found.title())));
    let (restored, title) = match restored {
        Ok(restored) => restored,
        Err(error) => {
            complain(&format!("error: {error}"));
            return code::USAGE;
        }
    };
    if !json {
        say(&format!("{title} · {}\n", calibration(&restored)));
    }
    let mut bad = 0;
    let mut all = Vec::new();
    for file in &files {
        match answer(&restored, file, !no_invert, top.into()) {
            Ok(answer) if json => all.push(as_json(&restored, &title, file, &answer)),
            Ok(answer) => {
                say(&shown(&restored.state.dataset, file, &answer, !light));
                say("");
            }
            Err(error) => {
                bad += 1;
                complain(&format!("error: {error}"));
                all.push(json!({ "file": file.to_string_lossy(), "error": error }));
            }
        }
    }
    if json {
        let told = say_json(&Value::Array(all));
        if !told {
            return code::FAILED;
        }
    }
    if bad == 0 {
        return code::COMPLETED;
    }
    if files.len() > 1 {
        complain(&format!("{bad} of {} files could not be used", files.len()));
    }
    code::USAGE
}

/// What the probabilities are worth.
fn calibration(restored: &Restored) -> String {
    match restored.state.temperature {
        Some((value, step)) if step == restored.state.global_step => {
            format!("calibrated, temperature {value:.3}")
        }
        Some((value, step)) => format!("temperature {value:.3}, fitted at step {step}"),
        None => "not calibrated: no temperature was found on validation before this checkpoint"
            .to_owned(),
    }
}

fn temperature(restored: &Restored) -> f64 {
    restored.state.temperature.map_or(1.0, |(value, _)| value)
}

fn answer(restored: &Restored, file: &Path, invert: bool, top: usize) -> Result<Answer, String> {
    let info = &restored.state.dataset;
    let expected = Expected {
        channels: info.channels,
        height: info.height,
        width: info.width,
        background: info.background,
    };
    let image = read_image(file, expected, invert)?;
    let images = Images {
        pixels: image.pixels.clone(),
        labels: vec![0],
    };
    let logits = restored.trained.logits(&images, info, 1, &mut |_, _| ())?;
    if logits.iter().any(|logit| !logit.is_finite()) {
        return Err(format!(
            "{}: the network's answer is no number",
            file.display()
        ));
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
    Ok(Answer { image, top: ranked })
}

/// The image as the network sees it, and beside it what it is taken for.
fn shown(info: &DatasetInfo, file: &Path, answer: &Answer, dark: bool) -> String {
    let Answer { image, top } = answer;
    let (height, width) = (info.height as usize, info.width as usize);
    let columns = COLUMNS.min(width * 2).max(1);
    let rows = art::rows_for(height, width, columns);
    let drawn = art::render(&image.grey, height, width, columns, rows, dark);
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
    let empty = if image.empty {
        ", nothing to be seen on it"
    } else {
        ""
    };
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

fn as_json(restored: &Restored, title: &str, file: &Path, answer: &Answer) -> Value {
    let names = &restored.state.dataset.classes;
    let predictions = answer.top.iter().map(|(class, share)| {
        json!({ "label": class, "class": names.get(*class), "probability": share })
    });
    json!({
        "file": file.to_string_lossy(),
        "width": answer.image.size.0,
        "height": answer.image.size.1,
        "checkpoint": title,
        "inverted": answer.image.inverted,
        "empty": answer.image.empty,
        "temperature": temperature(restored),
        "predictions": predictions.collect::<Vec<Value>>(),
    })
}
