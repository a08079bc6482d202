//! The System page for different machines and their states.

use crossterm::event::KeyCode;
use epochtop::event::{Event, GpuProcess, GpuSample, Record, SystemSample, ThrottleReason};
use epochtop::tui::{App, Msg, Role, update};

use crate::screens::{app, dark, drawn, press, snapshot, text};
use crate::story;

const GIB: u64 = 1 << 30;
/// Number of system samples, five seconds apart.
const SAMPLES: u64 = 100;

/// A value from 0 to 1 that varies with the sample index; different `phase` values give different curves.
fn wave(i: u64, phase: f64) -> f32 {
    let t = i as f64;
    let wave = 0.55 + 0.3 * (t / 9.0 + phase).sin() + 0.15 * (t / 2.3 + 2.0 * phase).sin();
    (wave.clamp(0.0, 1.0) * 100.0).round() as f32 / 100.0
}

fn machine(i: u64) -> SystemSample {
    let cpu = (i > 0).then(|| wave(i, 0.0));
    SystemSample {
        cpu,
        cores: Some(16),
        load: Some(14.27),
        process_cpu: cpu.map(|cpu| cpu * 12.5),
        process_waiting: None,
        memory_used: Some((40.0 * GIB as f64 * f64::from(wave(i / 4, 1.0))) as u64),
        memory_total: Some(128 * GIB),
        process_rss: Some(6 * GIB + i * GIB / 50),
        disk_free: Some(83_900_000_000),
        disk_total: Some(270_600_000_000),
        gpus: Vec::new(),
    }
}

fn gpu(index: u32, i: u64) -> GpuSample {
    let phase = f64::from(index);
    let process = |pid, name: &str, gib| GpuProcess {
        pid,
        name: name.to_owned(),
        memory: Some(gib * GIB),
    };
    GpuSample {
        index,
        name: "NVIDIA H100 80GB HBM3".to_owned(),
        utilisation: Some(0.5 + wave(i, phase) / 2.0),
        memory_used: Some((61.5 * GIB as f64) as u64),
        memory_total: Some((79.6 * GIB as f64) as u64),
        power_w: Some(400.0 + 300.0 * wave(i, phase)),
        power_limit_w: Some(700.0),
        temperature_c: Some(50.0 + (20.0 * wave(i / 3, phase)).round()),
        clock_mhz: Some(1980 - 15 * index),
        max_clock_mhz: Some(1980),
        throttled: Vec::new(),
        processes: vec![
            process(4711, "epochtop", 57),
            process(812, "python3", 2),
            process(99_123, "jupyter-notebook-with-a-long-name", 1),
            process(99_124, "dcgm", 1),
        ],
        ours: index == 0,
    }
}

/// A run in its fourth epoch with these system samples.
fn with_samples(sample: impl Fn(u64) -> SystemSample) -> Vec<Record> {
    let mut records = story::midrun();
    let (seq, t_ms) = records.last().map_or((0, 0), |last| (last.seq, last.t_ms));
    records.extend((0..SAMPLES).map(|i| Record {
        seq: seq + 1 + i,
        t_ms: t_ms + 5000 * i,
        run_ms: None,
        event: Event::System(Box::new(sample(i))),
    }));
    records
}

fn throttled(i: u64) -> SystemSample {
    let mut gpu = gpu(0, i);
    gpu.temperature_c = Some(88.0);
    gpu.clock_mhz = Some(1410);
    gpu.throttled = vec![ThrottleReason::PowerLimit, ThrottleReason::Hot];
    SystemSample {
        gpus: vec![gpu],
        ..machine(i)
    }
}

fn eight(i: u64) -> SystemSample {
    let mut gpus: Vec<GpuSample> = (0..8).map(|index| gpu(index, i)).collect();
    gpus[5].throttled = vec![ThrottleReason::PowerBrake];
    gpus[5].clock_mhz = Some(990);
    SystemSample { gpus, ..machine(i) }
}

/// The System page after three drawn frames.
fn page(records: &[Record]) -> App {
    let mut app = app(records, true);
    press(&mut app, KeyCode::Char('8'));
    for (micros, bytes) in [(3100, 5200), (700, 5421), (800, 5642)] {
        update(&mut app, Msg::Drawn { micros, bytes });
    }
    app
}

fn screen(records: &[Record], size: (u16, u16)) -> String {
    text(&drawn(&mut page(records), size, &dark()))
}

#[test]
fn every_machine_at_three_sizes() {
    let machines = [
        ("none", story::midrun()),
        ("cpu", with_samples(machine)),
        ("throttled", with_samples(throttled)),
        ("eight", with_samples(eight)),
    ];
    for (name, records) in &machines {
        for size in [(80, 24), (120, 40), (200, 60)] {
            let name = format!("system_{name}_{}x{}", size.0, size.1);
            snapshot(&name, &screen(records, size));
        }
    }
    let mut plain = page(&machines[2].1);
    plain.settings.ascii = true;
    let plain = text(&drawn(&mut plain, (80, 24), &dark()));
    assert!(plain.is_ascii(), "{plain}");
    snapshot("system_ascii_80x24", &plain);
    snapshot("system_small_60x16", &screen(&machines[3].1, (60, 16)));
}

