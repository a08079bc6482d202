//! The palette: a list of all pages and panels, searchable by name.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::{Ctx, Panel};
use super::paint::{Piece, more, piece, width_of};
use super::popup::boxed;
use crate::tui::action::Action;
use crate::tui::app::Palette;
use crate::tui::page::{Page, Pane};
use crate::tui::text::columns;
use crate::tui::theme::Role;

/// Rows of the box in addition to its list: the frame and the input line.
const AROUND: u16 = 3;

/// An entry of the palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui) struct PaletteEntry {
    title: &'static str,
    /// The page it opens.
    pub(in crate::tui) page: Page,
    /// The panel that gets the focus, or `None` for a page.
    pub(in crate::tui) pane: Option<Pane>,
}

/// All pages, then the panels whose names differ from that of their page, filtered by the typed text. Entries whose
/// names start with that text come first.
pub(in crate::tui) fn palette_entries(panels: &[Panel], typed: &str) -> Vec<PaletteEntry> {
    let pages = Page::ALL.into_iter().map(|page| PaletteEntry {
        title: page.title(),
        page,
        pane: None,
    });
    let panels = panels.iter().map(|panel| PaletteEntry {
        title: panel.title,
        page: panel.page,
        pane: Some(panel.pane),
    });
    let panels = panels.filter(|entry| entry.title != entry.page.title());
    let typed = typed.trim().to_lowercase();
    let has = |entry: &PaletteEntry| entry.title.to_lowercase().contains(&typed);
    let mut found: Vec<PaletteEntry> = pages.chain(panels).filter(has).collect();
    found.sort_by_key(|entry| !entry.title.to_lowercase().starts_with(&typed));
    found
}

/// Draws the input line and the list below it. The size of the box is that for the full list, so that it does not move.
pub(super) fn draw(ctx: &Ctx<'_>, palette: &Palette, area: Rect, buf: &mut Buffer) {
    let all = palette_entries(ctx.panels, "");
    let rows = usize::from(area.height.saturating_sub(AROUND)).min(all.len());
    let keys = all.iter().map(|entry| columns(&key(ctx, entry))).max();
    let titles = all.iter().map(|entry| columns(entry.title)).max();
    let wide = (keys.unwrap_or(0), titles.unwrap_or(0));
    let line = |entry: &PaletteEntry, selected: bool| line(ctx, entry, selected, wide);
    let widest = all.iter().map(|entry| width_of(&line(entry, false))).max();
    let found = palette_entries(ctx.panels, &palette.typed);
    let at = palette.at.min(found.len().saturating_sub(1));
    let first = (at + 1).saturating_sub(rows);
    let mut lines = vec![vec![
        piece("name  ", Role::Dim),
        piece(palette.typed.clone(), Role::Strong),
        piece("_", Role::Key),
    ]];
    if found.is_empty() {
        let words = "no page or panel matches";
        lines.push(vec![piece(words, Role::Dim)]);
    }
    let shown = found.iter().enumerate().skip(first).take(rows);
    lines.extend(shown.map(|(i, entry)| line(entry, i == at)));
    lines.resize(rows + 1, Vec::new());
    // If no line is longer, the last one is padded to give the box its full width.
    let pad = widest
        .unwrap_or(0)
        .saturating_sub(lines.last().map_or(0, |line| width_of(line)));
    if let Some(last) = lines.last_mut() {
        last.push(piece(" ".repeat(usize::from(pad)), Role::Text));
    }
    let inner = boxed(ctx, area, buf, "Go to", &lines);
    let below = found.len().saturating_sub(first + rows);
    more(ctx, buf, inner, (first, below));
}

fn key(ctx: &Ctx<'_>, entry: &PaletteEntry) -> String {
    let opens = Action::Open(entry.page);
    let key = ctx.app.settings.keymap.first(opens);
    key.filter(|_| entry.pane.is_none()).unwrap_or_default()
}

/// The line of an entry: its key, its name, its description.
fn line(
    ctx: &Ctx<'_>,
    entry: &PaletteEntry,
    selected: bool,
    (keys, titles): (u16, u16),
) -> Vec<Piece> {
    let padded = |text: &str, width: u16| {
        let pad = usize::from(width.saturating_sub(columns(text)));
        format!("{text}{}  ", " ".repeat(pad))
    };
    let (mark, title) = if selected {
        (ctx.symbols.focus, Role::TitleFocus)
    } else {
        (" ", Role::Text)
    };
    let doc = match entry.pane {
        Some(_) => format!("on page {}", entry.page.title()),
        None => entry.page.doc().to_owned(),
    };
    vec![
        piece(format!("{mark} "), Role::Key),
        piece(padded(&key(ctx, entry), keys), Role::Key),
        piece(padded(entry.title, titles), title),
        piece(doc, Role::Dim),
    ]
}
