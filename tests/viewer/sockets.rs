//! The socket of a run, with correct and misbehaving clients: only permitted requests reach the run.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use epochtop::event::{Answer, Command, Event, Record, Request};
use epochtop::link::{Feed, Filter, Link, Query, Reply, request};
use epochtop::run::{Curve, RunState};
use epochtop::session::wire::{ClientHello, FromClient, FromTrainer, MAJOR, Role, TrainerInfo};
use epochtop::session::{
    Connection, Meta, RunDir, RunFiles, RunOutcome, Server, Session, connect, replay,
};

use crate::story;

/// A run whose events the test sends, and its socket.
struct Served {
    dir: tempfile::TempDir,
    run: RunDir,
    path: PathBuf,
    session: Session,
    server: Server,
    events: Sender<Event>,
    requests: Receiver<Request>,
}

fn serve() -> Served {
    serve_with(Duration::from_secs(30))
}

/// As [`serve`], with the time that a client may read nothing.
fn serve_with(patience: Duration) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::create(dir.path(), "one", "").unwrap();
    let meta = Meta {
        run: "one".to_owned(),
        outcome: RunOutcome::Running,
        ..Meta::default()
    };
    let files = RunFiles::create(&run.path, meta).unwrap();
    let (session, (events, requests)) = Session::start(Some(files)).unwrap();
    let path = dir.path().join("s");
    let about = TrainerInfo {
        run: "one".to_owned(),
        path: run.path.clone(),
        pid: std::process::id(),
        ..TrainerInfo::default()
    };
    let server = Server::start_with(&path, session.handle(), about, patience).unwrap();
    Served {
        dir,
        run,
        path,
        session,
        server,
        events,
        requests,
    }
}

impl Served {
    /// Sends the events of these records to the session.
    fn send_records(&self, records: Vec<Record>) {
        records
            .into_iter()
            .for_each(|record| self.events.send(record.event).unwrap());
    }

    fn connect(&self, role: Role) -> Connection {
        connect(&self.path, role, "test").unwrap()
    }

    /// Ends the run; returns its final state, the temporary directory and the run directory.
    fn end(self) -> (RunState, tempfile::TempDir, RunDir) {
        drop((self.events, self.requests));
        let state = self.session.join();
        self.server.finish();
        assert!(!self.path.exists(), "the socket file was not removed");
        (state, self.dir, self.run)
    }
}

/// The state that a client folds from its feed, until `enough` returns true or the feed ends.
fn state(link: &Link, enough: impl Fn(&RunState) -> bool) -> RunState {
    let mut state = RunState::default();
    for feed in &link.feed {
        match feed {
            Feed::Snapshot(full) => state = *full,
            Feed::Live(record) => state.apply(&record),
            Feed::Control(_) => {}
            other => panic!("{other:?}"),
        }
        if enough(&state) {
            break;
        }
    }
    state
}

