//! The system page: CPU, memory, disk and GPUs with their history; time per step, event channel and screen.
//!
//! ```text
//!  title          1 row       spare rows go to the histories, first of the GPUs, then of the machine
//!  machine        5 rows      CPU and memory, each with the part of the trainer; disk
//!  GPUs                       blocks of 7 rows, of 4 rows, or a table with a row each, whichever fits
//!  step, channel, screen
//! ```

mod gpu;
mod meter;
mod table;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::paint::{self, Piece, first_fit, piece, put_pieces, rule_line};
use crate::event::{StepTime, SystemSample, share_of};
use crate::run::{CROWDED, Trace, checkpoints_left, clock};
use crate::tui::layout::{bottom, top};
use crate::tui::page::Pane;
use crate::tui::text::{count, maybe, number, short_percent};
use crate::tui::theme::Role;
use meter::{LABEL, Meter, gib};

/// Maximum height of a history in rows, and number of meters whose history can grow.
const TALLEST: u16 = 12;
const GROWING: u16 = 2;
/// Fewer checkpoints than this, or a smaller free fraction of the disk, give a warning.
const FEW_CHECKPOINTS: u64 = 10;
const LITTLE_DISK: f32 = 0.05;
/// A larger fraction of memory in use gives a warning.
const MUCH_MEMORY: f32 = 0.95;

/// Draws the page.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let body = paint::title(ctx, buf, area, Pane::System, "", age(ctx));
    let mut lines = step_rows(ctx);
    lines.push(first_fit(channel_rows(ctx), body.width));
    lines.push(first_fit(screen_rows(ctx), body.width));
    let ruled = body.height >= 18;
    let (foot, body) = bottom(body, lines.len() as u16 + u16::from(ruled));
    let history = &ctx.app.run.system;
    let Some(sample) = &history.latest else {
        paint::empty(ctx, buf, body, ctx.panel(Pane::System).empty);
        footer_rows(ctx, &lines, ruled, foot, buf);
        return;
    };
    let used = machine_and_gpus(ctx, sample, body, buf);
    // The following rows are drawn directly below the others, not at the bottom of the screen.
    let foot = Rect {
        y: body.y.saturating_add(used),
        ..foot
    };
    footer_rows(ctx, &lines, ruled, foot, buf);
}

/// Age of the sample.
fn age(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
    let run = &ctx.app.run;
    let Some(sampled) = run.system.latest_ms() else {
        return Vec::new();
    };
    let words = if ctx.app.ticking() {
        let age = ctx.app.clock_ms().saturating_sub(sampled);
        format!("updated {:>4} ago", clock(age))
    } else {
        format!("as of {}", clock(sampled.saturating_sub(run.started_ms)))
    };
    vec![vec![piece(words, Role::Dim)]]
}

fn footer_rows(ctx: &Ctx<'_>, lines: &[Vec<Piece>], ruled: bool, area: Rect, buf: &mut Buffer) {
    let mut area = area;
    if ruled {
        rule_line(ctx, buf, area, Role::Rule);
        area = top(area, 1).1;
    }
    for (line, y) in lines.iter().zip(0..area.height) {
        put_pieces(ctx, buf, area, 0, y, line);
    }
}

/// Draws the meters of the machine and of the GPUs; returns the rows used.
fn machine_and_gpus(ctx: &Ctx<'_>, sample: &SystemSample, area: Rect, buf: &mut Buffer) -> u16 {
    let mut meters = machine(ctx, sample);
    // If rows are scarce, the row for the trainer's memory is dropped.
    if usize::from(area.height) < meters.len() + 1 + sample.gpus.len() {
        meters.remove(3);
    }
    let least = meters.len() as u16;
    let plan = gpu::plan(&sample.gpus, area.width, area.height.saturating_sub(least));
    let spare = area.height.saturating_sub(least + plan.rows(1));
    let tall = plan.tallest(spare);
    let spare = spare.saturating_sub(plan.rows(tall) - plan.rows(1));
    let rows = (1 + spare / GROWING).min(TALLEST);
    let used = meter::draw_all(ctx, &meters, rows, area, buf);
    let (_, rest) = top(area, used);
    plan.draw(ctx, &sample.gpus, tall, rest, buf);
    used.saturating_add(plan.rows(tall)).min(area.height)
}

