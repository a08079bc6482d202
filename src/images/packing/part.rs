//! The unfinished file of packed images, which survives an interruption.

use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::time::Duration;

use fs_err::File;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::super::fit::Target;
use super::super::pack::{HEADER, MAGIC, Pack, PackInfo};
use super::super::tally::{Original, Tally};
use super::PackedImage;
use super::flusher::Flusher;
use crate::files::Dir;

/// Interval between attempts to get the lock of another process.
const WAIT: Duration = Duration::from_millis(200);
/// Bytes after which the buffers are written, so that an interruption costs little work.
const BUFFER: usize = 4 << 20;
/// Bytes of small images that are written together.
const COLLECTED: usize = 64 << 10;
/// Longest reason in the list, characters.
const LONGEST_REASON: usize = 500;

/// Hash of an image's pixels, or why it was left out.
type Entry = Result<[u8; 32], String>;

/// An unfinished file of packed images and its list.
#[derive(Debug)]
pub(super) struct Part {
    dir: Dir,
    names: [String; 2],
    pixels: BufWriter<File>,
    /// One line per image. Its lock is held until the part is dropped.
    list: BufWriter<File>,
    items: Vec<Entry>,
    tally: Tally,
    skipped: usize,
    unwritten: usize,
    flusher: Flusher,
    out_of_space: bool,
}

/// The result of opening a part.
pub(super) enum Opened {
    /// Another process has finished it meanwhile.
    Complete(Box<Pack>),
    Part(Box<Part>),
}

impl Part {
    /// Opens or creates the part of the pack `key` in `dir`, whose images have the format `target`. Waits while another
    /// process has it; `waiting` is called meanwhile.
    ///
    /// # Errors
    /// If a file cannot be opened or read.
    pub(super) fn open(
        dir: &Dir,
        key: &str,
        target: Target,
        waiting: &mut dyn FnMut(),
    ) -> io::Result<Opened> {
        let names = [format!("{key}.part"), format!("{key}.part.list")];
        let [pixels_name, list_name] = &names;
        let list = loop {
            let list = dir.append(list_name)?;
            match flock(&list, FlockOperation::NonBlockingLockExclusive) {
                // Where locks do not exist, the hash of each image still prevents that wrong pixels are used.
                Ok(()) | Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => {}
                Err(Errno::WOULDBLOCK) => {
                    waiting();
                    std::thread::sleep(WAIT);
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            if let Ok(pack) = Pack::open(&dir.path().join(format!("{key}.pack"))) {
                return Ok(Opened::Complete(Box::new(pack)));
            }
            // The process that had the lock may have deleted the list.
            if dir.is_entry(list_name, &list) {
                break list;
            }
        };
        let mut pixels = dir.append(pixels_name)?;
        let mut tally = Tally::new(target);
        let items = recover(&mut pixels, &list, target.size(), &mut tally)?;
        Ok(Opened::Part(Box::new(Self {
            tally,
            dir: dir.clone(),
            pixels: BufWriter::with_capacity(COLLECTED, pixels),
            list: BufWriter::new(list),
            skipped: items.iter().filter(|item| item.is_err()).count(),
            items,
            names,
            unwritten: 0,
            flusher: Flusher::default(),
            out_of_space: false,
        })))
    }

    /// Hash of each packed image, or why it was left out.
    pub(super) fn items(&self) -> &[Entry] {
        &self.items
    }

    /// What was counted of the images.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Number of images that were left out.
    pub(super) fn skipped(&self) -> usize {
        self.skipped
    }

    /// The directory of the file.
    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Whether a write has failed because the disk or the quota was exhausted.
    pub(super) fn is_out_of_space(&self) -> bool {
        self.out_of_space
    }

    /// Appends the next image, or why it was left out.
    ///
    /// # Errors
    /// The error of the write.
    pub(super) fn push(&mut self, image: Result<&PackedImage, &str>) -> io::Result<()> {
        let written = self.try_push(image);
        self.note_space(written)
    }

    fn note_space<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            let full = [
                ErrorKind::StorageFull,
                ErrorKind::QuotaExceeded,
                ErrorKind::FileTooLarge,
            ];
            self.out_of_space |= full.contains(&error.kind());
        })
    }

    fn try_push(&mut self, image: Result<&PackedImage, &str>) -> io::Result<()> {
        let entry = match image {
            Ok(PackedImage {
                pixels,
                hash,
                original,
            }) => {
                self.pixels.write_all(pixels)?;
                self.unwritten += pixels.len();
                writeln!(self.list, "{} {original}", hash.to_hex())?;
                self.tally.add(*original);
                Ok(*hash.as_bytes())
            }
            Err(why) => {
                let why: String = why
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(LONGEST_REASON)
                    .collect();
                writeln!(self.list, "!{why}")?;
                self.skipped += 1;
                Err(why)
            }
        };
        self.items.push(entry);
        if self.unwritten >= BUFFER {
            self.flush()?;
            self.flusher.request(self.pixels.get_ref());
        }
        Ok(())
    }

    /// Writes the buffers: the pixels first, as the list must not name pixels that are not written.
    fn flush(&mut self) -> io::Result<()> {
        self.unwritten = 0;
        self.pixels.flush()?;
        self.list.flush()
    }

    /// Completes the file and gives it its final name.
    ///
    /// # Errors
    /// The error of a write, of the flush to the disk or of the renaming.
    pub(super) fn finish(
        &mut self,
        dir: &Dir,
        name: &str,
        info: &PackInfo,
        labels: &[u16],
    ) -> io::Result<()> {
        let finished = self.try_finish(dir, name, info, labels);
        self.note_space(finished)
    }

    fn try_finish(
        &mut self,
        dir: &Dir,
        name: &str,
        info: &PackInfo,
        labels: &[u16],
    ) -> io::Result<()> {
        self.flush()?;
        let json = serde_json::to_vec(info)?;
        let mut hasher = blake3::Hasher::new();
        let mut write = |bytes: &[u8]| {
            hasher.update(bytes);
            self.pixels.write_all(bytes)
        };
        for hash in self.items.iter().flatten() {
            write(hash)?;
        }
        for label in labels {
            write(&label.to_le_bytes())?;
        }
        write(&json)?;
        let hash = hasher.finalize();
        self.pixels.write_all(&(json.len() as u64).to_le_bytes())?;
        self.pixels.write_all(hash.as_bytes())?;
        self.pixels.flush()?;
        self.flusher.finish()?;
        self.pixels.get_ref().sync_all()?;
        let [pixels, list] = &self.names;
        dir.rename(pixels, name)?;
        dir.remove(list)?;
        dir.sync()
    }

    /// Deletes the unfinished file.
    pub(super) fn discard(&self, dir: &Dir) {
        for name in &self.names {
            dir.discard(name);
        }
    }
}

