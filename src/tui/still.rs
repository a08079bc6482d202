//! One frame of the screen without a terminal, for screenshots.

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
use crate::run::Beside;

/// How long an answer for a screenshot is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Names of all pages, as `--page` takes them.
pub fn pages() -> Vec<&'static str> {
    Page::ALL.into_iter().map(Page::key).collect()
}

/// Opens the page of this name.
///
/// # Errors
/// A sentence with the names there are.
pub(super) fn open(app: &mut App, page: &str) -> Result<Vec<Effect>, String> {
    let found = Page::from_key(page).ok_or_else(|| {
        let pages = pages().join(", ");
        format!("there is no page `{page}`, there are {pages}")
    })?;
    Ok(perform(app, Action::Open(found)))
}

/// Asks what is missing for the page, and waits for it.
fn look_up(app: &mut App, link: &Link, mut effects: Vec<Effect>) {
    let Some(queries) = &link.queries else {
        return;
    };
    loop {
        let mut asked = 0;
        for effect in effects.drain(..) {
            if let Effect::Query(id, query) = effect {
                if queries.ask.send((id, query)).is_err() {
                    return;
                }
                asked += 1;
            }
        }
        if asked == 0 {
            return;
        }
        for _ in 0..asked {
            match queries.replies.recv_timeout(PATIENCE) {
                Ok((id, reply)) => effects.extend(update(app, Msg::Reply(id, reply))),
                Err(_) => return,
            }
        }
    }
}

/// The page of this name as a screen of so many columns and rows would show it, once all that waits in the link is taken in.
/// A link whose other end is gone shows a run of which nothing more comes.
///
/// # Errors
/// A sentence, when there is no such page.
pub fn draw_once(
    link: &Link,
    page: &str,
    (columns, rows): (u16, u16),
    theme: &Theme,
    settings: Settings,
    others: Beside,
) -> Result<Buffer, String> {
    let mut app = App::new(settings, link.requests.is_some());
    update(&mut app, Msg::Resize(columns, rows));
    for feed in link.feed.try_iter() {
        update(&mut app, Msg::Feed(feed));
    }
    update(&mut app, Msg::FeedClosed);
    app.beside(others);
    let asked = open(&mut app, page)?;
    look_up(&mut app, link, asked);
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
    fn every_page_has_one_word_and_opens() {
        let pages = pages();
        for (i, page) in pages.iter().enumerate() {
            assert!(!pages[..i].contains(page), "{page} twice");
            assert!(page.chars().all(char::is_lowercase), "{page}");
            open(&mut App::new(Settings::default(), false), page).unwrap();
        }
    }

    #[test]
    fn an_unknown_page_is_told_with_those_there_are() {
        let link = Link::only(bounded(1).1);
        let theme = Theme::load("dark").unwrap();
        let error = draw_once(
            &link,
            "los",
            (80, 24),
            &theme,
            Settings::default(),
            Beside::default(),
        )
        .unwrap_err();
        assert_eq!(
            error,
            format!("there is no page `los`, there are {}", pages().join(", "))
        );
    }

    #[test]
    fn any_size_is_drawn() {
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
                    Beside::default(),
                )
                .unwrap();
                assert_eq!((buffer.area.width, buffer.area.height), size);
            }
        }
    }
}
