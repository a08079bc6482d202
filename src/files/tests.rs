#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use std::os::unix::fs::symlink;

use super::*;
use crate::fault::{Fault, FaultKind, with};

fn directory() -> (tempfile::TempDir, Dir) {
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::open(place.path()).unwrap();
    (place, dir)
}

#[test]
fn directory_that_many_processes_need_is_created_once() {
    let place = tempfile::tempdir().unwrap();
    for n in 0..20 {
        let name = format!("evals-{n}");
        let ensure = || {
            Dir::open(place.path())
                .unwrap()
                .ensure_subdir(&name)
                .map(drop)
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ensure)).collect();
            threads.into_iter().for_each(|t| t.join().unwrap().unwrap());
        });
    }
}

#[test]
fn replaced_file_has_the_new_content_and_no_leftovers() {
    let (_place, dir) = directory();
    dir.replace("run.json", b"old, and longer").unwrap();
    dir.replace("run.json", b"new").unwrap();
    assert_eq!(dir.read_text("run.json", 3).unwrap(), "new");
    assert_eq!(dir.names().unwrap(), ["run.json"]);
    let error = dir.read("run.json", 2).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
}

#[test]
fn failed_replacement_leaves_the_old_or_the_new_file() {
    for nth in 1.. {
        let (_place, dir) = directory();
        dir.replace("BEST", b"old").unwrap();
        let dir = dir.with_faults();
        let fault = Fault {
            kind: FaultKind::Fails(Errno::NOSPC.raw_os_error()),
            op: "any".to_owned(),
            nth,
            and_later: true,
        };
        let (replaced, operations) = with(Some(fault), || dir.replace("BEST", b"new"));
        if nth > operations {
            assert_eq!(operations, 5, "create, write, fsync, rename, fsync");
            break;
        }
        let error = replaced.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(dir.names().unwrap(), ["BEST"], "operation {nth}");
        let expected = if nth == 5 { "new" } else { "old" };
        assert_eq!(dir.read_text("BEST", 9).unwrap(), expected);
    }
}

#[test]
fn staged_file_has_a_random_name_and_is_removed_unless_committed() {
    let (_place, dir) = directory();
    let (one, other) = (dir.stage("a", b"1").unwrap(), dir.stage("a", b"2").unwrap());
    assert!(one.temporary != other.temporary && one.temporary.starts_with(".tmp-a-"));
    assert_eq!(dir.names().unwrap().len(), 2);
    one.commit().unwrap();
    drop(other);
    assert_eq!(dir.names().unwrap(), ["a"]);
    assert_eq!(dir.read("a", 1).unwrap(), b"1");
}

#[test]
fn symlinks_are_not_followed_and_pipes_do_not_block() {
    let (place, dir) = directory();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("file"), "theirs").unwrap();
    symlink(outside.path().join("file"), place.path().join("link")).unwrap();
    symlink(outside.path(), place.path().join("elsewhere")).unwrap();
    let pipe = place.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    dir.make_subdir("directory").unwrap();
    for name in ["link", "pipe", "directory"] {
        for opened in [dir.open_read(name), dir.append(name)] {
            let error = opened.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}: {error}");
            let what = match name {
                "link" => "is a symbolic link",
                _ => "not a regular file",
            };
            assert!(error.to_string().contains(what), "{error}");
        }
    }
    let error = dir.subdir("elsewhere").unwrap_err();
    assert!(error.to_string().contains("is a symbolic link"), "{error}");
    assert!(!dir.has_subdir("elsewhere") && dir.has_subdir("directory"));
    assert!(dir.ensure_subdir("elsewhere").is_err());
    // A file replaces the link itself, and a removal removes only the link.
    dir.replace("link", b"ours").unwrap();
    dir.remove("elsewhere").unwrap();
    let theirs = std::fs::read_to_string(outside.path().join("file")).unwrap();
    assert_eq!(theirs, "theirs");
    assert_eq!(dir.read("link", 4).unwrap(), b"ours");
}

#[test]
fn names_outside_the_directory_are_rejected_everywhere() {
    let (_place, dir) = directory();
    for name in ["", ".", "..", "a/b", "/etc/passwd"] {
        assert!(dir.open_read(name).is_err(), "{name:?}");
        assert!(dir.replace(name, b"").is_err(), "{name:?}");
        assert!(dir.subdir(name).is_err(), "{name:?}");
        assert!(dir.remove(name).is_err(), "{name:?}");
    }
}

#[test]
fn directory_is_removed_with_its_content() {
    let (_place, dir) = directory();
    let inner = dir.ensure_subdir("a").unwrap().ensure_subdir("b").unwrap();
    inner.write_new("c", b"").unwrap();
    symlink("/", inner.path().join("root")).unwrap();
    dir.remove("a").unwrap();
    assert_eq!(dir.names().unwrap(), [""; 0]);
    assert_eq!(dir.remove("a").unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn append_adds_to_existing_content() {
    let (_place, dir) = directory();
    let missing = dir.append_existing("log").unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    dir.append("log").unwrap().write_all(b"a").unwrap();
    dir.append_existing("log").unwrap().write_all(b"b").unwrap();
    assert_eq!(dir.read("log", 2).unwrap(), b"ab");
    let taken = dir.create_new("log").unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
}

/// Before: `log.txt` of a run from somebody else could be a second name of any file of the user.
#[test]
fn file_with_a_second_name_is_read_and_replaced_but_not_written_in_place() {
    let (place, dir) = directory();
    let outside = tempfile::tempdir().unwrap();
    let theirs = outside.path().join("file");
    std::fs::write(&theirs, "theirs").unwrap();
    std::fs::hard_link(&theirs, place.path().join("log")).unwrap();
    for opened in [dir.append("log"), dir.append_existing("log")] {
        let error = opened.unwrap_err().to_string();
        assert!(error.contains("a hard link"), "{error}");
    }
    assert_eq!(dir.read("log", 9).unwrap(), b"theirs");
    dir.replace("log", b"ours").unwrap();
    assert_eq!(std::fs::read_to_string(theirs).unwrap(), "theirs");
    dir.append("log").unwrap();
}

/// Before: predictions were read with lines of any length, so a sparse file took all memory.
#[test]
fn lines_are_read_in_bounded_memory_and_a_file_without_line_breaks_is_refused() {
    let (_place, dir) = directory();
    dir.write_new("short", b"ab\nabcdefgh\nc").unwrap();
    let mut from = io::BufReader::new(dir.open_read("short").unwrap());
    let mut line = Vec::new();
    let mut next = || {
        let bytes = read_line(&mut from, 4, &mut line).unwrap();
        (bytes, String::from_utf8(line.clone()).unwrap())
    };
    for (bytes, text) in [(3, "ab\n"), (9, "abcd"), (1, "c"), (0, "")] {
        assert_eq!(next(), (bytes, text.to_owned()));
    }
    let sparse = dir.create_new("sparse").unwrap();
    sparse.set_len(20 << 30).unwrap();
    let mut from = io::BufReader::new(dir.open_read("sparse").unwrap());
    let error = read_line(&mut from, 4, &mut line).unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
}
