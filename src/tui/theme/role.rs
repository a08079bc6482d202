//! Roles: the elements of the screen that a theme styles.

/// Defines the roles once: the enum, the list of all, and their names in theme files.
macro_rules! roles {
    ($(#[doc = $doc:literal] $role:ident = $name:literal,)*) => {
        /// The purpose of an element of the screen. A theme defines the style of each role.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Role { $(#[doc = $doc] $role,)* }

        impl Role {
            /// All roles.
            pub const ALL: &'static [Self] = &[$(Self::$role,)*];

            /// The name of the role in theme files.
            pub fn name(self) -> &'static str {
                match self { $(Self::$role => $name,)* }
            }

            /// A short description of the role.
            pub fn doc(self) -> &'static str {
                match self { $(Self::$role => $doc,)* }.trim_ascii().trim_end_matches('.')
            }

            /// The role with this name in theme files.
            pub(super) fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|role| role.name() == name)
            }
        }
    };
}

roles! {
    /// The background of the screen.
    Screen = "screen",
    /// Plain text and numbers.
    Text = "text",
    /// Emphasized text and numbers.
    Strong = "strong",
    /// Labels and units.
    Dim = "dim",
    /// Guide lines and other inconspicuous elements.
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
    /// The min-max band of training curves.
    TrainBand = "train-band",
    /// Validation curves.
    Valid = "valid",
    /// The curve of the gradient norm.
    Gradient = "gradient",
    /// The min-max band of the gradient norm.
    GradientBand = "gradient-band",
    /// The clip threshold and clipped steps.
    Clip = "clip",
    /// Correct, better.
    Good = "good",
    /// Wrong, worse.
    Bad = "bad",
    /// Warnings.
    Warn = "warn",
    /// Errors.
    Error = "error",
    /// Bars of scores and probabilities.
    Bar = "bar",
    /// The bar of the worst class.
    BarWorst = "bar-worst",
    /// A small share of mistakes.
    Heat1 = "heat-1",
    /// A medium share of mistakes.
    Heat2 = "heat-2",
    /// A large share of mistakes.
    Heat3 = "heat-3",
    /// The largest share of mistakes.
    Heat4 = "heat-4",
    /// The completed part of a progress bar.
    Gauge = "gauge",
    /// The remaining part of a progress bar.
    GaugeRest = "gauge-rest",
    /// Keys in the footer and the help.
    Key = "key",
    /// Images.
    Art = "art",
    /// The selected item.
    Selected = "selected",
    /// Popups.
    Popup = "popup",
    /// The second of several compared runs; the sixth has this style again.
    RunB = "run-b",
    /// The third of several compared runs.
    RunC = "run-c",
    /// The fourth of several compared runs.
    RunD = "run-d",
    /// The fifth of several compared runs.
    RunE = "run-e",
}

impl Role {
    /// The role of a compared run, counted from 0, without the first run.
    pub fn of_other(at: usize) -> Self {
        const CYCLE: [Role; 4] = [Role::RunB, Role::RunC, Role::RunD, Role::RunE];
        CYCLE.get(at % CYCLE.len()).copied().unwrap_or(Self::RunB)
    }
}
