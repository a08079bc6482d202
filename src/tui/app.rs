//! The state of the screen: the run, and the page, panels and popups that the user has opened.

use crate::config::{Art, NotifyConfig};
use crate::event::{Answer, Command, Outcome, Phase, Request};
use crate::run::{ComparedRun, ComparedRuns, RunState};

use super::attention::Attention;
use super::charts::{Charts, Extent};
use super::color::ColorDepth;
use super::dots::Dots;
use super::keymap::Keymap;
use super::layout::Layout;
use super::lookup::Lookups;
use super::page::{Page, Pane};
use super::panels::Panels;
use super::replay::{ReplayState, ReplayView};

/// Maximum number of requests from this screen whose answers are tracked.
const MAX_REQUESTS: usize = 16;

/// A box that covers the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Popup {
    /// The help, scrolled to this line.
    Help(usize),
    /// The dialog that offers to detach from the run or to stop it.
    Quit,
    /// The prompt for a number.
    Prompt(Prompt),
    /// The palette: opens pages and panels by name.
    Palette(Palette),
}

/// State of the palette, which finds pages and panels by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Palette {
    /// The search text.
    pub typed: String,
    /// Index of the selected match.
    pub at: usize,
}

/// State of the prompt for a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The setting that the number is for.
    pub wanted: Wanted,
    /// The text entered so far.
    pub typed: String,
    /// The error of the last attempt to confirm.
    pub problem: Option<String>,
}

/// The setting that a prompt changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The base learning rate.
    LearningRate,
    /// The total number of epochs.
    Epochs,
}

/// Cost of drawing: frames drawn, time taken, bytes sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameStats {
    /// Frames drawn.
    pub frames: u64,
    /// Time to render the last frame from the state of the run to bytes, µs.
    pub draw_us_last: u64,
    /// Total render time of all frames, µs.
    pub draw_us_sum: u64,
    /// Render time of the slowest frame, µs.
    pub draw_us_max: u64,
    /// Bytes sent to the terminal; 0 if they are not counted.
    pub bytes: u64,
}

impl FrameStats {
    /// Mean render time per frame, µs.
    pub fn draw_us_mean(&self) -> u64 {
        self.draw_us_sum.checked_div(self.frames).unwrap_or(0)
    }

    /// Adds a frame. `bytes`: total of all frames so far.
    pub(super) fn drawn(&mut self, micros: u64, bytes: u64) {
        self.frames = self.frames.saturating_add(1);
        self.draw_us_last = micros;
        self.draw_us_sum = self.draw_us_sum.saturating_add(micros);
        self.draw_us_max = self.draw_us_max.max(micros);
        self.bytes = bytes;
    }
}

/// A short message from the screen itself, shown for a few seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The text.
    pub text: String,
    /// When it appeared, ms since 1970.
    pub at_ms: u64,
}

/// The permission of this screen to send commands to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Control {
    /// This screen has control.
    #[default]
    HasControl,
    /// Another screen has control; this one can request it.
    CanRequest,
    /// Read-only: the screen was opened with `--read-only`.
    ReadOnly,
}

/// How the screen is attached to the run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attachment {
    /// Whether it has control at first.
    pub control: Control,
    /// The command that reattaches to the run.
    pub reattach: Option<String>,
    /// The run is trained in this process and ends with it (`--in-process`).
    pub same_process: bool,
}

/// Settings that are fixed before the screen opens.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The key bindings.
    pub keymap: Keymap,
    /// Draw with ASCII characters only.
    pub ascii: bool,
    /// The colour depth of the terminal.
    pub color: ColorDepth,
    /// How images are drawn.
    pub art: Art,
    /// The characters that curves are drawn with.
    pub dots: Dots,
    /// Names of the themes that the theme key cycles through.
    pub themes: Vec<String>,
    /// How the screen is attached to the run.
    pub attachment: Attachment,
    /// Which events ring the bell or send a desktop notification.
    pub notify: NotifyConfig,
}

