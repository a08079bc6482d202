//! Run directories as an attacker would make them, and commands on them with limits of time and memory. The directory
//! beside them, to which their links lead, must stay as it is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};

/// What takes the place of a file or directory of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    LinkToFile,
    LinkToDirectory,
    /// A link to a name outside that is free: writing through it creates a file there.
    LinkToNothing,
    /// A second name of a file outside.
    HardLink,
    Pipe,
    Socket,
    /// `/dev/zero`; only root can make one.
    Device,
    /// 20 GB without content.
    Sparse,
    /// A directory 300 levels deep.
    Directory,
    Empty,
    /// Terminal escapes, in the texts of a JSON object.
    Escapes,
    /// Brackets, a million deep.
    Nested,
}

impl Kind {
    pub(crate) const ALL: [Self; 12] = [
        Self::LinkToFile,
        Self::LinkToDirectory,
        Self::LinkToNothing,
        Self::HardLink,
        Self::Pipe,
        Self::Socket,
        Self::Device,
        Self::Sparse,
        Self::Directory,
        Self::Empty,
        Self::Escapes,
        Self::Nested,
    ];

    /// Puts it in the place of `path`.
    fn put(self, path: &Path, outside: &Path) {
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            let _ = fs::remove_file(path);
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let node = |kind, device| mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device);
        match self {
            Self::LinkToFile => symlink(outside.join("file"), path).unwrap(),
            Self::LinkToDirectory => symlink(outside.join("run"), path).unwrap(),
            Self::LinkToNothing => symlink(outside.join("nothing"), path).unwrap(),
            Self::HardLink => fs::hard_link(outside.join("file"), path).unwrap(),
            Self::Pipe => node(FileType::Fifo, 0).unwrap(),
            Self::Socket => drop(UnixListener::bind(path).unwrap()),
            Self::Device => {
                let _ = node(FileType::CharacterDevice, rustix::fs::makedev(1, 5));
            }
            Self::Sparse => File::create(path).unwrap().set_len(20 << 30).unwrap(),
            Self::Directory => {
                let mut deep = path.to_owned();
                deep.extend(std::iter::repeat_n("d", 300));
                fs::create_dir_all(deep).unwrap();
            }
            Self::Empty => fs::write(path, "").unwrap(),
            Self::Escapes => {
                let escape = "\\u001b]0;owned\\u0007\\u001b[2J\\u009b31m\\u202e";
                let text = format!(
                    "{{\"run\":\"{escape}\",\"host\":\"{escape}\",\"outcome\":\"{escape}\",\"error\":\"{escape}\",\
                     \"seq\":1,\"t_ms\":1,\"event\":\"log\",\"level\":\"info\",\"text\":\"{escape}\"}}\n\x1b[2J\x07\n"
                );
                fs::write(path, text).unwrap();
            }
            Self::Nested => fs::write(path, "[".repeat(1_000_000)).unwrap(),
        }
    }
}

/// Names that this program or an earlier version writes, or has written, in a run directory, beside those of a finished
/// run.
const OTHER_NAMES: [&str; 12] = [
    "config.tmp",
    "run.tmp",
    "epochs.tmp",
    "eval.json.tmp-1",
    "predictions.csv.tmp-1",
    "model.pt",
    "model.pt.tmp",
    "writer.json",
    "tb",
    "evals/step-000000420.csv",
    "checkpoints/.tmp-step-000000999",
    "checkpoints/bad-step-000000999-1",
];

/// A place with a directory of runs and a directory beside it that must not change.
pub(crate) struct Lab {
    place: tempfile::TempDir,
    before: BTreeMap<PathBuf, Vec<u8>>,
}

/// The result of a command.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) text: String,
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/runs-0.1")
        .join(name)
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Each file and directory below `dir`, relative to it.
fn names_below(dir: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        for entry in fs::read_dir(dir.join(&below)).unwrap() {
            let entry = entry.unwrap();
            let name = below.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                open.push(name.clone());
            }
            names.push(name);
        }
    }
    names.sort();
    names
}

