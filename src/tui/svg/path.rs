//! SVG path data: many small figures of one style in a single element, in integer units and relative coordinates.

use std::fmt::Write as _;

/// A figure that can still grow to the right, if its right neighbour is added next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Rect {
        x: i32,
        y: i32,
        width: i32,
        height: i32,
    },
    Level {
        x: i32,
        y: i32,
        width: i32,
    },
}

/// Builds the `d` attribute of a `<path>`.
#[derive(Debug, Default)]
pub(super) struct Path {
    data: String,
    at: (i32, i32),
    open: Option<Open>,
}

impl Path {
    /// Adds a filled rectangle. If it adjoins the previous one on the right, that one is extended.
    pub(super) fn rect(&mut self, x: i32, y: i32, width: i32, height: i32) {
        if let Some(Open::Rect {
            x: left,
            y: top,
            width: so_far,
            height: same,
        }) = &mut self.open
            && (*top, *same, *left + *so_far) == (y, height, x)
        {
            *so_far += width;
            return;
        }
        self.close();
        self.open = Some(Open::Rect {
            x,
            y,
            width,
            height,
        });
    }

    /// Adds a horizontal line. If it adjoins the previous one on the right, that one is extended.
    pub(super) fn level(&mut self, x: i32, y: i32, width: i32) {
        if let Some(Open::Level {
            x: left,
            y: same,
            width: so_far,
        }) = &mut self.open
            && (*same, *left + *so_far) == (y, x)
        {
            *so_far += width;
            return;
        }
        self.close();
        self.open = Some(Open::Level { x, y, width });
    }

    /// Adds a vertical line.
    pub(super) fn upright(&mut self, x: i32, y: i32, height: i32) {
        self.to(x, y);
        self.word('v', &[height]);
        self.at.1 += height;
    }

    /// Adds a line of zero length, which is a dot with round line caps.
    pub(super) fn dot(&mut self, x: i32, y: i32) {
        self.to(x, y);
        self.data.push_str("h0");
    }

    /// Adds a closed polygon through these points.
    pub(super) fn polygon(&mut self, places: &[(i32, i32)]) {
        let mut places = places.iter();
        let Some(&first) = places.next() else { return };
        self.to(first.0, first.1);
        let mut last = first;
        for &(x, y) in places {
            self.word('l', &[x - last.0, y - last.1]);
            last = (x, y);
        }
        self.data.push('z');
    }

    /// Adds a straight line.
    pub(super) fn line(&mut self, from: (i32, i32), to: (i32, i32)) {
        self.to(from.0, from.1);
        self.word('l', &[to.0 - from.0, to.1 - from.1]);
        self.at = to;
    }

    /// Adds a quarter turn between two points. `upright`: it starts vertically.
    pub(super) fn turn(&mut self, from: (i32, i32), to: (i32, i32), upright: bool) {
        self.to(from.0, from.1);
        let (right, down) = (to.0 - from.0, to.1 - from.1);
        let corner = if upright { (0, down) } else { (right, 0) };
        self.word('q', &[corner.0, corner.1, right, down]);
        self.at = to;
    }

    /// Adds a circle.
    pub(super) fn circle(&mut self, x: i32, y: i32, radius: i32) {
        self.to(x - radius, y);
        self.word('a', &[radius, radius, 0, 1, 0, 2 * radius, 0]);
        self.word('a', &[radius, radius, 0, 1, 0, -2 * radius, 0]);
        self.data.push('z');
    }

    /// The complete path data.
    pub(super) fn finish(mut self) -> String {
        self.close();
        self.data
    }

    /// Ends the open figure and moves to a point without drawing.
    fn to(&mut self, x: i32, y: i32) {
        self.close();
        self.jump(x, y);
    }

    fn jump(&mut self, x: i32, y: i32) {
        let (dx, dy) = (x - self.at.0, y - self.at.1);
        // The first move is relative to the origin, which is the initial value of `at`.
        self.word('m', &[dx, dy]);
        self.at = (x, y);
    }

    fn close(&mut self) {
        match self.open.take() {
            Some(Open::Rect {
                x,
                y,
                width,
                height,
            }) => {
                self.jump(x, y);
                self.word('h', &[width]);
                self.word('v', &[height]);
                self.word('h', &[-width]);
                self.data.push('z');
            }
            Some(Open::Level { x, y, width }) => {
                self.jump(x, y);
                self.word('h', &[width]);
                self.at.0 += width;
            }
            None => {}
        }
    }

    fn word(&mut self, letter: char, numbers: &[i32]) {
        self.data.push(letter);
        for (i, number) in numbers.iter().enumerate() {
            // A minus sign separates numbers without a space.
            let gap = if i > 0 && *number >= 0 { " " } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(self.data, "{gap}{number}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_figures_are_merged() {
        let mut path = Path::default();
        path.rect(0, 0, 16, 32);
        path.rect(16, 0, 16, 32);
        path.rect(64, 0, 16, 32);
        path.level(0, 48, 16);
        path.level(16, 48, 16);
        assert_eq!(path.finish(), "m0 0h32v32h-32zm64 0h16v32h-16zm-64 48h32");
    }

    #[test]
    fn figures_use_relative_coordinates() {
        let mut path = Path::default();
        path.dot(4, 4);
        path.dot(12, 4);
        path.upright(7, 0, 32);
        path.dot(7, 40);
        path.polygon(&[(0, 0), (4, 0), (4, 4)]);
        path.line((4, 4), (0, 8));
        assert_eq!(
            path.finish(),
            "m4 4h0m8 0h0m-5-4v32m0 8h0m-7-40l4 0l0 4zm4 4l-4 4"
        );
    }
}