/// The view state of the screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Ui {
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The current page.
    pub page: Page,
    /// The pane that receives the arrow keys; always one of the current page.
    pub focus: Pane,
    /// Whether the focused pane is maximized.
    pub zoom: bool,
    /// Axis, zoom, cursor and smoothing of all charts.
    pub charts: Charts,
    /// The state of each panel.
    pub panels: Panels,
    /// The open popup.
    pub popup: Option<Popup>,
    /// The current notice.
    pub notice: Option<Notice>,
    /// The clock of this screen, ms since 1970.
    pub now_ms: u64,
    /// Requests sent from this screen, oldest first.
    pub requested: Vec<Request>,
    /// The current theme, as an index into [`Settings::themes`].
    pub theme: usize,
    /// Close the screen when the run has finished.
    pub leaving: bool,
}

/// How the connection to a trainer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLoss {
    /// The reason, for people.
    pub reason: String,
    /// Whether the trainer's process has ended.
    pub died: bool,
}

/// The complete state of the screen. Changed only by [`update`](super::update()).
#[derive(Debug, Clone)]
pub struct App {
    /// The state of the run; in a replay, the state at the moment shown.
    pub run: RunState,
    /// Whether the records for a replay have been loaded.
    pub replay_state: ReplayState,
    /// The active replay, if any.
    pub replay: Option<ReplayView>,
    /// The view state.
    pub ui: Ui,
    /// The compared runs.
    pub others: Vec<ComparedRun>,
    /// The configuration of this run, as in [`ComparedRun::config`]; empty if it is unknown.
    pub own_config: Vec<(String, String)>,
    /// An error for each run that was requested for comparison and could not be loaded.
    pub compare_errors: Vec<String>,
    /// Settings from before the screen opened.
    pub settings: Settings,
    /// Whether there is a trainer that accepts commands; false for a replay.
    pub live: bool,
    /// Whether this screen has control of the run.
    pub control: Control,
    /// Whether the feed of the run is still open.
    pub connected: bool,
    /// Why the connection was lost, if the run did not report its end.
    pub loss: Option<ConnectionLoss>,
    /// Number of snapshots received because this screen had missed records.
    pub resyncs: u64,
    /// Cost of the frames so far.
    pub frames: FrameStats,
    /// The layout of the screen, as of the last message.
    pub(super) layout: Layout,
    /// Queries to the session, and their answers.
    pub lookups: Lookups,
    /// Whether the first snapshot has arrived.
    pub(super) synced: bool,
    /// When the trainer was last heard from, and which alerts were announced.
    pub(super) attention: Attention,
}

impl App {
    /// The initial state, without a run. `live`: there is a trainer that accepts commands.
    pub fn new(settings: Settings, live: bool) -> Self {
        let control = settings.attachment.control;
        Self {
            control,
            loss: None,
            run: RunState::default(),
            replay_state: ReplayState::default(),
            replay: None,
            others: Vec::new(),
            own_config: Vec::new(),
            compare_errors: Vec::new(),
            ui: Ui {
                size: (0, 0),
                page: Page::Overview,
                focus: Pane::Gallery,
                zoom: false,
                charts: Charts::default(),
                panels: Panels::default(),
                popup: None,
                notice: None,
                now_ms: 0,
                requested: Vec::new(),
                theme: 0,
                leaving: false,
            },
            settings,
            live,
            connected: true,
            resyncs: 0,
            frames: FrameStats::default(),
            layout: Layout::default(),
            lookups: Lookups::default(),
            synced: false,
            attention: Attention::default(),
        }
    }

    /// Sets the runs to compare this one with.
    pub fn set_compared_runs(&mut self, found: ComparedRuns) {
        self.others = found.others;
        self.own_config = found.config;
        self.compare_errors = found.problems;
    }

    /// The range of steps of the charts. In a replay it covers the complete run, so that points do not move as it
    /// plays.
    pub fn extent(&self) -> Extent {
        let of = |run| Extent::of(run, &self.others, self.ui.charts.axis);
        let Some(view) = &self.replay else {
            return of(&self.run);
        };
        let newest = self.run.global_step;
        let last = of(&view.final_state).last.max(newest);
        Extent { newest, last }
    }

    /// Whether the focused pane takes all the space between header and footer.
    pub fn alone(&self) -> bool {
        self.ui.zoom || self.ui.page.panes().len() == 1
    }

    /// The base learning rate, assuming that pending requests from this screen are accepted.
    pub fn wanted_lr(&self) -> Option<f64> {
        let asked = self.ui.requested.iter().rev().find_map(|request| {
            let Command::SetLearningRate { lr } = request.command else {
                return None;
            };
            self.is_pending(request.id).then_some(lr)
        });
        asked.or(self.run.base_lr.map(|lr| lr.0))
    }

