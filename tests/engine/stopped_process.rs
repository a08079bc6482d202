//! A stop of the process (SIGSTOP, as by `scontrol suspend`) counts as a pause.

use std::process::{Command, Stdio};
use std::time::Duration;

use epochtop::event::{Event, Phase};
use epochtop::session::{RunDir, replay};
use rustix::process::{Pid, Signal, kill_process};

use crate::lifetime::{Place, completed, records, steps_done, wait};

const STOP: Duration = Duration::from_secs(6);

#[test]
fn a_stop_is_neither_in_the_speed_nor_in_the_duration() {
    let place = Place::new();
    let mut run = Command::new(env!("CARGO_BIN_EXE_epochtop"))
        .args(place.arguments(12))
        .arg("--headless")
        .envs(place.env())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait("a step", || (steps_done(&place.run()) > 20).then_some(()));
    let pid = Pid::from_raw(run.id() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    std::thread::sleep(STOP);
    kill_process(pid, Signal::CONT).unwrap();
    assert!(run.wait().unwrap().success());
    completed(&place.run()).unwrap();
    let state = replay(&RunDir::at(&place.run())).unwrap().1.state;
    let stop_ms = STOP.as_millis() as u64;
    assert!(
        (stop_ms - 500..stop_ms + 1500).contains(&state.paused_ms),
        "{}",
        state.paused_ms
    );
    // The steps and validations of all epochs together take less time than the run.
    let worked = state.worked_ms(state.now_ms) as f64 / 1000.0;
    let epochs: f64 = state.history.iter().map(|row| row.seconds.0).sum();
    assert!(epochs <= worked + 0.5, "{epochs} s of {worked} s");
    let windows = records(&place.run()).into_iter();
    let windows = windows.filter_map(|record| match record.event {
        Event::Steps(window) => Some(window.millis.0),
        _ => None,
    });
    let longest = windows.fold(0.0, f64::max);
    assert!(longest < stop_ms as f64 / 2.0, "a window of {longest} ms");
    let pauses = records(&place.run());
    let is_pause = |record: &&epochtop::event::Record| {
        matches!(
            record.event,
            Event::Phase {
                phase: Phase::Paused
            }
        )
    };
    assert_eq!(pauses.iter().filter(is_pause).count(), 1);
    let mut log = state.log.iter();
    assert!(log.any(|line| line.text.starts_with("the process was stopped for 0:0")));
}
