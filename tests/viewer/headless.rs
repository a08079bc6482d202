//! The lines scripts read: they are as the README says, and what it shows there works.

use std::fs;
use std::path::Path;
use std::process::Command;

use crossbeam_channel::unbounded;
use epochtop::event::{
    CheckpointReason, EpochSummary, Event, F64, Outcome, Record, Split, WeightsKind,
};
use epochtop::link::{Feed, Link};
use epochtop::run::epoch_line;
use epochtop::session::headless;

use crate::story::{self, Story};

/// What a run's follower writes.
fn lines(records: &[Record]) -> String {
    let (sender, feed) = unbounded();
    for record in records {
        sender.send(Feed::Live(Box::new(record.clone()))).unwrap();
    }
    drop(sender);
    let mut out = Vec::new();
    headless::follow(&Link::only(feed), &mut out);
    String::from_utf8(out).unwrap()
}

/// A run that was tested, with all that is said of one.
fn told() -> Vec<Record> {
    let mut story = Story::new(12);
    story.start("20260202-0240-cnn");
    (1..=12).for_each(|epoch| story.epoch(epoch));
    story.save(12, CheckpointReason::Requested, true);
    story.evaluate(Split::Test, 11, WeightsKind::Best);
    story.end(Outcome::Completed);
    story.records()
}

/// What the README has between two marks, without the fence around it.
fn readme(mark: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/run-directory.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(&format!("<!-- {mark} -->\n")).unwrap();
    let (block, _) = rest.split_once(&format!("<!-- /{mark} -->")).unwrap();
    let inside = block.lines().filter(|line| !line.starts_with("```"));
    inside.flat_map(|line| [line, "\n"]).collect()
}

/// What a script of the README prints in a directory with this log.
fn run(mark: &str, log: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("log.txt"), log).unwrap();
    let output = Command::new("sh")
        .args(["-c", &readme(mark)])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap()
}

/// A field of the line, as the README's table has it.
#[derive(Debug, PartialEq)]
enum Field<'a> {
    Word(&'a str),
    Place(u32, u32),
    /// With what may have been rounded away.
    Number(f64, f64),
}

/// A number with half of its last digit.
fn number(text: &str) -> Field<'_> {
    let (digits, power) = text.split_once('e').unwrap_or((text, "0"));
    let decimals = digits.split_once('.').map_or(0, |(_, after)| after.len());
    let last = 10_f64.powi(power.parse::<i32>().unwrap() - decimals as i32);
    Field::Number(text.parse().unwrap(), last / 2.0)
}

/// The fields of an epoch's line, told apart by what they look like.
fn fields(line: &str) -> Vec<Field<'_>> {
    let field = |text| match text {
        "NaN" | "inf" | "-inf" => Field::Number(text.parse().unwrap(), 0.0),
        text if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            match text.split_once('/') {
                Some((at, of)) => Field::Place(at.parse().unwrap(), of.parse().unwrap()),
                None => number(text),
            }
        }
        word => Field::Word(word),
    };
    line.split_whitespace().map(field).collect()
}

/// The line of an epoch as the README documents it, made of what the trainer said.
fn documented(row: &EpochSummary, epochs: u32) -> Vec<Field<'static>> {
    use Field::{Number, Place, Word};
    let number = |value: F64| Number(value.0, 0.0);
    let share = |value: F64| Number(value.0 * 100.0, 0.0);
    let mut fields = vec![
        Word("epoch"),
        Place(row.epoch, epochs),
        Word("train"),
        Word("loss"),
        number(row.train_loss),
        Word("acc"),
        share(row.train_accuracy),
        Word("%"),
        Word("valid"),
        Word("nll"),
        number(row.valid_nll),
        Word("acc"),
        share(row.valid_accuracy),
        Word("%"),
        Word("F1"),
        share(row.valid_macro_f1),
        Word("%"),
        Word("norm"),
        number(row.grad_norm_mean),
        Word("clipped"),
        share(row.clipped_fraction),
        Word("%"),
        Word("lr"),
        number(row.lr),
        number(row.images_per_second),
        Word("img/s"),
        number(row.seconds),
        Word("s"),
    ];
    fields.extend(row.best.then_some(Word("best")));
    fields
}

