//! What the user looks at in each panel.

use std::ops::{Index, IndexMut};

use super::page::Pane;
use crate::link::Filter;

/// The state of all panels. Indexed by a panel it is that panel's position: the first row shown or the item selected, as
/// its own code has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Panels {
    positions: [usize; Pane::ALL.len()],
    /// What else the panel of all test images has.
    pub images: Images,
}

/// What the panel of all test images shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Images {
    /// Which images.
    pub filter: Filter,
    /// Whether the selected one has the panel alone.
    pub large: bool,
}

impl Panels {
    /// Moves a panel's position, no further than to `last`.
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
