//! `data check`, `data show` and `summary`: the data set and the network that a training run would use.

use std::fmt::Write;

use super::code;
use super::print::{print_error, print_line};
use crate::config::Config;
use crate::data::{self, Dataset, FILES, known_md5, locate, md5_unpacked, search_path};
use crate::event::DatasetInfo;
use crate::model;
use crate::tui::art;

/// Prints files, checksums and class counts. Fails if the files differ from the published ones.
pub(super) fn check(config: &Config) -> u8 {
    let found = match locate(&config.data) {
        Ok(found) => found,
        Err(error) => return fail(&error.0),
    };
    print_line(&format!("{} in {}", config.data.name, found.dir.display()));
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
        print_line(&format!(
            "  {name:<24} {bytes:>12} bytes  unpacked md5 {sum}  {verdict}"
        ));
    }
    match data::load(&config.data, config.train.seed) {
        Ok(dataset) => {
            print_line(&counts(&dataset));
            for warning in &dataset.warnings {
                print_line(&format!("warning: {warning}"));
            }
        }
        Err(error) => return fail(&error.0),
    }
    if differs {
        print_error(
            "error: files differ from the published ones; delete them and run `make setup` to download them again",
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
            writeln!(out, "\nbalanced: {most} per class")
        }
        (Some(least), Some(most)) => writeln!(
            out,
            "\nimbalanced: {least} to {most} per class; prefer macro-F1 to accuracy"
        ),
        _ => Ok(()),
    };
    out
}

/// Prints `count` samples of each class as ASCII art, side by side.
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
        print_line(&format!("{label} {name}"));
        let lines = images.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..lines {
            let row: Vec<&str> = images
                .iter()
                .filter_map(|p| p.get(line).map(String::as_str))
                .collect();
            print_line(row.join("  ").trim_end());
        }
    }
    code::COMPLETED
}

/// Prints the layers of the network as a table. Without the data set, the sizes of Fashion-MNIST are used, with a note.
pub(super) fn summary(config: &Config) -> u8 {
    let info = match data::load(&config.data, config.train.seed) {
        Ok(dataset) => dataset.info,
        Err(error) => {
            let places = search_path(&config.data).len();
            print_error(&format!(
                "note: data set not read ({} locations searched); using the sizes of Fashion-MNIST: {}",
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
            print_line(&text);
            code::COMPLETED
        }
        Err(error) => fail(&error),
    }
}

fn fail(message: &str) -> u8 {
    print_error(&format!("error: {message}"));
    code::USAGE
}
