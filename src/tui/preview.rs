//! What a theme looks like: a few lines as the screen would have them, and every role with a sample. Printed by
//! `epochtop themes`; pure, as the screen is.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::color::ColorDepth;
use super::symbols::{Symbols, symbols};
use super::text::{columns, outside};
use super::theme::{Role, Theme};

/// Rows of a [`card`].
const ROWS: u16 = 7;
/// Columns of labels and axis left of the chart, and of the chart.
const AXIS: u16 = 6;
const CHART: u16 = 36;
/// The chart: in Unicode, in ASCII, and whose dots they are (train, its band, valid). Drawn once from two falling
/// exponentials, as the screen's own charts draw.
const CURVES: [[&str; 3]; 4] = [
    [
        "⠲⢤⣀⣄⡄                               ",
        "-..::                               ",
        "tttbb                               ",
    ],
    [
        "⠈⠹⠈⠙●⠒⠤⠤⢄●⣀⣀ ⡄ ⡀⢀                   ",
        "::''o----o-- : ::                   ",
        "bbttvvvvvvvv b bb                   ",
    ],
    [
        "  ⠈ ⠁⠉⠋⠉⠙⠒⠲⠤⠉⠉●⠉⠉⠉⠒●⠒⠒⠒⠒●⠒⠒⠒⠒●⠒⠒⠒⠒●⢠",
        "  : :::''-----o----o----o----o----o:",
        "  b bbbtttttvvvvvvvvvvvvvvvvvvvvvvvb",
    ],
    [
        "         ⠘ ⠈⠉⠏⠙⠈⠉⠉⠉⠉⠓⠒⠒⠒⠒⠒⠒⠲⠤⠤⠤⠤⠤⠤⠤⠤",
        "         : ::::''''''---------------",
        "         b bbbbttttttttttttttttttttt",
    ],
];

/// A piece of a line.
type Piece = (String, Role);

fn piece(text: impl Into<String>, role: Role) -> Piece {
    (text.into(), role)
}

/// A few lines of the screen: rule and title, curves, right and wrong, what is worth a look, mistakes by their share,
/// progress, keys. `source` says where the theme comes from. As wide as asked for; 80 columns show all.
pub fn card(theme: &Theme, source: &str, ascii: bool, width: u16) -> Buffer {
    let mut sheet = Sheet::new(theme, ascii, width, ROWS);
    sheet.title(theme.name(), source, &legend(sheet.symbols));
    sheet.chart();
    let right = AXIS + CHART + 2;
    for (y, pieces) in (1..).zip(beside(sheet.symbols)) {
        sheet.put(right, y, &pieces);
    }
    let progress = progress(sheet.symbols);
    sheet.put(0, ROWS - 2, &progress);
    sheet.put(0, ROWS - 1, &keys());
    sheet.buf
}

/// Every role by its name, with a sample, its look in words and what it is for. `theme` is as its file has it; the samples
/// are in the colours the terminal has.
pub fn table(theme: &Theme, source: &str, depth: ColorDepth, ascii: bool, width: u16) -> Buffer {
    let reduced = theme.reduced(depth);
    let rows = Role::ALL.len() as u16 + 1;
    let mut sheet = Sheet::new(&reduced, ascii, width, rows);
    sheet.title(theme.name(), source, &[]);
    for (y, role) in (1..).zip(Role::ALL) {
        let pieces = [
            piece(format!("{:<14}", role.name()), Role::Text),
            piece(" Shoe 0.42 ", *role),
            piece(format!("  {:<24}  ", theme.words(*role)), Role::Dim),
        ];
        let x = sheet.put(0, y, &pieces);
        let room = usize::from(width.saturating_sub(x));
        let doc = outside(role.doc(), room, sheet.symbols);
        sheet.put(x, y, &[piece(doc, Role::Text)]);
    }
    sheet.buf
}

fn legend(symbols: &Symbols) -> [Piece; 4] {
    [
        piece(format!("{} train ", symbols.train), Role::Train),
        piece("0.0815", Role::Strong),
        piece(format!("   {} valid NLL ", symbols.valid), Role::Valid),
        piece("0.3742", Role::Strong),
    ]
}

/// What stands beside the chart, line by line.
fn beside(symbols: &Symbols) -> [Vec<Piece>; 4] {
    let bar = |filled: usize, role| {
        let full = symbols.bar.last().copied().unwrap_or("#");
        [
            piece(full.repeat(filled), role),
            piece(symbols.bar_rest.repeat(11 - filled), Role::Faint),
        ]
    };
    let answer = |mark: &str, role, word: &str, class: &str, share: &str| {
        vec![
            piece(format!("{mark} {word} "), role),
            piece(format!(" {class:<9}"), Role::Text),
            piece(format!("{share} "), Role::Strong),
        ]
    };
    let mut right = answer(symbols.right, Role::Good, "right", "Sneaker", "98.1%");
    right.extend(bar(11, Role::Bar));
    let mut wrong = answer(symbols.wrong, Role::Bad, "wrong", "Shirt", "54.3%");
    wrong.extend(bar(6, Role::BarWorst));
    let health = vec![
        piece(format!("{} plateau  ", symbols.warning), Role::Warn),
        piece(format!("{} failed", symbols.wrong), Role::Error),
        piece(format!("  {} norm ", symbols.train), Role::Gradient),
        piece(format!("{} clip", symbols.clipped), Role::Clip),
    ];
    let heat = vec![
        piece("mistakes ", Role::Dim),
        piece(format!(" {} ", symbols.right_small), Role::Faint),
        piece("  1.2 ", Role::Heat1),
        piece("  3.4 ", Role::Heat2),
        piece("  7.8 ", Role::Heat3),
        piece(" 14.0 ", Role::Heat4),
    ];
    [right, wrong, health, heat]
}

