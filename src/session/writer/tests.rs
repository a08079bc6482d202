#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use std::path::Path;

use super::super::append::Journal;
use super::super::files::RunFiles;
use super::super::journal;
use super::super::meta::RunOutcome;
use super::super::process::process_mark;
use super::*;
use crate::event::{Event, Record};

/// A run whose `run.json` says that this process trains it, changed by `change`.
fn run(change: impl FnOnce(&mut Meta)) -> (tempfile::TempDir, RunDir, Meta) {
    let runs = tempfile::tempdir().unwrap();
    let run = RunDir::create(runs.path(), "one", "").unwrap();
    std::fs::write(run.journal(), "").unwrap();
    let mut meta = Meta {
        outcome: RunOutcome::Running,
        pid: std::process::id(),
        host: host(),
        process: process_mark(),
        ..Meta::default()
    };
    change(&mut meta);
    let json = serde_json::to_vec(&meta).unwrap();
    std::fs::write(run.path.join("run.json"), json).unwrap();
    (runs, run, meta)
}

fn writer(lock: Lock, change: impl FnOnce(&mut Meta)) -> Writer {
    let (_runs, run, meta) = run(change);
    writer_of(&run, &meta, lock)
}

#[cfg(target_os = "linux")]
#[test]
fn without_locks_the_recorded_process_decides() {
    assert_eq!(writer(Lock::Unknown, |_| {}), Writer::Live);
    let gone = |meta: &mut Meta| meta.process.push('0');
    assert_eq!(writer(Lock::Unknown, gone), Writer::Absent);
    let ended = |meta: &mut Meta| meta.outcome = RunOutcome::Stopped;
    assert_eq!(writer(Lock::Unknown, ended), Writer::Absent);
    let elsewhere = |meta: &mut Meta| meta.host = "node17".to_owned();
    let found = writer(Lock::Unknown, elsewhere);
    assert!(matches!(found, Writer::Unknown(holder) if holder.host == "node17"));
    // With locks, the lock decides for this host.
    assert_eq!(writer(Lock::Free, |_| {}), Writer::Absent);
    assert_eq!(writer(Lock::Taken, gone), Writer::Live);
}

#[test]
fn without_locks_an_answering_socket_means_a_live_run() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let here = |meta: &mut Meta| {
        meta.host = "renamed".to_owned();
        meta.socket = Some(socket.clone());
    };
    assert_eq!(writer(Lock::Unknown, here), Writer::Live);
    drop(listener);
    assert!(matches!(writer(Lock::Unknown, here), Writer::Unknown(_)));
}

#[test]
fn a_lock_of_another_host_is_doubted_while_the_journal_is_recent() {
    let (_runs, run, meta) = run(|meta| meta.host = "node17".to_owned());
    assert!(matches!(
        writer_of(&run, &meta, Lock::Free),
        Writer::Unknown(_)
    ));
    let journal = std::fs::File::options().append(true).open(run.journal());
    let long_ago = std::time::SystemTime::now() - 2 * RECENT;
    journal.unwrap().set_modified(long_ago).unwrap();
    assert_eq!(writer_of(&run, &meta, Lock::Free), Writer::Absent);
    assert!(LockedJournal::open(&run, false).is_ok());
}

