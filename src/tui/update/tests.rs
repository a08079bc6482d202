#![expect(clippy::expect_used, reason = "a failed expect is the test's failure")]
mod attention;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::event::{Answer, Event, Outcome, Phase, Record};
use crate::tui::app::Settings;
use crate::tui::page::{Page, Pane};

fn app() -> App {
    let mut app = App::new(Settings::default(), true);
    update(&mut app, Msg::Resize(120, 40));
    app
}

fn key(app: &mut App, code: KeyCode) -> Vec<Effect> {
    update(app, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn ctrl_c(app: &mut App) -> Vec<Effect> {
    update(
        app,
        Msg::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)),
    )
}

fn tell(app: &mut App, event: Event) -> Vec<Effect> {
    let record = Record {
        seq: app.run.seq + 1,
        t_ms: 1000 + app.run.seq,
        event,
    };
    update(app, Msg::Feed(Feed::Live(Box::new(record))))
}

fn sent(effects: &[Effect]) -> Option<Request> {
    match effects {
        [Effect::Send(request)] => Some(*request),
        _ => None,
    }
}

fn answer(app: &mut App, request: Request, answer: Answer) {
    tell(
        app,
        Event::Acknowledged {
            id: request.id,
            command: request.command,
            answer,
            global_step: 1,
        },
    );
}

#[test]
fn space_pauses_and_then_resumes() {
    let mut app = app();
    let pause = sent(&key(&mut app, KeyCode::Char(' '))).expect("a request");
    assert_eq!(pause.command, Command::Pause);
    assert!(app.changing_pause(), "pausing until the run says so");
    answer(&mut app, pause, Answer::Accepted);
    assert!(app.changing_pause());
    tell(
        &mut app,
        Event::Phase {
            phase: Phase::Paused,
        },
    );
    answer(
        &mut app,
        pause,
        Answer::Done {
            note: String::new(),
        },
    );
    assert!(!app.changing_pause());
    assert_eq!(
        sent(&key(&mut app, KeyCode::Char(' '))).map(|r| r.command),
        Some(Command::Resume)
    );
}

#[test]
fn a_second_space_takes_the_first_back_even_before_the_answer() {
    let mut app = app();
    key(&mut app, KeyCode::Char(' '));
    assert_eq!(
        sent(&key(&mut app, KeyCode::Char(' '))).map(|r| r.command),
        Some(Command::Resume)
    );
}

#[test]
fn a_refused_pause_is_over() {
    let mut app = app();
    let pause = sent(&key(&mut app, KeyCode::Char(' '))).expect("a request");
    answer(
        &mut app,
        pause,
        Answer::Refused {
            reason: "testing".to_owned(),
        },
    );
    assert!(!app.changing_pause());
}

#[test]
fn quitting_asks_and_leaves_when_the_run_has_finished() {
    let mut app = app();
    assert!(key(&mut app, KeyCode::Char('q')).is_empty());
    assert_eq!(app.ui.popup, Some(Popup::Quit));
    assert!(key(&mut app, KeyCode::Esc).is_empty());
    assert_eq!(app.ui.popup, None);
    ctrl_c(&mut app);
    assert_eq!(app.ui.popup, Some(Popup::Quit));
    let stop = sent(&key(&mut app, KeyCode::Char('s')));
    assert_eq!(stop.map(|r| r.command), Some(Command::Stop));
    let end = tell(
        &mut app,
        Event::RunFinished {
            outcome: Outcome::Stopped,
            global_step: 5,
        },
    );
    assert_eq!(end, [Effect::Leave(Exit::Finished)]);
}

/// Twice Ctrl-C, as people press it: out, and nothing is lost.
#[test]
fn detaching_is_the_default_answer_and_asks_nothing_of_the_run() {
    let detached = [Effect::Leave(Exit::Detached)];
    let mut one = app();
    ctrl_c(&mut one);
    assert_eq!(ctrl_c(&mut one), detached);
    let mut two = app();
    key(&mut two, KeyCode::Char('q'));
    assert_eq!(key(&mut two, KeyCode::Enter), detached);
    assert_eq!(key(&mut app(), KeyCode::Char('d')), detached);
}

#[test]
fn a_second_screen_watches_until_it_takes_over() {
    let mut app = app();
    app.control = Control::MayAsk;
    assert!(key(&mut app, KeyCode::Char('c')).is_empty());
    assert!(
        app.ui
            .notice
            .take()
            .is_some_and(|n| n.text.contains("w takes over"))
    );
    // Leaving costs nobody anything, so nothing is asked.
    assert_eq!(
        key(&mut app, KeyCode::Char('q')),
        [Effect::Leave(Exit::Detached)]
    );
    assert_eq!(key(&mut app, KeyCode::Char('w')), [Effect::Steer]);
    update(&mut app, Msg::Feed(Feed::Control(true)));
    assert!(sent(&key(&mut app, KeyCode::Char('c'))).is_some());
    app.control = Control::Watches;
    assert!(key(&mut app, KeyCode::Char('w')).is_empty());
    assert!(key(&mut app, KeyCode::Char('c')).is_empty());
}

