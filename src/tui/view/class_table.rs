//! The table of classes: its columns, the selection of those that fit, and their cells.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::paint::{Piece, bar, piece, put, put_pieces};
use crate::event::EvalReport;
use crate::metrics::{ClassScores, Interval};
use crate::tui::text::{columns, count, score};
use crate::tui::theme::Role;

/// Changes smaller than this count as none.
const SAME: f64 = 5e-4;
/// Maximum width of a name and of a bar, and minimum width of a bar if further columns are shown.
const NAME: u16 = 24;
const BAR: u16 = 40;
const LEAST_BAR: u16 = 6;
/// Width of the name of the class that a class is most confused with.
const CONFUSED_NAME: u16 = 15;

/// A class in the table.
pub(super) struct Row<'a> {
    pub(super) report: &'a EvalReport,
    pub(super) label: usize,
    pub(super) scores: &'a ClassScores,
    /// Change of F1 since the previous evaluation of the same split.
    pub(super) change: Option<f64>,
    /// Whether it has the lowest F1 of all classes.
    pub(super) worst: bool,
}

/// A column to the right of the bar. Heading and cells have this width, including leading blanks.
struct Column {
    /// Columns with a lower rank are shown first when space is short.
    rank: u8,
    width: u16,
    heading: &'static str,
    cell: fn(&Ctx<'_>, &Row<'_>) -> Vec<Piece>,
}

/// All columns, from left to right.
const COLUMNS: [Column; 11] = [
    Column {
        rank: 0,
        width: 5,
        heading: "F1",
        cell: f1,
    },
    Column {
        rank: 3,
        width: 11,
        heading: "95% CI  ",
        cell: interval,
    },
    Column {
        rank: 2,
        width: 6,
        heading: "prec",
        cell: precision,
    },
    Column {
        rank: 7,
        width: 11,
        heading: "95% CI  ",
        cell: |ctx, row| ends(ctx, row.report.confusion.precision_interval(row.label)),
    },
    Column {
        rank: 7,
        width: 8,
        heading: "n",
        cell: predicted,
    },
    Column {
        rank: 2,
        width: 6,
        heading: "rec",
        cell: recall,
    },
    Column {
        rank: 7,
        width: 11,
        heading: "95% CI  ",
        cell: |ctx, row| ends(ctx, row.report.confusion.recall_interval(row.label)),
    },
    Column {
        rank: 4,
        width: 7,
        heading: "AUC",
        cell: auc,
    },
    Column {
        rank: 5,
        width: 9,
        heading: "support",
        cell: support,
    },
    Column {
        rank: 1,
        width: 8,
        heading: "change",
        cell: change,
    },
    Column {
        rank: 6,
        width: 28,
        heading: "most confused with ",
        cell: most_confused_with,
    },
];

/// The columns that fit.
pub(super) struct Columns {
    name: u16,
    bar: u16,
    shown: Vec<&'static Column>,
}

impl Columns {
    /// The columns that fit next to the names of this many classes.
    pub(super) fn of(ctx: &Ctx<'_>, width: u16, classes: usize) -> Self {
        let names = (0..classes).map(|label| columns(&ctx.class(label, NAME)));
        let longest = names.max().unwrap_or(0).max(4);
        // Space for the mark before a name, the blank after it, and F1.
        let rest = width.saturating_sub(2 + 5);
        let name = longest.min(rest.saturating_sub(8));
        let mut rest = rest.saturating_sub(name);
        let mut most = 0;
        for rank in 1..=COLUMNS.iter().map(|column| column.rank).max().unwrap_or(0) {
            let wanted: u16 = COLUMNS
                .iter()
                .filter(|column| column.rank == rank)
                .map(|c| c.width)
                .sum();
            if rest < wanted + LEAST_BAR {
                break;
            }
            rest -= wanted;
            most = rank;
        }
        Self {
            name,
            bar: rest.min(BAR),
            shown: COLUMNS
                .iter()
                .filter(|column| column.rank <= most)
                .collect(),
        }
    }

    /// The first column to the right of the bar.
    fn begin(&self) -> u16 {
        self.name + 2 + self.bar
    }

    pub(super) fn headings(&self, ctx: &Ctx<'_>, line: Rect, buf: &mut Buffer) {
        let dim = ctx.style(Role::Dim);
        put(buf, line, 1, 0, "class", dim);
        self.shown.iter().fold(self.begin(), |x, column| {
            let text = format!("{:>1$}", column.heading, usize::from(column.width));
            put(buf, line, x, 0, &text, dim)
        });
    }