    /// Whether the run has ended or the connection was lost.
    pub fn over(&self) -> bool {
        self.run.outcome.is_some() || self.lost()
    }

    /// Whether the connection was lost. False in the middle of a replay.
    pub fn lost(&self) -> bool {
        !self.connected && self.replay.as_ref().is_none_or(ReplayView::at_end)
    }

    /// Whether the connection was lost because the trainer's process has ended.
    pub fn trainer_died(&self) -> bool {
        self.loss.as_ref().is_some_and(|loss| loss.died)
    }

    /// Whether the session's test predictions apply to the moment shown. They come from the last test-set evaluation,
    /// so a replay must have reached it.
    pub fn test_predictions_available(&self) -> bool {
        let replay = self.replay.as_ref();
        replay.is_none_or(|view| view.test_predictions_available(&self.run))
    }

    /// Whether a replay is playing.
    pub fn playing(&self) -> bool {
        self.replay.as_ref().is_some_and(|view| view.playing)
    }

    /// Whether the clock is running: the run is live and neither paused nor over. Only then does the clock cause
    /// frames.
    pub fn ticking(&self) -> bool {
        let run = &self.run;
        // The start of a restored run does not count: its clock continues with the first step.
        let restarts = run.phase == Phase::Starting && run.global_step > 0;
        let stands = run.phase == Phase::Paused || restarts;
        self.live && !self.over() && !stands && run.info.is_some()
    }

    /// The time that the screen shows, on the clock of the run. It stops with the run; in a replay it is the time of the
    /// moment shown.
    pub fn clock_ms(&self) -> u64 {
        if self.ticking() {
            self.now_on_run_clock()
        } else {
            self.run.now_ms
        }
    }

    /// Training time of the run so far, ms.
    pub fn elapsed_ms(&self) -> u64 {
        self.run.worked_ms(self.clock_ms())
    }

    /// Estimated time to the end, ms; `None` if there is no estimate yet.
    pub fn eta_ms(&self) -> Option<u64> {
        let since = self.clock_ms().saturating_sub(self.run.now_ms);
        self.run.remaining_ms().map(|ms| ms.saturating_sub(since))
    }

    /// Whether the run is paused, assuming that pending requests from this screen are accepted.
    pub fn wants_pause(&self) -> bool {
        let newest = self.ui.requested.iter().rev().find(|request| {
            matches!(request.command, Command::Pause | Command::Resume)
                && self.is_pending(request.id)
        });
        newest.map_or(self.run.phase == Phase::Paused, |request| {
            request.command == Command::Pause
        })
    }

    /// Whether the run stops after this epoch, assuming that pending requests from this screen are accepted.
    pub fn wants_stop_after_epoch(&self) -> bool {
        let newest = self.ui.requested.iter().rev().find(|request| {
            matches!(
                request.command,
                Command::StopAfterEpoch | Command::CancelStopAfterEpoch
            ) && self.is_pending(request.id)
        });
        newest.map_or(self.run.stop_after_epoch.is_some(), |request| {
            request.command == Command::StopAfterEpoch
        })
    }

    /// Whether a request to pause or resume is pending.
    pub fn changing_pause(&self) -> bool {
        !self.over() && self.wants_pause() != (self.run.phase == Phase::Paused)
    }

    /// Whether a request is neither done nor refused.
    fn is_pending(&self, id: u64) -> bool {
        let answer = self
            .run
            .commands
            .iter()
            .find(|line| line.id == id)
            .map(|line| &line.answer);
        !matches!(answer, Some(Answer::Done { .. } | Answer::Refused { .. }))
    }

    pub(super) fn failed(&self) -> Option<&str> {
        match &self.run.outcome {
            Some(Outcome::Failed { message }) => Some(message),
            _ => None,
        }
    }

    /// Shows a notice to the user for a few seconds.
    pub(super) fn notify(&mut self, text: String) {
        self.ui.notice = Some(Notice {
            text,
            at_ms: self.ui.now_ms,
        });
    }

    pub(super) fn remember(&mut self, request: Request) {
        if self.ui.requested.len() >= MAX_REQUESTS {
            self.ui.requested.remove(0);
        }
        self.ui.requested.push(request);
    }
}
