//! A reader of Python pickles that contain dictionaries, lists, numbers, text and NumPy arrays, and nothing else.
//!
//! A pickle is a program that may call any Python function. Here nothing is executed: the few functions with which NumPy
//! restores an array are known by name, any other is an error. Values lie in one table and refer to each other by number,
//! so that neither their reading nor their release recurses. Long strings, such as the pixels of an array, stay in the
//! file: only their place is kept.

use std::collections::HashMap;
use std::io::{BufRead, Read, Seek, SeekFrom};
use std::ops::Range;

mod call;
mod opcode;

/// Strings up to this length are read, bytes; longer ones stay in the file.
const SHORT: u64 = 4 << 10;
/// Most values in a pickle: CIFAR-100 has about 160,000.
const MOST_VALUES: usize = 4 << 20;
/// Most memory for strings and references, bytes. A pickle may use a value many times, so that a small file can claim much.
const MOST_MEMORY: usize = 512 << 20;

/// The number of a value in the table.
type Id = usize;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// None, a float or another value without use here.
    Other,
    /// An integer or a boolean.
    Int(i64),
    /// Bytes or text.
    Text(Text),
    /// A list or a tuple.
    List(Vec<Id>),
    /// Keys and values of a dictionary.
    Dict(Vec<(Id, Id)>),
    /// The name of a function or a class.
    Global(Global),
    /// The type of a NumPy array, such as "u1" or "<i8".
    Dtype(String),
    /// A NumPy array.
    Array(Array),
}

/// Bytes or text in the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Text {
    /// Where it is.
    pub(super) place: Range<u64>,
    /// Its bytes, if they are few.
    pub(super) short: Option<Vec<u8>>,
    /// Whether it stands for bytes, each of which is written as a UTF-8 character.
    pub(super) latin1: bool,
}

/// A NumPy array.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Array {
    /// Its shape.
    pub(super) shape: Vec<u64>,
    /// Its type.
    pub(super) dtype: String,
    /// Whether its first index varies fastest.
    pub(super) fortran: bool,
    /// Its values.
    pub(super) data: Text,
}

/// The functions and classes that occur in a pickled array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    /// Makes an empty array, whose contents follow.
    Reconstruct,
    /// Makes an array from a buffer (protocol 5).
    FromBuffer,
    /// Makes a number.
    Scalar,
    /// The class of arrays.
    NdArray,
    /// The class of types.
    Dtype,
    /// Makes bytes from text (protocols 0 to 2 in Python 3).
    Encode,
    /// Makes empty bytes (protocols 0 to 2 in Python 3).
    Bytes,
}

/// Reads pickles.
#[derive(Debug)]
pub(super) struct Pickle<R> {
    reader: R,
    at: u64,
    length: u64,
    values: Vec<Value>,
    memo: HashMap<u32, Id>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    /// Memory for strings and references, bytes.
    memory: usize,
}

impl Value {
    /// Memory beyond its place in the table, bytes.
    fn memory(&self) -> usize {
        let text = |text: &Text| text.short.as_ref().map_or(0, Vec::len);
        match self {
            Self::Other | Self::Int(_) | Self::Global(_) => 0,
            Self::Text(value) => text(value),
            Self::List(items) => 8 * items.len(),
            Self::Dict(entries) => 16 * entries.len(),
            Self::Dtype(name) => name.len(),
            Self::Array(array) => text(&array.data) + array.dtype.len() + 8 * array.shape.len(),
        }
    }
}

impl<R: BufRead + Seek> Pickle<R> {
    /// Reads the pickle of this length in bytes.
    ///
    /// # Errors
    /// Where it is damaged, or the function that it calls; without the file's name.
    pub(super) fn read(reader: R, length: u64) -> Result<Self, String> {
        let mut pickle = Self {
            reader,
            at: 0,
            length,
            values: Vec::new(),
            memo: HashMap::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memory: 0,
        };
        while pickle.step()? {}
        Ok(pickle)
    }

