//! `ctl` and signals, on the real program: what is asked is done, and the exit code says so.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use epochtop::event::{CheckpointReason, Event};
use rustix::process::{Pid, Signal, kill_process};

use crate::lifetime::{Place, completed, records, steps_done, wait};
use crate::pty::meta;

const PROGRAM: &str = env!("CARGO_BIN_EXE_epochtop");

/// A run in the foreground without a screen.
fn headless(place: &Place, epochs: u32, more: &[&str], env: &[(&str, &str)]) -> Child {
    let child = Command::new(PROGRAM)
        .args(place.arguments(epochs))
        .args(more)
        .arg("--headless")
        .envs(place.env())
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait("a step", || (steps_done(&place.run()) > 0).then_some(()));
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
}

fn code(child: &mut Child) -> Option<i32> {
    wait("the end", || child.try_wait().unwrap()).code()
}

/// The newest checkpoint's step.
fn saved(place: &Place) -> u64 {
    let events = records(&place.run());
    let saved = events.iter().rev().find_map(|record| match &record.event {
        Event::CheckpointSaved(saved) => Some(saved.global_step),
        _ => None,
    });
    saved.unwrap_or(0)
}

#[test]
fn every_verb_is_done_and_told_with_its_exit_code() {
    let place = Place::new();
    let mut run = headless(&place, 4000, &[], &[]);
    let told = |words: &[&str], code: i32, told: &str| {
        let output = place.ctl(words);
        let words_said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {words_said}");
        assert!(words_said.contains(told), "{words:?}: {words_said}");
    };
    told(&["pause", "t"], 0, "pause done at step");
    let held = steps_done(&place.run());
    // While it holds, a checkpoint is written and told, and an evaluation made.
    told(
        &["checkpoint", "t"],
        0,
        &format!("checkpoints/step-{held:09}"),
    );
    told(&["evaluate", "t"], 0, "test accuracy");
    assert_eq!(steps_done(&place.run()), held);
    told(&["lr", "1e-3", "t"], 0, "base learning rate 1e-3");
    told(&["lr", "x0.5", "t"], 0, "base learning rate 5e-4");
    told(&["lr", "0", "t"], 2, "between 1e-10 and 1e30");
    told(&["lr", "x0", "t"], 1, "between 1e-10 and 1e30");
    told(&["lr", "half", "t"], 2, "expected a number");
    told(&["pause", "t"], 0, "was paused already");
    told(&["resume", "t"], 0, "resume done at step");
    wait("a later step", || {
        (steps_done(&place.run()) > held).then_some(())
    });
    told(&["evaluate", "t"], 0, "test accuracy");
    told(&["epochs", "3999", "t"], 0, "3999 epochs");
    told(&["epochs", "0", "t"], 1, "is under way already");
    told(&["pause", "nobody"], 2, "no such run");
    // By name, by path, and the newest.
    told(
        &["checkpoint", place.run().to_str().unwrap()],
        0,
        "done at step",
    );
    let _ = place.ctl(&["stop"]);
    assert_eq!(code(&mut run), Some(3));
    let output = place.ctl(&["pause", place.run().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("is not being trained"), "{words}");
    let by_ctl = records(&place.run()).into_iter().filter(
        |record| matches!(&record.event, Event::Asked { by, .. } if by.starts_with("ctl of ")),
    );
    assert!(by_ctl.count() >= 10);
}

#[test]
fn a_signal_asks_for_a_checkpoint_and_the_run_goes_on() {
    for (signal, more) in [
        (Signal::USR1, &[][..]),
        (Signal::USR2, &["--set", "checkpoint.on_signal=USR2"][..]),
    ] {
        let place = Place::new();
        let mut run = headless(&place, 4000, more, &[]);
        send(&run, signal);
        let at = wait("a checkpoint on request", || {
            records(&place.run())
                .iter()
                .find_map(|record| match &record.event {
                    Event::CheckpointSaved(saved)
                        if saved.reason == CheckpointReason::Requested =>
                    {
                        Some(saved.global_step)
                    }
                    _ => None,
                })
        });
        wait("a later step", || {
            (steps_done(&place.run()) > at).then_some(())
        });
        // A terminal that goes away is nothing to it.
        send(&run, Signal::HUP);
        let held = steps_done(&place.run());
        wait("a later step", || {
            (steps_done(&place.run()) > held).then_some(())
        });
        send(&run, Signal::TERM);
        assert_eq!(code(&mut run), Some(143));
        assert_eq!(
            saved(&place),
            steps_done(&place.run()),
            "SIGTERM saves the last step"
        );
    }
}

/// Whatever the trainer is doing: a step, an evaluation image by image, the bootstrap after it, a pause.
#[test]
fn a_stop_is_heard_in_every_phase() {
    for (what, verbs, more) in [
        ("training", &[][..], &[][..]),
        ("evaluating", &["evaluate"][..], &[][..]),
        (
            "bootstrap",
            &["evaluate"][..],
            &["--set", "eval.bootstrap=100000"][..],
        ),
        ("paused", &["pause"][..], &[][..]),
    ] {
        let place = Place::new();
        let mut run = headless(&place, 4000, more, &[]);
        for verb in verbs {
            let _ = Command::new(PROGRAM)
                .args(["ctl", verb, "t", "--timeout", "0.3"])
                .envs(place.env())
                .output();
        }
        let began = Instant::now();
        send(&run, Signal::TERM);
        assert_eq!(code(&mut run), Some(143), "{what}");
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{what}: {:?}",
            began.elapsed()
        );
        assert_eq!(saved(&place), steps_done(&place.run()), "{what}");
        assert_eq!(
            meta(&place.run()).unwrap().outcome,
            epochtop::session::RunOutcome::Stopped,
            "{what}"
        );
    }
}

