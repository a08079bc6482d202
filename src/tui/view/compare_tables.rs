//! The tables of the comparison: results, differences from the main run, and configuration keys that differ.

use std::ops::Range;

use super::compare::{CompareTables, letter, pair, run_role, sign};
use super::paint::{Piece, piece, width_of};
use crate::metrics::Measure;
use crate::run::{PairedDifference, ResultRow, RunResult, Verdict, clock, config_differences};
use crate::tui::text::{columns, count, number, outside, short_count};
use crate::tui::theme::Role;

/// Width of the name of a result.
const LABEL: u16 = 19;
/// Width of a number: normal and compact.
const VALUE: [u16; 2] = [9, 7];
/// Widths of a difference, of its interval, and of its verdict (long and short), each including a leading blank.
const DIFFERENCE: u16 = 8;
const INTERVAL: u16 = 19;
const WORD: [u16; 2] = [20, 8];
/// Width of a key, and of a value.
const KEY: u16 = 28;
const SETTING: [u16; 2] = [6, 24];

/// A line of a table.
#[derive(Clone, Default)]
pub(super) struct Line {
    pub(super) pieces: Vec<Piece>,
    /// Whether it stays on top while the lines below it scroll.
    pub(super) heading: bool,
}

/// A block of lines that belong together.
#[derive(Default)]
pub(super) struct Block {
    pub(super) lines: Vec<Line>,
}

impl Block {
    /// Appends a line.
    pub(super) fn push(&mut self, pieces: Vec<Piece>) {
        self.lines.push(Line {
            pieces,
            heading: false,
        });
    }

    fn head(&mut self, pieces: Vec<Piece>) {
        self.lines.push(Line {
            pieces,
            heading: true,
        });
    }

    /// Width in columns of the widest line.
    pub(super) fn width(&self) -> u16 {
        let widths = self.lines.iter().map(|line| width_of(&line.pieces));
        widths.max().unwrap_or(0)
    }
}

/// Pads text to `width` columns, aligned to the left or right.
fn padded(text: &str, width: u16, right: bool) -> String {
    let pad = " ".repeat(usize::from(width.saturating_sub(columns(text))));
    if right {
        format!("{pad}{text}")
    } else {
        format!("{text}{pad}")
    }
}

/// Splits runs into groups whose columns fit side by side. Each group has at least one run.
fn groups(widths: &[u16], room: u16) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut from, mut used) = (0, 0_u16);
    for (at, width) in widths.iter().enumerate() {
        if at > from && used.saturating_add(*width) > room {
            groups.push(from..at);
            (from, used) = (at, 0);
        }
        used = used.saturating_add(*width);
    }
    groups.push(from..widths.len());
    groups
}

fn label(result: RunResult) -> String {
    match result {
        RunResult::ValidAccuracy => "valid accuracy".to_owned(),
        RunResult::BestEpoch => "  at epoch".to_owned(),
        RunResult::ValidNll => "  valid NLL".to_owned(),
        RunResult::Test(Measure::Accuracy) => "test accuracy".to_owned(),
        RunResult::Test(measure) => format!("  {}", measure.title().replace(',', "")),
        RunResult::TestEpoch => "  of epoch".to_owned(),
        RunResult::Seconds => "time".to_owned(),
        RunResult::Epochs => "epochs".to_owned(),
        RunResult::Parameters => "parameters".to_owned(),
    }
}

/// A value formatted in at most `width` columns.
fn shown(result: RunResult, value: f64, width: u16) -> String {
    let width = usize::from(width);
    if !value.is_finite() {
        return number(value, 0, 0);
    }
    if let Some(measure) = result.measure() {
        let (scale, decimals) = measure.info().format.scale();
        let unit = measure.info().format.units().0.trim();
        let room = width.saturating_sub(unit.len());
        return format!("{}{unit}", number(value * scale, decimals, room).trim());
    }
    if result == RunResult::Seconds {
        return clock((value * 1000.0) as u64);
    }
    let whole = count(value as u64);
    if whole.len() > width {
        short_count(value as u64)
    } else {
        whole
    }
}

/// A difference formatted with its sign; rates in percentage points.
fn signed(measure: Measure, value: f64) -> String {
    let (scale, decimals) = measure.info().format.scale();
    let text = number(value * scale, decimals, 7).trim().to_owned();
    if value >= 0.0 && text.parse::<f64>().is_ok_and(|shown| shown != 0.0) {
        format!("+{text}")
    } else {
        text
    }
}

