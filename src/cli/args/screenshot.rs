//! Arguments of `view --screenshot`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};

use crate::tui;

/// Maximum columns and rows of a screenshot, larger than any real screen.
const MAX_SIZE: (u16, u16) = (500, 200);

#[derive(Debug, Args)]
pub(in crate::cli) struct ScreenshotArgs {
    #[arg(long, value_name = "NAME", value_parser = page, help = format!("Page to show: {}", tui::pages().join(", ")))]
    pub(in crate::cli) page: Option<String>,
    /// Write the page to an SVG file instead of showing it (no terminal needed); - writes to stdout
    #[arg(long, value_name = "FILE.svg", value_parser = PathBufValueParser::new().try_map(svg))]
    pub(in crate::cli) screenshot: Option<PathBuf>,
    /// Replace an existing screenshot file
    #[arg(long, requires = "screenshot")]
    pub(in crate::cli) force: bool,
    /// Screenshot size in columns and rows
    #[arg(
        long,
        value_name = "COLUMNSxROWS",
        requires = "screenshot",
        default_value = "120x40"
    )]
    pub(in crate::cli) size: Size,
}

/// Columns and rows, in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Size(pub(in crate::cli) u16, pub(in crate::cli) u16);

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(['x', 'X', '×']);
        let number = |part: &str| part.trim().parse::<u16>().ok();
        match parts.map(|(columns, rows)| (number(columns), number(rows))) {
            Some((Some(columns), Some(rows)))
                if (1..=MAX_SIZE.0).contains(&columns) && (1..=MAX_SIZE.1).contains(&rows) =>
            {
                Ok(Self(columns, rows))
            }
            Some((Some(_), Some(_))) => Err(format!(
                "a screenshot must have 1x1 to {}x{} cells",
                MAX_SIZE.0, MAX_SIZE.1
            )),
            _ => Err("expected COLUMNSxROWS, for example 120x40".to_owned()),
        }
    }
}

/// Refuses the name of a file of another format than SVG.
fn svg(path: PathBuf) -> Result<PathBuf, String> {
    match path.extension() {
        Some(format) if !format.eq_ignore_ascii_case("svg") => Err(
            "SVG is the only format of a screenshot: name the file FILE.svg, or - for stdout"
                .to_owned(),
        ),
        _ => Ok(path),
    }
}

fn page(name: &str) -> Result<String, String> {
    let pages = tui::pages();
    if pages.contains(&name) {
        Ok(name.to_owned())
    } else {
        let pages = pages.join(", ");
        Err(format!("no page `{name}`; available pages: {pages}"))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn screenshot_sizes_parse() {
        assert_eq!("120x40".parse(), Ok(Size(120, 40)));
        assert_eq!("80×24".parse(), Ok(Size(80, 24)));
        for wrong in [
            "", "x", "120", "120x", "x40", "a40x3", "120x40x2", "-1x5", "70000x9",
        ] {
            let error = wrong.parse::<Size>().unwrap_err();
            assert!(error.contains("120x40"), "{wrong}: {error}");
        }
        for wrong in ["0x9", "9x0", "501x9", "9x201"] {
            let error = wrong.parse::<Size>().unwrap_err();
            assert!(error.contains("1x1 to 500x200"), "{wrong}: {error}");
        }
    }

    /// Before: `--screenshot a.png` wrote SVG to a file named `a.png`.
    #[test]
    fn file_of_another_format_is_refused() {
        for path in ["a.svg", "a.SVG", "-", "/dev/stdout", "a.b/c"] {
            assert_eq!(svg(path.into()), Ok(path.into()));
        }
        for path in ["a.png", "a.pdf", "a.svg.gz"] {
            assert!(
                svg(path.into())
                    .unwrap_err()
                    .contains("SVG is the only format"),
                "{path}"
            );
        }
    }

    #[test]
    fn unknown_page_error_lists_the_pages() {
        assert_eq!(page("overview").as_deref(), Ok("overview"));
        let error = page("los").unwrap_err();
        assert!(error.ends_with(&tui::pages().join(", ")), "{error}");
    }
}
