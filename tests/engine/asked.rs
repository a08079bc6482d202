//! `ctl` and signals with the real binary: each command is carried out and has the documented exit code.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use epochtop::event::{CheckpointReason, Event};
use rustix::process::{Pid, Signal, kill_process};

use crate::lifetime::{Place, completed, records, steps_done, wait};
use crate::pty::meta;

const PROGRAM: &str = env!("CARGO_BIN_EXE_epochtop");

/// Starts a headless run and waits for its first step.
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

fn exit_code(child: &mut Child) -> Option<i32> {
    wait("the end", || child.try_wait().unwrap()).code()
}

/// The step of the newest checkpoint in the journal; 0 without one.
fn last_checkpoint_step(place: &Place) -> u64 {
    let events = records(&place.run());
    let saved = events.iter().rev().find_map(|record| match &record.event {
        Event::CheckpointSaved(saved) => Some(saved.global_step),
        _ => None,
    });
    saved.unwrap_or(0)
}

#[test]
fn every_ctl_command_is_executed_with_the_documented_exit_code() {
    let place = Place::new();
    let mut run = headless(&place, 4000, &[], &[]);
    let check = |words: &[&str], code: i32, expected: &str| {
        let output = place.ctl(words);
        let output_text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output_text}");
        assert!(output_text.contains(expected), "{words:?}: {output_text}");
    };
    check(&["pause", "t"], 0, "pause done at step");
    let paused_at = steps_done(&place.run());
    // Checkpoints and evaluations also work during a pause.
    check(
        &["checkpoint", "t"],
        0,
        &format!("checkpoints/step-{paused_at:09}"),
    );
    check(&["evaluate", "t"], 0, "validation accuracy");
    check(&["evaluate", "t", "--split", "test"], 0, "test accuracy");
    check(
        &["stop-after-epoch", "t", "--cancel"],
        0,
        "no stop was pending",
    );
    assert_eq!(steps_done(&place.run()), paused_at);
    check(&["lr", "1e-3", "t"], 0, "base learning rate 1e-3");
    check(&["lr", "x0.5", "t"], 0, "base learning rate 5e-4");
    check(&["lr", "0", "t"], 2, "between 1e-10 and 1e30");
    check(&["lr", "x0", "t"], 1, "between 1e-10 and 1e30");
    check(&["lr", "half", "t"], 2, "expected a number");
    check(&["pause", "t"], 0, "already paused");
    check(&["resume", "t"], 0, "resume done at step");
    wait("a later step", || {
        (steps_done(&place.run()) > paused_at).then_some(())
    });
    check(&["evaluate", "t"], 0, "validation accuracy");
    check(&["epochs", "3999", "t"], 0, "3999 epochs");
    check(&["epochs", "0", "t"], 1, "has already started");
    check(&["pause", "nobody"], 2, "no such run");
    // A run can be given by name or by path, or omitted for the only live one.
    check(
        &["checkpoint", place.run().to_str().unwrap()],
        0,
        "done at step",
    );
    let runs = place.run();
    let runs = runs.parent().and_then(|runs| runs.to_str()).unwrap();
    check(&["stop", "--runs", runs], 0, "stop");
    assert_eq!(exit_code(&mut run), Some(3));
    let output = place.ctl(&["pause", place.run().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("the run is not live (stopped)"), "{words}");
    let output = place.ctl(&["evaluate", place.run().to_str().unwrap()]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("epochtop eval t --split valid"), "{words}");
    let by_ctl = records(&place.run()).into_iter().filter(
        |record| matches!(&record.event, Event::Asked { by, .. } if by.starts_with("ctl of ")),
    );
    assert!(by_ctl.count() >= 10);
}

#[test]
fn a_signal_requests_a_checkpoint_and_the_run_continues() {
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
        // SIGHUP (the terminal was closed) does not stop it.
        send(&run, Signal::HUP);
        let before = steps_done(&place.run());
        wait("a later step", || {
            (steps_done(&place.run()) > before).then_some(())
        });
        send(&run, Signal::TERM);
        assert_eq!(exit_code(&mut run), Some(143));
        assert_eq!(
            last_checkpoint_step(&place),
            steps_done(&place.run()),
            "SIGTERM saves the last step"
        );
    }
}

