//! `eval` and `predict` with the real binary: their output, the files they write, and the arguments they refuse.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use image::{GrayImage, ImageFormat};
use serde_json::Value;

use crate::fixture::{SHAPE, idx, shapes};

/// Two small runs on the same images: `one`, and `two` with a much lower learning rate.
struct Runs {
    data: tempfile::TempDir,
    runs: tempfile::TempDir,
}

/// The runs, trained once for all tests; tests that change files use a [`Runs::copy`].
fn runs() -> &'static Runs {
    static RUNS: OnceLock<Runs> = OnceLock::new();
    RUNS.get_or_init(|| {
        let all = Runs {
            data: tempfile::tempdir().unwrap(),
            runs: tempfile::tempdir().unwrap(),
        };
        shapes(all.data.path());
        for (name, more) in [("one", "optim.lr=0.01"), ("two", "optim.lr=0.0001")] {
            let dir = format!("data.dir={}", all.data.path().display());
            let mut args = vec![
                "train",
                "--headless",
                "--name",
                name,
                "--set",
                &dir,
                "--set",
                more,
            ];
            let sets = [
                "data.name=shapes",
                "data.valid=100",
                "model.channels=[8,16]",
                "train.batch_size=32",
                "train.epochs=2",
                "train.threads=1",
                "eval.bootstrap=200",
                "optim.name=adamw",
            ];
            sets.iter().for_each(|set| args.extend(["--set", set]));
            let output = all.call(&args);
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        all
    })
}

impl Runs {
    fn call(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_epochtop"))
            .args(args)
            .args(["--runs", self.runs.path().to_str().unwrap()])
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap()
    }

    fn path(&self, below: &str) -> PathBuf {
        self.runs.path().join(below)
    }

