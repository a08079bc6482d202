//! Small data sets and whole trainings for tests.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_channel::Sender;
use epochtop::config::{Config, OptimName};
use epochtop::data::{self, Dataset};
use epochtop::event::{Answer, Command, Event, Record, Request};
use epochtop::link::{Feed, request};
use epochtop::run::RunState;
use epochtop::session::Session;
use epochtop::train::{self, Job};

/// libtorch draws from one generator a process, which the program has to itself but tests share: whoever draws holds this.
pub(crate) fn generator() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An IDX file's bytes.
pub(crate) fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// Rows and columns of [`shapes`]' images.
pub(crate) const SHAPE: (usize, usize) = (20, 24);

/// Writes a data set of three easy classes, 20×24, seven to two to one: level bars, upright bars, blobs.
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
    // Plain and short: what the default adds for long runs only makes these noisier.
    let augment = &mut config.data.augment;
    (augment.shift, augment.erase, config.train.ema) = (0, 0.0, 0.0);
    config.train.epochs = 4;
    config.optim.warmup_epochs = 0.5;
    (config.optim.name, config.optim.lr) = (OptimName::Adamw, 0.01);
    config.train.batch_size = 32;
    "cpu".clone_into(&mut config.train.device);
    // Many small trainings at once: more threads than cores would only wait for each other.
    config.train.threads = 1;
    config
}

/// The data of a configuration.
pub(crate) fn load(config: &Config) -> Dataset {
    data::load(&config.data, config.train.seed).unwrap()
}

/// What a training told, in order, and the state it makes.
pub(crate) struct Story {
    pub(crate) events: Vec<Event>,
    pub(crate) state: RunState,
}

/// Trains to the end while `steer` may answer each event with commands.
pub(crate) fn train(
    config: &Config,
    dir: &Path,
    steer: impl FnMut(&Event) -> Vec<Command>,
) -> Story {
    train_on(load(config), config, dir, steer)
}

/// As [`train`], on data that is there already.
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
        run_dir: dir.to_owned(),
        marks: None,
        resume: None,
    };
    // The first snapshot must be taken before the first event, so that the story has all of them.
    let Ok(Feed::Snapshot(first)) = link.feed.recv() else {
        panic!("a feed begins with a snapshot")
    };
    assert_eq!(first.seq, 0);
    train::start(job, events, requests).unwrap();
    let (mut told, mut state) = (Vec::new(), RunState::default());
    for feed in &link.feed {
        let Feed::Live(record) = feed else {
            panic!("a test that reads at once never falls behind")
        };
        state.apply(&record);
        for command in steer(&record.event) {
            // A trainer that has ended takes no more.
            let _ = sender.send(request(command));
        }
        let Record { event, .. } = *record;
        told.push(event);
    }
    every_request_was_answered(&told);
    Story {
        events: told,
        state,
    }
}

/// What was accepted was carried out or refused before the end.
fn every_request_was_answered(events: &[Event]) {
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
    assert!(open.is_empty(), "accepted and never answered: {open:?}");
}
