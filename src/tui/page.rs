//! What panels and pages there are, and what is on each page.

/// Defines the panels' ids: the enum, and the list of all.
macro_rules! panes {
    ($($pane:ident $doc:literal,)*) => {
        /// A panel: a part of the screen that can be focused. What it shows and does is its entry in
        /// [`PANELS`](super::PANELS).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Pane {
            $(#[doc = $doc] $pane,)*
        }

        impl Pane {
            /// All of them, in the order of the table.
            pub const ALL: [Self; [$($doc),*].len()] = [$(Self::$pane),*];
        }
    };
}

panes! {
    Loss "The loss over time.",
    Accuracy "The accuracy over time.",
    Gradient "The gradient norm and its clipping.",
    Rate "The learning rate over time.",
    Metrics "The curves that have no panel of their own, over time.",
    Layers "How far each parameter is moved, over time.",
    Classes "The scores of each class.",
    Trends "F1 of each class over the epochs.",
    Confusion "The confusion matrix and the most frequent mistakes.",
    Calibration "Calibration of the probabilities.",
    Gallery "One image of the gallery with its predictions.",
    Images "All test images, by filter.",
    System "The machine, and what a step and a frame cost.",
    Log "Messages.",
    Compare "Other runs beside this one.",
}

/// How the panels of a page share its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrangement {
    /// One below the other, each with so many rows.
    Stack(&'static [Height]),
    /// Charts on the left; classes, images and messages on the right as far as there is room.
    Overview,
}

/// Rows of a panel in a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Height {
    /// An equal share of what the others leave.
    Share,
    /// One part in so many of what the panels of their own height leave, and no fewer rows than this.
    Part { of: u16, least: u16 },
    /// As many as the panel asks for, at most two thirds of the page.
    Content,
    /// The same, at most a third of the page; a panel that asks for none is not there.
    Third,
}

/// A page of one panel.
const ALONE: Arrangement = Arrangement::Stack(&[Height::Share]);

/// Defines the pages once, in the order of the tabs: the enum, the name in `[keys]` and after `--page` (one word), the title,
/// what the help says, the panels in the order of the focus, and their arrangement.
macro_rules! pages {
    ($($page:ident $key:literal $title:literal $doc:literal [$($pane:ident)*] $arrangement:expr;)*) => {
        /// What the whole screen is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Page {
            $(#[doc = $doc] $page,)*
        }

        impl Page {
            /// All of them, in order.
            pub const ALL: [Self; [$($key),*].len()] = [$(Self::$page),*];

            /// Its name in the configuration and on the command line.
            pub fn key(self) -> &'static str {
                match self { $(Self::$page => $key,)* }
            }

            /// The name on the screen.
            pub fn title(self) -> &'static str {
                match self { $(Self::$page => $title,)* }
            }

            /// What is on it, for the help.
            pub fn doc(self) -> &'static str {
                match self { $(Self::$page => $doc,)* }
            }

            /// The panels it may show, in the order of the focus.
            pub fn panes(self) -> &'static [Pane] {
                match self { $(Self::$page => &[$(Pane::$pane),*],)* }
            }

            /// How they share its room.
            pub(super) fn arrangement(self) -> Arrangement {
                match self { $(Self::$page => $arrangement,)* }
            }
        }
    };
}

pages! {
    Overview "overview" "Overview" "a bit of everything"
        [Loss Accuracy Gradient Classes Gallery Log] Arrangement::Overview;
    Curves "curves" "Curves" "loss, accuracy and learning rate over time"
        [Loss Accuracy Rate Metrics]
        Arrangement::Stack(&[
            Height::Share,
            Height::Share,
            Height::Part { of: 4, least: 5 },
            Height::Third,
        ]);
    Gradients "gradients" "Gradients" "gradient norm, clipping, and what each layer gets of it"
        [Gradient Layers] Arrangement::Stack(&[Height::Share, Height::Content]);
    Classes "classes" "Classes" "precision, recall, F1 with its interval and AUC of each class"
        [Classes] ALONE;
    Confusion "confusion" "Confusion" "what is taken for what"
        [Confusion] ALONE;
    Calibration "calibration" "Calibration" "what the probabilities are worth"
        [Calibration] ALONE;
    Gallery "gallery" "Gallery" "every test image, by what was said of it"
        [Images] ALONE;
    System "system" "System" "the machine: CPU, memory, disk, GPUs; what a step and a frame cost"
        [System] ALONE;
    Log "log" "Log" "everything that was said"
        [Log] ALONE;
    Compare "compare" "Compare" "runs beside each other: results, differences, configurations"
        [Compare] ALONE;
    Trends "trends" "Class trends" "F1 of each class over the epochs, as a heat strip"
        [Trends] ALONE;
}

impl Page {
    /// The page of this name.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|page| page.key() == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_panel_of_a_stack_has_its_height() {
        for page in Page::ALL {
            if let Arrangement::Stack(heights) = page.arrangement() {
                assert_eq!(page.panes().len(), heights.len(), "{}", page.key());
            }
        }
    }
}
