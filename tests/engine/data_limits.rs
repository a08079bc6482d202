//! Limits of the data: what a run cannot store, evaluate or resume is refused before training, and what misleads is
//! warned of.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use epochtop::checkpoint::FORMAT;
use epochtop::event::{Event, GalleryImages};
use epochtop::images::Dataset;
use epochtop::inference::read_state;
use epochtop::session::{RunDir, replay};

use crate::fixture::{idx, load, shapes, small_config, train, try_load};

const IMAGES: &str = "train-images-idx3-ubyte";

/// Writes a data set with these labels for training and test: the brightness of an image follows from its class.
fn write(dir: &Path, shape: &[u32], labels: &[u16]) {
    let size: u32 = shape.iter().product();
    let value = |label: &u16| vec![(label % 256) as u8; size as usize];
    let pixels: Vec<u8> = labels.iter().flat_map(value).collect();
    let count = labels.len() as u32;
    let wide: Vec<u8> = labels.iter().flat_map(|l| l.to_be_bytes()).collect();
    let bytes: Vec<u8> = labels.iter().map(|label| *label as u8).collect();
    for name in ["train", "t10k"] {
        let images = idx(&[&[count], shape].concat(), &pixels);
        fs::write(dir.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        let labels = if labels.iter().any(|label| *label > 255) {
            let mut file = idx(&[count], &wide);
            file[2] = 0x0b;
            file
        } else {
            idx(&[count], &bytes)
        };
        fs::write(dir.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }
}

fn loaded(shape: &[u32], labels: &[u16]) -> Result<Dataset, String> {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), shape, labels);
    let mut config = small_config(dir.path());
    config.data.valid = 0;
    try_load(&config)
}

fn two_classes(count: u16) -> Vec<u16> {
    (0..count).map(|i| i % 2).collect()
}

#[test]
fn images_that_are_neither_grey_nor_colour_are_refused_before_training() {
    for channels in [2, 4, 5] {
        let error = loaded(&[channels, 8, 9], &two_classes(20)).unwrap_err();
        let words =
            format!("has images of {channels} channels and 8×9 pixels; expected 1 (grey) or 3");
        assert!(error.contains(IMAGES) && error.contains(&words), "{error}");
    }
    for channels in [1, 3] {
        let info = loaded(&[channels, 8, 9], &two_classes(20)).unwrap().info;
        assert_eq!((info.channels, info.height, info.width), (channels, 8, 9));
    }
}

#[test]
fn images_with_their_channels_last_are_refused_with_the_layout() {
    let error = loaded(&[32, 32, 3], &two_classes(20)).unwrap_err();
    for words in [IMAGES, "N×H×W×3", "N×C×H×W", "transpose(0, 3, 1, 2)"] {
        assert!(error.contains(words), "{words} in {error}");
    }
}

#[test]
fn a_tenth_of_a_small_data_set_is_used_for_validation() {
    let dataset = loaded(&[4, 4], &two_classes(600)).unwrap();
    assert_eq!((dataset.info.train, dataset.info.valid), (540, 60));
    let warned = dataset.warnings.join("\n");
    assert!(warned.contains("data.valid = 60: with so few"), "{warned}");
    let config = epochtop::config::DataConfig::default();
    let sizes = [4, 49_999, 60_000].map(|images| config.valid_size(images));
    assert_eq!(sizes, [1, 4999, 5000]);
}

#[test]
fn labels_that_begin_at_1_are_warned_of_by_train_and_by_data_check() {
    let dir = tempfile::tempdir().unwrap();
    let labels: Vec<u16> = (0..120).map(|i| 1 + i % 3).collect();
    write(dir.path(), &[8, 8], &labels);
    let mut config = small_config(dir.path());
    (config.data.valid, config.train.epochs) = (20, 1);
    let story = train(&config, dir.path(), |_| Vec::new());
    let warned = story.state.info.unwrap().warnings.join("\n");
    let words = "no image of the class \"0\": its F1 counts as 0, so the macro-F1 is at most 3/4";
    assert!(warned.contains(words), "{warned}");
    let output = Command::new(env!("CARGO_BIN_EXE_epochtop"))
        .args(["data", "check", "--set", "data.name=mine", "--set"])
        .arg(format!("data.dir={}", dir.path().display()))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains(words), "{printed}");
}

