//! Checkpoints of version 0.1 give the same evaluation, and resuming them gives the same final weights.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::fixture::idx;
use crate::hostile_runs::{copy, fixture};

/// Writes the data set of the fixtures: noisy 8×8 images of horizontal, vertical and diagonal bars.
pub(crate) fn stripes(dir: &Path) {
    let image = |i: usize, salt: usize| {
        let at = 1 + (i * 7 + salt) % 5;
        (0..64).map(move |pixel| {
            let (y, x) = (pixel / 8, pixel % 8);
            let noise = (i * 31 + y * 17 + x * 29 + salt * 13 + i * y * x) % 150;
            let inside = match i % 3 {
                0 => y.abs_diff(at) <= 1,
                1 => x.abs_diff(at) <= 1,
                _ => (y + x) % 8 == at,
            };
            (noise + if inside { 105 } else { 0 }) as u8
        })
    };
    for (prefix, count, salt) in [("train", 900, 0), ("t10k", 36, 3)] {
        let pixels: Vec<u8> = (0..count).flat_map(|i| image(i, salt)).collect();
        let label = |i: usize| {
            if i.is_multiple_of(11) {
                i / 2 * 2 % 3
            } else {
                i % 3
            }
        };
        let labels: Vec<u8> = (0..count).map(|i| label(i) as u8).collect();
        let write = |kind: &str, bytes| {
            fs::write(dir.join(format!("{prefix}-{kind}-ubyte")), bytes).unwrap();
        };
        write("images-idx3", idx(&[count as u32, 8, 8], &pixels));
        write("labels-idx1", idx(&[count as u32], &labels));
    }
    fs::write(dir.join("classes.txt"), "level\nupright\nslant\n").unwrap();
}

/// A copy of a run of version 0.1 in a directory of runs, with its data.
struct Old {
    dir: tempfile::TempDir,
}

impl Old {
    fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(&fixture(name), &dir.path().join("runs").join(name));
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        stripes(&data);
        Self { dir }
    }

    fn epochtop(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_epochtop"));
        command
            .args(args)
            .arg("--runs")
            .arg(self.dir.path().join("runs"));
        command.args([
            "--set".to_owned(),
            format!("data.dir={}", self.dir.path().join("data").display()),
        ]);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }
}

/// Asserts that `new` has all values of `old`, with numbers equal to 1e-6; `new` may have more fields.
fn assert_alike(old: &Value, new: &Value, path: &str) {
    match (old, new) {
        (Value::Object(old), _) => {
            for (key, value) in old {
                assert_alike(value, &new[key], &format!("{path}.{key}"));
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            assert_eq!(old.len(), new.len(), "{path}");
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                assert_alike(old, new, &format!("{path}[{at}]"));
            }
        }
        (Value::Number(old), Value::Number(new)) => {
            let (old, new) = (old.as_f64().unwrap(), new.as_f64().unwrap());
            assert!((old - new).abs() < 1e-6, "{path}: {new}, expected {old}");
        }
        (old, new) => assert_eq!(old, new, "{path}"),
    }
}

fn remove_intervals(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("ci95");
            fields.values_mut().for_each(remove_intervals);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_intervals),
        _ => {}
    }
}

#[test]
fn evaluating_an_old_checkpoint_reproduces_its_eval_json() {
    let old = Old::new("finished");
    let found = old.epochtop(&["eval", "finished", "--json"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let report = if found.is_array() { &found[0] } else { &found };
    let wanted = fs::read(fixture("finished").join("eval.json")).unwrap();
    let mut wanted: Value = serde_json::from_slice(&wanted).unwrap();
    // `bootstrap` and `conventions` describe the method in words that change between versions, as does the computation of
    // intervals; `run` differs too.
    for key in ["bootstrap", "conventions", "run"] {
        wanted.as_object_mut().unwrap().remove(key);
    }
    remove_intervals(&mut wanted);
    assert_alike(&wanted, report, "eval");
}

#[test]
fn resuming_an_old_run_reproduces_its_last_epoch() {
    let old = Old::new("stopped");
    old.epochtop(&["train", "--headless", "--resume", "stopped"]);
    let row = |path: &Path| {
        let text = fs::read_to_string(path.join("epochs.csv")).unwrap();
        let last = text.lines().last().unwrap().to_owned();
        // The last columns, speed and time, depend on the machine.
        last.split(',')
            .take(11)
            .map(|cell| cell.parse().unwrap())
            .collect::<Vec<f64>>()
    };
    let (found, wanted) = (
        row(&old.dir.path().join("runs/stopped")),
        row(&fixture("resumed")),
    );
    for (found, wanted) in found.iter().zip(&wanted) {
        assert!((found - wanted).abs() < 1e-6, "{found}, expected {wanted}");
    }
    assert_eq!(found.len(), 11);
}
