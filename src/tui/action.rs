//! The actions that keys can be bound to. The help, the key table of the README and the error messages use this list.

use super::page::Page;

/// Defines the actions once: the enum, their order in the help, their names in `[keys]` and their descriptions.
macro_rules! actions {
    ($($action:ident $name:literal $doc:literal,)*) => {
        /// An action that a key can be bound to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            $(#[doc = $doc] $action,)*
            /// Opens a page.
            Open(Page),
        }

        impl Action {
            /// All actions, in the order of the help.
            pub fn all() -> impl DoubleEndedIterator<Item = Self> + Clone {
                [$(Self::$action,)*].into_iter().chain(Page::ALL.into_iter().map(Self::Open))
            }

            /// The name of the action in `[keys]`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$action => $name,)*
                    Self::Open(page) => page.key(),
                }
            }

            /// The one-line description of the action in the help.
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
    Pause "pause" "pause or resume training; in view: replay",
    Evaluate "evaluate" "evaluate on the validation split now",
    EvaluateTest "evaluate-test" "evaluate on the test split now (is counted)",
    Checkpoint "checkpoint" "save a checkpoint now",
    RateHalf "lr-half" "halve the learning rate",
    RateDouble "lr-double" "double the learning rate",
    RateSet "lr-set" "set the learning rate",
    Epochs "epochs-set" "set the number of epochs",
    StopAfterEpoch "stop-after-epoch" "stop after this epoch, or take that back",
    Quit "quit" "quit; asks first while the run is live",
    Detach "detach" "close the screen; the run continues",
    Suspend "suspend" "suspend the screen; fg resumes it",
    Control "control" "take control while another screen has it",
    NextPane "next-pane" "focus the next pane, then the next page",
    PreviousPane "previous-pane" "focus the previous pane, then previous page",
    Left "left" "charts: cursor left; gallery: previous image",
    Right "right" "charts: cursor right; gallery: next image",
    Up "up" "scroll or focus up; gallery: previous row",
    Down "down" "scroll or focus down; gallery: next row",
    Zoom "zoom" "maximize the pane; confusion: show its images",
    Back "back" "go back: cursor, time, zoom, page, replay",
    Palette "palette" "go to a page or panel by name",
    Axis "axis" "charts: x-axis in epochs, steps or time",
    LogScale "log-scale" "charts: switch log/linear y-axis",
    Smooth "smooth" "charts: change the smoothing (EMA)",
    Closer "closer" "charts: zoom in on the time axis",
    Farther "farther" "charts: zoom out on the time axis",
    Earlier "earlier" "charts: scroll to earlier steps",
    Later "later" "charts: scroll to later steps",
    Fit "fit" "charts: reset zoom",
    Filter "filter" "gallery: select the next filter",
    NextMistake "next-mistake" "gallery: go to the next mistake",
    SliderBack "slider-back" "replay: go back by 2% of the run",
    SliderForward "slider-forward" "replay: go forward by 2% of the run",
    Slower "slower" "replay: decrease the speed",
    Faster "faster" "replay: increase the speed",
    ReplayEnd "replay-end" "replay: leave; go to the final state",
    Help "help" "show or hide this help",
    Theme "theme" "switch to the next theme",
    Repaint "repaint" "redraw the screen",
}

impl Action {
    /// The page that the action opens, if it opens one.
    pub fn page(self) -> Option<Page> {
        match self {
            Self::Open(page) => Some(page),
            _ => None,
        }
    }

    /// The action with this name in `[keys]`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|action| action.name() == name)
    }
}
