//! The order of classes and files.

use std::cmp::Ordering;
use std::iter::Peekable;

use crate::config::ClassOrder;

/// Compares two names. Different names are never equal.
pub(in crate::images::source) fn compare(order: ClassOrder, a: &[u8], b: &[u8]) -> Ordering {
    match order {
        ClassOrder::Bytes => a.cmp(b),
        ClassOrder::Natural => natural(a, b).then_with(|| a.cmp(b)),
    }
}

/// Compares two files, each given by its directory and its name: by bytes, directory by directory as torchvision's
/// `ImageFolder`; in natural order, by the whole path as timm's `ReaderImageFolder`, so that files and subdirectories mix.
pub(super) fn compare_files(order: ClassOrder, a: (&[u8], &[u8]), b: (&[u8], &[u8])) -> Ordering {
    if a.0 == b.0 {
        return compare(order, a.1, b.1);
    }
    match order {
        ClassOrder::Bytes => a.cmp(&b),
        ClassOrder::Natural => {
            let path = |(dir, name): (&[u8], &[u8])| [dir, b"/", name].concat();
            compare(order, &path(a), &path(b))
        }
    }
}

/// The order of timm's `natural_key`: without regard to case, runs of digits compared as numbers. Digits are ASCII digits.
fn natural(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
    let mut a = a.chars().flat_map(char::to_lowercase).peekable();
    let mut b = b.chars().flat_map(char::to_lowercase).peekable();
    loop {
        let text = compare_text(&mut a, &mut b);
        if text.is_ne() {
            return text;
        }
        // A name that ends here comes before one that goes on with a number.
        let goes_on = (a.peek().is_some(), b.peek().is_some());
        if goes_on != (true, true) {
            return goes_on.0.cmp(&goes_on.1);
        }
        let number = compare_number(&mut a, &mut b);
        if number.is_ne() {
            return number;
        }
    }
}

/// Compares up to the next digit: an earlier end comes first.
fn compare_text<A: Iterator<Item = char>, B: Iterator<Item = char>>(
    a: &mut Peekable<A>,
    b: &mut Peekable<B>,
) -> Ordering {
    loop {
        let is_text = |c: &char| !c.is_ascii_digit();
        match (a.next_if(is_text), b.next_if(is_text)) {
            (None, None) => return Ordering::Equal,
            (x, y) if x == y => {}
            (x, y) => return x.cmp(&y),
        }
    }
}

/// Compares numbers of any length.
fn compare_number<A: Iterator<Item = char>, B: Iterator<Item = char>>(
    a: &mut Peekable<A>,
    b: &mut Peekable<B>,
) -> Ordering {
    while a.next_if_eq(&'0').is_some() {}
    while b.next_if_eq(&'0').is_some() {}
    let mut digits = Ordering::Equal;
    loop {
        match (
            a.next_if(char::is_ascii_digit),
            b.next_if(char::is_ascii_digit),
        ) {
            (Some(x), Some(y)) => digits = digits.then(x.cmp(&y)),
            (None, None) => return digits,
            // The longer number is larger.
            (x, y) => return x.is_some().cmp(&y.is_some()),
        }
    }
}