/// The phases are: a step, an evaluation with one image per batch, the bootstrap after it, a pause.
#[test]
fn sigterm_stops_the_run_in_every_phase() {
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
        let started = Instant::now();
        send(&run, Signal::TERM);
        assert_eq!(exit_code(&mut run), Some(143), "{what}");
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{what}: {:?}",
            started.elapsed()
        );
        assert_eq!(
            last_checkpoint_step(&place),
            steps_done(&place.run()),
            "{what}"
        );
        assert_eq!(
            meta(&place.run()).unwrap().outcome,
            epochtop::session::RunOutcome::Stopped,
            "{what}"
        );
    }
}

/// With a hanging disk, SIGTERM ends the run within the grace period, and the earlier checkpoints are valid.
#[test]
fn the_grace_period_for_the_last_checkpoint_is_respected() {
    let place = Place::new();
    let env = [
        ("EPOCHTOP_GRACE_S", "1"),
        ("EPOCHTOP_FAULT", "hang@fsync:40+"),
    ];
    let mut run = headless(&place, 4000, &["--set", "checkpoint.every_steps=5"], &env);
    wait("a few checkpoints", || {
        (last_checkpoint_step(&place) >= 15).then_some(())
    });
    wait("the disk to hang", || {
        let before = last_checkpoint_step(&place);
        std::thread::sleep(Duration::from_millis(700));
        (last_checkpoint_step(&place) == before).then_some(())
    });
    let started = Instant::now();
    send(&run, Signal::TERM);
    assert_eq!(exit_code(&mut run), Some(143));
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(900) && took < Duration::from_secs(10),
        "{took:?}"
    );
    let store = epochtop::checkpoint::Store::new(&place.run());
    assert!(store.newest_verified().unwrap().0.is_some());
}

#[test]
fn a_second_sigint_exits_immediately() {
    let place = Place::new();
    let fault = [("EPOCHTOP_FAULT", "hang@fsync:1+")];
    let mut run = headless(&place, 4000, &[], &fault);
    send(&run, Signal::INT);
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        run.try_wait().unwrap().is_none(),
        "the run must save a checkpoint before it ends"
    );
    send(&run, Signal::INT);
    assert_eq!(exit_code(&mut run), Some(130));
}

/// SIGXFSZ must not kill the program: a file that reaches the size limit is handled as a full disk.
#[test]
fn a_file_size_limit_does_not_stop_training() {
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
    // 20 KiB: neither a checkpoint nor the complete journal fits. The run trains to its end and reports what is missing.
    assert_eq!(status.code(), Some(1), "{status}");
    assert!(completed(&place.run()).is_none());
    assert!(
        meta(&place.run())
            .unwrap()
            .error
            .is_some_and(|error| error.contains("too large"))
    );
}

/// A background job of a shell with job control is not stopped and does not take over the terminal.
#[test]
fn a_background_job_is_not_stopped() {
    let place = Place::new();
    let args = place.arguments(2).join(" ");
    let script = format!("set -m; {PROGRAM} {args} & wait; echo code $?");
    let terminal =
        crate::pty::Terminal::run_program(&place.env(), "sh", &["-c", &script], (30, 200));
    terminal.wait_for("started in the background: printing a line per epoch");
    terminal.wait_for("completed after 2 epochs");
    terminal.wait_for("code 0");
    assert!(!terminal.text().contains('\u{1b}'));
}

/// A socket directory that other users could write to is not used. A headless run reports this and continues; a detached
/// run, which would be unreachable without a socket, does not start.
#[test]
fn a_world_writable_or_linked_socket_directory_is_refused() {
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
            "is not a directory"
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
            "a run that did not start must leave no directory"
        );
        let headless = train("--headless");
        let words = String::from_utf8_lossy(&headless.stderr);
        assert_eq!(headless.status.code(), Some(0), "{words}");
        assert!(
            words.contains("attach and ctl cannot reach this run") && words.contains(why),
            "{words}"
        );
        let entries = std::fs::read_dir(if linked { &real } else { &dir }).unwrap();
        assert_eq!(entries.count(), 0);
    }
}

