//! Limits of the system: threads, address space, file size, and signals before the trainer listens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use epochtop::link::{Query, request};
use epochtop::run::Curve;
use epochtop::session::wire::Role;
use epochtop::session::{RunDir, connect};
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::shapes;
use crate::pty::PATIENCE;

/// `pthread_create` fails from the call number `$NTH` on, or once the file `$FULL` exists, as at a limit on the number of
/// threads.
const LIMIT: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static int calls = 0;
int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *x) {
  static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  if (!real) real = dlsym(RTLD_NEXT, "pthread_create");
  const char *nth = getenv("NTH"), *full = getenv("FULL");
  if (nth && __sync_add_and_fetch(&calls, 1) >= atoi(nth)) return EAGAIN;
  if (full && access(full, F_OK) == 0) return EAGAIN;
  return real(t, a, f, x);
}
"#;

struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let data = fixture.path("data");
        fs::create_dir(&data).unwrap();
        shapes(&data);
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn epochtop(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_epochtop"));
        command.env("XDG_CONFIG_HOME", "/nonexistent");
        command.env("EPOCHTOP_SOCKET_DIR", self.dir.path());
        command.stdin(Stdio::null());
        command
    }

    /// The arguments of a short training.
    fn training(&self, name: &str) -> Vec<String> {
        let (data, runs) = (self.path("data"), self.path("runs"));
        let mut words: Vec<String> = ["train", "--headless", "--name", name, "--runs"]
            .map(str::to_owned)
            .into();
        words.push(runs.display().to_string());
        let sets = [
            &format!("data.dir={}", data.display()),
            "train.threads=2",
            "data.name=shapes",
            "data.valid=100",
            "model.channels=[8,16]",
            "train.batch_size=64",
            "train.epochs=1",
            "eval.bootstrap=100",
        ];
        words.extend(
            sets.iter()
                .flat_map(|set| ["--set".to_owned(), (*set).to_owned()]),
        );
        words
    }

    fn train(&self, name: &str) -> Output {
        self.epochtop().args(self.training(name)).output().unwrap()
    }
}

/// Runs `epochtop` with these arguments after `ulimit` was called with these.
fn limited(limit: &str, args: &[&str]) -> Output {
    let script = format!("ulimit {limit} && exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_epochtop")]);
    command.args(args).env("XDG_CONFIG_HOME", "/nonexistent");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The process ends by itself within a minute.
