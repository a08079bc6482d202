//! What a key can do. The help, the key table and its errors are made of this list.

use super::page::Page;

/// Defines the actions once: the enum, their order in the help, their names in `[keys]` and what the help says.
macro_rules! actions {
    ($($action:ident $name:literal $doc:literal,)*) => {
        /// What a key can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            $(#[doc = $doc] $action,)*
            /// Another page.
            Open(Page),
        }

        impl Action {
            /// All of them, in the order the help shows.
            pub fn all() -> impl DoubleEndedIterator<Item = Self> + Clone {
                [$(Self::$action,)*].into_iter().chain(Page::ALL.into_iter().map(Self::Open))
            }

            /// Its name in `[keys]`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$action => $name,)*
                    Self::Open(page) => page.key(),
                }
            }

            /// What it does, for the help.
            pub fn doc(self) -> &'static str {
                match self {
                    $(Self::$action => $doc,)*
                    Self::Open(page) => page.doc(),
                }
            }
        }
    };
}

actions! {
    Pause "pause" "pause at the next step, or go on; in view: replay",
    Evaluate "evaluate" "measure validation and test now",
    Checkpoint "checkpoint" "write a checkpoint now",
    RateHalf "lr-half" "half the learning rate",
    RateDouble "lr-double" "twice the learning rate",
    RateSet "lr-set" "another learning rate, typed",
    Epochs "epochs-set" "another number of epochs, typed",
    StopAfterEpoch "stop-after-epoch" "end after this epoch, with a checkpoint",
    Quit "quit" "leave; asks first while the run is live",
    Detach "detach" "leave the screen, the run goes on",
    Suspend "suspend" "put the screen aside; fg brings it back",
    Control "control" "steer the run, where another screen does",
    NextPane "next-pane" "the next pane; after a page's last, the next page",
    PreviousPane "previous-pane" "the previous pane; before a page's first, the page before",
    Left "left" "charts: cursor to the left; gallery: previous image",
    Right "right" "charts: cursor to the right; gallery: next image",
    Up "up" "scroll up, or the pane above; gallery: a row up",
    Down "down" "scroll down, or the pane below; gallery: a row down",
    Zoom "zoom" "the focused pane alone; confusion: its images",
    Back "back" "one step back: cursor, time, zoom, page, replay",
    Palette "palette" "go to any page or panel, by its name",
    Axis "axis" "charts: along epochs, steps or time",
    LogScale "log-scale" "charts: equal ratios or equal steps upwards",
    Smooth "smooth" "charts: smoothing, from none to calm",
    Closer "closer" "charts: show half as much of the time",
    Farther "farther" "charts: show twice as much of the time",
    Earlier "earlier" "charts: what was before",
    Later "later" "charts: what came after",
    Fit "fit" "charts: all of the time",
    Filter "filter" "gallery: the next filter",
    NextMistake "next-mistake" "gallery: the next mistake",
    SliderBack "slider-back" "replay: back by a fiftieth of the run",
    SliderForward "slider-forward" "replay: forwards by a fiftieth of the run",
    Slower "slower" "replay: slower",
    Faster "faster" "replay: faster",
    ReplayEnd "replay-end" "replay: leave it, for the last state of the run",
    Help "help" "show or hide this help",
    Theme "theme" "next theme",
    Repaint "repaint" "draw everything anew",
}

impl Action {
    /// The page it leads to, for those that lead to one.
    pub fn page(self) -> Option<Page> {
        match self {
            Self::Open(page) => Some(page),
            _ => None,
        }
    }

    /// The action of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|action| action.name() == name)
    }
}
