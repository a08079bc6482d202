//! Renders a single frame without a terminal, for screenshots.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::action::Action;
use super::app::{App, Settings};
use super::msg::{Effect, Msg};
use super::page::Page;
use super::theme::Theme;
use super::update::{perform, update};
use super::view::view;
use crate::link::Link;
use crate::run::ComparedRuns;

/// Maximum wait for each answer from the session.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

/// The names of all pages, for `--page`.
pub fn pages() -> Vec<&'static str> {
    Page::ALL.into_iter().map(Page::key).collect()
}

/// Opens the page with this name.
///
/// # Errors
/// If there is no such page: a message with the valid names.
pub(super) fn open(app: &mut App, page: &str) -> Result<Vec<Effect>, String> {
    let found = Page::from_key(page).ok_or_else(|| {
        let pages = pages().join(", ");
        format!("unknown page `{page}`, expected one of {pages}")
    })?;
    Ok(perform(app, Action::Open(found)))
}

/// Sends the queries of the page, and further ones that the answers cause, and waits for the answers.
fn run_queries(app: &mut App, link: &Link, mut effects: Vec<Effect>) {
    let Some(queries) = &link.queries else {
        return;
    };
    loop {
        let mut pending = 0;
        for effect in effects.drain(..) {
            if let Effect::Query(id, query) = effect {
                if queries.ask.send((id, query)).is_err() {
                    return;
                }
                pending += 1;
            }
        }
        if pending == 0 {
            return;
        }
        for _ in 0..pending {
            match queries.replies.recv_timeout(REPLY_TIMEOUT) {
                Ok((id, reply)) => effects.extend(update(app, Msg::Reply(id, reply))),
                Err(_) => return,
            }
        }
    }
}

/// Renders a page on a screen of this size (columns, rows), after processing all messages that are waiting in the feed
/// of the link. The feed counts as closed afterwards, so a run without an end is shown as disconnected.
///
/// # Errors
/// A message for the user if there is no such page.
pub fn draw_once(
    link: &Link,
    page: &str,
    (columns, rows): (u16, u16),
    theme: &Theme,
    settings: Settings,
    others: ComparedRuns,
) -> Result<Buffer, String> {
    let mut app = App::new(settings, link.requests.is_some());
    update(&mut app, Msg::Resize(columns, rows));
    for feed in link.feed.try_iter() {
        update(&mut app, Msg::Feed(feed));
    }
    update(&mut app, Msg::FeedClosed);
    app.set_compared_runs(others);
    let effects = open(&mut app, page)?;
    run_queries(&mut app, link, effects);
    let mut terminal =
        Terminal::new(TestBackend::new(columns, rows)).map_err(|error| error.to_string())?;
    let drawn = terminal.draw(|frame| view(&app, theme, frame));
    let frame = drawn.map_err(|error| error.to_string())?;
    Ok(frame.buffer.clone())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use crossbeam_channel::bounded;

    use super::*;

    #[test]
    fn page_names_are_unique_words_and_open() {
        let pages = pages();
        for (i, page) in pages.iter().enumerate() {
            assert!(!pages[..i].contains(page), "{page} twice");
            assert!(page.chars().all(char::is_lowercase), "{page}");
            open(&mut App::new(Settings::default(), false), page).unwrap();
        }
    }

    #[test]
    fn an_unknown_page_is_an_error_with_the_valid_names() {
        let link = Link::only(bounded(1).1);
        let theme = Theme::load("dark").unwrap();
        let error = draw_once(
            &link,
            "los",
            (80, 24),
            &theme,
            Settings::default(),
            ComparedRuns::default(),
        )
        .unwrap_err();
        assert_eq!(
            error,
            format!("unknown page `los`, expected one of {}", pages().join(", "))
        );
    }

    #[test]
    fn every_size_can_be_drawn() {
        let theme = Theme::load("dark").unwrap();
        for page in pages() {
            for size in [(0, 0), (1, 1), (7, 3), (80, 24)] {
                let link = Link::only(bounded(1).1);
                let buffer = draw_once(
                    &link,
                    page,
                    size,
                    &theme,
                    Settings::default(),
                    ComparedRuns::default(),
                )
                .unwrap();
                assert_eq!((buffer.area.width, buffer.area.height), size);
            }
        }
    }
}