fn wait<T>(what: &str, mut wanted: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = wanted() {
            return found;
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "timed out waiting for {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_late_client_gets_the_full_state_and_all_clients_end_with_the_same() {
    let served = serve();
    let early = served.connect(Role::Screen);
    served.send_records(story::midrun());
    let full = state(&early.link, |state| {
        state.seq >= story::midrun().len() as u64
    });
    let late = served.connect(Role::Screen);
    assert!(
        early.control && !late.control,
        "the first screen has control"
    );
    let first = state(&late.link, |_| true);
    assert_eq!(first, full, "the snapshot contains the full state");
    drop((early, late));
    let watcher = served.connect(Role::Watcher);
    let end = std::thread::spawn(move || {
        let watcher = watcher;
        state(&watcher.link, |_| false)
    });
    served.send_records(story::finished().split_off(story::midrun().len().min(5)));
    let (state, _dir, _) = served.end();
    let mut seen = end.join().unwrap();
    // The requesters are recorded separately from the events, so this field is not compared.
    seen.askers.clone_from(&state.askers);
    assert_eq!(seen, state);
}

#[test]
fn requests_are_delivered_once_with_the_name_of_the_requester() {
    let served = serve();
    let requester = served.connect(Role::Asker);
    let pause = request(Command::Pause);
    for _ in 0..3 {
        requester.link.send(pause).unwrap();
    }
    let got = served
        .requests
        .recv_timeout(Duration::from_secs(5))
        .unwrap();
    assert_eq!(got, pause);
    let done = Answer::Done {
        note: "at step 0".to_owned(),
    };
    let answer = Event::Acknowledged {
        id: pause.id,
        command: pause.command,
        answer: done.clone(),
        global_step: 0,
    };
    served.events.send(answer).unwrap();
    let state = state(&requester.link, |state| {
        state.commands.iter().any(|line| line.by.is_some())
    });
    let line = state.commands.back().unwrap();
    assert_eq!((line.id, &line.answer), (pause.id, &done));
    let by = line.by.clone().unwrap();
    assert!(by.starts_with("test, process "), "{by}");
    assert_eq!(
        state.askers.len(),
        1,
        "a request sent three times is recorded once"
    );
    drop(requester);
    served.end();
}

#[test]
fn watchers_cannot_send_requests_and_a_second_screen_can_take_control() {
    let served = serve();
    let (first, second) = (served.connect(Role::Screen), served.connect(Role::Screen));
    let watcher = served.connect(Role::Watcher);
    for front in [&second, &watcher] {
        let stop = request(Command::Stop);
        front.link.send(stop).unwrap();
        let received = wait("a refusal", || {
            front
                .link
                .feed
                .try_iter()
                .find(|feed| matches!(feed, Feed::Unsent { .. }))
        });
        assert!(matches!(received, Feed::Unsent { id, .. } if id == stop.id));
    }
    for (front, granted) in [(&second, true), (&watcher, false)] {
        front.link.control.as_ref().unwrap().send(()).unwrap();
        let received = wait("an answer", || {
            front
                .link
                .feed
                .try_iter()
                .find(|feed| matches!(feed, Feed::Control(_)))
        });
        assert_eq!(received, Feed::Control(granted));
    }
    second.link.send(request(Command::Checkpoint)).unwrap();
    let got = served
        .requests
        .recv_timeout(Duration::from_secs(5))
        .unwrap();
    assert_eq!(got.command, Command::Checkpoint);
    assert!(
        served.requests.is_empty(),
        "requests of other clients must not reach the run"
    );
    drop((first, second, watcher));
    served.end();
}

/// Peers that do not follow the protocol are disconnected soon, without an effect on the run.
#[test]
fn peers_that_violate_the_protocol_are_disconnected() {
    let served = serve();
    let hello = |major: u32| {
        let body = format!(
            "{{\"magic\":\"epochtop\",\"major\":{major},\"minor\":0,\"epochtop\":\"9.9\",\"role\":\"screen\",\"who\":\"x\\u001b[2J\"}}"
        );
        let mut frame = (body.len() as u32 + 1).to_le_bytes().to_vec();
        frame.push(1);
        frame.extend(body.as_bytes());
        frame
    };
    let after_hello = |bytes: &[u8]| [&hello(MAJOR), bytes].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing at all", Vec::new()),
        ("half a length", vec![1, 0]),
        (
            "garbage",
            (0..5000_u32).map(|i| (i * 7919 % 251) as u8).collect(),
        ),
        ("a length of 4 GiB", vec![255; 64]),
        ("a message that never comes", vec![0, 1, 0, 0, 1, b'{']),
        (
            "a web browser",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        ("another version", hello(99)),
        ("a request before the hello", after_hello(&[]).split_off(5)),
        ("4 GiB after the hello", after_hello(&[255; 64])),
        ("a hello twice", after_hello(&hello(MAJOR))),
        ("no JSON", after_hello(&[3, 0, 0, 0, 5, b'x', b'y'])),
    ];
    for (what, bytes) in &cases {
        let mut stream = UnixStream::connect(&served.path).unwrap();
        // The server may close the connection while the client is still writing.
        let _ = stream.write_all(bytes);
        stream
            .set_read_timeout(Some(Duration::from_secs(15)))
            .unwrap();
        let began = Instant::now();
        let mut answer = Vec::new();
        let closed = stream.read_to_end(&mut answer);
        let open = closed.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!open, "{what}: still open after {:?}", began.elapsed());
        if *what == "another version" {
            let received = FromTrainer::receive(&mut answer.as_slice()).unwrap();
            let Some(FromTrainer::Goodbye(words)) = received else {
                panic!("{received:?}")
            };
            assert!(
                words.contains("uses protocol version 99")
                    && words.contains(&format!("version {MAJOR}")),
                "{words}"
            );
        }
    }
    // The server still works.
    served.send_records(story::midrun());
    let client = served.connect(Role::Screen);
    state(&client.link, |state| state.seq > 5);
    drop(client);
    served.end();
}

