//! Mouse input: what clicks and the wheel do at each position of the screen. The program is also run in a
//! pseudo-terminal, to check that it disables mouse reporting when it exits.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crossterm::event::KeyCode;
use epochtop::event::Record;
use epochtop::session::RunDir;
use epochtop::tui::{Action, App, MouseKind, Msg, Page, Pane, Popup, Role, panel, update};
use ratatui::buffer::{Buffer, Cell};
use vt100::MouseProtocolMode;

use crate::pty::{PATIENCE, Terminal};
use crate::screens::{app, dark, drawn, press, text};
use crate::story;

const PROGRAM: &str = env!("CARGO_BIN_EXE_epochtop");

fn mouse(app: &mut App, (column, row): (u16, u16), kind: MouseKind) {
    update(app, Msg::Mouse { column, row, kind });
}

fn click(app: &mut App, at: (u16, u16)) {
    mouse(app, at, MouseKind::Click);
}

/// The column and row where a text is drawn below the header.
fn find(buffer: &Buffer, words: &str) -> (u16, u16) {
    let screen = text(buffer);
    for (y, line) in screen.lines().enumerate().skip(3) {
        if let Some(at) = line.find(words) {
            return (line[..at].chars().count() as u16, y as u16);
        }
    }
    panic!("{words} is not on the screen:\n{screen}");
}

/// A viewer of these records that shows this page, drawn once at this size.
fn app_on_page(page: Page, size: (u16, u16), records: &[Record]) -> App {
    let mut app = app(records, true);
    app.ui.page = page;
    app.ui.focus = page.panes()[0];
    drawn(&mut app, size, &dark());
    app
}

/// The columns in which a chart cursor is drawn.
fn cursors(buffer: &Buffer) -> Vec<u16> {
    let key = dark().style(Role::Key).fg;
    let is = |cell: &Cell| cell.symbol() == "│" && cell.style().fg == key;
    // A cursor spans the height of a chart; single `│` cells also occur in image art.
    let column = |x: &u16| {
        (3..buffer.area.height)
            .filter(|y| is(&buffer[(*x, *y)]))
            .count()
            > 2
    };
    (0..buffer.area.width).filter(column).collect()
}

#[test]
fn click_on_a_page_name_opens_the_page() {
    for (size, names) in [((120, 40), true), ((60, 30), false)] {
        for page in Page::ALL {
            let mut app = app_on_page(Page::Log, size, &story::midrun());
            let keys = &app.settings.keymap;
            let Some(key) = keys.keys(Action::Open(page)).next() else {
                continue;
            };
            let key = key.to_string();
            let screen = drawn(&mut app, size, &dark());
            let row: String = text(&screen).lines().nth(2).unwrap().to_owned();
            let shown = if names { page.title() } else { key.as_str() };
            let x = row
                .find(shown)
                .unwrap_or_else(|| panic!("{shown} in {row}")) as u16;
            click(&mut app, (x, 2));
            assert_eq!(app.ui.page, page, "{row}");
            assert!(page.panes().contains(&app.ui.focus));
        }
    }
    let mut app = app_on_page(Page::Log, (120, 40), &story::midrun());
    click(&mut app, (119, 2));
    click(&mut app, (0, 1));
    click(&mut app, (0, 39));
    click(&mut app, (500, 500));
    assert_eq!(
        app.ui.page,
        Page::Log,
        "clicks outside any target have no effect"
    );
}

#[test]
fn click_focuses_the_pane_unless_one_is_zoomed() {
    let mut app = app_on_page(Page::Overview, (120, 40), &story::midrun());
    let screen = drawn(&mut app, (120, 40), &dark());
    for pane in Page::Overview.panes() {
        let (x, y) = find(&screen, &format!(" {} ", panel(*pane).title));
        click(&mut app, (x, y));
        assert_eq!(app.ui.focus, *pane, "click on the title");
        assert_eq!(
            app.ui.charts.cursor, None,
            "a click on the title only sets the focus"
        );
        app.ui.focus = Pane::Classes;
        click(&mut app, (x, y + 1));
        assert_eq!(app.ui.focus, *pane, "click on the first row");
        app.ui.charts.cursor = None;
    }
    app.ui.focus = Pane::Loss;
    press(&mut app, KeyCode::Enter);
    click(&mut app, (110, 30));
    assert!(app.ui.zoom && app.ui.focus == Pane::Loss);
}

