#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use super::*;

fn dark() -> Theme {
    Theme::load("dark").unwrap()
}

/// A screen of one row with texts at these columns.
fn row(width: u16, texts: &[(u16, &str, Style)]) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, 1));
    for (x, text, style) in texts {
        buffer.set_string(*x, 0, *text, *style);
    }
    buffer
}

fn screenshot(width: u16, texts: &[(u16, &str, Style)]) -> String {
    svg(&row(width, texts), &dark(), "title")
}

/// The lines of a screenshot that an empty one of this size does not have.
fn drawn(width: u16, texts: &[(u16, &str, Style)]) -> Vec<String> {
    let empty = screenshot(width, &[]);
    let lines = screenshot(width, texts);
    let lines = lines.lines().filter(|line| !empty.contains(line));
    lines.map(str::to_owned).collect()
}

fn plain() -> Style {
    Style::new()
}

#[test]
fn xml_special_characters_are_escaped() {
    let screenshot = svg(&row(20, &[(0, "a<b>&\"c", plain())]), &dark(), "<&>");
    assert!(
        screenshot.contains(">a&lt;b&gt;&amp;\"c</text>"),
        "{screenshot}"
    );
    assert!(screenshot.contains("<title>&lt;&amp;&gt;</title>"));
}

#[test]
fn control_characters_are_removed() {
    let mut buffer = row(8, &[]);
    for (x, symbol) in ["\u{1b}[31m", "\u{7}", "a\u{0}b", "\u{ffff}", "\u{202e}"]
        .into_iter()
        .enumerate()
    {
        buffer[(x as u16, 0)].set_symbol(symbol);
    }
    let screenshot = svg(&buffer, &dark(), "t\u{1b}]0;x\u{7}\u{0}\nt");
    let odd = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{ffff}' | '\u{202e}');
    assert!(!screenshot.contains(odd), "{screenshot:?}");
    assert!(screenshot.contains(">ab</text>"));
}

