#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::config::{ChartMode, Head, Padding, ScheduleName};

fn set(texts: &[&str]) -> Result<Loaded, Problems> {
    load(&Sources {
        sets: texts.iter().map(|text| (*text).to_owned()).collect(),
        ..Sources::default()
    })
}

fn file(path: impl Into<PathBuf>) -> Result<Loaded, Problems> {
    load(&Sources {
        file: Some(path.into()),
        ..Sources::default()
    })
}

/// Loads one of the examples: a personal file by its name, or else a file of `-c`.
fn example(path: &Path) -> Result<Loaded, Problems> {
    let name = path.file_name().unwrap().to_str().unwrap();
    if !name.starts_with("personal") {
        return file(path);
    }
    load(&Sources {
        user_file: Some(path.to_owned()),
        ..Sources::default()
    })
}

/// The line of each problem, without the alignment of the complete list.
fn lines(problems: &Problems) -> Vec<String> {
    let alone = |problem: &Problem| {
        Problems(vec![problem.clone()])
            .to_string()
            .lines()
            .skip(1)
            .collect()
    };
    problems.0.iter().map(alone).collect()
}

fn files_of(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(directory);
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Writes the user's file and the file of `-c FILE` to a temporary directory, which is removed when it is dropped.
fn two_files(user: &str, run: &str) -> (tempfile::TempDir, Sources) {
    let directory = tempfile::tempdir().unwrap();
    let [user_file, file] = [("user.toml", user), ("my.toml", run)].map(|(name, text)| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    });
    (
        directory,
        Sources {
            user_file,
            file,
            ..Sources::default()
        },
    )
}

#[test]
fn bad_files_give_each_problem_at_its_line() {
    let files = files_of("bad-configs");
    assert!(files.len() >= 8);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let expected: Vec<&str> = text
            .lines()
            .next()
            .unwrap()
            .strip_prefix("# expect: ")
            .unwrap()
            .split(" | ")
            .collect();
        let found = lines(&example(&path).unwrap_err());
        let all_there = expected.len() == found.len()
            && expected
                .iter()
                .zip(&found)
                .all(|(part, line)| line.contains(part));
        assert!(
            all_there,
            "{}\nexpected\n{}\nfound\n{}",
            path.display(),
            expected.join("\n"),
            found.join("\n")
        );
    }
}

#[test]
fn good_files_load() {
    let files = files_of("good-configs");
    assert!(files.len() >= 3);
    for path in files {
        if let Err(problems) = example(&path) {
            panic!("{}: {problems}", path.display());
        }
    }
}

#[test]
fn a_file_changes_only_the_keys_it_contains() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good-configs/some-keys.toml");
    let loaded = file(&path).unwrap();
    let mut expected = Config::default();
    expected.data.augment.flip = false;
    expected.data.augment.shift = 2;
    expected.model.channels = vec![8];
    expected.model.padding = Padding::Valid;
    expected.model.first_kernel = 4;
    expected.model.head = Head::Flatten;
    expected.train.seed = i64::MAX as u64;
    expected.train.device = "cuda:1".to_owned();
    expected.optim.clip_norm = 0.0;
    expected.optim.warmup_epochs = 0.0;
    expected.system.every_seconds = 0.0;
    assert_eq!(loaded.config, expected);
    assert_eq!(
        loaded.origin("data.augment.shift"),
        Origin::File {
            path: path.clone(),
            line: Some(2)
        }
    );
    let path = path.with_file_name("personal.toml");
    let loaded = example(&path).unwrap();
    let mut expected = Config::default();
    expected.ui.fps = 60;
    let keys = &mut expected.keys.0;
    keys.insert("pause".to_owned(), vec!["p".to_owned()]);
    keys.insert("help".to_owned(), vec![]);
    assert_eq!(loaded.config, expected);
    let line = Some(5);
    assert_eq!(loaded.origin("keys.pause"), Origin::File { path, line });
    assert_eq!(loaded.origin("keys.quit"), Origin::Default);
}

#[test]
fn no_sources_give_the_defaults() {
    assert_eq!(load(&Sources::default()).unwrap().config, Config::default());
}

