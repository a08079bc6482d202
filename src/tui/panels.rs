//! The state of each panel: scroll position, selection and filter.

use std::ops::{Index, IndexMut};

use super::page::Pane;
use crate::link::Filter;

/// The state of all panels. Indexing with a panel yields its position: the first visible row or the selected item,
/// depending on the panel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Panels {
    positions: [usize; Pane::ALL.len()],
    /// Further state of the panel with all test images.
    pub images: Images,
}

/// State of the panel with all test images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Images {
    /// Which images are listed.
    pub filter: Filter,
    /// Whether only the selected image is shown, enlarged.
    pub large: bool,
}

impl Panels {
    /// Moves the position of a panel, clamped to `0..=last`.
    pub(super) fn shift(&mut self, pane: Pane, by: isize, last: usize) {
        let at = self[pane].min(last).saturating_add_signed(by);
        self[pane] = at.min(last);
    }
}

impl Index<Pane> for Panels {
    type Output = usize;

    fn index(&self, pane: Pane) -> &usize {
        &self.positions[pane as usize]
    }
}

impl IndexMut<Pane> for Panels {
    fn index_mut(&mut self, pane: Pane) -> &mut usize {
        &mut self.positions[pane as usize]
    }
}
