//! The last checkpoint of a run on a disk that is full: room is made for it, it is waited for, and it is written elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use epochtop::checkpoint::{Depth, Store, verify};
use rustix::process::{Pid, Signal, kill_process};

use crate::resume::{Place, hash, words};

/// A disk of the size in the file `$SIZE` with the directory `$DISK`: `write` to a file in it fails with ENOSPC if the
/// files in it would have more bytes.
const DISK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static long used;
static int add(const char *path, const struct stat *status, int kind) {
  if (kind == FTW_F) used += status->st_size;
  return 0;
}
static int is_full(int fd, size_t count) {
  const char *disk = getenv("DISK"), *file = getenv("SIZE");
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (!disk || !file || length <= 0 || strncmp(path, disk, strlen(disk))) return 0;
  long size = 0;
  FILE *limit = fopen(file, "r");
  if (!limit) return 0;
  if (fscanf(limit, "%ld", &size) != 1) size = 0;
  fclose(limit);
  pthread_mutex_lock(&one);
  used = 0;
  ftw(disk, add, 16);
  int full = used + (long)count > size;
  pthread_mutex_unlock(&one);
  return full;
}
ssize_t write(int fd, const void *bytes, size_t count) {
  static ssize_t (*real)(int, const void *, size_t);
  if (!real) real = dlsym(RTLD_NEXT, "write");
  if (count && is_full(fd, count)) {
    errno = ENOSPC;
    return -1;
  }
  return real(fd, bytes, count);
}
"#;

/// Data and runs, and a disk of limited size for the checkpoints of each run.
struct SmallDisk {
    place: Place,
    library: PathBuf,
    size: PathBuf,
    /// The size of one checkpoint in bytes.
    checkpoint: u64,
}

const NAME: &str = "one";

impl SmallDisk {
    /// Also trains the run `undisturbed` with enough room.
    fn new() -> Self {
        let place = Place::new();
        let dir = place.data.path();
        let (source, library) = (dir.join("disk.c"), dir.join("disk.so"));
        fs::write(&source, DISK).unwrap();
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .arg("-ldl");
        assert!(compiler.status().unwrap().success());
        let output = place.train("", "undisturbed", &["checkpoint.keep=9"]);
        assert!(output.status.success(), "{}", words(&output));
        let files = fs::read_dir(Store::new(&place.run("undisturbed")).path(40)).unwrap();
        let checkpoint = files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        Self {
            size: dir.join("size"),
            library,
            checkpoint,
            place,
        }
    }

    fn resize(&self, checkpoints: f64) {
        let bytes = (checkpoints * self.checkpoint as f64) as u64;
        fs::write(&self.size, bytes.to_string()).unwrap();
    }

    fn command(&self, more: &[&str]) -> Command {
        let more = [&["checkpoint.keep=9"][..], more].concat();
        let mut command = self.place.training("", NAME, &more);
        command
            .env("LD_PRELOAD", &self.library)
            .env("DISK", self.run().join("checkpoints"))
            .env("SIZE", &self.size);
        command
    }

    fn train(&self, more: &[&str]) -> Output {
        self.command(more).output().unwrap()
    }

    fn run(&self) -> PathBuf {
        self.place.run(NAME)
    }

