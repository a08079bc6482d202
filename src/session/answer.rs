//! Answers to questions, read from a run's directory: alike for a live run, over a socket, and in a replay.
//!
//! Whoever answers has a thread of its own and remembers what it has read: where in the journal what stands (`index`), a table of
//! `predictions.csv` (`table`), the images, and the evaluations kept of earlier. Each is read when it is first asked for, and
//! again when its file has changed; each says how much memory it may take.

mod earlier;
mod images;
mod index;
mod series;
mod split_images;
mod stamp;
mod table;

use std::io;
use std::path::Path;
use std::thread::Builder;

use crossbeam_channel::bounded;

use self::images::Gallery;
use self::index::Index;
use super::rundir::RunDir;
use crate::link::{Queries, Query, Reply};

/// Questions that may wait.
const WAITING: usize = 16;

/// Starts answering questions about the run in a directory. `None` when the system gives no thread.
pub(super) fn start(dir: &Path) -> Option<Queries> {
    let (ask, questions) = bounded::<(u64, Query)>(WAITING);
    let (answered, replies) = bounded(WAITING);
    let mut desk = Desk::new(RunDir::at(dir));
    let answering = move || {
        for (id, query) in questions {
            let reply = desk.answer(&query).unwrap_or_else(|error| Reply::Unknown {
                reason: error.to_string(),
            });
            if answered.send((id, reply)).is_err() {
                break;
            }
        }
    };
    let spawned = Builder::new().name("answers".to_owned()).spawn(answering);
    spawned.ok().map(|_| Queries { ask, replies })
}

/// Where a run's questions are answered.
struct Desk {
    run: RunDir,
    journal: Index,
    gallery: Gallery,
}

impl Desk {
    fn new(run: RunDir) -> Self {
        Self {
            journal: Index::new(run.journal()),
            gallery: Gallery::default(),
            run,
        }
    }

    fn answer(&mut self, query: &Query) -> io::Result<Reply> {
        let read = self.journal.refresh();
        match *query {
            Query::Series {
                ref curve,
                from,
                to,
                points,
            } => {
                read?;
                let values = series::between(&self.journal, curve, (from, to), points)?;
                Ok(Reply::Series(values))
            }
            Query::Step { step } => {
                read?;
                Ok(Reply::Step(series::nearest(&self.journal, step)?))
            }
            // Without a journal there still is what the evaluation left.
            Query::Images {
                from,
                count,
                filter,
            } => self
                .gallery
                .page(&self.run, &self.journal, (from, count), filter),
        }
    }
}
