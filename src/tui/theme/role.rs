//! The roles: what there is on the screen to give a look to.

/// Defines the roles once: the enum, their number and their names in theme files.
macro_rules! roles {
    ($(#[doc = $doc:literal] $role:ident = $name:literal,)*) => {
        /// What a thing on the screen is for; a theme says what it looks like.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Role { $(#[doc = $doc] $role,)* }

        impl Role {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$role,)*];

            /// Its name in theme files.
            pub fn name(self) -> &'static str {
                match self { $(Self::$role => $name,)* }
            }

            /// What it is for, in a few words.
            pub fn doc(self) -> &'static str {
                match self { $(Self::$role => $doc,)* }.trim_ascii().trim_end_matches('.')
            }

            /// The role of this name.
            pub(super) fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|role| role.name() == name)
            }
        }
    };
}

roles! {
    /// The ground of the whole screen.
    Screen = "screen",
    /// Plain text and numbers.
    Text = "text",
    /// What the eye should find first.
    Strong = "strong",
    /// Labels and units.
    Dim = "dim",
    /// Guides and what is hardly there.
    Faint = "faint",
    /// The program's name.
    Brand = "brand",
    /// Rules above panes.
    Rule = "rule",
    /// The rule above the focused pane.
    RuleFocus = "rule-focus",
    /// Titles of panes.
    Title = "title",
    /// The title of the focused pane.
    TitleFocus = "title-focus",
    /// Training curves.
    Train = "train",
    /// The spread behind training curves.
    TrainBand = "train-band",
    /// Validation curves.
    Valid = "valid",
    /// The curve of the gradient norm.
    Gradient = "gradient",
    /// The spread behind the gradient norm.
    GradientBand = "gradient-band",
    /// The clip threshold and clipped steps.
    Clip = "clip",
    /// Right, better.
    Good = "good",
    /// Wrong, worse.
    Bad = "bad",
    /// Worth a look.
    Warn = "warn",
    /// Failed.
    Error = "error",
    /// Bars of scores and probabilities.
    Bar = "bar",
    /// The bar of the worst class.
    BarWorst = "bar-worst",
    /// A share of mistakes worth seeing.
    Heat1 = "heat-1",
    /// A larger share of mistakes.
    Heat2 = "heat-2",
    /// A large share of mistakes.
    Heat3 = "heat-3",
    /// The largest share of mistakes.
    Heat4 = "heat-4",
    /// Progress made.
    Gauge = "gauge",
    /// Progress to come.
    GaugeRest = "gauge-rest",
    /// Keys in the footer and the help.
    Key = "key",
    /// Images.
    Art = "art",
    /// The selected mark.
    Selected = "selected",
    /// Boxes over the screen.
    Popup = "popup",
    /// The second of several runs laid over each other, and so on; a fifth looks like the first of these again.
    RunB = "run-b",
    /// The third of several runs.
    RunC = "run-c",
    /// The fourth of several runs.
    RunD = "run-d",
    /// The fifth of several runs.
    RunE = "run-e",
}

impl Role {
    /// The role of a run beside the first one, counted from 0.
    pub fn of_other(at: usize) -> Self {
        const CYCLE: [Role; 4] = [Role::RunB, Role::RunC, Role::RunD, Role::RunE];
        CYCLE.get(at % CYCLE.len()).copied().unwrap_or(Self::RunB)
    }
}
