//! The same images from each format give the same fingerprint and the same weights, in memory or read from the packed file.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use epochtop::config::{Config, InMemory, Normalize};
use epochtop::event::{Event, Outcome};
use epochtop::images::{self, Dataset};
use epochtop::random::Random;
use image::{ImageBuffer, Rgb};

use crate::fixture::{idx, small_config, train_on};
use crate::resume::{Place, was_killed, words};

const SIDE: u32 = 32;
const CLASSES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];
/// Images of each class in the training and the test split.
const TRAIN: usize = 6;
const TEST: usize = 2;

/// A colour image of a class, (row, column, channel): a stripe whose place and colour depend on the class, and noise.
fn pixels(class: usize, random: &mut Random) -> Vec<u8> {
    let mut pixels = Vec::new();
    for at in 0..SIDE * SIDE {
        let column = (at % SIDE) as usize;
        for channel in 0..3 {
            let bright = column / 3 == class && channel != class % 3;
            pixels.push(if bright { 180 } else { 20 } + random.below(60) as u8);
        }
    }
    pixels
}

/// The images of a split by class, in the order of a folder.
fn split(count: usize, seed: u64) -> Vec<(usize, Vec<u8>)> {
    let mut random = Random::new(&[seed]);
    (0..CLASSES.len())
        .flat_map(|class| (0..count).map(move |_| class))
        .map(|class| (class, pixels(class, &mut random)))
        .collect()
}

/// (channel, row, column).
fn planar(pixels: &[u8]) -> Vec<u8> {
    (0..3)
        .flat_map(|channel| pixels.iter().skip(channel).step_by(3))
        .copied()
        .collect()
}

struct Splits {
    train: Vec<(usize, Vec<u8>)>,
    test: Vec<(usize, Vec<u8>)>,
}

fn splits() -> Splits {
    Splits {
        train: split(TRAIN, 1),
        test: split(TEST, 2),
    }
}

fn png(path: &Path, pixels: &[u8]) {
    let image: ImageBuffer<Rgb<u8>, _> =
        ImageBuffer::from_raw(SIDE, SIDE, pixels.to_vec()).unwrap();
    image.save(path).unwrap();
}

fn folder(dir: &Path, splits: &Splits) {
    for (name, images) in [("train", &splits.train), ("test", &splits.test)] {
        for (index, (class, pixels)) in images.iter().enumerate() {
            let dir = dir.join(name).join(CLASSES[*class]);
            fs::create_dir_all(&dir).unwrap();
            png(&dir.join(format!("{index:03}.png")), pixels);
        }
    }
}

fn csv_list(dir: &Path, splits: &Splits) {
    let mut list = "path,label,split\n".to_owned();
    for (name, images) in [("train", &splits.train), ("test", &splits.test)] {
        for (index, (class, pixels)) in images.iter().enumerate() {
            let file = format!("{name}{index}.png");
            png(&dir.join(&file), pixels);
            writeln!(list, "{file},{},{name}", CLASSES[*class]).unwrap();
        }
    }
    fs::write(dir.join("list.csv"), list).unwrap();
}

fn cifar(dir: &Path, splits: &Splits) {
    for (file, images) in [
        ("data_batch_1.bin", &splits.train),
        ("test_batch.bin", &splits.test),
    ] {
        let records = images
            .iter()
            .flat_map(|(class, pixels)| std::iter::once(*class as u8).chain(planar(pixels)));
        fs::write(dir.join(file), records.collect::<Vec<u8>>()).unwrap();
    }
    fs::write(dir.join("batches.meta.txt"), CLASSES.join("\n") + "\n").unwrap();
}

fn idx_files(dir: &Path, splits: &Splits) {
    for (prefix, images) in [("train", &splits.train), ("t10k", &splits.test)] {
        let count = images.len() as u32;
        let bytes: Vec<u8> = images
            .iter()
            .flat_map(|(_, pixels)| planar(pixels))
            .collect();
        let labels: Vec<u8> = images.iter().map(|(class, _)| *class as u8).collect();
        let file = |kind: &str| dir.join(format!("{prefix}-{kind}-ubyte"));
        fs::write(file("images-idx3"), idx(&[count, 3, SIDE, SIDE], &bytes)).unwrap();
        fs::write(file("labels-idx1"), idx(&[count], &labels)).unwrap();
    }
    fs::write(dir.join("classes.txt"), CLASSES.join("\n")).unwrap();
}

