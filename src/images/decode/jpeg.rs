//! JPEG files: baseline and progressive, of 8 bits.
//!
//! This decoder is our own, so that pixels equal those of libjpeg, on which Pillow, torchvision and OpenCV are built. zune-jpeg
//! 0.5, which is faster, differs by up to 4 levels where colours are reduced, by up to 8 in narrow images, and accepts data that
//! end too early; its issues 436 and 442 are about images of four components. Here the transform, the upsampling and the
//! conversion of colours round as libjpeg does, so that the levels are the same. `pulp` compiles their loops for the widest
//! vectors of the processor; what they call must be inlined, otherwise it is compiled for the baseline processor.

#![expect(
    clippy::inline_always,
    reason = "what is not inlined into a dispatched function is compiled for the baseline processor"
)]

use std::ops::Range;

use memchr::memchr;
use pulp::{Arch, NullaryFnOnce};

use super::super::Bitmap;
use super::format::Format;
use super::reader::Reader;
use super::{Info, pixels, truncated, turn};

mod frame;
mod huffman;
mod idct;
mod scan;
mod upsample;

use frame::Frame;
use scan::Tables;
use upsample::{Rows, rgb_of_ycbcr};

/// Most scans of a progressive image. Encoders write about ten; each costs a pass over the image.
const MOST_SCANS: usize = 100;

/// What the segments before the first scan say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    size: (u32, u32),
    colours: Colours,
    orientation: u8,
    has_icc: bool,
    /// Marker and content of the segments that the pixels depend on: tables and the frame header.
    segments: Vec<(u8, Range<usize>)>,
    /// Where the first scan begins.
    scan: usize,
}

/// How colours are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colours {
    Grey,
    YCbCr,
    Rgb,
    Cmyk,
    /// CMY as YCbCr, and K.
    Ycck,
}

/// What decides on the colours: the number and names of the components, and two optional segments.
#[derive(Debug, Clone, Copy, Default)]
struct Hints<'a> {
    components: &'a [u8],
    has_jfif: bool,
    /// The transformation in the Adobe segment.
    adobe: Option<u8>,
}

impl Hints<'_> {
    /// The rules of libjpeg.
    fn colours(self) -> Result<Colours, String> {
        match self.components.len() / 3 {
            1 => Ok(Colours::Grey),
            3 if self.has_jfif => Ok(Colours::YCbCr),
            3 => Ok(match self.adobe {
                Some(0) => Colours::Rgb,
                None if self.components.iter().step_by(3).eq(b"RGB") => Colours::Rgb,
                _ => Colours::YCbCr,
            }),
            4 => Ok(match self.adobe {
                None | Some(0) => Colours::Cmyk,
                Some(_) => Colours::Ycck,
            }),
            other => Err(format!(
                "a JPEG image of {other} components; expected 1 (grey), 3 (colour) or 4 (CMYK)"
            )),
        }
    }
}

impl Layout {
    pub(super) fn info(&self) -> Info {
        Info {
            format: Format::Jpeg,
            size: self.size,
            channels: if self.colours == Colours::Grey { 1 } else { 3 },
            orientation: self.orientation,
            has_icc: self.has_icc,
        }
    }
}

