//! Replay of a run: the state at any time, the slider and its keys, and results that must not be shown before their
//! time.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use epochtop::event::{Event, F32, Level, Pixels, Record, Restoration, Split, StepWindow};
use epochtop::link::{ImagePage, ImageRow, Query, Reply};
use epochtop::run::{MAX_GAP_MS, Replay, RunState};
use epochtop::session::{self, RunDir};
use epochtop::tui::{App, Effect, Msg, Page, Theme, update};
use proptest::prelude::*;

use crate::screens::{app, dark, drawn, snapshot, text};
use crate::{fold, story};

fn folded<'a>(records: impl IntoIterator<Item = &'a Record>) -> RunState {
    let mut state = RunState::default();
    records.into_iter().for_each(|record| state.apply(record));
    state
}

/// The records up to a replay time, computed independently of `Replay`.
fn up_to(records: &[Record], ms: u64) -> impl Iterator<Item = &Record> {
    let (mut clock, mut before) = (0, None);
    records.iter().take_while(move |record| {
        let gap = record.t_ms.saturating_sub(before.unwrap_or(record.t_ms));
        clock += gap.min(MAX_GAP_MS);
        before = Some(record.t_ms);
        clock <= ms
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_state_at_any_time_is_the_fold_of_the_records_until_then(
        records in fold::records(),
        apart in 1_usize..9,
        bytes in prop_oneof![Just(0_usize), 60_000_usize..400_000, Just(usize::MAX)],
        seeks in prop::collection::vec(0_u64..140_000, 1..12),
    ) {
        let replay = Replay::spaced(records.clone(), apart, bytes);
        let mut shown = RunState::default();
        for ms in seeks.into_iter().chain([replay.span(), 0, u64::MAX]) {
            replay.show(&mut shown, ms);
            prop_assert_eq!(&shown, &folded(up_to(&records, ms)));
        }
    }
}

/// A viewer of these records as an ended run, at this screen size, before any replay.
fn ended_run_app(records: &[Record], size: (u16, u16)) -> App {
    let mut app = app(records, false);
    update(&mut app, Msg::FeedClosed);
    update(&mut app, Msg::Resize(size.0, size.1));
    app
}

fn key(app: &mut App, code: KeyCode) -> Vec<Effect> {
    update(app, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn character(app: &mut App, key: char) -> Vec<Effect> {
    self::key(app, KeyCode::Char(key))
}

/// Presses a key that starts a replay, and delivers the loaded records.
fn start_replay(app: &mut App, records: &[Record], key: char) {
    let effects = character(app, key);
    assert!(effects.contains(&Effect::LoadReplay), "{effects:?}");
    assert!(app.replay.is_none() && app.ui.notice.is_some());
    let replay = Arc::new(Replay::new(records.to_vec()));
    update(app, Msg::ReplayLoaded(Ok(replay)));
    assert!(app.replay.is_some() && app.ui.notice.is_none());
}

/// The replay position in ms, and whether the replay is playing.
fn at(app: &App) -> (u64, bool) {
    let view = app.replay.as_ref().expect("a replay");
    (view.at_ms, view.playing)
}

/// Sends this many ticks, 0.1 s apart.
fn tick(app: &mut App, count: u64) {
    for _ in 0..count {
        let now = app.ui.now_ms + 100;
        update(app, Msg::Tick(now));
    }
}

#[test]
fn playback_takes_half_a_minute_and_stops_at_the_end() {
    let records = story::finished();
    let full = folded(&records);
    let mut app = ended_run_app(&records, (120, 40));
    start_replay(&mut app, &records, ' ');
    assert_eq!(at(&app), (0, true));
    assert_eq!(app.run.global_step, 0);
    let (mut ticks, mut before) = (0, 0);
    while app.playing() {
        tick(&mut app, 1);
        assert!(app.run.global_step >= before && !app.ticking());
        (ticks, before) = (ticks + 1, app.run.global_step);
        assert!(ticks < 1000);
    }
    assert!((150..600).contains(&ticks), "{ticks} ticks of 0.1 s");
    assert_eq!(app.run, full);
    tick(&mut app, 5);
    assert!(!app.playing());
    // Playing again starts from the beginning.
    character(&mut app, ' ');
    assert_eq!(at(&app), (0, true));
}

#[test]
fn slider_keys_move_by_one_fiftieth_within_the_run() {
    let records = story::finished();
    let mut app = ended_run_app(&records, (120, 40));
    start_replay(&mut app, &records, '(');
    let span = Replay::new(records.clone()).span();
    assert_eq!(at(&app), (span - span / 50, false));
    assert!(app.run.outcome.is_none() && !app.over() && !app.lost());
    key(&mut app, KeyCode::PageUp);
    assert_eq!(at(&app).0, span - 2 * (span / 50));
    assert_eq!(app.run, folded(up_to(&records, at(&app).0)));
    for code in [KeyCode::Char(')'), KeyCode::PageDown, KeyCode::Char(')')] {
        key(&mut app, code);
    }
    assert_eq!(at(&app), (span, false));
    assert_eq!(app.run, folded(&records));
    (0..60).for_each(|_| drop(character(&mut app, '(')));
    assert_eq!(at(&app), (0, false));
    // End leaves the replay from any position.
    key(&mut app, KeyCode::End);
    assert!(app.replay.is_none());
    assert_eq!(app.run, folded(&records));
    // The records are not read a second time.
    assert!(character(&mut app, '(').is_empty());
    assert!(app.replay.is_some());
}

#[test]
fn speed_sets_the_time_per_tick_and_pausing_stops_playback() {
    let records = story::finished();
    let mut app = ended_run_app(&records, (120, 40));
    start_replay(&mut app, &records, ' ');
    let speed = |app: &App| {
        app.replay
            .as_ref()
            .map_or(0, epochtop::tui::ReplayView::speed)
    };
    let first = speed(&app);
    tick(&mut app, 1);
    assert_eq!(at(&app).0, 0, "the first tick only sets the reference time");
    tick(&mut app, 1);
    assert_eq!(at(&app).0, 100 * first);
    character(&mut app, '}');
    assert!(speed(&app) > first);
    (0..20).for_each(|_| drop(character(&mut app, '{')));
    assert_eq!(speed(&app), 1);
    let before = at(&app).0;
    tick(&mut app, 1);
    assert_eq!(at(&app).0, before + 100);
    // After the program was suspended for an hour, the replay continues near the position it had.
    let now = app.ui.now_ms + 3_600_000;
    update(&mut app, Msg::Tick(now));
    assert!(at(&app).0 <= before + 100 + 500);
    character(&mut app, ' ');
    let paused = at(&app);
    tick(&mut app, 20);
    assert_eq!((at(&app), paused.1), (paused, false));
}

#[test]
fn esc_leaves_the_replay_when_nothing_else_is_open() {
    let records = story::finished();
    let mut app = ended_run_app(&records, (120, 40));
    start_replay(&mut app, &records, '(');
    character(&mut app, '2');
    key(&mut app, KeyCode::Left);
    for _ in 0..2 {
        key(&mut app, KeyCode::Esc);
        assert!(app.replay.is_some());
    }
    assert_eq!(app.ui.page, Page::Overview);
    key(&mut app, KeyCode::Esc);
    assert!(app.replay.is_none());
    assert_eq!(app.run, folded(&records));
}

#[test]
fn replay_keys_in_a_live_run_show_a_hint_and_space_pauses_training() {
    let mut live = app(&story::midrun(), true);
    for code in [
        KeyCode::Char('('),
        KeyCode::PageDown,
        KeyCode::Char('{'),
        KeyCode::End,
    ] {
        assert!(key(&mut live, code).is_empty());
        let notice = live.ui.notice.take().expect("a notice");
        assert!(notice.text.contains("epochtop view"), "{}", notice.text);
    }
    assert!(matches!(character(&mut live, ' ')[..], [Effect::Send(_)]));
}

#[test]
fn unreadable_records_are_reported_and_not_loaded_again() {
    let mut app = ended_run_app(&story::finished(), (80, 24));
    character(&mut app, ' ');
    update(
        &mut app,
        Msg::ReplayLoaded(Err("the disk is gone".to_owned())),
    );
    for _ in 0..2 {
        let notice = app.ui.notice.take().expect("a notice");
        assert!(notice.text.contains("the disk is gone"));
        assert!(character(&mut app, ' ').is_empty());
    }
    assert!(app.replay.is_none());
}

/// A replay of the finished run, paused somewhat after its middle.
fn middle(size: (u16, u16)) -> App {
    let records = story::finished();
    let mut app = ended_run_app(&records, size);
    start_replay(&mut app, &records, '(');
    (0..18).for_each(|_| drop(character(&mut app, '(')));
    app
}

#[test]
fn slider_shows_the_position() {
    for size in [(80, 24), (120, 40), (50, 12)] {
        let screen = text(&drawn(&mut middle(size), size, &dark()));
        snapshot(&format!("replay_{}x{}", size.0, size.1), &screen);
    }
    let mut playing = middle((80, 24));
    character(&mut playing, ' ');
    let screen = text(&drawn(&mut playing, (80, 24), &dark()));
    assert!(screen.contains("▸ playing  ×5"), "{screen}");
    let mut plain = middle((120, 40));
    plain.settings.ascii = true;
    let mono = Theme::load("mono").expect("built in");
    let screen = text(&drawn(&mut plain, (120, 40), &mono));
    assert!(screen.is_ascii());
    let row = screen.lines().rev().nth(1).expect("the row of the slider");
    snapshot("replay_ascii", row);
}

/// The records of a run that was paused for eight hours and then resumed by another process.
fn paused_and_resumed() -> Vec<Record> {
    let mut records = story::paused();
    let (seq, t_ms) = records.last().map_or((0, 0), |last| (last.seq, last.t_ms));
    let night = 8 * 3_600_000;
    let phase = epochtop::event::Phase::Training;
    let resumed = Event::Restored(Box::new(Restoration {
        after: seq,
        global_step: 781,
        ..Restoration::default()
    }));
    let events = [
        (night, Event::Phase { phase }),
        (2 * night, resumed),
        (2 * night + 900, Event::Phase { phase }),
    ];
    for ((after, event), n) in events.into_iter().zip(1..) {
        records.push(Record {
            seq: seq + n,
            t_ms: t_ms + after,
            run_ms: None,
            event,
        });
    }
    records
}

#[test]
fn shortened_gaps_are_marked_on_the_slider() {
    let records = paused_and_resumed();
    let replay = Replay::new(records.clone());
    assert!(replay.span() < 60_000, "{}", replay.span());
    assert_eq!(replay.breaks().len(), 2);
    let mut app = ended_run_app(&records, (120, 40));
    start_replay(&mut app, &records, '(');
    (0..30).for_each(|_| drop(character(&mut app, '(')));
    let screen = text(&drawn(&mut app, (120, 40), &dark()));
    let row = screen.lines().rev().nth(1).expect("the row of the slider");
    let row: String = row.chars().skip(30).collect();
    assert!(row.contains('‖') && row.contains('R'), "{row}");
}

#[test]
fn all_pages_can_be_drawn_at_any_time_and_size() {
    let (theme, records) = (dark(), paused_and_resumed());
    for (records, strides) in [(story::finished(), 3), (records, 5), (story::failed(), 7)] {
        let mut app = ended_run_app(&records, (80, 24));
        start_replay(&mut app, &records, ' ');
        let mut turn = 0_u16;
        while app.replay.as_ref().is_some_and(|view| !view.at_end()) {
            (0..strides).for_each(|_| drop(character(&mut app, ')')));
            for page in Page::ALL {
                turn = turn.wrapping_add(1);
                app.ui.page = page;
                app.ui.focus = page.panes()[usize::from(turn) % page.panes().len()];
                (app.ui.zoom, app.settings.ascii) =
                    (turn.is_multiple_of(2), turn.is_multiple_of(3));
                app.ui.charts.cursor = turn.is_multiple_of(4).then_some(2_000);
                app.ui.charts.window = turn.is_multiple_of(5).then_some((1_500, 2_500));
                for size in [(turn % 140, turn % 50), (80, 24), (61, 17)] {
                    let screen = text(&drawn(&mut app, size, &theme));
                    assert!(!screen.contains(|c: char| c.is_control() && c != '\n'));
                    // Lost contact is reported only at the end of a run that never recorded its end.
                    assert!(app.lost() || !screen.contains("Lost contact"), "{screen}");
                }
            }
        }
    }
}

#[test]
fn replay_hides_test_predictions_before_the_evaluation() {
    let records = story::finished();
    let mut app = ended_run_app(&records, (120, 40));
    let effects = character(&mut app, '7');
    let [Effect::Query(id, Query::Images { .. })] = effects[..] else {
        panic!("{effects:?}");
    };
    let rows = (0..40).map(|index| ImageRow {
        index,
        label: index % 10,
        top: vec![(index % 7, F32(0.9))],
        size: (28, 28),
        pixels: Pixels(vec![100; 784]),
        earlier: Vec::new(),
    });
    let page = ImagePage {
        total: 10_000,
        from: 0,
        global_step: Some(2_365),
        split: Split::Test,
        rows: rows.collect(),
    };
    update(&mut app, Msg::Reply(id, Reply::Images(page)));
    let screen = |app: &mut App| text(&drawn(app, (120, 40), &dark()));
    assert!(screen(&mut app).contains("of 10,000"));
    start_replay(&mut app, &records, '(');
    let early = screen(&mut app);
    assert!(
        early.contains("1 of 64") && early.contains("later in the replay"),
        "{early}"
    );
    assert!(!early.contains("10,000   predicted"), "{early}");
    // No query is sent for data that could not be shown.
    assert!(character(&mut app, 'f').is_empty());
    assert!(screen(&mut app).contains("f: filters, one of them the gallery sample"));
    key(&mut app, KeyCode::End);
    (0..4).for_each(|_| drop(character(&mut app, 'f')));
    assert!(screen(&mut app).contains("of 10,000"));
}

#[test]
fn values_of_steps_not_reached_yet_are_not_queried() {
    let records = story::finished();
    let mut app = ended_run_app(&records, (120, 40));
    character(&mut app, '2');
    app.ui.charts.cursor = Some(1_000);
    let effects = update(&mut app, Msg::Tick(0));
    assert!(matches!(
        effects[..],
        [Effect::Query(_, Query::Step { step: 1_000 })]
    ));
    start_replay(&mut app, &records, ' ');
    app.lookups = epochtop::tui::Lookups::default();
    let effects = character(&mut app, ' ');
    assert!(effects.is_empty(), "{effects:?}");
}

fn journal(run: &RunDir, records: &[Record]) {
    let lines = records
        .iter()
        .map(|record| serde_json::to_string(record).expect("a line") + "\n");
    fs::write(run.journal(), lines.collect::<String>()).expect("a journal");
}

#[test]
fn the_journal_is_read_on_request_without_discarded_records() {
    let runs = tempfile::tempdir().expect("a directory");
    let run = RunDir::create(runs.path(), "one", "").expect("a run");
    let mut records = story::midrun();
    let log = |seq, event| Record {
        seq,
        t_ms: story::START + 90_000 + seq,
        run_ms: None,
        event,
    };
    let seq = records.len() as u64;
    let text = "done again".to_owned();
    records.push(log(
        seq + 1,
        Event::Log {
            level: Level::Info,
            text,
        },
    ));
    let after = seq;
    let resumed = Restoration {
        after,
        global_step: 781,
        ..Restoration::default()
    };
    records.push(log(seq + 2, Event::Restored(Box::new(resumed))));
    journal(&run, &records);
    let (link, last) = session::replay(&run).expect("a journal");
    let replays = link.replays.expect("records to read");
    for _ in 0..2 {
        replays.ask.send(()).expect("the reader thread runs");
        let loaded = replays.replay.recv().expect("an answer").expect("a replay");
        assert_eq!(loaded.at(u64::MAX), last.state);
        assert!(
            loaded
                .at(u64::MAX)
                .log
                .iter()
                .all(|line| line.text != "done again")
        );
    }
    fs::remove_file(run.journal()).expect("it was there");
    replays.ask.send(()).expect("the reader thread runs");
    assert!(replays.replay.recv().expect("an answer").is_err());
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

#[test]
#[ignore = "a measurement: cargo test --release --no-default-features --test viewer how_long -- --ignored --nocapture"]
#[expect(clippy::print_stdout, reason = "the times are its output")]
fn how_long_a_replay_of_50_mb_takes() {
    let mut records = story::midrun();
    let mut step = 781;
    while records.len() < 68_000 {
        step += 16;
        let seq = records.len() as u64 + 1;
        let value = |i: u64| F32(((step + i) as f32 * 0.37).sin().abs() + 0.1);
        let window = StepWindow {
            epoch: (step / 215) as u32 + 1,
            epoch_step: step % 215,
            global_step: step,
            images: 4096,
            loss: (0..16).map(value).collect(),
            accuracy: (0..16).map(value).collect(),
            grad_norm: (0..16).map(value).collect(),
            clipped: vec![0; 16],
            ..StepWindow::default()
        };
        records.push(Record {
            seq,
            t_ms: story::START + seq * 700,
            run_ms: None,
            event: Event::Steps(window),
        });
    }
    let runs = tempfile::tempdir().expect("a directory");
    let run = RunDir::create(runs.path(), "one", "").expect("a run");
    journal(&run, &records);
    let count = records.len();
    drop(records);
    let bytes = fs::metadata(run.journal()).expect("a journal").len();
    let began = Instant::now();
    let (link, _) = session::replay(&run).expect("a journal");
    println!(
        "{count} records, {bytes} bytes, {step} steps: final state after {:?}",
        began.elapsed()
    );
    let replays = link.replays.expect("records to read");
    let (began, before) = (Instant::now(), resident());
    replays.ask.send(()).expect("the reader thread runs");
    let loaded = replays.replay.recv().expect("an answer").expect("a replay");
    let weight = resident().saturating_sub(before);
    println!(
        "replay loaded after {:?}, {} MiB",
        began.elapsed(),
        weight >> 20
    );
    let mut shown = RunState::default();
    let mut slowest = [std::time::Duration::ZERO; 2];
    let mut dice = 7_u64;
    for turn in 0..200 {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let ms = if turn < 100 {
            (dice >> 20) % loaded.span()
        } else {
            loaded.span() / 100 * (turn - 100)
        };
        let began = Instant::now();
        loaded.show(&mut shown, ms);
        let kind = usize::from(turn > 100);
        slowest[kind] = slowest[kind].max(began.elapsed());
    }
    println!(
        "slowest seek {:?}, slowest step of 1/100 forwards {:?}",
        slowest[0], slowest[1]
    );
}