    /// A copy of the runs and data in new directories.
    fn copy(&self) -> Runs {
        let copy = Runs {
            data: tempfile::tempdir().unwrap(),
            runs: tempfile::tempdir().unwrap(),
        };
        copy_all(self.data.path(), copy.data.path());
        copy_all(self.runs.path(), copy.runs.path());
        copy
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn records(runs: &Runs, run: &str) -> Vec<Value> {
    let journal = fs::read_to_string(runs.path(run).join("events.jsonl")).unwrap();
    journal
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn refused(output: &Output, words: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    words
        .iter()
        .for_each(|word| assert!(stderr.contains(word), "{word:?} is not in:\n{stderr}"));
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn reevaluation_reproduces_the_results_and_is_logged() {
    let runs = runs().copy();
    let eval = runs.path("one/eval.json");
    let (by_trainer, rows) = (
        json(&eval),
        fs::read(runs.path("one/predictions.csv")).unwrap(),
    );
    let before = records(&runs, "one");
    fs::remove_file(&eval).unwrap();
    let output = runs.call(&["eval", "one"]);
    let stdout = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{stdout}{}",
        text(&output.stderr)
    );
    for words in ["accuracy", "AUC", "95 % intervals", "upright", "written: "] {
        assert!(stdout.contains(words), "{words} in\n{stdout}");
    }
    assert_eq!(json(&eval), by_trainer);
    assert!(fs::read(runs.path("one/predictions.csv")).unwrap() == rows);
    let after = records(&runs, "one");
    assert_eq!(after.len(), before.len() + 1);
    let last = after.last().unwrap();
    assert_eq!(
        (&last["event"], &last["split"]),
        (&"eval_finished".into(), &"test".into())
    );
    assert_eq!(last["seq"], (before.len() + 1) as u64);
    // The state of the run includes the evaluation, and its clock does not advance past the end of the run.
    let view = text(&runs.call(&["view", "one"]).stdout);
    assert!(view.contains("completed after 2 epochs"), "{view}");
}

#[test]
fn evaluating_the_validation_split_does_not_evaluate_the_test_set() {
    let runs = runs().copy();
    let before = (
        json(&runs.path("one/eval.json")),
        records(&runs, "one").len(),
    );
    let output = runs.call(&["eval", "one", "--split", "valid", "--json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&shown["split"], &shown["n"]),
        (&"valid".into(), &100.into())
    );
    assert_eq!(
        before,
        (
            json(&runs.path("one/eval.json")),
            records(&runs, "one").len()
        )
    );
    let step = shown["global_step"].as_u64().unwrap();
    let saved = runs.path(&format!("one/evals/step-{step:09}.valid.json"));
    assert_eq!(json(&saved), shown);
}

#[test]
fn every_test_set_evaluation_is_saved() {
    let runs = runs();
    let events = records(runs, "one");
    let mut tested = events
        .iter()
        .filter(|r| r["event"] == "eval_finished" && r["split"] == "test");
    let eval = json(&runs.path("one/eval.json"));
    let last = tested.next_back().unwrap();
    assert_eq!(eval["accuracy"]["value"], last["accuracy"]);
    assert_eq!(eval["accuracy"]["ci95"], last["intervals"]["accuracy"]);
    let step = eval["global_step"].as_u64().unwrap();
    assert_eq!(
        eval,
        json(&runs.path(&format!("one/evals/step-{step:09}.json")))
    );
    assert_eq!(eval["checkpoint"], format!("checkpoints/step-{step:09}"));
}

#[test]
fn predictions_csv_reproduces_accuracy_and_confidence() {
    let runs = runs();
    let eval = json(&runs.path("one/eval.json"));
    let table = fs::read_to_string(runs.path("one/predictions.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(rows.iter().filter(|row| row[0] == "valid").count(), 100);
    let test: Vec<_> = rows.iter().filter(|row| row[0] == "test").collect();
    assert_eq!(test.len(), 200);
    let right = test.iter().filter(|row| row[2] == row[3]).count();
    assert_eq!(
        eval["accuracy"]["value"].as_f64().unwrap(),
        right as f64 / 200.0
    );
    let t = eval["temperature"]["value"].as_f64().unwrap();
    for row in test {
        let z: Vec<f64> = row[5..]
            .iter()
            .map(|z| f64::from(z.parse::<f32>().unwrap()) / t)
            .collect();
        let most = z.iter().copied().fold(f64::MIN, f64::max);
        let confidence = 1.0 / z.iter().map(|z| (z - most).exp()).sum::<f64>();
        assert!((confidence - row[4].parse::<f64>().unwrap()).abs() < 1e-12);
    }
}

#[test]
fn two_runs_are_compared_on_the_same_images() {
    let runs = runs().copy();
    let same = text(&runs.call(&["eval", "one", "one"]).stdout);
    assert!(
        same.contains("paired bootstrap") && same.contains("not distinguishable"),
        "{same}"
    );
    assert!(!same.contains("is better"), "{same}");
    let words = text(&runs.call(&["eval", "two", "one"]).stdout);
    assert!(words.contains("B is better"), "{words}");
    let output = runs.call(&["eval", "two", "one", "--json"]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all["evaluations"].as_array().unwrap().len(), 2);
    let found = &all["comparisons"][0];
    let accuracy = |i: usize| all["evaluations"][i]["accuracy"]["value"].as_f64().unwrap();
    let difference = found["accuracy"]["value"].as_f64().unwrap();
    assert!((difference - (accuracy(1) - accuracy(0))).abs() < 1e-12);
    assert_eq!(found["accuracy"]["distinguishable"], true);
    assert_eq!(found["n"], 200);
}

#[test]
fn a_run_that_is_being_written_is_not_evaluated_on_the_test_set() {
    let runs = runs().copy();
    let run = epochtop::session::RunDir::at(&runs.path("one"));
    let lock = epochtop::session::Journal::take(&run).unwrap();
    let words = [
        "events.jsonl",
        "another process writes this run",
        "--split valid",
    ];
    refused(&runs.call(&["eval", "one"]), &words);
    assert!(
        runs.call(&["eval", "one", "--split", "valid"])
            .status
            .success()
    );
    drop(lock);
    assert!(runs.call(&["eval", "one"]).status.success());
}

#[test]
fn mismatched_runs_data_and_checkpoints_are_refused() {
    let runs = runs().copy();
    refused(
        &runs.call(&["eval", "three"]),
        &["three", "no such run", "one", "two"],
    );
    let other = ["eval", "one", "--set", "model.channels=[8,24]"];
    let words = ["--set model.channels", "only data.dir"];
    refused(&runs.call(&other), &words);
    refused(
        &runs.call(&["eval", "one", "--set", "train.seed=9"]),
        &["train.seed"],
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let dir = format!("data.dir={}", elsewhere.path().display());
    refused(&runs.call(&["eval", "one", "--set", &dir]), &["data.dir"]);
    // Different images with the same shape and classes.
    shapes(elsewhere.path());
    let (rows, columns) = SHAPE;
    let images = idx(
        &[2, rows as u32, columns as u32],
        &vec![0; 2 * rows * columns],
    );
    fs::write(elsewhere.path().join("t10k-images-idx3-ubyte"), images).unwrap();
    fs::write(
        elsewhere.path().join("t10k-labels-idx1-ubyte"),
        idx(&[2], &[0, 1]),
    )
    .unwrap();
    refused(
        &runs.call(&["eval", "one", "--set", &dir]),
        &["fingerprint", "--set data.dir=DIR"],
    );
    let step = runs.path("one/checkpoints").join(
        fs::read_to_string(runs.path("one/checkpoints/BEST"))
            .unwrap()
            .trim(),
    );
    let (state, named) = (step.join("state.json"), step.to_str().unwrap());
    let original = fs::read_to_string(&state).unwrap();
    assert!(original.contains("channels = [8, 16]"), "{original}");
    for (there, odd, words) in [
        (
            "channels = [8, 16]",
            "channels = [8, 24]",
            "another network",
        ),
        (
            "channels = [8, 16]",
            "channels = [8]",
            "is not part of this network",
        ),
        ("\"format\": 2", "\"format\": 7", "has format 7"),
        ("\"height\": 20", "\"height\": 200000000", "sides of 1 to"),
        (
            "\"blob\"",
            "\"thing\"",
            "classes or shape differ from training",
        ),
    ] {
        assert!(original.contains(there), "{there} in {original}");
        fs::write(&state, original.replacen(there, odd, 1)).unwrap();
        refused(&runs.call(&["eval", named]), &[words]);
    }
    // Of a run, the best checkpoint that is whole is evaluated.
    let output = runs.call(&["eval", "one"]);
    let stdout = text(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("cannot be read"),
        "{stdout}{}",
        text(&output.stderr)
    );
    fs::write(&state, original).unwrap();
    let model = step.join("model.safetensors");
    let original = fs::read(&model).unwrap();
    fs::write(&model, &original[..original.len() / 2]).unwrap();
    refused(
        &runs.call(&["eval", named]),
        &["model.safetensors", "invalid safetensors"],
    );
    fs::write(&model, original).unwrap();
    fs::remove_file(step.join("state.json")).unwrap();
    refused(&runs.call(&["eval", named]), &["state.json"]);
}

#[test]
fn evaluating_a_separate_checkpoint_writes_no_files() {
    let runs = runs();
    let alone = tempfile::tempdir().unwrap();
    let best = fs::read_to_string(runs.path("one/checkpoints/BEST")).unwrap();
    copy_all(
        &runs.path("one/checkpoints").join(best.trim()),
        alone.path(),
    );
    let files = fs::read_dir(alone.path()).unwrap().count();
    let output = runs.call(&["eval", alone.path().to_str().unwrap()]);
    let stdout = text(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("no files written"),
        "{stdout}"
    );
    assert_eq!(fs::read_dir(alone.path()).unwrap().count(), files);
}

/// Writes test image 2, a vertical bar, in several formats, and two invalid files.
fn write_images(dir: &Path) {
    let runs = runs();
    let bytes = fs::read(runs.data.path().join("t10k-images-idx3-ubyte")).unwrap();
    let (rows, columns) = SHAPE;
    let size = rows * columns;
    let pixels = bytes[16 + 2 * size..16 + 3 * size].to_vec();
    let own = GrayImage::from_raw(columns as u32, rows as u32, pixels).unwrap();
    own.save(dir.join("own.png")).unwrap();
    let mut paper = own.clone();
    image::imageops::invert(&mut paper);
    paper.save(dir.join("paper.png")).unwrap();
    let large = image::imageops::resize(&own, 480, 400, image::imageops::FilterType::Nearest);
    // The format is recognised by the content, not by the name.
    large
        .save_with_format(dir.join("large.jpg"), ImageFormat::Bmp)
        .unwrap();
    fs::write(
        dir.join("broken.png"),
        &fs::read(dir.join("own.png")).unwrap()[..60],
    )
    .unwrap();
    fs::write(dir.join("words.txt"), "no state").unwrap();
}

#[test]
fn images_of_all_formats_are_predicted_and_each_bad_file_has_an_error() {
    let runs = runs();
    let dir = tempfile::tempdir().unwrap();
    write_images(dir.path());
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let good: Vec<String> = ["own.png", "paper.png", "large.jpg"].map(path).to_vec();
    let mut args = vec!["predict", "--run", "one", "--json"];
    args.extend(good.iter().map(String::as_str));
    let output = runs.call(&args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (i, inverted) in [false, true, false].into_iter().enumerate() {
        assert_eq!(all[i]["predictions"][0]["class"], "upright", "{}", good[i]);
        assert_eq!(all[i]["inverted"], inverted);
    }
    // A PNG of a test image gives the same confidence as the evaluation.
    let table = fs::read_to_string(runs.path("one/predictions.csv")).unwrap();
    let row = table
        .lines()
        .find(|line| line.starts_with("test,2,"))
        .unwrap();
    let confidence: f64 = row.split(',').nth(4).unwrap().parse().unwrap();
    let probability = all[0]["predictions"][0]["probability"].as_f64().unwrap();
    assert!(
        (probability - confidence).abs() < 1e-6,
        "{probability} {confidence}"
    );

    let bad: Vec<String> = ["broken.png", "own.png", "words.txt", "none.png"]
        .map(path)
        .to_vec();
    let mut args = vec!["predict", "--run", "one", "--top", "2"];
    args.extend(bad.iter().map(String::as_str));
    let output = runs.call(&args);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(
        stdout.contains("own.png") && stdout.contains("upright"),
        "{stdout}"
    );
    assert!(stdout.contains("calibrated, temperature"), "{stdout}");
    refused(
        &output,
        &["broken.png", "words.txt", "none.png", "3 of 4 files"],
    );
    assert_eq!(stderr.matches("error:").count(), 3, "{stderr}");
}

#[test]
fn no_invert_disables_the_inversion() {
    let runs = runs();
    let dir = tempfile::tempdir().unwrap();
    write_images(dir.path());
    let path = dir.path().join("paper.png");
    let args = [
        "predict",
        "--run",
        "one",
        "--json",
        "--no-invert",
        path.to_str().unwrap(),
    ];
    let all: Value = serde_json::from_slice(&runs.call(&args).stdout).unwrap();
    assert_eq!(all[0]["inverted"], false);
}

/// Seven test images are replaced by training images; the run warns, and `eval` computes the metrics without them.
#[test]
fn leaked_test_images_are_warned_of_and_can_be_left_out() {
    let runs = runs().copy();
    let (rows, columns) = SHAPE;
    let (header, leaked) = (16, 7);
    let images = |prefix: &str| runs.data.path().join(format!("{prefix}-images-idx3-ubyte"));
    let mut test = fs::read(images("t10k")).unwrap();
    let train = fs::read(images("train")).unwrap();
    let copied = header..header + leaked * rows * columns;
    test[copied.clone()].copy_from_slice(&train[copied]);
    fs::write(images("t10k"), test).unwrap();
    let dir = format!("data.dir={}", runs.data.path().display());
    let sets = [
        &dir,
        "data.valid=100",
        "model.channels=[4]",
        "train.epochs=1",
        "train.threads=1",
    ];
    let mut args = vec!["train", "--headless", "--name", "leaky"];
    sets.iter().for_each(|set| args.extend(["--set", set]));
    let output = runs.call(&args);
    let printed = text(&output.stdout) + &text(&output.stderr);
    let warned = "test images are exact copies of images in an earlier split";
    assert!(
        printed.contains(&format!("{leaked} of 200 {warned}")),
        "{printed}"
    );

    let output = runs.call(&["eval", "leaky", "--without-leaks", "--json"]);
    let found: &Value = &serde_json::from_slice(&output.stdout).unwrap();
    let counts = &found["without_leaks"]["leaked"];
    assert_eq!(counts["exact"], leaked, "{counts}");
    let left = 200 - counts["images"].as_u64().unwrap();
    assert_eq!(found["without_leaks"]["report"]["n"], left);
    assert_eq!(found["n"], 200);
    let step = |report: &Value| report["global_step"].as_u64().unwrap();
    assert_eq!(step(&found["without_leaks"]["report"]), step(found));
    let printed = text(&runs.call(&["eval", "leaky", "--without-leaks"]).stdout);
    assert!(
        printed.contains("of 200 test images are also in train or valid (7 exact,"),
        "{printed}"
    );
    let refused = runs.call(&["eval", "leaky", "--without-leaks", "--split", "train"]);
    assert_eq!(refused.status.code(), Some(2));
}
