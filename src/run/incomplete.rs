//! What is missing from the files of a run: records, and files that could not be written.

use super::parts::Unwritten;
use super::state::RunState;
use crate::event::{Event, Level, Record};

/// Greatest number of retained files that could not be written; a run has fewer.
const UNWRITTEN: usize = 16;

impl RunState {
    pub(super) fn not_written(&mut self, one: Unwritten, t_ms: u64) {
        self.add_log(t_ms, Level::Error, one.line());
        self.unwritten.retain(|other| other.file != one.file);
        if self.unwritten.len() < UNWRITTEN {
            self.unwritten.push(one);
        }
    }

    /// Counts the records between this one and the last that are missing from the journal. Those that a restart makes
    /// obsolete are not. Only the first gap is logged, because there can be many.
    pub(super) fn count_missing(&mut self, record: &Record, t_ms: u64) {
        let expected = match &record.event {
            Event::Restored(restoration) => restoration.after,
            _ => record.seq.saturating_sub(1),
        };
        let missing = expected.saturating_sub(self.seq);
        if missing > 0 && self.missing == 0 {
            let text = "records are missing from the journal from here on";
            self.add_log(t_ms, Level::Warn, text.to_owned());
        }
        self.missing = self.missing.saturating_add(missing);
    }

    /// A sentence about missing records; `None` if there are none.
    pub fn missing_line(&self) -> Option<String> {
        let (are, they) = match self.missing {
            0 => return None,
            1 => ("record is", "it"),
            _ => ("records are", "they"),
        };
        Some(format!(
            "{} {are} missing from the journal: {they} could not be written, for example because the disk was full; \
             charts and tables have gaps",
            self.missing
        ))
    }

    /// Counts a record of unknown type; only the first is logged, because a newer version can write many of them.
    pub(super) fn count_unknown(&mut self, t_ms: u64) {
        self.unknown = self.unknown.saturating_add(1);
        if self.unknown == 1 {
            let version = env!("CARGO_PKG_VERSION");
            let text = format!(
                "some records are unknown to this version of epochtop ({version}): a newer version can show them"
            );
            self.add_log(t_ms, Level::Warn, text);
        }
    }
}
