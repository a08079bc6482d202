#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use proptest::prelude::*;

use super::*;

const HEAD: &str = "split,index,label,predicted,confidence,logit_0,logit_1,logit_2\n";

fn table(csv: &[u8]) -> (tempfile::TempDir, Table) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("predictions.csv"), csv).unwrap();
    let mut slot = None;
    Table::renew(&mut slot, &Dir::open(dir.path()).unwrap()).unwrap();
    (dir, slot.unwrap())
}

fn indices(table: &mut Table, filter: Filter) -> Vec<u32> {
    let (total, rows) = table.page(filter, 0, usize::MAX).unwrap();
    assert_eq!(total as usize, rows.len());
    rows.iter().map(|row| row.index).collect()
}

#[test]
fn filters_select_and_order_images() {
    let csv = HEAD.to_owned()
        + "valid,0,1,0,0.9,4,0,0\n"
        + "test,0,0,0,0.9,3,0,0\n"
        + "test,1,0,1,0.5,1,1.1,0\n"
        + "test,2,1,2,0.95,0,0,5\n"
        + "test,3,1,1,0.6,0,1,0\n"
        + "test,4,0,1,0.7,0,2,1\n"
        + "test,5,2,0,NaN,NaN,0,0\n";
    let (_dir, mut table) = table(csv.as_bytes());
    let confused = |truth, predicted| Filter::Confused { truth, predicted };
    for (filter, expected) in [
        (Filter::All, vec![0, 1, 2, 3, 4, 5]),
        (Filter::Mistakes, vec![1, 2, 4, 5]),
        (Filter::ConfidentMistakes, vec![2, 4, 1, 5]),
        (Filter::Class(0), vec![0, 1, 4]),
        (Filter::Class(9), vec![]),
        (confused(0, 1), vec![1, 4]),
        (confused(1, 1), vec![3]),
        (confused(2, 1), vec![]),
        (Filter::LeastCertain, vec![1, 3, 4, 0, 2, 5]),
    ] {
        assert_eq!(indices(&mut table, filter), expected, "{filter:?}");
    }
}

#[test]
fn row_lists_predicted_class_first_then_by_probability() {
    let dir = tempfile::tempdir().unwrap();
    let run = Dir::open(dir.path()).unwrap();
    let csv = HEAD.to_owned()
        + "test,7,2,1,0.5,0.5,1,-1.5\ntest,8,0,1,0.3,2,2,2\ntest,9,0,0,nan,nan,1,2\n";
    std::fs::write(dir.path().join("predictions.csv"), csv).unwrap();
    let eval = r#"{"global_step": 430, "temperature": {"value": 0.5}}"#;
    std::fs::write(dir.path().join("eval.json"), eval).unwrap();
    let mut slot = None;
    let table = Table::renew(&mut slot, &run).unwrap();
    assert_eq!(table.global_step, Some(430));
    let (_, rows) = table.page(Filter::All, 0, 9).unwrap();
    let expected = softmax(&[0.5, 1.0, -1.5], 0.5);
    let p = |class: usize| F32(expected[class] as f32);
    assert_eq!(rows[0].top, [(1, p(1)), (0, p(0)), (2, p(2))]);
    let classes: Vec<u32> = rows[1].top.iter().map(|(class, _)| *class).collect();
    assert_eq!(classes, [1, 0, 2]);
    assert_eq!(rows[2].top, [(0, F32(f32::NAN))]);
}

#[test]
fn invalid_rows_are_skipped() {
    let csv = [
        HEAD.as_bytes(),
        b"test,0,0,0,0.9,3,0,0\n",
        b"test,1\n\n,,,,,,,\ntest,,,,,,,\ntest,2,0,0,0.9,3,0\ntest,3,0,0,0.9,3,0,0,0\n",
        b"test,4,0,x,0.9,3,0,0\ntest,5,-1,0,0.9,3,0,0\ntest,6,0,0,0.9,3,0,zero\n",
        b"test,7,0,3,0.9,3,0,0\ntest,99999999999,0,0,0.9,3,0,0\n\xff\xfetest,8,0,0,0.9,3,0,0\n",
        b"train,9,0,0,0.9,3,0,0\r\ntest,10,0,0,0.9,3,0,0\r\ntest,11,0,0,0.9,3,",
    ]
    .concat();
    let (_dir, mut table) = table(&csv);
    assert_eq!(indices(&mut table, Filter::All), [0, 10]);
}

#[test]
fn rows_without_logits_or_header_are_returned_unchanged() {
    let (_dir, mut table) = table(b"test,0,1,2,0.25\ntest,1,1,1,0.75\n");
    let (total, rows) = table.page(Filter::LeastCertain, 1, 9).unwrap();
    assert_eq!((total, rows.len(), rows[0].index), (2, 1, 1));
    assert_eq!(rows[0].top, [(1, F32(0.75))]);
}

