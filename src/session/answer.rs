//! Answers queries from the files of a run directory, in the same way for a live run, over a socket and in a replay.
//!
//! Each link has its own answering thread with caches: the positions of records in the journal (`index`), a table of
//! `predictions.csv` (`table`), the images, and the predictions of earlier evaluations. A cache is filled at its first
//! use and refreshed when its file has changed. Each cache has a memory limit.

mod images;
mod index;
mod prediction_history;
mod series;
mod split_images;
mod stamp;
mod table;

use std::io;
use std::thread::Builder;

use crossbeam_channel::{Sender, bounded};

use self::images::Gallery;
use self::index::Index;
use super::rundir::RunDir;
use crate::files::Dir;
use crate::link::{Queries, Query, Reply};

/// Capacity of the query queue and of the reply queue.
const WAITING: usize = 16;

/// Starts a thread that answers queries about the run in `dir`; it calls `turn` before each. `None` if the thread cannot be
/// started.
pub(super) fn start(dir: Dir, mut turn: impl FnMut() + Send + 'static) -> Option<Queries> {
    let (ask, queries) = bounded::<(u64, Query)>(WAITING);
    let (answered, replies) = bounded(WAITING);
    let answering = move || answer_all(dir, queries.into_iter().inspect(|_| turn()), &answered);
    let spawned = Builder::new().name("answers".to_owned()).spawn(answering);
    spawned.ok().map(|_| Queries { ask, replies })
}

/// Answers queries about the run in `dir` until there are no more or the replies are no longer received.
pub(super) fn answer_all(
    dir: Dir,
    queries: impl IntoIterator<Item = (u64, Query)>,
    answered: &Sender<(u64, Reply)>,
) {
    let mut responder = QueryResponder::new(dir);
    for (id, query) in queries {
        let reply = responder
            .answer(&query)
            .unwrap_or_else(|error| Reply::Unknown {
                reason: error.to_string(),
            });
        if answered.send((id, reply)).is_err() {
            break;
        }
    }
}

/// Answers the queries about one run.
struct QueryResponder {
    dir: Dir,
    run: RunDir,
    journal: Index,
    gallery: Gallery,
}

impl QueryResponder {
    fn new(dir: Dir) -> Self {
        let run = RunDir::at(&dir.path());
        Self {
            dir,
            journal: Index::new(run.journal()),
            gallery: Gallery::default(),
            run,
        }
    }

    fn answer(&mut self, query: &Query) -> io::Result<Reply> {
        if self.dir.path() != self.run.path {
            // The directory has been renamed.
            *self = Self::new(self.dir.clone());
        }
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
            // The images can be answered from the evaluation's files even if the journal is unreadable.
            Query::Images {
                from,
                count,
                filter,
            } => self
                .gallery
                .page((&self.dir, &self.run), &self.journal, (from, count), filter),
        }
    }
}