/// Reads the segments before the first scan. `None` if the bytes end before it.
pub(super) fn layout(bytes: &[u8]) -> Result<Option<Layout>, String> {
    let file = Reader::big(bytes);
    let mut segments = Vec::new();
    let (mut hints, mut size) = (Hints::default(), None);
    let (mut orientation, mut has_icc) = (None, false);
    let mut at = 2;
    loop {
        // Bytes between segments are ignored, as libjpeg does.
        let Some(gap) = bytes
            .get(at..)
            .and_then(|rest| rest.iter().position(|&b| b == 0xff))
        else {
            return Ok(None);
        };
        at += gap;
        let (Some(marker), Some(length)) = (file.u8(at + 1), file.u16(at + 2)) else {
            return Ok(None);
        };
        match marker {
            0x00 | 0x01 | 0xd0..=0xd8 => {
                at += 2;
                continue;
            }
            0xff => {
                at += 1;
                continue;
            }
            0xd9 => return Err("cannot be read: the file ends without pixels".to_owned()),
            // The first scan.
            0xda => break,
            _ => {}
        }
        let end = at + 2 + usize::from(length);
        let Some(data) = bytes.get(at + 4..end.max(at + 4)) else {
            return Ok(None);
        };
        match marker {
            0xc0..=0xc2 => {
                let fields = Reader::big(data);
                if let (Some(height), Some(width)) = (fields.u16(1), fields.u16(3)) {
                    size = Some((u32::from(width), u32::from(height)));
                }
                if fields.u8(0) != Some(8) {
                    return Err("a JPEG image of more than 8 bits is not supported".to_owned());
                }
                hints.components = data.get(6..).unwrap_or_default();
            }
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Err(
                    "a lossless, hierarchical or arithmetic-coded JPEG image is not supported; \
                     expected baseline or progressive"
                        .to_owned(),
                );
            }
            0xe0 if data.starts_with(b"JFIF\0") => hints.has_jfif = true,
            // Extended XMP has the same marker. Of several EXIF segments the first counts.
            0xe1 if data.starts_with(b"Exif\0") && orientation.is_none() => {
                orientation = data.get(6..).map(turn::orientation);
            }
            0xe2 if data.starts_with(b"ICC_PROFILE\0") => has_icc = true,
            0xee if data.starts_with(b"Adobe") => hints.adobe = data.get(11).copied(),
            _ => {}
        }
        // Application data (E0 to EF) and comments (FE) have no influence on the pixels.
        if !matches!(marker, 0xe0..=0xef | 0xfe) {
            segments.push((marker, at + 4..end));
        }
        at = end;
    }
    let size = size.ok_or("cannot be read: pixels before the header")?;
    Ok(Some(Layout {
        size,
        colours: hints.colours()?,
        orientation: orientation.unwrap_or(1),
        has_icc,
        segments,
        scan: at,
    }))
}

/// The end of the image whose first scan begins at `scan`: behind its end marker. What follows, such as the video of a
/// motion photo, does not belong to the image.
fn end(bytes: &[u8], scan: usize) -> Option<usize> {
    let file = Reader::big(bytes);
    let mut at = scan;
    loop {
        at += memchr(0xff, bytes.get(at..)?)?;
        at += match file.u8(at + 1)? {
            0xd9 => return Some(at + 2),
            // In compressed data, FF is followed by 00 or by a restart marker. They and the start marker have no length.
            0x00 | 0x01 | 0xd0..=0xd8 => 2,
            // FF before a marker is padding.
            0xff => 1,
            _ => 2 + usize::from(file.u16(at + 2)?),
        };
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Bitmap, String> {
    let layout = layout(bytes)?.ok_or_else(truncated)?;
    // Missing data would otherwise be reported as damage.
    let end = end(bytes, layout.scan).ok_or_else(truncated)?;
    let bytes = bytes.get(..end).ok_or_else(truncated)?;
    let (mut tables, mut frame) = (Tables::default(), None);
    for (marker, range) in &layout.segments {
        let data = bytes.get(range.clone()).ok_or_else(truncated)?;
        segment(*marker, data, &mut tables, &mut frame)?;
    }
    let mut frame = frame.ok_or_else(damaged)?;
    scans(bytes, layout.scan, &mut tables, &mut frame)?;
    Ok(Bitmap {
        width: frame.width as u32,
        height: frame.height as u32,
        channels: if layout.colours == Colours::Grey {
            1
        } else {
            3
        },
        pixels: Arch::new().dispatch(Conversion {
            frame: &frame,
            colours: layout.colours,
        }),
    })
}

fn damaged() -> String {
    "cannot be read: the JPEG data are damaged".to_owned()
}

/// Reads a segment. There may be only one frame header.
fn segment(
    marker: u8,
    data: &[u8],
    tables: &mut Tables,
    frame: &mut Option<Frame>,
) -> Result<(), String> {
    match marker {
        0xc0..=0xc2 if frame.is_none() => *frame = Some(Frame::new(data, marker == 0xc2)?),
        0xc0..=0xc2 => return Err(damaged()),
        0xc4 => tables.read_huffman(data).ok_or_else(damaged)?,
        0xdb => tables.read_quantisation(data).ok_or_else(damaged)?,
        0xdd => tables.interval = usize::from(Reader::big(data).u16(0).ok_or_else(damaged)?),
        _ => {}
    }
    Ok(())
}

/// Decodes all scans, of which the first begins at `at`.
fn scans(
    bytes: &[u8],
    mut at: usize,
    tables: &mut Tables,
    frame: &mut Frame,
) -> Result<(), String> {
    let file = Reader::big(bytes);
    let mut count = 0;
    loop {
        let gap = bytes
            .get(at..)
            .and_then(|rest| rest.iter().position(|&b| b == 0xff));
        at += gap.ok_or_else(damaged)?;
        let marker = file.u8(at + 1).ok_or_else(damaged)?;
        match marker {
            0xd9 => break,
            0x00 | 0x01 | 0xd0..=0xd8 => {
                at += 2;
                continue;
            }
            0xff => {
                at += 1;
                continue;
            }
            _ => {}
        }
        let next = at + 2 + usize::from(file.u16(at + 2).ok_or_else(damaged)?);
        let data = bytes.get(at + 4..next).ok_or_else(damaged)?;
        at = next;
        match marker {
            0xda => {}
            0xc0..=0xc2 => return Err(damaged()),
            _ => {
                segment(marker, data, tables, &mut None)?;
                continue;
            }
        }
        count += 1;
        if count > MOST_SCANS {
            return Err(format!(
                "cannot be read: it has more than {MOST_SCANS} scans"
            ));
        }
        at = scan::decode(frame, tables, data, bytes, at).ok_or_else(damaged)?;
        // A sequential image is complete with its last component, whatever follows.
        if !frame.is_progressive && frame.components.iter().all(|component| component.is_seen) {
            break;
        }
    }
    if !frame.components.iter().all(|component| component.is_seen) {
        return Err(damaged());
    }
    if frame.is_progressive {
        tables.finish(frame).ok_or_else(damaged)?;
    }
    Ok(())
}

/// The conversion of the levels to pixels in the order (row, column, channel).
struct Conversion<'a> {
    frame: &'a Frame,
    colours: Colours,
}

impl NullaryFnOnce for Conversion<'_> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn call(self) -> Vec<u8> {
        pixels_of(self.frame, self.colours)
    }
}

