//! Labels that are words.

use std::collections::HashMap;

use crate::limits::{MOST_CLASSES, check_classes};

/// The different words in a column, numbered in the order of their first occurrence.
#[derive(Debug, Default)]
pub(super) struct Words {
    names: Vec<String>,
    numbers: HashMap<String, i64>,
}

impl Words {
    /// The number of a word; it is added if it is new.
    ///
    /// # Errors
    /// If it is not UTF-8, or if there are more words than classes are possible.
    pub(super) fn number(&mut self, word: &[u8]) -> Result<i64, String> {
        let word = std::str::from_utf8(word).map_err(|_| "a label that is not UTF-8 text")?;
        if let Some(number) = self.numbers.get(word) {
            return Ok(*number);
        }
        if self.names.len() == MOST_CLASSES {
            check_classes(self.names.len() + 1)?;
        }
        let number = self.names.len() as i64;
        self.names.push(word.to_owned());
        self.numbers.insert(word.to_owned(), number);
        Ok(number)
    }

    /// Number of different words.
    pub(super) fn count(&self) -> i64 {
        self.names.len() as i64
    }

    /// The word with a number.
    pub(super) fn name(&self, number: i64) -> Option<&str> {
        let index = usize::try_from(number).ok()?;
        self.names.get(index).map(String::as_str)
    }
}
