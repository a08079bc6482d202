#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use std::io::Cursor;

use super::super::super::common::fixtures::fixture;
use super::*;
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Result<Pickle<Cursor<&[u8]>>, String> {
    Pickle::read(Cursor::new(bytes), bytes.len() as u64)
}

fn root(bytes: &[u8]) -> Value {
    read(bytes).unwrap().root().unwrap().clone()
}

#[test]
fn numbers_are_read() {
    for (bytes, value) in [
        (&b"\x80\x02K\x07."[..], 7),
        (b"M\x01\x02.", 0x201),
        (b"J\xff\xff\xff\xff.", -1),
        (b"\x8a\x01\xff.", -1),
        (b"\x8a\x02\x00\x80.", -32768),
        (b"\x8a\x00.", 0),
        (b"\x8a\x08\x01\x00\x00\x00\x00\x00\x00\x80.", i64::MIN + 1),
        (b"\x88.", 1),
        (b"\x89.", 0),
    ] {
        assert_eq!(root(bytes), Value::Int(value), "{bytes:?}");
    }
    assert_eq!(root(b"\x8a\x09123456789."), Value::Other);
    assert_eq!(root(b"N."), Value::Other);
}

/// `pickle.dumps(b"", protocol=2)` in Python 3; any other call of `bytes` is refused.
#[test]
fn empty_bytes_of_python_3_are_read() {
    let value = root(b"\x80\x02c__builtin__\nbytes\nq\x00)Rq\x01.");
    let Value::Text(text) = value else {
        panic!("{value:?}")
    };
    assert_eq!(text.short, Some(Vec::new()));
    let error = read(b"\x80\x02c__builtin__\nbytes\nM\xff\xff\x85R.").unwrap_err();
    assert!(error.contains("a call of something unknown"), "{error}");
}

#[test]
fn keys_are_bytes_or_text() {
    // {b"a": 1, "b": 2} in the instructions of protocol 4.
    let pickle = read(b"\x80\x04}\x94(C\x01aK\x01\x8c\x01bK\x02u.").unwrap();
    assert_eq!(pickle.entry("a"), Some(&Value::Int(1)));
    assert_eq!(pickle.entry("b"), Some(&Value::Int(2)));
    assert_eq!(pickle.entry("c"), None);
}

#[test]
fn a_long_string_stays_in_the_file() {
    let long = vec![b'x'; 5000];
    let bytes = [b"B\x88\x13\x00\x00", long.as_slice(), b"."].concat();
    let Value::Text(text) = root(&bytes) else {
        panic!("not text");
    };
    assert_eq!((text.place, text.short), (5..5005, None));
    let error = read(&bytes[..4000]).unwrap_err();
    assert!(error.contains("truncated pickle"), "{error}");
}

#[test]
fn sizes_beyond_the_file_allocate_nothing() {
    for bytes in [
        &b"B\xff\xff\xff\xff"[..],
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"X\xff\xff\xff\x7fabc",
    ] {
        let error = read(bytes).unwrap_err();
        assert!(error.contains("truncated pickle"), "{error}");
    }
}

/// Reading by recursion would exhaust the stack of the process.
#[test]
fn lists_in_lists_are_read_without_recursion() {
    let depth = 1_000_000;
    let bytes = [vec![b']'; depth], vec![b'a'; depth - 1], vec![b'.']].concat();
    assert!(matches!(root(&bytes), Value::List(items) if items.len() == 1));
    let bytes = [vec![b']'; MOST_VALUES + 1], vec![b'.']].concat();
    let error = read(&bytes).unwrap_err();
    assert!(error.contains("more than 4194304 values"), "{error}");
    assert!(read(&vec![b'('; 1000]).unwrap_err().contains("marks"));
    // One value many times, which costs only the stack.
    let again = [b"Nq\x00".to_vec(), b"h\x00".repeat(MOST_VALUES + 1)].concat();
    assert!(read(&again).unwrap_err().contains("too many values"));
    // One string as the type of many arrays.
    let name = [
        b"X\x00\x10\x00\x00".to_vec(),
        vec![b'x'; 4096],
        b"\x85q\x00".to_vec(),
    ]
    .concat();
    let dtypes = [name, b"cnumpy\ndtype\nh\x00R".repeat(150_000)].concat();
    let error = read(&dtypes).unwrap_err();
    assert!(
        error.contains("claims more than 536870912 bytes"),
        "{error}"
    );
}

#[test]
fn damaged_pickles_are_errors() {
    for (bytes, words) in [
        (&b""[..], "truncated"),
        (b".", "more or less than one value"),
        (b"NN.", "more or less than one value"),
        (b"a.", "a value is missing"),
        (b"]t.", "a mark is missing"),
        (b"(a.", "a value is missing"),
        (b"N]a.", "something else than a list"),
        (b"N(NNu.", "something else than a dictionary"),
        (b"}(Nu.", "something else than a dictionary"),
        (b"h\x05.", "an unknown value"),
        (b"NN\x93.", "?.?"),
        (b"NNR.", "a call of something unknown"),
        (b"NNb.", "the state of something unknown"),
        (b"cos\nsystem\n.", "refers to os.system"),
        (b"cos", "an endless line"),
        (b"i", "the instruction 0x69"),
        (b"P0\n.", "the instruction 0x50"),
        (b"\x82\x01.", "the instruction 0x82"),
    ] {
        let error = read(bytes).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn arbitrary_instructions_do_not_panic(
        bytes in prop::collection::vec(prop::sample::select(&b".(N]})atlsue\x85\x86\x87K\x01q\x00h\x00\x94C\x01\x93R\x62G"[..]), 0..60),
    ) {
        let _ = read(&bytes);
    }

    #[test]
    fn damaged_pickles_do_not_panic(at in 0..400_usize, byte in any::<u8>(), which in 0..3_usize) {
        let name = ["cifar/python2", "cifar/protocol5", "cifar/batches.meta"][which];
        let mut bytes = fixture(name);
        // The instructions are at the beginning and at the end, with the pixels between them.
        let at = if at < 200 { at } else { bytes.len() - (at - 199).min(bytes.len()) };
        if let Some(damaged) = bytes.get_mut(at) {
            *damaged = byte;
        }
        let _ = read(&bytes);
    }
}
