//! The directory of a run's checkpoints.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File};

use super::State;

/// A checkpoint that is whole on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Path below the run directory.
    pub path: String,
    /// Bytes of its files.
    pub bytes: u64,
}

/// `runs/<name>/checkpoints`.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

/// The directory name of a step's checkpoint; equal widths sort by step.
pub fn step_name(global_step: u64) -> String {
    format!("step-{global_step:09}")
}

impl Store {
    /// The checkpoints of a run directory.
    pub fn new(run_dir: &Path) -> Self {
        Self {
            dir: run_dir.join("checkpoints"),
        }
    }

    /// Writes a checkpoint of these files.
    ///
    /// # Errors
    /// The path and what the system said; nothing with the final name exists then.
    pub fn save(&self, global_step: u64, files: &[(&str, Vec<u8>)]) -> io::Result<Saved> {
        let name = step_name(global_step);
        let target = self.dir.join(&name);
        let saved = Saved {
            path: format!("checkpoints/{name}"),
            bytes: files.iter().map(|(_, bytes)| bytes.len() as u64).sum(),
        };
        fs::create_dir_all(&self.dir)?;
        let temporary = self.dir.join(format!(".tmp-{name}-{}", std::process::id()));
        let written = write_all(&temporary, files).and_then(|()| {
            fs::rename(&temporary, &target)?;
            sync(&self.dir)
        });
        if written.is_err() {
            let _ = fs::remove_dir_all(&temporary);
        }
        written.map(|()| saved)
    }

    /// Puts one file of a checkpoint that is there in place of its old one.
    ///
    /// # Errors
    /// The path and what the system said; the old file is still there then.
    pub fn replace(&self, global_step: u64, file: &str, bytes: &[u8]) -> io::Result<()> {
        let dir = self.dir.join(step_name(global_step));
        let temporary = dir.join(format!(".tmp-{file}"));
        write_file(&temporary, bytes)?;
        fs::rename(&temporary, dir.join(file))?;
        sync(&dir)
    }

    /// Makes `LATEST` or `BEST` name a step.
    pub fn point(&self, pointer: &str, global_step: u64) -> io::Result<()> {
        let temporary = self.dir.join(format!(".tmp-{pointer}"));
        let target = self.dir.join(pointer);
        write_file(
            &temporary,
            format!("{}\n", step_name(global_step)).as_bytes(),
        )?;
        fs::rename(&temporary, &target)?;
        sync(&self.dir)
    }

    /// Removes a checkpoint; one that is gone already is no error. It loses its name first, so that a removal cut short
    /// leaves nothing that looks whole.
    pub fn remove(&self, global_step: u64) -> io::Result<()> {
        let name = step_name(global_step);
        let doomed = self.dir.join(format!(".tmp-removed-{name}"));
        match fs::rename(self.dir.join(&name), &doomed) {
            Ok(()) => fs::remove_dir_all(&doomed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Reads a checkpoint's `state.json`.
pub fn read_state(checkpoint: &Path) -> io::Result<State> {
    let path = checkpoint.join("state.json");
    let text = fs::read_to_string(&path)?;
    serde_json::from_str(&text).map_err(|e| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: {e}", path.display()),
        )
    })
}

fn write_all(dir: &Path, files: &[(&str, Vec<u8>)]) -> io::Result<()> {
    // A leftover of a killed process with the same number would be in the way.
    let _ = fs::remove_dir_all(dir);
    fs::create_dir(dir)?;
    for (name, bytes) in files {
        write_file(&dir.join(name), bytes)?;
    }
    sync(dir)
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all())
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn a_checkpoint_is_whole_or_not_there() {
        let run = tempfile::tempdir().unwrap();
        let store = Store::new(run.path());
        let saved = store
            .save(7, &[("a", b"abc".to_vec()), ("b", vec![0; 10])])
            .unwrap();
        assert_eq!(
            saved,
            Saved {
                path: "checkpoints/step-000000007".to_owned(),
                bytes: 13
            }
        );
        store.point("LATEST", 7).unwrap();
        let dir = run.path().join("checkpoints");
        assert_eq!(
            fs::read_to_string(dir.join("LATEST")).unwrap(),
            "step-000000007\n"
        );
        assert_eq!(fs::read(dir.join("step-000000007/a")).unwrap(), b"abc");
        // A name that cannot be a file fails the save and leaves nothing behind.
        assert!(
            store
                .save(8, &[("a", vec![]), ("no/such/dir", vec![])])
                .is_err()
        );
        let mut left: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["LATEST", "step-000000007"]);
        store.remove(7).unwrap();
        store.remove(7).unwrap();
        assert!(!dir.join("step-000000007").exists());
    }
}
