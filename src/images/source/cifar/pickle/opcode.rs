//! The instructions of a pickle, as `pickletools` of Python documents them.

use std::io::{BufRead, Seek};

use super::{Id, Pickle, Value};

impl<R: BufRead + Seek> Pickle<R> {
    /// Reads one instruction; false if it is the last one.
    pub(super) fn step(&mut self) -> Result<bool, String> {
        let code = self.byte()?;
        match code {
            // STOP
            b'.' => {
                return if self.stack.len() == 1 && self.marks.is_empty() {
                    Ok(false)
                } else {
                    Err(self.damaged("more or less than one value"))
                };
            }
            // PROTO: its number, which says nothing about the instructions that follow.
            0x80 => drop(self.byte()?),
            // FRAME: a length, needed only for reading ahead.
            0x95 => drop(self.bytes::<8>()?),
            // MARK
            b'(' => self.mark()?,
            // NONE
            b'N' => self.push(Value::Other)?,
            // NEWFALSE, NEWTRUE
            0x88 => self.push(Value::Int(1))?,
            0x89 => self.push(Value::Int(0))?,
            // BINFLOAT
            b'G' => {
                self.bytes::<8>()?;
                self.push(Value::Other)?;
            }
            // BININT, BININT1, BININT2, LONG1
            b'J' => {
                let value = i32::from_le_bytes(self.bytes()?);
                self.push(Value::Int(i64::from(value)))?;
            }
            b'K' => {
                let value = self.byte()?;
                self.push(Value::Int(i64::from(value)))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.bytes()?);
                self.push(Value::Int(i64::from(value)))?;
            }
            0x8a => self.long()?,
            _ => return self.text_or_container(code).map(|()| true),
        }
        Ok(true)
    }

    fn text_or_container(&mut self, code: u8) -> Result<(), String> {
        match code {
            // SHORT_BINSTRING, SHORT_BINBYTES, SHORT_BINUNICODE
            b'U' | b'C' | 0x8c => {
                let length = self.byte()?;
                self.string(u64::from(length))
            }
            // BINSTRING, BINBYTES, BINUNICODE
            b'T' | b'B' | b'X' => {
                let length = u32::from_le_bytes(self.bytes()?);
                self.string(u64::from(length))
            }
            // BINUNICODE8, BINBYTES8, BYTEARRAY8
            0x8d | 0x8e | 0x96 => {
                let length = u64::from_le_bytes(self.bytes()?);
                self.string(length)
            }
            // EMPTY_LIST, EMPTY_TUPLE
            b']' | b')' => self.push(Value::List(Vec::new())),
            // EMPTY_DICT
            b'}' => self.push(Value::Dict(Vec::new())),
            // TUPLE and LIST since the mark, TUPLE1 to TUPLE3
            b't' | b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items))
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0x84..code {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Value::List(items))
            }
            // APPEND, APPENDS
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)
            }
            // SETITEM, SETITEMS, DICT
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(&items)
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(Vec::new()))?;
                self.set(&items)
            }
            _ => self.memo_or_call(code),
        }
    }

    fn memo_or_call(&mut self, code: u8) -> Result<(), String> {
        match code {
            // BINPUT, LONG_BINPUT, MEMOIZE
            b'q' => {
                let key = self.byte()?;
                self.memoize(u32::from(key))
            }
            b'r' => {
                let key = u32::from_le_bytes(self.bytes()?);
                self.memoize(key)
            }
            0x94 => self.memoize(self.memo.len() as u32),
            // BINGET, LONG_BINGET
            b'h' => {
                let key = self.byte()?;
                self.recall(u32::from(key))
            }
            b'j' => {
                let key = u32::from_le_bytes(self.bytes()?);
                self.recall(key)
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |id: Id| self.text(id).unwrap_or("?").to_owned();
                let (module, name) = (text(module), text(name));
                self.global(&module, &name)
            }
            // REDUCE, BUILD
            b'R' => self.call(),
            b'b' => self.build(),
            _ => Err(format!(
                "{}; a CIFAR file has none (it was pickled with protocol 2 to 5)",
                self.damaged(&format!("the instruction {code:#04x}"))
            )),
        }
    }

    fn mark(&mut self) -> Result<(), String> {
        if self.marks.len() > self.stack.len() + 64 {
            return Err(self.damaged("too many marks"));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn long(&mut self) -> Result<(), String> {
        let length = self.byte()?;
        let mut value = [0; 8];
        for at in 0..length {
            let byte = self.byte()?;
            if let Some(target) = value.get_mut(usize::from(at)) {
                *target = byte;
            }
        }
        // The number is in two's complement, little-endian, of any length; more than eight bytes are no label.
        let shift = 64 - 8 * u32::from(length.min(8));
        let value = i64::from_le_bytes(value).checked_shl(shift).unwrap_or(0) >> shift.min(63);
        self.push(if length > 8 {
            Value::Other
        } else {
            Value::Int(value)
        })
    }

    fn append(&mut self, mut more: Vec<Id>) -> Result<(), String> {
        match self.top()? {
            Value::List(items) => {
                items.append(&mut more);
                Ok(())
            }
            _ => Err(self.damaged("items of something else than a list")),
        }
    }

    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        let (pairs, rest) = items.as_chunks::<2>();
        let is_even = rest.is_empty();
        match self.top()? {
            Value::Dict(entries) if is_even => {
                entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
                Ok(())
            }
            _ => Err(self.damaged("items of something else than a dictionary")),
        }
    }

    fn memoize(&mut self, key: u32) -> Result<(), String> {
        let top = self.stack.last().copied();
        let top = top.ok_or_else(|| self.damaged("a value is missing"))?;
        // One key for each value is usual.
        if self.memo.len() > self.values.len() {
            return Err(self.damaged("more names than values"));
        }
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), String> {
        let id = self.memo.get(&key).copied();
        let id = id.ok_or_else(|| self.damaged("an unknown value"))?;
        if self.stack.len() >= super::MOST_VALUES {
            return Err(self.damaged("too many values"));
        }
        // It may become an item of a list.
        self.claim(8)?;
        self.stack.push(id);
        Ok(())
    }
}
