//! A screen that is open when its run ends, and the requests that a run has had.

use std::time::Duration;

use epochtop::event::{Answer, Command, Event, Split};
use epochtop::link::{Filter, Link, Query, Reply};
use epochtop::run::RunState;
use epochtop::session::wire::{Role, TrainerInfo};
use epochtop::session::{
    Connection, Meta, RunDir, RunFiles, Server, Session, connect, live_records,
};
use epochtop::tui::{App, Page};

use crate::screens::{app, dark, drawn, text};
use crate::story;

fn images(link: &Link) -> Reply {
    let query = Query::Images {
        from: 0,
        count: 9,
        filter: Filter::Mistakes,
    };
    let queries = link.queries.as_ref().unwrap();
    queries.ask.send((1, query)).unwrap();
    let reply = queries.replies.recv_timeout(Duration::from_secs(60));
    reply.unwrap().1
}

/// A client whose run on `host` has a test-set evaluation and has ended.
fn client_of_an_ended_run(host: String) -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::create(dir.path(), "one", "").unwrap();
    let files = RunFiles::create(&run.path, Meta::default()).unwrap();
    let (session, (events, requests)) = Session::start(Some(files)).unwrap();
    let about = TrainerInfo {
        run: "one".to_owned(),
        path: run.path.clone(),
        pid: std::process::id(),
        host,
        ..TrainerInfo::default()
    };
    let socket = dir.path().join("s");
    let server = Server::start(&socket, session.handle(), about).unwrap();
    let client = connect(&socket, Role::Screen, "test").unwrap();
    match images(&client.link) {
        Reply::Unknown { reason } => assert!(reason.contains("at the end"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let table = "split,index,label,predicted,confidence,logit_0,logit_1\ntest,0,0,1,0.9,0,2\n";
    std::fs::write(run.path.join("predictions.csv"), table).unwrap();
    drop((events, requests));
    session.join();
    server.finish();
    (dir, client)
}

/// Regression test: queries were answered only by the trainer, so the gallery of a screen was empty once it had ended.
#[test]
fn queries_are_answered_after_the_trainer_has_ended() {
    let here = rustix::system::uname();
    let here = here.nodename().to_string_lossy().into_owned();
    let (dir, client) = client_of_an_ended_run(here);
    client.link.feed.iter().for_each(drop);
    let Reply::Images(page) = images(&client.link) else {
        panic!("the finished evaluation is read");
    };
    assert_eq!((page.total, page.rows[0].top[0].0), (1, 1));
    std::fs::remove_dir_all(dir.path().join("one")).unwrap();
    match images(&client.link) {
        Reply::Unknown { reason } => assert!(reason.contains("moved or deleted"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn queries_after_the_end_of_a_run_on_another_host_say_where_its_files_are() {
    let (_dir, client) = client_of_an_ended_run("node17".to_owned());
    client.link.feed.iter().for_each(drop);
    match images(&client.link) {
        Reply::Unknown { reason } => {
            assert!(reason.contains("node17: `epochtop view /"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    let request = epochtop::link::request(Command::Pause);
    assert_eq!(client.link.send(request), Err("the trainer has ended"));
}

/// Versions before the split was part of the request evaluated both.
#[test]
fn an_old_request_to_evaluate_means_both_splits() {
    let both: Command = serde_json::from_str("\"evaluate\"").unwrap();
    assert_eq!(both, Command::EvaluateBoth);
    for split in [Split::Valid, Split::Test] {
        let command = Command::Evaluate { split };
        let json = serde_json::to_string(&command).unwrap();
        assert_eq!(serde_json::from_str::<Command>(&json).unwrap(), command);
    }
    let fixtures = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/runs-0.1/finished"
    );
    let mut found = 0;
    let run = RunDir::at(fixtures.as_ref());
    live_records(&run, |record| {
        let evaluate = |command| command == Command::EvaluateBoth;
        found +=
            usize::from(matches!(record.event, Event::Asked { command, .. } if evaluate(command)));
    })
    .unwrap();
    assert_eq!(found, 1);
}

fn screen(app: &mut App, page: Page) -> String {
    app.ui.page = page;
    text(&drawn(app, (120, 40), &dark()))
}

/// Regression test: the header went on with "epoch 1/8" and the remaining time of all eight.
#[test]
fn header_and_remaining_time_follow_a_pending_stop() {
    let records = story::midrun();
    let mut run = RunState::default();
    records.iter().for_each(|record| run.apply(record));
    let (whole, progress) = (run.remaining_ms().unwrap(), run.progress());
    let mut app = app(&records, true);
    assert!(!screen(&mut app, Page::Overview).contains("stops after"));
    let answer = |app: &mut App, answer: Answer| {
        let event = Event::Acknowledged {
            id: 77,
            command: Command::StopAfterEpoch,
            answer,
            global_step: app.run.global_step,
        };
        let record = epochtop::event::Record {
            seq: app.run.seq + 1,
            t_ms: app.run.now_ms,
            run_ms: None,
            event,
        };
        app.run.apply(&record);
    };
    answer(&mut app, Answer::Accepted);
    assert!(app.run.remaining_ms().unwrap() < whole / 4);
    assert!(app.run.progress() > 2.0 * progress);
    assert!(screen(&mut app, Page::Overview).contains("stops after epoch 4"));
    let reason = "taken back".to_owned();
    answer(&mut app, Answer::Refused { reason });
    assert_eq!(app.run.remaining_ms(), Some(whole));
    assert!(!screen(&mut app, Page::Overview).contains("stops after"));
}

/// Regression test: "37 of 64 correct" after each epoch was an evaluation of the test set that nobody counted.
#[test]
fn the_gallery_counts_no_correct_test_images() {
    for records in [story::midrun(), story::finished()] {
        let mut app = app(&records, true);
        for page in [Page::Overview, Page::Gallery] {
            for line in screen(&mut app, page)
                .lines()
                .filter(|l| l.contains("Gallery"))
            {
                assert!(
                    !line.contains("correct") && !line.contains("of 64 c"),
                    "{line}"
                );
            }
        }
    }
}
