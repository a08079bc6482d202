//! The log: messages and the status of requests, with the elapsed time of the run as shown in the header.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::alerts;
use super::ctx::Ctx;
use super::paint::{self, piece, put};
use crate::event::{Answer, Level};
use crate::run::{CommandLine, RunState, clock};
use crate::tui::app::App;
use crate::tui::page::Pane;
use crate::tui::text::{count, outside, wrap};
use crate::tui::theme::Role;

/// A line: elapsed time of the run in ms, role, text.
type Line = (u64, Role, String);

/// Number of lines it can be scrolled back.
pub(super) fn last(app: &App) -> usize {
    (app.run.log.len() + app.run.commands.len()).saturating_sub(1)
}

/// Draws the pane, newest line last.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let run = &ctx.app.run;
    let legends = run.checkpoint.as_ref().map_or_else(Vec::new, |saved| {
        let step = piece(count(saved.global_step), Role::Text);
        let legend = |words: &str| vec![piece(words, Role::Dim), step.clone()];
        vec![legend("latest checkpoint: step "), legend("checkpoint ")]
    });
    let body = paint::title(ctx, buf, area, Pane::Log, "", legends);
    let body = if ctx.app.alone() {
        alerts::list(ctx, body, buf)
    } else {
        body
    };
    let lines = lines(run);
    if lines.is_empty() {
        paint::empty(ctx, buf, body, ctx.panel(Pane::Log).empty);
        return;
    }
    let room = usize::from(body.height);
    let end = lines
        .len()
        .saturating_sub(ctx.app.ui.panels[Pane::Log])
        .max(room.min(lines.len()));
    let rows: Vec<Row> = lines
        .iter()
        .take(end)
        .flat_map(|line| rows(ctx, line, body.width))
        .collect();
    let shown = rows
        .get(rows.len().saturating_sub(room)..)
        .unwrap_or_default();
    // The first entry is left out if its beginning does not fit.
    let first = shown.iter().position(|row| !row.time.is_empty());
    for (y, row) in shown.iter().skip(first.unwrap_or(0)).enumerate() {
        put(buf, body, 0, y as u16, &row.time, ctx.style(Role::Dim));
        put(buf, body, 8, y as u16, &row.text, ctx.style(row.role));
    }
}

struct Row {
    time: String,
    role: Role,
    text: String,
}

/// The rows of a line wrapped at `width` columns; only the first one has the time.
fn rows(ctx: &Ctx<'_>, (ms, role, text): &Line, width: u16) -> Vec<Row> {
    let text = outside(text, 600, ctx.symbols);
    let parts = wrap(&text, usize::from(width.saturating_sub(8)));
    let time = |first: bool| {
        if first {
            format!("{:>7}", clock(*ms))
        } else {
            String::new()
        }
    };
    parts
        .into_iter()
        .enumerate()
        .map(|(i, text)| Row {
            time: time(i == 0),
            role: *role,
            text,
        })
        .collect()
}

fn lines(run: &RunState) -> Vec<Line> {
    let warnings = run
        .info
        .iter()
        .flat_map(|info| &info.warnings)
        .map(|text| (0, (0, Role::Warn, format!("warning: {text}"))));
    let log = run.log.iter().map(|line| {
        let role = match line.level {
            Level::Info => Role::Text,
            Level::Warn => Role::Warn,
            Level::Error => Role::Error,
        };
        let word = match line.level {
            Level::Info => "",
            Level::Warn => "warning: ",
            Level::Error => "error: ",
        };
        let text = format!("{word}{}", line.text);
        (line.t_ms, (line.worked_ms, role, text))
    });
    let commands = run.commands.iter().map(|line| {
        (
            line.t_ms,
            (line.worked_ms, Role::Text, words_with_requester(line)),
        )
    });
    let mut lines: Vec<(u64, Line)> = warnings.chain(log).chain(commands).collect();
    lines.sort_by_key(|(t_ms, _)| *t_ms);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The status of a request as text.
pub(super) fn command_words(line: &CommandLine) -> String {
    answer_words(line.command.name(), &line.answer)
}

/// The same, with the requester if it was another process.
fn words_with_requester(line: &CommandLine) -> String {
    // The process id of the requester is omitted here; the journal has it.
    let by = line
        .by
        .as_deref()
        .map(|by| by.split(',').next().unwrap_or(by));
    match by {
        Some(by) => answer_words(&format!("{} ({by})", line.command.name()), &line.answer),
        None => command_words(line),
    }
}

fn answer_words(name: &str, answer: &Answer) -> String {
    match answer {
        Answer::Accepted => format!("{name} accepted"),
        Answer::Done { note } if note.is_empty() => format!("{name} done"),
        Answer::Done { note } => format!("{name} done: {note}"),
        Answer::Refused { reason } => format!("{name} refused: {reason}"),
    }
}