/// A file of an array of bytes, version 1.0.
fn npy(shape: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), bytes].concat()
}

fn numpy(dir: &Path, splits: &Splits) {
    for (name, images) in [("train", &splits.train), ("test", &splits.test)] {
        let bytes: Vec<u8> = images
            .iter()
            .flat_map(|(_, pixels)| pixels)
            .copied()
            .collect();
        let labels: Vec<u8> = images.iter().map(|(class, _)| *class as u8).collect();
        let count = images.len();
        let file = |kind: &str| dir.join(format!("{name}_{kind}.npy"));
        fs::write(
            file("images"),
            npy(&format!("{count}, {SIDE}, {SIDE}, 3"), &bytes),
        )
        .unwrap();
        fs::write(file("labels"), npy(&format!("{count},"), &labels)).unwrap();
    }
    fs::write(dir.join("classes.txt"), CLASSES.join("\n")).unwrap();
}

type WriteFormat = fn(&Path, &Splits);
const FORMATS: [(&str, WriteFormat); 5] = [
    ("image folder", folder),
    ("CSV list", csv_list),
    ("CIFAR", cifar),
    ("NumPy", numpy),
    ("IDX", idx_files),
];

fn config(data: &Path, cache: &Path) -> Config {
    let mut config = small_config(data);
    config.data.cache_dir = cache.to_string_lossy().into_owned();
    config.data.valid = 10;
    config.train.batch_size = 16;
    config.train.epochs = 2;
    config.eval.batch_size = 7;
    config.data.normalize = Normalize::Dataset;
    (config.data.augment.shift, config.data.augment.erase) = (2, 0.5);
    config
}

fn load(config: &Config) -> Dataset {
    images::load(&config.data, config.train.seed, &mut |_| ()).unwrap()
}

/// The weights after training.
fn weights(dataset: Dataset, config: &Config) -> Vec<u8> {
    let run = tempfile::tempdir().unwrap();
    let story = train_on(dataset, config, run.path(), |_| Vec::new());
    let finished = |event: &Event| matches!(event, Event::RunFinished { outcome, .. } if *outcome == Outcome::Completed);
    assert!(
        story.events.iter().any(finished),
        "{:?}",
        story.events.last()
    );
    let last = fs::read_to_string(run.path().join("checkpoints/LATEST")).unwrap();
    let model = PathBuf::from("checkpoints")
        .join(last.trim())
        .join("model.safetensors");
    fs::read(run.path().join(model)).unwrap()
}

