//! Appends to a file of a run; what could not be written waits in memory and is written when that is possible again.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use fs_err::File;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::event::Event;
use crate::fault;

/// Greatest number of bytes of waiting data that may be left out. If there are more, every second piece of them is left
/// out, so that the older ones, which have been thinned more often, lose the most. Other data always wait.
const MAX_EXPENDABLE: usize = 16 << 20;
/// Bytes per write when data are written again.
const CHUNK: usize = 1 << 20;

/// Whether data that wait too long may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Always,
    IfRoom,
}

/// Whether the data of an event may be left out: those of events that are too frequent to be urgent.
pub(super) fn keep_of(event: &Event) -> Keep {
    if event.traits().urgent {
        Keep::Always
    } else {
        Keep::IfRoom
    }
}

/// A file that only grows, opened for reading and appending. A kill of the process loses nothing that was written.
#[derive(Debug)]
pub(super) struct Appender {
    file: File,
    /// Name of the file for [`fault::before_file`].
    name: &'static str,
    /// Data that could not be written yet, oldest first.
    waiting: VecDeque<(Vec<u8>, Keep)>,
    /// Bytes of waiting data that may be left out.
    expendable: usize,
    /// Number of pieces of data that were left out.
    left_out: u64,
    /// The length without a partial write that could not be removed yet.
    cut: Option<u64>,
    /// Whether data have been written since the last flush to the disk.
    dirty: bool,
    /// The length that has certainly been flushed to the disk by this process.
    flushed: u64,
    /// Whether the last flush to the disk failed.
    failed: bool,
}

impl Appender {
    pub(super) fn new(file: File, name: &'static str) -> Self {
        Self {
            flushed: file.metadata().map_or(0, |about| about.len()),
            file,
            name,
            waiting: VecDeque::new(),
            expendable: 0,
            left_out: 0,
            cut: None,
            dirty: true,
            failed: false,
        }
    }

    /// Appends to another file from now on.
    pub(super) fn reopen(&mut self, file: File) {
        self.flushed = 0;
        self.cut = None;
        self.dirty = true;
        self.file = file;
    }

    /// Appends data in a single write, after what could not be written before. A partial write is removed again.
    ///
    /// # Errors
    /// Why it could not be written. The data wait for the next write.
    pub(super) fn append(&mut self, data: Vec<u8>, keep: Keep) -> io::Result<()> {
        if keep == Keep::IfRoom {
            self.expendable += data.len();
        }
        if !data.is_empty() {
            self.waiting.push_back((data, keep));
        }
        let written = self.write_waiting();
        if self.expendable > MAX_EXPENDABLE {
            self.thin();
        }
        written
    }

    /// Leaves out every second piece of the waiting data for which that is allowed.
    fn thin(&mut self) {
        let (mut leave_out, mut bytes, mut count) = (false, 0, 0);
        self.waiting.retain(|(data, keep)| {
            leave_out ^= *keep == Keep::IfRoom;
            let out = leave_out && *keep == Keep::IfRoom;
            if out {
                bytes += data.len();
                count += 1;
            }
            !out
        });
        self.expendable -= bytes;
        self.left_out += count;
    }

    /// Number of pieces of data that were left out since the last call.
    pub(super) fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// Writes what could not be written before.
    ///
    /// # Errors
    /// As [`Appender::append`].
    pub(super) fn write_waiting(&mut self) -> io::Result<()> {
        if let Some(length) = self.cut {
            self.file.set_len(length)?;
            self.cut = None;
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut length = self.file.metadata()?.len();
        while let Some((data, keep)) = self.waiting.front() {
            let written = self.fault().and_then(|()| self.file.write_all(data));
            if let Err(error) = written {
                let shortened = self.file.set_len(length);
                self.cut = shortened.is_err().then_some(length);
                return Err(error);
            }
            length += data.len() as u64;
            if *keep == Keep::IfRoom {
                self.expendable -= data.len();
            }
            self.waiting.pop_front();
            self.dirty = true;
        }
        Ok(())
    }

    /// Writes what could not be written before, and flushes the file to the disk.
    ///
    /// # Errors
    /// Why it could not be written or flushed.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.write_waiting()?;
        if !self.dirty {
            return Ok(());
        }
        if self.failed {
            self.write_again()?;
        }
        let length = self.file.metadata()?.len();
        let flushed = self.fault().and_then(|()| self.file.sync_data());
        self.failed = flushed.is_err();
        flushed?;
        (self.flushed, self.dirty) = (length, false);
        Ok(())
    }