/// Alike but for what is rounded away.
fn alike(found: &[Field<'_>], expected: &[Field<'_>]) -> bool {
    let near = |pair: (&Field<'_>, &Field<'_>)| match pair {
        (Field::Number(a, slack), Field::Number(b, _)) => {
            a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= slack * 1.001
        }
        (a, b) => a == b,
    };
    found.len() == expected.len() && found.iter().zip(expected).all(near)
}

fn epochs(records: &[Record]) -> Vec<EpochSummary> {
    let finished = records.iter().filter_map(|record| match &record.event {
        Event::EpochFinished(row) => Some(row.clone()),
        _ => None,
    });
    finished.collect()
}

#[test]
fn the_line_of_an_epoch_has_the_documented_fields() {
    let records = told();
    let rows = epochs(&records);
    let text = lines(&records);
    let shown: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("epoch "))
        .collect();
    assert_eq!(shown.len(), rows.len());
    for (line, row) in shown.iter().zip(&rows) {
        let (found, expected) = (fields(line), documented(row, 12));
        assert!(alike(&found, &expected), "{line}\n{found:?}\n{expected:?}");
    }
    let example = readme("line");
    let example = example.trim_end();
    assert!(shown.contains(&example), "{example}\n{}", shown.join("\n"));
}

/// The first column of the table names fields as awk counts them.
#[test]
fn the_table_counts_fields_as_awk_does() {
    use Field::Word;
    let row = EpochSummary {
        best: true,
        ..EpochSummary::default()
    };
    let fields = documented(&row, 1);
    for (at, before) in [
        (5, "loss"),
        (7, "acc"),
        (11, "nll"),
        (13, "acc"),
        (16, "F1"),
        (19, "norm"),
    ]
    .into_iter()
    .chain([(21, "clipped"), (24, "lr")])
    {
        assert_eq!(fields[at - 2], Word(before));
    }
    for (at, after) in [(25, "img/s"), (27, "s")] {
        assert_eq!(fields[at], Word(after));
    }
    assert_eq!((&fields[28], fields.len()), (&Word("best"), 29));
}

#[test]
fn what_is_no_number_and_what_is_large_is_still_in_its_field() {
    let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 123_456.7];
    for value in values.map(F64) {
        let row = EpochSummary {
            epoch: 7,
            train_loss: value,
            valid_nll: value,
            grad_norm_mean: value,
            lr: value,
            images_per_second: value,
            seconds: value,
            ..EpochSummary::default()
        };
        let line = epoch_line(&row, 1000);
        assert!(alike(&fields(&line), &documented(&row, 1000)), "{line}");
        assert_eq!(run("patterns", &line).trim_end(), line);
    }
}

#[test]
fn the_patterns_of_the_readme_match_the_lines_they_are_for_and_no_others() {
    let text = lines(&told());
    let matched = run("patterns", &text);
    let of = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    let kinds = [
        "epoch ",
        "test (",
        "checkpoint ",
        "completed after ",
        "best epoch ",
    ];
    assert!(
        of("epoch ") == 12 && kinds.iter().all(|kind| of(kind) > 0),
        "{text}"
    );
    let expected: Vec<&str> = text
        .lines()
        .filter(|line| kinds.iter().any(|kind| line.starts_with(kind)))
        .collect();
    assert_eq!(matched.lines().collect::<Vec<_>>(), expected, "{text}");
    // Those for people are there, and are left out.
    assert!(text.lines().count() > expected.len());
    let failed = lines(&story::failed());
    let ended = run("patterns", &failed);
    assert!(
        ended.contains("\nfailed after 1 epochs, 305 steps, "),
        "{failed}"
    );
}

#[test]
fn the_one_liner_of_the_readme_prints_what_it_says() {
    let records = told();
    let expected: Vec<String> = epochs(&records)
        .iter()
        .filter(|row| row.best)
        .map(|row| {
            let accuracy = row.valid_accuracy.0 * 100.0;
            format!("{}/12 {accuracy:.2} {:.1}\n", row.epoch, row.seconds.0)
        })
        .collect();
    let expected = expected.concat();
    assert!(expected.lines().count() > 2);
    assert_eq!(run("awk", &lines(&records)), expected);
}
