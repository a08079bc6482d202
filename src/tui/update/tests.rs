#![expect(clippy::expect_used, reason = "a failed expect is the test's failure")]
mod attention;
mod steering;

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

/// Feeds a live record with this event to the screen.
fn feed(app: &mut App, event: Event) -> Vec<Effect> {
    let record = Record {
        seq: app.run.seq + 1,
        t_ms: 1000 + app.run.seq,
        run_ms: None,
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
    feed(
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
    assert!(app.changing_pause(), "pending until the run confirms it");
    answer(&mut app, pause, Answer::Accepted);
    assert!(app.changing_pause());
    feed(
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
fn a_second_space_cancels_a_pending_pause() {
    let mut app = app();
    key(&mut app, KeyCode::Char(' '));
    assert_eq!(
        sent(&key(&mut app, KeyCode::Char(' '))).map(|r| r.command),
        Some(Command::Resume)
    );
}

#[test]
fn a_refused_pause_is_not_pending() {
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
fn quit_opens_the_dialog_and_stop_leaves_when_the_run_has_finished() {
    let mut app = app();
    assert!(key(&mut app, KeyCode::Char('q')).is_empty());
    assert_eq!(app.ui.popup, Some(Popup::Quit));
    assert!(key(&mut app, KeyCode::Esc).is_empty());
    assert_eq!(app.ui.popup, None);
    ctrl_c(&mut app);
    assert_eq!(app.ui.popup, Some(Popup::Quit));
    let stop = sent(&key(&mut app, KeyCode::Char('s')));
    assert_eq!(stop.map(|r| r.command), Some(Command::Stop));
    let end = feed(
        &mut app,
        Event::RunFinished {
            outcome: Outcome::Stopped,
            global_step: 5,
        },
    );
    assert_eq!(end, [Effect::Leave(Exit::Finished)]);
}

/// A second Ctrl-C, as users press it, detaches and does not affect the run.
#[test]
fn detaching_is_the_default_and_sends_no_command() {
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
fn a_second_screen_sends_no_commands_before_it_takes_control() {
    let mut app = app();
    app.control = Control::CanRequest;
    assert!(key(&mut app, KeyCode::Char('c')).is_empty());
    assert!(
        app.ui
            .notice
            .take()
            .is_some_and(|n| n.text.contains("w: take control"))
    );
    // Detaching does not affect the run, so there is no dialog.
    assert_eq!(
        key(&mut app, KeyCode::Char('q')),
        [Effect::Leave(Exit::Detached)]
    );
    assert_eq!(key(&mut app, KeyCode::Char('w')), [Effect::RequestControl]);
    update(&mut app, Msg::Feed(Feed::Control(true)));
    assert!(sent(&key(&mut app, KeyCode::Char('c'))).is_some());
    app.control = Control::ReadOnly;
    assert!(key(&mut app, KeyCode::Char('w')).is_empty());
    assert!(key(&mut app, KeyCode::Char('c')).is_empty());
}

#[test]
fn the_screen_stays_open_when_contact_with_the_trainer_is_lost() {
    let mut app = app();
    let reason = "the trainer (process 7) is gone".to_owned();
    let died = true;
    assert!(update(&mut app, Msg::Feed(Feed::Gone { reason, died })).is_empty());
    assert!(app.over() && app.trainer_died());
    assert!(key(&mut app, KeyCode::Char('c')).is_empty());
    assert_eq!(
        key(&mut app, KeyCode::Char('q')),
        [Effect::Leave(Exit::Left)]
    );
}

#[test]
fn ctrl_z_suspends_a_screen_but_not_a_trainer() {
    let ctrl_z = |app: &mut App| {
        update(
            app,
            Msg::Key(KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL)),
        )
    };
    let mut app = app();
    assert_eq!(ctrl_z(&mut app), [Effect::Leave(Exit::Suspended)]);
    app.settings.attachment.same_process = true;
    assert!(ctrl_z(&mut app).is_empty());
    assert!(
        app.ui
            .notice
            .is_some_and(|n| n.text.contains("cannot suspend"))
    );
}

#[test]
fn after_the_end_the_screen_stays_until_q() {
    let mut app = app();
    assert!(
        feed(
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
        "no command after the end"
    );
    assert!(app.ui.notice.is_some());
    assert_eq!(
        key(&mut app, KeyCode::Char('q')),
        [Effect::Leave(Exit::Left)]
    );
}

#[test]
fn a_replay_accepts_no_commands() {
    let mut app = App::new(Settings::default(), false);
    assert!(key(&mut app, KeyCode::Char('e')).is_empty());
    assert!(app.ui.notice.is_some());
    assert_eq!(
        key(&mut app, KeyCode::Char('q')),
        [Effect::Leave(Exit::Left)]
    );
}

#[test]
fn a_signal_closes_the_screen_when_the_run_has_finished() {
    let mut app = app();
    assert!(update(&mut app, Msg::LeaveWhenDone).is_empty());
    let end = feed(
        &mut app,
        Event::RunFinished {
            outcome: Outcome::Stopped,
            global_step: 5,
        },
    );
    assert_eq!(end, [Effect::Leave(Exit::Finished)]);
}

#[test]
fn a_disconnected_terminal_only_closes_the_screen() {
    assert_eq!(
        update(&mut app(), Msg::HungUp),
        [Effect::Leave(Exit::HungUp)]
    );
}

#[test]
fn an_undelivered_request_is_not_pending() {
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
fn the_focus_cycles_through_the_visible_panes_and_pages() {
    let mut app = app();
    app.ui.focus = Pane::Loss;
    let visible = app.layout.visible();
    for pane in &visible {
        assert_eq!(app.ui.focus, *pane);
        key(&mut app, KeyCode::Tab);
    }
    assert_eq!(
        (app.ui.page, app.ui.focus),
        (Page::Curves, Pane::Loss),
        "the next page follows the last pane"
    );
    key(&mut app, KeyCode::BackTab);
    assert_eq!(app.ui.page, Page::Overview);
    assert_eq!(Some(&app.ui.focus), visible.last());
    // The metrics panel is hidden without curves logged by name.
    let panes = Page::ALL.iter().flat_map(|page| page.panes());
    for _ in panes.filter(|pane| **pane != Pane::Metrics) {
        key(&mut app, KeyCode::Tab);
    }
    assert_eq!(Some(&app.ui.focus), visible.last(), "wraps around");
    update(&mut app, Msg::Resize(20, 5));
    key(&mut app, KeyCode::Tab);
}

#[test]
fn the_clock_stops_while_training_is_paused() {
    let mut app = app();
    assert!(!app.ticking(), "no run yet");
    feed(&mut app, Event::RunStarted(Box::default()));
    assert!(app.ticking());
    feed(
        &mut app,
        Event::Phase {
            phase: Phase::Paused,
        },
    );
    assert!(!app.ticking());
    update(&mut app, Msg::Tick(1 << 40));
    assert!(app.elapsed_ms() < 1000);
}

/// Before: it counted while a resumed run started, then fell back.
#[test]
fn the_clock_stops_while_a_restored_run_starts() {
    let mut app = app();
    feed(&mut app, Event::RunStarted(Box::default()));
    app.run.global_step = 100;
    app.run.phase = Phase::Starting;
    assert!(!app.ticking());
    app.run.phase = Phase::Training;
    assert!(app.ticking());
}

#[test]
fn arrows_act_on_the_focused_pane() {
    let mut app = app();
    app.run.global_step = 100;
    app.ui.focus = Pane::Loss;
    key(&mut app, KeyCode::Down);
    assert_eq!(app.ui.focus, Pane::Accuracy, "a chart does not scroll");
    key(&mut app, KeyCode::Left);
    assert_eq!(app.ui.charts.cursor, Some(100), "the cursor appears");
    key(&mut app, KeyCode::Left);
    assert!(app.ui.charts.cursor < Some(100));
    key(&mut app, KeyCode::Esc);
    assert_eq!(app.ui.charts.cursor, None);
    app.ui.focus = Pane::Gallery;
    key(&mut app, KeyCode::Right);
    assert_eq!(app.ui.focus, Pane::Gallery, "selects the next image");
    app.ui.focus = Pane::Classes;
    key(&mut app, KeyCode::Down);
    assert_eq!(app.ui.focus, Pane::Classes, "scrolls the list");
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

/// Regression: pasting `hello [[ pasted caring text` halved the learning rate, paused the run, and stopped it.
#[test]
fn pasted_letters_send_no_commands() {
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
fn the_rate_can_be_halved_again_while_a_change_is_pending() {
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
fn the_prompt_sends_the_typed_number() {
    let mut app = app();
    app.run.base_lr = Some(crate::event::F64(8e-3));
    key(&mut app, KeyCode::Char('r'));
    for c in "3e-9".chars() {
        assert!(key(&mut app, KeyCode::Char(c)).is_empty());
    }
    key(&mut app, KeyCode::Backspace);
    key(&mut app, KeyCode::Char('4'));
    let command = sent(&key(&mut app, KeyCode::Enter)).map(|request| request.command);
    assert_eq!(command, Some(Command::SetLearningRate { lr: 3e-4 }));
    assert_eq!(app.ui.popup, None);
    // Invalid input keeps the prompt open, with an error; esc closes it without a command.
    key(&mut app, KeyCode::Char('n'));
    for c in "1e".chars() {
        key(&mut app, KeyCode::Char(c));
    }
    assert!(key(&mut app, KeyCode::Enter).is_empty());
    assert!(matches!(&app.ui.popup, Some(Popup::Prompt(prompt)) if prompt.problem.is_some()));
    assert!(key(&mut app, KeyCode::Esc).is_empty());
    assert_eq!(app.ui.popup, None);
}