#[test]
fn only_changed_files_are_reloaded() {
    let dir = tempfile::tempdir().unwrap();
    let run = Dir::open(dir.path()).unwrap();
    let missing = Table::renew(&mut None, &run).map(|_| ());
    assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    let write = |name: &str, text: &str| {
        let temporary = dir.path().join("tmp");
        std::fs::write(&temporary, text).unwrap();
        std::fs::rename(temporary, dir.path().join(name)).unwrap();
    };
    write("predictions.csv", "test,0,1,1,0.5,1,2\n");
    let mut slot = None;
    let all = |slot: &mut Option<Table>| {
        let table = Table::renew(slot, &run).unwrap();
        let step = table.global_step;
        (table.page(Filter::All, 0, 9).unwrap().1, step)
    };
    let (first, step) = all(&mut slot);
    assert_eq!((first[0].label, step), (1, None));
    // Unchanged files are not reloaded, so the cleared rows stay cleared.
    slot.as_mut().unwrap().rows.clear();
    slot.as_mut().unwrap().chosen = None;
    assert_eq!(all(&mut slot).0.len(), 0);
    // A replacement of the same length, possibly with the same modification time, is detected.
    write("predictions.csv", "test,0,0,1,0.5,1,2\n");
    assert_eq!(all(&mut slot).0[0].label, 0);
    write(
        "eval.json",
        r#"{"global_step": 9, "temperature": {"value": 0.1}}"#,
    );
    let (colder, step) = all(&mut slot);
    assert_eq!(step, Some(9));
    assert!(colder[0].top[0].1.0 > 0.99);
    // Rows are read from the file that was scanned, even after it was replaced.
    let table = slot.as_mut().unwrap();
    write("predictions.csv", "gone\n");
    assert_eq!(table.page(Filter::Mistakes, 0, 9).unwrap().0, 1);
    assert_eq!(all(&mut slot).0.len(), 0);
}

#[test]
fn predictions_of_a_run_without_a_test_split_are_no_test_images() {
    let dir = tempfile::tempdir().unwrap();
    let run = Dir::open(dir.path()).unwrap();
    for (text, is_empty) in [
        ("valid,0,1,1,0.5,1,2\n", true),
        ("test,0,1,1,0.5,1,2\n", false),
    ] {
        std::fs::write(dir.path().join("predictions.csv"), text).unwrap();
        let mut slot = None;
        assert_eq!(Table::renew(&mut slot, &run).unwrap().is_empty(), is_empty);
    }
}

/// Random bytes that resemble a predictions table.
fn random_csv() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"test,".to_vec()),
        Just(b"split,index,label,predicted,confidence,logit_0,logit_1\n".to_vec()),
        Just(b"test,1,0,1,0.5,1,2\n".to_vec()),
        Just(b"nan,".to_vec()),
        Just(b"-inf,1e39,".to_vec()),
        Just(b"4294967295,".to_vec()),
        Just(b"\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(csv in random_csv(), from in 0_u32..9, a in 0_u32..3, b in any::<u32>()) {
        let (_dir, mut table) = table(&csv);
        let filters = [
            Filter::All, Filter::Mistakes, Filter::ConfidentMistakes, Filter::LeastCertain,
            Filter::Class(b), Filter::Confused { truth: a, predicted: b },
        ];
        for filter in filters {
            let (total, rows) = table.page(filter, from, 5).unwrap();
            prop_assert_eq!(rows.len(), (total as usize).saturating_sub(from as usize).min(5));
        }
    }
}

#[test]
fn logits_of_rows_are_read_from_the_array_if_the_table_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let run = Dir::open(dir.path()).unwrap();
    let csv =
        "split,index,label,predicted,confidence\nvalid,0,1,1,0.9\ntest,0,2,1,0.5\ntest,1,0,0,0.9\n";
    std::fs::write(dir.path().join("predictions.csv"), csv).unwrap();
    let logits = [0.0, 9.0, 0.0, 0.5, 1.0, -1.5, 3.0, 0.0, 1.0];
    std::fs::write(
        dir.path().join(ARRAY),
        crate::files::array(logits.iter(), 3),
    )
    .unwrap();
    let mut slot = None;
    let table = Table::renew(&mut slot, &run).unwrap();
    let (_, rows) = table.page(Filter::LeastCertain, 0, 9).unwrap();
    let expected = softmax(&logits[3..6], 1.0);
    let p = |class: usize| F32(expected[class] as f32);
    assert_eq!(rows[0].top, [(1, p(1)), (0, p(0)), (2, p(2))]);
    assert_eq!(rows[1].top.len(), 3);
}