#[test]
fn click_on_a_chart_moves_the_cursor_to_that_column() {
    let size = (120, 40);
    for page in [Page::Overview, Page::Curves, Page::Gradients] {
        let mut app = app_on_page(page, size, &story::finished());
        // The x axis in epochs, steps and time.
        for _ in 0..3 {
            press(&mut app, KeyCode::Char('x'));
            for x in [6, 7, 20, 33, 60] {
                let pane = app.ui.focus;
                let screen = drawn(&mut app, size, &dark());
                let (_, y) = find(&screen, &format!(" {} ", panel(pane).title));
                click(&mut app, (x, y + 2));
                let screen = drawn(&mut app, size, &dark());
                assert_eq!(cursors(&screen), [x], "{page:?}\n{}", text(&screen));
            }
        }
        // A click on the axis labels does not move the cursor.
        let cursor = app.ui.charts.cursor;
        let screen = drawn(&mut app, size, &dark());
        let (_, y) = find(&screen, &format!(" {} ", panel(app.ui.focus).title));
        click(&mut app, (2, y + 2));
        assert_eq!(app.ui.charts.cursor, cursor);
    }
}

#[test]
fn cursor_does_not_pass_the_last_step() {
    let mut app = app_on_page(Page::Curves, (120, 40), &story::midrun());
    let newest = app.run.global_step;
    assert!(
        newest < app.extent().last,
        "the x axis extends beyond the newest step"
    );
    click(&mut app, (86, 6));
    assert_eq!(app.ui.charts.cursor, Some(newest));
    click(&mut app, (6, 6));
    assert_eq!(app.ui.charts.cursor, Some(1));
}

#[test]
fn wheel_zooms_charts_around_the_pointer_and_scrolls_lists() {
    let size = (120, 40);
    let mut app = app_on_page(Page::Curves, size, &story::finished());
    let at = (40, 8);
    click(&mut app, at);
    let step = app.ui.charts.cursor.unwrap();
    app.ui.focus = Pane::Accuracy;
    for kind in [
        MouseKind::WheelUp,
        MouseKind::WheelUp,
        MouseKind::WheelUp,
        MouseKind::WheelDown,
    ] {
        mouse(&mut app, at, kind);
        click(&mut app, at);
        let (from, to) = app.ui.charts.window.expect("a zoom window");
        let column = (to - from) / 80 + 1;
        assert!(
            app.ui.charts.cursor.unwrap().abs_diff(step) <= column,
            "{from} {to}"
        );
        app.ui.focus = Pane::Accuracy;
    }
    for _ in 0..3 {
        mouse(&mut app, at, MouseKind::WheelDown);
    }
    assert_eq!(app.ui.charts.window, None, "zoomed out to the full run");
    assert_eq!(
        app.ui.focus,
        Pane::Accuracy,
        "the wheel does not change the focus"
    );
    // The wheel scrolls lists like the arrow keys.
    let mut app = app_on_page(Page::Overview, size, &story::finished());
    app.ui.focus = Pane::Loss;
    let screen = drawn(&mut app, size, &dark());
    let log = find(&screen, " Log ");
    mouse(&mut app, (log.0, log.1 + 1), MouseKind::WheelUp);
    assert_eq!((app.ui.panels[Pane::Log], app.ui.focus), (1, Pane::Loss));
    mouse(&mut app, (log.0, log.1 + 1), MouseKind::WheelDown);
    assert_eq!(app.ui.panels[Pane::Log], 0);
    let classes = find(&screen, " Classes ");
    mouse(&mut app, (classes.0, classes.1 + 3), MouseKind::WheelDown);
    assert_eq!(app.ui.panels[Pane::Classes], 1);
    let mut app = app_on_page(Page::Gallery, size, &story::finished());
    mouse(&mut app, (3, 6), MouseKind::WheelDown);
    let row = app.ui.panels[Pane::Images];
    assert!(row > 1);
    press(&mut app, KeyCode::Up);
    assert_eq!(
        app.ui.panels[Pane::Images],
        0,
        "the Up key scrolls back by one row"
    );
    // In the full-screen Layers pane, the wheel scrolls over the table and zooms over the time axis.
    let mut app = app_on_page(Page::Gradients, (120, 30), &story::finished());
    app.ui.focus = Pane::Layers;
    press(&mut app, KeyCode::Enter);
    mouse(&mut app, (2, 8), MouseKind::WheelDown);
    assert_eq!(
        (app.ui.panels[Pane::Layers], app.ui.charts.window),
        (1, None)
    );
    mouse(&mut app, (40, 8), MouseKind::WheelUp);
    assert!(app.ui.panels[Pane::Layers] == 1 && app.ui.charts.window.is_some());
}

