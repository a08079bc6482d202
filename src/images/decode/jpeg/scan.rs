//! Scans: the compressed data of one or more components.

use memchr::memchr;
use pulp::Arch;

use super::frame::{Component, Frame};
use super::huffman::{Bits, Table};
use super::idct::Transform;

/// The position (row, column) of each coefficient in the order of the file. The last 16 are for runs behind the end.
const ZIGZAG: [u8; 64 + 16] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
    63, 63, 63, 63, 63, 63,
];

/// Tables that scans refer to by number.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) first: [Option<Table>; 4],
    pub(super) others: [Option<Table>; 4],
    /// In the order (row, column).
    pub(super) quantisation: [Option<[i16; 64]>; 4],
    /// Units between two restart markers; 0 without.
    pub(super) interval: usize,
}

impl Tables {
    /// Reads quantisation tables.
    pub(super) fn read_quantisation(&mut self, mut data: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = data {
            let size = if kind >> 4 == 0 { 1 } else { 2 };
            let (values, rest) = rest.split_at_checked(64 * size)?;
            let table = self.quantisation.get_mut(usize::from(kind & 15))?;
            let table = table.insert([0; 64]);
            for (value, at) in values.chunks_exact(size).zip(ZIGZAG) {
                let value = value
                    .iter()
                    .fold(0, |sum, byte| (sum << 8) | i16::from(*byte));
                *table.get_mut(usize::from(at))? = value;
            }
            data = rest;
        }
        Some(())
    }

    /// Reads Huffman tables.
    pub(super) fn read_huffman(&mut self, mut data: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = data {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let count = counts.iter().map(|count| usize::from(*count)).sum();
            let (symbols, rest) = rest.split_at_checked(count)?;
            let tables = match kind >> 4 {
                0 => &mut self.first,
                1 => &mut self.others,
                _ => return None,
            };
            *tables.get_mut(usize::from(kind & 15))? = Some(Table::new(counts, symbols)?);
            data = rest;
        }
        Some(())
    }
}

/// The part of the coefficients that a scan has.
#[derive(Debug, Clone, Copy)]
struct Band {
    /// First and last coefficient.
    first: usize,
    last: usize,
    /// Whether earlier scans had all bits but one.
    is_refinement: bool,
    /// The lowest bit.
    bit: u32,
}

/// A component in a scan, with the numbers of its tables.
#[derive(Debug, Clone, Copy)]
struct Part {
    component: usize,
    first: usize,
    others: usize,
}

/// What is carried from block to block.
#[derive(Debug, Default)]
struct State {
    /// The last first coefficient of each part.
    predictions: [i32; 4],
    /// Blocks whose band has no further coefficients.
    skipped: u32,
}

/// Decodes the scan whose header is `header` and whose compressed data begin at `at`. Returns where they end.
pub(super) fn decode(
    frame: &mut Frame,
    tables: &Tables,
    header: &[u8],
    bytes: &[u8],
    mut at: usize,
) -> Option<usize> {
    let (parts, band) = parsed(frame, header)?;
    let units = match parts.as_slice() {
        // Without other components, a unit is one block, and the padding to whole units is not there.
        [part] => {
            let component = frame.components.get(part.component)?;
            (component.width.div_ceil(8), component.height.div_ceil(8))
        }
        _ => frame.units,
    };
    let is_single = parts.len() == 1;
    let total = units.0 * units.1;
    let interval = if tables.interval == 0 {
        total
    } else {
        tables.interval
    };
    let mut data = Vec::new();
    let mut unit = 0;
    while unit < total {
        at = unstuffed(bytes, at, &mut data);
        let mut bits = Bits::new(&data);
        let mut state = State::default();
        let end = (unit + interval).min(total);
        while unit < end {
            let (x, y) = (unit % units.0, unit / units.0);
            for (number, part) in parts.iter().enumerate() {
                let component = frame.components.get_mut(part.component)?;
                let (across, down) = if is_single {
                    (1, 1)
                } else {
                    component.sampling
                };
                let block = Block {
                    tables,
                    part: *part,
                    number,
                    band,
                    is_progressive: frame.is_progressive,
                };
                for row in 0..down {
                    for column in 0..across {
                        // Sequential images have one row of units at a time.
                        let y = if frame.is_progressive { y * down } else { 0 };
                        let place = (x * across + column, y + row);
                        block.decode(component, place, &mut bits, &mut state)?;
                    }
                }
            }
            unit += 1;
            if unit % units.0 == 0 {
                if bits.is_overrun() {
                    return None;
                }
                if !frame.is_progressive {
                    for part in &parts {
                        let component = frame.components.get_mut(part.component)?;
                        let down = if is_single { 1 } else { component.sampling.1 };
                        tables.transform(component, y * down, down)?;
                        component.coefficients.fill([0; 64]);
                    }
                }
            }
        }
        if bits.is_overrun() {
            return None;
        }
        if unit < total {
            at = restart(bytes, at)?;
        }
    }
    for part in parts {
        if let Some(component) = frame.components.get_mut(part.component) {
            component.is_seen = true;
        }
    }
    Some(at)
}

