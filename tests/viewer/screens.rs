//! Snapshot tests: every state of a run at several screen sizes, as text. Review and accept changed snapshots with
//! `cargo insta review`.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use epochtop::event::{Event, F32, F64, Finding, Health, Record, Remedy, StepWindow};
use epochtop::link::Feed;
use epochtop::run::RunState;
use epochtop::tui::{self, App, ColorDepth, Dots, Msg, Page, Pane, Role, Settings, Theme, update};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use unicode_width::UnicodeWidthStr;

use crate::story;

type State = (&'static str, fn() -> Vec<Record>);

const STATES: [State; 6] = [
    ("empty", story::empty),
    ("midrun", story::midrun),
    ("paused", story::paused),
    ("nan", story::nan),
    ("failed", story::failed),
    ("finished", story::finished),
];
const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

pub(crate) fn app(records: &[Record], live: bool) -> App {
    let mut run = RunState::default();
    for record in records {
        run.apply(record);
    }
    let settings = Settings {
        themes: vec!["dark".to_owned(), "light".to_owned()],
        ..Settings::default()
    };
    let mut app = App::new(settings, live);
    let now = run.now_ms;
    update(&mut app, Msg::Feed(Feed::Snapshot(Box::new(run))));
    update(&mut app, Msg::Tick(now));
    app
}

pub(crate) fn drawn(app: &mut App, (width, height): (u16, u16), theme: &Theme) -> Buffer {
    update(app, Msg::Resize(width, height));
    let mut terminal =
        Terminal::new(TestBackend::new(width, height)).expect("a terminal in memory");
    terminal
        .draw(|frame| tui::view(app, theme, frame))
        .expect("a frame");
    terminal.backend().buffer().clone()
}

pub(crate) fn dark() -> Theme {
    Theme::load("dark").expect("the default theme")
}

pub(crate) fn text(buffer: &Buffer) -> String {
    let mut lines: Vec<String> = Vec::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // A wide character also occupies the next cell.
            x += (symbol.width() as u16).max(1);
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

pub(crate) fn press(app: &mut App, code: KeyCode) {
    update(app, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
}

pub(crate) fn snapshot(name: &str, text: &str) {
    let text = without_pages(text);
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("screens__{name}"), text);
    });
}

/// The screen with the page tabs (drawn on screens of 28 rows or more) and the page key hint replaced by `(pages)`, so
/// that adding a page does not change the snapshots of all other screens.
fn without_pages(screen: &str) -> String {
    let tabs = screen.lines().count() >= 28;
    let lines = screen.lines().enumerate().map(|(y, line)| {
        if tabs && y == 2 {
            "(pages)".to_owned()
        } else {
            ["1–0 : pages", "1-0 : pages"]
                .iter()
                .fold(line.to_owned(), |line, hint| line.replace(hint, "(pages)"))
        }
    });
    lines.collect::<Vec<String>>().join("\n")
}

/// Covers the page tabs and key hint, which `without_pages` removes from all other snapshots.
#[test]
fn pages_in_the_header_and_the_footer() {
    let mut rows = Vec::new();
    for (ascii, size) in [(false, (60, 28)), (false, (120, 40)), (true, (200, 60))] {
        for page in Page::ALL {
            let mut app = app(&story::midrun(), true);
            app.settings.ascii = ascii;
            go(&mut app, page);
            let screen = text(&drawn(&mut app, size, &dark()));
            rows.push(screen.lines().nth(2).unwrap_or_default().to_owned());
            let footer = screen.lines().last().unwrap_or_default();
            assert!(!ascii || footer.contains("1-0 : pages"), "{footer}");
        }
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("screens__pages", rows.join("\n"));
    });
}