#[test]
fn a_trainer_that_is_gone_is_told_of_and_the_screen_stays() {
    let mut app = app();
    let reason = "the trainer (process 7) is gone".to_owned();
    assert!(update(&mut app, Msg::Feed(Feed::Gone { reason })).is_empty());
    assert!(app.over() && app.gone.is_some());
    assert!(key(&mut app, KeyCode::Char('c')).is_empty());
    assert_eq!(
        key(&mut app, KeyCode::Char('q')),
        [Effect::Leave(Exit::Left)]
    );
}

#[test]
fn ctrl_z_puts_a_screen_aside_but_never_a_trainer() {
    let ctrl_z = |app: &mut App| {
        update(
            app,
            Msg::Key(KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL)),
        )
    };
    let mut app = app();
    assert_eq!(ctrl_z(&mut app), [Effect::Leave(Exit::Suspended)]);
    app.settings.home.same_process = true;
    assert!(ctrl_z(&mut app).is_empty());
    assert!(
        app.ui
            .notice
            .is_some_and(|n| n.text.contains("this process trains"))
    );
}

#[test]
fn after_the_end_the_screen_stays_until_q() {
    let mut app = app();
    assert!(
        tell(
            &mut app,
            Event::RunFinished {
                outcome: Outcome::Completed,
                global_step: 5
            }
        )
        .is_empty()
    );
    assert!(
        key(&mut app, KeyCode::Char(' ')).is_empty(),
        "nothing is left to ask"
    );
    assert!(app.ui.notice.is_some());
    assert_eq!(
        key(&mut app, KeyCode::Char('q')),
        [Effect::Leave(Exit::Left)]
    );
}

#[test]
fn a_replay_can_only_be_left() {
    let mut app = App::new(Settings::default(), false);
    assert!(key(&mut app, KeyCode::Char('e')).is_empty());
    assert!(app.ui.notice.is_some());
    assert_eq!(
        key(&mut app, KeyCode::Char('q')),
        [Effect::Leave(Exit::Left)]
    );
}

#[test]
fn a_signal_leaves_when_the_run_has_finished() {
    let mut app = app();
    assert!(update(&mut app, Msg::LeaveWhenDone).is_empty());
    let end = tell(
        &mut app,
        Event::RunFinished {
            outcome: Outcome::Stopped,
            global_step: 5,
        },
    );
    assert_eq!(end, [Effect::Leave(Exit::Finished)]);
}

#[test]
fn a_hung_up_terminal_ends_the_screen_and_nothing_else() {
    assert_eq!(
        update(&mut app(), Msg::HungUp),
        [Effect::Leave(Exit::HungUp)]
    );
}

#[test]
fn a_request_nobody_takes_is_no_longer_under_way() {
    let mut app = app();
    let pause = sent(&key(&mut app, KeyCode::Char(' '))).expect("a request");
    update(
        &mut app,
        Msg::Unsent {
            id: pause.id,
            reason: "the trainer has ended".to_owned(),
        },
    );
    assert!(!app.changing_pause());
    assert!(app.ui.notice.is_some());
}

#[test]
fn the_focus_walks_over_what_is_on_the_screen() {
    let mut app = app();
    app.ui.focus = Pane::Loss;
    let there = app.layout.visible();
    for pane in &there {
        assert_eq!(app.ui.focus, *pane);
        key(&mut app, KeyCode::Tab);
    }
    assert_eq!(
        (app.ui.page, app.ui.focus),
        (Page::Curves, Pane::Loss),
        "after a page's last pane comes the next page"
    );
    key(&mut app, KeyCode::BackTab);
    assert_eq!(app.ui.page, Page::Overview);
    assert_eq!(Some(&app.ui.focus), there.last());
    // A run without further curves has no metrics.
    let panes = Page::ALL.iter().flat_map(|page| page.panes());
    for _ in panes.filter(|pane| **pane != Pane::Metrics) {
        key(&mut app, KeyCode::Tab);
    }
    assert_eq!(Some(&app.ui.focus), there.last(), "and round the end");
    update(&mut app, Msg::Resize(20, 5));
    key(&mut app, KeyCode::Tab);
}

#[test]
fn the_clock_stands_still_while_nothing_runs() {
    let mut app = app();
    assert!(!app.ticking(), "nothing is known yet");
    tell(&mut app, Event::RunStarted(Box::default()));
    assert!(app.ticking());
    tell(
        &mut app,
        Event::Phase {
            phase: Phase::Paused,
        },
    );
    assert!(!app.ticking());
    update(&mut app, Msg::Tick(1 << 40));
    assert!(app.elapsed_ms() < 1000);
}