fn end_of(mut child: Child) -> Output {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(60) {
            let _ = child.kill();
            let output = child.wait_with_output().unwrap();
            panic!(
                "the process hangs: {}{}",
                text(&output.stdout),
                text(&output.stderr)
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

fn compile(dir: &Path) -> PathBuf {
    let (source, library) = (dir.join("limit.c"), dir.join("limit.so"));
    fs::write(&source, LIMIT).unwrap();
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl");
    assert!(compiler.status().unwrap().success());
    library
}

/// The line with the test measures.
fn result(output: &str) -> Option<&str> {
    output.lines().find(|line| line.starts_with("test (best"))
}

/// Before: some limits ended the process without a word, one let it hang, others did not name the resource.
#[test]
fn at_a_thread_limit_a_run_completes_or_names_the_limit() {
    let fixture = Fixture::new();
    let library = compile(fixture.dir.path());
    let full = fixture.train("full");
    let full = text(&full.stdout);
    assert!(
        full.contains("(2 threads") && result(&full).is_some(),
        "{full}"
    );
    let mut completed = 0;
    for first in [
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20,
    ] {
        let mut command = fixture.epochtop();
        command.args(fixture.training(&format!("t{first}")));
        command
            .env("LD_PRELOAD", &library)
            .env("NTH", first.to_string());
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = end_of(child);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        match output.status.code() {
            Some(0) => {
                completed += 1;
                let fewer = !stdout.contains("(2 threads");
                assert!(result(&stdout).is_some());
                assert!(
                    fewer || result(&stdout) == result(&full),
                    "{first}: {stdout}"
                );
                assert!(
                    !fewer || stdout.contains("instead of 2 threads"),
                    "{first}: {stdout}"
                );
            }
            Some(1) => assert!(
                stderr.contains("ulimit -u") || stdout.contains("ulimit -u"),
                "{first}: {stdout}{stderr}"
            ),
            code => panic!("{first}: {code:?} {:?} {stdout}{stderr}", output.status),
        }
    }
    assert!(completed >= 3, "{completed} completed");
}

/// Waits until a process ignores a signal, as it does before the libraries initialize.
fn wait_until_ignored(child: &Child, signal: Signal) {
    let status = format!("/proc/{}/status", child.id());
    let ignored = || {
        let text = std::fs::read_to_string(&status).unwrap();
        let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
        mask >> (signal.as_raw() - 1) & 1 == 1
    };
    let began = Instant::now();
    while !ignored() {
        assert!(began.elapsed() < Duration::from_secs(10), "not ignored");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_checkpoint_signal_during_the_start_is_harmless() {
    let fixture = Fixture::new();
    for millis in [0, 30, 60, 150, 250] {
        for signal in [Signal::USR1, Signal::USR2] {
            let mut command = fixture.epochtop();
            command.args(fixture.training(&format!("u{millis}-{}", signal.as_raw())));
            let child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // The system still loads libraries before the first instruction of the program can run.
            wait_until_ignored(&child, signal);
            thread::sleep(Duration::from_millis(millis));
            kill_process(Pid::from_child(&child), signal).unwrap();
            let output = end_of(child);
            assert_eq!(
                output.status.code(),
                Some(0),
                "{millis} ms: {}",
                output.status
            );
        }
    }
}

/// Before: SIGHUP ended a trainer that had created its run but did not handle signals yet.
#[test]
fn terminal_closed_during_the_start_does_not_end_the_run() {
    let fixture = Fixture::new();
    let mut command = fixture.epochtop();
    command.args(fixture.training("a"));
    command.env("EPOCHTOP_FAULT", "hang@run.json:1");
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let journal = fixture.path("runs/a/events.jsonl");
    let began = Instant::now();
    while !journal.exists() {
        assert!(began.elapsed() < PATIENCE, "no journal");
        thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    thread::sleep(Duration::from_millis(300));
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ended, None);
}

/// Before: SIGXFSZ ended the program and left half a file.
#[test]
fn a_file_size_limit_is_an_error_that_leaves_no_partial_file() {
    let fixture = Fixture::new();
    assert_eq!(fixture.train("a").status.code(), Some(0));
    let (runs, out) = (fixture.path("runs"), fixture.path("out.svg"));
    let (runs, out) = (runs.to_str().unwrap(), out.to_str().unwrap());
    let export = ["export", "a", "--runs", runs, "--format", "json", "-o", out];
    let page = ["view", "a", "--runs", runs, "--screenshot", out];
    for args in [&export[..], &page] {
        let output = limited("-f 1", args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(
            stderr.contains("out.svg: not written") && stderr.contains("File too large"),
            "{stderr}"
        );
        assert_eq!(limited("-f 100000", args).status.code(), Some(0));
        assert!(Path::new(out).metadata().unwrap().len() > 1024);
        fs::remove_file(out).unwrap();
    }
    let left = fs::read_dir(fixture.dir.path()).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().ends_with(".tmp")),
        "{left:?}"
    );
}

#[test]
fn a_configuration_directory_that_is_a_file_counts_as_absent() {
    let fixture = Fixture::new();
    let file = fixture.path("file");
    fs::write(&file, "").unwrap();
    for args in [&["runs"][..], &["themes"], &["config", "print"]] {
        let mut command = fixture.epochtop();
        command
            .args(args)
            .env("XDG_CONFIG_HOME", &file)
            .current_dir(fixture.dir.path());
        let output = command.output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{args:?}: {}",
            text(&output.stderr)
        );
    }
}

/// Before: the C++ runtime ended the process with SIGABRT or SIGSEGV.
#[test]
fn a_limit_of_the_address_space_is_named() {
    let fixture = Fixture::new();
    let words = fixture.training("v");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for kib in [400_000, 600_000, 800_000] {
        let output = limited(&format!("-v {kib}"), &words);
        let stderr = text(&output.stderr);
        assert!(
            matches!(output.status.code(), Some(1 | 2)),
            "{kib}: {stderr}"
        );
        assert!(stderr.contains("(ulimit -v)"), "{kib}: {stderr}");
    }
    assert!(!fixture.path("runs").exists());
}

/// Results depend on the number of threads, so a run continues with that of its checkpoint.
#[test]
fn resume_on_fewer_cores_uses_the_threads_of_the_checkpoint() {
    if thread::available_parallelism().unwrap().get() < 2 {
        return;
    }
    let fixture = Fixture::new();
    let mut words = fixture.training("r");
    words.retain(|word| word != "train.threads=2");
    // Without the value, its `--set` is in front of the next one.
    let words: Vec<String> = words
        .iter()
        .enumerate()
        .filter(|(i, word)| {
            *word != "--set" || words.get(i + 1).is_some_and(|next| next != "--set")
        })
        .map(|(_, word)| word.clone())
        .collect();
    let output = fixture.epochtop().args(&words).output().unwrap();
    let threads = thread::available_parallelism().unwrap().get();
    let expected = format!("({threads} threads");
    assert!(
        text(&output.stdout).contains(&expected),
        "{}",
        text(&output.stdout)
    );
    let runs = fixture.path("runs");
    let mut resume = Command::new("taskset");
    resume.args([
        "-c",
        "0",
        env!("CARGO_BIN_EXE_epochtop"),
        "train",
        "--headless",
        "--resume",
        "r",
        "--runs",
    ]);
    resume
        .arg(&runs)
        .args(["--set", "train.epochs=2"])
        .env("XDG_CONFIG_HOME", "/nonexistent");
    let output = resume.output().unwrap();
    let stdout = text(&output.stdout);
    assert!(
        stdout.contains(&expected),
        "{stdout}{}",
        text(&output.stderr)
    );
    let journal = fs::read_to_string(runs.join("r/events.jsonl")).unwrap();
    let note = format!("continuing with the {threads} threads of the checkpoint on 1 cores");
    assert!(journal.contains(&note), "{stdout}");
}

/// Before: the thread of the grace period was created when the signal came, which failed at the limit.
#[test]
fn sigterm_ends_a_trainer_that_hangs_at_a_thread_limit() {
    let fixture = Fixture::new();
    let library = compile(fixture.dir.path());
    let (full, journal) = (fixture.path("full"), fixture.path("runs/h/events.jsonl"));
    let mut command = fixture.epochtop();
    command.args(fixture.training("h"));
    command
        .env("LD_PRELOAD", &library)
        .env("FULL", &full)
        .env("EPOCHTOP_FAULT", "hang@step:3")
        .env("EPOCHTOP_GRACE_S", "0.5");
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let trains = || fs::read_to_string(&journal).is_ok_and(|text| text.contains("epoch_started"));
    let began = Instant::now();
    while !trains() {
        assert!(began.elapsed() < Duration::from_secs(60), "does not train");
        thread::sleep(Duration::from_millis(20));
    }
    // It hangs in its third step, some milliseconds later.
    thread::sleep(Duration::from_secs(1));
    fs::write(&full, "").unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = end_of(child);
    assert_eq!(
        output.status.code(),
        Some(143),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// Before: the connection was closed without a reason.
#[test]
fn a_client_is_told_that_the_trainer_has_no_thread_for_it() {
    let fixture = Fixture::new();
    let library = compile(fixture.dir.path());
    let full = fixture.path("full");
    let mut command = fixture.epochtop();
    command.args(fixture.training("n"));
    command.env("LD_PRELOAD", &library).env("FULL", &full);
    command.env("EPOCHTOP_FAULT", "hang@step:3");
    let mut trainer = Trainer::start(&fixture, command, "n");
    let ctl = || {
        let mut command = fixture.epochtop();
        command.args(["ctl", "pause", "n", "--timeout", "0.5", "--runs"]);
        command.arg(fixture.path("runs")).output().unwrap()
    };
    fs::write(&full, "").unwrap();
    let stderr = text(&ctl().stderr);
    for words in ["cannot serve this client", "ulimit -u"] {
        assert!(stderr.contains(words), "{stderr}");
    }
    fs::remove_file(&full).unwrap();
    let stderr = text(&ctl().stderr);
    assert!(stderr.contains("not done within --timeout"), "{stderr}");
    trainer.child.kill().unwrap();
    trainer.child.wait().unwrap();
}

/// A training process and its socket.
struct Trainer {
    child: Child,
    socket: PathBuf,
}

impl Trainer {
    fn start(fixture: &Fixture, mut command: Command, name: &str) -> Self {
        let run = RunDir::at(&fixture.path("runs").join(name));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let began = Instant::now();
        let trains =
            || fs::read_to_string(run.journal()).is_ok_and(|text| text.contains("epoch_started"));
        while !trains() {
            assert!(began.elapsed() < Duration::from_secs(60), "does not train");
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(Duration::from_secs(1));
        let socket = run.meta().unwrap().socket.unwrap();
        Self { child, socket }
    }

    /// The processor time used by all its threads, seconds.
    fn processor_time(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks: f64 = [fields[11], fields[12]]
            .iter()
            .map(|n| n.parse::<f64>().unwrap())
            .sum();
        ticks / rustix::param::clock_ticks_per_second() as f64
    }
}

/// Before: queries and messages of clients used all cores, and training went from 110 to 29 steps per second.
#[test]
fn floods_of_clients_use_a_small_share_of_the_processor() {
    let fixture = Fixture::new();
    let mut words = fixture.training("f");
    let epochs = words.iter_mut().find(|word| *word == "train.epochs=1");
    "train.epochs=100000".clone_into(epochs.unwrap());
    let mut command = fixture.epochtop();
    command.args(words);
    let mut trainer = Trainer::start(&fixture, command, "f");
    let pause = || {
        let mut command = fixture.epochtop();
        command
            .args(["ctl", "pause", "--socket"])
            .arg(&trainer.socket);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    // A paused trainer uses no processor time itself.
    pause();
    let (socket, stop) = (&trainer.socket, &AtomicBool::new(false));
    let query = &Query::Series {
        curve: Curve::TrainLoss.into(),
        from: 0,
        to: u64::MAX,
        points: 10_000,
    };
    let used = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                let client = connect(socket, Role::Watcher, "queries").unwrap();
                let queries = client.link.queries.unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let _ = queries.ask.try_send((1, query.clone()));
                    let _ = queries.replies.recv_timeout(Duration::from_micros(10));
                }
            });
            scope.spawn(move || {
                let client = connect(socket, Role::Screen, "requests").unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let _ = client.link.send(request(epochtop::event::Command::Pause));
                    client.link.feed.try_iter().for_each(drop);
                }
            });
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    drop(connect(socket, Role::Watcher, "connections"));
                }
            });
        }
        // The budgets allow a burst.
        thread::sleep(Duration::from_secs(3));
        let (before, began) = (trainer.processor_time(), Instant::now());
        thread::sleep(Duration::from_secs(4));
        let used = (trainer.processor_time() - before) / began.elapsed().as_secs_f64();
        // Meanwhile a command is carried out soon.
        let began = Instant::now();
        pause();
        stop.store(true, Ordering::Relaxed);
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}",
            began.elapsed()
        );
        used
    });
    assert!(used < 0.35, "{used} cores");
    let bytes = fs::metadata(fixture.path("runs/f/events.jsonl"))
        .unwrap()
        .len();
    assert!(bytes < 1 << 20, "{bytes} bytes");
    trainer.child.kill().unwrap();
    trainer.child.wait().unwrap();
}