#[test]
fn too_many_clients_are_refused_until_one_disconnects_and_are_named() {
    let served = serve();
    let mut all: Vec<Connection> = (0..32).map(|_| served.connect(Role::Watcher)).collect();
    for _ in 0..20 {
        let error = connect(&served.path, Role::Screen, "test").unwrap_err();
        let words = error.to_string();
        let who = format!("test, process {}", std::process::id());
        for expected in [
            "32 clients are attached",
            "detach one of them",
            &who,
            "and 24 more",
        ] {
            assert!(words.contains(expected), "{expected} in {words}");
        }
    }
    all.pop();
    wait("a free slot", || {
        connect(&served.path, Role::Screen, "test").ok()
    });
    drop(all);
    served.end();
}

/// A connection after its hello, for a test that sends and receives single messages.
fn raw(path: &Path, role: Role) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    let hello = FromClient::Hello(ClientHello::new(role, "raw".to_owned()));
    hello.send(&mut &stream).unwrap();
    let answer = FromTrainer::receive(&mut &stream).unwrap();
    assert!(matches!(answer, Some(FromTrainer::Hello(_))), "{answer:?}");
    stream
}

/// Before: 32 clients that did nothing locked `ctl stop` out.
#[test]
fn a_command_has_a_place_when_all_others_are_taken() {
    let served = serve();
    let all: Vec<UnixStream> = (0..32)
        .map(|i| raw(&served.path, [Role::Screen, Role::Watcher][i % 2]))
        .collect();
    // Further connections without a hello do not count.
    let silent: Vec<UnixStream> = (0..100)
        .map(|_| UnixStream::connect(&served.path).unwrap())
        .collect();
    wait("all places to be taken", || {
        connect(&served.path, Role::Watcher, "test").err()
    });
    let commands: Vec<Connection> = (0..16).map(|_| served.connect(Role::Asker)).collect();
    for command in &commands {
        command.link.send(request(Command::Stop)).unwrap();
        let got = served.requests.recv_timeout(Duration::from_secs(5));
        assert_eq!(got.unwrap().command, Command::Stop);
    }
    let error = connect(&served.path, Role::Asker, "test").unwrap_err();
    assert!(
        error.to_string().contains("16 commands are waiting"),
        "{error}"
    );
    drop((all, silent, commands));
    served.end();
}

/// Before: connections without a hello took the places of screens for two seconds each.
#[test]
fn connections_without_a_hello_take_no_place() {
    let served = serve();
    let silent: Vec<UnixStream> = (0..100)
        .map(|_| UnixStream::connect(&served.path).unwrap())
        .collect();
    let clients: Vec<Connection> = (0..32).map(|_| served.connect(Role::Screen)).collect();
    drop((silent, clients));
    served.end();
}

