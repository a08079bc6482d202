//! The confusion matrix as a heat map, and the most frequent mistakes as a list.
//!
//! Rows are labels, columns are predictions; a cell is the percentage of its row. If there are more classes than
//! columns, a cell covers a square of classes and shows the largest rate in it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::confusions;
use super::ctx::Ctx;
use super::evaluated::{headlines, open};
use super::paint::{self, put};
use crate::event::EvalReport;
use crate::tui::layout::{split, top};
use crate::tui::page::{Page, Pane};
use crate::tui::text::{columns, outside};
use crate::tui::theme::Role;

/// Rates of mistakes from which a cell has the next warmer shade.
const WARMER: [f64; 4] = [0.005, 0.02, 0.05, 0.10];
/// Maximum width of a class name, and of a cell.
const NAME: u16 = 16;
const CELL: u16 = 13;
/// Minimum width of a cell with a number.
const NUMBER: u16 = 4;
/// Minimum width of the list of pairs to the right of the matrix.
const LIST: u16 = 70;

/// The layout of the matrix.
struct Grid {
    /// Width of the names.
    name: u16,
    /// Width of a cell.
    cell: u16,
    /// Number of classes a cell covers, in each direction.
    classes: usize,
    /// Number of cells in a row, which is also the number of rows.
    cells: usize,
}

impl Grid {
    fn of(width: u16, longest: u16, classes: usize) -> Self {
        let name = longest.clamp(3, NAME).min(width / 3);
        let room = width.saturating_sub(name + 2).max(1);
        let together = classes.div_ceil(usize::from(room)).max(1);
        let cells = classes.div_ceil(together);
        let cell = (usize::from(room) / cells.max(1)).clamp(1, usize::from(CELL)) as u16;
        // Cells of two or three columns could not show a number and would not show a pattern either.
        let cell = if cell < NUMBER {
            1 + u16::from(cell > 1)
        } else {
            cell
        };
        Self {
            name,
            cell,
            classes: together,
            cells,
        }
    }

    fn width(&self) -> u16 {
        self.name + 2 + self.cell.saturating_mul(self.cells as u16)
    }
}

/// Draws the pane.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let opened = open(ctx, (area, buf), Pane::Confusion, headlines);
    let Some((report, _, body)) = opened else {
        return;
    };
    let classes = report.confusion.classes();
    let longest = (0..classes)
        .map(|label| columns(&ctx.class(label, NAME)))
        .max()
        .unwrap_or(3);
    let grid = Grid::of(body.width, longest, classes);
    let list_width = body.width.saturating_sub(grid.width() + 2);
    let (table, list) = if list_width >= LIST {
        split(body, body.width - list_width)
    } else {
        // The list of pairs needs a blank row, its heading and a line or two.
        let rows = (grid.cells as u16).saturating_add(1);
        let rows = if body.height >= rows + 5 {
            rows
        } else {
            body.height
        };
        top(body, rows)
    };
    confusions::draw(ctx, report, list, buf);
    draw_table(ctx, report, &grid, table, buf);
    if grid.cell >= NUMBER {
        let words = "rows: label; columns: prediction; cells: % of the row";
        let (line, _) = top(list, u16::from(list_width < LIST));
        put(
            buf,
            line,
            1,
            0,
            &outside(words, usize::from(line.width), ctx.symbols),
            ctx.style(Role::Dim),
        );
    }
}

fn draw_table(ctx: &Ctx<'_>, report: &EvalReport, grid: &Grid, area: Rect, buf: &mut Buffer) {
    let (head, rows) = top(area, 1);
    headings(ctx, grid, head, buf);
    let room = usize::from(rows.height);
    let last = grid.cells.saturating_sub(room);
    let first = (ctx.app.ui.panels[Pane::Classes] / grid.classes).min(last);
    let shares = Shares::of(report);
    // The pair that enter opens, if the list of pairs is hidden.
    let selected = confusions::selected(ctx.app)
        .filter(|_| ctx.app.ui.page == Page::Confusion)
        .map(|pair| (pair.label / grid.classes, pair.predicted / grid.classes));
    for (y, row) in (first..grid.cells).take(room).enumerate() {
        let label = row * grid.classes;
        put(
            buf,
            rows,
            1,
            y as u16,
            &ctx.class(label, grid.name),
            ctx.style(Role::Text),
        );
        for column in 0..grid.cells {
            let (text, role) = cell(ctx, grid, &shares, row, column);
            let role = if selected == Some((row, column)) {
                Role::Selected
            } else {
                role
            };
            let x = grid.name + 2 + column as u16 * grid.cell;
            put(buf, rows, x, y as u16, &text, ctx.style(role));
        }
    }
    let below = grid.cells.saturating_sub(first + room);
    paint::more(ctx, buf, rows, (first, below));
}

