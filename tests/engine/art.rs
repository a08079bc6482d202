//! The ASCII art of Fashion-MNIST images follows their brightness.

use epochtop::config::Config;
use epochtop::tui::art;

use crate::fixture::load;

/// Pearson's correlation coefficient.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let mean = |v: &[f32]| v.iter().map(|x| f64::from(*x)).sum::<f64>() / v.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let pairs = || {
        a.iter()
            .zip(b)
            .map(|(x, y)| (f64::from(*x) - ma, f64::from(*y) - mb))
    };
    let product: f64 = pairs().map(|(x, y)| x * y).sum();
    let squares =
        |pick: fn((f64, f64)) -> f64| pairs().map(pick).map(|d| d * d).sum::<f64>().sqrt();
    product / (squares(|p| p.0) * squares(|p| p.1))
}

#[test]
fn ascii_art_follows_image_brightness_on_dark_and_light() {
    let dataset = load(&Config::default());
    let (height, width) = (dataset.info.height as usize, dataset.info.width as usize);
    for columns in [28, 16] {
        let rows = art::rows_for(height, width, columns);
        // A cell is twice as tall as wide, so an image of h × w pixels needs half as many rows per column.
        assert_eq!(
            rows * 2 * width,
            columns * height,
            "the aspect ratio of {columns} columns"
        );
        let mut worst = f64::INFINITY;
        for index in 0..100 {
            let image = dataset.test.image(index).unwrap();
            let wanted = art::resample(&image, height, width, columns, rows);
            for dark in [true, false] {
                let ink: Vec<f32> = art::Cells::new(&image, height, width, columns, rows)
                    .lines(dark)
                    .iter()
                    .flat_map(|line| line.chars().map(art::ink).collect::<Vec<_>>())
                    .collect();
                assert_eq!(ink.len(), wanted.len());
                let r = correlation(&ink, &wanted) * if dark { 1.0 } else { -1.0 };
                worst = worst.min(r);
                assert!(
                    r >= 0.9,
                    "image {index}, {columns} columns, dark {dark}: {r:.3}"
                );
            }
        }
        assert!(
            worst > 0.9,
            "{columns} columns: worst correlation {worst:.3}"
        );
    }
}