/// Before: with little to send, as during a pause, such a client kept its place for ever.
#[test]
fn a_client_that_reads_nothing_is_disconnected_even_if_little_is_sent() {
    let served = serve_with(Duration::from_secs(2));
    let stopped: Vec<UnixStream> = (0..32).map(|_| raw(&served.path, Role::Watcher)).collect();
    let command = raw(&served.path, Role::Asker);
    let began = Instant::now();
    let watcher = wait("a free place", || {
        connect(&served.path, Role::Watcher, "test").ok()
    });
    assert!(began.elapsed() > Duration::from_secs(1), "too early");
    // A client that reads, and sends nothing, stays.
    std::thread::sleep(Duration::from_secs(5));
    let (level, text) = (epochtop::event::Level::Info, "still here".to_owned());
    served.events.send(Event::Log { level, text }).unwrap();
    let state = state(&watcher.link, |state| {
        state.log.iter().any(|line| line.text == "still here")
    });
    let lines = state.log.iter().map(|line| line.text.as_str());
    let lines: Vec<&str> = lines
        .filter(|line| line.contains("read no data for 2 s"))
        .collect();
    assert!((1..=10).contains(&lines.len()), "{lines:?}");
    // So is a command that sends no request.
    command
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut all = Vec::new();
    (&command).read_to_end(&mut all).unwrap();
    drop((stopped, watcher));
    served.end();
}

/// What clients had sent before they ended kept their places for many minutes, at the allowed rate.
#[test]
fn a_flood_of_requests_leaves_no_place_taken_when_its_clients_end() {
    let served = serve();
    let requests = served.requests.clone();
    let trainer = std::thread::spawn(move || requests.iter().count());
    // A command that sends more than one request after the other is disconnected.
    let command = raw(&served.path, Role::Asker);
    for _ in 0..20 {
        // The trainer may have closed the connection.
        let _ = FromClient::Request(request(Command::Pause)).send(&mut &command);
    }
    let mut all = Vec::new();
    let _ = (&command).read_to_end(&mut all);
    assert!(String::from_utf8_lossy(&all).contains("too many commands"));
    let flood: Vec<UnixStream> = (0..32).map(|_| raw(&served.path, Role::Screen)).collect();
    for client in &flood {
        FromClient::Control.send(&mut &*client).unwrap();
        for _ in 0..50 {
            let pause = FromClient::Request(request(Command::Pause));
            pause.send(&mut &*client).unwrap();
        }
    }
    drop(flood);
    let began = Instant::now();
    let clients: Vec<Connection> = (0..32)
        .map(|_| {
            wait("a free place", || {
                connect(&served.path, Role::Screen, "test").ok()
            })
        })
        .collect();
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    drop(clients);
    served.end();
    assert!(trainer.join().unwrap() < 1000);
}

/// A screen that was suspended, as with Ctrl-Z, is disconnected meanwhile and connects again by itself.
#[test]
fn a_suspended_client_connects_again_when_it_continues() {
    let served = serve_with(Duration::from_secs(1));
    served.send_records(story::midrun());
    let mut client = Process::new(env!("CARGO_BIN_EXE_epochtop"))
        .args(["attach", "--socket"])
        .arg(&served.path)
        .current_dir(served.dir.path())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&client);
    let signal = |signal| rustix::process::kill_process(pid, signal).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    signal(rustix::process::Signal::STOP);
    let watcher = served.connect(Role::Watcher);
    let disconnected = |state: &RunState| {
        let mut lines = state.log.iter();
        lines.any(|line| line.text.contains("read no data for 1 s; it can reattach"))
    };
    state(&watcher.link, disconnected);
    served.send_records(story::finished().split_off(story::midrun().len().min(5)));
    signal(rustix::process::Signal::CONT);
    // It is connected before the run ends.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(client.try_wait().unwrap(), None);
    drop(watcher);
    served.end();
    let output = client.wait_with_output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(!stdout.contains("disconnected this client"), "{stdout}");
    assert!(stdout.contains("test"), "{stdout}");
}

