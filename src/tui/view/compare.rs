//! The comparison of runs: their names and states, their results, paired differences, and the configuration keys in
//! which they differ.
//!
//! The legend stays in place; everything below it scrolls as one page, with the heading of the current table on top.
//! Tables that are too wide for all runs are split into groups of runs, so every column can be reached.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::compare_tables::{Block, configuration, differences, numbers};
use super::ctx::Ctx;
use super::paint::{self, Piece, piece, put_pieces, width_of};
use crate::event::Phase;
use crate::run::{ResultRow, RunResult, RunState, result_rows};
use crate::tui::app::App;
use crate::tui::layout::{GUTTER, top};
use crate::tui::page::Pane;
use crate::tui::symbols::{Symbols, symbols};
use crate::tui::text::{columns, count, outside, wrap};
use crate::tui::theme::Role;

/// Maximum width in columns of a run's name.
const NAME: u16 = 40;
/// Columns between two tables side by side.
const APART: u16 = 4;
/// Minimum number of rows for a blank line below the legend.
const BLANK_FROM: u16 = 12;

/// The data the tables are built from.
pub(super) struct CompareTables<'a> {
    pub(super) app: &'a App,
    pub(super) symbols: &'static Symbols,
    /// The results of each run.
    pub(super) rows: Vec<ResultRow>,
    /// Available width in columns.
    pub(super) width: u16,
}

impl<'a> CompareTables<'a> {
    fn of(app: &'a App, width: u16) -> Self {
        Self {
            app,
            symbols: symbols(app.settings.ascii),
            rows: result_rows(&app.run, &app.others),
            width,
        }
    }

    /// Number of runs, including the main one.
    pub(super) fn runs(&self) -> usize {
        self.app.others.len() + 1
    }

    /// Whether any difference has an interval.
    pub(super) fn is_paired(&self) -> bool {
        (1..self.runs()).any(|at| self.has_pairs(at))
    }

    /// Whether any difference of this run has an interval.
    pub(super) fn has_pairs(&self, at: usize) -> bool {
        self.rows
            .iter()
            .any(|row| pair(self.app, row, at).is_some())
    }
}

/// The paired difference, with its interval, that a row shows for a run.
pub(super) fn pair<'a>(
    app: &'a App,
    row: &ResultRow,
    at: usize,
) -> Option<&'a crate::run::PairedDifference> {
    let other = app.others.get(at.checked_sub(1)?)?;
    other.paired(&app.run, row.result)
}

/// The letter of a run, counted from 0. It identifies the run even without colours.
pub(super) fn letter(at: usize) -> char {
    (b'A'..=b'Z').nth(at).map_or('?', char::from)
}

/// The role of a run: the main run and each compared run have their own.
pub(super) fn run_role(at: usize) -> Role {
    at.checked_sub(1).map_or(Role::Strong, Role::of_other)
}

/// Letter and symbol of a run, three columns wide.
pub(super) fn sign(symbols: &Symbols, at: usize) -> Piece {
    let mark = symbols.runs.get(at % symbols.runs.len()).copied();
    piece(
        format!("{} {}", letter(at), mark.unwrap_or("?")),
        run_role(at),
    )
}

/// Draws the page.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let app = ctx.app;
    if app.others.is_empty() && app.compare_errors.is_empty() {
        let body = paint::title(ctx, buf, area, Pane::Compare, "", Vec::new());
        paint::empty(ctx, buf, body, ctx.panel(Pane::Compare).empty);
        return;
    }
    let sheet = CompareTables::of(app, area.width);
    let note = match sheet.runs() {
        1 => "1 run".to_owned(),
        runs => format!("{runs} runs"),
    };
    let body = paint::title(ctx, buf, area, Pane::Compare, &note, headline(&sheet));
    let Parts { legend, page } = parts(&sheet, body);
    for (line, y) in legend.iter().zip(0..body.height) {
        put_pieces(ctx, buf, body, 0, y, line);
    }
    let rest = top(body, legend.len() as u16).1;
    scrolled(ctx, &page, rest, buf);
}

/// The last scroll position of the page on the current screen.
pub(super) fn last_scroll(app: &App) -> usize {
    let area = top(app.layout.pane_area(Pane::Compare), 1).1;
    let Parts { legend, page } = parts(&CompareTables::of(app, area.width), area);
    hidden_lines(page.lines.len(), top(area, legend.len() as u16).1.height)
}

