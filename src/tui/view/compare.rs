//! Runs beside each other: who they are, what came out of each, whether a difference can be told from none, and which keys
//! of their configurations differ.
//!
//! The legend stays; below it everything is one sheet that scrolls, with the letters of the table it is in on top. Tables
//! that are too wide for all runs are drawn in groups of runs, so no column is out of reach.

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

/// Columns of a run's name, at most.
const NAME: u16 = 40;
/// Columns between two tables that stand beside each other.
const APART: u16 = 4;
/// Rows from which the legend has air below it.
const AIRY: u16 = 12;

/// What the tables are made of.
pub(super) struct Sheet<'a> {
    pub(super) app: &'a App,
    pub(super) symbols: &'static Symbols,
    /// What came out of each run.
    pub(super) rows: Vec<ResultRow>,
    /// Columns there are.
    pub(super) width: u16,
}

impl<'a> Sheet<'a> {
    fn of(app: &'a App, width: u16) -> Self {
        Self {
            app,
            symbols: symbols(app.settings.ascii),
            rows: result_rows(&app.run, &app.others),
            width,
        }
    }

    /// Runs, the first one included.
    pub(super) fn runs(&self) -> usize {
        self.app.others.len() + 1
    }

    /// Whether any difference has its interval.
    pub(super) fn is_paired(&self) -> bool {
        (1..self.runs()).any(|at| self.has_pairs(at))
    }

    /// Whether any difference of this run has its interval.
    pub(super) fn has_pairs(&self, at: usize) -> bool {
        self.rows
            .iter()
            .any(|row| pair(self.app, row, at).is_some())
    }
}

/// The interval of the difference a row shows for a run.
pub(super) fn pair<'a>(app: &'a App, row: &ResultRow, at: usize) -> Option<&'a crate::run::Paired> {
    let other = app.others.get(at.checked_sub(1)?)?;
    other.paired(&app.run, row.result)
}

/// The letter of a run, counted from 0; what tells it from the others without any colour.
pub(super) fn letter(at: usize) -> char {
    (b'A'..=b'Z').nth(at).map_or('?', char::from)
}

/// What a run looks like: the first one as itself, the others each in a role of their own.
pub(super) fn look(at: usize) -> Role {
    at.checked_sub(1).map_or(Role::Strong, Role::of_other)
}

/// Letter and mark of a run, three columns.
pub(super) fn sign(symbols: &Symbols, at: usize) -> Piece {
    let mark = symbols.runs.get(at % symbols.runs.len()).copied();
    piece(format!("{} {}", letter(at), mark.unwrap_or("?")), look(at))
}

/// Draws the page.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let app = ctx.app;
    if app.others.is_empty() && app.missing.is_empty() {
        let body = paint::title(ctx, buf, area, Pane::Compare, "", Vec::new());
        paint::empty(ctx, buf, body, ctx.panel(Pane::Compare).empty);
        return;
    }
    let sheet = Sheet::of(app, area.width);
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

/// The furthest the page can be scrolled on the screen as it is.
pub(super) fn last_scroll(app: &App) -> usize {
    let area = top(app.layout.pane_area(Pane::Compare), 1).1;
    let Parts { legend, page } = parts(&Sheet::of(app, area.width), area);
    hidden(page.lines.len(), top(area, legend.len() as u16).1.height)
}

/// How many of some lines lie outside of so many rows, one of which says so if any do.
fn hidden(lines: usize, rows: u16) -> usize {
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
    /// For each line the line that stands above its table.
    headings: Vec<Option<usize>>,
}