#[test]
fn popups_receive_wheel_events_and_block_clicks() {
    let mut app = app_on_page(Page::Overview, (80, 24), &story::midrun());
    press(&mut app, KeyCode::Char('?'));
    mouse(&mut app, (40, 10), MouseKind::WheelDown);
    assert_eq!(app.ui.popup, Some(Popup::Help(1)));
    mouse(&mut app, (40, 10), MouseKind::WheelUp);
    mouse(&mut app, (40, 10), MouseKind::WheelUp);
    assert_eq!(app.ui.popup, Some(Popup::Help(0)));
    let before = app.ui.clone();
    click(&mut app, (10, 5));
    assert_eq!(app.ui, before);
    press(&mut app, KeyCode::Char('?'));
    press(&mut app, KeyCode::Char('q'));
    let before = app.ui.clone();
    for kind in [MouseKind::Click, MouseKind::WheelDown] {
        mouse(&mut app, (10, 5), kind);
    }
    assert_eq!(app.ui, before);
}

#[test]
fn click_on_a_thumbnail_selects_the_image() {
    let size = (120, 40);
    // The Gallery page: thumbnails are 14 columns wide with a gap of two.
    let mut app = app_on_page(Page::Gallery, size, &story::finished());
    // A thumbnail, a caption, and the gaps between thumbnails.
    for (at, image) in [
        ((3, 5), 0),
        ((16, 11), 1),
        ((31, 6), 1),
        ((1, 12), 1),
        ((3, 5), 0),
    ] {
        click(&mut app, at);
        assert_eq!(app.ui.panels[Pane::Images], image, "{at:?}");
        drawn(&mut app, size, &dark());
    }
    // The first image of the second row has the index of the images per row.
    press(&mut app, KeyCode::Down);
    let across = app.ui.panels[Pane::Images];
    click(&mut app, (35, 15));
    assert_eq!(app.ui.panels[Pane::Images], across + 2);
    press(&mut app, KeyCode::Enter);
    click(&mut app, (3, 5));
    assert_eq!(
        app.ui.panels[Pane::Images],
        across + 2,
        "a single image fills the page"
    );
    // The zoomed Gallery pane of the overview: thumbnails are located by the captions below them.
    let mut app = app_on_page(Page::Overview, size, &story::finished());
    app.ui.focus = Pane::Gallery;
    press(&mut app, KeyCode::Enter);
    for image in [3, 1, 2] {
        let screen = drawn(&mut app, size, &dark());
        let (x, y) = find(&screen, &format!("  {} ", image + 1));
        click(&mut app, (x + 2, y - 3));
        assert_eq!(app.ui.panels[Pane::Gallery], image, "\n{}", text(&screen));
    }
    // The row of marks in the Gallery pane, one for each image.
    let mut app = app_on_page(Page::Overview, size, &story::finished());
    let screen = drawn(&mut app, size, &dark());
    let (_, y) = find(&screen, "····");
    let mark = |x: &u16| ["·", "✗"].contains(&screen[(*x, y)].symbol());
    let x = (70..120).find(mark).unwrap();
    for image in [5, 0, 31] {
        click(&mut app, (x + image, y));
        assert_eq!(
            (app.ui.panels[Pane::Gallery], app.ui.focus),
            (usize::from(image), Pane::Gallery)
        );
        app.ui.panels[Pane::Gallery] = 0;
    }
}