#[test]
fn same_images_give_the_same_fingerprint_and_weights_from_each_format() {
    let splits = splits();
    let mut found: Option<(String, Vec<u8>)> = None;
    for (title, write) in FORMATS {
        let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(data.path(), &splits);
        let before = names(data.path());
        for in_memory in [InMemory::Always, InMemory::Never] {
            let mut config = config(data.path(), cache.path());
            config.data.in_memory = in_memory;
            let dataset = load(&config);
            assert!(
                dataset.format.contains(title),
                "{title}: {}",
                dataset.format
            );
            assert_eq!(dataset.info.classes, CLASSES, "{title}");
            let (print, weights) = (dataset.fingerprint.clone(), weights(dataset, &config));
            let (first_print, first_weights) =
                found.get_or_insert((print.clone(), weights.clone()));
            assert_eq!(&print, first_print, "{title}, {in_memory:?}");
            assert!(
                &weights == first_weights,
                "other weights: {title}, {in_memory:?}"
            );
        }
        assert_eq!(
            names(data.path()),
            before,
            "{title}: written into the data directory"
        );
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn changed_image_is_packed_again_and_resume_refuses_it() {
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    folder(data.path(), &splits());
    let config = config(data.path(), cache.path());
    let before = load(&config);
    assert_eq!(load(&config).pack, before.pack, "packed once");
    let file = data.path().join("train/cat/018.png");
    png(&file, &pixels(7, &mut Random::new(&[99])));
    let after = load(&config);
    assert_ne!(after.pack, before.pack);
    assert_ne!(after.fingerprint, before.fingerprint);
}

/// A run whose batches are read from the packed file is stopped and resumed: the weights are those of a run without a stop.
#[test]
fn run_that_reads_packed_images_resumes_bit_for_bit() {
    resumes_bit_for_bit(&["data.in_memory=never"], &["data.in_memory=never"]);
}

/// Crops, colours, the policy and mixing depend only on seed and step: neither on a restart, nor on the number of threads, nor
/// on where the images are.
#[test]
fn run_with_augmented_photos_resumes_bit_for_bit() {
    let photos = [
        "data.size=24",
        "data.augment={crop=0.3, policy='trivial', brightness=0.4, hue=0.1, mixup=0.2, cutmix=1}",
    ];
    let with = |more: [&'static str; 2]| [photos, more].concat();
    let summary = resumes_bit_for_bit(
        &with(["data.in_memory=always", "data.workers=3"]),
        &with(["data.in_memory=never", "data.workers=1"]),
    );
    assert!(summary.contains("acc     - %"), "{summary}");
    assert!(
        summary.contains("shifts images by up to 32 pixels"),
        "{summary}"
    );
}

/// Trains one run with the first settings, and one with the second that is killed and resumed. Both must have the same
/// weights. Returns the lines of the first.
fn resumes_bit_for_bit(settings: &[&str], killed_settings: &[&str]) -> String {
    let place = Place::new();
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    folder(data.path(), &splits());
    let (data, cache) = (
        data.path().to_str().unwrap(),
        cache.path().to_str().unwrap(),
    );
    let sets = [
        format!("data.dir={data:?}"),
        format!("data.cache_dir={cache:?}"),
        "data.valid=10".to_owned(),
        "train.batch_size=8".to_owned(),
        "train.epochs=3".to_owned(),
        "train.threads=1".to_owned(),
        "model.channels=[8,8]".to_owned(),
    ];
    let train = |fault: &str, name: &str, more: &[&str]| {
        let mut args = vec!["train", "--headless", "--name", name];
        for set in sets.iter().map(String::as_str).chain(more.iter().copied()) {
            args.extend(["--set", set]);
        }
        place.program(fault, &args)
    };
    let whole = train("", "whole", settings);
    assert!(whole.status.success(), "{}", words(&whole));
    let killed_settings = [killed_settings, &["checkpoint.every_steps=3"]].concat();
    let killed = train("kill@step:10", "killed", &killed_settings);
    assert!(was_killed(&killed), "{}", words(&killed));
    let resumed = place.program("", &["train", "--headless", "--resume", "killed"]);
    assert!(resumed.status.success(), "{}", words(&resumed));
    let model = |name: &str| {
        let run = place.run(name);
        let last = fs::read_to_string(run.join("checkpoints/LATEST")).unwrap();
        fs::read(
            run.join("checkpoints")
                .join(last.trim())
                .join("model.safetensors"),
        )
        .unwrap()
    };
    assert!(model("whole") == model("killed"), "{}", words(&resumed));
    // The images of these commands are not augmented and, for the second, not packed.
    let image = fs::read_dir(Path::new(data).join("train/bird"))
        .unwrap()
        .find_map(Result::ok)
        .unwrap()
        .path();
    for args in [
        &["eval", "whole"][..],
        &["predict", image.to_str().unwrap(), "--run", "whole"],
    ] {
        let output = place.program("", args);
        assert!(output.status.success(), "{}", words(&output));
    }
    words(&whole)
}

/// The loader's threads measure what they do, and the first step always waits for them.
#[test]
fn time_spent_by_the_loader_is_in_the_step_breakdown() {
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    folder(data.path(), &splits());
    let mut config = config(data.path(), cache.path());
    config.data.workers = 1;
    (config.data.augment.crop, config.data.augment.hue) = (0.3, 0.1);
    let run = tempfile::tempdir().unwrap();
    let story = train_on(load(&config), &config, run.path(), |_| Vec::new());
    let breakdown = story.events.iter().find_map(|event| match event {
        Event::StepTime(time) => Some(*time),
        _ => None,
    });
    let time = breakdown.unwrap();
    assert!(time.loader_ms.0 > 0.0, "{time:?}");
    assert!(time.reading.0 > 0.0 && time.reading.0 < 1.0, "{time:?}");
}

/// A packed file that is cut off during training ends the run with a message and a checkpoint, not with a signal.
#[test]
fn truncated_packed_images_are_an_error() {
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    folder(data.path(), &splits());
    let mut config = config(data.path(), cache.path());
    config.data.in_memory = InMemory::Never;
    let dataset = load(&config);
    let pack = dataset.pack.clone().unwrap();
    let run = tempfile::tempdir().unwrap();
    let mut cut = false;
    let story = train_on(dataset, &config, run.path(), |event| {
        if matches!(event, Event::EpochFinished(_)) && !cut {
            cut = true;
            let file = fs::OpenOptions::new().write(true).open(&pack).unwrap();
            file.set_len(5000).unwrap();
        }
        Vec::new()
    });
    let Some(Event::RunFinished {
        outcome: Outcome::Failed { message },
        ..
    }) = story.events.last()
    else {
        panic!("{:?}", story.events.last())
    };
    assert!(message.contains("too short: it was truncated"), "{message}");
    assert!(message.contains("is saved in checkpoints/"), "{message}");
}

/// Without a test split the results are those of validation, with a warning; nothing is called a test result.
#[test]
fn folder_without_test_split_is_evaluated_on_validation() {
    let (data, cache, run) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let only_train = Splits {
        test: Vec::new(),
        ..splits()
    };
    folder(data.path(), &only_train);
    let config = config(data.path(), cache.path());
    let dataset = load(&config);
    assert!(dataset.test.is_empty());
    assert!(
        dataset
            .warnings
            .iter()
            .any(|warning| warning.contains("no test split")),
        "{:?}",
        dataset.warnings
    );
    let story = train_on(dataset, &config, run.path(), |_| Vec::new());
    assert!(story.state.test.latest.is_none());
    let report = fs::read_to_string(run.path().join("eval.json")).unwrap();
    assert!(report.contains("\"split\": \"valid\""), "{report}");
    assert!(run.path().join("predictions.csv").is_file());
}

/// Kills `data pack` at random moments until it is done, `times` times. Each file is then that of an undisturbed start.
#[expect(clippy::print_stdout, reason = "`make kill` shows the counts")]
fn pack_and_kill(times: usize) {
    let data = tempfile::tempdir().unwrap();
    let mut random = Random::new(&[4]);
    for class in ["one", "two"] {
        let dir = data.path().join(class);
        fs::create_dir(&dir).unwrap();
        for index in 0..1500 {
            png(
                &dir.join(format!("{index:04}.png")),
                &pixels(index % 10, &mut random),
            );
        }
    }
    let command = |cache: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_epochtop"));
        let cache = format!("data.cache_dir={:?}", cache.to_str().unwrap());
        command.args(["data", "pack"]).arg(data.path()).args([
            "--set",
            &cache,
            "--set",
            "data.size=48",
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let whole = tempfile::tempdir().unwrap();
    let began = Instant::now();
    assert!(command(whole.path()).status().unwrap().success());
    let duration = began.elapsed();
    let [name] = names(whole.path()).try_into().unwrap();
    let expected = fs::read(whole.path().join(&name)).unwrap();
    let (mut kills, mut continued, mut packings) = (0, 0, 0);
    while kills < times {
        let cache = tempfile::tempdir().unwrap();
        packings += 1;
        loop {
            let mut child = command(cache.path()).spawn().unwrap();
            std::thread::sleep(duration.mul_f64(random.unit()));
            if child.try_wait().unwrap().is_some() {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            let list = fs::metadata(cache.path().join(name.replace(".pack", ".part.list")));
            continued += usize::from(list.is_ok_and(|list| list.len() > 0));
        }
        assert_eq!(
            names(cache.path()),
            std::slice::from_ref(&name),
            "leftovers"
        );
        assert!(
            fs::read(cache.path().join(&name)).unwrap() == expected,
            "other pixels"
        );
    }
    println!("{kills} kills in {packings} packings, {continued} continued, 0 wrong pixels");
}

#[test]
fn killed_packing_continues_without_a_wrong_pixel() {
    pack_and_kill(5);
}

#[test]
#[ignore = "a minute; part of `make kill`"]
fn killed_packing_continues_without_a_wrong_pixel_50_times() {
    pack_and_kill(50);
}

/// The largest file size stands for a full disk: the message says what to do, and nothing is left behind.
#[test]
fn full_disk_while_packing_is_reported_and_leaves_nothing() {
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    folder(data.path(), &splits());
    let script = format!(
        "ulimit -f 64; exec {} data pack {} --set data.size=64 --set data.cache_dir={:?}",
        env!("CARGO_BIN_EXE_epochtop"),
        data.path().display(),
        cache.path().to_str().unwrap()
    );
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
    let text = words(&output);
    assert!(
        text.contains("packed images cannot be written") && text.contains("data.cache_dir"),
        "{text}"
    );
    assert_eq!(names(cache.path()), Vec::<String>::new());
    assert!(data.path().join("train/cat").is_dir());
}

/// `data check` names what was recognised, what is left out and why; `predict DIR` writes a table with the same decoder.
#[test]
fn corrupt_and_unlabelled_images_are_named() {
    let place = Place::new();
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let only_train = Splits {
        test: Vec::new(),
        ..splits()
    };
    folder(data.path(), &only_train);
    let unlabelled = data.path().join("test");
    fs::create_dir(&unlabelled).unwrap();
    png(&unlabelled.join("a.png"), &only_train.train[0].1);
    png(&unlabelled.join("b.png"), &only_train.train[59].1);
    fs::write(
        data.path().join("train/cat/torn.jpg"),
        b"\xff\xd8\xff\xe0 torn",
    )
    .unwrap();
    fs::write(data.path().join("train/dog/empty.png"), b"").unwrap();
    fs::write(data.path().join("train/dog/.DS_Store"), b"x").unwrap();
    let sets = [
        "--set".to_owned(),
        format!("data.cache_dir={:?}", cache.path().to_str().unwrap()),
        "--set".to_owned(),
        "data.valid=10".to_owned(),
    ];
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let dir = data.path().to_str().unwrap();
    let program = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_epochtop"))
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", words(&output));
        words(&output)
    };
    let checked = program(&[&["data", "check", dir], &sets[..]].concat());
    for expected in [
        "image folder: ",
        "2 of 62 images could not be decoded and were left out",
        "left out: train/cat/torn.jpg: ",
        "left out: train/dog/empty.png: ",
        "epochtop predict",
        "no test split",
        "note: 1 hidden",
        "duplicate",
    ] {
        assert!(checked.contains(expected), "{expected} not in {checked}");
    }
    let failed = Command::new(env!("CARGO_BIN_EXE_epochtop"))
        .args(
            [
                &["data", "check", dir, "--set", "data.on_corrupt=fail"],
                &sets[..],
            ]
            .concat(),
        )
        .output()
        .unwrap();
    assert_eq!(failed.status.code(), Some(2), "{}", words(&failed));
    assert!(words(&failed).contains("torn.jpg"), "{}", words(&failed));
    let small = [
        "--set",
        "model.channels=[8,8]",
        "--set",
        "train.epochs=1",
        "--set",
        "train.batch_size=8",
    ];
    let train = ["train", "--headless", "--data", dir, "--name", "photos"];
    let trained = place.program("", &[&train[..], &sets, &small].concat());
    assert!(trained.status.success(), "{}", words(&trained));
    assert!(
        words(&trained).contains("torn.jpg"),
        "the warning is in the log: {}",
        words(&trained)
    );
    let log = fs::read_to_string(place.run("photos").join("events.jsonl")).unwrap();
    assert!(
        log.contains("could not be decoded") && log.contains("data: 1 hidden"),
        "warnings and notes are in the journal"
    );
    let table = place.program(
        "",
        &["predict", unlabelled.to_str().unwrap(), "--run", "photos"],
    );
    assert!(table.status.success(), "{}", words(&table));
    let table = String::from_utf8(table.stdout).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(
        lines[0].starts_with("file,predicted,confidence,airplane,automobile"),
        "{table}"
    );
    assert!(
        lines[1].contains("a.png,") && lines[2].contains("b.png,"),
        "{table}"
    );
}
