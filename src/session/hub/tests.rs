#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use super::super::Meta;
use super::super::rundir::{JOURNAL, RunDir};
use super::*;
use crate::fault::{Fault, FaultKind, with};

fn log(i: usize) -> Event {
    Event::Log {
        level: Level::Info,
        text: i.to_string(),
    }
}

/// Reads a feed to its end. Returns the final state and the number of snapshots.
fn final_state(link: &Link) -> (RunState, usize) {
    let (mut state, mut snapshots) = (RunState::default(), 0);
    for feed in &link.feed {
        match feed {
            Feed::Snapshot(snapshot) => {
                state = *snapshot;
                snapshots += 1;
            }
            Feed::Live(record) => state.apply(&record),
            other => panic!("{other:?}"),
        }
    }
    (state, snapshots)
}

#[test]
fn lagging_subscriber_ends_with_the_same_state() {
    let (session, (events, _requests)) = Session::start(None).unwrap();
    let slow = session.link();
    for i in 0..5 * BACKLOG {
        events.send(log(i)).unwrap();
    }
    let late = session.link();
    let listener = std::thread::spawn(move || final_state(&slow));
    for i in 0..10 {
        events.send(log(i)).unwrap();
    }
    drop(events);
    let (late, _) = final_state(&late);
    let (slow, snapshots) = listener.join().unwrap();
    let state = session.join();
    assert_eq!(state.seq as usize, 5 * BACKLOG + 10);
    assert_eq!(late, state);
    assert_eq!(slow, state);
    assert!(snapshots >= 1);
}

/// Regression test: a lagging subscriber got no snapshot until the next event, for example during a pause.
#[test]
fn lagging_subscriber_catches_up_without_further_events() {
    let (session, (events, _requests)) = Session::start(None).unwrap();
    let slow = session.handle().link(4);
    for i in 0..100 {
        events.send(log(i)).unwrap();
    }
    let mut state = RunState::default();
    while state.seq < 100 {
        match slow.feed.recv_timeout(Duration::from_secs(10)).unwrap() {
            Feed::Snapshot(snapshot) => state = *snapshot,
            Feed::Live(record) => state.apply(&record),
            other => panic!("{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(events);
    session.join();
}

/// Regression test: the lines of a restarted run lacked "started over" if the hub was busy when the front end subscribed,
/// because the event was then part of the first snapshot.
#[test]
fn event_after_a_subscription_arrives_as_a_record() {
    for _ in 0..20 {
        let (event_sender, events) = unbounded();
        let (subscribe, subscriptions) = unbounded();
        let (_aside_sender, asides) = unbounded();
        let (feed, link) = bounded(BACKLOG);
        subscribe.send(feed).unwrap();
        event_sender.send(log(1)).unwrap();
        drop(event_sender);
        Hub::new(None, RunState::default(), unbounded().0).run(&events, subscriptions, asides);
        let first = link.recv().unwrap();
        assert!(
            matches!(&first, Feed::Snapshot(state) if state.seq == 0),
            "{first:?}"
        );
        let second = link.recv().unwrap();
        assert!(
            matches!(&second, Feed::Live(record) if record.seq == 1),
            "{second:?}"
        );
    }
}

/// Regression test: a mark was reported although it could not be written or flushed, so a checkpoint got its final
/// name without its mark.
#[test]
fn a_mark_is_reported_once_it_is_in_the_journal_on_the_disk() {
    let runs = tempfile::tempdir().unwrap();
    let run = RunDir::create(runs.path(), "one", "").unwrap();
    let files = RunFiles::create(&run.path, Meta::default()).unwrap();
    let (marked, marks) = unbounded();
    let mut hub = Hub::new(Some(files), RunState::default(), marked);
    hub.take(Event::Marked { mark: 1 });
    assert_eq!(marks.try_iter().collect::<Vec<_>>(), [1]);
    // The second operation is the flush of the first record.
    for (mark, nth) in [(2, 1), (3, 2)] {
        let fault = Fault {
            kind: FaultKind::Fails(5),
            op: JOURNAL.to_owned(),
            nth,
            and_later: true,
        };
        with(Some(fault), || {
            hub.take(Event::Marked { mark });
            hub.take(log(7));
        });
        assert!(marks.is_empty(), "mark {mark}");
        assert_eq!(hub.timeout(), RETRY);
        hub.tried -= RETRY;
        hub.retry_files();
        assert_eq!(marks.try_iter().collect::<Vec<_>>(), [mark]);
    }
    assert_eq!(hub.timeout(), IDLE);
}

#[test]
fn front_end_that_never_reads_does_not_block_the_hub() {
    let (session, (events, _requests)) = Session::start(None).unwrap();
    let _stalled = session.link();
    for i in 0..3 * BACKLOG {
        events.send(log(i)).unwrap();
    }
    drop(events);
    assert_eq!(session.join().seq as usize, 3 * BACKLOG);
}

#[test]
fn requests_reach_the_trainer() {
    let (session, (events, requests)) = Session::start(None).unwrap();
    let link = session.link();
    let request = crate::link::request(crate::event::Command::Pause);
    link.send(request).unwrap();
    assert_eq!(requests.recv().unwrap(), request);
    drop((events, requests));
    assert!(link.send(request).is_err());
    session.join();
}
