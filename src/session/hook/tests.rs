#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use std::path::Path;

use super::super::Session;
use super::*;
use crate::event::{Event, F32, Finding, Health, Outcome, Remedy, RunStarted};

/// A run with a hook; the test sends its events.
struct Hooked {
    dir: tempfile::TempDir,
    session: Session,
    events: crossbeam_channel::Sender<Event>,
    hook: Hook,
}

fn hooked(command: &str, on: &[Occasion], limits: (Duration, Duration)) -> Hooked {
    let dir = tempfile::tempdir().unwrap();
    let (session, (events, _)) = Session::start(None).unwrap();
    let notify = NotifyConfig {
        command: command.to_owned(),
        on: on.to_vec(),
        ..NotifyConfig::default()
    };
    let run = HookRun {
        name: "one".to_owned(),
        dir: dir.path().to_owned(),
        log: File::create(dir.path().join("log.txt")).unwrap(),
    };
    let hook = Hook::with_limits(&session.handle(), &notify, run, limits);
    let hook = hook.unwrap().unwrap();
    let info = RunStarted {
        run: "one".to_owned(),
        ..RunStarted::default()
    };
    events.send(Event::RunStarted(Box::new(info))).unwrap();
    Hooked {
        dir,
        session,
        events,
        hook,
    }
}

const ALL: [Occasion; 3] = [Occasion::Finish, Occasion::Failure, Occasion::Alert];

fn bad_step(global_step: u64) -> Event {
    Event::Health(Health {
        global_step,
        finding: Finding::NonFinite {
            in_a_row: 1,
            loss: F32(f32::NAN),
            grad_norm: F32(1.0),
            layer: Some("a\x1b[31m\nb".to_owned()),
        },
        remedy: Remedy::Reported,
    })
}

fn end(outcome: Outcome) -> Event {
    Event::RunFinished {
        outcome,
        global_step: 9,
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn wait(what: &str, mut wanted: impl FnMut() -> bool) {
    let began = Instant::now();
    while !wanted() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "waited for {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Appends a line with the event to `received`.
const WRITE: &str = r#"printf '%s|%s|%s|%s\n' "$EPOCHTOP_EVENT" "$EPOCHTOP_RULE" "$EPOCHTOP_RUN" "$EPOCHTOP_MESSAGE" >> "$EPOCHTOP_RUN_DIR/received"; echo out; echo err >&2"#;

#[test]
fn alert_and_end_are_reported_once_and_command_output_is_logged() {
    let Hooked {
        dir,
        session,
        events,
        hook,
    } = hooked(WRITE, &ALL, (LIMIT, LAST_ALERT));
    let received = dir.path().join("received");
    events.send(bad_step(5)).unwrap();
    wait("the alert", || read(&received).contains("alert|"));
    events.send(bad_step(6)).unwrap();
    events.send(end(Outcome::Completed)).unwrap();
    drop(events);
    session.join();
    assert_eq!(hook.finish(), Vec::<String>::new());
    let received = read(&received);
    let lines: Vec<&str> = received.lines().collect();
    assert_eq!(lines.len(), 2, "{received}");
    assert!(
        lines[0].starts_with(
            "alert|non-finite|one|step 5 is not finite, first non-finite layer a [31m b;"
        ),
        "{received}"
    );
    assert_eq!(lines[1], "finish||one|completed after 0 epochs");
    let log = read(&dir.path().join("log.txt"));
    assert_eq!(log.matches("out").count(), 2, "{log}");
    assert_eq!(log.matches("err").count(), 2, "{log}");
}

#[test]
fn failed_run_and_missing_end_are_failures() {
    let failed = Outcome::Failed {
        message: "the disk is full".to_owned(),
    };
    for (last, words) in [
        (
            Some(failed),
            "failure||one|failed at step 9: the disk is full\n",
        ),
        (
            None,
            "failure||one|the trainer ended without reporting an outcome\n",
        ),
    ] {
        let Hooked {
            dir,
            session,
            events,
            hook,
        } = hooked(WRITE, &ALL, (LIMIT, LAST_ALERT));
        if let Some(outcome) = last {
            events.send(end(outcome)).unwrap();
        }
        drop(events);
        session.join();
        assert_eq!(hook.finish(), Vec::<String>::new());
        assert_eq!(read(&dir.path().join("received")), words);
    }
}

#[test]
fn failing_command_is_logged_and_does_not_affect_the_run() {
    let Hooked {
        session,
        events,
        hook,
        ..
    } = hooked("exit 3", &ALL, (LIMIT, LAST_ALERT));
    let subscriber = session.link();
    events.send(bad_step(5)).unwrap();
    let logged = subscriber.feed.iter().any(|feed| {
        matches!(feed, Feed::Live(record) if matches!(&record.event, Event::Log { text, .. }
            if text == "notify.command (alert non-finite) failed: exit status: 3; its output is in log.txt"))
    });
    assert!(logged);
    drop(subscriber);
    events.send(end(Outcome::Stopped)).unwrap();
    drop(events);
    assert_eq!(session.join().outcome, Some(Outcome::Stopped));
    let problems = hook.finish();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("(finish) failed"), "{problems:?}");
}

#[test]
fn hanging_command_is_killed_with_its_child_processes() {
    let limit = Duration::from_millis(300);
    let command = r#"sleep 1000 & echo $! > "$EPOCHTOP_RUN_DIR/child"; wait"#;
    let Hooked {
        dir,
        session,
        events,
        hook,
    } = hooked(command, &ALL, (limit, limit));
    events.send(end(Outcome::Completed)).unwrap();
    drop(events);
    session.join();
    let problems = hook.finish();
    assert!(
        problems.len() == 1 && problems[0].contains("was killed after"),
        "{problems:?}"
    );
    let child = read(&dir.path().join("child"));
    let child = Pid::from_raw(child.trim().parse().unwrap()).unwrap();
    // This process does not reap the child, so it can remain a zombie until its new parent does.
    wait("the child's end", || {
        let stat = read(Path::new(&format!("/proc/{}/stat", child.as_raw_pid())));
        stat.is_empty() || stat.contains(") Z") || cfg!(not(target_os = "linux"))
    });
}

#[test]
fn unselected_events_are_not_reported() {
    let Hooked {
        dir,
        session,
        events,
        hook,
    } = hooked(WRITE, &[Occasion::Failure], (LIMIT, LAST_ALERT));
    events.send(bad_step(5)).unwrap();
    events.send(end(Outcome::Completed)).unwrap();
    drop(events);
    session.join();
    assert_eq!(hook.finish(), Vec::<String>::new());
    assert!(!dir.path().join("received").exists());
    let (session, _ends) = Session::start(None).unwrap();
    let run = HookRun {
        name: String::new(),
        dir: PathBuf::new(),
        log: tempfile::tempfile().unwrap(),
    };
    let none = Hook::start(&session.handle(), &NotifyConfig::default(), run).unwrap();
    assert!(none.is_none(), "no command is configured");
}
