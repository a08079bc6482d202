//! The event loop of the viewer on an in-memory terminal: input events, requests sent over the link, and exit reasons.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use epochtop::event::{Command, Event, Outcome, Record, Request};
use epochtop::link::{Feed, Link};
use epochtop::run::RunState;
use epochtop::tui::{App, Exit, Msg, Pace, Settings, Signals, Theme, drive};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::story;

/// The test's ends of the channels, while the event loop runs on a separate thread.
struct LoopHandle {
    feed: Sender<Feed>,
    keys: Sender<Msg>,
    requests: Receiver<Request>,
    leave: Arc<AtomicBool>,
    exit: thread::JoinHandle<(Exit, App)>,
}

fn start(live: bool) -> LoopHandle {
    let (feed, feed_end) = bounded(4096);
    let (keys, input) = bounded(64);
    let (ask, requests) = bounded(4);
    let leave = Arc::new(AtomicBool::new(false));
    let pace = Pace {
        fps: 60,
        signals: Signals {
            leave: Arc::clone(&leave),
            ..Signals::default()
        },
        free: Box::new(|| true),
        sent: Box::new(|| 0),
        now_ms: || story::START,
        notify: Box::new(|_| {}),
    };
    let link = Link {
        requests: live.then_some(ask),
        ..Link::only(feed_end)
    };
    let exit = thread::spawn(move || {
        let mut terminal = Terminal::new(TestBackend::new(100, 30)).expect("a terminal in memory");
        let mut app = App::new(Settings::default(), live);
        let themes = [Theme::load("mono").expect("a theme")];
        (
            drive(&mut terminal, &mut app, &themes, &link, &input, &pace),
            app,
        )
    });
    LoopHandle {
        feed,
        keys,
        requests,
        leave,
        exit,
    }
}

impl LoopHandle {
    /// Sends a snapshot of the empty state, then these records.
    fn send_records(&self, records: Vec<Record>) {
        self.feed
            .send(Feed::Snapshot(Box::default()))
            .expect("the loop runs");
        for record in records {
            self.feed
                .send(Feed::Live(Box::new(record)))
                .expect("the loop runs");
        }
    }

    fn press(&self, key: char) {
        let event = KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE);
        self.keys.send(Msg::Key(event)).expect("the loop runs");
    }

    /// The command of the next request, which must arrive within five seconds.
    fn next_command(&self) -> Command {
        self.requests
            .recv_timeout(Duration::from_secs(5))
            .expect("a request")
            .command
    }

    /// Waits for the loop to exit.
    fn end(self) -> (Exit, App) {
        self.exit.join().expect("the loop does not panic")
    }
}

#[test]
fn keys_send_requests_and_stop_exits_when_the_run_ends() {
    let handle = start(true);
    handle.send_records(story::midrun());
    handle.press(' ');
    assert_eq!(handle.next_command(), Command::Pause);
    handle.press('q');
    handle.press('s');
    assert_eq!(handle.next_command(), Command::Stop);
    let seq = story::midrun().len() as u64 + 1;
    let event = Event::RunFinished {
        outcome: Outcome::Stopped,
        global_step: 781,
    };
    let last = Record {
        seq,
        t_ms: story::START + 40_000,
        run_ms: None,
        event,
    };
    handle
        .feed
        .send(Feed::Live(Box::new(last)))
        .expect("the loop runs");
    assert_eq!(handle.end().0, Exit::Finished);
}

#[test]
fn viewer_state_equals_the_fold_of_the_records() {
    let handle = start(false);
    handle.send_records(story::finished());
    while !handle.feed.is_empty() {
        thread::sleep(Duration::from_millis(5));
    }
    handle.press('q');
    let (exit, app) = handle.end();
    assert_eq!(exit, Exit::Left);
    let mut folded = RunState::default();
    for record in story::finished() {
        folded.apply(&record);
    }
    assert_eq!(app.run, folded);
}

#[test]
fn hangup_of_the_terminal_exits_immediately() {
    let handle = start(true);
    handle.send_records(story::midrun());
    handle.keys.send(Msg::HungUp).expect("the loop runs");
    assert_eq!(handle.end().0, Exit::HungUp);
}

#[test]
fn signal_with_a_closed_feed_exits() {
    let handle = start(true);
    handle.send_records(story::midrun());
    handle.leave.store(true, Ordering::Relaxed);
    let LoopHandle {
        feed, keys, exit, ..
    } = handle;
    drop(feed);
    assert_eq!(
        exit.join().expect("the loop does not panic").0,
        Exit::Finished
    );
    drop(keys);
}
