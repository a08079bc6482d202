//! Everything the screen shows: the run, and what the user looks at.

use crate::config::{Art, NotifyConfig};
use crate::event::{Answer, Command, Outcome, Phase, Request};
use crate::run::{Beside, Other, RunState};

use super::attention::Attention;
use super::charts::{Charts, Extent};
use super::color::ColorDepth;
use super::dots::Dots;
use super::keymap::Keymap;
use super::layout::Layout;
use super::lookup::Lookups;
use super::page::{Page, Pane};
use super::panels::Panels;
use super::replay::{ReplayView, Story};

/// Requests remembered until the run has told their end.
const REQUESTS: usize = 16;

/// What lies over the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Popup {
    /// The keys, from this line on.
    Help(usize),
    /// What is to become of the run.
    Quit,
    /// A number is asked for.
    Prompt(Prompt),
    /// Pages and panels by name.
    Palette(Palette),
}

/// What is looked for among the pages and panels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Palette {
    /// What was typed.
    pub typed: String,
    /// The selected one of those found.
    pub at: usize,
}

/// A number that is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// What it is for.
    pub wanted: Wanted,
    /// What was typed.
    pub typed: String,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// What a typed number is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The base learning rate.
    LearningRate,
    /// Epochs in all.
    Epochs,
}

/// What frames cost: how many were drawn, how long that took, what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameStats {
    /// Frames drawn.
    pub frames: u64,
    /// Time the last one took, from the state of the run to bytes, µs.
    pub draw_us_last: u64,
    /// Time all of them took, µs.
    pub draw_us_sum: u64,
    /// Time the slowest took, µs.
    pub draw_us_max: u64,
    /// Bytes sent to the terminal; 0 where nobody counts them.
    pub bytes: u64,
}

impl FrameStats {
    /// Mean time of a frame, µs.
    pub fn draw_us_mean(&self) -> u64 {
        self.draw_us_sum.checked_div(self.frames).unwrap_or(0)
    }

    /// One more frame; `bytes` are those of all so far.
    pub(super) fn drawn(&mut self, micros: u64, bytes: u64) {
        self.frames = self.frames.saturating_add(1);
        self.draw_us_last = micros;
        self.draw_us_sum = self.draw_us_sum.saturating_add(micros);
        self.draw_us_max = self.draw_us_max.max(micros);
        self.bytes = bytes;
    }
}

/// A word from the screen itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The words.
    pub text: String,
    /// When they were said, ms since 1970.
    pub at_ms: u64,
}

/// What this screen may ask of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Control {
    /// Anything.
    #[default]
    Steers,
    /// Nothing before it has asked to steer: another screen does.
    MayAsk,
    /// Nothing: it was opened so.
    Watches,
}

/// How the screen belongs to the run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Home {
    /// What it may ask.
    pub control: Control,
    /// The command that shows the run again.
    pub come_back: Option<String>,
    /// The run is trained in this very process, and ends with it.
    pub same_process: bool,
}

/// What was set before the screen came up.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Which keys do what.
    pub keymap: Keymap,
    /// Keep to ASCII.
    pub ascii: bool,
    /// What the terminal can show.
    pub color: ColorDepth,
    /// How images are drawn.
    pub art: Art,
    /// What curves are drawn with.
    pub dots: Dots,
    /// Names of the themes the key walks through.
    pub themes: Vec<String>,
    /// How the screen belongs to the run.
    pub home: Home,
    /// How somebody who looks elsewhere is told.
    pub notify: NotifyConfig,
}

/// What the user looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Ui {
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// What the screen is about.
    pub page: Page,
    /// The pane the arrow keys act on; always one of the page's.
    pub focus: Pane,
    /// Whether that pane has the whole screen.
    pub zoom: bool,
    /// How charts look at time.
    pub charts: Charts,
    /// What is looked at in each panel.
    pub panels: Panels,
    /// What lies over the screen.
    pub popup: Option<Popup>,
    /// A word from the screen itself.
    pub notice: Option<Notice>,
    /// The clock, ms since 1970.
    pub now_ms: u64,
    /// What was asked for from here, oldest first.
    pub requested: Vec<Request>,
    /// The current theme, as an index into the settings' names.
    pub theme: usize,
    /// Leave when the run has finished.
    pub leaving: bool,
}

/// Everything the screen shows. Changes only in [`update`](super::update()).
#[derive(Debug, Clone)]
pub struct App {
    /// The run; in a replay, as it was at the moment shown.
    pub run: RunState,
    /// Its story, as far as a replay has wanted it.
    pub story: Story,
    /// The replay that is shown, if one is.
    pub replay: Option<ReplayView>,
    /// What the user looks at.
    pub ui: Ui,
    /// Runs shown beside it.
    pub others: Vec<Other>,
    /// Its own configuration, as in [`Other::config`]; empty where it is not known.
    pub own_config: Vec<(String, String)>,
    /// Runs that were to be shown beside it and cannot be, each with why.
    pub missing: Vec<String>,
    /// What was set before.
    pub settings: Settings,
    /// Whether there is a trainer to ask; a replay has none.
    pub live: bool,
    /// What this screen may ask of the run.
    pub control: Control,
    /// Whether more can come of the run.
    pub connected: bool,
    /// Why nothing more comes, if the run has not told its end.
    pub gone: Option<String>,
    /// Snapshots taken because this screen fell behind.
    pub resyncs: u64,
    /// What frames have cost so far.
    pub frames: FrameStats,
    /// Where everything is on the screen, as of the last message.
    pub(super) layout: Layout,
    /// What was asked of the session for the screen, and what is known.
    pub lookups: Lookups,
    /// Whether a first snapshot has come.
    pub(super) synced: bool,
    /// What was heard of the run, and what was told of it.
    pub(super) attention: Attention,
}