/// Before: each request was recorded before it was refused, 35 MB in 15 s.
#[test]
fn requests_are_limited_before_they_are_recorded() {
    let served = serve();
    let client = raw(&served.path, Role::Screen);
    let requests = served.requests.clone();
    let trainer = std::thread::spawn(move || requests.iter().count());
    let count = 5000;
    let sending = client.try_clone().unwrap();
    let began = Instant::now();
    let sender = std::thread::spawn(move || {
        for _ in 0..count {
            let message = FromClient::Request(request(Command::Pause));
            message.send(&mut &sending).unwrap();
        }
    });
    let mut refused = 0;
    let (mut recorded, mut last) = (0, 0);
    while refused + recorded < count {
        match FromTrainer::receive(&mut &client).unwrap() {
            Some(FromTrainer::Feed(Feed::Unsent { reason, .. })) => {
                assert!(reason.contains("at most 10 per second"), "{reason}");
                refused += 1;
            }
            Some(FromTrainer::Feed(Feed::Live(record))) => last = record.seq,
            Some(FromTrainer::Feed(Feed::Snapshot(state))) => last = state.seq,
            _ => {}
        }
        recorded = last;
    }
    sender.join().unwrap();
    let allowed = 60 + 10 * (began.elapsed().as_secs() + 1);
    assert!((60..=allowed).contains(&recorded), "{recorded} recorded");
    drop(client);
    let (state, _dir, _) = served.end();
    assert_eq!(trainer.join().unwrap() as u64, recorded);
    assert_eq!(state.seq, recorded);
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

#[test]
fn a_thousand_connections_leak_no_files_or_memory() {
    let served = serve();
    served.send_records(story::midrun());
    let count = |what: &str| std::fs::read_dir(what).unwrap().count();
    let visit = |times: usize| {
        for i in 0..times {
            match i % 3 {
                0 => drop(UnixStream::connect(&served.path).unwrap()),
                1 => drop(wait("a free slot", || {
                    connect(&served.path, Role::Screen, "test").ok()
                })),
                _ => {
                    let client = wait("a free slot", || {
                        connect(&served.path, Role::Watcher, "test").ok()
                    });
                    state(&client.link, |_| true);
                }
            }
        }
        // Give the server time to close the last connections.
        std::thread::sleep(Duration::from_millis(2500));
    };
    visit(100);
    let (files, kilobytes) = (count("/proc/self/fd"), memory());
    visit(1000);
    // Tests that run in parallel also have files open, but only for a short time.
    wait("open files to be closed", || {
        let more = count("/proc/self/fd").saturating_sub(files);
        (more < 60).then_some(())
    });
    let grown = memory().saturating_sub(kilobytes);
    assert!(grown < 60_000, "{grown} kB more");
    let (state, ..) = served.end();
    assert_eq!(
        state.seq,
        story::midrun().len() as u64,
        "connections are not recorded"
    );
}

/// A client that stops reading blocks neither the run nor other clients. When it reads again it gets a current
/// snapshot.
#[test]
fn a_client_that_does_not_read_blocks_no_other_and_catches_up() {
    let served = serve();
    let slow = {
        let stream = UnixStream::connect(&served.path).unwrap();
        let mut hello = Vec::new();
        FromClient::Hello(ClientHello::new(Role::Watcher, "slow".to_owned()))
            .send(&mut hello)
            .unwrap();
        (&stream).write_all(&hello).unwrap();
        stream
    };
    let fast = served.connect(Role::Watcher);
    let count = 3_000;
    let began = Instant::now();
    for i in 0..count {
        let text = format!("line {i} {}", "x".repeat(200));
        let level = epochtop::event::Level::Info;
        served.events.send(Event::Log { level, text }).unwrap();
    }
    state(&fast.link, |state| state.seq >= count);
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "the fast client waited for the slow one"
    );
    // Now the slow client reads.
    slow.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let (mut state, mut snapshots, mut records) = (RunState::default(), 0, 0_usize);
    while state.seq < count {
        match FromTrainer::receive(&mut &slow).unwrap() {
            Some(FromTrainer::Feed(Feed::Snapshot(full))) => {
                snapshots += 1;
                state = *full;
            }
            Some(FromTrainer::Feed(Feed::Live(record))) => {
                assert_eq!(record.seq, state.seq + 1, "a record is missing");
                records += 1;
                state.apply(&record);
            }
            _ => {}
        }
    }
    assert!(
        snapshots >= 2 && records < count as usize,
        "the missed records were sent instead of a snapshot: {snapshots} snapshots, {records} records"
    );
    drop((slow, fast));
    served.end();
}

