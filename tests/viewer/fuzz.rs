//! Fuzzing of everything that is parsed from disk or a socket: valid inputs are mutated at random and must be either
//! parsed or rejected, without a panic and without large allocations. `make fuzz` tries a million mutations of each
//! kind of input, `make test` a few thousand.

use epochtop::checkpoint::{
    BestSoFar, ComputeSetup, Entry, FORMAT, Manifest, State, decode, encode,
};
use epochtop::event::{
    Command, DatasetInfo, Event, F32, F64, GpuSample, Pixels, Record, Restoration, Split,
    StepWindow, SystemSample,
};
use epochtop::link::{
    EarlierPrediction, Filter, ImagePage, ImageRow, Query, Reply, StepValues, request,
};
use epochtop::random::Random;
use epochtop::run::{Curve, CurveId};
use epochtop::session::wire::{ClientHello, FromClient, FromTrainer, Role};

/// Parses an input; returns whether it was accepted.
type Target = fn(&[u8]) -> bool;

fn manifest() -> Vec<u8> {
    let file = |name: &str, bytes| Entry {
        name: name.to_owned(),
        bytes,
        blake3: "ab".repeat(32),
    };
    let manifest = Manifest {
        format: FORMAT,
        run: "first-try".to_owned(),
        global_step: 2580,
        epoch: 12,
        reason: "periodic".to_owned(),
        pinned: false,
        created_ms: 1_790_000_000_000,
        valid_accuracy_ppm: Some(942_000),
        validated: None,
        best_by: epochtop::config::BestBy::Accuracy,
        files: vec![file("model.safetensors", 1234), file("state.json", 99)],
        blake3: String::new(),
    };
    manifest.seal().unwrap()
}

fn state() -> Vec<u8> {
    let state = State {
        format: FORMAT,
        run: "first-try".to_owned(),
        epoch: 3,
        epoch_step: 17,
        epoch_done: false,
        global_step: 447,
        seed: 1,
        lr: 0.008,
        epochs: 46,
        best: Some(BestSoFar {
            accuracy: 0.93,
            epoch: 2,
            global_step: 430,
        }),
        temperature: Some((0.66, 430)),
        mark: 5,
        computed: ComputeSetup::default(),
        trainer: serde_json::json!({"sums": {"images": 3}, "stale": [0, "-inf"]}),
        data: "ab".repeat(32),
        dataset: DatasetInfo::default(),
        config: "[train]\nepochs = 46\n".to_owned(),
    };
    serde_json::to_vec_pretty(&state).unwrap()
}

fn tensors() -> Vec<u8> {
    let tensors = vec![
        ("a.weight".to_owned(), vec![2, 3], vec![0.5; 6]),
        ("b".to_owned(), vec![], vec![1.0]),
    ];
    encode(&tensors).unwrap()
}

fn records() -> Vec<Vec<u8>> {
    let steps = Event::Steps(StepWindow {
        global_step: 16,
        loss: vec![F32(1.0), F32(f32::NAN)],
        accuracy: vec![F32(0.5); 2],
        grad_norm: vec![F32(f32::INFINITY); 2],
        clipped: vec![0, 1],
        ..StepWindow::default()
    });
    let events = [
        steps,
        Event::Restored(Box::default()),
        Event::Restored(Box::new(Restoration {
            after: u64::MAX,
            ..Restoration::default()
        })),
        Event::Marked { mark: 3 },
        Event::Scalars {
            global_step: 16,
            values: vec![
                ("val/loss".to_owned(), F64(0.5)),
                ("f1".to_owned(), F64(f64::NAN)),
            ],
        },
        Event::System(Box::new(SystemSample {
            cpu: Some(0.5),
            gpus: vec![GpuSample::default()],
            ..SystemSample::default()
        })),
    ];
    let line = |event| {
        let record = Record {
            seq: 9,
            t_ms: 1,
            run_ms: None,
            event,
        };
        serde_json::to_vec(&record).unwrap()
    };
    events.into_iter().map(line).collect()
}

fn idx() -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4];
    bytes.extend(0..24);
    bytes
}

/// Client messages as encoded on the socket.
fn messages() -> Vec<Vec<u8>> {
    let images = |filter| {
        let (from, count) = (3, 9);
        let query = Query::Images {
            from,
            count,
            filter,
        };
        FromClient::Query(7, query)
    };
    let series = |curve| {
        let (from, to, points) = (1, 430, 100);
        let query = Query::Series {
            curve,
            from,
            to,
            points,
        };
        FromClient::Query(9, query)
    };
    let all = [
        FromClient::Hello(ClientHello::new(Role::Screen, "alice@node17".to_owned())),
        FromClient::Request(request(Command::SetLearningRate { lr: 1e-3 })),
        images(Filter::All),
        images(Filter::Class(u32::MAX)),
        images(Filter::Confused {
            truth: 1,
            predicted: 2,
        }),
        FromClient::Query(8, Query::Step { step: 430 }),
        series(Curve::TrainLoss.into()),
        series(CurveId::Named("val/loss".to_owned())),
        FromClient::Control,
    ];
    let framed = |message: &FromClient| {
        let mut bytes = Vec::new();
        message.send(&mut bytes).unwrap();
        bytes
    };
    all.iter().map(framed).collect()
}

