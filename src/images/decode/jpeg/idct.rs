//! The inverse discrete cosine transform.
//!
//! The algorithm of Loeffler, Ligtenberg and Moschytz (1989) in the fixed-point arithmetic of the "slow integer" method of
//! libjpeg: 13 bits after the point, 2 between the two passes. All rounding is the same, so that the levels equal those of
//! libjpeg bit for bit. Four blocks are transformed at once, in loops that the compiler turns into vector instructions; all
//! factors have 16 bits, as products of such numbers have instructions on all processors.

/// Blocks that are transformed at once.
pub(super) const BLOCKS: usize = 4;
const COLUMNS: usize = 8 * BLOCKS;

/// Eight rows of the blocks side by side.
type Rows = [[i16; COLUMNS]; 8];

/// The transform of all columns. `BITS` is by how much the result is scaled down.
fn pass<const BITS: i32>(rows: &Rows, out: &mut Rows) {
    let scaled = |number: i32| {
        let number = number.wrapping_add(1 << (BITS - 1)) >> BITS;
        number.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
    };
    let product = |number: i16, factor: i16| i32::from(number) * i32::from(factor);
    for i in 0..COLUMNS {
        let [r0, r1, r2, r3] = [rows[0][i], rows[1][i], rows[2][i], rows[3][i]];
        let [r4, r5, r6, r7] = [rows[4][i], rows[5][i], rows[6][i], rows[7][i]];
        // Even part.
        let sum04 = (i32::from(r0) + i32::from(r4)) << 13;
        let difference04 = (i32::from(r0) - i32::from(r4)) << 13;
        let cos26 = product(r2, 10_703) + product(r6, 4433);
        let sin26 = product(r2, 4433) + product(r6, -10_704);
        let (e0, e3) = (sum04.wrapping_add(cos26), sum04.wrapping_sub(cos26));
        let (e1, e2) = (
            difference04.wrapping_add(sin26),
            difference04.wrapping_sub(sin26),
        );
        // Odd part.
        let (s37, s15) = (r3.wrapping_add(r7), r1.wrapping_add(r5));
        let z3 = product(s37, -6436) + product(s15, 9633);
        let z4 = product(s37, 9633) + product(s15, 6437);
        let o3 = z3.wrapping_add(product(r7, -4927) + product(r1, -7373));
        let o0 = z4.wrapping_add(product(r7, -7373) + product(r1, 4926));
        let o2 = z4.wrapping_add(product(r5, -4176) + product(r3, -20_995));
        let o1 = z3.wrapping_add(product(r5, -20_995) + product(r3, 4177));
        out[0][i] = scaled(e0.wrapping_add(o0));
        out[1][i] = scaled(e1.wrapping_add(o1));
        out[2][i] = scaled(e2.wrapping_add(o2));
        out[3][i] = scaled(e3.wrapping_add(o3));
        out[4][i] = scaled(e3.wrapping_sub(o3));
        out[5][i] = scaled(e2.wrapping_sub(o2));
        out[6][i] = scaled(e1.wrapping_sub(o1));
        out[7][i] = scaled(e0.wrapping_sub(o0));
    }
}

/// Each block with rows and columns exchanged.
fn transposed(rows: &Rows) -> Rows {
    let mut out = [[0; COLUMNS]; 8];
    for block in (0..COLUMNS).step_by(8) {
        for y in 0..8 {
            for x in 0..8 {
                out[x][block + y] = rows[y][block + x];
            }
        }
    }
    out
}

/// Transforms up to [`BLOCKS`] blocks of coefficients (row, column), each multiplied with its quantisation, to levels. They are
/// written side by side into `plane`, whose first place is the upper left one, with rows that are `stride` apart.
pub(super) fn transform(
    blocks: &[[i16; 64]],
    quantisation: &[i16; 64],
    plane: &mut [u8],
    stride: usize,
) {
    let mut rows = [[0; COLUMNS]; 8];
    for (number, block) in blocks.iter().take(BLOCKS).enumerate() {
        let products = block.iter().zip(quantisation);
        for (at, (coefficient, factor)) in products.enumerate() {
            rows[at / 8][number * 8 + at % 8] = coefficient.wrapping_mul(*factor);
        }
    }
    let mut out = [[0; COLUMNS]; 8];
    pass::<11>(&rows, &mut out);
    rows = transposed(&out);
    pass::<18>(&rows, &mut out);
    let width = (blocks.len() * 8).min(COLUMNS);
    for (row, levels) in plane.chunks_mut(stride).zip(transposed(&out)) {
        for (out, level) in row.iter_mut().zip(levels).take(width) {
            *out = level.saturating_add(128).clamp(0, 255) as u8;
        }
    }
}