#[test]
fn a_byte_order_mark_is_not_part_of_the_first_class_name() {
    let dir = tempfile::tempdir().unwrap();
    shapes(dir.path());
    let list = dir.path().join("classes.txt");
    fs::write(&list, "\u{feff}level\r\nupright\r\nblob\r\n").unwrap();
    let config = small_config(dir.path());
    assert_eq!(load(&config).info.classes, ["level", "upright", "blob"]);
    let utf16: Vec<u8> = "\u{feff}level"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let many: Vec<String> = (0..4097).map(|class| class.to_string()).collect();
    for (bytes, words) in [
        (utf16, "not UTF-8"),
        (
            many.join("\n").into_bytes(),
            "4097 classes; expected at most 4096",
        ),
        ("x".repeat(201).into_bytes(), "more than 200 characters"),
    ] {
        fs::write(&list, bytes).unwrap();
        let error = try_load(&config).unwrap_err();
        assert!(
            error.contains("classes.txt") && error.contains(words),
            "{error}"
        );
    }
}

/// The limit holds before training, for names as for labels: such a run could not be evaluated. Before: 200,000 names took
/// more than 40 s, because each was compared with all before it.
#[test]
fn more_classes_than_can_be_evaluated_are_refused_within_a_second() {
    let labels: Vec<u16> = (0..5000).collect();
    let error = loaded(&[2, 2], &labels).unwrap_err();
    let words = "label 4096 of image 4096 is out of range: expected 0 to 4095";
    assert!(error.contains(words), "{error}");
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[2, 2], &two_classes(20));
    let list = dir.path().join("classes.txt");
    let mut config = small_config(dir.path());
    config.data.valid = 0;
    let names = |count: usize, length: usize| {
        let name = |class| format!("{class:0length$}\n");
        (0..count).map(name).collect::<String>()
    };
    for (text, words) in [
        (names(5000, 5), "5000 classes; expected at most 4096"),
        (names(200_000, 8), "200000 classes; expected at most 4096"),
        (
            names(200_000, 40),
            "larger than 4194304 bytes; expected at most 4096 class names",
        ),
        (
            "a\n".repeat(200_000),
            "200000 classes; expected at most 4096",
        ),
    ] {
        fs::write(&list, text).unwrap();
        let began = std::time::Instant::now();
        let error = try_load(&config).unwrap_err();
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
        assert!(
            error.contains("classes.txt") && error.contains(words),
            "{error}"
        );
    }
    // The most names that are allowed, of the greatest length.
    let longest = names(4096, 200).replace('0', "\u{10ffff}");
    fs::write(&list, longest).unwrap();
    let dataset = try_load(&config);
    assert_eq!(dataset.unwrap().info.classes.len(), 4096);
}

/// A checkpoint of an earlier version, which took the mark for a part of the name and trained on any number of channels.
#[test]
fn an_old_checkpoint_is_read_without_the_mark_and_has_the_same_limits() {
    let dir = tempfile::tempdir().unwrap();
    let state = |channels: u32| {
        let state = serde_json::json!({
            "format": FORMAT, "run": "old", "epoch": 1, "epoch_step": 0, "epoch_done": true, "global_step": 1, "seed": 1,
            "lr": 0.1, "epochs": 1, "best": null, "mark": 1, "data": "", "config": "",
            "computed": {"device": "cpu", "precision": "f32", "threads": 1, "libtorch": ""},
            "dataset": {
                "name": "mine", "classes": ["\u{feff}cat", "dog"], "height": 8, "width": 8, "channels": channels,
                "train": 1, "valid": 1, "test": 1
            }
        });
        fs::write(dir.path().join("state.json"), state.to_string()).unwrap();
        read_state(dir.path())
    };
    assert_eq!(state(3).unwrap().dataset.classes, ["cat", "dog"]);
    for channels in [2, 4, 5] {
        let error = state(channels).unwrap_err();
        let words = format!("state.json: images of {channels} channels and 8×8 pixels; expected 1");
        assert!(error.contains(&words), "{error}");
    }
}

