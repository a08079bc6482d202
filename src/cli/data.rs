//! `data check`, `data show` and `summary`: what the trainer would learn from, and with.

use std::fmt::Write;

use super::code;
use super::print::{complain, say};
use crate::config::Config;
use crate::data::{self, Dataset, FILES, known_md5, locate, md5_unpacked, search_path};
use crate::event::DatasetInfo;
use crate::model;
use crate::tui::art;

/// Files, checksums and class counts.
pub(super) fn check(config: &Config) -> u8 {
    let found = match locate(&config.data) {
        Ok(found) => found,
        Err(error) => return fail(&error.0),
    };
    say(&format!("{} in {}", config.data.name, found.dir.display()));
    let mut differs = false;
    for (index, (path, name)) in found.files().iter().zip(FILES).enumerate() {
        let bytes = path.metadata().map_or(0, |meta| meta.len());
        let sum = match md5_unpacked(path) {
            Ok(sum) => sum,
            Err(error) => return fail(&error.0),
        };
        let verdict = match known_md5(&config.data.name, index) {
            Some(known) if known == sum => "as published".to_owned(),
            Some(known) => {
                differs = true;
                format!("DIFFERS from the published {known}")
            }
            None => String::new(),
        };
        say(&format!(
            "  {name:<24} {bytes:>12} bytes  unpacked md5 {sum}  {verdict}"
        ));
    }
    match data::load(&config.data, config.train.seed) {
        Ok(dataset) => say(&counts(&dataset)),
        Err(error) => return fail(&error.0),
    }
    if differs {
        complain(
            "error: these are not the published files; remove them and run `make setup` to fetch them again",
        );
        return code::FAILED;
    }
    code::COMPLETED
}

fn counts(dataset: &Dataset) -> String {
    let info = &dataset.info;
    let k = info.classes.len();
    let mut out = format!(
        "\n{} classes, images {}×{}×{}, fingerprint {}\n\n",
        k,
        info.channels,
        info.height,
        info.width,
        dataset.fingerprint.get(..16).unwrap_or_default()
    );
    let width = info
        .classes
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .max(5);
    let _ = writeln!(
        out,
        "{:<width$}  {:>12} {:>8} {:>8} {:>8}",
        "class", "before split", "train", "valid", "test"
    );
    let columns = [
        dataset.counts_before.clone(),
        dataset.train.class_counts(k),
        dataset.valid.class_counts(k),
        dataset.test.class_counts(k),
    ];
    let row = |out: &mut String, name: &str, [before, train, valid, test]: [u64; 4]| {
        let _ = writeln!(
            out,
            "{name:<width$}  {before:>12} {train:>8} {valid:>8} {test:>8}"
        );
    };
    for (label, name) in info.classes.iter().enumerate() {
        row(
            &mut out,
            name,
            columns
                .each_ref()
                .map(|column| column.get(label).copied().unwrap_or(0)),
        );
    }
    row(
        &mut out,
        "all",
        columns.each_ref().map(|column| column.iter().sum()),
    );
    let (least, most) = (
        dataset.counts_before.iter().min(),
        dataset.counts_before.iter().max(),
    );
    let _ = match (least, most) {
        (Some(least), Some(most)) if least == most => {
            writeln!(out, "\nbalanced: {most} of each class")
        }
        (Some(least), Some(most)) => writeln!(
            out,
            "\nimbalanced: {least} to {most} of a class; trust macro-F1 above accuracy"
        ),
        _ => Ok(()),
    };
    out
}

/// Samples of each class as ASCII art, beside each other.
pub(super) fn show(config: &Config, count: usize, light: bool) -> u8 {
    let dataset = match data::load(&config.data, config.train.seed) {
        Ok(dataset) => dataset,
        Err(error) => return fail(&error.0),
    };
    let info = &dataset.info;
    let size = dataset.image_size();
    let (height, width) = (info.height as usize, info.width as usize);
    for (label, name) in info.classes.iter().enumerate() {
        let members = dataset
            .train
            .labels
            .iter()
            .enumerate()
            .filter(|(_, l)| usize::from(**l) == label);
        let images: Vec<Vec<String>> = members
            .take(count)
            .map(|(index, _)| {
                let grey = dataset
                    .train
                    .image(index, size)
                    .get(..height * width)
                    .unwrap_or_default();
                let columns = width.min(28);
                art::render(
                    grey,
                    height,
                    width,
                    columns,
                    art::rows_for(height, width, columns),
                    !light,
                )
            })
            .collect();
        say(&format!("{label} {name}"));
        let lines = images.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..lines {
            let row: Vec<&str> = images
                .iter()
                .filter_map(|p| p.get(line).map(String::as_str))
                .collect();
            say(row.join("  ").trim_end());
        }
    }
    code::COMPLETED
}

/// The network as a table. Without the data set its sizes are those of Fashion-MNIST, and that is said.
pub(super) fn summary(config: &Config) -> u8 {
    let info = match data::load(&config.data, config.train.seed) {
        Ok(dataset) => dataset.info,
        Err(error) => {
            let places = search_path(&config.data).len();
            complain(&format!(
                "note: the data was not read ({} places looked into), so sizes are those of Fashion-MNIST: {}",
                places,
                error.0.lines().next().unwrap_or_default()
            ));
            DatasetInfo {
                height: 28,
                width: 28,
                channels: 1,
                classes: vec![String::new(); 10],
                ..DatasetInfo::default()
            }
        }
    };
    match model::summary(&config.model, &info) {
        Ok(text) => {
            say(&text);
            code::COMPLETED
        }
        Err(error) => fail(&error),
    }
}

fn fail(message: &str) -> u8 {
    complain(&format!("error: {message}"));
    code::USAGE
}
