//! Plots of a curve as plain text, for command-line output.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget};

use super::dots::Dots;

/// A curve with a logarithmic x-axis.
#[derive(Debug, Clone)]
pub struct Plot<'a> {
    /// The curve: pairs (x, y) with x > 0.
    pub points: &'a [(f64, f64)],
    /// Raw points, drawn as a scatter plot behind the curve.
    pub behind: &'a [(f64, f64)],
    /// Positions on the x-axis to mark below it, each with a character.
    pub marks: &'a [(f64, char)],
    /// The characters that the curve is drawn with.
    pub dots: Dots,
}

impl Plot<'_> {
    /// Renders the plot: `height` lines of at most `width` columns, and a line with the marks. Empty if no curve can be
    /// plotted.
    pub fn lines(&self, width: u16, height: u16) -> Vec<String> {
        let Some((x, y)) = self.bounds() else {
            return Vec::new();
        };
        let log = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
            let shown = points.iter().filter(|(_, v)| v.is_finite());
            shown.map(|(x, v)| (x.log10(), v.min(y[1]))).collect()
        };
        let (points, behind) = (log(self.points), log(self.behind));
        let ascii = self.dots == Dots::Ascii;
        let (line, dots) = match self.dots {
            Dots::Ascii => (Marker::Custom('*'), Marker::Custom('.')),
            Dots::HalfBlock => (Marker::HalfBlock, Marker::Dot),
            Dots::Braille => (Marker::Braille, Marker::Dot),
        };
        let labels = decades(x);
        let y_labels = [y[0], f64::midpoint(y[0], y[1]), y[1]].map(|v| format!("{v:.2}"));
        let chart = Chart::new(vec![
            Dataset::default()
                .marker(dots)
                .graph_type(GraphType::Scatter)
                .data(&behind),
            Dataset::default()
                .marker(line)
                .graph_type(GraphType::Line)
                .data(&points),
        ])
        .x_axis(Axis::default().bounds(x).labels(labels))
        .y_axis(Axis::default().bounds(y).labels(y_labels));
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        chart.render(area, &mut buffer);
        let row = |y: u16| {
            (0..width)
                .map(|x| buffer[(x, y)].symbol())
                .collect::<String>()
        };
        let mut lines: Vec<String> = (0..height).map(|y| plain(&row(y), ascii)).collect();
        lines.push(self.marks_line(x, width));
        lines
    }

    /// The ranges of both axes, x as log10. Only the curve determines them; raw points above the range are clamped.
    fn bounds(&self) -> Option<([f64; 2], [f64; 2])> {
        let finite = || {
            self.points
                .iter()
                .filter(|(x, y)| *x > 0.0 && y.is_finite())
        };
        let fold = |pick: fn(&(f64, f64)) -> f64| {
            finite()
                .map(pick)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                    (low.min(v), high.max(v))
                })
        };
        let (left, right) = fold(|p| p.0.log10());
        let (low, high) = fold(|p| p.1);
        let room = ((high - low) * 0.05).max(1e-9);
        (left < right).then_some(([left, right], [low - room, high + room]))
    }

    /// The line with the marks. The first columns are taken by the labels of the y-axis and its line.
    fn marks_line(&self, x: [f64; 2], width: u16) -> String {
        let start = 5_usize;
        let mut line = vec![' '; usize::from(width)];
        for (place, mark) in self.marks {
            let share = (place.log10() - x[0]) / (x[1] - x[0]);
            let column = start
                + (share.clamp(0.0, 1.0) * (line.len().saturating_sub(start + 1)) as f64).round()
                    as usize;
            if let Some(cell) = line.get_mut(column) {
                *cell = *mark;
            }
        }
        line.into_iter().collect::<String>().trim_end().to_owned()
    }
}

/// Labels for the ends and the middle of a logarithmic axis.
fn decades(x: [f64; 2]) -> Vec<String> {
    [x[0], f64::midpoint(x[0], x[1]), x[1]]
        .map(|v| format!("{:.0e}", 10_f64.powf(v)))
        .to_vec()
}

fn plain(row: &str, ascii: bool) -> String {
    let row = row.trim_end();
    if !ascii {
        return row.to_owned();
    }
    row.chars()
        .map(|c| match c {
            '│' => '|',
            '─' => '-',
            '└' => '+',
            c if c.is_ascii() => c,
            _ => '*',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(dots: Dots) -> Vec<String> {
        let points: Vec<(f64, f64)> = (0..50)
            .map(|i| {
                (
                    10_f64.powf(-5.0 + f64::from(i) / 10.0),
                    2.0 - f64::from(i) / 50.0,
                )
            })
            .collect();
        let plot = Plot {
            points: &points,
            behind: &points,
            marks: &[(1e-5, 'a'), (1e-3, 'b')],
            dots,
        };
        plot.lines(60, 12)
    }

    #[test]
    fn a_plot_has_curve_labels_and_marks() {
        let lines = lines(Dots::Braille);
        assert_eq!(lines.len(), 13);
        assert!(lines.iter().all(|line| line.chars().count() <= 60));
        let text = lines.join("\n");
        for part in ["2.05", "0.97", "1e-5"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(
            lines[12].starts_with("     a") && lines[12].contains('b'),
            "{text}"
        );
    }

    #[test]
    fn ascii_plots_contain_only_ascii() {
        assert!(lines(Dots::Ascii).iter().all(|line| line.is_ascii()));
    }

    #[test]
    fn half_block_plots_contain_no_braille() {
        let text = lines(Dots::HalfBlock).join("\n");
        assert!(text.contains(['▀', '▄', '█']), "{text}");
        assert!(!text.contains(|c| ('\u{2800}'..='\u{28ff}').contains(&c)));
    }

    #[test]
    fn a_plot_without_valid_points_is_empty() {
        let plot = Plot {
            points: &[(1e-3, f64::NAN)],
            behind: &[],
            marks: &[],
            dots: Dots::Braille,
        };
        assert!(plot.lines(40, 10).is_empty());
    }
}