/// Regression test: the reader, writer and query threads of such clients waited for each other, so their connection
/// slots were never released.
#[test]
fn clients_that_query_without_reading_free_their_slot_when_they_disconnect() {
    let served = serve();
    served.send_records(story::midrun());
    let in_process = served.session.link();
    state(&in_process, |state| {
        state.seq >= story::midrun().len() as u64
    });
    let hello = FromClient::Hello(ClientHello::new(Role::Watcher, "test".to_owned()));
    let query = FromClient::Query(
        1,
        Query::Series {
            curve: Curve::TrainLoss.into(),
            from: 0,
            to: u64::MAX,
            points: 10_000,
        },
    );
    let ask = |stream: &UnixStream| {
        stream
            .set_write_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        hello.send(&mut &*stream).unwrap();
        // Send until the trainer accepts no more.
        for _ in 0..5000 {
            if query.send(&mut &*stream).is_err() {
                break;
            }
        }
    };
    let all: Vec<UnixStream> = (0..32)
        .map(|_| UnixStream::connect(&served.path).unwrap())
        .collect();
    std::thread::scope(|scope| {
        all.iter()
            .for_each(|stream| drop(scope.spawn(|| ask(stream))));
    });
    drop(all);
    wait("a free slot", || {
        connect(&served.path, Role::Screen, "test").ok()
    });
    drop(in_process);
    served.end();
}

#[test]
fn queries_have_the_same_reply_in_process_over_the_socket_and_in_a_replay() {
    let served = serve();
    served.send_records(story::midrun());
    let csv = "split,index,label,predicted,confidence,logit_0,logit_1\nvalid,0,1,1,0.9,0,2\ntest,0,1,1,0.9,0,2\ntest,1,0,1,0.6,1,1.5\n\
               test,2,0,1,0.8,1,4\n";
    std::fs::write(served.run.path.join("predictions.csv"), csv).unwrap();
    let over_socket = served.connect(Role::Watcher);
    let in_process = served.session.link();
    state(&in_process, |state| {
        state.seq >= story::midrun().len() as u64
    });
    let series = Query::Series {
        curve: Curve::TrainLoss.into(),
        from: 10,
        to: 400,
        points: 50,
    };
    let images = |filter| Query::Images {
        from: 1,
        count: 5,
        filter,
    };
    let confused = Filter::Confused {
        truth: 0,
        predicted: 1,
    };
    let (_, replayed) = (0, replay(&served.run).unwrap().0);
    for query in [
        series,
        Query::Step { step: 100 },
        images(Filter::All),
        images(Filter::Mistakes),
        images(Filter::ConfidentMistakes),
        images(Filter::Class(0)),
        images(confused),
        images(Filter::LeastCertain),
    ] {
        let answers = [&over_socket.link, &in_process, &replayed].map(|link| {
            let queries = link.queries.as_ref().unwrap();
            queries.ask.send((7, query.clone())).unwrap();
            queries
                .replies
                .recv_timeout(Duration::from_secs(10))
                .unwrap()
        });
        let [a, b, c] = answers;
        assert!(a == b && b == c, "{query:?}: {a:?} {b:?} {c:?}");
        match a {
            (7, Reply::Series(values)) => {
                assert!(!values.is_empty() && values.len() <= 50);
                assert!(values.iter().all(|(step, _)| (10..=400).contains(step)));
            }
            (7, Reply::Step(found)) => assert_eq!(found.map(|found| found.step), Some(100)),
            (7, Reply::Images(page)) => {
                // The page starts at 1, so the omitted image depends on the sort order of the filter.
                let indices: Vec<u32> = page.rows.iter().map(|row| row.index).collect();
                let expected: &[u32] = match query {
                    Query::Images {
                        filter: Filter::All,
                        ..
                    } => &[1, 2],
                    Query::Images {
                        filter: Filter::ConfidentMistakes,
                        ..
                    } => &[1],
                    Query::Images {
                        filter: Filter::LeastCertain,
                        ..
                    } => &[0, 2],
                    _ => &[2],
                };
                assert_eq!(indices, expected, "{query:?}");
                assert_eq!(page.rows[0].top[0].0, 1);
                // The gallery of this run has earlier predictions for each image.
                assert!(page.rows.iter().all(|row| !row.earlier.is_empty()));
                assert!(page.rows.iter().all(|row| row.size != (0, 0)));
            }
            other => panic!("{other:?}"),
        }
    }
    drop((over_socket, in_process));
    served.end();
}