    /// Writes the data since the last successful flush again, in place. After a failed flush the system counts them as
    /// written, so the next flush would succeed without them.
    fn write_again(&self) -> io::Result<()> {
        let file = self.file.file();
        let flags = fcntl_getfl(file)?;
        // A file opened for appending is written at its end only.
        fcntl_setfl(file, flags - OFlags::APPEND)?;
        let copy = || -> io::Result<()> {
            let (mut chunk, mut at) = (vec![0; CHUNK], self.flushed);
            loop {
                let count = file.read_at(&mut chunk, at)?;
                let Some(bytes @ [_, ..]) = chunk.get(..count) else {
                    return Ok(());
                };
                file.write_all_at(bytes, at)?;
                at += count as u64;
            }
        };
        let copied = copy();
        fcntl_setfl(file, flags)?;
        copied
    }

    fn fault(&self) -> io::Result<()> {
        fault::before_file(self.name)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.name)))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::fault::{Fault, FaultKind, with};
    use crate::files::Dir;

    fn appender(place: &tempfile::TempDir) -> Appender {
        let file = Dir::open(place.path()).unwrap().append("rows").unwrap();
        Appender::new(file, "rows")
    }

    fn text(place: &tempfile::TempDir) -> String {
        std::fs::read_to_string(place.path().join("rows")).unwrap()
    }

    fn no_space(nth: u64, and_later: bool) -> Fault {
        Fault {
            kind: FaultKind::Fails(28),
            op: "rows".to_owned(),
            nth,
            and_later,
        }
    }

    #[test]
    fn data_of_a_failed_write_are_written_with_the_next_in_order() {
        let place = tempfile::tempdir().unwrap();
        let mut rows = appender(&place);
        let (written, _) = with(Some(no_space(2, false)), || {
            ["a\n", "b\n", "c\n"].map(|row| rows.append(row.into(), Keep::Always).is_ok())
        });
        assert_eq!(written, [true, false, true]);
        assert_eq!(text(&place), "a\nb\nc\n");
    }

    /// Regression test: data beyond 16 MiB were lost, whatever they were.
    #[test]
    fn a_long_outage_thins_frequent_data_evenly_and_loses_no_other() {
        let place = tempfile::tempdir().unwrap();
        let mut rows = appender(&place);
        let filler = "x".repeat(MAX_EXPENDABLE / 100);
        with(Some(no_space(1, true)), || {
            for i in 0..250 {
                let _ = rows.append(format!("{i:03} {filler}\n").into(), Keep::IfRoom);
                if i % 10 == 0 {
                    let _ = rows.append(format!("{i:03} result\n").into(), Keep::Always);
                }
            }
        });
        assert_eq!(text(&place), "");
        rows.write_waiting().unwrap();
        let text = text(&place);
        let (results, windows): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.ends_with("result"));
        assert_eq!(results.len(), 25);
        assert_eq!(windows.len() as u64 + rows.take_left_out(), 250);
        let numbers: Vec<usize> = windows.iter().map(|l| l[..3].parse().unwrap()).collect();
        assert!(
            numbers.is_sorted() && numbers.len() >= 50,
            "{}",
            numbers.len()
        );
        // No long stretch is missing.
        let gaps = numbers.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max().unwrap() <= 16, "{numbers:?}");
        assert_eq!((rows.expendable, rows.take_left_out()), (0, 0));
    }

    #[test]
    fn a_flush_after_a_failed_one_writes_the_data_again() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("rows"), "earlier\n").unwrap();
        let mut rows = appender(&place);
        let (flushed, _) = with(Some(no_space(3, false)), || {
            rows.append("a\n".into(), Keep::Always).unwrap();
            rows.append("b\n".into(), Keep::Always).unwrap();
            [rows.flush().is_ok(), rows.flush().is_ok()]
        });
        assert_eq!(flushed, [false, true]);
        rows.append("c\n".into(), Keep::Always).unwrap();
        assert_eq!(text(&place), "earlier\na\nb\nc\n");
    }
}