#[test]
fn a_journal_that_another_host_writes_cannot_be_taken() {
    let (_runs, run, _) = run(|meta| meta.host = "node17".to_owned());
    let path = run.journal();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writing = std::thread::spawn(move || {
        use std::io::Write;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let mut file = std::fs::File::options().append(true).open(&path).unwrap();
            file.write_all(b"{}\n").unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let error = LockedJournal::open(&run, false).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(error.to_string().contains("on node17 writes"), "{error}");
    drop(stop);
    writing.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_is_claimed_by_one_process_and_that_of_a_killed_one_is_replaced() {
    let (_runs, run, _) = run(|meta| meta.outcome = RunOutcome::Stopped);
    let dir = run.open().unwrap();
    let claim = Claim::new(&dir, false).unwrap();
    let error = Claim::new(&dir, false).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(
        writer_of(&run, &run.meta().unwrap(), Lock::Unknown),
        Writer::Live
    );
    drop(claim);
    assert!(!dir.exists(CLAIM));
    let mut killed = Holder::own();
    killed.process.push('0');
    for left in [serde_json::to_vec(&killed).unwrap(), b"{\"pi".to_vec()] {
        dir.write_new(CLAIM, &left).unwrap();
        drop(Claim::new(&dir, false).unwrap());
        assert!(!dir.exists(CLAIM));
    }
    killed.host.push('2');
    let far = serde_json::to_vec(&killed).unwrap();
    dir.write_new(CLAIM, &far).unwrap();
    assert!(Claim::new(&dir, false).is_err());
    drop(Claim::new(&dir, true).unwrap());
}

fn log(seq: u64) -> Record {
    let text = format!("line {seq}");
    let level = crate::event::Level::Info;
    Record {
        seq,
        t_ms: seq,
        run_ms: None,
        event: Event::Log { level, text },
    }
}

/// A live run with three records.
fn live() -> (tempfile::TempDir, RunDir, RunFiles) {
    let runs = tempfile::tempdir().unwrap();
    let run = RunDir::create(runs.path(), "one", "").unwrap();
    let mut files = RunFiles::create(&run.path, Meta::default()).unwrap();
    (1..4).for_each(|seq| assert_eq!(files.write(&log(seq)), None));
    (runs, run, files)
}

fn recorded(run: &RunDir) -> Vec<u64> {
    let mut seqs = Vec::new();
    let problems = journal::each(&run.journal(), |record| seqs.push(record.seq)).unwrap();
    assert_eq!(problems, Vec::<String>::new());
    seqs
}

/// Replaces a file by a copy of itself, as `sed -i` does.
fn replace_by_copy(path: &Path) {
    let copy = path.with_extension("copy");
    std::fs::copy(path, &copy).unwrap();
    std::fs::rename(&copy, path).unwrap();
}

/// Before: the lock was on the journal, and the copy had none.
#[test]
fn a_journal_that_is_replaced_by_a_copy_lets_no_second_writer_in() {
    let (_runs, run, files) = live();
    replace_by_copy(&run.journal());
    assert_eq!(lock_of(&run), Lock::Taken);
    let error = LockedJournal::open(&run, true).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
    drop(files);
    assert_eq!(lock_of(&run), Lock::Free);
    assert!(LockedJournal::open(&run, false).is_ok());
}

#[test]
fn of_a_replaced_or_deleted_journal_no_record_is_lost_and_the_run_stays_locked() {
    type Change = fn(&RunDir);
    let changes: [(&str, Change); 4] = [
        ("journal", |run| replace_by_copy(&run.journal())),
        ("all files", |run| {
            replace_by_copy(&run.path.join(LOCK));
            replace_by_copy(&run.journal());
        }),
        ("deleted", |run| {
            std::fs::remove_file(run.journal()).unwrap();
        }),
        ("half a line", |run| {
            let text = std::fs::read(run.journal()).unwrap();
            let half = run.path.join("half");
            std::fs::write(&half, &text[..text.len() - 20]).unwrap();
            std::fs::rename(&half, run.journal()).unwrap();
        }),
    ];
    for (name, change) in changes {
        let (_runs, run, mut files) = live();
        change(&run);
        let (_, warning) = files.write(&log(4)).unwrap();
        assert!(warning.contains("events.jsonl was replaced"), "{warning}");
        assert_eq!(files.write(&log(5)), None);
        if name == "half a line" {
            let text = std::fs::read_to_string(run.journal()).unwrap();
            assert_eq!(text.lines().count(), 6, "{text}");
            assert!(text.ends_with(&(serde_json::to_string(&log(5)).unwrap() + "\n")));
        } else {
            assert_eq!(recorded(&run), [1, 2, 3, 4, 5], "{name}");
        }
        for file in [JOURNAL, LOCK] {
            let locked = std::fs::File::open(run.path.join(file)).unwrap().try_lock();
            assert!(locked.is_err(), "{name}: {file} is not locked");
        }
        // The last change before the end of the run.
        change(&run);
        assert_eq!(files.settle(std::time::Instant::now()), []);
        let (_, warning) = files.recovered().unwrap();
        assert!(warning.contains("events.jsonl was replaced"), "{warning}");
        drop(files);
        assert!(
            name == "half a line" || recorded(&run) == [1, 2, 3, 4, 5],
            "{name}"
        );
    }
}

/// The journal of a run that an edit with `cp` and `mv` made older than the run: records were added in between.
#[test]
fn records_between_the_copy_and_its_renaming_are_appended_to_it() {
    let (_runs, run, mut files) = live();
    let copy = run.path.join("copy");
    std::fs::copy(run.journal(), &copy).unwrap();
    (4..6).for_each(|seq| assert_eq!(files.write(&log(seq)), None));
    std::fs::rename(&copy, run.journal()).unwrap();
    let (_, warning) = files.write(&log(6)).unwrap();
    assert!(warning.contains("2 records that it lacked"), "{warning}");
    assert_eq!(recorded(&run), [1, 2, 3, 4, 5, 6]);
}

/// Also a later evaluation holds the journal for a while.
#[test]
fn an_evaluation_of_an_ended_run_appends_to_the_replaced_journal() {
    let (_runs, run, files) = live();
    drop(files);
    let mut held = Journal::take(&run).unwrap();
    replace_by_copy(&run.journal());
    held.append(log(4).event).unwrap();
    assert_eq!(recorded(&run), [1, 2, 3, 4]);
}

/// Earlier versions lock only the journal.
#[test]
fn a_writer_of_an_earlier_version_and_a_new_one_exclude_each_other() {
    let (_runs, run, _) = run(|meta| meta.outcome = RunOutcome::Stopped);
    let journal = || {
        std::fs::File::options()
            .append(true)
            .open(run.journal())
            .unwrap()
    };
    assert!(!run.path.join(LOCK).exists());
    assert_eq!(lock_of(&run), Lock::Free);
    let old = journal();
    old.try_lock().unwrap();
    assert_eq!(lock_of(&run), Lock::Taken);
    let error = LockedJournal::open(&run, false).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    drop(old);
    let new = LockedJournal::open(&run, false).unwrap();
    assert!(run.path.join(LOCK).is_file());
    assert!(journal().try_lock().is_err());
    drop(new);
    // The file is locked a moment longer if another test is starting a process.
    let mut tries = 0..100;
    while journal().try_lock().is_err() {
        assert!(tries.next().is_some(), "still locked");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Root evaluates a user's run: its owner must be able to lock the file that root created.
#[test]
fn a_lock_file_that_cannot_be_written_is_locked_all_the_same() {
    use std::os::unix::fs::PermissionsExt;
    let (_runs, run, _) = run(|meta| meta.outcome = RunOutcome::Stopped);
    let path = run.path.join(LOCK);
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    let held = LockedJournal::open(&run, false).unwrap();
    assert_eq!(lock_of(&run), Lock::Taken);
    drop(held);
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    let error = LockedJournal::open(&run, false).unwrap_err();
    assert!(
        error.to_string().contains("lock: is a symbolic link"),
        "{error}"
    );
}