    pub(super) fn row(&self, ctx: &Ctx<'_>, row: &Row<'_>, line: Rect, buf: &mut Buffer) {
        let (mark, name, look) = if row.worst {
            ("!", Role::Warn, Role::BarWorst)
        } else {
            (" ", Role::Text, Role::Bar)
        };
        put(buf, line, 0, 0, mark, ctx.style(Role::Warn));
        put(
            buf,
            line,
            1,
            0,
            &ctx.class(row.label, self.name),
            ctx.style(name),
        );
        let bar = bar(ctx, row.scores.f1, self.bar, look);
        put_pieces(ctx, buf, line, self.name + 2, 0, &bar);
        self.shown.iter().fold(self.begin(), |x, column| {
            put_pieces(ctx, buf, line, x, 0, &(column.cell)(ctx, row));
            x + column.width
        });
    }
}

/// A score padded to `width`, or a dash if it is undefined (and 0 by convention).
fn defined(ctx: &Ctx<'_>, width: usize, value: f64, undefined: bool, role: Role) -> Vec<Piece> {
    if undefined {
        vec![piece(format!("{:>width$}", ctx.symbols.dash), Role::Dim)]
    } else {
        vec![piece(format!("{:>width$}", score(value)), role)]
    }
}

fn f1(ctx: &Ctx<'_>, row: &Row<'_>) -> Vec<Piece> {
    defined(ctx, 5, row.scores.f1, row.scores.f1_undefined, Role::Strong)
}

fn interval(ctx: &Ctx<'_>, row: &Row<'_>) -> Vec<Piece> {
    let found = row.report.estimates.f1.get(row.label).copied().flatten();
    ends(ctx, found.filter(|_| !row.scores.f1_undefined))
}

/// The ends of the interval of a score, or a dash if there is none.
fn ends(ctx: &Ctx<'_>, interval: Option<Interval>) -> Vec<Piece> {
    let dash = ctx.symbols.dash;
    let text = interval.map_or_else(
        || dash.to_owned(),
        |interval| {
            let ends = interval.displayed(1.0, 3);
            format!("{}{dash}{}", score(ends.low), score(ends.high))
        },
    );
    vec![piece(format!("{text:>11}"), Role::Dim)]
}

/// Number of images predicted as the class, which the precision is a share of.
fn predicted(_: &Ctx<'_>, row: &Row<'_>) -> Vec<Piece> {
    let predicted = row.report.confusion.predicted(row.label);
    vec![piece(format!("{:>8}", count(predicted)), Role::Dim)]
}

fn precision(ctx: &Ctx<'_>, row: &Row<'_>) -> Vec<Piece> {
    let scores = row.scores;
    defined(
        ctx,
        6,
        scores.precision,
        scores.precision_undefined,
        Role::Dim,
    )
}

fn recall(ctx: &Ctx<'_>, row: &Row<'_>) -> Vec<Piece> {
    let scores = row.scores;
    defined(ctx, 6, scores.recall, scores.recall_undefined, Role::Dim)
}

fn auc(ctx: &Ctx<'_>, row: &Row<'_>) -> Vec<Piece> {
    // With three digits, .9998 would be rounded to 1.
    let auc = row.report.auc.get(row.label).copied().flatten();
    let text = auc.map_or_else(
        || ctx.symbols.dash.to_owned(),
        |auc| format!("{auc:.4}").replacen("0.", ".", 1),
    );
    vec![piece(format!("{text:>7}"), Role::Text)]
}

fn support(_: &Ctx<'_>, row: &Row<'_>) -> Vec<Piece> {
    vec![piece(
        format!("{:>9}", count(row.scores.support)),
        Role::Dim,
    )]
}

fn change(ctx: &Ctx<'_>, row: &Row<'_>) -> Vec<Piece> {
    let (mark, by, role) = match row.change {
        Some(by) if by >= SAME => (ctx.symbols.up, by, Role::Good),
        Some(by) if by <= -SAME => (ctx.symbols.down, -by, Role::Bad),
        Some(_) => ("=", 0.0, Role::Faint),
        None => return Vec::new(),
    };
    vec![piece(format!("  {mark} {}", score(by)), role)]
}

/// The class that this class is most often predicted as, and how often.
fn most_confused_with(ctx: &Ctx<'_>, row: &Row<'_>) -> Vec<Piece> {
    let confusion = &row.report.confusion;
    let counts = (0..confusion.classes()).filter(|predicted| *predicted != row.label);
    let worst = counts
        .map(|predicted| (confusion.count(row.label, predicted), predicted))
        .max_by_key(|(count, at)| (*count, usize::MAX - at));
    let Some((count, predicted)) = worst.filter(|(count, _)| *count > 0) else {
        return Vec::new();
    };
    let name = ctx.class(predicted, CONFUSED_NAME);
    let pad = " ".repeat(usize::from(CONFUSED_NAME.saturating_sub(columns(&name))));
    let share = count as f64 / row.scores.support.max(1) as f64 * 100.0;
    vec![
        piece(format!("{:>5} ", ctx.symbols.arrow), Role::Faint),
        piece(format!("{name}{pad}"), Role::Dim),
        piece(format!("{share:>6.1}%"), Role::Text),
    ]
}