#[test]
fn arrows_do_what_the_pane_is_for() {
    let mut app = app();
    app.run.global_step = 100;
    app.ui.focus = Pane::Loss;
    key(&mut app, KeyCode::Down);
    assert_eq!(
        app.ui.focus,
        Pane::Accuracy,
        "a chart has nothing to scroll"
    );
    key(&mut app, KeyCode::Left);
    assert_eq!(app.ui.charts.cursor, Some(100), "the cursor appears");
    key(&mut app, KeyCode::Left);
    assert!(app.ui.charts.cursor < Some(100));
    key(&mut app, KeyCode::Esc);
    assert_eq!(app.ui.charts.cursor, None);
    app.ui.focus = Pane::Gallery;
    key(&mut app, KeyCode::Right);
    assert_eq!(app.ui.focus, Pane::Gallery, "there it walks over images");
    app.ui.focus = Pane::Classes;
    key(&mut app, KeyCode::Down);
    assert_eq!(app.ui.focus, Pane::Classes, "there it scrolls");
}

#[test]
fn back_goes_one_step_at_a_time() {
    let mut app = app();
    app.run.global_step = 1000;
    key(&mut app, KeyCode::Char('2'));
    assert_eq!((app.ui.page, app.ui.focus), (Page::Curves, Pane::Loss));
    for code in [KeyCode::Enter, KeyCode::Char('+'), KeyCode::Left] {
        key(&mut app, code);
    }
    assert!(app.ui.zoom && app.ui.charts.window.is_some() && app.ui.charts.cursor.is_some());
    key(&mut app, KeyCode::Esc);
    assert_eq!(app.ui.charts.cursor, None);
    key(&mut app, KeyCode::Esc);
    assert_eq!(app.ui.charts.window, None);
    key(&mut app, KeyCode::Esc);
    assert!(!app.ui.zoom && app.ui.page == Page::Curves);
    key(&mut app, KeyCode::Esc);
    assert_eq!(app.ui.page, Page::Overview);
}

/// `hello [[ pasted caring text` halved the rate, paused, and ended the run.
#[test]
fn pasted_letters_do_nothing_to_the_run() {
    let mut app = app();
    let paste = |app: &mut App, text: &str| update(app, Msg::Paste(text.to_owned()));
    let effects = paste(&mut app, "q hello [[ pasted caring text\n");
    assert!(
        effects
            .iter()
            .all(|effect| !matches!(effect, Effect::Send(_)))
    );
    assert_eq!((app.ui.popup.clone(), app.ui.requested.len()), (None, 0));
    assert!(app.ui.notice.is_some());
    key(&mut app, KeyCode::Char('r'));
    paste(&mut app, " 3e-4\nand more");
    let request = sent(&key(&mut app, KeyCode::Enter)).expect("a request");
    assert_eq!(request.command, Command::SetLearningRate { lr: 3e-4 });
}

#[test]
fn a_rate_is_halved_twice_though_the_first_is_not_done_yet() {
    let mut app = app();
    app.run.base_lr = Some(crate::event::F64(8e-3));
    let rate = |request: Option<Request>| match request.map(|request| request.command) {
        Some(Command::SetLearningRate { lr }) => lr,
        other => panic!("{other:?}"),
    };
    assert_eq!(rate(sent(&key(&mut app, KeyCode::Char('[')))), 4e-3);
    assert_eq!(rate(sent(&key(&mut app, KeyCode::Char('[')))), 2e-3);
    assert_eq!(rate(sent(&key(&mut app, KeyCode::Char(']')))), 4e-3);
}

#[test]
fn a_number_is_typed_and_asked_for() {
    let mut app = app();
    app.run.base_lr = Some(crate::event::F64(8e-3));
    key(&mut app, KeyCode::Char('r'));
    for c in "3e-9".chars() {
        assert!(key(&mut app, KeyCode::Char(c)).is_empty());
    }
    key(&mut app, KeyCode::Backspace);
    key(&mut app, KeyCode::Char('4'));
    let asked = sent(&key(&mut app, KeyCode::Enter)).map(|request| request.command);
    assert_eq!(asked, Some(Command::SetLearningRate { lr: 3e-4 }));
    assert_eq!(app.ui.popup, None);
    // Nonsense stays in the box, with what was expected; esc asks for nothing.
    key(&mut app, KeyCode::Char('n'));
    for c in "1e".chars() {
        key(&mut app, KeyCode::Char(c));
    }
    assert!(key(&mut app, KeyCode::Enter).is_empty());
    assert!(matches!(&app.ui.popup, Some(Popup::Prompt(prompt)) if prompt.problem.is_some()));
    assert!(key(&mut app, KeyCode::Esc).is_empty());
    assert_eq!(app.ui.popup, None);
}
