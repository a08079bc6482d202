//! `data check`, `data show` and `data pack`: the data that a training run would use.

use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use super::args::SampleArgs;
use super::code;
use super::duplicates;
use super::load::{PackingLine, load};
use super::print::{print_error, print_line};
use crate::config::Config;
use crate::images::{self, DataError, Dataset, FILES, Located, known_md5, locate, md5_unpacked};
use crate::random::augment_words;
use crate::tui::art;

/// Prints format, checksums, class counts and everything that was noticed. Fails if files differ from the published ones.
pub(super) fn check(config: &Config) -> u8 {
    match print_check(config) {
        Ok(code) => code,
        Err(error) => fail(&error.0),
    }
}

fn print_check(config: &Config) -> Result<u8, DataError> {
    let located = locate(&config.data)?;
    print_line(&title(&located, config));
    let as_published = print_checksums(&located.dir, &located.name(&config.data))?;
    let dataset = load(config)?;
    print_line(&counts(&dataset));
    if let Some(pack) = &dataset.pack {
        print_line(&format!(
            "note: the packed images are in {}",
            pack.display()
        ));
    }
    print_remarks(&dataset);
    for (name, why) in &dataset.skipped {
        print_line(&format!("left out: {name}: {why}"));
    }
    duplicates::print(
        &dataset,
        &config.data,
        &images::list(&located, &config.data)?,
    )?;
    if as_published {
        return Ok(code::COMPLETED);
    }
    print_error(
        "error: files differ from the published ones; delete them and run `make setup` to download them again",
    );
    Ok(code::FAILED)
}

/// Name, directory and format of the data.
fn title(located: &Located, config: &Config) -> String {
    format!(
        "{} in {}\n  {}: {}",
        located.name(&config.data),
        located.dir.display(),
        located.source.title,
        located.reason
    )
}

/// Notes and warnings, a line each.
fn print_remarks(dataset: &Dataset) {
    for note in &dataset.notes {
        print_line(&format!("note: {note}"));
    }
    for warning in &dataset.warnings {
        print_line(&format!("warning: {warning}"));
    }
}

/// Prints size and MD5 of the four IDX files, if the directory has them. Returns whether none differs from a published one.
fn print_checksums(dir: &Path, name: &str) -> Result<bool, DataError> {
    let mut as_published = true;
    for (index, file) in FILES.into_iter().enumerate() {
        let Some(path) = images::idx::find(dir, file) else {
            continue;
        };
        let bytes = path.metadata().map_or(0, |meta| meta.len());
        let sum = md5_unpacked(&path)?;
        let verdict = match known_md5(name, index) {
            Some(known) if known == sum => "as published".to_owned(),
            Some(known) => {
                as_published = false;
                format!("DIFFERS from the published {known}")
            }
            None => String::new(),
        };
        print_line(&format!(
            "  {file:<24} {bytes:>12} bytes  unpacked md5 {sum}  {verdict}"
        ));
    }
    Ok(as_published)
}

/// Decodes and resizes the images ahead of a run.
pub(super) fn pack(config: &Config) -> u8 {
    match print_pack(config) {
        Ok(()) => code::COMPLETED,
        Err(error) => fail(&error.0),
    }
}

fn print_pack(config: &Config) -> Result<(), DataError> {
    let located = locate(&config.data)?;
    print_line(&title(&located, config));
    let began = Instant::now();
    let packed = {
        let mut line = PackingLine::new();
        images::pack(&located, &config.data, &mut |progress| line.show(progress))?
    };
    let (listing, pack) = packed;
    let info = pack.info();
    let bytes = pack.path().metadata().map_or(0, |meta| meta.len());
    print_line(&format!(
        "packed {} images of {}×{}×{} in {:.1} s: {:.1} MB in {}",
        pack.len(),
        info.channels,
        info.height,
        info.width,
        began.elapsed().as_secs_f64(),
        bytes as f64 / 1e6,
        pack.path().display()
    ));
    for note in listing.notes.iter().chain(&info.notes) {
        print_line(&format!("note: {note}"));
    }
    for warning in &listing.warnings {
        print_line(&format!("warning: {warning}"));
    }
    for (name, why) in &info.skipped {
        print_line(&format!("left out: {name}: {why}"));
    }
    Ok(())
}

fn counts(dataset: &Dataset) -> String {
    let info = &dataset.info;
    let k = info.classes.len();
    let mut out = format!(
        "\n{} classes, images {}×{}×{} (channels × height × width), fingerprint {}\n\n",
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

/// Prints samples of each class as ASCII art, side by side, as the network receives them.
pub(super) fn show(config: &Config, args: &SampleArgs) -> u8 {
    match print_samples(config, args) {
        Ok(()) => code::COMPLETED,
        Err(error) => fail(&error.0),
    }
}

fn print_samples(config: &Config, args: &SampleArgs) -> Result<(), DataError> {
    let dataset = load(config)?;
    let info = &dataset.info;
    let (height, width) = (info.height as usize, info.width as usize);
    let columns = width.min(28);
    let rows = art::rows_for(height, width, columns);
    let count = usize::from(args.count);
    for (label, name) in info.classes.iter().enumerate() {
        let images = if args.augmented {
            augmented(config, &dataset, label, count)?
        } else {
            let members = members(&dataset, label).take(count);
            let image = |index| Ok(dataset.train.image(index)?.into_owned());
            members.map(image).collect::<Result<_, DataError>>()?
        };
        let draw = |image: &Vec<u8>| {
            art::Cells::new(image, height, width, columns, rows).lines(!args.light)
        };
        let drawn: Vec<Vec<String>> = images.iter().map(draw).collect();
        print_line(&format!("{label} {name}"));
        let lines = drawn.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..lines {
            let row: Vec<&str> = drawn
                .iter()
                .filter_map(|p| p.get(line).map(String::as_str))
                .collect();
            print_line(row.join("  ").trim_end());
        }
    }
    print_remarks(&dataset);
    Ok(())
}

/// The training images of a class.
fn members(dataset: &Dataset, label: usize) -> impl Iterator<Item = usize> {
    let labels = dataset.train.labels.iter().enumerate();
    let members = labels.filter(move |(_, l)| usize::from(**l) == label);
    members.map(|(index, _)| index)
}

/// The first training image of a class, unchanged and then augmented with the parameters of the first steps. It is mixed with
/// the first image of the next class.
fn augmented(
    config: &Config,
    dataset: &Dataset,
    label: usize,
    count: usize,
) -> Result<Vec<Vec<u8>>, DataError> {
    let Some(first) = members(dataset, label).next() else {
        return Ok(Vec::new());
    };
    let next = (label + 1) % dataset.info.classes.len().max(1);
    let other = members(dataset, next).next().unwrap_or(first);
    let augment = dataset.augment(&config.data.augment);
    let mut images = vec![dataset.train.image(first)?.into_owned()];
    let stored = (dataset.train.stored(first)?, dataset.train.stored(other)?);
    for step in 0..count as u64 {
        let words = augment_words(config.train.seed, 0, step);
        let image = augment.preview(&words, 0, &stored.0);
        let other = augment.preview(&words, 1, &stored.1);
        images.push(augment.mixed_preview(&words, image, &other));
    }
    Ok(images)
}

fn fail(message: &str) -> u8 {
    print_error(&format!("error: {message}"));
    code::USAGE
}
