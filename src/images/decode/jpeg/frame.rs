//! The frame: size and components of an image, with their levels or coefficients.

use super::super::reader::Reader;
use super::damaged;

/// One component (channel) of an image, which may be reduced.
#[derive(Debug)]
pub(super) struct Component {
    /// Its name in scans.
    pub(super) id: u8,
    /// Blocks of a unit (MCU): across and down.
    pub(super) sampling: (usize, usize),
    /// Number of its quantisation table.
    pub(super) table: usize,
    /// Size in samples, without padding to whole blocks.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Size in blocks, padded to whole units.
    pub(super) blocks: (usize, usize),
    /// The levels; rows have 8 samples for each block.
    pub(super) plane: Vec<u8>,
    /// The coefficients, for each block in the order (row, column): of a progressive image all, otherwise those of one row of
    /// units.
    pub(super) coefficients: Vec<[i16; 64]>,
    /// Whether a scan had it.
    pub(super) is_seen: bool,
}

impl Component {
    /// Samples from one row to the next.
    pub(super) fn stride(&self) -> usize {
        self.blocks.0 * 8
    }

    /// A row of samples; behind the last row, the last one.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        let start = y.min(self.height.saturating_sub(1)) * self.stride();
        self.plane
            .get(start..start + self.width)
            .unwrap_or_default()
    }
}

/// An image.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) is_progressive: bool,
    pub(super) components: Vec<Component>,
    /// Units (MCUs): across and down.
    pub(super) units: (usize, usize),
    /// The largest sampling of the components.
    pub(super) most: (usize, usize),
}

impl Frame {
    /// Reads the content of a frame header.
    pub(super) fn new(data: &[u8], is_progressive: bool) -> Result<Self, String> {
        let fields = Reader::big(data);
        let (Some(height), Some(width), Some(count)) = (fields.u16(1), fields.u16(3), fields.u8(5))
        else {
            return Err(damaged());
        };
        let (width, height) = (usize::from(width), usize::from(height));
        let (parts, _) = data.get(6..).unwrap_or_default().as_chunks::<3>();
        if parts.len() != usize::from(count) || width * height == 0 {
            return Err(damaged());
        }
        let sampling = |both: u8| (usize::from(both >> 4), usize::from(both & 15));
        let mut most = (1, 1);
        for [_, both, _] in parts {
            let (across, down) = sampling(*both);
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return Err(damaged());
            }
            most = (most.0.max(across), most.1.max(down));
        }
        let units = (width.div_ceil(8 * most.0), height.div_ceil(8 * most.1));
        let mut components = Vec::new();
        for &[id, both, table] in parts {
            let (across, down) = sampling(both);
            if most.0 % across != 0 || most.1 % down != 0 {
                return Err(format!(
                    "unsupported JPEG image whose components have the sampling {across}×{down} of {}×{}",
                    most.0, most.1
                ));
            }
            let blocks = (units.0 * across, units.1 * down);
            let rows = if is_progressive { blocks.1 } else { down };
            components.push(Component {
                id,
                sampling: (across, down),
                table: usize::from(table),
                width: (width * across).div_ceil(most.0),
                height: (height * down).div_ceil(most.1),
                blocks,
                plane: vec![0; blocks.0 * blocks.1 * 64],
                coefficients: vec![[0; 64]; blocks.0 * rows],
                is_seen: false,
            });
        }
        Ok(Self {
            width,
            height,
            is_progressive,
            components,
            units,
            most,
        })
    }
}
