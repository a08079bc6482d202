//! Appends to a file of a run; what could not be written is written with the next data.

use std::io::{self, Write};

use fs_err::File;

use crate::fault;

/// Greatest number of bytes retained for the next write. Data that do not fit are lost, which is reported as an error.
const MAX_PENDING: usize = 16 << 20;

/// A file that only grows, opened for appending. A kill of the process loses nothing that was written.
#[derive(Debug)]
pub(super) struct Appender {
    file: File,
    /// Name of the file for [`fault::before_file`].
    name: &'static str,
    /// Data that could not be written yet.
    pending: Vec<u8>,
}

impl Appender {
    pub(super) fn new(file: File, name: &'static str) -> Self {
        Self {
            file,
            name,
            pending: Vec::new(),
        }
    }

    /// Appends to another file from now on.
    pub(super) fn reopen(&mut self, file: File) {
        self.file = file;
    }

    /// Appends data in a single write, with what could not be written before. A partial write is removed again.
    ///
    /// # Errors
    /// Why it could not be written. The data are retained for the next write.
    pub(super) fn append(&mut self, data: &[u8]) -> io::Result<()> {
        if self.pending.len() + data.len() > MAX_PENDING {
            self.flush()?;
        }
        self.pending.extend(data);
        self.flush()
    }

    /// Writes what could not be written before.
    ///
    /// # Errors
    /// As [`Appender::append`].
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let length = self.file.metadata()?.len();
        let written = fault::before_file(self.name)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.name)))
            .and_then(|()| self.file.write_all(&self.pending));
        match written {
            Ok(()) => self.pending.clear(),
            Err(error) => {
                // If this fails too, readers skip the incomplete line.
                let _ = self.file.set_len(length);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Flushes the file to the disk.
    ///
    /// # Errors
    /// An I/O error.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::fault::{Fault, FaultKind, with};
    use crate::files::Dir;

    #[test]
    fn data_of_a_failed_write_are_written_with_the_next_in_order() {
        let place = tempfile::tempdir().unwrap();
        let file = Dir::open(place.path()).unwrap().append("rows").unwrap();
        let mut rows = Appender::new(file, "rows");
        let fault = Fault {
            kind: FaultKind::Fails(28),
            op: "rows".to_owned(),
            nth: 2,
            and_later: false,
        };
        let (written, _) = with(Some(fault), || {
            ["a\n", "b\n", "c\n"].map(|row| rows.append(row.as_bytes()).is_ok())
        });
        assert_eq!(written, [true, false, true]);
        let text = std::fs::read_to_string(place.path().join("rows")).unwrap();
        assert_eq!(text, "a\nb\nc\n");
    }
}