/// How many of `lines` do not fit into `rows`; if any do not, one row is used to show their number.
fn hidden_lines(lines: usize, rows: u16) -> usize {
    let rows = usize::from(rows);
    if lines <= rows {
        0
    } else {
        lines.saturating_sub(rows.saturating_sub(1))
    }
}

/// The page as lines.
#[derive(Default)]
struct Page {
    lines: Vec<Vec<Piece>>,
    /// For each line, the index of the heading of its table.
    headings: Vec<Option<usize>>,
}

impl Page {
    /// Appends a block, separated by a blank line.
    fn add(&mut self, block: Block) {
        if block.lines.is_empty() {
            return;
        }
        if !self.lines.is_empty() {
            self.push(Vec::new(), None);
        }
        for line in block.lines {
            if line.heading {
                self.push(line.pieces, Some(self.lines.len()));
            } else {
                let heading = self.headings.last().copied().flatten();
                self.push(line.pieces, heading);
            }
        }
    }

    fn push(&mut self, line: Vec<Piece>, heading: Option<usize>) {
        self.lines.push(line);
        self.headings.push(heading);
    }
}

/// Draws the visible part of the page, with the heading of its table on top and the number of hidden lines at the end.
fn scrolled(ctx: &Ctx<'_>, page: &Page, area: Rect, buf: &mut Buffer) {
    let last = hidden_lines(page.lines.len(), area.height);
    let first = ctx.app.ui.panels[Pane::Compare].min(last);
    let room = area.height.saturating_sub(u16::from(last > 0));
    let heading = page.headings.get(first).copied().flatten();
    let heading = heading.and_then(|at| page.lines.get(at));
    // The heading replaces the first visible line; if that line is the heading itself, nothing is lost.
    let lines = page
        .lines
        .iter()
        .skip(first + usize::from(heading.is_some()));
    for (line, y) in heading.into_iter().chain(lines).zip(0..room) {
        put_pieces(ctx, buf, area, 0, y, line);
    }
    paint::more(ctx, buf, area, (first, last - first));
}

struct Parts {
    /// The fixed part.
    legend: Vec<Vec<Piece>>,
    /// The scrolling part.
    page: Page,
}

/// Arranges all parts of the page. Tables are placed side by side if both fit, else one below the other.
fn parts(sheet: &CompareTables<'_>, area: Rect) -> Parts {
    let mut legend = legend(sheet);
    // The legend may take at most half of the area.
    legend.truncate(usize::from(area.height / 2));
    if area.height >= BLANK_FROM {
        legend.push(Vec::new());
    }
    let mut page = Page::default();
    let config = configuration(sheet);
    match numbers(sheet) {
        (numbers, true) => {
            if let Some(both) = numbers.side_by_side(&config, sheet.width) {
                page.add(both);
            } else {
                page.add(numbers);
                page.add(config);
            }
        }
        (numbers, false) => {
            let differences = differences(sheet);
            if let Some(both) = numbers.side_by_side(&differences, sheet.width) {
                page.add(both);
            } else {
                page.add(numbers);
                page.add(differences);
            }
            page.add(config);
        }
    }
    page.add(remarks(sheet));
    Parts { legend, page }
}

impl Block {
    /// Both blocks side by side, or `None` if they do not fit into `width`.
    fn side_by_side(&self, right: &Self, width: u16) -> Option<Self> {
        let left = self.width();
        if left + APART + right.width() > width {
            return None;
        }
        let rows = self.lines.len().max(right.lines.len());
        let lines = (0..rows).map(|at| {
            let (one, other) = (self.lines.get(at), right.lines.get(at));
            let mut line = one.cloned().unwrap_or_default();
            if let Some(other) = other {
                let gap = (left + APART).saturating_sub(width_of(&line.pieces));
                line.pieces
                    .push(piece(" ".repeat(usize::from(gap)), Role::Text));
                line.pieces.extend(other.pieces.iter().cloned());
            }
            line
        });
        Some(Self {
            lines: lines.collect(),
        })
    }
}

/// Variants of the number of images on which differences were computed.
fn headline(sheet: &CompareTables<'_>) -> Vec<Vec<Piece>> {
    let report = sheet.app.run.test.latest.as_ref();
    let Some(report) = report.filter(|_| sheet.is_paired()) else {
        return Vec::new();
    };
    let n = count(report.n);
    let choices = [
        format!("paired on the same {n} test images"),
        format!("paired on {n} images"),
    ];
    choices.map(|words| vec![piece(words, Role::Dim)]).to_vec()
}