fn interval_text(found: &PairedDifference) -> String {
    let (scale, decimals) = found.measure.info().format.scale();
    let ends = found.difference.ci95.displayed(scale, decimals);
    let shown = |end: f64| signed(found.measure, end / scale);
    format!("[{}, {}]", shown(ends.low), shown(ends.high))
}

fn verdict(found: &PairedDifference, long: bool) -> Piece {
    match found.verdict() {
        Verdict::Better => piece("better", Role::Good),
        Verdict::Worse => piece("worse", Role::Bad),
        Verdict::Unclear if long => piece("not distinguishable", Role::Dim),
        Verdict::Unclear => piece("unclear", Role::Dim),
    }
}

/// The difference of a run and, if it was paired, its interval and verdict; empty for results that do not measure
/// quality.
fn difference(sheet: &CompareTables<'_>, row: &ResultRow, at: usize, word: u16) -> Vec<Piece> {
    // For networks evaluated on different images there is no difference.
    let rival = at.checked_sub(1).and_then(|at| sheet.app.others.get(at));
    let alike = rival.is_some_and(|other| !other.other_data);
    let value = row.difference(at).filter(|_| alike);
    let Some((value, measure)) = value.zip(row.result.measure()) else {
        return Vec::new();
    };
    let by = padded(&signed(measure, value), DIFFERENCE, true);
    let Some(found) = pair(sheet.app, row, at) else {
        return vec![piece(by, Role::Dim)];
    };
    let (text, role) = verdict(found, word == WORD[0]);
    vec![
        piece(by, Role::Text),
        piece(padded(&interval_text(found), INTERVAL, true), Role::Dim),
        piece(padded(&format!(" {text}"), word, false), role),
    ]
}

/// The table of results. Differences follow the numbers if they fit; the returned flag is `true` in that case.
pub(super) fn numbers(sheet: &CompareTables<'_>) -> (Block, bool) {
    let runs = sheet.runs() as u16;
    let normal = VALUE[0] + 1;
    let behind = |word: u16| {
        let wide = |at| {
            if sheet.has_pairs(usize::from(at)) {
                DIFFERENCE + INTERVAL + word
            } else {
                DIFFERENCE
            }
        };
        (1..runs)
            .map(wide)
            .fold(LABEL + normal * runs, u16::saturating_add)
    };
    let word = WORD.into_iter().find(|word| behind(*word) <= sheet.width);
    let fits = LABEL + normal * runs <= sheet.width;
    let value = if fits { VALUE[0] } else { VALUE[1] };
    let widths: Vec<u16> = (0..sheet.runs())
        .map(|at| match word {
            Some(word) if sheet.has_pairs(at) => value + 1 + DIFFERENCE + INTERVAL + word,
            Some(_) if at > 0 => value + 1 + DIFFERENCE,
            _ => value + 1,
        })
        .collect();
    let mut block = Block::default();
    for group in groups(&widths, sheet.width.saturating_sub(LABEL)) {
        let heading = group.clone().flat_map(|at| {
            let width = widths.get(at).copied().unwrap_or(0);
            let (text, role) = sign(sheet.symbols, at);
            let before = padded("", value.saturating_sub(3), false);
            let after = padded("", width.saturating_sub(value), false);
            [
                piece(before, Role::Text),
                piece(text, role),
                piece(after, Role::Text),
            ]
        });
        let title = piece(padded("results", LABEL, false), Role::Title);
        block.head(std::iter::once(title).chain(heading).collect());
        for row in &sheet.rows {
            let mut line = vec![piece(padded(&label(row.result), LABEL, false), Role::Dim)];
            for at in group.clone() {
                line.extend(cell(sheet, row, at, value));
                let width = widths.get(at).copied().unwrap_or(0);
                let behind = word.map(|word| difference(sheet, row, at, word));
                let behind = behind.unwrap_or_default();
                let rest = width.saturating_sub(value + 1 + width_of(&behind));
                line.extend(behind);
                line.push(piece(padded("", rest, false), Role::Text));
            }
            block.push(line);
        }
    }
    (block, word.is_some())
}

