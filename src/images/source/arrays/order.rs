//! Orders of the values of arrays.

/// Turns (channel, pixel) into (pixel, channel).
pub(super) fn interleave(planes: &[u8], channels: usize, pixels: &mut [u8]) {
    if channels == 1 {
        pixels.copy_from_slice(planes);
        return;
    }
    let size = (planes.len() / channels.max(1)).max(1);
    if let (3, (colours, []), Some((red, rest))) = (
        channels,
        pixels.as_chunks_mut::<3>(),
        planes.split_at_checked(size),
    ) && let Some((green, blue)) = rest.split_at_checked(size)
    {
        // The usual case, several times as fast as the general one.
        for (colour, ((red, green), blue)) in
            colours.iter_mut().zip(red.iter().zip(green).zip(blue))
        {
            *colour = [*red, *green, *blue];
        }
        return;
    }
    for (channel, plane) in planes.chunks_exact(size).enumerate() {
        let targets = pixels.iter_mut().skip(channel).step_by(channels);
        for (target, value) in targets.zip(plane) {
            *target = *value;
        }
    }
}

/// Turns (column, row) into (row, column); a column has `height` values.
pub(super) fn transpose(columns: &[u8], height: usize, pixels: &mut [u8]) {
    let width = (columns.len() / height.max(1)).max(1);
    for (y, row) in pixels.chunks_exact_mut(width).enumerate() {
        for (target, value) in row.iter_mut().zip(columns.iter().skip(y).step_by(height)) {
            *target = *value;
        }
    }
}

/// Turns values in Fortran order, whose first index varies fastest, into C order, whose last index does.
pub(super) fn c_order(values: &[u8], [a, b, c, d]: [usize; 4]) -> Vec<u8> {
    let mut out = Vec::with_capacity(values.len());
    for i in 0..a {
        for j in 0..b {
            for k in 0..c {
                let first = i + a * (j + b * k);
                let line = values.get(first..).unwrap_or_default();
                out.extend(line.iter().step_by((a * b * c).max(1)).take(d));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_interleaved() {
        let mut pixels = [0; 6];
        interleave(&[1, 2, 3, 4, 5, 6], 3, &mut pixels);
        assert_eq!(pixels, [1, 3, 5, 2, 4, 6]);
        interleave(&[1, 2, 3, 4, 5, 6], 2, &mut pixels);
        assert_eq!(pixels, [1, 4, 2, 5, 3, 6]);
        interleave(&[1, 2, 3, 4, 5, 6], 1, &mut pixels);
        assert_eq!(pixels, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn columns_become_rows() {
        let mut pixels = [0; 6];
        // Three columns of two rows.
        transpose(&[1, 4, 2, 5, 3, 6], 2, &mut pixels);
        assert_eq!(pixels, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn fortran_order_becomes_c_order() {
        // numpy.arange(24).reshape(2, 3, 4, 1).flatten("F"), whose C order is 0, 1, 2, …
        let fortran = [
            0, 12, 4, 16, 8, 20, 1, 13, 5, 17, 9, 21, 2, 14, 6, 18, 10, 22, 3, 15, 7, 19, 11, 23,
        ];
        let expected: Vec<u8> = (0..24).collect();
        assert_eq!(c_order(&fortran, [2, 3, 4, 1]), expected);
    }
}
