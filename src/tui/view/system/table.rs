//! A table of GPUs with a row each, used if there are many of them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::ctx::Ctx;
use super::super::paint::{Piece, bar, piece, put_pieces, put_right};
use super::gpu::{HOT, throttling};
use super::meter::gib;
use crate::event::GpuSample;
use crate::tui::layout::top;
use crate::tui::text::{count, maybe, short_percent};
use crate::tui::theme::Role;

/// A column of the table: heading, width, and cell. On a narrow page the last columns are dropped first.
struct Column {
    heading: &'static str,
    width: u16,
    cell: fn(&Ctx<'_>, &GpuSample, u16) -> Vec<Piece>,
}

const TABLE: [Column; 7] = [
    Column {
        heading: "GPU",
        width: 5,
        cell: |ctx, gpu, _| {
            let mark = |is: bool, mark| if is { mark } else { " " };
            let slow = mark(!gpu.throttled.is_empty(), ctx.symbols.warning);
            vec![
                piece(format!("{:>2} ", gpu.index), Role::Text),
                piece(mark(gpu.ours, ctx.symbols.training), Role::Good),
                piece(slow, Role::Warn),
            ]
        },
    },
    Column {
        heading: "utilisation",
        width: 14,
        cell: |ctx, gpu, width| {
            let share = gpu.utilisation.map(f64::from);
            let mut pieces = bar(ctx, share.unwrap_or(0.0), width - 5, Role::Gauge);
            let share = share.map_or_else(|| format!("{:>4}", ctx.symbols.dash), short_percent);
            pieces.push(piece(format!(" {share}"), Role::Strong));
            pieces
        },
    },
    Column {
        heading: " memory GiB",
        width: 11,
        cell: |ctx, gpu, _| {
            let of = |bytes| gib(bytes, ctx.symbols.dash);
            let text = format!("{}/{}", of(gpu.memory_used), of(gpu.memory_total));
            vec![piece(text, Role::Text)]
        },
    },
    Column {
        heading: "power W",
        width: 9,
        cell: |ctx, gpu, _| {
            let watts = |value: Option<f32>| maybe(value.map(f64::from), 0, 4, ctx.symbols.dash);
            let text = format!("{}/{}", watts(gpu.power_w), watts(gpu.power_limit_w));
            vec![piece(text, Role::Text)]
        },
    },
    Column {
        heading: "  C",
        width: 3,
        cell: |ctx, gpu, _| {
            let celsius = gpu.temperature_c.map(f64::from);
            let role = if celsius.is_some_and(|c| c >= f64::from(HOT)) {
                Role::Warn
            } else {
                Role::Text
            };
            vec![piece(maybe(celsius, 0, 3, ctx.symbols.dash), role)]
        },
    },
    Column {
        heading: "  MHz",
        width: 5,
        cell: |ctx, gpu, _| {
            let clock = gpu.clock_mhz.map(|clock| count(u64::from(clock)));
            let clock = clock.unwrap_or_else(|| ctx.symbols.dash.to_owned());
            vec![piece(format!("{clock:>5}"), Role::Text)]
        },
    },
    Column {
        heading: "proc",
        width: 4,
        cell: |_, gpu, _| vec![piece(format!("{:>4}", gpu.processes.len()), Role::Text)],
    },
];

/// Draws the table. The reason for throttling uses the remaining columns.
pub(super) fn table(ctx: &Ctx<'_>, gpus: &[GpuSample], area: Rect, buf: &mut Buffer) {
    let mut used = 0;
    let columns: Vec<(u16, &Column)> = TABLE
        .iter()
        .map_while(|column| {
            let at = used;
            used += column.width + 2;
            (used <= area.width).then_some((at, column))
        })
        .collect();
    let end = columns
        .last()
        .map_or(0, |(at, column)| at + column.width + 1);
    for (at, column) in &columns {
        let heading = [piece(column.heading, Role::Dim)];
        put_pieces(ctx, buf, area, *at, 0, &heading);
    }
    let (_, body) = top(area, 1);
    let shown = usize::from(body.height).min(gpus.len());
    for (gpu, y) in gpus.iter().zip(0..body.height) {
        for (at, column) in &columns {
            let cell = (column.cell)(ctx, gpu, column.width);
            put_pieces(ctx, buf, body, *at, y, &cell);
        }
        let room = area.width.saturating_sub(end);
        let words = throttling(ctx, gpu, room);
        put_pieces(ctx, buf, body, end, y, &words);
    }
    hidden(ctx, gpus.get(shown..).unwrap_or_default(), body, buf);
}

/// Writes over the end of the last row how many GPUs are hidden, and how many of those are throttled.
fn hidden(ctx: &Ctx<'_>, gpus: &[GpuSample], area: Rect, buf: &mut Buffer) {
    let slow = gpus.iter().filter(|gpu| !gpu.throttled.is_empty()).count();
    if gpus.is_empty() || area.height == 0 {
        return;
    }
    let (more, mark) = (gpus.len(), ctx.symbols.down);
    let pieces = if slow > 0 {
        let text = format!("  {more} more, {slow} throttled {mark}");
        [piece(text, Role::Warn)]
    } else {
        [piece(format!("  {more} more {mark}"), Role::Dim)]
    };
    put_right(ctx, buf, area, 0, area.height - 1, &pieces);
}
