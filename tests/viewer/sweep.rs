//! Draws every page in every run state at every size, and checks that nothing panics, nothing is drawn outside the
//! area, and no cell contains a control character. `make sweep` runs the full sweep; the normal tests run a subset of
//! combinations.

use epochtop::event::{CheckpointReason, Event, Outcome, Record};
use epochtop::link::Feed;
use epochtop::run::RunState;
use epochtop::tui::{self, App, Dots, Msg, Page, Popup, Settings, Theme, update};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;

use crate::story::{self, Story};

type State = (&'static str, fn() -> RunState);

const STATES: [State; 12] = [
    ("nothing", RunState::default),
    ("empty", || folded(&story::empty())),
    ("first step", first_step),
    ("midrun", || folded(&story::midrun())),
    ("paused", || folded(&story::paused())),
    ("not a number", || folded(&story::nan())),
    ("failed", || folded(&story::failed())),
    ("finished", || folded(&story::finished())),
    ("one class", || classes(1)),
    ("a thousand classes", || classes(1000)),
    ("a million steps", million),
    ("unusual text", unusual_text),
];
const THEMES: [&str; 3] = ["dark", "light", "mono"];
/// Symbol of the margin cells around the screen, which must stay unchanged.
const SENTINEL: &str = "\u{2592}";
const MARGIN: u16 = 3;

fn folded(records: &[Record]) -> RunState {
    let mut run = RunState::default();
    records.iter().for_each(|record| run.apply(record));
    run
}

fn first_step() -> RunState {
    let mut story = Story::new(12);
    story.start("first");
    story.steps(1, 1);
    folded(&story.records())
}

fn classes(count: u32) -> RunState {
    let names = (0..count).map(|i| format!("class number {i}")).collect();
    folded(&story::with_classes("many", names))
}

/// A run of a million steps that include NaN losses and spikes.
pub(crate) fn million() -> RunState {
    let mut run = folded(&story::midrun());
    let (mut seq, mut step) = (run.seq, run.global_step);
    while step < 1_000_000 {
        step += 16;
        seq += 1;
        let wave = (step as f32 / 20_000.0).sin() * 0.1 + 0.6;
        let mut loss = vec![epochtop::event::F32(wave); 16];
        if step % 99_008 == 0 {
            loss[3] = epochtop::event::F32(f32::NAN);
            loss[5] = epochtop::event::F32(50.0);
        }
        run.apply(&Record {
            seq,
            t_ms: story::START + step * 45,
            run_ms: None,
            event: Event::Steps(epochtop::event::StepWindow {
                epoch: (step / 215) as u32 + 1,
                epoch_step: step % 215,
                global_step: step,
                lr: epochtop::event::F64(1e-3),
                images: 16 * 256,
                millis: epochtop::event::F64(720.0),
                accuracy: loss
                    .iter()
                    .map(|x| epochtop::event::F32(1.0 - x.0 / 4.0))
                    .collect(),
                grad_norm: loss.clone(),
                clipped: vec![u8::from(step % 7 == 0); 16],
                loss,
                ..epochtop::event::StepWindow::default()
            }),
        });
    }
    run.epochs = 5000;
    run
}

/// A run with control characters and right-to-left and wide characters in every string from outside the program.
fn unusual_text() -> RunState {
    let odd = "\u{1b}]0;x\u{7}\u{202e}שלום長い\u{0}\r\n\t\u{9b}31m👩‍👩‍👧";
    let names = (0..12).map(|i| format!("{odd}{i}")).collect();
    let mut story = Story::of(3, names);
    story.start(odd);
    story.epoch(1);
    story.save(1, CheckpointReason::Requested, true);
    let mut records = story.records();
    let mut seq = records.last().map_or(0, |record| record.seq);
    let mut add = |event| {
        seq += 1;
        let t_ms = story::START + 60_000;
        records.push(Record {
            seq,
            t_ms,
            run_ms: None,
            event,
        });
    };
    add(Event::Log {
        level: epochtop::event::Level::Error,
        text: odd.to_owned(),
    });
    add(Event::RunFinished {
        outcome: Outcome::Failed {
            message: odd.to_owned(),
        },
        global_step: 215,
    });
    for record in &mut records {
        if let Event::RunStarted(info) = &mut record.event {
            odd.clone_into(&mut info.model);
            odd.clone_into(&mut info.device);
            odd.clone_into(&mut info.precision);
            odd.clone_into(&mut info.dataset.name);
            info.warnings = vec![odd.to_owned()];
        }
        if let Event::CheckpointSaved(saved) = &mut record.event {
            odd.clone_into(&mut saved.path);
        }
        if let Event::Layers { layers, .. } = &mut record.event {
            layers
                .iter_mut()
                .for_each(|layer| odd.clone_into(&mut layer.name));
        }
    }
    folded(&records)
}

/// One combination of the parameters of a drawn screen; the numbers are indices.
#[derive(Debug, Clone, Copy)]
struct Choice {
    state: usize,
    page: usize,
    size: (u16, u16),
    theme: usize,
    /// Bits: 1 zoomed, 2 ASCII, 4 chart cursor and zoom window, 8 popup.
    flags: usize,
}

fn app(run: RunState, ascii: bool) -> App {
    let settings = Settings {
        themes: THEMES.map(str::to_owned).to_vec(),
        ascii,
        ..Settings::default()
    };
    let mut app = App::new(settings, true);
    let now = run.now_ms;
    update(&mut app, Msg::Feed(Feed::Snapshot(Box::new(run))));
    update(&mut app, Msg::Tick(now));
    app
}

/// Draws one screen into the middle of a larger buffer and checks every cell.
fn check(run: &App, theme: &Theme, choice: Choice) {
    let (width, height) = choice.size;
    let mut app = run.clone();
    let page = Page::ALL[choice.page];
    app.ui.page = page;
    app.ui.focus = page.panes()[choice.flags % page.panes().len()];
    app.ui.zoom = choice.flags & 1 == 1;
    if choice.flags & 4 == 4 {
        app.ui.charts.cursor = Some(app.run.global_step / 2);
        app.ui.charts.window = Some((app.run.global_step / 3, app.run.global_step));
    }
    if choice.flags & 8 == 8 {
        app.ui.popup = Some([Popup::Help(2), Popup::Quit][choice.flags % 2].clone());
    }
    // Even widths use braille, odd widths half blocks.
    app.settings.dots = [Dots::Braille, Dots::HalfBlock][usize::from(width % 2)];
    update(&mut app, Msg::Resize(width, height));
    let full_area = Rect::new(0, 0, width + 2 * MARGIN, height + 2 * MARGIN);
    let area = Rect::new(MARGIN, MARGIN, width, height);
    let mut buffer = Buffer::filled(full_area, Cell::new(SENTINEL));
    for y in area.y..area.bottom() {
        for x in area.x..area.right() {
            buffer[(x, y)].reset();
        }
    }
    tui::draw(&app, theme, area, &mut buffer);
    for y in 0..full_area.height {
        for x in 0..full_area.width {
            let symbol = buffer[(x, y)].symbol();
            if area.contains((x, y).into()) {
                assert!(
                    !symbol.chars().any(char::is_control),
                    "{symbol:?} at {x}, {y}: {choice:?}"
                );
            } else {
                assert_eq!(symbol, SENTINEL, "drawn outside at {x}, {y}: {choice:?}");
            }
        }
    }
}

fn sizes() -> Vec<(u16, u16)> {
    let small = (0..=25).flat_map(|height| (0..=60).map(move |width| (width, height)));
    small
        .chain([(80, 24), (120, 40), (200, 60), (400, 100)])
        .collect()
}

const FLAGS: usize = 16;

struct Sweep {
    apps: Vec<[App; 2]>,
    themes: Vec<Theme>,
}

impl Sweep {
    fn new() -> Self {
        let apps = STATES.map(|(_, run)| {
            let run = run();
            [app(run.clone(), false), app(run, true)]
        });
        let themes = THEMES.map(|name| Theme::load(name).expect("built in"));
        Self {
            apps: apps.into(),
            themes: themes.into(),
        }
    }

    fn check(&self, choice: Choice) {
        let ascii = usize::from(choice.flags & 2 == 2);
        check(
            &self.apps[choice.state][ascii],
            &self.themes[choice.theme],
            choice,
        );
    }
}

#[test]
fn a_subset_of_combinations_is_drawn_within_the_area() {
    let (sweep, sizes) = (Sweep::new(), sizes());
    let (states, pages) = (STATES.len(), Page::ALL.len());
    // Each page in each state at some of the sizes; themes and flags cycle with coprime strides.
    let chosen: Vec<(u16, u16)> = sizes
        .iter()
        .copied()
        .step_by(97)
        .chain(sizes.iter().copied().rev().take(4))
        .collect();
    let mut turn = 0;
    for state in 0..states {
        for page in 0..pages {
            for &size in &chosen {
                turn += 1;
                sweep.check(Choice {
                    state,
                    page,
                    size,
                    theme: turn % THEMES.len(),
                    flags: turn * 7 % FLAGS,
                });
            }
        }
    }
    // Every size once, with flags, states and pages in rotation.
    for (i, &size) in sizes.iter().enumerate() {
        let flags = i % FLAGS;
        sweep.check(Choice {
            state: i % states,
            page: i / states % pages,
            size,
            theme: i % THEMES.len(),
            flags,
        });
    }
}

#[test]
#[ignore = "minutes: make sweep"]
#[expect(clippy::print_stdout, reason = "the counts are its output")]
fn everything_with_everything() {
    let (sweep, sizes) = (Sweep::new(), sizes());
    let mut screenshots = 0_u64;
    for (state, (name, _)) in STATES.iter().enumerate() {
        for page in 0..Page::ALL.len() {
            for (i, &size) in sizes.iter().enumerate() {
                // Two of the sixteen flag combinations, different ones for each size.
                for flags in [i % FLAGS, (i * 7 + 3) % FLAGS] {
                    sweep.check(Choice {
                        state,
                        page,
                        size,
                        theme: (i + flags) % THEMES.len(),
                        flags,
                    });
                    screenshots += 1;
                }
            }
        }
        println!("{name}: {screenshots} screenshots so far");
    }
}
