//! A small data set, and training runs in the test process.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_channel::Sender;
use epochtop::config::{Config, OptimName};
use epochtop::event::{Answer, Command, Event, Record, Request};
use epochtop::files::Dir;
use epochtop::images::{self, Dataset};
use epochtop::link::{Feed, request};
use epochtop::run::RunState;
use epochtop::session::Session;
use epochtop::train::{self, Job};

/// libtorch has one random generator per process, which parallel tests share: hold this lock while drawing from it.
pub(crate) fn generator() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes of an IDX file of `u8` values with these dimensions.
pub(crate) fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// Rows and columns of the images of [`shapes`].
pub(crate) const SHAPE: (usize, usize) = (20, 24);

/// Writes a data set of 20×24 images in three easy classes (7:2:1): horizontal bars, vertical bars, discs.
pub(crate) fn shapes(dir: &Path) {
    let mut random = epochtop::random::Random::new(&[7]);
    for (prefix, count) in [("train", 600), ("t10k", 200)] {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for i in 0..count {
            let label = [0_u8, 0, 1, 0, 0, 2, 0, 1, 0, 0][i % 10];
            labels.push(label);
            pixels.extend(shape(label, &mut random));
        }
        let (rows, columns) = SHAPE;
        let images = idx(&[count as u32, rows as u32, columns as u32], &pixels);
        fs::write(dir.join(format!("{prefix}-images-idx3-ubyte")), images).unwrap();
        fs::write(
            dir.join(format!("{prefix}-labels-idx1-ubyte")),
            idx(&[count as u32], &labels),
        )
        .unwrap();
    }
    fs::write(dir.join("classes.txt"), "level\nupright\nblob\n").unwrap();
}

fn shape(label: u8, random: &mut epochtop::random::Random) -> Vec<u8> {
    let (rows, columns) = SHAPE;
    let (y0, x0) = (4 + random.below(rows - 8), 4 + random.below(columns - 8));
    let inside = |y: usize, x: usize| match label {
        0 => y.abs_diff(y0) <= 1,
        1 => x.abs_diff(x0) <= 1,
        _ => y.abs_diff(y0).pow(2) + x.abs_diff(x0).pow(2) <= 16,
    };
    let mut image = Vec::with_capacity(rows * columns);
    for y in 0..rows {
        for x in 0..columns {
            let noise = random.below(40) as u8;
            image.push(if inside(y, x) { 215 + noise } else { noise });
        }
    }
    image
}

/// A configuration for [`shapes`] that trains in a second or two.
pub(crate) fn small_config(dir: &Path) -> Config {
    let mut config = Config::default();
    "shapes".clone_into(&mut config.data.name);
    config.data.dir = dir.to_string_lossy().into_owned();
    config.data.valid = 100;
    config.model.channels = vec![8, 16];
    // The augmentation and EMA of the default configuration would only add noise to such short runs.
    let augment = &mut config.data.augment;
    (augment.shift, augment.erase, config.train.ema) = (0, 0.0, 0.0);
    config.train.epochs = 4;
    config.optim.warmup_epochs = 0.5;
    (config.optim.name, config.optim.lr) = (OptimName::Adamw, 0.01);
    config.train.batch_size = 32;
    "cpu".clone_into(&mut config.train.device);
    // Tests run in parallel: with more threads than cores they would wait for each other.
    config.train.threads = 1;
    config
}

/// Loads the data set of a configuration.
pub(crate) fn load(config: &Config) -> Dataset {
    try_load(config).unwrap()
}

/// Loads the data set of a configuration, or returns the error.
pub(crate) fn try_load(config: &Config) -> Result<Dataset, String> {
    images::load(&config.data, config.train.seed, &mut |_| ()).map_err(|error| error.0)
}

/// The events of a training run in order, and the state they fold to.
pub(crate) struct Story {
    pub(crate) events: Vec<Event>,
    pub(crate) state: RunState,
}

/// Trains to the end; `steer` returns the commands to send after each event.
pub(crate) fn train(
    config: &Config,
    dir: &Path,
    steer: impl FnMut(&Event) -> Vec<Command>,
) -> Story {
    train_on(load(config), config, dir, steer)
}

/// As [`train`], with a data set that is already loaded.
pub(crate) fn train_on(
    dataset: Dataset,
    config: &Config,
    dir: &Path,
    mut steer: impl FnMut(&Event) -> Vec<Command>,
) -> Story {
    let _generator = generator();
    let (session, (events, requests)) = Session::start(None).unwrap();
    let link = session.link();
    let sender: Sender<Request> = session.requests();
    let job = Job {
        name: "test".to_owned(),
        config: config.clone(),
        dataset,
        run_dir: Dir::open(dir).unwrap(),
        marks: None,
        resume: None,
        unattended: false,
    };
    // Receive the first snapshot before training starts, so that all events follow it.
    let Ok(Feed::Snapshot(first)) = link.feed.recv() else {
        panic!("a feed must start with a snapshot")
    };
    assert_eq!(first.seq, 0);
    train::start(job, events, requests).unwrap();
    let (mut seen, mut state) = (Vec::new(), RunState::default());
    for feed in &link.feed {
        let Feed::Live(record) = feed else {
            panic!("this client reads without delay, so only live records may follow")
        };
        state.apply(&record);
        for command in steer(&record.event) {
            // Fails if the trainer has already ended.
            let _ = sender.send(request(command));
        }
        let Record { event, .. } = *record;
        seen.push(event);
    }
    assert_every_request_was_answered(&seen);
    Story {
        events: seen,
        state,
    }
}

/// Asserts that each accepted command was done or refused before the end.
fn assert_every_request_was_answered(events: &[Event]) {
    let mut open = Vec::new();
    for event in events {
        if let Event::Acknowledged {
            id,
            command,
            answer,
            ..
        } = event
        {
            match answer {
                Answer::Accepted => open.push((*id, *command)),
                Answer::Done { .. } | Answer::Refused { .. } => {
                    open.retain(|(known, _)| known != id);
                }
            }
        }
    }
    assert!(
        open.is_empty(),
        "accepted but neither done nor refused: {open:?}"
    );
}