#[test]
fn random_mouse_input_does_not_panic() {
    let theme = dark();
    for records in [
        story::empty(),
        story::midrun(),
        story::nan(),
        story::finished(),
        Vec::new(),
    ] {
        let mut app = app(&records, true);
        let mut dice = 11_u64;
        for _ in 0..600 {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let roll = (dice >> 33) as usize;
            let size = ((roll >> 4) as u16 % 140, (roll >> 12) as u16 % 50);
            drawn(&mut app, size, &theme);
            let kinds = [MouseKind::Click, MouseKind::WheelUp, MouseKind::WheelDown];
            let at = ((roll >> 8) as u16 % 145, (roll >> 16) as u16 % 52);
            mouse(&mut app, at, kinds[roll % 3]);
            app.ui.zoom = roll.is_multiple_of(11);
            drawn(&mut app, size, &theme);
        }
        mouse(&mut app, (u16::MAX, u16::MAX), MouseKind::Click);
    }
}

/// Creates the run directory of a finished run; returns its path.
fn write_finished_run(runs: &Path) -> String {
    let run = RunDir::create(runs, "told", "").unwrap();
    let lines = story::finished()
        .iter()
        .map(|record| serde_json::to_string(record).unwrap() + "\n")
        .collect::<String>();
    fs::write(run.journal(), lines).unwrap();
    run.path.to_str().unwrap().to_owned()
}

/// Waits until mouse reporting of the terminal is on (`enabled`) or off.
fn wait_for_mouse(terminal: &Terminal, enabled: bool) {
    let began = Instant::now();
    loop {
        let mode = terminal
            .screen
            .lock()
            .unwrap()
            .screen()
            .mouse_protocol_mode();
        if (mode != MouseProtocolMode::None) == enabled {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{mode:?}\n{}", terminal.text());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Runs `epochtop view` with these settings in a shell that prints a line when it has control of the terminal again.
fn view(run: &str, set: &str, env: &[(&str, &str)]) -> Terminal {
    let script = format!("set -m; $P view $RUN {set}; echo away $?; read x; fg; echo over; read x");
    let env = [
        &[("P", PROGRAM), ("RUN", run), ("RUST_BACKTRACE", "0")],
        env,
    ]
    .concat();
    Terminal::run_program(&env, "sh", &["-c", &script], (30, 120))
}

#[test]
fn mouse_reporting_is_enabled_only_while_the_viewer_is_on_screen() {
    let runs = tempfile::tempdir().unwrap();
    let run = write_finished_run(runs.path());
    let mouse_on = "--set ui.mouse=true";
    // Click, suspend, resume, quit.
    let mut one = view(&run, mouse_on, &[]);
    one.wait_for("Gradient norm");
    wait_for_mouse(&one, true);
    let row = one.text().lines().nth(2).unwrap().to_owned();
    let x = row.find("Curves").unwrap() + 1;
    one.press(&format!("\x1b[<0;{x};3M\x1b[<0;{x};3m"));
    one.wait_for("Learning rate");
    one.press("\x1a");
    one.wait_for("away");
    wait_for_mouse(&one, false);
    one.press("\n");
    one.wait_for("Learning rate");
    wait_for_mouse(&one, true);
    one.press("q");
    one.wait_for("over");
    wait_for_mouse(&one, false);
    // Panic while drawing a frame.
    let mut one = view(&run, mouse_on, &[("EPOCHTOP_FAULT", "panic@frame:2")]);
    one.wait("a frame", |text| {
        (text.contains("Gradient norm") || text.contains("away")).then_some(())
    });
    one.press("2");
    one.wait_for("away 101");
    wait_for_mouse(&one, false);
    // SIGTERM.
    let mut one = Terminal::run_program(
        &[],
        PROGRAM,
        &["view", &run, "--set", "ui.mouse=true"],
        (30, 120),
    );
    wait_for_mouse(&one, true);
    let pid = rustix::process::Pid::from_raw(one.child.process_id().unwrap() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(one.exit_code(), 143);
    wait_for_mouse(&one, false);
    // Mouse reporting is off by default, so that the terminal can select text.
    let mut one = view(&run, "", &[]);
    one.wait_for("Gradient norm");
    wait_for_mouse(&one, false);
    one.press("q");
    one.wait_for("away 0");
}