#[test]
fn main_values_are_on_a_small_screen_as_text() {
    let shown = screen(&with_samples(throttled), (80, 26));
    for words in [
        "16 cores, load 14.27",
        "GPU 0 NVIDIA H100 80GB HBM3",
        "this run",
        "throttled: power limit",
        "61.5 of 79.6 GiB",
        "439 of 700 W",
        "88°C",
        "1,410 of 1,980 MHz",
        "4711 epochtop 57.0 GiB",
        "83.9 of 270.6 GB free",
        "14,982 checkpoints",
        "ms",
        "images/s",
        "records",
        "frames",
    ] {
        assert!(shown.contains(words), "{words} in\n{shown}");
    }
    let eight = screen(&with_samples(eight), (80, 24));
    assert!(eight.contains("power suppl"), "{eight}");
    let none = screen(&with_samples(machine), (80, 24));
    assert!(none.contains("no NVIDIA GPU found (NVML absent)"), "{none}");
    let never = screen(&story::midrun(), (80, 24));
    assert!(never.contains("system.every_seconds"), "{never}");
}

#[test]
fn low_disk_space_is_marked() {
    let shown = |free| {
        let records = with_samples(|i| SystemSample {
            disk_free: Some(free),
            ..machine(i)
        });
        let mut page = page(&records);
        let buffer = drawn(&mut page, (80, 24), &dark());
        let row = text(&buffer);
        let y = row.lines().position(|line| line.starts_with("disk"));
        let y = y.expect("a row for the disk") as u16;
        (
            text(&buffer)
                .lines()
                .nth(usize::from(y))
                .unwrap()
                .to_owned(),
            buffer[(13, y)].style().fg,
        )
    };
    let warn = dark().style(Role::Warn).fg;
    let (row, color) = shown(30_000_000);
    assert!(row.contains("⚠") && row.contains("5 checkpoints"), "{row}");
    assert_eq!(color, warn);
    let (row, color) = shown(100_000_000_000);
    assert!(!row.contains("⚠"), "{row}");
    assert_ne!(color, warn);
}

#[test]
fn any_sample_can_be_drawn_at_any_size() {
    let odd = |i: u64| {
        let mut gpu = gpu(0, i);
        gpu.name = "\u{1b}[31mNVIDIA\u{202e} 長い名前\r\n".to_owned();
        gpu.throttled = vec![ThrottleReason::Other("\u{7}too\u{0}hot".to_owned()); 3];
        gpu.processes[0].name = "\u{1b}]0;gotcha\u{7}".to_owned();
        (gpu.power_w, gpu.power_limit_w) = (Some(1e30), Some(0.0));
        (gpu.memory_total, gpu.temperature_c) = (Some(0), Some(-5.0));
        (gpu.clock_mhz, gpu.max_clock_mhz) = (Some(u32::MAX), Some(0));
        SystemSample {
            cpu: Some(1e30),
            cores: Some(0),
            process_cpu: Some(-3.0),
            memory_used: Some(u64::MAX),
            memory_total: Some(1),
            disk_free: Some(u64::MAX),
            disk_total: Some(u64::MAX),
            gpus: vec![gpu; 3],
            ..SystemSample::default()
        }
    };
    let unknown = |_| SystemSample {
        gpus: (0..64)
            .map(|index| GpuSample {
                index,
                ..GpuSample::default()
            })
            .collect(),
        ..SystemSample::default()
    };
    let theme = dark();
    for records in [
        with_samples(odd),
        with_samples(unknown),
        with_samples(eight),
    ] {
        let mut app = page(&records);
        let small =
            (0..=70).flat_map(|width| [0, 1, 15, 16, 17, 20, 25].map(|height| (width, height)));
        for size in small.chain([(80, 24), (100, 30), (300, 20), (61, 120), (400, 100)]) {
            app.settings.ascii = size.0 % 5 == 0;
            let screen = text(&drawn(&mut app, size, &theme));
            assert!(!screen.contains(|c: char| c.is_control() && c != '\n'));
            assert!(!app.settings.ascii || screen.is_ascii(), "{screen}");
        }
    }
}

#[test]
fn frame_times_and_bytes_are_counted() {
    let app = page(&with_samples(machine));
    let frames = app.frames;
    assert_eq!((frames.frames, frames.draw_us_last), (3, 800));
    assert_eq!((frames.draw_us_mean(), frames.draw_us_max), (1533, 3100));
    assert_eq!(frames.bytes, 5642);
}

#[test]
fn time_waited_for_a_core_is_shown_and_marked() {
    let shown = |waiting, size| {
        let records = with_samples(|i| SystemSample {
            cores: Some(2),
            process_cpu: Some(1.32),
            process_waiting: Some(waiting),
            ..machine(i)
        });
        let buffer = drawn(&mut page(&records), size, &dark());
        let lines = text(&buffer);
        let y = lines.lines().position(|line| line.contains("busy"));
        let y = y.expect("a row for the trainer");
        let row = lines.lines().nth(y).unwrap().to_owned();
        (row, buffer[(13, y as u16)].style().fg)
    };
    let warn = dark().style(Role::Warn).fg;
    let (row, color) = shown(0.7, (160, 40));
    assert!(row.contains("1.32 cores busy, 0.70 waiting"), "{row}");
    assert_eq!(color, warn);
    let (row, color) = shown(0.01, (80, 24));
    assert!(row.contains("1.32 busy, 0.01 wait"), "{row}");
    assert_ne!(color, warn);
}
