//! A run outlives its terminal, which is closed in each state of the screen, with and without SIGHUP, and with screen and
//! trainer in two processes or in one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use epochtop::event::{Event, Phase, Record};
use epochtop::link::Feed;
use epochtop::run::RunState;
use epochtop::session::wire::Role;
use epochtop::session::{RunDir, RunOutcome, connect, replay};

use crate::fixture::shapes;
use crate::pty::{PATIENCE, Terminal, arguments, kill_trainer, meta, step};

const PROGRAM: &str = env!("CARGO_BIN_EXE_epochtop");
/// Enough epochs for all steps of a test.
const EPOCHS: u32 = 14;

/// The state of the screen when the terminal is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    BeforeTheFirstFrame,
    Drawing,
    InADialog,
    Paused,
    Evaluating,
    Checkpointing,
}

const MOMENTS: [Moment; 6] = [
    Moment::BeforeTheFirstFrame,
    Moment::Drawing,
    Moment::InADialog,
    Moment::Paused,
    Moment::Evaluating,
    Moment::Checkpointing,
];

/// How the terminal is closed, and which process trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HangUp {
    /// The kernel sends SIGHUP to the screen.
    Signal,
    /// No SIGHUP: the terminal is not the controlling terminal of the screen.
    NoSignal,
    /// Screen and trainer are one process, which gets SIGHUP.
    OneProcess,
    /// Screen and trainer are one process, which gets no SIGHUP.
    OneProcessNoSignal,
}

impl HangUp {
    fn one_process(self) -> bool {
        matches!(self, Self::OneProcess | Self::OneProcessNoSignal)
    }
}

/// The directories for data and runs of one test.
pub(crate) struct Place {
    data: tempfile::TempDir,
    pub(crate) runs: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let (data, runs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        shapes(data.path());
        Self { data, runs }
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.runs.path().join("t")
    }

    pub(crate) fn env(&self) -> [(&str, &str); 1] {
        [("EPOCHTOP_SOCKET_DIR", self.runs.path().to_str().unwrap())]
    }

    /// The arguments of a run whose evaluations take long, because each batch has one image.
    pub(crate) fn arguments(&self, epochs: u32) -> Vec<String> {
        let mut args = arguments(self.data.path(), self.runs.path(), epochs);
        args.extend(["--set", "eval.batch_size=1"].map(str::to_owned));
        args
    }

    fn start(&self, hang_up: HangUp) -> Terminal {
        let mut args = self.arguments(EPOCHS);
        if hang_up.one_process() {
            args.push("--in-process".to_owned());
        }
        let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
        let env = self.env();
        match hang_up {
            HangUp::Signal | HangUp::OneProcess => Terminal::start_with(&env, &args, (30, 100)),
            HangUp::NoSignal | HangUp::OneProcessNoSignal => {
                args.splice(0..0, ["-w", PROGRAM]);
                Terminal::run_program(&env, "setsid", &args, (30, 100))
            }
        }
    }

    pub(crate) fn ctl(&self, words: &[&str]) -> Output {
        Command::new(PROGRAM)
            .args(["ctl", "--timeout", "60"])
            .args(words)
            .envs(self.env())
            .current_dir("/")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn attach(&self) -> Terminal {
        // By name, from a directory that does not contain the run.
        let env = self.env();
        Terminal::run_program(
            &env,
            "sh",
            &["-c", &format!("cd / && exec {PROGRAM} attach t")],
            (30, 100),
        )
    }
}

impl Drop for Place {
    #[expect(
        clippy::print_stderr,
        reason = "a failed test prints the end of the journal"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let events = records(&self.run()).into_iter().rev();
            let events = events.filter(|record| {
                !matches!(record.event, Event::Steps(_) | Event::EvalProgress { .. })
            });
            events
                .take(40)
                .for_each(|record| eprintln!("{record:.300?}"));
        }
        kill_trainer(&self.run());
    }
}