/// A disk that hangs: the time SIGTERM leaves is kept, and what was saved before is whole.
#[test]
fn the_time_for_the_last_checkpoint_is_kept() {
    let place = Place::new();
    let env = [
        ("EPOCHTOP_GRACE_S", "1"),
        ("EPOCHTOP_FAULT", "hang@fsync:40+"),
    ];
    let mut run = headless(&place, 4000, &["--set", "checkpoint.every_steps=5"], &env);
    wait("a few checkpoints", || (saved(&place) >= 15).then_some(()));
    wait("the disk to hang", || {
        let before = saved(&place);
        std::thread::sleep(Duration::from_millis(700));
        (saved(&place) == before).then_some(())
    });
    let began = Instant::now();
    send(&run, Signal::TERM);
    assert_eq!(code(&mut run), Some(143));
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(900) && took < Duration::from_secs(10),
        "{took:?}"
    );
    let store = epochtop::checkpoint::Store::new(&place.run());
    assert!(store.newest_whole().unwrap().0.is_some());
}

#[test]
fn the_second_sigint_ends_at_once() {
    let place = Place::new();
    let fault = [("EPOCHTOP_FAULT", "hang@fsync:1+")];
    let mut run = headless(&place, 4000, &[], &fault);
    send(&run, Signal::INT);
    std::thread::sleep(Duration::from_millis(500));
    assert!(run.try_wait().unwrap().is_none(), "it saves first");
    send(&run, Signal::INT);
    assert_eq!(code(&mut run), Some(130));
}

/// A file that may grow no more is a full disk, not the end.
#[test]
fn a_limit_on_file_sizes_costs_files_and_not_the_run() {
    let place = Place::new();
    let args = place.arguments(3).join(" ");
    let script = format!("ulimit -f 40; exec {PROGRAM} {args} --headless");
    let status = Command::new("sh")
        .args(["-c", &script])
        .envs(place.env())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    // 20 KiB: neither a checkpoint nor the whole journal fits; it trains to its end and says what is missing.
    assert_eq!(status.code(), Some(1), "{status}");
    assert!(completed(&place.run()).is_none());
    assert!(
        meta(&place.run())
            .unwrap()
            .error
            .is_some_and(|error| error.contains("too large"))
    );
}

/// A job in the background of a shell with job control neither stops nor takes the terminal.
#[test]
fn a_start_in_the_background_is_not_stopped() {
    let place = Place::new();
    let args = place.arguments(2).join(" ");
    let script = format!("set -m; {PROGRAM} {args} & wait; echo code $?");
    let terminal =
        crate::pty::Terminal::run_program(&place.env(), "sh", &["-c", &script], (30, 200));
    terminal.wait_for("started in the background: a line per epoch");
    terminal.wait_for("completed after 2 epochs");
    terminal.wait_for("code 0");
    assert!(!terminal.text().contains('\u{1b}'));
}

/// A place for sockets that others could write to is not used: a run that needs none says so and goes on, one that would be
/// out of reach does not begin.
#[test]
fn an_open_or_linked_directory_of_sockets_is_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let own = format!("epochtop-{}", rustix::process::geteuid().as_raw());
    for linked in [false, true] {
        let place = Place::new();
        let sockets = tempfile::tempdir().unwrap();
        let dir = sockets.path().join(&own);
        let real = sockets.path().join("real");
        std::fs::create_dir(if linked { &real } else { &dir }).unwrap();
        if linked {
            symlink(&real, &dir).unwrap();
        } else {
            std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        let train = |how: &str| {
            Command::new(PROGRAM)
                .args(place.arguments(1))
                .arg(how)
                .env("EPOCHTOP_SOCKET_DIR", sockets.path())
                .stdin(Stdio::null())
                .output()
                .unwrap()
        };
        let why = if linked {
            "is no directory"
        } else {
            "is open to others"
        };
        let detached = train("--detach");
        let words = String::from_utf8_lossy(&detached.stderr);
        assert_eq!(detached.status.code(), Some(1), "{words}");
        assert!(
            words.contains(why) && words.contains("EPOCHTOP_SOCKET_DIR"),
            "{words}"
        );
        assert!(
            !place.run().exists(),
            "nothing has begun, so nothing is left"
        );
        let headless = train("--headless");
        let words = String::from_utf8_lossy(&headless.stderr);
        assert_eq!(headless.status.code(), Some(0), "{words}");
        assert!(
            words.contains("attach and ctl cannot reach this run") && words.contains(why),
            "{words}"
        );
        let put = std::fs::read_dir(if linked { &real } else { &dir }).unwrap();
        assert_eq!(put.count(), 0);
    }
}