/// Trainer replies as encoded on the socket.
fn replies() -> Vec<Vec<u8>> {
    let row = ImageRow {
        index: 3,
        label: 1,
        top: vec![(2, F32(0.75)), (1, F32(f32::NAN))],
        size: (1, 2),
        pixels: Pixels(vec![0, 255]),
        earlier: vec![EarlierPrediction::default(); 2],
    };
    let page = ImagePage {
        total: 10_000,
        from: 3,
        global_step: Some(430),
        split: Split::Test,
        rows: vec![row],
    };
    let reason = "no test-set evaluation yet".to_owned();
    let all = [
        Reply::Images(page),
        Reply::Step(Some(StepValues {
            values: vec![
                (Curve::GradNorm.into(), F64(f64::INFINITY)),
                (CurveId::Named("val/loss".to_owned()), F64(0.5)),
            ],
            ..StepValues::default()
        })),
        Reply::Step(None),
        Reply::Series(vec![(1, F32(f32::INFINITY))]),
        Reply::Unknown { reason },
    ];
    let framed = |reply| {
        let mut bytes = Vec::new();
        FromTrainer::Reply(7, reply).send(&mut bytes).unwrap();
        bytes
    };
    all.into_iter().map(framed).collect()
}

fn apply_record(bytes: &[u8]) -> bool {
    let Ok(record) = serde_json::from_slice::<Record>(bytes) else {
        return false;
    };
    epochtop::run::RunState::default().apply(&record);
    true
}

/// Applies one random mutation: flip a bit, replace a byte (by any value or by a syntax character), truncate, duplicate a
/// slice, insert a slice of another input, or delete a slice.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len().max(1));
    let Some(byte) = bytes.get_mut(at) else {
        return bytes.push(random.below(256) as u8);
    };
    match random.below(7) {
        0 => *byte ^= 1 << random.below(8),
        1 => *byte = random.below(256) as u8,
        2 => *byte = b"0123456789-.eE\"{}[],:"[random.below(21)],
        3 => bytes.truncate(at),
        4 => {
            let piece = bytes[at..(at + random.below(40)).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        5 => {
            let from = random.below(other.len().max(1)).min(other.len());
            let piece = &other[from..(from + random.below(40)).min(other.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
        _ => {
            let end = (at + 1 + random.below(8)).min(bytes.len());
            bytes.drain(at..end);
        }
    }
}

/// Peak resident memory of this process, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1))
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0)
}

#[expect(clippy::print_stdout, reason = "the counts are its output")]
fn fuzz(times: u64) {
    let targets: [(&str, Vec<Vec<u8>>, Target); 7] = [
        ("manifest", vec![manifest()], |b| Manifest::parse(b).is_ok()),
        ("state", vec![state()], |b| {
            serde_json::from_slice::<State>(b).is_ok()
        }),
        ("safetensors", vec![tensors()], |b| decode(b).is_ok()),
        ("journal line", records(), apply_record),
        ("socket message", messages(), |mut b| {
            matches!(FromClient::receive(&mut b), Ok(Some(_)))
        }),
        ("socket reply", replies(), |mut b| {
            matches!(FromTrainer::receive(&mut b), Ok(Some(_)))
        }),
        ("IDX", vec![idx()], |b| {
            epochtop::images::idx::parse(b).is_ok()
        }),
    ];
    let before = peak_kib();
    for (name, valid, target) in &targets {
        assert!(
            valid.iter().all(|bytes| target(bytes)),
            "{name}: unmodified inputs must be accepted"
        );
        let (mut accepted, mut random) = (0_u64, Random::new(&[1, times]));
        for _ in 0..times {
            let mut bytes = valid[random.below(valid.len())].clone();
            for _ in 0..=random.below(4) {
                mutate(&mut bytes, &valid[random.below(valid.len())], &mut random);
            }
            accepted += u64::from(target(&bytes));
        }
        println!("{name}: {times} mutated inputs, {accepted} accepted, the others rejected");
    }
    let grown = peak_kib().saturating_sub(before);
    println!("peak memory grew by {grown} KiB");
    assert!(
        grown < 64 << 10,
        "{grown} KiB: a parser allocated memory for an unchecked length field"
    );
}

#[test]
fn mutated_inputs_are_parsed_or_rejected() {
    fuzz(3_000);
}

#[test]
#[ignore = "minutes; make fuzz"]
fn a_million_changed_files_of_each_kind_are_read_or_refused() {
    fuzz(1_000_000);
}