#[test]
fn palette_finds_pages_and_panels_by_name() {
    for size in [(80, 24), (120, 40)] {
        let mut app = app(&story::midrun(), true);
        drawn(&mut app, size, &dark());
        press(&mut app, KeyCode::Char(':'));
        let all = text(&drawn(&mut app, size, &dark()));
        for page in Page::ALL.into_iter().filter(|page| (*page as usize) < 10) {
            assert!(
                all.contains(page.doc().get(..30).unwrap_or(page.doc())),
                "{all}"
            );
        }
        for c in "RA".chars() {
            press(&mut app, KeyCode::Char(c));
        }
        let found = text(&drawn(&mut app, size, &dark()));
        assert!(found.contains("Learning rate"), "{found}");
        assert!(!found.contains("compared runs:"), "{found}");
        "te".chars().for_each(|c| press(&mut app, KeyCode::Char(c)));
        press(&mut app, KeyCode::Enter);
        assert_eq!((app.ui.page, app.ui.focus), (Page::Curves, Pane::Rate));
        // No entry matches; Esc closes the palette without an effect.
        press(&mut app, KeyCode::Char(':'));
        for c in "qqq".chars() {
            press(&mut app, KeyCode::Char(c));
        }
        assert!(text(&drawn(&mut app, size, &dark())).contains("no page or panel"));
        press(&mut app, KeyCode::Esc);
        assert_eq!((app.ui.popup.clone(), app.ui.page), (None, Page::Curves));
        // The Down key moves through all entries and stops at the last.
        press(&mut app, KeyCode::Char(':'));
        for _ in 0..50 {
            press(&mut app, KeyCode::Down);
        }
        let end = text(&drawn(&mut app, size, &dark()));
        assert!(end.contains("▸    Layers"), "{end}");
        press(&mut app, KeyCode::Enter);
        assert_eq!((app.ui.page, app.ui.focus), (Page::Gradients, Pane::Layers));
    }
    for ascii in [false, true] {
        let mut app = app(&story::midrun(), true);
        app.settings.ascii = ascii;
        press(&mut app, KeyCode::Char(':'));
        press(&mut app, KeyCode::Char('c'));
        let screen = text(&drawn(&mut app, (80, 24), &dark()));
        assert_eq!(screen.is_ascii(), ascii);
    }
}

#[test]
fn every_state_at_three_sizes() {
    for (name, records) in STATES {
        let records = records();
        for size in SIZES {
            let screen = drawn(&mut app(&records, true), size, &dark());
            snapshot(&format!("{name}_{}x{}", size.0, size.1), &text(&screen));
        }
    }
}

/// The key that opens a page. Panics if the page has no key.
fn page_key(page: Page) -> KeyCode {
    let keymap = tui::Keymap::default();
    let key = keymap.keys(tui::Action::Open(page)).next();
    let name = key.expect("the page has a key").to_string();
    KeyCode::Char(name.chars().next().expect("a character"))
}

/// Opens a page through the palette.
fn go(app: &mut App, page: Page) {
    let name = page.title().chars();
    [':']
        .into_iter()
        .chain(name)
        .for_each(|c| press(app, KeyCode::Char(c)));
    press(app, KeyCode::Enter);
    assert_eq!(app.ui.page, page);
}

#[test]
fn every_page_at_three_sizes() {
    let records = story::midrun();
    for page in Page::ALL.into_iter().filter(|page| *page != Page::Overview) {
        for size in SIZES {
            let mut app = app(&records, true);
            update(&mut app, Msg::Resize(size.0, size.1));
            go(&mut app, page);
            let screen = text(&drawn(&mut app, size, &dark()));
            snapshot(
                &format!("page_{}_{}x{}", page.key(), size.0, size.1),
                &screen,
            );
            press(&mut app, page_key(Page::Overview));
            assert_eq!(app.ui.page, Page::Overview);
        }
    }
}

#[test]
fn zoomed_panes() {
    let records = story::midrun();
    for pane in [Pane::Loss, Pane::Accuracy, Pane::Gradient] {
        let mut app = app(&records, true);
        app.ui.focus = pane;
        press(&mut app, KeyCode::Enter);
        let word = tui::panel(pane)
            .title
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_lowercase();
        snapshot(
            &format!("zoom_{word}_120x40"),
            &text(&drawn(&mut app, (120, 40), &dark())),
        );
    }
}

#[test]
fn cursor_zoom_and_x_axis_units_of_charts() {
    let mut app = app(&story::midrun(), true);
    update(&mut app, Msg::Resize(120, 40));
    press(&mut app, page_key(Page::Curves));
    for code in [
        KeyCode::Left,
        KeyCode::Left,
        KeyCode::Char('+'),
        KeyCode::Char('x'),
    ] {
        press(&mut app, code);
    }
    let zoomed = text(&drawn(&mut app, (120, 40), &dark()));
    snapshot("cursor_120x40", &zoomed);
    press(&mut app, KeyCode::Char('x'));
    press(&mut app, KeyCode::Char('y'));
    press(&mut app, KeyCode::Char('s'));
    snapshot(
        "time_axis_120x40",
        &text(&drawn(&mut app, (120, 40), &dark())),
    );
}