impl App {
    /// Before anything is known. `live`: there is a trainer to ask.
    pub fn new(settings: Settings, live: bool) -> Self {
        let control = settings.home.control;
        Self {
            control,
            gone: None,
            run: RunState::default(),
            story: Story::default(),
            replay: None,
            others: Vec::new(),
            own_config: Vec::new(),
            missing: Vec::new(),
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

    /// Shows other runs beside this one.
    pub fn beside(&mut self, found: Beside) {
        (self.others, self.own_config, self.missing) = (found.others, found.config, found.problems);
    }

    /// How far charts reach. In a replay they have room for all of the run, so that what is drawn stays where it is.
    pub fn extent(&self) -> Extent {
        let of = |run| Extent::of(run, &self.others, self.ui.charts.axis);
        let Some(view) = &self.replay else {
            return of(&self.run);
        };
        let newest = self.run.global_step;
        let last = of(&view.whole).last.max(newest);
        Extent { newest, last }
    }

    /// Whether the focused pane has all of the screen between header and footer.
    pub fn alone(&self) -> bool {
        self.ui.zoom || self.ui.page.panes().len() == 1
    }

    /// The base learning rate, as it will be once what was asked for from here has got through.
    pub fn wanted_lr(&self) -> Option<f64> {
        let asked = self.ui.requested.iter().rev().find_map(|request| {
            let Command::SetLearningRate { lr } = request.command else {
                return None;
            };
            self.open(request.id).then_some(lr)
        });
        asked.or(self.run.base_lr.map(|lr| lr.0))
    }

    /// Whether the run has ended, or nothing more can be heard of it.
    pub fn over(&self) -> bool {
        self.run.outcome.is_some() || self.lost()
    }

    /// Whether nothing more can be heard of it. In the middle of a replay there is.
    pub fn lost(&self) -> bool {
        !self.connected && self.replay.as_ref().is_none_or(ReplayView::at_end)
    }

    /// Whether what the session answers about the test split is known at the moment shown, too: in a replay only once the
    /// last look at it has been told.
    pub fn knows_the_test(&self) -> bool {
        let replay = self.replay.as_ref();
        replay.is_none_or(|view| view.knows_the_test(&self.run))
    }

    /// Whether a replay goes on by itself.
    pub fn playing(&self) -> bool {
        self.replay.as_ref().is_some_and(|view| view.playing)
    }

    /// Whether time goes on: a live run that is neither paused nor over. Only then does the clock cause frames.
    pub fn ticking(&self) -> bool {
        self.live && !self.over() && self.run.phase != Phase::Paused && self.run.info.is_some()
    }

    /// The time the screen shows, ms since 1970. It stands still with the run, and in a replay it is the story's.
    pub fn clock_ms(&self) -> u64 {
        if self.ticking() {
            self.ui.now_ms.max(self.run.now_ms)
        } else {
            self.run.now_ms
        }
    }

    /// Milliseconds since the run began.
    pub fn elapsed_ms(&self) -> u64 {
        self.run.worked_ms(self.clock_ms())
    }

    /// Milliseconds to the end as far as is known.
    pub fn eta_ms(&self) -> Option<u64> {
        let since = self.clock_ms().saturating_sub(self.run.now_ms);
        self.run.remaining_ms().map(|ms| ms.saturating_sub(since))
    }

    /// Whether the run is held, or will be once a request from here has got through.
    pub fn wants_pause(&self) -> bool {
        let newest = self.ui.requested.iter().rev().find(|request| {
            matches!(request.command, Command::Pause | Command::Resume) && self.open(request.id)
        });
        newest.map_or(self.run.phase == Phase::Paused, |request| {
            request.command == Command::Pause
        })
    }

    /// Whether a pause or a resumption is under way.
    pub fn changing_pause(&self) -> bool {
        !self.over() && self.wants_pause() != (self.run.phase == Phase::Paused)
    }

    /// Whether a request from here is neither done nor refused.
    fn open(&self, id: u64) -> bool {
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

    /// Says something to the user for a while.
    pub(super) fn notify(&mut self, text: String) {
        self.ui.notice = Some(Notice {
            text,
            at_ms: self.ui.now_ms,
        });
    }

    pub(super) fn remember(&mut self, request: Request) {
        if self.ui.requested.len() >= REQUESTS {
            self.ui.requested.remove(0);
        }
        self.ui.requested.push(request);
    }
}
