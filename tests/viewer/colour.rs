//! Colour measurements for the theme tests: WCAG contrast ratios, CIELAB distances and simulated colour blindness.

use ratatui::style::Color;

/// Linear (not gamma-encoded) red, green and blue, each from 0 to 1.
type LinearRgb = [f64; 3];

/// Channel values of the 6×6×6 colour cube at palette indices 16 to 231.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// Types of colour vision.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Eyes {
    Usual,
    Protanopia,
    Deuteranopia,
    Tritanopia,
}

impl Eyes {
    pub(crate) const ALL: [Self; 4] = [
        Self::Usual,
        Self::Protanopia,
        Self::Deuteranopia,
        Self::Tritanopia,
    ];

    /// The matrix that simulates this type of colour vision in linear RGB: Machado, Oliveira and Fernandes, "A
    /// Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE TVCG 15(6), 2009, severity 1.0.
    fn matrix(self) -> [LinearRgb; 3] {
        match self {
            Self::Usual => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            Self::Protanopia => [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
            Self::Deuteranopia => [
                [0.367_322, 0.860_646, -0.227_968],
                [0.280_085, 0.672_501, 0.047_413],
                [-0.011_820, 0.042_940, 0.968_881],
            ],
            Self::Tritanopia => [
                [1.255_528, -0.076_749, -0.178_779],
                [-0.078_411, 0.930_809, 0.147_602],
                [0.004_733, 0.691_367, 0.303_900],
            ],
        }
    }
}

/// The sRGB value of a terminal colour. `None` for the default colour and the first sixteen palette entries, which
/// differ between terminals.
pub(crate) fn fixed(color: Color) -> Option<[u8; 3]> {
    match color {
        Color::Rgb(r, g, b) => Some([r, g, b]),
        Color::Indexed(index @ 16..=231) => {
            let i = index - 16;
            Some([i / 36, i / 6 % 6, i % 6].map(|step| CUBE[usize::from(step)]))
        }
        Color::Indexed(index @ 232..) => Some([8 + 10 * (index - 232); 3]),
        _ => None,
    }
}

/// Decodes sRGB bytes to linear RGB (IEC 61966-2-1). WCAG 2 gives the threshold as 0.03928 instead of 0.04045; for
/// 8-bit values the result is the same.
fn to_linear(rgb: [u8; 3]) -> LinearRgb {
    rgb.map(|byte| {
        let c = f64::from(byte) / 255.0;
        if c <= 0.04045 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    })
}

/// The contrast ratio of WCAG 2.2, from 1 to 21: (L1 + 0.05) / (L2 + 0.05) of the relative luminances, the lighter
/// first.
pub(crate) fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
    let luminance = |rgb| {
        let [r, g, b] = to_linear(rgb);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// CIELAB coordinates of a colour as seen with this type of colour vision, with the D65 white point.
fn lab(rgb: [u8; 3], eyes: Eyes) -> [f64; 3] {
    let multiply = |matrix: [LinearRgb; 3], v: LinearRgb| {
        matrix.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum::<f64>())
    };
    let seen = multiply(eyes.matrix(), to_linear(rgb)).map(|c| c.clamp(0.0, 1.0));
    let xyz = multiply(
        [
            [0.412_456_4, 0.357_576_1, 0.180_437_5],
            [0.212_672_9, 0.715_152_2, 0.072_175_0],
            [0.019_333_9, 0.119_192_0, 0.950_304_1],
        ],
        seen,
    );
    let f = |t: f64| {
        let d: f64 = 6.0 / 29.0;
        if t > d.powi(3) {
            t.cbrt()
        } else {
            t / (3.0 * d * d) + 4.0 / 29.0
        }
    };
    let [x, y, z] = [f(xyz[0] / 0.950_47), f(xyz[1]), f(xyz[2] / 1.088_83)];
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// The CIELAB colour difference (CIE 1976) between two colours as seen with this type of colour vision.
pub(crate) fn distance(a: [u8; 3], b: [u8; 3], eyes: Eyes) -> f64 {
    let (a, b) = (lab(a, eyes), lab(b, eyes));
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    squares.sum::<f64>().sqrt()
}

#[test]
fn contrasts_and_distances_match_published_values() {
    let (black, white) = ([0; 3], [255; 3]);
    assert!((contrast(black, white) - 21.0).abs() < 1e-9);
    // #767676 is the darkest grey with a contrast of at least 4.5 on white; published contrast checkers give 4.54.
    assert!((contrast([0x76; 3], white) - 4.54).abs() < 0.005);
    assert!((distance(black, white, Eyes::Usual) - 100.0).abs() < 0.01);
    // Published CIELAB coordinates of sRGB red: L* 53.24, a* 80.09, b* 67.20.
    let red = lab([255, 0, 0], Eyes::Usual);
    for (got, want) in red.into_iter().zip([53.24, 80.09, 67.20]) {
        assert!((got - want).abs() < 0.02, "{red:?}");
    }
    // Greys stay grey with every type of colour vision.
    for eyes in Eyes::ALL {
        let grey = lab([128; 3], eyes);
        assert!(
            grey[1].abs() < 0.01 && grey[2].abs() < 0.02,
            "{eyes:?} {grey:?}"
        );
    }
}
