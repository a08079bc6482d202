//! A checkpoint that cannot be read, or that seems to have another format, does not block those that can.

use std::fs;

use epochtop::checkpoint::{Store, step_name};

use crate::resume::{Place, assert_same_digest, digest, hash, words};

/// Flips the lowest bit of the format number in the manifest of a step.
fn flip_format(store: &Store, step: u64) {
    let file = store.path(step).join("MANIFEST.json");
    let text = fs::read_to_string(&file).unwrap();
    let flipped = text.replacen("\"format\": 2", "\"format\": 3", 1);
    assert_ne!(text, flipped);
    fs::write(file, flipped).unwrap();
}

/// Before: `--resume` was refused, and so were `eval` and `predict` of the run.
#[test]
fn flipped_bit_in_the_format_of_the_newest_checkpoint_costs_only_its_steps() {
    let place = Place::new();
    let undisturbed = place.train("", "undisturbed", &[]);
    assert!(undisturbed.status.success(), "{}", words(&undisturbed));
    place.train_and_kill("kill@step:35", "cut", 2);
    let store = Store::new(&place.run("cut"));
    let newest = *store.steps().last().unwrap();
    flip_format(&store, newest);
    let evaluated = place.program("", &["eval", "cut", "--split", "valid"]);
    assert!(evaluated.status.success(), "{}", words(&evaluated));
    let listed = place.program("", &["checkpoints", "cut"]);
    let text = words(&listed);
    assert_eq!(listed.status.code(), Some(1), "{text}");
    let is_row = |line: &&str| line.starts_with(&step_name(newest));
    let row = text.lines().find(is_row).unwrap();
    assert!(
        row.contains("unknown: MANIFEST.json: format 3") && !row.contains("latest"),
        "{text}"
    );
    let output = place.resume("", "cut");
    let text = words(&output);
    assert!(output.status.success(), "{text}");
    let skipped = format!("checkpoints/{} cannot be read", step_name(newest));
    assert!(text.contains(&skipped), "{text}");
    let (one, other) = (digest(&place.run("undisturbed")), digest(&place.run("cut")));
    assert_same_digest(&one, &other, "flipped");
}

/// Before: an I/O error refused `--resume`.
#[test]
fn io_error_of_the_newest_checkpoint_costs_only_its_steps() {
    let place = Place::new();
    let undisturbed = place.train("", "undisturbed", &[]);
    assert!(undisturbed.status.success(), "{}", words(&undisturbed));
    place.train_and_kill("kill@step:35", "cut", 2);
    let store = Store::new(&place.run("cut"));
    let newest = *store.steps().last().unwrap();
    let fault = format!("EIO@read-{}:1+", step_name(newest));
    let evaluated = place.program(&fault, &["eval", "cut", "--split", "valid"]);
    assert!(evaluated.status.success(), "{}", words(&evaluated));
    let output = place.resume(&fault, "cut");
    let text = words(&output);
    assert!(output.status.success(), "{text}");
    let skipped = format!("checkpoints/{} cannot be read", step_name(newest));
    assert!(
        text.contains(&skipped) && text.contains("os error 5"),
        "{text}"
    );
    let last = |name: &str| {
        hash(
            &Store::new(&place.run(name))
                .path(40)
                .join("model.safetensors"),
        )
    };
    assert_eq!(last("undisturbed"), last("cut"));
}

#[test]
fn run_without_any_readable_checkpoint_is_refused_with_the_reason_of_each() {
    let place = Place::new();
    place.train_and_kill("kill@step:35", "cut", 2);
    let store = Store::new(&place.run("cut"));
    let before = store.steps();
    before.iter().for_each(|step| flip_format(&store, *step));
    let output = place.resume("", "cut");
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for step in &before {
        assert!(text.contains(&step_name(*step)), "{text}");
    }
    assert_eq!(store.steps(), before);
    let evaluated = place.program("", &["eval", "cut"]);
    let text = words(&evaluated);
    assert_eq!(evaluated.status.code(), Some(2), "{text}");
    assert!(text.contains("format 3"), "{text}");
}