#[test]
fn text_runs_are_fitted_to_their_columns() {
    let text = drawn(40, &[(2, "one two", plain()), (20, "three", plain())]).concat();
    let x = MARGIN + 2 * CELL.0;
    assert!(
        text.contains(&format!(r#"<text x="{x}" y="89" textLength="112" lengthAdjust="spacingAndGlyphs">one two</text>"#)),
        "{text}"
    );
    let x = MARGIN + 20 * CELL.0;
    assert!(
        text.contains(&format!(r#"<text x="{x}" "#)) && text.contains(">three<"),
        "{text}"
    );
}

#[test]
fn letters_missing_in_some_fonts_get_their_own_element() {
    let text = drawn(20, &[(0, "a✓b", plain())]).concat();
    for part in [">a</text>", ">✓</text>", ">b</text>"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_wide_character_takes_two_columns() {
    let text = drawn(20, &[(0, "長靴a", plain())]).concat();
    let place = |x: i32, columns: i32, letter: &str| {
        format!(
            r#"<text x="{}" y="89" textLength="{}" lengthAdjust="spacingAndGlyphs">{letter}</text>"#,
            MARGIN + x * CELL.0,
            columns * CELL.0
        )
    };
    for part in [place(0, 2, "長"), place(2, 2, "靴"), place(4, 1, "a")] {
        assert!(text.contains(&part), "{part} in {text}");
    }
}

#[test]
fn colours_and_modifiers_are_rendered() {
    let render = |style: Style| drawn(4, &[(1, "ab", style)]).concat();
    assert!(render(plain().fg(Color::Rgb(1, 2, 3))).contains(r##"<g fill="#010203">"##));
    assert!(render(plain().fg(Color::Indexed(196))).contains(r##"<g fill="#ff0000">"##));
    assert!(render(plain().fg(Color::Red)).contains(r##"<g fill="#cd0000">"##));
    // The default text colour of the theme: index 252.
    assert!(render(plain()).contains(r##"<g fill="#d0d0d0">"##));
    assert!(render(plain().bold().italic()).contains(r#"font-weight="bold" font-style="italic""#));
    assert!(
        render(
            plain()
                .fg(Color::Rgb(200, 100, 0))
                .bg(Color::Rgb(0, 0, 0))
                .dim()
        )
        .contains("#783c00")
    );
    let background = render(plain().bg(Color::Rgb(1, 2, 3)));
    assert!(
        background.contains(
            r##"<path fill="#010203" shape-rendering="crispEdges" d="m40 64h32v32h-32z"/>"##
        ),
        "{background}"
    );
    let turned = render(plain().reversed());
    assert!(turned.contains(r##"<g fill="#16181d">"##), "{turned}");
    assert!(turned.contains(r##"<path fill="#d0d0d0""##), "{turned}");
    let under = render(plain().underlined());
    assert!(
        under.contains(r#"stroke-width="2" d="m40 93h32""#),
        "{under}"
    );
}

#[test]
fn a_light_theme_has_a_light_background() {
    let buffer = row(4, &[]);
    let dark = svg(&buffer, &dark(), "");
    let light = svg(&buffer, &Theme::load("light").unwrap(), "");
    assert!(dark.contains(&hex(DARK.1)) && light.contains(&hex(LIGHT.1)));
}

#[test]
fn braille_is_drawn_as_dots() {
    // Dots 1, 5 and 8: upper left, second right, lowest right.
    let lines = drawn(2, &[(1, "⢑", plain())]);
    assert_eq!(
        lines,
        [
            r##"<path fill="none" stroke="#d0d0d0" stroke-width="7" stroke-linecap="round" d="m44 68h0m8 8h0m0 16h0"/>"##
        ]
    );
    let all = drawn(2, &[(0, "⣿", plain())]).concat();
    assert_eq!(all.matches("h0").count(), 8);
    assert!(drawn(2, &[(0, "⠀", plain())]).is_empty());
}

#[test]
fn adjacent_bars_are_merged() {
    let lines = drawn(6, &[(0, "▄▄█", plain()), (4, "━━", plain())]);
    assert_eq!(
        lines,
        [
            r##"<path fill="#d0d0d0" shape-rendering="crispEdges" d="m24 80h32v16h-32zm32-16h16v32h-16z"/>"##,
            r##"<path fill="none" stroke="#d0d0d0" stroke-width="4" d="m88 80h32"/>"##,
        ]
    );
}

/// The points of a path.
fn places(data: &str) -> Vec<(i32, i32)> {
    let (mut at, mut start, mut places) = ((0, 0), (0, 0), Vec::new());
    let mut rest = data;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[1..];
        let end = rest.find(char::is_alphabetic).unwrap_or(rest.len());
        let numbers = rest[..end].replace('-', " -");
        rest = &rest[end..];
        let numbers: Vec<i32> = numbers
            .split_whitespace()
            .map(|n| n.parse().unwrap())
            .collect();
        let last = |back: usize| numbers[numbers.len() - back];
        match letter {
            'h' => at.0 += last(1),
            'v' => at.1 += last(1),
            'z' => at = start,
            _ => at = (at.0 + last(2), at.1 + last(1)),
        }
        if letter == 'm' {
            start = at;
        }
        places.push(at);
    }
    places
}

#[test]
fn every_figure_stays_in_its_cell() {
    let glyphs = ('\u{2500}'..='\u{257f}').chain('\u{2580}'..='\u{259f}');
    for glyph in glyphs.chain("■◆▲▼▶◀▸◂●•○◇□⣿".chars()) {
        let mut layers = Layers::default();
        if !glyph::draw(glyph, (0, 0), [0; 3], true, &mut layers) {
            assert!(('═'..='╬').contains(&glyph), "{glyph} is drawn as text");
            continue;
        }
        let paths: Vec<String> = layers.finish().map(|(_, _, data)| data).collect();
        assert!(!paths.is_empty(), "{glyph} has no path");
        for (x, y) in paths.iter().flat_map(|data| places(data)) {
            let inside = (0..=CELL.0).contains(&x) && (0..=CELL.1).contains(&y);
            assert!(inside, "{glyph}: {x}, {y} of {paths:?}");
        }
    }
}

/// Asserts that every tag is closed, in order.
fn assert_well_formed(xml: &str) {
    let mut open = Vec::new();
    for part in xml.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap();
        assert!(!text.contains('>'), "{part}");
        let name = tag.split_whitespace().next().unwrap();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name.to_owned()));
        } else if !tag.ends_with('/') {
            open.push(name.to_owned());
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn screenshots_are_well_formed_and_deterministic() {
    let all: String = (' '..='\u{25ff}').filter(|c| !c.is_control()).collect();
    let mut buffer = Buffer::empty(Rect::new(3, 2, 120, 100));
    for (y, line) in all.chars().collect::<Vec<_>>().chunks(60).enumerate() {
        let line: String = line.iter().collect();
        let style = plain()
            .fg(Color::Indexed(y as u8))
            .bg(Color::Indexed(255 - y as u8));
        buffer.set_string(3, 2 + (y as u16).min(99), line, style);
    }
    let first = svg(&buffer, &dark(), "all");
    assert_well_formed(&first);
    assert_eq!(first, svg(&buffer, &dark(), "all"));
    for (width, height) in [(0, 0), (1, 1), (3, 1)] {
        let buffer = Buffer::empty(Rect::new(0, 0, width, height));
        assert_well_formed(&svg(
            &buffer,
            &dark(),
            "a rather long title for a small screenshot",
        ));
    }
}