/// Another user is refused with an error that names the owner, even if permissions allow access to the socket.
/// Normally the permissions of the directory prevent that.
#[test]
fn another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let served = serve();
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(served.dir.path(), 0o755);
    open(&served.path, 0o777);
    let copy = served.dir.path().join("epochtop");
    std::fs::copy(env!("CARGO_BIN_EXE_epochtop"), &copy).unwrap();
    let output = Process::new(&copy)
        .args(["ctl", "stop", "--socket"])
        .arg(&served.path)
        .uid(65534)
        .gid(65534)
        .env("HOME", "/")
        .current_dir("/")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    if cfg!(feature = "train") && output.status.code() == Some(127) {
        // The other user may lack permission to read libtorch; builds without it still run this test.
        assert!(words.contains("loading shared libraries"), "{words}");
        served.end();
        return;
    }
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("another user"), "{words}");
    assert!(served.requests.is_empty());
    served.end();
}

/// The stale socket of a killed trainer is replaced by the next trainer.
#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let served = serve();
    let other = Session::start(None).unwrap();
    let error = Server::start(&served.path, other.0.handle(), TrainerInfo::default()).unwrap_err();
    assert!(
        error.to_string().contains("another process listens there"),
        "{error}"
    );
    let stale = served.dir.path().join("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert!(stale.exists());
    let again = Server::start(&stale, other.0.handle(), TrainerInfo::default()).unwrap();
    connect(&stale, Role::Watcher, "test").unwrap();
    again.finish();
    served.end();
}

#[test]
fn a_run_on_another_host_is_reported_with_the_ssh_command() {
    let runs = tempfile::tempdir().unwrap();
    let run = RunDir::create(runs.path(), "far", "").unwrap();
    let meta = Meta {
        run: "far".to_owned(),
        host: "node17".to_owned(),
        outcome: RunOutcome::Running,
        ..Meta::default()
    };
    drop(RunFiles::create(&run.path, meta).unwrap());
    for verb in [&["attach"][..], &["ctl", "pause"][..]] {
        let output = Process::new(env!("CARGO_BIN_EXE_epochtop"))
            .args(verb)
            .args(["far", "--runs"])
            .arg(runs.path())
            .env("EPOCHTOP_SOCKET_DIR", runs.path())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(
            words.contains("the run is on node17; use: ssh -t node17 epochtop"),
            "{words}"
        );
    }
}
