//! F1 of each class by epoch, as a heat map: one row per class; a column covers one or more epochs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::heat::Scale;
use super::paint::{self, Piece, piece, put, put_pieces};
use crate::event::F32;
use crate::tui::layout::top;
use crate::tui::page::Pane;
use crate::tui::text::{columns, score};
use crate::tui::theme::Role;

/// Maximum width of a name, maximum width of an epoch, and width of the numbers on the right including their gap.
const NAME: u16 = 20;
const CELL: usize = 4;
const NUMBERS: u16 = 22;
/// Changes smaller than this count as none.
const SAME: f32 = 5e-4;

const SCALE: Scale = Scale {
    from: [0.5, 0.75, 0.9, 0.95],
    role: Role::Valid,
};

/// The epochs of the run and their layout in columns.
struct Strip<'a> {
    epochs: &'a [(u32, Vec<F32>)],
    /// Width of all epochs in columns.
    width: usize,
}

impl<'a> Strip<'a> {
    fn of(epochs: &'a [(u32, Vec<F32>)], room: u16) -> Self {
        let room = usize::from(room);
        let cell = (room / epochs.len().max(1)).clamp(1, CELL);
        let width = (epochs.len() * cell).min(room);
        Self { epochs, width }
    }

    /// The lowest F1 of the epochs in a column, so that dips remain visible. `None` if it is undefined.
    fn at(&self, class: usize, column: usize) -> Option<f32> {
        let count = self.epochs.len();
        let first = column * count / self.width.max(1);
        let next = ((column + 1) * count / self.width.max(1)).max(first + 1);
        let epochs = self.epochs.get(first..next.min(count))?;
        epochs
            .iter()
            .filter_map(|(_, f1)| f1.get(class))
            .map(|f1| f1.0)
            .filter(|f1| f1.is_finite())
            .reduce(f32::min)
    }
}

/// Draws the panel.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let epochs = &ctx.app.run.class_f1.moments;
    let legend = SCALE.legend(ctx, |low| score(f64::from(low)));
    let body = paint::title(
        ctx,
        buf,
        area,
        Pane::Trends,
        "validation F1 by epoch",
        vec![legend],
    );
    let (Some((first, start)), Some((last, latest))) = (epochs.first(), epochs.last()) else {
        paint::empty(ctx, buf, body, ctx.panel(Pane::Trends).empty);
        return;
    };
    let names = (0..latest.len()).map(|class| columns(&ctx.class(class, NAME)));
    let name = names.max().unwrap_or(0).min(body.width / 3);
    let begin = name + 2;
    let strip = Strip::of(epochs, body.width.saturating_sub(begin + NUMBERS));
    let end = begin + strip.width as u16;
    let (head, rows) = top(body, 1);
    headings(ctx, head, (begin, end), (*first, *last), buf);
    let room = usize::from(rows.height);
    let scroll = ctx.app.ui.panels[Pane::Trends].min(latest.len().saturating_sub(room));
    for (class, y) in (scroll..latest.len()).zip(0..rows.height) {
        let label = ctx.class(class, name);
        put(buf, rows, 1, y, &label, ctx.style(Role::Text));
        for column in 0..strip.width {
            let f1 = strip.at(class, column);
            let undefined = (ctx.symbols.dash, Role::Faint);
            let (sign, role) = f1.map_or(undefined, |f1| SCALE.shade(ctx, f1));
            put(buf, rows, begin + column as u16, y, sign, ctx.style(role));
        }
        let f1 = |epoch: &[F32]| epoch.get(class).map(|f1| f1.0).filter(|f1| f1.is_finite());
        let best = epochs.iter().filter_map(|(_, epoch)| f1(epoch));
        let numbers = numbers(ctx, f1(latest), f1(start), best.reduce(f32::max));
        put_pieces(ctx, buf, rows, end, y, &numbers);
    }
    let below = latest.len().saturating_sub(scroll + room);
    paint::more(ctx, buf, rows, (scroll, below));
}

/// Draws the headings of the names, the strips (first and last epoch) and the numbers.
fn headings(
    ctx: &Ctx<'_>,
    line: Rect,
    (begin, end): (u16, u16),
    (first, last): (u32, u32),
    buf: &mut Buffer,
) {
    let dim = ctx.style(Role::Dim);
    put(buf, line, 1, 0, "class", dim);
    let from = put(buf, line, begin, 0, &first.to_string(), dim);
    let last = last.to_string();
    let at = end.saturating_sub(columns(&last));
    if at > from {
        put(buf, line, at, 0, &last, dim);
    }
    let numbers = format!("{:>6}{:>8}{:>8}", "F1", "first", "best");
    put(buf, line, end, 0, &numbers, dim);
}

/// The latest F1, and its differences from the first and from the best.
fn numbers(
    ctx: &Ctx<'_>,
    latest: Option<f32>,
    first: Option<f32>,
    best: Option<f32>,
) -> Vec<Piece> {
    let dash = ctx.symbols.dash;
    let shown = latest.map_or_else(|| dash.to_owned(), |f1| score(f64::from(f1)));
    let change = |from: Option<f32>| {
        let (mark, by, role) = match latest.zip(from).map(|(latest, from)| latest - from) {
            Some(by) if by >= SAME => (ctx.symbols.up, score(f64::from(by)), Role::Good),
            Some(by) if by <= -SAME => (ctx.symbols.down, score(f64::from(-by)), Role::Bad),
            Some(_) => ("=", score(0.0), Role::Faint),
            None => (dash, String::new(), Role::Faint),
        };
        piece(format!("{:>8}", format!("{mark} {by}")), role)
    };
    vec![
        piece(format!("{shown:>6}"), Role::Strong),
        change(first),
        change(best),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_fill_the_width_or_share_columns() {
        let epochs: Vec<(u32, Vec<F32>)> = (1..=10)
            .map(|epoch| (epoch, vec![F32(epoch as f32 / 10.0), F32(f32::NAN)]))
            .collect();
        let wide = Strip::of(&epochs, 35);
        assert_eq!(wide.width, 30);
        let first = (0..4).map(|x| wide.at(0, x)).collect::<Vec<_>>();
        assert_eq!(first, [Some(0.1), Some(0.1), Some(0.1), Some(0.2)]);
        let narrow = Strip::of(&epochs, 3);
        let all = (0..4).map(|x| narrow.at(0, x)).collect::<Vec<_>>();
        assert_eq!(all, [Some(0.1), Some(0.4), Some(0.7), None], "the lowest");
        assert_eq!(wide.at(1, 0), None, "undefined");
        assert_eq!(Strip::of(&epochs, 0).width, 0);
        assert_eq!(Strip::of(&[], 9).width, 0);
    }
}
