//! Integers in the types of NumPy.

/// The type of an array in words, for messages: "32-bit floats".
pub(super) fn type_in_words(dtype: &str) -> String {
    let bare = dtype.trim_start_matches(['<', '>', '|', '=']);
    let mut letters = bare.chars();
    let (letter, size) = (letters.next(), letters.as_str());
    let bits = size.parse::<u32>().ok().and_then(|n| n.checked_mul(8));
    match (letter, bits) {
        (Some('u'), Some(bits)) => format!("unsigned {bits}-bit integers"),
        (Some('i'), Some(bits)) => format!("{bits}-bit integers"),
        (Some('f'), Some(bits)) => format!("{bits}-bit floats"),
        (Some('c'), Some(bits)) => format!("{bits}-bit complex numbers"),
        (Some('b' | '?'), _) => "booleans".to_owned(),
        (Some('O'), _) => "pickled objects".to_owned(),
        (Some('S' | 'a' | 'U'), _) => "text".to_owned(),
        (Some('M' | 'm'), _) => "times".to_owned(),
        (Some('V'), _) => "records".to_owned(),
        _ => format!("the type {dtype:?}"),
    }
}

/// Bytes of an integer of a type; `None` if the type is not an integer of 1, 2, 4 or 8 bytes.
pub(super) fn integer_size(dtype: &str) -> Option<usize> {
    let bare = dtype.trim_start_matches(['<', '>', '|', '=']);
    match bare.strip_prefix(['i', 'u'])? {
        "1" => Some(1),
        "2" => Some(2),
        "4" => Some(4),
        "8" => Some(8),
        _ => None,
    }
}

/// The integers in the bytes of an array of this type, of any width and byte order.
///
/// # Errors
/// If the type is not an integer; the type in words and what was expected.
pub(super) fn integers(dtype: &str, bytes: &[u8]) -> Result<Vec<i64>, String> {
    let size = integer_size(dtype)
        .ok_or_else(|| format!("{}; expected integers", type_in_words(dtype)))?;
    let (is_big, is_signed) = (dtype.starts_with('>'), dtype.contains('i'));
    let value = |bytes: &[u8]| {
        let highest = if is_big { bytes.first() } else { bytes.last() };
        let is_negative = is_signed && highest.is_some_and(|byte| *byte > 0x7f);
        let start = if is_negative { -1 } else { 0 };
        let add = |value: i64, byte: &u8| value << 8 | i64::from(*byte);
        let value = if is_big {
            bytes.iter().fold(start, add)
        } else {
            bytes.iter().rev().fold(start, add)
        };
        // An unsigned number of eight bytes may exceed the range; it is no label in any case.
        if !is_signed && value < 0 {
            i64::MAX
        } else {
            value
        }
    };
    Ok(bytes.chunks_exact(size).map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_all_widths_and_orders_are_read() {
        for (dtype, bytes, values) in [
            ("|u1", &[0, 255][..], vec![0, 255]),
            ("|i1", &[0, 255], vec![0, -1]),
            ("<i2", &[1, 2, 0xfe, 0xff], vec![0x201, -2]),
            (">i2", &[1, 2, 0xff, 0xfe], vec![0x102, -2]),
            (">u2", &[0xff, 0xfe], vec![0xfffe]),
            ("<u4", &[0xff, 0xff, 0xff, 0xff], vec![0xffff_ffff]),
            ("<i8", &[7, 0, 0, 0, 0, 0, 0, 0], vec![7]),
            (">i8", &[0xff; 8], vec![-1]),
            (">u8", &[0xff; 8], vec![i64::MAX]),
            ("i4", &[5, 0, 0, 0], vec![5]),
        ] {
            assert_eq!(integers(dtype, bytes), Ok(values), "{dtype}");
        }
    }

    #[test]
    fn other_types_are_named() {
        for (dtype, words) in [
            ("<f4", "32-bit floats"),
            ("<f8", "64-bit floats"),
            ("|b1", "booleans"),
            ("|O", "pickled objects"),
            ("<U7", "text"),
            ("<c16", "128-bit complex numbers"),
            ("", "the type \"\""),
        ] {
            let error = Err(format!("{words}; expected integers"));
            assert_eq!(integers(dtype, &[0; 16]), error);
        }
        assert_eq!(type_in_words("<i2"), "16-bit integers");
        assert_eq!(type_in_words("|u1"), "unsigned 8-bit integers");
    }
}
