//! Everything the screen shows: the run, and what the user looks at.

use crate::config::{Art, NotifyConfig};
use crate::event::{Answer, Command, Outcome, Phase, Request};
use crate::run::RunState;

use super::attention::Attention;
use super::color::ColorDepth;
use super::keymap::Keymap;

/// Requests remembered until the run has told their end.
const REQUESTS: usize = 16;

/// A part of the screen that can be focused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pane {
    /// The loss over time.
    Loss,
    /// The accuracy over time.
    Accuracy,
    /// The gradient norm and its clipping.
    Gradient,
    /// The scores of each class.
    Classes,
    /// What is taken for what.
    Confusion,
    /// What the probabilities are worth.
    Calibration,
    /// Test images and what the network thinks of them.
    Gallery,
    /// Messages.
    Log,
}

impl Pane {
    /// All of them, in the order the focus takes.
    pub const ALL: [Self; 8] = [
        Self::Loss,
        Self::Accuracy,
        Self::Gradient,
        Self::Classes,
        Self::Confusion,
        Self::Calibration,
        Self::Gallery,
        Self::Log,
    ];

    /// The name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "Loss",
            Self::Accuracy => "Accuracy",
            Self::Gradient => "Gradient norm",
            Self::Classes => "Classes",
            Self::Confusion => "Confusion",
            Self::Calibration => "Calibration",
            Self::Gallery => "Gallery",
            Self::Log => "Log",
        }
    }
}

/// What lies over the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Popup {
    /// The keys.
    Help,
    /// What is to become of the run.
    Quit,
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
    /// The pane the arrow keys act on.
    pub focus: Pane,
    /// Whether that pane has the whole screen.
    pub zoom: bool,
    /// The gallery's image.
    pub gallery: usize,
    /// First class shown.
    pub class_scroll: usize,
    /// Log lines scrolled back.
    pub log_scroll: usize,
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
    /// The run.
    pub run: RunState,
    /// What the user looks at.
    pub ui: Ui,
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
            ui: Ui {
                size: (0, 0),
                focus: Pane::Gallery,
                zoom: false,
                gallery: 0,
                class_scroll: 0,
                log_scroll: 0,
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
            synced: false,
            attention: Attention::default(),
        }
    }

    /// Whether the run has ended, or nothing more can be heard of it.
    pub fn over(&self) -> bool {
        self.run.outcome.is_some() || !self.connected
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

    pub(super) fn remember(&mut self, request: Request) {
        if self.ui.requested.len() >= REQUESTS {
            self.ui.requested.remove(0);
        }
        self.ui.requested.push(request);
    }
}