#[test]
fn class_trends_in_ascii() {
    let mut app = app(&story::finished(), true);
    app.settings.ascii = true;
    go(&mut app, Page::Trends);
    let screen = text(&drawn(&mut app, (120, 40), &dark()));
    assert!(screen.is_ascii());
    snapshot("page_trends_ascii_120x40", &screen);
}

#[test]
fn pages_explain_what_appears_after_the_first_evaluation() {
    for (key, words) in [
        (Page::Classes, "per-class F1 appears"),
        (Page::Confusion, "confusion matrix appears"),
        (Page::Calibration, "reliability diagram appears"),
        (Page::Trends, "by epoch appears"),
    ] {
        let mut app = app(&story::empty(), true);
        go(&mut app, key);
        let screen = text(&drawn(&mut app, (80, 24), &dark()));
        assert!(screen.contains(words), "{words} in\n{screen}");
    }
}

#[test]
fn misleading_accuracy_is_marked() {
    let records = story::majority();
    for (size, words) in [
        ((80, 24), "accuracy is misleading"),
        (
            (120, 40),
            "accuracy is misleading: majority baseline healthy 90.00 %, macro-F1 47.37 %",
        ),
    ] {
        let mut app = app(&records, true);
        assert!(
            text(&drawn(&mut app, size, &dark())).contains("accuracy is misleading"),
            "{size:?}"
        );
        press(&mut app, page_key(Page::Classes));
        let screen = text(&drawn(&mut app, size, &dark()));
        assert!(screen.contains(words), "{words} in\n{screen}");
    }
    let mut app = app(&records, true);
    press(&mut app, page_key(Page::Classes));
    snapshot("majority_80x24", &text(&drawn(&mut app, (80, 24), &dark())));
}

#[test]
fn undefined_measures_are_marked() {
    let mut app = app(&story::not_a_number(), true);
    for page in [Page::Classes, Page::Confusion, Page::Calibration] {
        press(&mut app, page_key(page));
        snapshot(
            &format!("undefined_{}_80x24", page.key()),
            &text(&drawn(&mut app, (80, 24), &dark())),
        );
    }
}

#[test]
fn confusion_matrix_of_many_classes_is_a_heat_map() {
    for (classes, ascii) in [(40_u32, false), (1000, false), (1000, true)] {
        let names = (0..classes).map(|i| format!("class number {i}")).collect();
        let mut app = app(&story::with_classes("many", names), true);
        app.settings.ascii = ascii;
        press(&mut app, page_key(Page::Confusion));
        let screen = text(&drawn(&mut app, (80, 24), &dark()));
        assert_eq!(screen.is_ascii(), ascii);
        snapshot(
            &format!("heat_{classes}{}_80x24", if ascii { "_ascii" } else { "" }),
            &screen,
        );
    }
}

#[test]
fn ascii_mode_help_and_quit_popups() {
    let records = story::midrun();
    let mut plain = app(&records, true);
    plain.settings.ascii = true;
    let screen = text(&drawn(&mut plain, (120, 40), &dark()));
    assert!(screen.is_ascii(), "only ASCII characters in ASCII mode");
    snapshot("ascii_120x40", &screen);
    let mut app = app(&records, true);
    press(&mut app, KeyCode::Char('?'));
    snapshot("help_80x24", &text(&drawn(&mut app, (80, 24), &dark())));
    press(&mut app, KeyCode::Char('?'));
    press(&mut app, KeyCode::Char('q'));
    snapshot("quit_80x24", &text(&drawn(&mut app, (80, 24), &dark())));
}

#[test]
fn curves_without_braille_use_half_blocks() {
    let records = story::midrun();
    for page in [Page::Overview, Page::Curves] {
        for size in [(80, 24), (120, 40)] {
            let mut app = app(&records, true);
            app.settings.dots = Dots::HalfBlock;
            app.ui.charts.cursor = Some(400);
            press(&mut app, page_key(page));
            let screen = text(&drawn(&mut app, size, &dark()));
            assert!(screen.contains('▀') && screen.contains('▄'), "{screen}");
            let braille = |c: char| ('\u{2800}'..='\u{28ff}').contains(&c);
            assert!(!screen.contains(braille), "{screen}");
            snapshot(
                &format!("halfblock_{}_{}x{}", page.key(), size.0, size.1),
                &screen,
            );
        }
    }
}

#[test]
fn small_screens() {
    let records = story::midrun();
    for size in [(60, 16), (50, 14), (30, 6), (40, 1)] {
        snapshot(
            &format!("small_{}x{}", size.0, size.1),
            &text(&drawn(&mut app(&records, true), size, &dark())),
        );
    }
}

