//! The inverse discrete cosine transform.
//!
//! The algorithm of Loeffler, Ligtenberg and Moschytz (1989) in the fixed-point arithmetic of the "slow integer" method of
//! libjpeg: 13 bits after the point, 2 between the two passes. All rounding is the same, so that the levels equal those of
//! libjpeg bit for bit. The loops over the eight columns of a block become vector instructions.

use pulp::NullaryFnOnce;

/// Eight rows of a block.
type Rows = [[i32; 8]; 8];

/// The transform of all columns. `BITS` is by how much the result is scaled down.
#[inline(always)]
fn pass<const BITS: i32>(rows: &Rows) -> Rows {
    let mut out = [[0; 8]; 8];
    // Sums of damaged data wrap around.
    let scaled = |number: i32| {
        let number = number.wrapping_add(1 << (BITS - 1)) >> BITS;
        number.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
    };
    for i in 0..8 {
        let [r0, r1, r2, r3] = [rows[0][i], rows[1][i], rows[2][i], rows[3][i]];
        let [r4, r5, r6, r7] = [rows[4][i], rows[5][i], rows[6][i], rows[7][i]];
        // Even part.
        let z1 = (r2 + r6) * 4433;
        let t2 = z1 - r6 * 15_137;
        let t3 = z1 + r2 * 6270;
        let (t0, t1) = ((r0 + r4) << 13, (r0 - r4) << 13);
        let (e0, e3) = (t0.wrapping_add(t3), t0.wrapping_sub(t3));
        let (e1, e2) = (t1.wrapping_add(t2), t1.wrapping_sub(t2));
        // Odd part.
        let (s37, s15) = (r7 + r3, r5 + r1);
        let z5 = (s37 + s15) * 9633;
        let z3 = z5.wrapping_sub(s37 * 16_069);
        let z4 = z5.wrapping_sub(s15 * 3196);
        let z1 = (r7 + r1) * 7373;
        let z2 = (r5 + r3) * 20_995;
        let o3 = (r7 * 2446 - z1).wrapping_add(z3);
        let o2 = (r5 * 16_819).wrapping_sub(z2).wrapping_add(z4);
        let o1 = (r3 * 25_172).wrapping_sub(z2).wrapping_add(z3);
        let o0 = (r1 * 12_299 - z1).wrapping_add(z4);
        out[0][i] = scaled(e0.wrapping_add(o0));
        out[1][i] = scaled(e1.wrapping_add(o1));
        out[2][i] = scaled(e2.wrapping_add(o2));
        out[3][i] = scaled(e3.wrapping_add(o3));
        out[4][i] = scaled(e3.wrapping_sub(o3));
        out[5][i] = scaled(e2.wrapping_sub(o2));
        out[6][i] = scaled(e1.wrapping_sub(o1));
        out[7][i] = scaled(e0.wrapping_sub(o0));
    }
    out
}

/// A block with rows and columns exchanged.
#[inline(always)]
fn transposed(rows: &Rows) -> Rows {
    let mut out = [[0; 8]; 8];
    for y in 0..8 {
        for x in 0..8 {
            out[x][y] = rows[y][x];
        }
    }
    out
}

/// A row of blocks and where their levels are written.
#[derive(Debug)]
pub(super) struct Transform<'a> {
    /// Coefficients (row, column).
    pub(super) blocks: &'a [[i16; 64]],
    /// What they are multiplied with.
    pub(super) quantisation: &'a [i16; 64],
    /// The levels. The first block begins at the first place.
    pub(super) plane: &'a mut [u8],
    /// Places from one row of levels to the next.
    pub(super) stride: usize,
}

impl NullaryFnOnce for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (number, block) in self.blocks.iter().enumerate() {
            let plane = self.plane.get_mut(number * 8..).unwrap_or_default();
            transform(block, self.quantisation, plane, self.stride);
        }
    }
}

#[inline(always)]
fn transform(block: &[i16; 64], quantisation: &[i16; 64], plane: &mut [u8], stride: usize) {
    let mut rows = [[0; 8]; 8];
    for y in 0..8 {
        for x in 0..8 {
            rows[y][x] = i32::from(block[8 * y + x].wrapping_mul(quantisation[8 * y + x]));
        }
    }
    let rows = transposed(&pass::<11>(&rows));
    let rows = transposed(&pass::<18>(&rows));
    for (out, row) in plane.chunks_mut(stride).zip(&rows) {
        let levels = row.map(|level| (level + 128).clamp(0, 255) as u8);
        if let Some(out) = out.first_chunk_mut() {
            *out = levels;
        }
    }
}
