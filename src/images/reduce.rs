//! Images reduced for display.

/// Height and width of an image reduced so that neither exceeds `most`, with its aspect ratio preserved.
pub fn reduced_size((height, width): (u32, u32), most: u32) -> (u32, u32) {
    let longest = height.max(width);
    if longest <= most {
        return (height, width);
    }
    let side = |n: u32| (u64::from(n) * u64::from(most) / u64::from(longest)).max(1) as u32;
    (side(height), side(width))
}

/// An image (channels, height, width), reduced to [`reduced_size`]: each value is the mean of the pixels that it replaces.
pub fn reduced(image: &[u8], (_, height, width): (u32, u32, u32), most: u32) -> Vec<u8> {
    let (rows, columns) = reduced_size((height, width), most);
    if (rows, columns) == (height, width) {
        return image.to_vec();
    }
    let [height, width, rows, columns] = [height, width, rows, columns].map(|n| n as usize);
    let span = |at: usize, from: usize, to: usize| at * from / to..(at + 1) * from / to;
    let mut pixels = Vec::new();
    for plane in image.chunks_exact((height * width).max(1)) {
        for y in 0..rows {
            for x in 0..columns {
                let (down, across) = (span(y, height, rows), span(x, width, columns));
                let lines = plane.chunks_exact(width);
                let lines = lines.skip(down.start).take(down.len());
                let values = lines.filter_map(|line| line.get(across.clone())).flatten();
                let (sum, count) = values.fold((0, 0), |(sum, count), byte| {
                    (sum + usize::from(*byte), count + 1)
                });
                pixels.push((sum / count.max(1)) as u8);
            }
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduced_images_keep_their_mean_and_their_aspect_ratio() {
        assert_eq!(reduced_size((28, 28), 64), (28, 28));
        assert_eq!(reduced_size((2048, 1024), 64), (64, 32));
        assert_eq!(reduced_size((4096, 1), 64), (64, 1));
        let colour = [10, 0, 20, 3, 60, 6];
        assert_eq!(reduced(&colour, (3, 1, 2), 64), colour);
        assert_eq!(reduced(&colour, (3, 1, 2), 1), [5, 11, 33]);
        assert_eq!(reduced(&[1, 3, 5, 7, 2, 2, 4, 4], (1, 2, 4), 2), [2, 5]);
        for (shape, most) in [((1, 100, 70), 64), ((3, 65, 130), 64), ((1, 5, 3), 9)] {
            let (c, h, w) = shape;
            let found = reduced(&vec![77; (c * h * w) as usize], shape, most);
            let (rows, columns) = reduced_size((h, w), most);
            assert_eq!(found, vec![77; (c * rows * columns) as usize]);
        }
        assert!(reduced(&[], (3, 2, 2), 1).is_empty());
    }
}