#[test]
fn hidden_panes_are_listed_in_the_header_with_their_keys() {
    let panes = [
        ("Accuracy", '2'),
        ("Gradient norm", '3'),
        ("Gallery", '7'),
        ("Log", '9'),
    ];
    for (state, width, height) in [
        (story::midrun as fn() -> Vec<Record>, 60, 16),
        (story::midrun, 62, 30),
        (story::midrun, 80, 24),
        (story::midrun, 120, 24),
        (story::finished, 80, 17),
        (story::nan, 90, 20),
        (story::finished, 80, 50),
        (story::empty, 70, 18),
    ] {
        let screen = text(&drawn(&mut app(&state(), true), (width, height), &dark()));
        let (header, rest) =
            screen.split_at(screen.find("─ Loss").or(screen.find("▸ Loss")).unwrap_or(0));
        let hidden = header.lines().nth(1).unwrap_or_default().rsplit_once('+');
        let hidden = hidden.map_or("", |(_, hidden)| hidden);
        for (name, key) in panes {
            let shown =
                rest.contains(&format!("─ {name} ")) || rest.contains(&format!("▸ {name} "));
            assert_eq!(
                shown,
                !hidden.contains(key),
                "{name} at {width}x{height}\n{screen}"
            );
        }
    }
}

#[test]
fn main_information_fits_on_80x24() {
    let screen = text(&drawn(&mut app(&story::midrun(), true), (80, 24), &dark()));
    for wanted in [
        "epoch 4/12",
        "Loss",
        "Accuracy",
        "Gradient",
        "train",
        "valid",
        "clipped",
        "1 of 64",
        "T 0.71",
        "0.4463",
        "89.72% ±0.87",
        ".896 ±.009",
        "0.488",
    ] {
        assert!(screen.contains(wanted), "{wanted} in\n{screen}");
    }
    for class in [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ] {
        assert!(screen.contains(class), "{class} in\n{screen}");
    }
}

