//! What a key can do. The help, the key table and its errors are made of this list.

use super::app::Pane;

/// What a key can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Hold the run, or let it go on.
    Pause,
    /// Measure validation and test now.
    Evaluate,
    /// Write a checkpoint now.
    Checkpoint,
    /// Leave, or ask what is to become of the run.
    Quit,
    /// Leave the screen; the run goes on.
    Detach,
    /// Put the screen aside, for the shell to bring it back.
    Suspend,
    /// Steer, where another screen does.
    Control,
    /// Focus the next pane.
    NextPane,
    /// Focus the previous pane.
    PreviousPane,
    /// Left in the focused pane.
    Left,
    /// Right in the focused pane.
    Right,
    /// Up in the focused pane.
    Up,
    /// Down in the focused pane.
    Down,
    /// Give the focused pane the whole screen.
    Zoom,
    /// One step back.
    Back,
    /// Show the keys.
    Help,
    /// The next theme.
    Theme,
    /// Draw everything anew.
    Repaint,
    /// All panes at once.
    Overview,
    /// One pane on the whole screen.
    Show(Pane),
}

impl Action {
    /// All of them, in the order the help shows.
    pub const ALL: [Self; 28] = [
        Self::Pause,
        Self::Evaluate,
        Self::Checkpoint,
        Self::Quit,
        Self::Detach,
        Self::Suspend,
        Self::Control,
        Self::NextPane,
        Self::PreviousPane,
        Self::Left,
        Self::Right,
        Self::Up,
        Self::Down,
        Self::Zoom,
        Self::Back,
        Self::Help,
        Self::Theme,
        Self::Repaint,
        Self::Overview,
        Self::Show(Pane::Loss),
        Self::Show(Pane::Accuracy),
        Self::Show(Pane::Gradient),
        Self::Show(Pane::Classes),
        Self::Show(Pane::Confusion),
        Self::Show(Pane::Calibration),
        Self::Show(Pane::Gallery),
        Self::Show(Pane::Log),
        Self::Show(Pane::System),
    ];

    /// Its name in `[keys]`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Evaluate => "evaluate",
            Self::Checkpoint => "checkpoint",
            Self::Quit => "quit",
            Self::Detach => "detach",
            Self::Suspend => "suspend",
            Self::Control => "control",
            Self::NextPane => "next-pane",
            Self::PreviousPane => "previous-pane",
            Self::Left => "left",
            Self::Right => "right",
            Self::Up => "up",
            Self::Down => "down",
            Self::Zoom => "zoom",
            Self::Back => "back",
            Self::Help => "help",
            Self::Theme => "theme",
            Self::Repaint => "repaint",
            Self::Overview => "overview",
            Self::Show(pane) => match pane {
                Pane::Loss => "show-loss",
                Pane::Accuracy => "show-accuracy",
                Pane::Gradient => "show-gradient",
                Pane::Classes => "show-classes",
                Pane::Confusion => "show-confusion",
                Pane::Calibration => "show-calibration",
                Pane::Gallery => "show-gallery",
                Pane::Log => "show-log",
                Pane::System => "show-system",
            },
        }
    }

    /// What it does, for the help.
    pub fn doc(self) -> &'static str {
        match self {
            Self::Pause => "pause at the next step, or go on",
            Self::Evaluate => "measure validation and test now",
            Self::Checkpoint => "write a checkpoint now",
            Self::Quit => "leave; asks first while the run is live",
            Self::Detach => "leave the screen, the run goes on",
            Self::Suspend => "put the screen aside; fg brings it back",
            Self::Control => "steer the run, where another screen does",
            Self::NextPane => "focus the next pane",
            Self::PreviousPane => "focus the previous pane",
            Self::Left => "previous pane; gallery: previous image",
            Self::Right => "next pane; gallery: next image",
            Self::Up => "scroll up, or the pane above; gallery: previous mistake",
            Self::Down => "scroll down, or the pane below; gallery: next mistake",
            Self::Zoom => "give the focused pane the whole screen",
            Self::Back => "back: close, then unzoom",
            Self::Help => "show or hide this help",
            Self::Theme => "next theme",
            Self::Repaint => "draw everything anew",
            Self::Overview => "all panes at once",
            Self::Show(pane) => match pane {
                Pane::Loss => "the loss alone",
                Pane::Accuracy => "the accuracy alone",
                Pane::Gradient => "the gradient norm alone",
                Pane::Classes => "the classes alone: precision, recall, F1 with its interval, AUC",
                Pane::Confusion => "what is taken for what",
                Pane::Calibration => "what the probabilities are worth",
                Pane::Gallery => "the gallery alone",
                Pane::Log => "the log alone",
                Pane::System => {
                    "the machine: CPU, memory, disk, GPUs; what a step and a frame cost"
                }
            },
        }
    }

    /// The screen it leads to, for those that lead to one.
    pub fn page(self) -> Option<&'static str> {
        match self {
            Self::Overview => Some("overview"),
            Self::Show(pane) => Some(pane.name()),
            _ => None,
        }
    }

    /// The action of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}