#[test]
fn of_a_plain_and_a_compressed_file_the_newer_is_used_and_a_difference_is_told() {
    let dir = tempfile::tempdir().unwrap();
    shapes(dir.path());
    let config = small_config(dir.path());
    let known = load(&config);
    let compress = |bytes: &[u8]| {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, bytes).unwrap();
        gz.finish().unwrap()
    };
    let plain = dir.path().join(IMAGES);
    let gz = plain.with_extension("gz");
    let set_age = |path: &Path, seconds: u64| {
        let file = fs::File::options().append(true).open(path).unwrap();
        let time = SystemTime::now() - Duration::from_secs(seconds);
        file.set_modified(time).unwrap();
    };
    let bytes = fs::read(&plain).unwrap();
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    // The same contents: no warning, whichever is newer, also in several gzip members.
    let members = [compress(&bytes[..9000]), compress(&bytes[9000..])].concat();
    for packed in [compress(&bytes), members] {
        fs::write(&gz, packed).unwrap();
        for age in [10, 30] {
            set_age(&plain, 20);
            set_age(&gz, age);
            let found = load(&config);
            assert_eq!(found.fingerprint, known.fingerprint);
            assert_eq!(found.warnings, known.warnings);
        }
    }
    // Different contents: the newer file is used.
    fs::write(&gz, compress(&other)).unwrap();
    for (age, used, is_known) in [
        (10, format!("{IMAGES}.gz"), false),
        (30, IMAGES.to_owned(), true),
    ] {
        set_age(&gz, age);
        let dataset = load(&config);
        assert_eq!(dataset.fingerprint == known.fingerprint, is_known);
        let warned = dataset.warnings.join("\n");
        assert!(
            warned.contains(&format!("using {used}, which is newer")),
            "{warned}"
        );
    }
}

#[test]
fn large_gallery_images_are_stored_reduced() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[3, 160, 80], &two_classes(24));
    let mut config = small_config(dir.path());
    (
        config.data.valid,
        config.train.epochs,
        config.train.batch_size,
    ) = (4, 1, 8);
    config.model.channels = vec![2, 2, 2];
    let story = train(&config, dir.path(), |_| Vec::new());
    let images = story.events.iter().find_map(|event| match event {
        Event::GalleryImages(images) => Some(images.clone()),
        _ => None,
    });
    let GalleryImages {
        height,
        width,
        labels,
        pixels,
    } = images.unwrap();
    assert_eq!((height, width, labels.len()), (64, 32, 24));
    let expected = labels
        .iter()
        .flat_map(|label| vec![*label as u8; 3 * 64 * 32]);
    assert_eq!(pixels.0, expected.collect::<Vec<u8>>());
    assert!(story.state.predictions.is_some());
}

#[test]
fn a_run_of_300_classes_is_trained_evaluated_and_read_back() {
    let data = tempfile::tempdir().unwrap();
    let labels: Vec<u16> = (0..900).map(|i| i % 300).collect();
    write(data.path(), &[8, 8], &labels);
    let runs = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_epochtop"))
        .args(["train", "--headless", "--name", "many", "--runs"])
        .arg(runs.path())
        .arg("--set")
        .arg(format!("data.dir={}", data.path().display()))
        .args(["--set", "data.name=mine", "--set", "data.valid=300"])
        .args(["--set", "model.channels=[4]", "--set", "train.epochs=1"])
        .args(["--set", "eval.bootstrap=0", "--set", "train.threads=1"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let run = RunDir::at(&runs.path().join("many"));
    let (_, journal) = replay(&run).unwrap();
    assert_eq!(journal.problems, Vec::<String>::new());
    let report = journal.state.test.latest.unwrap();
    assert_eq!(
        (report.confusion.classes(), report.confusion.total()),
        (300, 900)
    );
    let bytes = fs::metadata(run.journal()).unwrap().len();
    assert!(bytes < 1 << 20, "{bytes} bytes");
}