    /// The value that was pickled.
    pub(super) fn root(&self) -> Option<&Value> {
        self.values.get(*self.stack.last()?)
    }

    /// The value with this number.
    pub(super) fn value(&self, id: Id) -> Option<&Value> {
        self.values.get(id)
    }

    /// The value at a key of the pickled dictionary; keys are bytes or text.
    pub(super) fn entry(&self, key: &str) -> Option<&Value> {
        let Some(Value::Dict(entries)) = self.root() else {
            return None;
        };
        let has_key = |(id, _): &&(Id, Id)| match self.value(*id) {
            Some(Value::Text(text)) => text.short.as_deref() == Some(key.as_bytes()),
            _ => false,
        };
        let (_, value) = entries.iter().find(has_key)?;
        self.value(*value)
    }

    /// The reader, for the values that stayed in the file.
    pub(super) fn reader(&mut self) -> &mut R {
        &mut self.reader
    }

    fn text(&self, id: Id) -> Option<&str> {
        match self.value(id)? {
            Value::Text(text) => std::str::from_utf8(text.short.as_deref()?).ok(),
            _ => None,
        }
    }

    fn damaged(&self, what: &str) -> String {
        format!("damaged pickle: {what} at byte {}", self.at)
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        if self.values.len() >= MOST_VALUES || self.stack.len() >= MOST_VALUES {
            return Err(format!(
                "a pickle of more than {MOST_VALUES} values; expected the dictionary of a CIFAR file"
            ));
        }
        self.claim(value.memory())?;
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
        Ok(())
    }

    fn claim(&mut self, memory: usize) -> Result<(), String> {
        self.memory += memory;
        if self.memory > MOST_MEMORY {
            return Err(format!(
                "a pickle that claims more than {MOST_MEMORY} bytes"
            ));
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.damaged("a value is missing"));
        }
        self.stack
            .pop()
            .ok_or_else(|| self.damaged("a value is missing"))
    }

    /// The values since the last mark.
    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop();
        let mark = mark.filter(|mark| *mark <= self.stack.len());
        let mark = mark.ok_or_else(|| self.damaged("a mark is missing"))?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self) -> Result<&mut Value, String> {
        let damaged = self.damaged("a value is missing");
        let top = self.stack.last().copied();
        top.and_then(|id| self.values.get_mut(id)).ok_or(damaged)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        let read = self.reader.read_exact(&mut bytes);
        read.map_err(|_| format!("truncated pickle: it ends at byte {}", self.length))?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, String> {
        let [byte] = self.bytes()?;
        Ok(byte)
    }

    /// A line, without its end.
    fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        let read = (&mut self.reader).take(SHORT).read_until(b'\n', &mut line);
        self.at += read.map_err(|error| error.to_string())? as u64;
        let line = line.strip_suffix(b"\n").map(<[u8]>::to_vec);
        line.and_then(|line| String::from_utf8(line).ok())
            .ok_or_else(|| self.damaged("an endless line"))
    }

    /// Pushes the bytes or text of this length.
    fn string(&mut self, length: u64) -> Result<(), String> {
        let end = self.at.checked_add(length);
        let end = end.filter(|end| *end <= self.length).ok_or_else(|| {
            format!(
                "truncated pickle: {length} bytes at byte {} exceed its {} bytes",
                self.at, self.length
            )
        })?;
        let place = self.at..end;
        let short = if length <= SHORT {
            let mut bytes = Vec::new();
            let read = (&mut self.reader).take(length).read_to_end(&mut bytes);
            read.map_err(|error| error.to_string())?;
            Some(bytes)
        } else {
            let seek = self.reader.seek(SeekFrom::Start(end));
            seek.map_err(|error| error.to_string())?;
            None
        };
        self.at = end;
        self.push(Value::Text(Text {
            place,
            short,
            latin1: false,
        }))
    }
}

#[cfg(test)]
mod tests;
