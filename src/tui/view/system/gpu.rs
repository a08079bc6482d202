//! The GPUs: a block each, as detailed as the rows permit, or a [`table`] with a row each.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::ctx::Ctx;
use super::super::paint::{Piece, first_fit, piece, put_pieces, put_right, rule_line, width_of};
use super::meter::{LABEL, Meter, draw_all, gib};
use super::table::table;
use crate::event::{GpuSample, share_of};
use crate::run::Trace;
use crate::tui::layout::{GUTTER, top};
use crate::tui::text::{count, maybe, outside};
use crate::tui::theme::Role;

/// Minimum width of a block.
const BLOCK: u16 = 58;
/// Rows of a full and of a short block, including their headings.
const FULL: u16 = 7;
const SHORT: u16 = 4;
/// Number of meters in a full block whose history can grow.
const GROWING: u16 = 2;
/// Maximum height of a history in rows.
const TALLEST: u16 = 8;
/// Temperature in °C that fills the bar, and from which a GPU counts as hot.
const HOTTEST: f32 = 100.0;
pub(super) const HOT: f32 = 85.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    None,
    Full,
    Short,
    Table,
}

/// The layout of the GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    style: Style,
    gpus: u16,
    columns: u16,
    /// Number of GPUs that fit.
    height: u16,
}

/// The most detailed layout that fits; of two equally detailed ones, that with fewer, wider columns.
pub(super) fn plan(gpus: &[GpuSample], width: u16, height: u16) -> Plan {
    let count = gpus.len() as u16;
    let most = ((width + GUTTER) / (BLOCK + GUTTER)).clamp(1, count.max(1));
    let of = |style, columns| Plan {
        style,
        gpus: count,
        columns,
        height,
    };
    if count == 0 {
        return of(Style::None, 1);
    }
    let blocks = [Style::Full, Style::Short].into_iter();
    blocks
        .flat_map(|style| (1..=most).map(move |columns| of(style, columns)))
        .find(|plan| plan.rows(1) <= height)
        .unwrap_or(of(Style::Table, 1))
}

impl Plan {
    /// Number of rows with histories of height `tall`.
    pub(super) fn rows(self, tall: u16) -> u16 {
        let lines = self.gpus.div_ceil(self.columns.max(1));
        match self.style {
            Style::None => 1,
            Style::Full => lines * (FULL + GROWING * (tall - 1)),
            Style::Short => lines * SHORT,
            Style::Table => (1 + self.gpus).min(self.height),
        }
    }

    /// Maximum height of histories with `spare` additional rows.
    pub(super) fn tallest(self, spare: u16) -> u16 {
        (1..=TALLEST)
            .take_while(|tall| self.rows(*tall) - self.rows(1) <= spare)
            .last()
            .unwrap_or(1)
    }

    /// Draws the GPUs.
    pub(super) fn draw(
        self,
        ctx: &Ctx<'_>,
        gpus: &[GpuSample],
        tall: u16,
        area: Rect,
        buf: &mut Buffer,
    ) {
        match self.style {
            Style::None => {
                let words = [
                    piece(
                        format!("{:<width$}", "GPU", width = usize::from(LABEL)),
                        Role::Dim,
                    ),
                    piece("no NVIDIA GPU found (NVML absent)", Role::Dim),
                ];
                put_pieces(ctx, buf, area, 0, 0, &words);
            }
            Style::Table => table(ctx, gpus, area, buf),
            Style::Full | Style::Short => self.blocks(ctx, gpus, tall, area, buf),
        }
    }

    fn blocks(self, ctx: &Ctx<'_>, gpus: &[GpuSample], tall: u16, area: Rect, buf: &mut Buffer) {
        let columns = self.columns.max(1);
        let width = (area.width + GUTTER) / columns - GUTTER.min(area.width);
        let mut rest = area;
        for line in gpus.chunks(usize::from(columns)) {
            let rows = self.rows(tall) / self.gpus.div_ceil(columns).max(1);
            let (row, below) = top(rest, rows);
            for (gpu, i) in line.iter().zip(0..) {
                let place = Rect {
                    x: row.x + i * (width + GUTTER),
                    width,
                    ..row
                };
                block(ctx, gpu, self.style == Style::Full, tall, place, buf);
            }
            rest = below;
        }
    }
}