    /// Starts a run and waits until it waits for room at its end.
    fn waiting(&self) -> Child {
        let mut command = self.command(&[]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let journal = self.run().join("events.jsonl");
        let began = Instant::now();
        while !fs::read_to_string(&journal).is_ok_and(|text| text.contains("waiting at most")) {
            assert!(began.elapsed() < Duration::from_secs(60), "does not wait");
            std::thread::sleep(Duration::from_millis(20));
        }
        child.unwrap()
    }

    /// Asserts that a checkpoint is that of the last step of the undisturbed run.
    fn assert_last(&self, checkpoint: &Path) {
        verify(checkpoint, Depth::Bytes).unwrap();
        let last = Store::new(&self.place.run("undisturbed")).path(40);
        for file in ["model.safetensors", "optim.safetensors"] {
            assert_eq!(
                hash(&checkpoint.join(file)),
                hash(&last.join(file)),
                "{file}"
            );
        }
    }
}

/// Before: the run ended as failed without the weights of its last epoch, while older checkpoints stayed.
#[test]
fn full_disk_at_the_last_save_takes_the_place_of_an_older_checkpoint() {
    let disk = SmallDisk::new();
    disk.resize(3.5);
    let output = disk.train(&[]);
    let text = words(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("the disk is full: removed checkpoints/step-")
            && text.contains("to make room for step-000000040"),
        "{text}"
    );
    let store = Store::new(&disk.run());
    assert_eq!(store.steps().len(), 3, "only one was removed: {text}");
    disk.assert_last(&store.path(40));
    let best = store.best().unwrap().unwrap();
    assert_eq!(best.missing, None);
    assert_eq!(store.newest_verified().unwrap().0.unwrap().global_step, 40);
}

#[test]
fn last_checkpoint_that_fits_nowhere_is_written_to_the_fallback_directory() {
    let disk = SmallDisk::new();
    disk.resize(0.5);
    let elsewhere = tempfile::tempdir().unwrap();
    let fallback = format!("checkpoint.fallback_dir={}", elsewhere.path().display());
    let output = disk.train(&["checkpoint.wait_minutes=0", &fallback]);
    let text = words(&output);
    assert!(output.status.success(), "{text}");
    let saved = elsewhere.path().join("one-step-000000040");
    disk.assert_last(&saved);
    assert!(
        text.contains(&format!("it is in {}", saved.display())) && text.contains("train --fork"),
        "{text}"
    );
    // The best one is there as well.
    let undisturbed = Store::new(&disk.place.run("undisturbed"));
    let best = undisturbed.best().unwrap().unwrap().global_step;
    let best = elsewhere
        .path()
        .join(format!("one-{}", epochtop::checkpoint::step_name(best)));
    assert!(best.exists(), "{text}");
    let saved = saved.to_str().unwrap();
    let evaluated = disk.place.program("", &["eval", saved]);
    assert!(evaluated.status.success(), "{}", words(&evaluated));
    let sets = ["--name", "two", "--set", "train.epochs=5"];
    let fork = ["train", "--headless", "--fork", saved];
    let forked = disk.place.program("", &[&fork[..], &sets[..]].concat());
    assert!(forked.status.success(), "{}", words(&forked));
    assert!(words(&forked).contains("epoch 5/5"), "{}", words(&forked));
    // A second run of that name does not replace it.
    fs::remove_dir_all(disk.run()).unwrap();
    let output = disk.train(&["checkpoint.wait_minutes=0", &fallback]);
    assert!(output.status.success(), "{}", words(&output));
    assert!(elsewhere.path().join("one-step-000000040-2").exists());
}

#[test]
fn fallback_directory_that_does_not_exist_is_refused_at_the_start() {
    let place = Place::new();
    let output = place.train("", NAME, &["checkpoint.fallback_dir=/nonexistent/place"]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("checkpoint.fallback_dir") && text.contains("/nonexistent/place"),
        "{text}"
    );
    assert!(!place.run(NAME).exists());
}

#[test]
fn run_waits_at_its_end_until_there_is_room() {
    let disk = SmallDisk::new();
    disk.resize(0.5);
    let child = disk.waiting();
    disk.resize(9.0);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    disk.assert_last(&Store::new(&disk.run()).path(40));
}

#[test]
fn stop_ends_the_wait_for_room() {
    let disk = SmallDisk::new();
    disk.resize(0.5);
    let child = disk.waiting();
    let began = Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = words(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(began.elapsed() < Duration::from_secs(15), "{text}");
    assert!(
        text.contains("completed and was evaluated, but its last checkpoint was not saved"),
        "{text}"
    );
}
