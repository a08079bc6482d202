//! Limits of records and messages: what a run writes can be read, and commands work however large its state is.

use epochtop::event::{Command, Event, GalleryImages, Pixels, Record};
use epochtop::limits::{GALLERY_SIDE, JOURNAL_LINE, MOST_GALLERY};
use epochtop::link::{Feed, request};
use epochtop::run::RunState;
use epochtop::session::wire::{FromTrainer, Role, TrainerInfo};
use epochtop::session::{Server, Session, connect};

use crate::story;

/// The largest gallery that a trainer sends.
fn largest_gallery() -> GalleryImages {
    let pixels = 3 * MOST_GALLERY * (GALLERY_SIDE * GALLERY_SIDE) as usize;
    GalleryImages {
        height: GALLERY_SIDE,
        width: GALLERY_SIDE,
        labels: vec![0; MOST_GALLERY],
        pixels: Pixels(vec![255; pixels]),
    }
}

#[test]
fn the_largest_gallery_is_far_below_the_limits_of_readers() {
    let record = Record {
        seq: 1,
        t_ms: 1,
        run_ms: None,
        event: Event::GalleryImages(largest_gallery()),
    };
    let line = serde_json::to_vec(&record).unwrap();
    assert!(
        (line.len() as u64) < JOURNAL_LINE / 3,
        "{} bytes",
        line.len()
    );
    let mut state = RunState::default();
    story::midrun()
        .iter()
        .for_each(|record| state.apply(record));
    state.gallery = largest_gallery();
    let mut message = Vec::new();
    let snapshot = FromTrainer::Feed(Feed::Snapshot(Box::new(state)));
    snapshot.send(&mut message).unwrap();
    assert!(message.len() < 32 << 20, "{} bytes", message.len());
}

#[test]
fn a_command_gets_neither_the_complete_state_nor_other_records() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let (session, (events, requests)) = Session::start(None).unwrap();
    let server = Server::start(&path, session.handle(), TrainerInfo::default()).unwrap();
    let before = story::midrun();
    let count = before.len() as u64;
    for record in before {
        events.send(record.event).unwrap();
    }
    let screen = connect(&path, Role::Screen, "test").unwrap();
    let mut full = RunState::default();
    while full.seq < count {
        match screen.link.feed.recv().unwrap() {
            Feed::Snapshot(state) => full = *state,
            Feed::Live(record) => full.apply(&record),
            other => panic!("{other:?}"),
        }
    }
    let requester = connect(&path, Role::Asker, "test").unwrap();
    let Ok(Feed::Snapshot(brief)) = requester.link.feed.recv() else {
        panic!("expected a snapshot")
    };
    let size = |state: &RunState| serde_json::to_vec(state).unwrap().len();
    assert_eq!(brief.base_lr, full.base_lr);
    assert!(size(&brief) < 8 << 10 && size(&full) > 32 << 10);
    events
        .send(Event::GalleryImages(largest_gallery()))
        .unwrap();
    let wanted = request(Command::Stop);
    requester.link.send(wanted).unwrap();
    assert_eq!(requests.recv().unwrap(), wanted);
    // The gallery was sent before the request was recorded, but the requester does not receive it.
    let Ok(Feed::Live(next)) = requester.link.feed.recv() else {
        panic!("expected a record")
    };
    assert!(matches!(next.event, Event::Asked { id, .. } if id == wanted.id));
    drop((events, requests, screen, requester));
    session.join();
    server.finish();
}
