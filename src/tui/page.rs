//! The panels and pages of the screen, and the panels on each page.

/// Defines the ids of the panels: the enum, and the list of all.
macro_rules! panes {
    ($($pane:ident $doc:literal,)*) => {
        /// The id of a panel, a part of the screen that can be focused. Its content and behaviour are defined in
        /// [`PANELS`](super::PANELS).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Pane {
            $(#[doc = $doc] $pane,)*
        }

        impl Pane {
            /// All panels, in the order of the table.
            pub const ALL: [Self; [$($doc),*].len()] = [$(Self::$pane),*];
        }
    };
}

panes! {
    Loss "Training and validation loss over time.",
    Accuracy "Training and validation accuracy over time.",
    Gradient "Gradient norm and clipping over time.",
    Rate "Learning rate over time.",
    Metrics "Metrics logged by name, over time.",
    Layers "Update-to-weight ratio of each parameter over time.",
    Classes "Precision, recall, F1 and AUC of each class.",
    Trends "F1 of each class over the epochs.",
    Confusion "Confusion matrix and most frequent mistakes.",
    Calibration "Reliability diagram and calibration errors.",
    Gallery "One sampled image with its predictions.",
    Images "All test images that match the filter.",
    System "Hardware utilisation, and the time per step and frame.",
    Log "Log of the run.",
    Compare "Comparison of this run with other runs.",
}

/// How the panels of a page are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrangement {
    /// Panels stacked vertically, one height for each.
    Stack(&'static [Height]),
    /// Charts on the left; classes, gallery and log on the right, as far as they fit.
    Overview,
}

/// The height of a panel in a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Height {
    /// An equal share of the rows that the other panels leave.
    Share,
    /// The fraction `1 / of` of the rows that the `Content` and `Third` panels leave, but at least `least` rows.
    Part { of: u16, least: u16 },
    /// As many rows as the panel requests, at most two thirds of the page.
    Content,
    /// As many rows as the panel requests, at most a third of the page. A panel that requests none is hidden.
    Third,
}

/// Arrangement of a page with a single panel.
const ALONE: Arrangement = Arrangement::Stack(&[Height::Share]);

/// Defines the pages once, in the order of the tabs: the enum, the name in `[keys]` and for `--page` (one word), the
/// title, the description in the help, the panels in focus order, and their arrangement.
macro_rules! pages {
    ($($page:ident $key:literal $title:literal $doc:literal [$($pane:ident)*] $arrangement:expr;)*) => {
        /// A page of the screen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Page {
            $(#[doc = $doc] $page,)*
        }

        impl Page {
            /// All pages, in the order of the tabs.
            pub const ALL: [Self; [$($key),*].len()] = [$(Self::$page),*];

            /// The name of the page in the configuration and on the command line.
            pub fn key(self) -> &'static str {
                match self { $(Self::$page => $key,)* }
            }

            /// The title of the page on the screen.
            pub fn title(self) -> &'static str {
                match self { $(Self::$page => $title,)* }
            }

            /// The one-line description of the page in the help.
            pub fn doc(self) -> &'static str {
                match self { $(Self::$page => $doc,)* }
            }

            /// The panels that the page can show, in focus order.
            pub fn panes(self) -> &'static [Pane] {
                match self { $(Self::$page => &[$(Pane::$pane),*],)* }
            }

            /// How its panels are arranged.
            pub(super) fn arrangement(self) -> Arrangement {
                match self { $(Self::$page => $arrangement,)* }
            }
        }
    };
}

pages! {
    Overview "overview" "Overview" "curves, classes, sampled images and log"
        [Loss Accuracy Gradient Classes Gallery Log] Arrangement::Overview;
    Curves "curves" "Curves" "loss, accuracy and learning rate over time"
        [Loss Accuracy Rate Metrics]
        Arrangement::Stack(&[
            Height::Share,
            Height::Share,
            Height::Part { of: 4, least: 5 },
            Height::Third,
        ]);
    Gradients "gradients" "Gradients" "gradient norm, clipping, and updates per layer"
        [Gradient Layers] Arrangement::Stack(&[Height::Share, Height::Content]);
    Classes "classes" "Classes" "precision, recall, F1 with interval, and AUC per class"
        [Classes] ALONE;
    Confusion "confusion" "Confusion" "confusion matrix"
        [Confusion] ALONE;
    Calibration "calibration" "Calibration" "calibration: reliability diagram"
        [Calibration] ALONE;
    Gallery "gallery" "Gallery" "test images with predictions"
        [Images] ALONE;
    System "system" "System" "CPU, memory, disk and GPUs; time per step and frame"
        [System] ALONE;
    Log "log" "Log" "log of the run"
        [Log] ALONE;
    Compare "compare" "Compare" "compared runs: results, differences, configurations"
        [Compare] ALONE;
    Trends "trends" "Class trends" "F1 of each class over the epochs, as a heat map"
        [Trends] ALONE;
}

impl Page {
    /// The page with this name.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|page| page.key() == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_define_a_height_for_each_panel() {
        for page in Page::ALL {
            if let Arrangement::Stack(heights) = page.arrangement() {
                assert_eq!(page.panes().len(), heights.len(), "{}", page.key());
            }
        }
    }
}
