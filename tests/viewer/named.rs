//! Named curves (scalars logged by the trainer): grouped charts, values at the cursor, queries, and compared runs.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use epochtop::event::{Event, F64, Record};
use epochtop::link::{Query, Reply, StepValues};
use epochtop::run::{ComparedRun, CurveId, RunState};
use epochtop::tui::{App, Effect, Msg, Pane, update};

use crate::screens::{app, dark, drawn, press, snapshot, text};
use crate::story;

const SIZE: (u16, u16) = (120, 40);

/// A run with named curves: loss on two splits, F1, a learning-rate scale, and `more` curves that form no group.
fn records(more: usize) -> Vec<Record> {
    let mut records = story::midrun();
    let (seq, t_ms) = records.last().map_or((0, 0), |last| (last.seq, last.t_ms));
    for (seq, step) in (seq + 1..).zip((20..=1000).step_by(20)) {
        let fall = (-(step as f64) / 300.0).exp();
        let mut values = vec![
            ("train/loss".to_owned(), F64(0.2 + fall)),
            ("val/loss".to_owned(), F64(0.4 + fall)),
            ("lr_scale".to_owned(), F64(1e-5 * step as f64)),
            ("train/f1".to_owned(), F64(1.0 - fall)),
        ];
        values.extend((0..more).map(|i| (format!("extra/m{i:02}"), F64(i as f64))));
        let event = Event::Scalars {
            global_step: step,
            values,
        };
        records.push(Record {
            seq,
            t_ms,
            run_ms: None,
            event,
        });
    }
    records
}

fn curves(more: usize) -> App {
    let mut app = app(&records(more), true);
    update(&mut app, Msg::Resize(SIZE.0, SIZE.1));
    press(&mut app, KeyCode::Char('2'));
    app
}

#[test]
fn groups_share_a_chart_below_the_built_in_charts() {
    let mut app = curves(0);
    snapshot("metrics_120x40", &text(&drawn(&mut app, SIZE, &dark())));
    app.ui.focus = Pane::Metrics;
    press(&mut app, KeyCode::Enter);
    let alone = text(&drawn(&mut app, SIZE, &dark()));
    snapshot("metrics_alone_120x40", &alone);
    for size in [(60, 16), (80, 24), (200, 60)] {
        let screen = text(&drawn(&mut app, size, &dark()));
        assert!(
            screen.contains("loss") && screen.contains("val"),
            "{screen}"
        );
    }
}

#[test]
fn groups_that_do_not_fit_are_reached_by_scrolling() {
    let mut app = curves(40);
    app.ui.focus = Pane::Metrics;
    let shows = |app: &mut App, name: &str| text(&drawn(app, SIZE, &dark())).contains(name);
    assert!(shows(&mut app, "f1") && shows(&mut app, "more") && !shows(&mut app, "m39"));
    for _ in 0..60 {
        press(&mut app, KeyCode::Char('j'));
        if shows(&mut app, "m39") {
            return;
        }
    }
    panic!("the last curve was not reached by scrolling");
}

fn queries(effects: &[Effect]) -> Vec<(u64, Query)> {
    let queries = effects.iter().filter_map(|effect| match effect {
        Effect::Query(id, query) => Some((*id, query.clone())),
        _ => None,
    });
    queries.collect()
}

#[test]
fn the_value_at_the_cursor_is_queried_and_shown_exactly() {
    let mut app = curves(0);
    let name = CurveId::Named("val/loss".to_owned());
    app.ui.charts.cursor = Some(500);
    let now = app.ui.now_ms;
    let effects = update(&mut app, Msg::Tick(now + 1));
    let sent = queries(&effects);
    let [(id, Query::Step { step: 500 })] = sent[..] else {
        panic!("{sent:?}");
    };
    let values = StepValues {
        step: 500,
        values: vec![(name, F64(0.1234))],
        ..StepValues::default()
    };
    update(&mut app, Msg::Reply(id, Reply::Step(Some(values))));
    let screen = text(&drawn(&mut app, SIZE, &dark()));
    assert!(screen.contains("val 0.1234"), "{screen}");
}

#[test]
fn a_zoomed_named_curve_is_queried_where_its_buckets_are_coarse() {
    let mut app = curves(0);
    // So many steps that each bucket covers several.
    let event = Event::Scalars {
        global_step: 1_000_000,
        values: vec![("val/loss".to_owned(), F64(0.5))],
    };
    let seq = app.run.seq + 1;
    app.run.apply(&Record {
        seq,
        t_ms: 1,
        run_ms: None,
        event,
    });
    app.ui.charts.window = Some((0, 1000));
    let now = app.ui.now_ms;
    let mut sent = queries(&update(&mut app, Msg::Tick(now + 1)));
    while let Some((id, query)) = sent.pop() {
        let name = |curve: &CurveId| *curve == CurveId::Named("val/loss".to_owned());
        if matches!(&query, Query::Series { curve, .. } if name(curve)) {
            return;
        }
        let reply = Reply::Series(Vec::new());
        sent.extend(queries(&update(&mut app, Msg::Reply(id, reply))));
    }
    panic!("no series query for val/loss was sent");
}

#[test]
fn compared_runs_are_overlaid_on_named_curves() {
    let mut app = curves(0);
    app.ui.focus = Pane::Metrics;
    update(
        &mut app,
        Msg::Key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE)),
    );
    app.ui.charts.cursor = Some(500);
    let before = text(&drawn(&mut app, SIZE, &dark()));
    let mut state = RunState::default();
    records(0).iter().for_each(|record| state.apply(record));
    app.others = vec![ComparedRun {
        name: "other".to_owned(),
        state,
        ..ComparedRun::default()
    }];
    let with = text(&drawn(&mut app, SIZE, &dark()));
    assert_ne!(before, with);
    let title = with.lines().find(|line| line.contains("lr_scale"));
    assert!(title.is_some_and(|line| line.contains(" B ")), "{with}");
}
