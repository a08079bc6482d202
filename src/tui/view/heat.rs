//! Heat maps: rows of cells, each darker for a greater value. Cells are shade characters in the foreground colour, so
//! they need no background colours.

use super::ctx::Ctx;
use super::paint::{Piece, piece};
use crate::tui::theme::Role;

/// Maps values to shades. The thresholds are constant, so a shade always means the same value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// The lower bound of each shade, lightest first.
    pub(super) from: [f32; 4],
    pub(super) role: Role,
}

impl Scale {
    /// The character of a value, and its role.
    pub(super) fn shade(&self, ctx: &Ctx<'_>, value: f32) -> (&'static str, Role) {
        if !value.is_finite() {
            return (ctx.symbols.bad_point, Role::Error);
        }
        let level = self.from.iter().filter(|low| value >= **low).count();
        let shade = level
            .checked_sub(1)
            .and_then(|level| ctx.symbols.shades.get(level));
        match shade {
            Some(shade) => (shade, self.role),
            None => (ctx.symbols.right_small, Role::Faint),
        }
    }

    /// A legend with the lower bound of each shade.
    pub(super) fn legend(&self, ctx: &Ctx<'_>, number: fn(f32) -> String) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for low in self.from {
            let (sign, role) = self.shade(ctx, low);
            pieces.push(piece(format!(" {sign}"), role));
            pieces.push(piece(format!(" {}", number(low)), Role::Dim));
        }
        let (below, role) = self.shade(ctx, f32::MIN);
        pieces.push(piece(format!(" {below}"), role));
        pieces.push(piece(format!(" < {}", number(self.from[0])), Role::Dim));
        pieces
    }
}