/// The meters of CPU, memory and disk.
fn machine<'a>(ctx: &Ctx<'a>, sample: &SystemSample) -> Vec<Meter<'a>> {
    let history = &ctx.app.run.system;
    let dash = ctx.symbols.dash;
    let cores = sample.cores.map(|cores| cores as f32);
    let busy = sample.process_cpu.zip(cores);
    let busy = busy.and_then(|(busy, cores)| (cores > 0.0).then(|| busy / cores));
    let load = format!(
        "{:>3} cores, load {}",
        sample
            .cores
            .map_or_else(|| dash.to_owned(), |n| n.to_string()),
        maybe(sample.load.map(f64::from), 2, 5, dash)
    );
    let memory = share_of(sample.memory_used, sample.memory_total);
    let of = format!(
        "{} of {} GiB",
        gib(sample.memory_used, dash),
        gib(sample.memory_total, dash).trim_start()
    );
    let resident = format!("{} GiB", gib(sample.process_rss, dash));
    let past = |trace: &'a Trace, most: f32| Some((trace, most));
    vec![
        Meter::new("CPU", sample.cpu, load, past(&history.cpu, 1.0)).growing(),
        Meter::new(
            "  trainer",
            busy,
            String::new(),
            past(&history.process_cpu, cores.unwrap_or(1.0).max(1.0)),
        )
        .words(trainer_words(sample, dash))
        .warn(
            history
                .waiting_share()
                .is_some_and(|share| share >= CROWDED),
        )
        .growing(),
        Meter::new("memory", memory, of, past(&history.memory, 1.0))
            .warn(memory.is_some_and(|share| share > MUCH_MEMORY)),
        Meter::new(
            "  trainer",
            share_of(sample.process_rss, sample.memory_total),
            resident,
            past(&history.rss, 1.0),
        ),
        disk(ctx, sample),
    ]
}

/// The cores that the trainer uses and those that its threads wait for.
fn trainer_words(sample: &SystemSample, dash: &str) -> Vec<String> {
    let busy = maybe(sample.process_cpu.map(f64::from), 2, 6, dash);
    let Some(waiting) = sample.process_waiting else {
        return vec![format!("{busy} cores busy")];
    };
    let waiting = maybe(Some(f64::from(waiting)), 2, 4, dash);
    vec![
        format!("{busy} cores busy, {waiting} waiting"),
        format!("{} busy, {waiting} wait", busy.trim_start()),
    ]
}

/// The meter of the disk, with the number of checkpoints that fit.
fn disk<'a>(ctx: &Ctx<'a>, sample: &SystemSample) -> Meter<'a> {
    let dash = ctx.symbols.dash;
    let free = share_of(sample.disk_free, sample.disk_total);
    let gigabytes = |bytes: Option<u64>| maybe(bytes.map(|bytes| bytes as f64 / 1e9), 1, 6, dash);
    let room = gigabytes(sample.disk_free);
    let plain = format!("{room} GB free");
    let left = checkpoints_left(&ctx.app.run);
    let few = left.is_some_and(|left| left < FEW_CHECKPOINTS);
    let little = free.is_some_and(|free| free < LITTLE_DISK);
    let warn = few || little;
    let mark = if warn {
        format!("{} ", ctx.symbols.warning)
    } else {
        String::new()
    };
    let total = format!(" of {} GB", gigabytes(sample.disk_total).trim_start());
    let all = plain.replace(" GB", &total);
    let mut words = Vec::new();
    if let Some(left) = left {
        let left = count(left);
        words.push(format!("{mark}{all}, room for {left} checkpoints"));
        words.push(format!("{mark}{all}, {left} checkpoints"));
        words.push(format!("{mark}{plain}, {left} checkpoints"));
    } else {
        words.push(format!("{mark}{all}"));
    }
    words.push(format!("{mark}{plain}"));
    let used = free.map(|free| 1.0 - free);
    Meter::choice("disk", used, words).warn(warn)
}

fn labelled(label: &str) -> Piece {
    piece(
        format!("{label:<width$}", width = usize::from(LABEL)),
        Role::Dim,
    )
}

fn amount(value: String, unit: &str) -> [Piece; 2] {
    [
        piece(value, Role::Text),
        piece(format!(" {unit}   "), Role::Dim),
    ]
}

/// Time per step, and its breakdown.
fn step_rows(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
    let (run, dash) = (&ctx.app.run, ctx.symbols.dash);
    let speed = run.images_per_second.value();
    let speed = speed.filter(|speed| speed.is_finite() && *speed > 0.0);
    // A second mean over another period would contradict the speed in the header.
    let batch = run.info.as_ref().map(|info| f64::from(info.batch_size));
    let step = batch
        .zip(speed)
        .map(|(batch, speed)| batch * 1000.0 / speed);
    let speed = speed.map_or_else(|| dash.to_owned(), |v| count(v as u64));
    let mut row = vec![labelled("step")];
    row.extend(amount(maybe(step, 1, 7, dash), "ms"));
    row.extend(amount(format!("{speed:>7}"), "images/s"));
    let mut rows = vec![row];
    if let Some(time) = &run.step_time {
        rows.extend(breakdown_rows(time, ctx.app.ui.size.0));
    }
    rows
}