/// Draws a GPU with all its meters.
fn block(ctx: &Ctx<'_>, gpu: &GpuSample, full: bool, tall: u16, area: Rect, buf: &mut Buffer) {
    heading(ctx, gpu, area, buf);
    let (_, body) = top(area, 1);
    let mut meters = meters(ctx, gpu);
    if !full {
        meters.truncate(2);
    }
    let used = draw_all(ctx, &meters, if full { tall } else { 1 }, body, buf);
    let (_, last) = top(body, used);
    let line = if full {
        processes(ctx, gpu, last.width)
    } else {
        first_fit(summary_line(ctx, gpu), last.width)
    };
    put_pieces(ctx, buf, last, 0, 0, &line);
}

/// Draws index and name, whether this run uses it, and whether it is throttled.
fn heading(ctx: &Ctx<'_>, gpu: &GpuSample, area: Rect, buf: &mut Buffer) {
    rule_line(ctx, buf, area, Role::Rule);
    let mut pieces = vec![
        piece(ctx.symbols.rule, Role::Rule),
        piece(format!(" GPU {} ", gpu.index), Role::Title),
        piece(
            format!("{} ", outside(&gpu.name, 28, ctx.symbols)),
            Role::Text,
        ),
    ];
    if gpu.ours {
        pieces.push(piece(format!("{} ", ctx.symbols.training), Role::Good));
        pieces.push(piece("this run ", Role::Dim));
    }
    let x = put_pieces(ctx, buf, area, 0, 0, &pieces);
    let room = area.width.saturating_sub(x + 2);
    let words = throttling(ctx, gpu, room);
    put_right(ctx, buf, area, x + 1, 0, &words);
}

/// The reason for throttling, shortened to the room; empty if the GPU is not throttled.
pub(super) fn throttling(ctx: &Ctx<'_>, gpu: &GpuSample, room: u16) -> Vec<Piece> {
    if gpu.throttled.is_empty() {
        return Vec::new();
    }
    let mark = ctx.symbols.warning;
    let cut = |width: u16| outside(&gpu.throttle_words(), usize::from(width), ctx.symbols);
    let all = format!(" {mark} throttled: {} ", cut(u16::MAX));
    // A shortened reason is more informative than the symbol alone.
    let part = if room < 16 {
        format!(" {mark} ")
    } else {
        format!(" {mark} {} ", cut(room - 4))
    };
    let choices = [all, part].map(|words| vec![piece(words, Role::Warn)]);
    first_fit(choices.to_vec(), room)
}

fn meters<'a>(ctx: &Ctx<'a>, gpu: &GpuSample) -> Vec<Meter<'a>> {
    let dash = ctx.symbols.dash;
    let history = ctx.app.run.system.gpu(gpu.index);
    let past = |trace: fn(&'a crate::run::GpuHistory) -> &'a Trace, most: f32| {
        history.map(|history| (trace(history), most))
    };
    let memory = format!(
        "{} of {} GiB",
        gib(gpu.memory_used, dash),
        gib(gpu.memory_total, dash).trim_start()
    );
    let limit = gpu.power_limit_w.filter(|limit| *limit > 0.0);
    let power = gpu.power_w.zip(limit).map(|(now, limit)| now / limit);
    let drawn = history.map_or(0.0, |history| {
        history
            .power
            .iter()
            .flatten()
            .copied()
            .fold(0.0_f32, f32::max)
    });
    let degrees = if ctx.symbols.unicode { "°C" } else { "C" };
    let temperature = gpu.temperature_c.map_or_else(
        || dash.to_owned(),
        |celsius| format!("{celsius:.0}{degrees}"),
    );
    let hot = gpu.temperature_c.is_some_and(|celsius| celsius >= HOT);
    let clock = gpu
        .clock_mhz
        .zip(gpu.max_clock_mhz)
        .filter(|(_, most)| *most > 0);
    vec![
        Meter::new(
            "utilisation",
            gpu.utilisation,
            String::new(),
            past(|history| &history.utilisation, 1.0),
        )
        .growing(),
        Meter::new(
            "memory",
            share_of(gpu.memory_used, gpu.memory_total),
            memory,
            past(|history| &history.memory, 1.0),
        ),
        Meter::new(
            "power",
            power,
            watts(ctx, gpu),
            past(|history| &history.power, limit.unwrap_or(drawn.max(1.0))),
        )
        .growing(),
        Meter::new(
            "temperature",
            gpu.temperature_c.map(|celsius| celsius / HOTTEST),
            if hot { "hot".to_owned() } else { String::new() },
            past(|history| &history.temperature, HOTTEST),
        )
        .value(temperature)
        .warn(hot),
        Meter::choice(
            "clock",
            clock.map(|(now, most)| now as f32 / most as f32),
            vec![megahertz(ctx, gpu)],
        )
        .warn(!gpu.throttled.is_empty()),
    ]
}

