//! Loading of the data, with a progress line while images are packed.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::images::{self, DataError, Dataset, PackProgress};

/// Minimum time between two updates of the line.
const UPDATE: Duration = Duration::from_millis(100);
/// Minimum time between two lines in a file.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Loads the data of a configuration.
///
/// # Errors
/// As [`images::load`].
pub(super) fn load(config: &Config) -> Result<Dataset, DataError> {
    let mut line = PackingLine::new();
    images::load(&config.data, config.train.seed, &mut |progress| {
        line.show(progress);
    })
}

/// The progress of packing on stderr: a line that is erased at the end, or a new line every ten seconds if stderr is not a
/// terminal.
pub(super) struct PackingLine {
    is_terminal: bool,
    shown: bool,
    began: Option<Instant>,
    last: Option<Instant>,
}

impl PackingLine {
    pub(super) fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            shown: false,
            began: None,
            last: None,
        }
    }

    /// Shows the progress, if the last update is old enough.
    pub(super) fn show(&mut self, progress: PackProgress) {
        let began = *self.began.get_or_insert_with(Instant::now);
        let every = if self.is_terminal { UPDATE } else { LOG_EVERY };
        // The first line waits as well: packing that takes a moment needs none.
        let since = self.last.unwrap_or(began);
        if since.elapsed() < every {
            return;
        }
        self.last = Some(Instant::now());
        let text = words(progress, began.elapsed());
        let _ = if self.is_terminal {
            self.shown = true;
            write!(io::stderr(), "\r\x1b[K{text}")
        } else {
            writeln!(io::stderr(), "{text}")
        };
    }
}

impl Drop for PackingLine {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// The progress in words: images done, their rate, the remaining time, images that could not be decoded.
fn words(progress: PackProgress, elapsed: Duration) -> String {
    let PackProgress {
        done,
        earlier,
        total,
        skipped,
        waiting,
    } = progress;
    if waiting {
        return format!("waiting: another process packs these {total} images");
    }
    let rate = done.saturating_sub(earlier) as f64 / elapsed.as_secs_f64().max(0.001);
    let left = if rate > 0.0 {
        let seconds = (total.saturating_sub(done) as f64 / rate).round() as u64;
        let (hours, minutes) = (seconds / 3600, seconds % 3600 / 60);
        let hours = if hours > 0 {
            format!("{hours}:{minutes:02}")
        } else {
            minutes.to_string()
        };
        format!(", {hours}:{:02} left", seconds % 60)
    } else {
        String::new()
    };
    let corrupt = if skipped > 0 {
        format!(", {skipped} corrupt")
    } else {
        String::new()
    };
    format!(
        "packing images: {done} of {total}, {} %, {rate:.0} images/s{left}{corrupt}",
        done * 100 / total.max(1)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_rate_remaining_time_and_corrupt_images() {
        let progress = PackProgress {
            done: 3000,
            earlier: 1000,
            total: 20_000,
            skipped: 2,
            waiting: false,
        };
        assert_eq!(
            words(progress, Duration::from_secs(4)),
            "packing images: 3000 of 20000, 15 %, 500 images/s, 0:34 left, 2 corrupt"
        );
        let long = PackProgress {
            total: 20_003_000,
            skipped: 0,
            ..progress
        };
        assert!(words(long, Duration::from_secs(4)).ends_with("500 images/s, 11:06:40 left"));
        let first = PackProgress {
            done: 0,
            earlier: 0,
            ..progress
        };
        assert!(words(first, Duration::ZERO).ends_with("0 %, 0 images/s, 2 corrupt"));
    }
}