/// Width of the bar that shows the breakdown of a step.
const DIVIDED: f64 = 40.0;

/// Minimum width for milliseconds next to each fraction.
const MILLIS: u16 = 116;

/// Breakdown of the time per step: a bar of the initials of its parts, then the numbers.
fn breakdown_rows(time: &StepTime, width: u16) -> [Vec<Piece>; 2] {
    const ROLES: [Role; 6] = [
        Role::Warn,
        Role::Key,
        Role::Train,
        Role::Valid,
        Role::Gradient,
        Role::Dim,
    ];
    let total = time.total_ms();
    let (mut bar, mut numbers) = (vec![labelled("breakdown")], vec![labelled("")]);
    let (mut drawn, mut reached) = (0, 0.0);
    // With a sixth part, names and numbers need more room.
    let has_loader = time.loader_ms.0 > 0.0;
    let has_millis = width >= MILLIS + if has_loader { 20 } else { 0 };
    for ((name, ms), role) in time.parts().into_iter().zip(ROLES) {
        if name == "loader" && !has_loader {
            continue;
        }
        let name = match name {
            "forward" if has_loader && !has_millis => "fwd",
            "backward" if has_loader && !has_millis => "bwd",
            "optimizer" if has_loader && !has_millis => "opt",
            name => name,
        };
        let share = if total > 0.0 { ms / total } else { 0.0 };
        reached += share.clamp(0.0, 1.0);
        // Ends are rounded instead of lengths, so that the bar always has the same length.
        let end = (reached * DIVIDED).round() as usize;
        let letter = name.get(..1).unwrap_or(" ").to_uppercase();
        bar.push(piece(letter.repeat(end.saturating_sub(drawn)), role));
        drawn = end.max(drawn);
        numbers.push(piece(format!("{name} "), Role::Dim));
        if has_millis {
            let decimals = usize::from(ms < 999.95);
            let ms = format!("{} ms", number(ms, decimals, 5));
            numbers.push(piece(ms, Role::Text));
        }
        numbers.push(piece(format!("{}  ", short_percent(share)), Role::Text));
    }
    let how = if time.sampled {
        "   1 step, synchronized after each part".to_owned()
    } else {
        format!("   mean of {} steps", count(time.steps))
    };
    bar.push(piece(how, Role::Dim));
    [bar, numbers]
}

/// Records received over the event channel, and the age of the last one; variants from the most to the least detailed.
fn channel_rows(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
    let app = ctx.app;
    let mut row = vec![labelled("channel")];
    row.extend(amount(format!("{:>7}", count(app.run.seq)), "records"));
    let records = row.clone();
    if app.ticking() {
        let age = app.clock_ms().saturating_sub(app.run.now_ms);
        row.push(piece(format!("last {:>4} ago   ", clock(age)), Role::Dim));
    }
    let (times, role) = match app.resyncs {
        0 => ("no dropped updates".to_owned(), Role::Dim),
        1 => ("dropped updates once".to_owned(), Role::Text),
        n => (format!("dropped updates {} times", count(n)), Role::Text),
    };
    let times = piece(times, role);
    row.push(times.clone());
    vec![row, [&records[..], &[times]].concat()]
}

/// Cost of the frames of this screen; variants from the most to the least detailed.
fn screen_rows(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
    let frames = &ctx.app.frames;
    let mut row = vec![labelled("screen")];
    if frames.frames == 0 {
        let words = "frame cost: shown from the second frame on";
        row.push(piece(words, Role::Dim));
        return vec![row];
    }
    row.extend(amount(format!("{:>7}", count(frames.frames)), "frames"));
    let each = frames.bytes / frames.frames.max(1);
    let bytes = amount(format!("{:>6}", count(each)), "bytes each");
    let millis = |micros: u64| piece(number(micros as f64 / 1000.0, 1, 5), Role::Text);
    let dim = |words: &str| piece(words, Role::Dim);
    let last = [millis(frames.draw_us_last), dim(" ms to draw")];
    let others = [
        dim(", mean"),
        millis(frames.draw_us_mean()),
        dim(", max"),
        millis(frames.draw_us_max),
    ];
    vec![
        [&row[..], &bytes, &last, &others].concat(),
        [&row[..], &last, &others].concat(),
        [&row[..], &last].concat(),
    ]
}