#[test]
fn later_sources_win() {
    let (_directory, mut sources) = two_files(
        "runs.dir = 'u'\nui.fps = 5",
        "[train]\nepochs = 2\nbatch_size = 8\n[optim]\nlr = 0.5",
    );
    sources.preset = Some("large".to_owned());
    sources.sets = vec!["optim.lr=0.25".to_owned(), "optim.lr=0.125".to_owned()];
    let loaded = load(&sources).unwrap();
    let Config {
        train,
        optim,
        runs,
        ui,
        ..
    } = &loaded.config;
    assert_eq!(
        (
            runs.dir.as_str(),
            ui.fps,
            train.epochs,
            train.batch_size,
            optim.lr
        ),
        ("u", 5, 60, 512, 0.125)
    );
    assert_eq!(
        loaded.origin("train.epochs"),
        Origin::Preset("large".to_owned())
    );
    assert_eq!(
        loaded.origin("optim.lr"),
        Origin::Set("optim.lr=0.125".to_owned())
    );
    assert_eq!(
        loaded.origin("ui.fps"),
        Origin::File {
            path: sources.user_file.unwrap(),
            line: Some(2)
        }
    );
}

#[test]
fn the_users_file_may_not_set_keys_of_runs() {
    let (_directory, sources) = two_files("[ui]\nfps = 5\n[optim]\nlr = 0.1\n[keyz]\na = 'b'", "");
    let found = lines(&load(&sources).unwrap_err());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("user.toml:4  optim.lr  cannot be set in the user's file"),
        "{found:?}"
    );
    assert!(
        found[1].contains("user.toml:5  keyz  unknown section, did you mean `[keys]`?"),
        "{found:?}"
    );
}

#[test]
fn personal_settings_come_from_the_user_only() {
    let (_directory, mut sources) = two_files("[notify]\nbell = true\non = ['failure']", "");
    sources.sets = vec!["notify.command=mail -s done me".to_owned()];
    let notify = load(&sources).unwrap().config.notify;
    assert_eq!(
        (notify.bell, notify.command.as_str(), notify.on.len()),
        (true, "mail -s done me", 1)
    );
    // Before: `train -c FILE` executed the command in it.
    for setting in [
        "notify.command = 'rm -r /'",
        "ui.fps = 1",
        "keys.quit = 'x'",
        "runs.dir = '/'",
    ] {
        let text = format!("train.epochs = 2\n{setting}");
        let (_directory, in_file) = two_files("", &text);
        let recorded = Sources {
            recorded: Some((PathBuf::from("state.json"), text)),
            ..Sources::default()
        };
        for sources in [in_file, recorded] {
            let found = lines(&load(&sources).unwrap_err());
            let key = setting.split(' ').next().unwrap();
            let expected = format!(":2  {key}  is a personal setting");
            assert!(
                matches!(&found[..], [line] if line.contains(&expected)),
                "{found:?}"
            );
        }
    }
}

#[test]
fn a_missing_file_is_a_problem_unless_it_is_the_users_file() {
    let missing = PathBuf::from("/nonexistent/x.toml");
    assert!(
        load(&Sources {
            user_file: Some(missing.clone()),
            ..Sources::default()
        })
        .is_ok()
    );
    let found = lines(&file(missing).unwrap_err());
    assert!(
        found[0].starts_with("/nonexistent/x.toml  cannot be read: "),
        "{found:?}"
    );
}

#[test]
fn ui_keys_accept_only_their_valid_words() {
    let (_directory, mut sources) = two_files("ui.chart = 'halfblock'\nui.mouse = true", "");
    let ui = load(&sources).unwrap().config.ui;
    assert_eq!((ui.chart, ui.mouse), (ChartMode::Halfblock, true));
    sources.sets = vec!["ui.chart=dots".to_owned(), "ui.mouse=1".to_owned()];
    let found = lines(&load(&sources).unwrap_err());
    let expected = [
        "--set  ui.chart = \"dots\"  must be one of `auto`, `braille`, `halfblock`, `ascii`",
        "--set  ui.mouse = 1  must be true or false (default: false)",
    ];
    assert_eq!(found, expected);
}

