//! The loop on a terminal in memory: what comes in, what goes down the link, and how it ends.

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

/// The ends a test holds while the loop runs on a thread of its own.
struct Driven {
    feed: Sender<Feed>,
    keys: Sender<Msg>,
    requests: Receiver<Request>,
    leave: Arc<AtomicBool>,
    exit: thread::JoinHandle<(Exit, App)>,
}

fn start(live: bool) -> Driven {
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
    Driven {
        feed,
        keys,
        requests,
        leave,
        exit,
    }
}

impl Driven {
    fn tell(&self, records: Vec<Record>) {
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

    fn asked(&self) -> Command {
        self.requests
            .recv_timeout(Duration::from_secs(5))
            .expect("a request")
            .command
    }

    fn end(self) -> (Exit, App) {
        self.exit.join().expect("the loop does not panic")
    }
}

#[test]
fn keys_become_requests_and_a_stop_leaves_with_the_run() {
    let driven = start(true);
    driven.tell(story::midrun());
    driven.press(' ');
    assert_eq!(driven.asked(), Command::Pause);
    driven.press('q');
    driven.press('s');
    assert_eq!(driven.asked(), Command::Stop);
    let seq = story::midrun().len() as u64 + 1;
    let event = Event::RunFinished {
        outcome: Outcome::Stopped,
        global_step: 781,
    };
    let last = Record {
        seq,
        t_ms: story::START + 40_000,
        event,
    };
    driven
        .feed
        .send(Feed::Live(Box::new(last)))
        .expect("the loop runs");
    assert_eq!(driven.end().0, Exit::Finished);
}

#[test]
fn the_screen_holds_what_the_fold_makes_of_the_records() {
    let driven = start(false);
    driven.tell(story::finished());
    while !driven.feed.is_empty() {
        thread::sleep(Duration::from_millis(5));
    }
    driven.press('q');
    let (exit, app) = driven.end();
    assert_eq!(exit, Exit::Left);
    let mut folded = RunState::default();
    for record in story::finished() {
        folded.apply(&record);
    }
    assert_eq!(app.run, folded);
}

#[test]
fn a_terminal_that_hangs_up_ends_the_screen_at_once() {
    let driven = start(true);
    driven.tell(story::midrun());
    driven.keys.send(Msg::HungUp).expect("the loop runs");
    assert_eq!(driven.end().0, Exit::HungUp);
}

#[test]
fn a_signal_and_a_feed_that_breaks_off_end_it_too() {
    let driven = start(true);
    driven.tell(story::midrun());
    driven.leave.store(true, Ordering::Relaxed);
    let Driven {
        feed, keys, exit, ..
    } = driven;
    drop(feed);
    assert_eq!(
        exit.join().expect("the loop does not panic").0,
        Exit::Finished
    );
    drop(keys);
}