/// A result of a run, with a symbol if no run is better.
fn cell(sheet: &CompareTables<'_>, row: &ResultRow, at: usize, width: u16) -> [Piece; 2] {
    let best = row.best.get(at).copied().unwrap_or(false);
    let value = row.values.get(at).copied().flatten();
    let (text, role) = match value {
        Some(value) if best => (shown(row.result, value, width), Role::Strong),
        Some(value) => (shown(row.result, value, width), Role::Text),
        None => (sheet.symbols.dash.to_owned(), Role::Dim),
    };
    let mark = if best { sheet.symbols.winner } else { " " };
    [
        piece(padded(&text, width, true), role),
        piece(mark, Role::Good),
    ]
}

/// Differences from the main run, one per line, for screens on which they do not fit next to the results.
pub(super) fn differences(sheet: &CompareTables<'_>) -> Block {
    let paired = sheet.is_paired();
    let rows = sheet.rows.iter().filter(|row| {
        let any = |at| pair(sheet.app, row, at).is_some();
        row.result.measure().is_some() && (!paired || (1..sheet.runs()).any(any))
    });
    let long = LABEL + 2 + DIFFERENCE + INTERVAL + WORD[0] <= sheet.width / 2;
    let word = if long { WORD[0] } else { WORD[1] };
    let mut block = Block::default();
    block.head(vec![piece("difference from A", Role::Title)]);
    for row in rows {
        let label = label(row.result);
        let mut name = label.trim();
        for at in 1..sheet.runs() {
            let found = difference(sheet, row, at, word);
            if found.is_empty() {
                continue;
            }
            let mut line = vec![
                piece(padded(name, LABEL, false), Role::Dim),
                piece(letter(at).to_string(), run_role(at)),
            ];
            line.extend(found);
            block.push(line);
            name = "";
        }
    }
    if block.lines.len() == 1 {
        block.lines.clear();
    }
    block
}

/// The configuration keys whose values differ.
pub(super) fn configuration(sheet: &CompareTables<'_>) -> Block {
    let app = sheet.app;
    let mut block = Block::default();
    if app.others.is_empty() {
        return block;
    }
    let found = config_differences(&app.own_config, &app.others);
    let known = usize::from(!app.own_config.is_empty())
        + app
            .others
            .iter()
            .filter(|other| !other.config.is_empty())
            .count();
    if found.is_empty() {
        let words = if known > 1 {
            "configurations are identical"
        } else {
            "configurations are unknown"
        };
        block.push(vec![piece(words, Role::Dim)]);
        return block;
    }
    let key_room = usize::from(KEY.min(sheet.width / 2));
    let keys: Vec<String> = found
        .iter()
        .map(|row| outside(&row.key, key_room, sheet.symbols))
        .collect();
    let title = match found.len() {
        1 => "1 key differs".to_owned(),
        n => format!("{n} keys differ"),
    };
    let key = keys
        .iter()
        .chain([&title])
        .map(|key| columns(key))
        .max()
        .unwrap_or(0);
    let setting = |value: &Option<String>| match value {
        Some(value) => outside(value, usize::from(SETTING[1]), sheet.symbols),
        None => sheet.symbols.dash.to_owned(),
    };
    let values: Vec<Vec<String>> = found
        .iter()
        .map(|row| row.values.iter().map(setting).collect())
        .collect();
    let widths: Vec<u16> = (0..sheet.runs())
        .map(|at| {
            let column = values.iter().filter_map(|row| row.get(at));
            let widest = column.map(|value| columns(value)).max().unwrap_or(0);
            widest.max(SETTING[0]) + 2
        })
        .collect();
    for group in groups(&widths, sheet.width.saturating_sub(key)) {
        let heading = group.clone().flat_map(|at| {
            let width = widths.get(at).copied().unwrap_or(0).saturating_sub(3);
            [
                piece(padded("", width, false), Role::Text),
                sign(sheet.symbols, at),
            ]
        });
        let title = piece(padded(&title, key, false), Role::Title);
        block.head(std::iter::once(title).chain(heading).collect());
        for (name, row) in keys.iter().zip(&values) {
            let mut line = vec![piece(padded(name, key, false), Role::Dim)];
            for at in group.clone() {
                let value = row.get(at).map_or("", String::as_str);
                let width = widths.get(at).copied().unwrap_or(0);
                let same = at > 0 && row.first().map(String::as_str) == Some(value);
                let role = if same { Role::Dim } else { Role::Text };
                line.push(piece(padded(value, width, true), role));
            }
            block.push(line);
        }
    }
    block
}
