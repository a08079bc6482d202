//! Run directories from somebody else: no command of the engine changes anything outside them, hangs, crashes or needs
//! much memory. The commands of the viewer are in `tests/viewer/hostile.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use epochtop::checkpoint::{FORMAT, Manifest};

use crate::hostile_runs::{Kind, Lab, Ran};
use crate::old_runs::stripes;

/// Limits of a command: GiB of memory (libtorch reserves much that it does not use), and seconds, in which it may also
/// train.
const LIMITS: (u64, u64) = (16, 30);

/// A [`Lab`] with the data set of the runs.
fn lab() -> Lab {
    let lab = Lab::new();
    fs::create_dir(lab.path("data")).unwrap();
    stripes(&lab.path("data"));
    lab
}

#[track_caller]
fn run(lab: &Lab, args: &[&str]) -> Ran {
    let data = ["--runs", "runs", "--set", "data.dir=data"];
    let sets = if args.first() == Some(&"export") {
        2
    } else {
        4
    };
    let (gib, seconds) = LIMITS;
    let ran = lab.run(&[args, &data[..sets]].concat(), gib, seconds);
    lab.assert_untouched(&format!("{args:?}"));
    ran
}

const RESUME: [&str; 5] = [
    "train",
    "--headless",
    "--take-over",
    "--set",
    "train.epochs=9",
];

/// Before: each of these was opened, and its target written, if it was a link.
#[test]
fn links_at_all_temporary_names_are_not_written_through() {
    let names = [
        "config.tmp",
        "run.tmp",
        "epochs.tmp",
        "eval.json.tmp-1",
        "model.pt.tmp",
        "checkpoints/.tmp-step-000000999",
        "checkpoints/.tmp-LATEST",
        "checkpoints/.tmp-BEST",
        "evals/.tmp-step-000000335.csv",
    ]
    .map(Path::new);
    for kind in [Kind::LinkToFile, Kind::LinkToNothing, Kind::HardLink] {
        let lab = lab();
        lab.add("stopped", "one", &names, kind);
        assert_eq!(
            run(&lab, &[&RESUME[..], &["--resume", "one"]].concat()).code,
            0
        );
        assert_eq!(run(&lab, &["eval", "one"]).code, 0);
        for format in ["torchscript", "csv", "json"] {
            assert_eq!(run(&lab, &["export", "one", "--format", format]).code, 0);
        }
        let again = run(&lab, &["export", "one", "--format", "torchscript"]);
        assert!(
            again.code == 2 && again.text.contains("--force"),
            "{}",
            again.text
        );
    }
}

/// Each file and directory that is written while resuming, evaluating or exporting.
#[test]
fn links_at_the_names_of_a_run_are_refused_or_replaced() {
    let names = [
        "config.toml",
        "run.json",
        "events.jsonl",
        "epochs.csv",
        "log.txt",
        "eval.json",
        "predictions.csv",
        "model.pt",
        "writer.json",
        "checkpoints",
        "evals",
        "tb",
        "checkpoints/BEST",
        "checkpoints/LATEST",
        "checkpoints/step-000000335",
        "checkpoints/step-000000335/state.json",
        "checkpoints/step-000000335/model.safetensors",
    ];
    for name in names {
        for kind in [Kind::LinkToFile, Kind::LinkToDirectory, Kind::HardLink] {
            let lab = lab();
            lab.add("stopped", "one", &[Path::new(name)], kind);
            run(&lab, &[&RESUME[..], &["--resume", "one"]].concat());
            run(&lab, &["eval", "one"]);
            run(
                &lab,
                &["export", "one", "--format", "torchscript", "--force"],
            );
        }
    }
}

/// Before: a pipe stopped the command for ever, and a sparse file took all memory.
#[test]
fn pipes_and_sparse_files_are_refused() {
    let names = [
        "config.toml",
        "run.json",
        "events.jsonl",
        "epochs.csv",
        "log.txt",
        "predictions.csv",
        "checkpoints/step-000000335/MANIFEST.json",
        "checkpoints/step-000000335/state.json",
        "checkpoints/step-000000335/model.safetensors",
        "checkpoints/step-000000335/optim.safetensors",
    ];
    for name in names {
        for kind in [Kind::Pipe, Kind::Sparse] {
            let lab = lab();
            lab.add("stopped", "one", &[Path::new(name)], kind);
            run(&lab, &[&RESUME[..], &["--resume", "one"]].concat());
            run(&lab, &["eval", "one"]);
            run(&lab, &["export", "one", "--format", "csv"]);
        }
    }
}

/// A checkpoint whose manifest and pointers name files outside.
#[test]
fn names_in_manifests_and_pointers_do_not_lead_outside() {
    let theirs = PathBuf::from("../../../../outside/run/checkpoints/step-000000420");
    for name in ["../../../outside/file", "/etc/passwd", ".."] {
        let lab = lab();
        lab.add("stopped", "one", &[], Kind::Empty);
        let checkpoints = lab.path("runs/one/checkpoints");
        for pointer in ["BEST", "LATEST"] {
            fs::write(checkpoints.join(pointer), theirs.to_str().unwrap()).unwrap();
        }
        let path = checkpoints.join("step-000000335/MANIFEST.json");
        let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(manifest.format, FORMAT);
        name.clone_into(&mut manifest.files[0].name);
        fs::write(&path, manifest.seal().unwrap()).unwrap();
        let resumed = run(&lab, &[&RESUME[..], &["--resume", "one"]].concat());
        assert!(!resumed.text.contains("outside/run"), "{}", resumed.text);
        run(&lab, &["eval", checkpoints.join("BEST").to_str().unwrap()]);
        run(&lab, &["eval", "one"]);
    }
}

/// Before: such a configuration in a checkpoint was refused for `notify` only.
#[test]
fn command_in_the_configuration_of_a_checkpoint_is_not_executed() {
    let lab = lab();
    lab.add("stopped", "one", &[], Kind::Empty);
    let dir = lab.path("runs/one/checkpoints/step-000000335");
    let state = fs::read_to_string(dir.join("state.json")).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&state).unwrap();
    let config = format!(
        "{}\n[notify]\ncommand = \"touch {}\"\n",
        state["config"].as_str().unwrap(),
        lab.path("outside/owned").display()
    );
    state["config"] = config.into();
    let text = serde_json::to_vec_pretty(&state).unwrap();
    fs::write(dir.join("state.json"), &text).unwrap();
    let path = dir.join("MANIFEST.json");
    let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
    let entry = manifest
        .files
        .iter_mut()
        .find(|file| file.name == "state.json")
        .unwrap();
    entry.bytes = text.len() as u64;
    entry.blake3 = blake3::hash(&text).to_hex().to_string();
    fs::write(&path, manifest.seal().unwrap()).unwrap();
    let refused = run(&lab, &[&RESUME[..], &["--resume", "one"]].concat());
    assert!(
        refused.code == 2
            && refused
                .text
                .contains("notify.command  is a personal setting"),
        "{}",
        refused.text
    );
}
