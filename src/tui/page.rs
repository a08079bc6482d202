//! Pages and the panes on them.

/// A part of the screen that can be focused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pane {
    /// The loss over time.
    Loss,
    /// The accuracy over time.
    Accuracy,
    /// The gradient norm and its clipping.
    Gradient,
    /// The learning rate over time.
    Rate,
    /// The curves that have no panel of their own, over time.
    Metrics,
    /// How strongly each parameter is moved, over time.
    Layers,
    /// The scores of each class.
    Classes,
    /// What is taken for what.
    Confusion,
    /// What the probabilities are worth.
    Calibration,
    /// Test images and what the network thinks of them.
    Gallery,
    /// The machine, and what a step and a frame cost.
    System,
    /// Messages.
    Log,
    /// Other runs beside this one.
    Compare,
}

impl Pane {
    /// The name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "Loss",
            Self::Accuracy => "Accuracy",
            Self::Gradient => "Gradient norm",
            Self::Rate => "Learning rate",
            Self::Metrics => "Metrics",
            Self::Layers => "Layers",
            Self::Classes => "Classes",
            Self::Confusion => "Confusion",
            Self::Calibration => "Calibration",
            Self::Gallery => "Gallery",
            Self::System => "System",
            Self::Log => "Log",
            Self::Compare => "Compare",
        }
    }

    /// The page that has room for it.
    pub fn page(self) -> Page {
        match self {
            Self::Loss | Self::Accuracy | Self::Rate | Self::Metrics => Page::Curves,
            Self::Gradient | Self::Layers => Page::Gradients,
            Self::Classes => Page::Classes,
            Self::Confusion => Page::Confusion,
            Self::Calibration => Page::Calibration,
            Self::Gallery => Page::Gallery,
            Self::System => Page::System,
            Self::Log => Page::Log,
            Self::Compare => Page::Compare,
        }
    }

    /// Whether it has a time axis.
    pub fn is_chart(self) -> bool {
        matches!(
            self,
            Self::Loss
                | Self::Accuracy
                | Self::Gradient
                | Self::Rate
                | Self::Metrics
                | Self::Layers
        )
    }
}

/// What the whole screen is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Page {
    /// A bit of everything.
    #[default]
    Overview,
    /// Loss, accuracy and learning rate over time.
    Curves,
    /// The gradient norm, clipping, and what each layer gets of it.
    Gradients,
    /// The scores of each class.
    Classes,
    /// What is taken for what.
    Confusion,
    /// What the probabilities are worth.
    Calibration,
    /// Any image of the test split.
    Gallery,
    /// The machine, and what a step and a frame cost.
    System,
    /// Everything that was said.
    Log,
    /// Other runs beside this one.
    Compare,
}

impl Page {
    /// All of them, in the order of their keys.
    pub const ALL: [Self; 10] = [
        Self::Overview,
        Self::Curves,
        Self::Gradients,
        Self::Classes,
        Self::Confusion,
        Self::Calibration,
        Self::Gallery,
        Self::System,
        Self::Log,
        Self::Compare,
    ];

    /// The name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Curves => "Curves",
            Self::Gradients => "Gradients",
            Self::Classes => "Classes",
            Self::Confusion => "Confusion",
            Self::Calibration => "Calibration",
            Self::Gallery => "Gallery",
            Self::System => "System",
            Self::Log => "Log",
            Self::Compare => "Compare",
        }
    }

    /// Its name in the configuration and on the command line.
    pub fn key(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Curves => "curves",
            Self::Gradients => "gradients",
            Self::Classes => "classes",
            Self::Confusion => "confusion",
            Self::Calibration => "calibration",
            Self::Gallery => "gallery",
            Self::System => "system",
            Self::Log => "log",
            Self::Compare => "compare",
        }
    }

    /// What is on it, for the help.
    pub fn doc(self) -> &'static str {
        match self {
            Self::Overview => "a bit of everything",
            Self::Curves => "loss, accuracy and learning rate over time",
            Self::Gradients => "gradient norm, clipping, and what each layer gets of it",
            Self::Classes => "precision, recall, F1 with its interval and AUC of each class",
            Self::Confusion => "what is taken for what",
            Self::Calibration => "what the probabilities are worth",
            Self::Gallery => "every test image, by what was said of it",
            Self::System => "the machine: CPU, memory, disk, GPUs; what a step and a frame cost",
            Self::Log => "everything that was said",
            Self::Compare => "runs beside each other: results, differences, configurations",
        }
    }

    /// The page of this name.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|page| page.key() == key)
    }

    /// The panes it may show, in the order of the focus.
    pub fn panes(self) -> &'static [Pane] {
        match self {
            Self::Overview => &[
                Pane::Loss,
                Pane::Accuracy,
                Pane::Gradient,
                Pane::Classes,
                Pane::Gallery,
                Pane::Log,
            ],
            Self::Curves => &[Pane::Loss, Pane::Accuracy, Pane::Rate, Pane::Metrics],
            Self::Gradients => &[Pane::Gradient, Pane::Layers],
            Self::Classes => &[Pane::Classes],
            Self::Confusion => &[Pane::Confusion],
            Self::Calibration => &[Pane::Calibration],
            Self::Gallery => &[Pane::Gallery],
            Self::System => &[Pane::System],
            Self::Log => &[Pane::Log],
            Self::Compare => &[Pane::Compare],
        }
    }
}