fn progress(symbols: &Symbols) -> Vec<Piece> {
    let gauge = |done: usize| {
        [
            piece(symbols.gauge.repeat(done), Role::Gauge),
            piece(symbols.gauge_rest.repeat(18 - done), Role::GaugeRest),
        ]
    };
    let [epoch, epoch_rest] = gauge(10);
    let [run, run_rest] = gauge(5);
    vec![
        piece("epoch ", Role::Dim),
        piece("3/10 ", Role::Strong),
        epoch,
        epoch_rest,
        piece("  58%", Role::Text),
        piece("   run ", Role::Dim),
        run,
        run_rest,
        piece("  26%", Role::Text),
    ]
}

fn keys() -> Vec<Piece> {
    vec![
        piece("q", Role::Key),
        piece(" quit  ", Role::Dim),
        piece("t", Role::Key),
        piece(" theme  ", Role::Dim),
        piece("?", Role::Key),
        piece(" help    ", Role::Dim),
        piece(" selected ", Role::Selected),
        piece("  ", Role::Text),
        piece(" popup ", Role::Popup),
        piece("  ", Role::Text),
        piece(".:*oa#@M", Role::Art),
    ]
}

/// What is drawn on.
struct Sheet<'a> {
    theme: &'a Theme,
    symbols: &'static Symbols,
    buf: Buffer,
}

impl<'a> Sheet<'a> {
    fn new(theme: &'a Theme, ascii: bool, width: u16, height: u16) -> Self {
        let area = Rect::new(0, 0, width, height);
        let mut buf = Buffer::empty(area);
        buf.set_style(area, theme.style(Role::Screen));
        Self {
            theme,
            symbols: symbols(ascii),
            buf,
        }
    }

    /// Writes pieces one after the other, cut at the right edge; gives the column after them.
    fn put(&mut self, x: u16, y: u16, pieces: &[Piece]) -> u16 {
        let Rect { width, height, .. } = self.buf.area;
        if y >= height {
            return x;
        }
        pieces.iter().fold(x, |x, (text, role)| {
            let room = usize::from(width.saturating_sub(x));
            if room == 0 {
                return x;
            }
            let style = self.theme.style(*role);
            self.buf.set_stringn(x, y, text, room, style).0
        })
    }

    /// A focused pane's rule with the theme's name, where it comes from, and numbers at the right as far as there is room.
    fn title(&mut self, name: &str, source: &str, right: &[Piece]) {
        let width = self.buf.area.width;
        let rule = self.symbols.rule.repeat(usize::from(width));
        self.put(0, 0, &[piece(rule, Role::RuleFocus)]);
        let x = self.put(
            0,
            0,
            &[
                piece(self.symbols.focus, Role::RuleFocus),
                piece(
                    format!(" {} ", outside(name, 24, self.symbols)),
                    Role::TitleFocus,
                ),
            ],
        );
        let taken: u16 = right.iter().map(|(text, _)| columns(text)).sum();
        let room = width.saturating_sub(x + if taken > 0 { taken + 4 } else { 2 });
        let source = outside(source, usize::from(room), self.symbols);
        let x = self.put(x, 0, &[piece(format!("{source} "), Role::Dim)]);
        if taken == 0 || x + taken + 3 > width {
            return;
        }
        let x = self.put(width - taken - 3, 0, &[piece(" ", Role::Dim)]);
        let x = self.put(x, 0, right);
        self.put(x, 0, &[piece(" ", Role::Dim)]);
    }

    fn chart(&mut self) {
        for (y, [unicode, ascii, roles]) in (1..).zip(CURVES) {
            let label = match y {
                1 => "  1.0",
                4 => "  0.0",
                _ => "     ",
            };
            let axis = if label.trim().is_empty() {
                self.symbols.axis
            } else {
                self.symbols.tick
            };
            self.put(0, y, &[piece(label, Role::Dim), piece(axis, Role::Faint)]);
            let dots = if self.symbols.unicode { unicode } else { ascii };
            for (x, (dot, role)) in (AXIS..).zip(dots.chars().zip(roles.chars())) {
                let role = match role {
                    't' => Role::Train,
                    'b' => Role::TrainBand,
                    'v' => Role::Valid,
                    _ => continue,
                };
                self.put(x, y, &[piece(dot, role)]);
            }
        }
    }
}