/// The names that are replaced in copies of a run.
pub(crate) fn names_of(run: &str) -> Vec<PathBuf> {
    let mut names = names_below(&fixture(run));
    names.extend(OTHER_NAMES.map(PathBuf::from));
    names.sort();
    names.dedup();
    names
}

impl Lab {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let outside = place.path().join("outside");
        copy(&fixture("finished"), &outside.join("run"));
        // What could be taken for leftovers, checkpoints to prune and event files.
        for name in [
            "file",
            "run/run.tmp",
            "run/eval.json.tmp-1",
            "run/.tmp-step-000000999/model.safetensors",
            "run/bad-step-000000999-1/state.json",
            "run/step-000000001/state.json",
            "run/events.out.tfevents.0000000001.host",
        ] {
            let path = outside.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "theirs\n").unwrap();
        }
        fs::create_dir(place.path().join("runs")).unwrap();
        let mut lab = Self {
            place,
            before: BTreeMap::new(),
        };
        lab.before = lab.outside();
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Adds a copy of a run in which `kind` takes the place of `replaced`.
    pub(crate) fn add(&self, run: &str, name: &str, replaced: &[&Path], kind: Kind) {
        let dir = self.path("runs").join(name);
        copy(&fixture(run), &dir);
        for replaced in replaced {
            kind.put(&dir.join(replaced), &self.path("outside"));
        }
    }

    /// Type, content and time of each file outside.
    fn outside(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let root = self.path("outside");
        let names = names_below(&root).into_iter();
        names
            .map(|name| {
                let path = root.join(&name);
                let meta = fs::symlink_metadata(&path).unwrap();
                let mut value = format!(
                    "{:?} {}.{}\n",
                    meta.file_type(),
                    meta.mtime(),
                    meta.mtime_nsec()
                );
                if meta.is_dir() {
                    value += "directory";
                }
                let mut value = value.into_bytes();
                if meta.is_file() {
                    value.extend(fs::read(&path).unwrap());
                } else if meta.is_symlink() {
                    value.extend(fs::read_link(&path).unwrap().as_os_str().as_bytes());
                }
                (name, value)
            })
            .collect()
    }

    /// Asserts that nothing outside was changed.
    #[track_caller]
    pub(crate) fn assert_untouched(&self, after: &str) {
        let now = self.outside();
        let changed: Vec<&PathBuf> = now
            .iter()
            .filter(|(name, value)| self.before.get(*name) != Some(value))
            .map(|(name, _)| name)
            .chain(self.before.keys().filter(|name| !now.contains_key(*name)))
            .collect();
        assert!(changed.is_empty(), "{after}: changed outside: {changed:?}");
    }

    /// Runs a command with at most `gib` of memory and for at most `seconds`. Asserts that it ends by itself, without a
    /// panic, and prints no control characters.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str], gib: u64, seconds: u64) -> Ran {
        let kib = gib << 20;
        let script = format!("ulimit -v {kib}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_epochtop")])
            .args(args)
            .current_dir(self.place.path())
            .env("HOME", self.path("home"))
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .env("EPOCHTOP_SOCKET_DIR", self.place.path())
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "dumb")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let began = Instant::now();
        let child = command.spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let (sender, done) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            let output = child.wait_with_output();
            let _ = sender.send(());
            output
        });
        if done.recv_timeout(Duration::from_secs(seconds)).is_err() {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("{args:?}: not done after {:?}", began.elapsed());
        }
        let Output {
            status,
            stdout,
            stderr,
        } = waiting.join().unwrap().unwrap();
        let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        let code = status.code().unwrap_or(-1);
        assert!((0..=3).contains(&code), "{args:?}: {status}: {text}");
        assert!(!text.contains("panicked"), "{args:?}: {text}");
        let is_odd = |c: char| c.is_control() && c != '\n' && c != '\t' || c == '\u{202e}';
        assert!(!text.contains(is_odd), "{args:?}: {text:?}");
        Ran { code, text }
    }
}