fn watts(ctx: &Ctx<'_>, gpu: &GpuSample) -> String {
    let watts = |value: Option<f32>| maybe(value.map(f64::from), 0, 5, ctx.symbols.dash);
    let limit = gpu.power_limit_w.map(|limit| watts(Some(limit)));
    let of = limit.map_or_else(String::new, |limit| format!(" of {}", limit.trim_start()));
    format!("{}{of} W", watts(gpu.power_w))
}

fn megahertz(ctx: &Ctx<'_>, gpu: &GpuSample) -> String {
    let number = |clock: Option<u32>| {
        clock.map_or_else(
            || ctx.symbols.dash.to_owned(),
            |clock| count(u64::from(clock)),
        )
    };
    match gpu.max_clock_mhz {
        Some(most) => format!(
            "{:>5} of {} MHz",
            number(gpu.clock_mhz),
            count(u64::from(most))
        ),
        None => format!("{:>5} MHz", number(gpu.clock_mhz)),
    }
}

/// Power, temperature, clock and processes in one line, for a block without rows for them.
fn summary_line(ctx: &Ctx<'_>, gpu: &GpuSample) -> Vec<Vec<Piece>> {
    let degrees = if ctx.symbols.unicode { "°C" } else { "C" };
    let celsius = maybe(gpu.temperature_c.map(f64::from), 0, 3, ctx.symbols.dash);
    let mut pieces = vec![
        piece(watts(ctx, gpu).trim_start().to_owned(), Role::Text),
        piece(format!("  {celsius} {degrees}"), Role::Text),
        piece(format!("  {}", megahertz(ctx, gpu)), Role::Text),
        piece(format!("  {} processes", gpu.processes.len()), Role::Dim),
    ];
    let all = pieces.clone();
    pieces.pop();
    let fewer = pieces.clone();
    pieces.pop();
    vec![all, fewer, pieces]
}

/// The processes on the GPU, as many as fit, and the number of the others.
fn processes(ctx: &Ctx<'_>, gpu: &GpuSample, width: u16) -> Vec<Piece> {
    let label = piece(
        format!("{:<width$}", "processes", width = usize::from(LABEL)),
        Role::Dim,
    );
    if gpu.processes.is_empty() {
        return vec![label, piece("none visible", Role::Dim)];
    }
    let mut line = vec![label];
    for (i, process) in gpu.processes.iter().enumerate() {
        let name = match outside(&process.name, 20, ctx.symbols) {
            name if name.is_empty() => "?".to_owned(),
            name => name,
        };
        let memory = process.memory.map_or_else(String::new, |bytes| {
            format!(" {} GiB", gib(Some(bytes), "").trim_start())
        });
        let gap = if i > 0 { "   " } else { "" };
        let next = [
            piece(format!("{gap}{} ", process.pid), Role::Dim),
            piece(format!("{name}{memory}"), Role::Text),
        ];
        let left = gpu.processes.len() - i;
        let more = piece(format!("   {left} more"), Role::Dim);
        // Room is reserved for the number of the others, unless this is the last process.
        let after = if left > 1 {
            width_of(std::slice::from_ref(&more))
        } else {
            0
        };
        if i > 0 && width_of(&line) + width_of(&next) + after > width {
            line.push(more);
            break;
        }
        line.extend(next);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_detailed_layout_that_fits_is_chosen() {
        let way = |gpus, width, height| {
            let plan = plan(&vec![GpuSample::default(); gpus], width, height);
            (plan.style, plan.columns)
        };
        assert_eq!(way(0, 80, 20), (Style::None, 1));
        assert_eq!(way(1, 80, 12), (Style::Full, 1));
        assert_eq!(way(1, 200, 12), (Style::Full, 1));
        assert_eq!(way(8, 200, 40), (Style::Full, 2));
        assert_eq!(way(8, 200, 21), (Style::Full, 3));
        assert_eq!(way(8, 120, 20), (Style::Short, 2));
        assert_eq!(way(8, 80, 11), (Style::Table, 1));
        assert_eq!(way(64, 80, 0), (Style::Table, 1));
    }

    #[test]
    fn no_layout_exceeds_the_available_rows() {
        for gpus in 0..=64 {
            for height in 1..60 {
                for width in [0, 60, 80, 120, 200, 400] {
                    let plan = plan(&vec![GpuSample::default(); gpus], width, height);
                    let tall = plan.tallest(height - plan.rows(1));
                    assert!(plan.rows(tall) <= height, "{plan:?}");
                }
            }
        }
    }
}
