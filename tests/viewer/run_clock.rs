//! Durations come from a clock that is never set: neither a change of the system clock, nor the time between two
//! processes of a run, nor the clock of the screen's host changes them.

use epochtop::event::{EpochSummary, Event, Outcome, Phase, Record, RunStarted, StepWindow};
use epochtop::link::Feed;
use epochtop::run::{MarkKind, Replay, RunState, closing_lines};
use epochtop::session::Session;
use epochtop::tui::{App, Msg, Settings, update};

const START: u64 = 1_770_000_000_000;
const DAY: u64 = 86_400_000;

fn record(seq: u64, t_ms: u64, run_ms: Option<u64>, event: Event) -> Record {
    Record {
        seq,
        t_ms,
        run_ms,
        event,
    }
}

fn steps(global_step: u64) -> Event {
    Event::Steps(StepWindow {
        epoch: 1,
        global_step,
        ..StepWindow::default()
    })
}

fn finished() -> Event {
    Event::RunFinished {
        outcome: Outcome::Completed,
        global_step: 20,
    }
}

fn fold(records: &[Record]) -> RunState {
    let mut state = RunState::default();
    records.iter().for_each(|record| state.apply(record));
    state
}

/// A run of nine seconds, with a step every second and this system clock.
fn run(wall_ms: impl Fn(u64) -> u64) -> Vec<Record> {
    let info = RunStarted {
        epochs: 1,
        steps_per_epoch: 20,
        ..RunStarted::default()
    };
    let mut records = vec![record(
        1,
        wall_ms(100),
        Some(100),
        Event::RunStarted(Box::new(info)),
    )];
    for second in 1..=8 {
        let ms = second * 1000;
        records.push(record(1 + second, wall_ms(ms), Some(ms), steps(second)));
    }
    records.push(record(10, wall_ms(9000), Some(9000), finished()));
    records
}

#[test]
fn a_clock_that_is_set_changes_no_duration() {
    let expected = fold(&run(|ms| START + ms));
    assert_eq!(expected.worked_ms(expected.now_ms), 9000);
    let forward = |ms| START + ms + if ms > 4000 { DAY } else { 0 };
    let back = |ms| START + ms - if ms > 4000 { DAY } else { 0 };
    for state in [fold(&run(forward)), fold(&run(back))] {
        assert_eq!(state.timeline, expected.timeline);
        assert_eq!(closing_lines(&state), closing_lines(&expected));
        assert!(closing_lines(&state)[0].ends_with(" 0:09"));
    }
    assert_eq!(Replay::new(run(forward)).span(), 8900);
    assert_eq!(Replay::new(run(back)).span(), 8900);
}

#[test]
fn a_pause_is_measured_with_the_same_clock() {
    let mut records = run(|ms| START + ms);
    let pause = |phase| Event::Phase { phase };
    records.truncate(5);
    records.push(record(6, START + DAY, Some(4500), pause(Phase::Paused)));
    records.push(record(7, START, Some(60_000), pause(Phase::Training)));
    records.push(record(8, START + 7, Some(62_000), steps(20)));
    let state = fold(&records);
    assert_eq!(state.worked_ms(state.now_ms), 6500);
    let replay = Replay::new(records);
    assert_eq!(replay.breaks(), [(6400, MarkKind::Paused)]);
}

#[test]
fn the_time_between_two_processes_does_not_count() {
    let mut records = run(|ms| START + ms);
    records.truncate(9);
    let later = START + DAY;
    let restored = Event::Restored(Box::default());
    records.push(record(10, later, Some(8010), restored));
    records.push(record(11, later + 2000, Some(10_000), steps(10)));
    let state = fold(&records);
    assert_eq!(state.timeline.last(), (10, 9990));
    // The replay still shows that there was a gap.
    let replay = Replay::new(records);
    assert!(replay.breaks().contains(&(9900, MarkKind::Restored)));
}

#[test]
fn a_fork_has_a_working_time() {
    let restored = Event::Restored(Box::default());
    let records = [
        record(1, START, Some(0), restored),
        record(2, START + 5000, Some(5000), steps(10)),
    ];
    assert_eq!(fold(&records).timeline.last(), (10, 5000));
}

#[test]
fn old_records_use_the_system_clock_and_are_never_negative() {
    let old = |wall_ms: fn(u64) -> u64| {
        let mut records = run(wall_ms);
        records.iter_mut().for_each(|record| record.run_ms = None);
        fold(&records)
    };
    let state = old(|ms| START + ms);
    assert_eq!(state.timeline.last(), (8, 7900));
    let state = old(|ms| START + ms - if ms > 4000 { DAY } else { 0 });
    assert_eq!(state.timeline.last(), (8, 3900));
    // A newer version continues an old journal.
    let mut state = old(|ms| START + ms);
    assert_eq!(state.run_ms(), 8900);
    state.apply(&record(11, START + DAY, Some(9900), steps(9)));
    assert_eq!(state.timeline.last(), (9, 9900));
}

#[test]
fn the_hub_continues_the_clock_of_a_restored_run() {
    let mut records = run(|ms| START + ms);
    records.truncate(9);
    let state = fold(&records);
    let (session, (events, _requests)) = Session::resume(None, state).unwrap();
    events
        .send(Event::EpochFinished(EpochSummary::default()))
        .unwrap();
    drop(events);
    let run_ms = session.join().run_ms();
    assert!((8000..DAY).contains(&run_ms), "{run_ms}");
}

#[test]
fn the_screen_does_not_jump_when_a_clock_is_set() {
    // The trainer's host is an hour ahead of the screen's.
    let ahead = 3_600_000;
    let mut app = App::new(Settings::default(), true);
    update(&mut app, Msg::Tick(START));
    let mut records = run(|ms| START + ahead + ms).into_iter();
    let mut next = |app: &mut App, jump: u64| {
        let mut record = records.next().unwrap();
        record.t_ms += jump;
        let screen = START + record.run_ms.unwrap() / 1000 * 1000;
        update(app, Msg::Feed(Feed::Live(Box::new(record))));
        update(app, Msg::Tick(screen + jump));
    };
    next(&mut app, 0);
    app.run.phase = Phase::Training;
    (0..4).for_each(|_| next(&mut app, 0));
    assert_eq!(app.elapsed_ms() / 1000, 4);
    update(&mut app, Msg::Tick(START + 6000));
    assert_eq!(app.elapsed_ms() / 1000, 6, "it goes on without records");
    // Both clocks are set forward by a day; the trainer's next record comes later.
    update(&mut app, Msg::Tick(START + DAY + 6000));
    assert_eq!(app.elapsed_ms() / 1000, 6);
    (0..2).for_each(|_| next(&mut app, DAY));
    assert_eq!(app.elapsed_ms() / 1000, 6);
}