#[test]
fn problems_of_all_sources_are_reported_at_once() {
    let (_directory, mut sources) = two_files("ui.fps = 0\nui.art = 'x'", "optim.lr = -1");
    sources.preset = Some("larg".to_owned());
    sources.sets = vec!["x".to_owned(), "train.epochs=0".to_owned()];
    let found = lines(&load(&sources).unwrap_err());
    let expected = [
        "/user.toml:1  ui.fps = 0  must be between 1 and 60 (default: 10)",
        "/user.toml:2  ui.art = \"x\"  must be one of `auto`, `ascii`, `halfblock`",
        "/my.toml:1  optim.lr = -1  must be greater than 0 (default: 0.008)",
        "preset larg  no such preset, did you mean `large`?",
        "--set  x  must have the form section.key=value",
        "--set  train.epochs = 0  must be at least 1 (default: 46)",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, part) in found.iter().zip(expected) {
        assert!(line.ends_with(part), "{part} at the end of {line}");
    }
}

#[test]
fn set_takes_toml_and_bare_words() {
    let loaded = set(&[
        "ui.theme=light",
        "model.channels=[16,32]",
        "data.augment={flip=false, shift=1}",
        " optim . schedule = linear ",
        "train.device=cuda:1",
        "model.padding=0",
        "data.dir=/a=b",
        "runs.dir=2024-01-01",
        "data.name=1",
        "keys.pause=1",
        "optim.lr=1e-3",
    ]);
    let config = loaded.unwrap().config;
    assert_eq!(config.ui.theme, "light");
    assert_eq!(config.model.channels, [16, 32]);
    assert_eq!(
        (config.data.augment.flip, config.data.augment.shift),
        (false, 1)
    );
    assert_eq!(config.optim.schedule, ScheduleName::Linear);
    assert_eq!(config.train.device, "cuda:1");
    assert_eq!(config.model.padding, Padding::Valid);
    assert_eq!(config.data.dir, "/a=b");
    assert_eq!(config.runs.dir, "2024-01-01");
    assert_eq!(config.data.name, "1");
    assert_eq!(config.keys.0["pause"], ["1"]);
    assert_eq!(config.optim.lr, 1e-3);
}

#[test]
fn set_rejects_malformed_arguments() {
    let found = lines(
        &set(&[
            "",
            "=1",
            "optim.=1",
            "lr=1",
            "optim.lr=",
            "optim.lr=1\neps=2",
            "optim=1",
        ])
        .unwrap_err(),
    );
    let expected = [
        "--set  must have the form section.key=value",
        "--set  =1  must have the form",
        "--set  optim.=1  must have the form",
        "--set  lr  unknown key, did you mean `optim.lr`?",
        "--set  optim.lr = \"\"  must be a number",
        "--set  optim.lr = ",
        "--set  optim = 1  is a section",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, part) in found.iter().zip(expected) {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn every_preset_loads_alone() {
    for (name, _) in presets() {
        let loaded = load(&Sources {
            preset: Some((*name).to_owned()),
            ..Sources::default()
        })
        .unwrap();
        assert_ne!(loaded.config, Config::default(), "{name}");
        assert_eq!(loaded.config.warnings(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn loaded_configurations_round_trip() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    for (name, _) in presets() {
        let config = load(&Sources {
            preset: Some((*name).to_owned()),
            ..Sources::default()
        })
        .unwrap()
        .config;
        for text in [config.to_toml(), config.run_toml()] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(file(&path).unwrap().config, config);
        }
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_panic() {
    let deep =
        |open: &str, close: &str| format!("{}1{}", open.repeat(60_000), close.repeat(60_000));
    for text in [
        format!("{}a=1", "a.".repeat(60_000)),
        format!("[{}a]", "a.".repeat(60_000)),
        format!("a={}", deep("[", "]")),
        format!("a={}", deep("{a=", "}")),
    ] {
        let (_directory, sources) = two_files("", &text);
        assert!(load(&sources).is_err());
        assert!(set(&[&text]).is_err());
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_does_not_panic(text in "([a-z]{0,6}[.=\\[\\]\"'{}#\n ]{0,3}){0,12}", bytes: Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.toml");
        std::fs::write(&path, &bytes).unwrap();
        drop(file(&path).map_err(|problems| problems.to_string()));
        std::fs::write(&path, &text).unwrap();
        drop(file(&path).map_err(|problems| problems.to_string()));
        drop(set(&[&text, &format!("optim.{text}"), &format!("model.channels={text}")]).map_err(|problems| problems.to_string()));
    }
}