impl Page {
    /// Adds a block below, with a blank line between.
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

/// The part of the page that fits, with the letters of its table on top and a sign of what is not shown at the end.
fn scrolled(ctx: &Ctx<'_>, page: &Page, area: Rect, buf: &mut Buffer) {
    let last = hidden(page.lines.len(), area.height);
    let first = ctx.app.ui.panels[Pane::Compare].min(last);
    let room = area.height.saturating_sub(u16::from(last > 0));
    let heading = page.headings.get(first).copied().flatten();
    let heading = heading.and_then(|at| page.lines.get(at));
    // The first line makes way for the letters of the table it is in; where it is them, it is no other.
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
    /// What stays.
    legend: Vec<Vec<Piece>>,
    /// What scrolls.
    page: Page,
}

/// Divides what is to be said. Tables stand beside each other where both fit, else below each other.
fn parts(sheet: &Sheet<'_>, area: Rect) -> Parts {
    let mut legend = legend(sheet);
    // The legend must leave room for what it is about.
    legend.truncate(usize::from(area.height / 2));
    if area.height >= AIRY {
        legend.push(Vec::new());
    }
    let mut page = Page::default();
    let config = configuration(sheet);
    match numbers(sheet) {
        (numbers, true) => {
            if let Some(both) = numbers.beside(&config, sheet.width) {
                page.add(both);
            } else {
                page.add(numbers);
                page.add(config);
            }
        }
        (numbers, false) => {
            let differences = differences(sheet);
            if let Some(both) = numbers.beside(&differences, sheet.width) {
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
    /// Both as one, if there is room for that.
    fn beside(&self, right: &Self, width: u16) -> Option<Self> {
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

/// On how many images differences were measured.
fn headline(sheet: &Sheet<'_>) -> Vec<Vec<Piece>> {
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

/// Letter, mark, name and state of each run, as many beside each other as fit.
fn legend(sheet: &Sheet<'_>) -> Vec<Vec<Piece>> {
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
            (name, standing(app, sheet.symbols, at, state))
        })
        .collect();
    let widest = |text: fn(&(String, String)) -> &str| {
        runs.iter().map(|run| columns(text(run))).max().unwrap_or(0)
    };
    let (name, words) = (widest(|run| &run.0), widest(|run| &run.1));
    let entry = 4 + name + 2 + words;
    let abreast = usize::from(((sheet.width + GUTTER) / (entry + GUTTER)).max(1));
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
    entries.chunks(abreast).map(<[_]>::concat).collect()
}

/// How far a run is, and on what.
fn standing(app: &App, symbols: &Symbols, at: usize, state: &RunState) -> String {
    let word = match &state.outcome {
        Some(outcome) => outcome.name(),
        None if at == 0 && app.live && app.connected => match state.phase {
            Phase::Paused => "paused",
            _ => "live",
        },
        None if at == 0 && app.replay.is_some() && !app.lost() => "replay",
        None => "no end told",
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

/// What could not be compared, and what the signs mean.
fn remarks(sheet: &Sheet<'_>) -> Block {
    let app = sheet.app;
    let width = usize::from(sheet.width);
    let mut block = Block::default();
    let mut say = |text: &str, role: Role| {
        let text = outside(text, 1000, sheet.symbols);
        wrap(&text, width)
            .into_iter()
            .for_each(|line| block.push(vec![piece(line, role)]));
    };
    let mark = sheet.symbols.warning;
    for (other, at) in app.others.iter().zip(1..) {
        if let Some(why) = &other.unpaired {
            say(
                &format!(
                    "{mark} {} is not compared image by image: {why}",
                    letter(at)
                ),
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
                "{mark} {letter}'s ECE is of {theirs} bins, A's of {ours} (eval.ece_bins): their difference has no interval"
            );
            say(&text, Role::Warn);
        }
    }
    for problem in &app.missing {
        say(&format!("{mark} {problem}"), Role::Warn);
    }
    if app.others.is_empty() {
        return block;
    }
    let winner = sheet.symbols.winner;
    let mut words =
        format!("{winner} best of all. Differences are to A, those of shares in points");
    if sheet.is_paired() {
        words += "; [a, b] their 95 % interval, from a paired bootstrap of the images: where it holds 0 the two cannot be told apart";
    } else if app.live {
        words += "; with intervals in `epochtop view A B`, when both are tested";
    }
    say(&format!("{words}."), Role::Dim);
    block
}
