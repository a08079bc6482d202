//! A run that outlives its terminal: hung up in every state, with and without SIGHUP, in two processes and in one; and a
//! screen that is killed.

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
/// Long enough for everything that is done to it on the way.
const EPOCHS: u32 = 14;

/// What the terminal shows when the line drops.
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

/// How the line drops, and who trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The kernel sends SIGHUP to the screen.
    Signal,
    /// It does not: the terminal is not the screen's controlling terminal.
    NoSignal,
    /// Screen and trainer are one process.
    OneProcess,
    OneProcessNoSignal,
}

impl Way {
    fn one_process(self) -> bool {
        matches!(self, Self::OneProcess | Self::OneProcessNoSignal)
    }
}

/// Data and runs of one test.
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

    /// The arguments of a run whose evaluations can be met: an image at a time.
    pub(crate) fn arguments(&self, epochs: u32) -> Vec<String> {
        let mut args = arguments(self.data.path(), self.runs.path(), epochs);
        args.extend(["--set", "eval.batch_size=1"].map(str::to_owned));
        args
    }

    fn start(&self, way: Way) -> Terminal {
        let mut args = self.arguments(EPOCHS);
        if way.one_process() {
            args.push("--in-process".to_owned());
        }
        let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
        let env = self.env();
        match way {
            Way::Signal | Way::OneProcess => Terminal::start_with(&env, &args, (30, 100)),
            Way::NoSignal | Way::OneProcessNoSignal => {
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
        // `t`, from a directory where no run of that name is.
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
        reason = "what a run did is known only from its journal"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let told = records(&self.run()).into_iter().rev();
            let told = told.filter(|record| {
                !matches!(record.event, Event::Steps(_) | Event::EvalProgress { .. })
            });
            told.take(40).for_each(|record| eprintln!("{record:.300?}"));
        }
        kill_trainer(&self.run());
    }
}

pub(crate) fn wait<T>(what: &str, mut wanted: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = wanted() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited for {what}");
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

/// Brings a run into the state in which the line is to drop.
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
            terminal.wait_for("Leave the run?");
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

/// CPU time of a process' threads that only watch, in ticks.
fn watchers_ticks(pid: u32) -> u64 {
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

/// The weights and statistics at the end of a run.
fn end(run: &Path) -> blake3::Hash {
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

/// The end of a run that nobody looked at.
fn undisturbed() -> blake3::Hash {
    static ONE: LazyLock<blake3::Hash> = LazyLock::new(nobody_looked);
    *ONE
}

fn nobody_looked() -> blake3::Hash {
    let place = Place::new();
    let status = Command::new(PROGRAM)
        .args(place.arguments(EPOCHS))
        .arg("--headless")
        .envs(place.env())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    end(&place.run())
}

/// What a front end that comes now and stays to the end makes of the run.
fn watched_to_the_end(place: &Place) -> std::thread::JoinHandle<RunState> {
    let socket = meta(&place.run()).unwrap().socket.unwrap();
    let connected = connect(&socket, Role::Watcher, "test").unwrap();
    std::thread::spawn(move || {
        // All of it: without its requests, a link is one that nobody holds.
        let connected = connected;
        let (mut state, mut first) = (RunState::default(), true);
        for feed in &connected.link.feed {
            match feed {
                Feed::Snapshot(whole) => state = *whole,
                Feed::Live(record) => {
                    assert!(!first, "a feed begins with a snapshot");
                    assert_eq!(record.seq, state.seq + 1, "a hole in the live feed");
                    state.apply(&record);
                }
                other => panic!("{other:?}"),
            }
            first = false;
        }
        state
    })
}

fn the_run_goes_on(way: Way, moment: Moment, undisturbed: blake3::Hash) {
    let case = format!("{way:?}, {moment:?}");
    let place = Place::new();
    let run = place.run();
    let mut terminal = place.start(way);
    reach(&mut terminal, &run, moment);
    terminal.hang_up();
    let trainer = wait("the trainer's process", || meta(&run)).pid;
    if way.one_process() {
        let before = watchers_ticks(trainer);
        std::thread::sleep(Duration::from_secs(1));
        let ticks = watchers_ticks(trainer) - before;
        assert!(
            ticks <= 3,
            "{case}: the screen's threads took {ticks} ticks of a second"
        );
    } else {
        wait("the screen to go", || terminal.child.try_wait().unwrap());
    }
    if moment == Moment::Paused {
        assert!(
            in_phase(&run, &[Phase::Paused]),
            "{case}: it does not wait any more"
        );
    } else {
        let before = steps_done(&run);
        wait("a later step", || {
            (steps_done(&run) > before || completed(&run).is_some()).then_some(())
        });
    }
    // Back, from elsewhere.
    let mut again = place.attach();
    again.wait_for("▸ Gallery");
    let watched = watched_to_the_end(&place);
    if moment == Moment::Paused {
        again.wait_for("paused");
        let resumed = place.ctl(&["resume", "t"]);
        assert!(resumed.status.success(), "{case}: {resumed:?}");
    }
    again.press("d");
    again.wait_for("the run goes on");
    assert_eq!(again.exit_code(), 0, "{case}");
    wait("the end", || completed(&run));
    let told = records(&run);
    for (i, record) in told.iter().enumerate() {
        assert_eq!(record.seq, i as u64 + 1, "{case}: a hole in the journal");
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
        "{case}: what came over the socket"
    );
    let steps = u64::from(EPOCHS) * replayed.state.epoch_steps;
    assert_eq!(replayed.state.global_step, steps, "{case}");
    assert_eq!(end(&run), undisturbed, "{case}: the weights differ");
}

fn every_moment(way: Way) {
    let undisturbed = undisturbed();
    for moment in MOMENTS {
        the_run_goes_on(way, moment, undisturbed);
    }
}

#[test]
fn a_line_that_drops_with_a_signal_does_not_touch_the_run() {
    every_moment(Way::Signal);
}

#[test]
fn a_line_that_drops_without_a_signal_does_not_touch_the_run() {
    every_moment(Way::NoSignal);
}

#[test]
fn a_run_in_the_screens_own_process_goes_on_when_the_line_drops() {
    every_moment(Way::OneProcess);
}

#[test]
fn a_run_in_the_screens_own_process_goes_on_when_the_line_drops_without_a_signal() {
    every_moment(Way::OneProcessNoSignal);
}