pub(crate) fn wait<T>(what: &str, mut wanted: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = wanted() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn records(run: &Path) -> Vec<Record> {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap_or_default();
    text.lines()
        .map_while(|line| serde_json::from_str(line).ok())
        .collect()
}

pub(crate) fn steps_done(run: &Path) -> u64 {
    let step = |record: &Record| match &record.event {
        Event::Steps(window) => Some(window.global_step),
        _ => None,
    };
    records(run).iter().rev().find_map(step).unwrap_or(0)
}

fn in_phase(run: &Path, wanted: &[Phase]) -> bool {
    let phase = |record: &Record| match &record.event {
        Event::Phase { phase } => Some(*phase),
        _ => None,
    };
    records(run)
        .iter()
        .rev()
        .find_map(phase)
        .is_some_and(|phase| wanted.contains(&phase))
}

/// Brings the screen into the state in which the terminal is to be closed.
fn reach(terminal: &mut Terminal, run: &Path, moment: Moment) {
    if moment == Moment::BeforeTheFirstFrame {
        wait("the run", || run.join("run.json").exists().then_some(()));
        return;
    }
    terminal.wait("a step", |text| step(text).filter(|step| *step > 0));
    match moment {
        Moment::BeforeTheFirstFrame | Moment::Drawing => {}
        Moment::InADialog => {
            terminal.press("q");
            terminal.wait_for("Detach or stop?");
        }
        Moment::Paused => {
            terminal.press(" ");
            terminal.wait_for("paused");
        }
        Moment::Evaluating => {
            terminal.press("e");
            wait("an evaluation", || {
                in_phase(run, &[Phase::Validating, Phase::Testing]).then_some(())
            });
        }
        Moment::Checkpointing => terminal.press("c"),
    }
}

/// CPU time, in ticks, of the threads of a process that only monitor.
fn monitoring_ticks(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let ticks = tasks.filter_map(|task| {
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        let (head, rest) = stat.rsplit_once(") ")?;
        let name = head.split_once('(')?.1;
        let idle = ["trainer", "checkpoints", "hub"]
            .iter()
            .all(|busy| !name.starts_with(busy));
        let fields: Vec<u64> = rest
            .split(' ')
            .skip(11)
            .take(2)
            .flat_map(str::parse)
            .collect();
        idle.then(|| fields.iter().sum::<u64>())
    });
    ticks.sum()
}

/// A hash of the weights and running statistics in the last checkpoint of a run.
fn final_weights(run: &Path) -> blake3::Hash {
    let latest = fs::read_to_string(run.join("checkpoints/LATEST")).unwrap();
    let weights = run
        .join("checkpoints")
        .join(latest.trim())
        .join("model.safetensors");
    blake3::hash(&fs::read(weights).unwrap())
}

pub(crate) fn completed(run: &Path) -> Option<()> {
    meta(run)
        .filter(|meta| meta.outcome == RunOutcome::Completed)
        .map(drop)
}

/// The final weights of a headless run without clients, trained once.
fn undisturbed() -> blake3::Hash {
    static ONE: LazyLock<blake3::Hash> = LazyLock::new(train_undisturbed);
    *ONE
}

fn train_undisturbed() -> blake3::Hash {
    let place = Place::new();
    let status = Command::new(PROGRAM)
        .args(place.arguments(EPOCHS))
        .arg("--headless")
        .envs(place.env())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    final_weights(&place.run())
}

/// Connects a client now; the thread returns the state that the client has at the end of the run.
fn watch_to_the_end(place: &Place) -> std::thread::JoinHandle<RunState> {
    let socket = meta(&place.run()).unwrap().socket.unwrap();
    let connected = connect(&socket, Role::Watcher, "test").unwrap();
    std::thread::spawn(move || {
        // Move all of it into the thread: dropping its request channel would close the link.
        let connected = connected;
        let (mut state, mut first) = (RunState::default(), true);
        for feed in &connected.link.feed {
            match feed {
                Feed::Snapshot(snapshot) => state = *snapshot,
                Feed::Live(record) => {
                    assert!(!first, "a feed must start with a snapshot");
                    assert_eq!(record.seq, state.seq + 1, "a gap in the live feed");
                    state.apply(&record);
                }
                other => panic!("{other:?}"),
            }
            first = false;
        }
        state
    })
}

fn assert_the_run_continues(hang_up: HangUp, moment: Moment, undisturbed: blake3::Hash) {
    let case = format!("{hang_up:?}, {moment:?}");
    let place = Place::new();
    let run = place.run();
    let mut terminal = place.start(hang_up);
    reach(&mut terminal, &run, moment);
    terminal.hang_up();
    let trainer = wait("the trainer's process", || meta(&run)).pid;
    if hang_up.one_process() {
        let before = monitoring_ticks(trainer);
        std::thread::sleep(Duration::from_secs(1));
        let ticks = monitoring_ticks(trainer) - before;
        assert!(
            ticks <= 3,
            "{case}: the threads of the screen used {ticks} ticks in a second"
        );
    } else {
        wait("the screen to end", || terminal.child.try_wait().unwrap());
    }
    if moment == Moment::Paused {
        assert!(
            in_phase(&run, &[Phase::Paused]),
            "{case}: the run is no longer paused"
        );
    } else {
        let before = steps_done(&run);
        wait("a later step", || {
            (steps_done(&run) > before || completed(&run).is_some()).then_some(())
        });
    }
    // Attach again from another directory.
    let mut again = place.attach();
    again.wait_for("▸ Gallery");
    let watched = watch_to_the_end(&place);
    if moment == Moment::Paused {
        again.wait_for("paused");
        let resumed = place.ctl(&["resume", "t"]);
        assert!(resumed.status.success(), "{case}: {resumed:?}");
    }
    again.press("d");
    again.wait_for("the run continues");
    assert_eq!(again.exit_code(), 0, "{case}");
    wait("the end", || completed(&run));
    let events = records(&run);
    for (i, record) in events.iter().enumerate() {
        assert_eq!(record.seq, i as u64 + 1, "{case}: a gap in the journal");
    }
    let (_, replayed) = replay(&RunDir::at(&run)).unwrap();
    assert!(
        replayed.problems.is_empty(),
        "{case}: {:?}",
        replayed.problems
    );
    assert_eq!(
        watched.join().unwrap(),
        replayed.state,
        "{case}: the state received over the socket differs"
    );
    let steps = u64::from(EPOCHS) * replayed.state.epoch_steps;
    assert_eq!(replayed.state.global_step, steps, "{case}");
    assert_eq!(
        final_weights(&run),
        undisturbed,
        "{case}: the weights differ"
    );
}

fn every_moment(hang_up: HangUp) {
    let undisturbed = undisturbed();
    for moment in MOMENTS {
        assert_the_run_continues(hang_up, moment, undisturbed);
    }
}

#[test]
fn closing_the_terminal_with_sighup_does_not_affect_the_run() {
    every_moment(HangUp::Signal);
}

#[test]
fn closing_the_terminal_without_sighup_does_not_affect_the_run() {
    every_moment(HangUp::NoSignal);
}

#[test]
fn an_in_process_run_continues_when_the_terminal_is_closed_with_sighup() {
    every_moment(HangUp::OneProcess);
}

#[test]
fn an_in_process_run_continues_when_the_terminal_is_closed_without_sighup() {
    every_moment(HangUp::OneProcessNoSignal);
}