#[inline(always)]
fn pixels_of(frame: &Frame, colours: Colours) -> Vec<u8> {
    let (width, height) = (frame.width, frame.height);
    let mut rows: Vec<Rows<'_>> = (frame.components.iter())
        .map(|component| {
            let (across, down) = component.sampling;
            Rows::new(component, frame.most.0 / across, frame.most.1 / down)
        })
        .collect();
    let channels = if colours == Colours::Grey { 1 } else { 3 };
    let mut out = vec![0; width * height * channels];
    let mut planes = [const { Vec::new() }; 3];
    for (y, line) in out.chunks_exact_mut(width * channels).enumerate() {
        let pixels = line.as_chunks_mut::<3>().0.iter_mut();
        match (rows.as_mut_slice(), colours) {
            ([grey, ..], Colours::Grey) => {
                let levels = grey.row(y).iter();
                line.iter_mut()
                    .zip(levels)
                    .for_each(|(out, level)| *out = *level);
            }
            ([first, second, third], Colours::YCbCr) => {
                let samples = [first.row(y), second.row(y), third.row(y)];
                upsample::rgb_row(samples, &mut planes, line);
            }
            ([first, second, third], Colours::Rgb) => {
                upsample::interleave([first.row(y), second.row(y), third.row(y)], line);
            }
            ([first, second, third, black], Colours::Cmyk | Colours::Ycck) => {
                let samples = first.row(y).iter().zip(second.row(y)).zip(third.row(y));
                let is_cmyk = colours == Colours::Cmyk;
                for ((out, ((a, b), c)), k) in pixels.zip(samples).zip(black.row(y)) {
                    let pixel = [*a, *b, *c];
                    // Adobe programs store inks inverted (255: no ink). Like Pillow, all files are taken as theirs.
                    let [c, m, y] = if is_cmyk {
                        pixel.map(|ink| 255 - ink)
                    } else {
                        rgb_of_ycbcr(pixel)
                    };
                    *out = pixels::rgb_of_cmyk([c, m, y, 255 - k]);
                }
            }
            _ => {}
        }
    }
    out
}