/// Reads the list of an earlier start and compares the pixels with it. Cuts both files behind the last complete image.
fn recover(
    pixels: &mut File,
    list: &File,
    size: usize,
    tally: &mut Tally,
) -> io::Result<Vec<Entry>> {
    let mut items = Vec::new();
    let mut list_end = 0;
    let mut pixels_end = HEADER;
    let mut header = vec![0; HEADER as usize];
    let begun = pixels.read_exact(&mut header).is_ok() && header.starts_with(MAGIC);
    if begun {
        let mut reader = BufReader::with_capacity(BUFFER, &mut *pixels);
        let mut image = vec![0; size];
        let mut lines = BufReader::new(list);
        let mut line = String::new();
        // A damaged list ends where it can no longer be read.
        while lines.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
            let entry = if let Some(why) = line.trim_end().strip_prefix('!') {
                Err(why.to_owned())
            } else {
                let Some((hash, original)) = parse(line.trim_end()) else {
                    break;
                };
                if reader.read_exact(&mut image).is_err() || blake3::hash(&image) != hash {
                    break;
                }
                pixels_end += size as u64;
                tally.add(original);
                Ok(*hash.as_bytes())
            };
            items.push(entry);
            list_end += line.len() as u64;
            line.clear();
        }
    }
    list.file().set_len(list_end)?;
    if begun {
        pixels.set_len(pixels_end)?;
    } else {
        pixels.set_len(0)?;
        header = MAGIC.to_vec();
        header.resize(HEADER as usize, 0);
        pixels.write_all(&header)?;
    }
    pixels.seek(SeekFrom::End(0))?;
    Ok(items)
}

/// Hash of the pixels and properties of the original, from a line of the list.
fn parse(line: &str) -> Option<(blake3::Hash, Original)> {
    let (hash, original) = line.split_once(' ')?;
    Some((
        blake3::Hash::from_hex(hash).ok()?,
        Original::parse(original)?,
    ))
}