/// Draws the names of the columns or, if cells are too narrow for them, an explanation of the shades.
fn headings(ctx: &Ctx<'_>, grid: &Grid, area: Rect, buf: &mut Buffer) {
    let dim = ctx.style(Role::Dim);
    put(
        buf,
        area,
        1,
        0,
        &outside("% pred. as", usize::from(grid.name), ctx.symbols),
        dim,
    );
    let x = grid.name + 2;
    if grid.cell >= NUMBER {
        for label in 0..grid.cells {
            let text = ctx.class(label, grid.cell - 1);
            let pad = grid.cell - columns(&text);
            put(buf, area, x + label as u16 * grid.cell + pad, 0, &text, dim);
        }
        return;
    }
    let shades = ctx.symbols.shades;
    let each = if grid.classes > 1 {
        format!("cell: {0}×{0} classes, largest rate; ", grid.classes)
    } else {
        "columns in row order; ".to_owned()
    };
    let each = if ctx.symbols.unicode {
        each
    } else {
        each.replace('×', "x")
    };
    let scale = shades.iter().zip(WARMER);
    let scale = scale.map(|(shade, share)| format!("{shade} {}%", share * 100.0));
    let scale = format!("{each}{}", scale.collect::<Vec<_>>().join(" "));
    put(
        buf,
        area,
        x,
        0,
        &outside(
            &scale,
            usize::from(area.width.saturating_sub(x)),
            ctx.symbols,
        ),
        dim,
    );
}

/// The counts of the matrix, each row with its sum.
struct Shares<'a>(Vec<(&'a [u64], f64)>);

impl<'a> Shares<'a> {
    fn of(report: &'a EvalReport) -> Self {
        let rows = report.confusion.rows();
        Self(
            rows.map(|row| (row, row.iter().map(|&n| n as f64).sum()))
                .collect(),
        )
    }

    /// The rate at which a class is predicted as another; `None` if it has no samples.
    fn at(&self, label: usize, predicted: usize) -> Option<f64> {
        let (row, sum) = self.0.get(label)?;
        let count = *row.get(predicted)? as f64;
        (*sum > 0.0).then(|| count / sum)
    }

    /// The largest rate of mistakes among the classes that a cell covers.
    fn worst(&self, grid: &Grid, row: usize, column: usize) -> f64 {
        let labels = row * grid.classes..(row + 1) * grid.classes;
        labels
            .flat_map(|label| {
                (column * grid.classes..(column + 1) * grid.classes).map(move |p| (label, p))
            })
            .filter(|(label, predicted)| label != predicted)
            .filter_map(|(label, predicted)| self.at(label, predicted))
            .fold(0.0, f64::max)
    }
}

fn cell(
    ctx: &Ctx<'_>,
    grid: &Grid,
    shares: &Shares<'_>,
    row: usize,
    column: usize,
) -> (String, Role) {
    let own = row == column;
    let wide = usize::from(grid.cell);
    if grid.cell < NUMBER {
        let mark = match warmth(shares.worst(grid, row, column)) {
            0 if own => ctx.symbols.guide,
            0 => " ",
            level => ctx.symbols.shades.get(level - 1).copied().unwrap_or("#"),
        };
        let role = heat(warmth(shares.worst(grid, row, column)));
        // Shades are drawn in the foreground colour, on the background of the screen.
        let role = if role == Role::Faint { role } else { Role::Bad };
        return (mark.repeat(wide), role);
    }
    let Some(share) = shares.at(row, column) else {
        return (format!("{:>wide$}", ctx.symbols.dash), Role::Faint);
    };
    if share == 0.0 {
        return (format!("{:>wide$}", ctx.symbols.right_small), Role::Faint);
    }
    let digits = usize::from(grid.cell >= 6);
    let text = format!("{:>wide$}", format!("{:.digits$}", share * 100.0));
    if own {
        return (text, Role::Strong);
    }
    (text, heat(warmth(share)))
}

/// The heat level of a rate of mistakes, from 0 to 4.
fn warmth(share: f64) -> usize {
    WARMER.iter().filter(|least| share >= **least).count()
}

fn heat(warmth: usize) -> Role {
    match warmth {
        0 => Role::Faint,
        1 => Role::Heat1,
        2 => Role::Heat2,
        3 => Role::Heat3,
        _ => Role::Heat4,
    }
}