/// Letter, symbol, name and state of each run, as many per line as fit.
fn legend(sheet: &CompareTables<'_>) -> Vec<Vec<Piece>> {
    let app = sheet.app;
    let first = app.run.info.as_ref().map_or("", |info| info.run.as_str());
    let named = std::iter::once((first, &app.run)).chain(
        app.others
            .iter()
            .map(|other| (other.name.as_str(), &other.state)),
    );
    let room = usize::from(NAME.min(sheet.width.saturating_sub(4)));
    let runs: Vec<(String, String)> = named
        .enumerate()
        .map(|(at, (name, state))| {
            let name = match outside(name, room, sheet.symbols) {
                name if name.trim().is_empty() => format!("run {}", letter(at)),
                name => name,
            };
            (name, run_status(app, sheet.symbols, at, state))
        })
        .collect();
    let widest = |text: fn(&(String, String)) -> &str| {
        runs.iter().map(|run| columns(text(run))).max().unwrap_or(0)
    };
    let (name, words) = (widest(|run| &run.0), widest(|run| &run.1));
    let entry = 4 + name + 2 + words;
    let per_line = usize::from(((sheet.width + GUTTER) / (entry + GUTTER)).max(1));
    let pad = |text: &str, width: u16| " ".repeat(usize::from(width.saturating_sub(columns(text))));
    let entries: Vec<Vec<Piece>> = runs
        .iter()
        .enumerate()
        .map(|(at, (name_of, words_of))| {
            vec![
                sign(sheet.symbols, at),
                piece(format!(" {name_of}{}", pad(name_of, name)), Role::Text),
                piece(format!("  {words_of}{}  ", pad(words_of, words)), Role::Dim),
            ]
        })
        .collect();
    entries.chunks(per_line).map(<[_]>::concat).collect()
}

/// State, epochs and device of a run.
fn run_status(app: &App, symbols: &Symbols, at: usize, state: &RunState) -> String {
    let word = match &state.outcome {
        Some(outcome) => outcome.name(),
        None if at == 0 && app.live && app.connected => match state.phase {
            Phase::Paused => "paused",
            _ => "live",
        },
        None if at == 0 && app.replay.is_some() && !app.lost() => "replay",
        None => "unfinished",
    };
    let done = RunResult::Epochs.of(state).unwrap_or(0.0);
    let on = state.info.as_ref().map_or_else(String::new, |info| {
        let device = outside(&info.device, 8, symbols);
        let precision = outside(&info.precision, 6, symbols);
        format!(
            " {} {}",
            symbols.dot,
            format!("{device} {precision}").trim()
        )
    });
    format!("{word} {done}/{}{on}", state.epochs)
}

/// Warnings about what could not be compared, and an explanation of the symbols.
fn remarks(sheet: &CompareTables<'_>) -> Block {
    let app = sheet.app;
    let width = usize::from(sheet.width);
    let mut block = Block::default();
    let mut add = |text: &str, role: Role| {
        let text = outside(text, 1000, sheet.symbols);
        wrap(&text, width)
            .into_iter()
            .for_each(|line| block.push(vec![piece(line, role)]));
    };
    let mark = sheet.symbols.warning;
    for (other, at) in app.others.iter().zip(1..) {
        if let Some(why) = &other.unpaired {
            add(
                &format!("{mark} {}: no paired comparison: {why}", letter(at)),
                Role::Warn,
            );
        }
    }
    let bins = |state: &RunState| Some(state.test.latest.as_ref()?.reliability.len());
    for (other, at) in app.others.iter().zip(1..) {
        if let (Some(ours), Some(theirs)) = (bins(&app.run), bins(&other.state))
            && ours != theirs
        {
            let letter = letter(at);
            let text = format!(
                "{mark} ECE of {letter} has {theirs} bins, of A {ours} (eval.ece_bins): no interval for the difference"
            );
            add(&text, Role::Warn);
        }
    }
    for problem in &app.compare_errors {
        add(&format!("{mark} {problem}"), Role::Warn);
    }
    if app.others.is_empty() {
        return block;
    }
    let winner = sheet.symbols.winner;
    let mut words =
        format!("{winner} best run. Differences are relative to A; rates in percentage points");
    if sheet.is_paired() {
        words += "; [a, b] is the 95 % interval of a paired bootstrap over images: \
                  if it contains 0, the two runs are not distinguishable";
    } else if app.live {
        words += "; `epochtop view A B` adds intervals once both runs have a test-set evaluation";
    }
    add(&format!("{words}."), Role::Dim);
    block
}