/// Reads a scan header.
fn parsed(frame: &Frame, header: &[u8]) -> Option<(Vec<Part>, Band)> {
    let [count, rest @ ..] = header else {
        return None;
    };
    let (names, rest) = rest.split_at_checked(usize::from(*count) * 2)?;
    let mut parts: Vec<Part> = Vec::new();
    for [id, numbers] in names.as_chunks::<2>().0 {
        let component = frame.components.iter().position(|part| part.id == *id)?;
        let is_repeated = parts.iter().any(|part| part.component == component);
        if is_repeated {
            return None;
        }
        parts.push(Part {
            component,
            first: usize::from(numbers >> 4),
            others: usize::from(numbers & 15),
        });
    }
    let [first, last, bits, ..] = *rest else {
        return None;
    };
    let band = if frame.is_progressive {
        Band {
            first: usize::from(first),
            last: usize::from(last),
            is_refinement: bits >> 4 != 0,
            bit: u32::from(bits & 15),
        }
    } else {
        Band {
            first: 0,
            last: 63,
            is_refinement: false,
            bit: 0,
        }
    };
    let is_valid = match band {
        _ if !frame.is_progressive => true,
        Band { first: 0, last, .. } => last == 0,
        Band { first, last, .. } => first <= last && last < 64 && parts.len() == 1,
    };
    (is_valid && band.bit <= 13 && (1..=4).contains(&parts.len())).then_some((parts, band))
}

/// Copies compressed data up to the next marker, without the zeros that are stuffed behind FF, and pads them. Returns where
/// the marker is.
fn unstuffed(bytes: &[u8], mut at: usize, data: &mut Vec<u8>) -> usize {
    data.clear();
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let length = memchr(0xff, rest).unwrap_or(rest.len());
        data.extend_from_slice(rest.get(..length).unwrap_or_default());
        at += length;
        match bytes.get(at + 1) {
            Some(0) => {
                data.push(0xff);
                at += 2;
            }
            // Padding of a marker.
            Some(0xff) => at += 1,
            _ => break,
        }
    }
    data.extend_from_slice(&[0; Bits::PADDING]);
    at
}

/// Behind the restart marker at `at`.
fn restart(bytes: &[u8], at: usize) -> Option<usize> {
    matches!(bytes.get(at..at + 2)?, [0xff, 0xd0..=0xd7]).then_some(at + 2)
}

/// How the blocks of a component are decoded in a scan.
struct Block<'a> {
    tables: &'a Tables,
    part: Part,
    /// Number of the part in the scan.
    number: usize,
    band: Band,
    is_progressive: bool,
}