/// Before: SIGQUIT ended the trainer without a checkpoint.
#[test]
fn sigquit_stops_the_run_with_a_checkpoint() {
    let place = Place::new();
    let mut run = headless(&place, 4000, &[], &[]);
    send(&run, Signal::QUIT);
    assert_eq!(exit_code(&mut run), Some(131));
    assert_eq!(last_checkpoint_step(&place), steps_done(&place.run()));
    let outcome = meta(&place.run()).unwrap().outcome;
    assert_eq!(outcome, epochtop::session::RunOutcome::Stopped);
}

fn log_contains(place: &Place, wanted: &str) -> bool {
    let records = records(&place.run());
    let mut texts = records.iter().filter_map(|record| match &record.event {
        Event::Log { text, .. } => Some(text),
        _ => None,
    });
    texts.any(|text| text.contains(wanted))
}

/// Before: training stopped for good once two checkpoints were queued, with it every command, and SIGTERM.
#[test]
fn training_continues_on_a_disk_that_does_not_respond_and_stops_within_the_grace_period() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let fallback = format!("checkpoint.fallback_dir={}", elsewhere.path().display());
    let env = [("EPOCHTOP_FAULT", "hang@fsync:1+")];
    let mut run = headless(&place, 4000, &["--set", &fallback], &env);
    wait("the report", || {
        log_contains(&place, "the disk is slow or does not respond").then_some(())
    });
    let before = steps_done(&place.run());
    wait("later epochs", || {
        (steps_done(&place.run()) > before + 100).then_some(())
    });
    let refused = place.ctl(&["checkpoint", "t"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("does not respond"), "{text}");
    let started = Instant::now();
    send(&run, Signal::TERM);
    assert_eq!(exit_code(&mut run), Some(143));
    assert!(started.elapsed() < Duration::from_secs(25));
    let last = format!("t-step-{:09}", steps_done(&place.run()));
    let last = elsewhere.path().join(last);
    epochtop::checkpoint::verify(&last, epochtop::checkpoint::Depth::Bytes).unwrap();
}

/// A learning rate at which no step is finite.
const EXPLODING: [&str; 6] = [
    "--set",
    "optim.lr=1e30",
    "--set",
    "optim.warmup_epochs=0",
    "--set",
    "optim.clip_norm=0",
];

/// Before: a headless run paused forever.
#[test]
fn headless_run_with_steps_that_are_not_finite_ends_unless_a_pause_is_asked_for() {
    let place = Place::new();
    let output = Command::new(PROGRAM)
        .args(place.arguments(40))
        .args(EXPLODING)
        .arg("--headless")
        .envs(place.env())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("was not finite (a headless run does not wait for a user"),
        "{text}"
    );
    assert!(last_checkpoint_step(&place) > 0, "{text}");
    let place = Place::new();
    let more = [&EXPLODING[..], &["--set", "health.non_finite=pause"]].concat();
    let mut run = headless(&place, 40, &more, &[]);
    wait("the pause", || {
        let paused = |record: &epochtop::event::Record| {
            let phase = epochtop::event::Phase::Paused;
            record.event == Event::Phase { phase }
        };
        records(&place.run()).iter().any(paused).then_some(())
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(run.try_wait().unwrap().is_none());
    send(&run, Signal::TERM);
    assert_eq!(exit_code(&mut run), Some(143));
}

/// Before: 0 in each case.
#[test]
fn attach_without_a_terminal_exits_with_the_outcome_of_the_run() {
    for (end, code) in [("kill", 1), ("stop", 3), ("complete", 0)] {
        let place = Place::new();
        let mut run = headless(&place, if end == "complete" { 30 } else { 4000 }, &[], &[]);
        let mut attached = Command::new(PROGRAM)
            .args(["attach", "t", "--runs"])
            .arg(place.runs.path())
            .envs(place.env())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Its first line is printed when it is connected.
        let (mut errors, mut text) = (
            BufReader::new(attached.stderr.take().unwrap()),
            String::new(),
        );
        errors.read_line(&mut text).unwrap();
        assert!(text.contains("no terminal"), "{text}");
        match end {
            "kill" => send(&run, Signal::KILL),
            "stop" => send(&run, Signal::INT),
            _ => {}
        }
        errors.read_to_string(&mut text).unwrap();
        assert_eq!(exit_code(&mut attached), Some(code), "{end}: {text}");
        assert_eq!(text.contains("train --resume"), end == "kill", "{text}");
        let _ = run.wait();
    }
}