/// The limit is reached while the run trains: evaluations and the bootstrap use fewer threads, with the same result.
#[test]
fn thread_limit_in_mid_run_changes_no_result() {
    let fixture = Fixture::new();
    let library = compile(fixture.dir.path());
    let more = ["--set", "train.epochs=12", "--set", "eval.bootstrap=1000"];
    let undisturbed = fixture
        .epochtop()
        .args(fixture.training("a"))
        .args(more)
        .output();
    let undisturbed = text(&undisturbed.unwrap().stdout);
    let (full, journal) = (fixture.path("full"), fixture.path("runs/b/events.jsonl"));
    let mut command = fixture.epochtop();
    command.args(fixture.training("b")).args(more);
    command.env("LD_PRELOAD", &library).env("FULL", &full);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let began = Instant::now();
    while !fs::read_to_string(&journal).is_ok_and(|text| text.contains("epoch_started")) {
        assert!(began.elapsed() < Duration::from_secs(60), "does not train");
        thread::sleep(Duration::from_millis(5));
    }
    fs::write(&full, "").unwrap();
    let output = end_of(child.unwrap());
    let limited = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{limited}{}",
        text(&output.stderr)
    );
    assert!(result(&limited).is_some(), "{limited}");
    assert_eq!(result(&limited), result(&undisturbed));
}
