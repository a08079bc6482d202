//! Strips of shades: a row of cells, each darker the greater its value. Told by their ink on the ground of the screen, so
//! that they need no colour.

use super::ctx::Ctx;
use super::paint::{Piece, piece};
use crate::tui::theme::Role;

/// Which value has which shade: absolute, so that a shade means the same all the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// The least value of each shade, lightest first.
    pub(super) from: [f32; 4],
    pub(super) role: Role,
}

impl Scale {
    /// The sign of a value, and how it looks.
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

    /// What each shade means.
    pub(super) fn legend(&self, ctx: &Ctx<'_>, number: fn(f32) -> String) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for low in self.from {
            let (sign, role) = self.shade(ctx, low);
            pieces.push(piece(format!(" {sign}"), role));
            pieces.push(piece(format!(" {}", number(low)), Role::Dim));
        }
        let (less, role) = self.shade(ctx, f32::MIN);
        pieces.push(piece(format!(" {less}"), role));
        pieces.push(piece(" less", Role::Dim));
        pieces
    }
}
