#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use super::super::meta::RunOutcome;
use super::super::process::process_mark;
use super::*;

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
