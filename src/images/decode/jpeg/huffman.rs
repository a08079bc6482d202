//! Bits and Huffman codes.

/// Bits that are looked up at once. Longer codes are rare.
const LOOKED_UP: u32 = 10;

/// The bits of compressed data, without the stuffed zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits<'a> {
    /// The data, with at least 8 bytes behind them.
    bytes: &'a [u8],
    at: usize,
    /// The next bits, from the most significant one.
    buffer: u64,
    /// How many of them are valid.
    count: u32,
}

impl<'a> Bits<'a> {
    /// Bytes that must follow the data.
    pub(super) const PADDING: usize = 8;

    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            buffer: 0,
            count: 0,
        }
    }

    /// Fills the buffer up to at least 56 bits. Behind the end, the bits are 0.
    #[inline]
    fn fill(&mut self) {
        if let Some(next) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            self.buffer |= u64::from_be_bytes(*next) >> self.count;
        }
        self.at += (63 - self.count as usize) >> 3;
        // Whole bytes were added, so that the three lowest bits of the number are as before.
        self.count |= 0b11_1000;
    }

    #[inline]
    fn drop(&mut self, count: u32) {
        self.buffer <<= count;
        self.count -= count;
    }

    /// The next 1 to 16 bits as a number.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> u32 {
        if self.count < count {
            self.fill();
        }
        let bits = (self.buffer >> 48 >> (16 - count)) as u32;
        self.drop(count);
        bits
    }

    /// A coefficient of `size` bits: the upper half of the numbers is positive.
    #[inline]
    fn coefficient(&mut self, size: u32) -> i32 {
        if size == 0 {
            return 0;
        }
        extended(self.take(size) as i32, size)
    }

    /// Whether more bits were taken than there are.
    pub(super) fn is_overrun(&self) -> bool {
        let length = self.bytes.len().saturating_sub(Self::PADDING);
        self.at * 8 > length * 8 + self.count as usize
    }
}

#[inline]
fn extended(bits: i32, size: u32) -> i32 {
    if bits < 1 << (size - 1) {
        bits + 1 - (1 << size)
    } else {
        bits
    }
}

/// The result of a lookup. With 4 bytes, it is loaded at once, and a table fits into the first cache.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(4))]
struct Entry {
    /// The coefficient.
    value: i16,
    symbol: u8,
    /// Bits of code and coefficient, or [`Entry::CODE_ONLY`] and the bits of the code; 0 if the code is longer than what was
    /// looked up.
    length: u8,
}

/// A Huffman table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    lookup: Box<[Entry; 1 << LOOKED_UP]>,
    symbols: Vec<u8>,
    /// For each length, the first code behind those of this length, aligned to 16 bits.
    ends: [u32; 17],
    /// For each length, what to add to a code to get the index of its symbol.
    offsets: [i32; 17],
}

impl Table {
    /// A table with `counts[n]` codes of n + 1 bits.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut lookup = Box::new([Entry::default(); 1 << LOOKED_UP]);
        let (mut ends, mut offsets) = ([0; 17], [0; 17]);
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, count) in (1_u32..).zip(counts) {
            *offsets.get_mut(length as usize)? = index as i32 - code as i32;
            for _ in 0..*count {
                if code >> length != 0 {
                    return None;
                }
                let symbol = *symbols.get(index)?;
                if length <= LOOKED_UP {
                    let free = LOOKED_UP - length;
                    let first = (code << free) as usize;
                    let entries = lookup.get_mut(first..first + (1 << free))?;
                    for (rest, entry) in (0_u32..).zip(entries) {
                        *entry = Entry::new(symbol, length, rest, free);
                    }
                }
                code += 1;
                index += 1;
            }
            *ends.get_mut(length as usize)? = code << (16 - length);
            code <<= 1;
        }
        Some(Self {
            lookup,
            symbols: symbols.to_vec(),
            ends,
            offsets,
        })
    }

    /// The symbol whose code begins the 16 bits of `code`, and the length of its code.
    #[cold]
    fn long_symbol(&self, code: u32) -> Option<(u8, u32)> {
        let lengths = LOOKED_UP as usize + 1..=16;
        let ends = self.ends.get(lengths.clone())?;
        let length = LOOKED_UP as usize + 1 + ends.iter().position(|end| code < *end)?;
        let index = (code >> (16 - length)) as i32 + self.offsets.get(length)?;
        Some((*self.symbols.get(index as usize)?, length as u32))
    }

    /// The next difference of first coefficients.
    #[inline]
    pub(super) fn difference(&self, bits: &mut Bits<'_>) -> Option<i32> {
        let (zeros, difference) = self.run(bits)?;
        (zeros == 0).then_some(difference)
    }

    /// The next number of zeros and the coefficient behind them. A coefficient of 0: 15 zeros and one more, or, with less
    /// zeros, the code of an end.
    #[inline(always)]
    pub(super) fn run(&self, bits: &mut Bits<'_>) -> Option<(usize, i32)> {
        if bits.count < 32 {
            bits.fill();
        }
        // The index has LOOKED_UP bits, so that the compiler leaves out the check.
        let entry = self.lookup[(bits.buffer >> (64 - LOOKED_UP)) as usize];
        if (1..Entry::CODE_ONLY).contains(&entry.length) {
            bits.drop(u32::from(entry.length));
            return Some((usize::from(entry.symbol >> 4), i32::from(entry.value)));
        }
        let (symbol, length) = if entry.length > 0 {
            (entry.symbol, u32::from(entry.length - Entry::CODE_ONLY))
        } else {
            self.long_symbol((bits.buffer >> 48) as u32)?
        };
        bits.drop(length);
        let value = bits.coefficient(u32::from(symbol & 15));
        Some((usize::from(symbol >> 4), value))
    }
}

impl Entry {
    /// Added to the length of a code whose coefficient was not looked up.
    const CODE_ONLY: u8 = 32;

    /// The entry of a code that is followed by `free` bits of value `rest`.
    fn new(symbol: u8, length: u32, rest: u32, free: u32) -> Self {
        let size = u32::from(symbol & 15);
        let (value, length) = match size {
            0 => (0, length as u8),
            size if size <= free => (
                extended((rest >> (free - size)) as i32, size),
                (length + size) as u8,
            ),
            _ => (0, length as u8 + Self::CODE_ONLY),
        };
        Self {
            value: value as i16,
            symbol,
            length,
        }
    }
}
