//! The palette: every page and panel by name.

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

/// Rows of the box besides its list: the frame, and the line that is typed.
const AROUND: u16 = 3;

/// An entry of the palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui) struct Goal {
    title: &'static str,
    /// The page it opens.
    pub(in crate::tui) page: Page,
    /// The panel on it that gets the focus.
    pub(in crate::tui) pane: Option<Pane>,
}

/// All pages, then the panels that are not called like their page, as far as their names have what is typed in them; first
/// those that begin with it.
pub(in crate::tui) fn goals(panels: &[Panel], typed: &str) -> Vec<Goal> {
    let pages = Page::ALL.into_iter().map(|page| Goal {
        title: page.title(),
        page,
        pane: None,
    });
    let panels = panels.iter().map(|panel| Goal {
        title: panel.title,
        page: panel.page,
        pane: Some(panel.pane),
    });
    let panels = panels.filter(|goal| goal.title != goal.page.title());
    let typed = typed.trim().to_lowercase();
    let has = |goal: &Goal| goal.title.to_lowercase().contains(&typed);
    let mut found: Vec<Goal> = pages.chain(panels).filter(has).collect();
    found.sort_by_key(|goal| !goal.title.to_lowercase().starts_with(&typed));
    found
}

/// Draws what is typed and the list below it. The box is as large as for the whole list, so that it stays where it is.
pub(super) fn draw(ctx: &Ctx<'_>, palette: &Palette, area: Rect, buf: &mut Buffer) {
    let all = goals(ctx.panels, "");
    let rows = usize::from(area.height.saturating_sub(AROUND)).min(all.len());
    let keys = all.iter().map(|goal| columns(&key(ctx, goal))).max();
    let titles = all.iter().map(|goal| columns(goal.title)).max();
    let wide = (keys.unwrap_or(0), titles.unwrap_or(0));
    let line = |goal: &Goal, selected: bool| line(ctx, goal, selected, wide);
    let widest = all.iter().map(|goal| width_of(&line(goal, false))).max();
    let found = goals(ctx.panels, &palette.typed);
    let at = palette.at.min(found.len().saturating_sub(1));
    let first = (at + 1).saturating_sub(rows);
    let mut lines = vec![vec![
        piece("name  ", Role::Dim),
        piece(palette.typed.clone(), Role::Strong),
        piece("_", Role::Key),
    ]];
    if found.is_empty() {
        let words = "no page or panel is called so";
        lines.push(vec![piece(words, Role::Dim)]);
    }
    let shown = found.iter().enumerate().skip(first).take(rows);
    lines.extend(shown.map(|(i, goal)| line(goal, i == at)));
    lines.resize(rows + 1, Vec::new());
    // The last line, if none is longer, holds the box open.
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

fn key(ctx: &Ctx<'_>, goal: &Goal) -> String {
    let opens = Action::Open(goal.page);
    let key = ctx.app.settings.keymap.first(opens);
    key.filter(|_| goal.pane.is_none()).unwrap_or_default()
}

/// Its key, its name, what is there.
fn line(ctx: &Ctx<'_>, goal: &Goal, selected: bool, (keys, titles): (u16, u16)) -> Vec<Piece> {
    let padded = |text: &str, width: u16| {
        let pad = usize::from(width.saturating_sub(columns(text)));
        format!("{text}{}  ", " ".repeat(pad))
    };
    let (mark, title) = if selected {
        (ctx.symbols.focus, Role::TitleFocus)
    } else {
        (" ", Role::Text)
    };
    let doc = match goal.pane {
        Some(_) => format!("on the page {}", goal.page.title()),
        None => goal.page.doc().to_owned(),
    };
    vec![
        piece(format!("{mark} "), Role::Key),
        piece(padded(&key(ctx, goal), keys), Role::Key),
        piece(padded(goal.title, titles), title),
        piece(doc, Role::Dim),
    ]
}