impl Block<'_> {
    fn decode(
        &self,
        component: &mut Component,
        (x, y): (usize, usize),
        bits: &mut Bits<'_>,
        state: &mut State,
    ) -> Option<()> {
        let block = component.coefficients.get_mut(y * component.blocks.0 + x)?;
        if !self.is_progressive {
            return self.sequential(block, bits, state);
        }
        match (self.band.first, self.band.is_refinement) {
            (0, false) => {
                let first = self.first(bits, state)?;
                block[0] = (first << self.band.bit) as i16;
                Some(())
            }
            (0, true) => {
                block[0] |= (bits.take(1) << self.band.bit) as i16;
                Some(())
            }
            (_, false) => self.band(block, bits, state),
            (_, true) => self.refined(block, bits, state),
        }
    }

    /// The first coefficient, which is stored as a difference.
    fn first(&self, bits: &mut Bits<'_>, state: &mut State) -> Option<i32> {
        let table = self
            .tables
            .first
            .get(self.part.first)
            .and_then(Option::as_ref);
        let difference = table?.difference(bits)?;
        let prediction = state.predictions.get_mut(self.number)?;
        *prediction = prediction.wrapping_add(difference);
        Some(*prediction)
    }

    fn others(&self) -> Option<&Table> {
        let table = self.tables.others.get(self.part.others);
        table.and_then(Option::as_ref)
    }

    /// All coefficients of a block.
    fn sequential(
        &self,
        block: &mut [i16; 64],
        bits: &mut Bits<'_>,
        state: &mut State,
    ) -> Option<()> {
        block[0] = self.first(bits, state)? as i16;
        let table = self.others()?;
        // A copy on which the compiler works in registers.
        let mut local = *bits;
        let mut at = 1;
        while at < 64 {
            let (zeros, value) = table.run(&mut local)?;
            if value == 0 && zeros < 15 {
                break;
            }
            at += zeros;
            block[usize::from(ZIGZAG[at])] = value as i16;
            at += 1;
        }
        *bits = local;
        Some(())
    }

    /// Coefficients of a band, all bits but the lowest.
    fn band(&self, block: &mut [i16; 64], bits: &mut Bits<'_>, state: &mut State) -> Option<()> {
        if state.skipped > 0 {
            state.skipped -= 1;
            return Some(());
        }
        let table = self.others()?;
        let mut at = self.band.first;
        while at <= self.band.last {
            let (zeros, value) = table.run(bits)?;
            if value == 0 && zeros < 15 {
                state.skipped = run_of_ends(zeros, bits) - 1;
                break;
            }
            at += zeros;
            block[usize::from(ZIGZAG[at])] = (value << self.band.bit) as i16;
            at += 1;
        }
        Some(())
    }

    /// One more bit of the coefficients of a band.
    fn refined(&self, block: &mut [i16; 64], bits: &mut Bits<'_>, state: &mut State) -> Option<()> {
        let bit = 1_i16 << self.band.bit;
        let mut at = self.band.first;
        if state.skipped == 0 {
            let table = self.others()?;
            while at <= self.band.last {
                let (mut zeros, value) = table.run(bits)?;
                if value == 0 && zeros < 15 {
                    state.skipped = run_of_ends(zeros, bits);
                    break;
                }
                // Coefficients that are not zero are not counted, but corrected.
                while at <= self.band.last {
                    let coefficient = &mut block[usize::from(ZIGZAG[at])];
                    if *coefficient != 0 {
                        correct(coefficient, bit, bits);
                    } else if zeros == 0 {
                        *coefficient = bit * value.signum() as i16;
                        at += 1;
                        break;
                    } else {
                        zeros -= 1;
                    }
                    at += 1;
                }
            }
        }
        if state.skipped > 0 {
            state.skipped -= 1;
            for place in ZIGZAG.iter().take(self.band.last + 1).skip(at) {
                let coefficient = &mut block[usize::from(*place)];
                if *coefficient != 0 {
                    correct(coefficient, bit, bits);
                }
            }
        }
        Some(())
    }
}

/// The number of blocks that end with this one; the code has the number of bits that follow.
fn run_of_ends(size: usize, bits: &mut Bits<'_>) -> u32 {
    match size as u32 {
        0 => 1,
        size => (1 << size) + bits.take(size),
    }
}

fn correct(coefficient: &mut i16, bit: i16, bits: &mut Bits<'_>) {
    if bits.take(1) == 1 && *coefficient & bit == 0 {
        *coefficient = coefficient.wrapping_add(bit * coefficient.signum());
    }
}

impl Tables {
    /// Transforms the coefficients of `rows` rows of blocks to the levels from row `first` on.
    fn transform(&self, component: &mut Component, first: usize, rows: usize) -> Option<()> {
        let table = self.quantisation.get(component.table)?.as_ref()?;
        let (across, stride) = (component.blocks.0, component.stride());
        let rows = component.coefficients.chunks_exact(across).take(rows);
        for (y, blocks) in (first..).zip(rows) {
            Arch::new().dispatch(Transform {
                blocks,
                quantisation: table,
                plane: component.plane.get_mut(y * 8 * stride..)?,
                stride,
            });
        }
        Some(())
    }

    /// Transforms all coefficients of a progressive image.
    pub(super) fn finish(&self, frame: &mut Frame) -> Option<()> {
        for component in &mut frame.components {
            self.transform(component, 0, component.blocks.1)?;
        }
        Some(())
    }
}