/// Unusual names: escape sequences, empty, wide, combining, right-to-left and control characters.
pub(crate) fn odd_names() -> Vec<String> {
    [
        "\u{1b}[31mred\u{1b}[0m",
        "",
        "長靴長靴長靴長靴長靴長靴",
        "a\nb\tc",
        "👩‍👩‍👧‍👦 family",
        "e\u{301}te\u{301}",
        "\u{202e}drow",
        "\u{0}\u{7f}\u{9b}31m",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[test]
fn all_states_can_be_drawn_at_any_size() {
    let thousand = (0..1000).map(|i| format!("class number {i}")).collect();
    let mut states: Vec<Vec<Record>> = STATES.iter().map(|(_, records)| records()).collect();
    states.push(story::with_classes("one", vec!["everything".to_owned()]));
    states.push(story::with_classes("many", thousand));
    states.push(story::with_classes(
        "\u{1b}]0;gotcha\u{7}長い名前\u{202e}\r\n",
        odd_names(),
    ));
    states.push(run_with_alerts());
    states.push(Vec::new());
    let theme = dark();
    for records in &states {
        let mut app = app(records, true);
        for height in 0..=25 {
            for width in 0..=60 {
                app.ui.popup = [
                    None,
                    Some(tui::Popup::Help(0)),
                    Some(tui::Popup::Quit),
                    Some(tui::Popup::Palette(tui::Palette::default())),
                ][usize::from(width + height) % 4]
                    .clone();
                app.ui.zoom = (width + height) % 2 == 0;
                app.settings.ascii = width % 5 == 0;
                app.ui.page = Page::ALL[usize::from(width + 3 * height) % Page::ALL.len()];
                let panes = app.ui.page.panes();
                app.ui.focus = panes[usize::from(width) % panes.len()];
                let screen = drawn(&mut app, (width, height), &theme);
                assert!(!text(&screen).contains(|c: char| c.is_control() && c != '\n'));
            }
        }
        for size in [
            (61, 16),
            (79, 23),
            (80, 24),
            (100, 30),
            (300, 20),
            (61, 120),
            (400, 3),
        ] {
            let panes = Page::ALL
                .into_iter()
                .flat_map(|page| page.panes().iter().map(move |pane| (page, *pane)));
            for (page, pane) in panes {
                (app.ui.page, app.ui.focus) = (page, pane);
                app.ui.popup = None;
                for zoom in [false, true] {
                    app.ui.zoom = zoom;
                    let screen = drawn(&mut app, size, &theme);
                    assert!(!text(&screen).contains(|c: char| c.is_control() && c != '\n'));
                }
            }
        }
    }
}

#[test]
fn random_keys_and_resizes_do_not_panic() {
    use KeyCode::{BackTab, Char, Down, Enter, Esc, Left, Right, Tab, Up};
    let keys = [
        Tab,
        BackTab,
        Up,
        Down,
        Left,
        Right,
        Enter,
        Esc,
        Char('?'),
        Char('q'),
        Char('s'),
        Char('t'),
        Char(' '),
        Char('e'),
        Char('2'),
        Char('3'),
        Char('7'),
        Char('+'),
        Char('-'),
        Char('<'),
        Char('>'),
        Char('x'),
        Char('y'),
        Char('['),
        Char('r'),
        Char('n'),
    ];
    let theme = dark();
    for (name, records) in STATES {
        let mut app = app(&records(), true);
        let mut dice = 7_u64;
        for _ in 0..500 {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let roll = (dice >> 33) as usize;
            press(&mut app, keys[roll % keys.len()]);
            let size = ((roll >> 4) as u16 % 140, (roll >> 12) as u16 % 50);
            assert!(drawn(&mut app, size, &theme).area.width == size.0, "{name}");
        }
    }
}

#[test]
fn unusual_names_do_not_break_the_layout() {
    let records = story::with_classes("\u{1b}[2Jrun", odd_names());
    snapshot(
        "odd_names_120x40",
        &text(&drawn(&mut app(&records, true), (120, 40), &dark())),
    );
    let thousand = (0..1000).map(|i| format!("class number {i}")).collect();
    snapshot(
        "thousand_80x24",
        &text(&drawn(
            &mut app(&story::with_classes("many", thousand), true),
            (80, 24),
            &dark(),
        )),
    );
}

/// A run with three alerts: non-finite steps, a loss spike, and 100 clipped steps in a row.
fn run_with_alerts() -> Vec<Record> {
    let mut records = story::midrun();
    let (seq, t_ms) = records.last().map_or((0, 0), |last| (last.seq, last.t_ms));
    let health = |finding| {
        Event::Health(Health {
            global_step: 781,
            finding,
            remedy: Remedy::Reported,
        })
    };
    let clipped = Event::Steps(StepWindow {
        epoch: 4,
        epoch_step: 200,
        global_step: 881,
        lr: F64(0.002),
        loss: vec![F32(0.5); 100],
        accuracy: vec![F32(0.9); 100],
        grad_norm: vec![F32(3.0); 100],
        clipped: vec![1; 100],
        ..StepWindow::default()
    });
    let events = [
        clipped,
        health(Finding::Spike {
            loss: F32(9.1),
            mean: F64(0.52),
        }),
        health(Finding::NonFinite {
            in_a_row: 7,
            loss: F32(f32::NAN),
            grad_norm: F32(f32::NAN),
            layer: Some("blocks.1\u{1b}[31m\u{202e}.norm".to_owned()),
        }),
    ];
    for (seq, event) in (seq + 1..).zip(events) {
        records.push(Record {
            seq,
            t_ms,
            run_ms: None,
            event,
        });
    }
    records
}

#[test]
fn alerts_take_one_row_and_are_listed_in_full_above_the_zoomed_log() {
    let records = run_with_alerts();
    for ascii in [false, true] {
        let mark = if ascii { "ascii_" } else { "" };
        for size in [(80, 24), (120, 40)] {
            let mut app = app(&records, true);
            app.settings.ascii = ascii;
            let screen = text(&drawn(&mut app, size, &dark()));
            // The row of page tabs, if there is one, comes before the alert row.
            let rows = if size.1 < 28 { 2 } else { 3 };
            let row = screen.lines().nth(rows).unwrap();
            let symbol = if ascii { "x" } else { "✗" };
            assert!(
                row.starts_with(&format!("{symbol} 7 steps are not finite")),
                "{screen}"
            );
            assert!(row.ends_with("+2 more"), "{screen}");
            press(&mut app, KeyCode::Char('9'));
            snapshot(
                &format!("alerts_log_{mark}{}x{}", size.0, size.1),
                &text(&drawn(&mut app, size, &dark())),
            );
        }
    }
}

#[test]
fn alerts_take_at_most_one_row_and_are_visible_on_the_smallest_screen() {
    let (healthy, run_with_alerts) = (story::midrun(), run_with_alerts());
    for (size, words) in [
        ((50, 14), "7 steps are"),
        ((30, 6), "7 steps are"),
        ((30, 2), "7 steps are"),
        ((40, 1), "✗3"),
    ] {
        let shown = |records| text(&drawn(&mut app(records, true), size, &dark()));
        let screen = shown(&run_with_alerts);
        let last = screen.lines().last().unwrap();
        assert!(last.contains(words), "{size:?}\n{screen}");
        assert!(!shown(&healthy).contains(words));
    }
}

/// The style of the first cell of a text on the screen.
fn style_of(buffer: &Buffer, wanted: &str) -> ratatui::style::Style {
    for (y, line) in text(buffer).lines().enumerate() {
        if let Some(at) = line.find(wanted) {
            let x = line[..at].chars().count();
            return buffer[(x as u16, y as u16)].style();
        }
    }
    panic!("{wanted} is not on the screen");
}

#[test]
fn errors_and_wrong_predictions_use_their_roles() {
    let theme = dark();
    let screen = drawn(&mut app(&story::failed(), true), (120, 40), &theme);
    assert_eq!(
        style_of(&screen, "the disk is full").fg,
        theme.style(Role::Error).fg
    );
    let screen = drawn(&mut app(&story::midrun(), true), (120, 40), &theme);
    assert_eq!(
        style_of(&screen, "clip at 1").fg,
        theme.style(Role::Clip).fg
    );
    assert_eq!(
        style_of(&screen, "● valid NLL").fg,
        theme.style(Role::Valid).fg
    );
    let mut wrong = app(&story::midrun(), true);
    press(&mut wrong, KeyCode::Down);
    let screen = drawn(&mut wrong, (120, 40), &theme);
    assert_eq!(style_of(&screen, "✗ wrong").fg, theme.style(Role::Bad).fg);
}

/// Images in colour are drawn as half blocks, or as characters in their colours; without colours as characters.
#[test]
fn images_in_colour_are_in_colour() {
    use epochtop::config::Art;
    use ratatui::style::Color;
    let colours = |art: Art, depth: ColorDepth| {
        let mut app = app(&story::midrun(), true);
        (app.settings.art, app.settings.color) = (art, depth);
        let gallery = &mut app.run.gallery;
        // Red, green and blue: the same picture, half of it, and nothing.
        let images = gallery.pixels.0.chunks_exact(28 * 28);
        let planes = images.flat_map(|image| {
            let half = image.iter().map(|level| level / 2);
            [image.to_vec(), half.collect(), vec![0; image.len()]].concat()
        });
        gallery.pixels.0 = planes.collect();
        let screen = drawn(&mut app, (120, 40), &dark().reduced(depth));
        let is_orange = |color: Color| match color {
            Color::Rgb(r, g, 0) => r / 2 == g && r > 0,
            Color::Indexed(index) => (16..232).contains(&index),
            _ => false,
        };
        let cells = || screen.content().iter();
        let blocks = cells().filter(|cell| cell.symbol() == "▀").count();
        let inked = cells()
            .filter(|cell| "MNd&#@$".contains(cell.symbol()))
            .count();
        (
            blocks,
            inked,
            cells().filter(|cell| is_orange(cell.fg)).count(),
        )
    };
    let (_, grey, _) = colours(Art::Ascii, ColorDepth::None);
    for depth in [ColorDepth::True, ColorDepth::Ansi256] {
        let (blocks, inked, orange) = colours(Art::Auto, depth);
        assert!(
            blocks > 50 && inked < grey && orange > 50,
            "{depth:?}: {blocks} {inked} {orange}"
        );
        let (blocks, inked, orange) = colours(Art::Ascii, depth);
        assert!(
            blocks == 0 && inked == grey && orange > 50,
            "{depth:?}: {inked} {orange}"
        );
    }
    assert_eq!(colours(Art::Auto, ColorDepth::None), (0, grey, 0));
}

#[test]
fn without_colours_only_modifiers_are_used() {
    let theme = dark().reduced(ColorDepth::None);
    let mut plain = app(&story::midrun(), true);
    plain.settings.color = ColorDepth::None;
    plain.settings.art = epochtop::config::Art::Halfblock;
    let screen = drawn(&mut plain, (120, 40), &theme);
    for cell in screen.content() {
        assert_eq!(
            (cell.fg, cell.bg),
            (ratatui::style::Color::Reset, ratatui::style::Color::Reset)
        );
    }
}
