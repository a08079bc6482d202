#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use std::fs::File;
use std::time::Duration;

use tempfile::TempDir;

use super::super::super::Item;
use super::*;
use crate::config::ClassOrder;

/// A data directory with the images `0.jpg` to `9.jpg` and these tables.
fn directory(tables: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for image in 0..10 {
        fs::write(dir.path().join(format!("{image}.jpg")), [image]).unwrap();
    }
    for (name, text) in tables {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn with_options(dir: &TempDir, order: ClassOrder, name: &str) -> Result<Listing, DataError> {
    let name = name.to_owned();
    list(dir.path(), &ListOptions { name, order })
}

fn listed(dir: &TempDir) -> Result<Listing, DataError> {
    with_options(dir, ClassOrder::Bytes, "birds")
}

fn good(text: &str) -> Listing {
    listed(&directory(&[("list.csv", text)])).unwrap()
}

fn wrong(text: &str) -> String {
    let dir = directory(&[("list.csv", text)]);
    let error = listed(&dir).unwrap_err().0;
    let file = dir.path().join("list.csv").display().to_string();
    error.strip_prefix(&file).unwrap_or(&error).to_owned()
}

/// Names and labels in order, as "3.jpg 0".
fn images(listing: &Listing) -> Vec<String> {
    let labels = listing.labels.iter().enumerate();
    labels
        .map(|(index, label)| format!("{} {label}", listing.items.name(index)))
        .collect()
}

#[test]
fn rows_are_ordered_by_split_and_then_as_listed() {
    let dir = directory(&[(
        "list.csv",
        "path,label,split\n3.jpg,dog,test\n9.jpg,cat,train\n1.jpg,dog,TRAIN\n2.jpg,dog,dev\n0.jpg,cat,training\n4.jpg,cat,Valid\n",
    )]);
    let listing = listed(&dir).unwrap();
    assert_eq!(listing.classes, ["cat", "dog"]);
    assert_eq!(
        images(&listing),
        [
            "9.jpg 0", "1.jpg 1", "0.jpg 0", "2.jpg 1", "4.jpg 0", "3.jpg 1"
        ]
    );
    let counts = Counts {
        train: 3,
        valid: Some(2),
        test: Some(1),
    };
    assert_eq!(listing.counts, counts);
    assert_eq!((listing.notes, listing.warnings), (vec![], vec![]));
    let first = listing.items.stream(0).unwrap().next().unwrap().unwrap();
    assert_eq!(first, Item::File(dir.path().join("9.jpg")));
    let recognised = recognise(dir.path()).unwrap();
    assert_eq!(recognised.dir, dir.path());
    assert_eq!(recognised.reason, "list.csv has columns for path and label");
}

#[test]
fn any_dialect_of_csv_is_read() {
    let expected = ["0.jpg 1", "1.jpg 0"];
    for text in [
        "path,label\n0.jpg,b\n1.jpg,a\n",
        "path,label\n0.jpg,b\n1.jpg,a",
        "\u{feff}path,label\r\n0.jpg,b\r\n1.jpg,a\r\n",
        "path;label\n0.jpg;b\n\n1.jpg;a\n",
        "path\tlabel\n0.jpg\tb\n1.jpg\ta\n",
        " File_Name , CLASS \n ./0.jpg , b \n .//1.jpg , a\n",
        "category,\"image\"\n\"b\",\"0.jpg\"\n\"a\",1.jpg\n",
        "target,filepath,subset\nb,0.jpg,train\na,1.jpg,train\n",
        "class,file,set\nb,0.jpg,train\na,1.jpg,train\n",
    ] {
        let listing = good(text);
        assert_eq!(images(&listing), expected, "{text:?}");
        assert_eq!(listing.notes.len(), 1, "{:?}", listing.notes);
    }
    let dir = directory(&[(
        "list.tsv",
        "filename\tlabel\n\"a, \"\"b\"\"\nc.jpg\"\tx\n0.jpg\ty\n",
    )]);
    fs::write(dir.path().join("a, \"b\"\nc.jpg"), "").unwrap();
    assert_eq!(
        images(&listed(&dir).unwrap()),
        [r#"a, "b"\x0ac.jpg 0"#, "0.jpg 1"]
    );
}

#[test]
fn unused_columns_and_tables_are_noted() {
    let dir = directory(&[
        (
            "list.csv",
            "id,path,label,category,width\n1,0.jpg,a,x,3\n2,1.jpg,b,x,3\n3,2.jpg,a,x,3\n4,3.jpg,b,x,3\n",
        ),
        ("labels.csv", "path,label\n"),
        ("sizes.csv", "a,b\n"),
    ]);
    let listing = listed(&dir).unwrap();
    assert_eq!(
        listing.notes,
        [
            "Columns of list.csv that are not used: id, category, width.",
            "Tables that are not used: labels.csv."
        ]
    );
}

#[test]
fn names_sort_by_bytes_or_naturally_and_numbers_numerically() {
    let text = "path,label\n0.jpg,c10\n1.jpg,c9\n2.jpg,C1\n";
    assert_eq!(good(text).classes, ["C1", "c10", "c9"]);
    let dir = directory(&[("list.csv", text)]);
    let natural = with_options(&dir, ClassOrder::Natural, "").unwrap();
    assert_eq!(natural.classes, ["C1", "c9", "c10"]);
    assert_eq!(natural.labels, [2, 1, 0]);
    let numbers = good("path,label\n0.jpg,10\n1.jpg,9\n2.jpg,010\n");
    assert_eq!(
        (numbers.classes, numbers.labels),
        (vec!["9".into(), "10".into()], vec![1, 0, 1])
    );
    assert_eq!(
        good("path,label\n0.jpg,10\n1.jpg,-9\n").classes,
        ["-9", "10"]
    );
}

#[test]
fn numbers_are_indices_into_listed_classes() {
    let text = "path,label\n0.jpg,2\n1.jpg,0\n";
    let tables = [("list.csv", text), ("classes.txt", "cat\ndog\nant\n")];
    let listing = listed(&directory(&tables)).unwrap();
    assert_eq!(listing.classes, ["cat", "dog", "ant"]);
    assert_eq!(listing.labels, [2, 0]);
    assert!(listing.warnings[0].starts_with("1 class without training images: dog."));
    let short = [("list.csv", text), ("classes.txt", "cat\ndog\n")];
    let error = listed(&directory(&short)).unwrap_err().0;
    assert!(
        error.contains(
            "line 2: label 2 is out of range: classes.txt has 2 names, for the labels 0 to 1"
        ),
        "{error}"
    );
    // Names are classes by themselves.
    let names = [
        ("list.csv", "path,label\n0.jpg,x\n1.jpg,y\n"),
        ("classes.txt", "cat\ndog\n"),
    ];
    assert_eq!(listed(&directory(&names)).unwrap().classes, ["x", "y"]);
}

#[test]
fn wrong_rows_are_named_by_line() {
    for (text, expected) in [
        ("path,label\n0.jpg,a\n1.jpg,\n", ":3: the label is empty"),
        ("path,label\r\n0.jpg,a\r\n ,b\r\n", ":3: the path is empty"),
        (
            "path,label\n\n\n0.jpg,a\n1.jpg\n",
            ":5: the row has 1 cells, the header has 2",
        ),
        (
            "path,label\n0.jpg,a,b\n",
            ":2: the row has 3 cells, the header has 2",
        ),
        (
            "path,label,split\n0.jpg,a,train\n1.jpg,b,holdout\n",
            ":3: unknown split \"holdout\"; expected train or training; val,",
        ),
        ("path,label,split\n0.jpg,a,\n", ":2: unknown split \"\""),
        (
            "path,label\n\"0\n.jpg\",a\n1.jpg,\n",
            ":4: the label is empty",
        ),
        (
            "path,label\n0.jpg,a\n1.jpg,b\n2.jpg,a|b\n",
            ": line 4: \"a|b\" is several labels (a, b); expected one label per image",
        ),
        (
            "path,label\n0.jpg,a\n1.jpg,b\n2.jpg,b; a\n",
            ": line 4: \"b; a\" is several labels (b, a)",
        ),
        (
            "path,label\n0.jpg,a\n1.jpg,b\n2.jpg,\"['b', 'a']\"\n",
            ": line 4: \"['b', 'a']\" is several labels",
        ),
        (
            "path,label\n0.jpg,0\n1.jpg,1\n2.jpg,\"0,1\"\n",
            ": line 4: \"0,1\" is several labels",
        ),
        (
            "path,label,label\n0.jpg,0,1\n",
            ": column 3 has the same name as an earlier one, label",
        ),
        (
            "path,label\n0.jpg,a\n1.jpg,b\n./0.jpg,b\n",
            ": 0.jpg has two labels, a (line 2) and b (line 4)",
        ),
        (
            "path,label,split\n0.jpg,a,train\n1.jpg,b,train\n0.jpg,a,val\n",
            ": 0.jpg is in two splits, training (line 2) and validation (line 4)",
        ),
        (
            "path,label\n0.jpg,a\n",
            ": there are fewer than two classes (a)",
        ),
        ("path,label\n", ": there are fewer than two classes ()"),
        (
            "path,label,split\n0.jpg,a,val\n1.jpg,b,val\n",
            ": there are no rows of the training split",
        ),
        (
            "path,label,split\n0.jpg,a,train\n1.jpg,b,train\n2.jpg,c,test\n",
            ": the validation or test split has classes that the training split lacks: c;",
        ),
    ] {
        let error = wrong(text);
        assert!(
            error.starts_with(expected),
            "{text:?}: {error}\nexpected: {expected}"
        );
    }
}

#[test]
fn labels_that_only_look_like_several_are_names() {
    let listing = good("path,label\n0.jpg,\"red, green\"\n1.jpg,red\n2.jpg,a|b\n3.jpg,|\n");
    assert_eq!(listing.classes, ["a|b", "red", "red, green", "|"]);
}

#[test]
fn files_that_are_missing_are_listed() {
    let dir = directory(&[(
        "list.csv",
        "path,label\n0.jpg,a\nx\\1.jpg,b\n3.jpg/x,b\n/dev/zero,a\n../no.jpg,b\n",
    )]);
    let error = listed(&dir).unwrap_err().0;
    for expected in [
        "4 of 5 listed files cannot be used: x\\x5c1.jpg (line 3: No such file",
        "/dev/zero (line 5: not a regular file)",
        "../no.jpg (line 6: No such file",
        "with / between directories",
    ] {
        assert!(error.contains(expected), "{error}\nexpected: {expected}");
    }
}

#[test]
fn paths_may_be_absolute_or_lead_out_of_the_directory() {
    let other = directory(&[]);
    let absolute = other.path().join("7.jpg");
    let above = format!(
        "../{}/8.jpg",
        other.path().file_name().unwrap().to_str().unwrap()
    );
    let text = format!("path,label\n{},a\n{above},b\n", absolute.display());
    let listing = good(&text);
    assert_eq!(
        images(&listing),
        [format!("{} 0", absolute.display()), format!("{above} 1")]
    );
    assert_eq!(listing.items.sample(1).unwrap(), [Item::File(absolute)]);
}

#[test]
fn repeated_rows_are_left_out_and_counted() {
    let listing = good("path,label\n0.jpg,a\n1.jpg,b\n1.jpg,b\n0.jpg,a\n./1.jpg,b\n2.jpg,a\n");
    assert_eq!(images(&listing), ["0.jpg 0", "1.jpg 1", "2.jpg 0"]);
    assert_eq!(
        listing.warnings,
        [
            "3 rows repeat the path of an earlier row with the same label and split, and are left out (such as line 4, which repeats line 3)."
        ]
    );
}

#[test]
fn too_many_labels_are_refused() {
    let rows: Vec<_> = (0..5000).map(|i| format!("{i}.jpg,v{i}\n")).collect();
    let rows = rows.concat();
    let error = wrong(&format!("path,label\n{rows}"));
    assert!(
        error.starts_with(":4098: there are more than 4096 different labels"),
        "{error}"
    );
    let long = "x".repeat(201);
    let open = wrong(&format!("path,label\n0.jpg,a\n1.jpg,\"b\n{rows}"));
    assert_eq!(
        open,
        ":3: a cell has more than 4096 bytes; is a quote not closed?"
    );
    let caption = "y".repeat(5000);
    assert_eq!(
        good(&format!(
            "path,label,caption\n0.jpg,a,{caption}\n1.jpg,b,\n"
        ))
        .labels,
        [0, 1]
    );
    let error = wrong(&format!("path,label\n0.jpg,a\n1.jpg,{long}\n"));
    assert!(error.contains("more than 200 characters"), "{error}");
}

const AB: &str = "path,label\n0.jpg,a\n1.jpg,b\n2.jpg,b\n";
const BA: &str = "path,label\n3.jpg,b\n4.jpg,a\n";

#[test]
fn one_table_is_chosen_by_its_name() {
    for (tables, first) in [
        (&[("some.csv", AB)][..], "0.jpg 0"),
        (&[("list.csv", AB), ("labels.csv", BA)], "0.jpg 0"),
        (&[("other.csv", BA), ("Data.CSV", AB)], "0.jpg 0"),
        (&[("metadata.csv", BA), ("birds.csv", AB)], "0.jpg 0"),
        (&[("metadata.csv", AB), ("sub.csv", BA)], "0.jpg 0"),
        (
            &[("labels.csv", AB), ("train.csv", BA), ("val.csv", BA)],
            "0.jpg 0",
        ),
    ] {
        let dir = directory(tables);
        let listing = listed(&dir).unwrap();
        assert_eq!(
            (listing.counts.train, listing.counts.valid),
            (3, None),
            "{tables:?}"
        );
        assert_eq!(images(&listing)[0], first, "{tables:?}");
    }
    let several = directory(&[("x.csv", AB), ("y.csv", BA)]);
    let error = listed(&several).unwrap_err().0;
    assert!(error.contains("several lists: x.csv, y.csv; expected one, or one of the name list.csv, labels.csv, data.csv, birds.csv"), "{error}");
    assert_eq!(
        recognise(several.path()).unwrap().reason,
        "x.csv, y.csv have columns for path and label"
    );
}

#[test]
fn tables_may_be_splits() {
    let dir = directory(&[
        ("train.csv", AB),
        ("val.csv", BA),
        ("test.csv", "path\n5.jpg\n"),
    ]);
    let listing = listed(&dir).unwrap();
    let counts = Counts {
        train: 3,
        valid: Some(2),
        test: None,
    };
    assert_eq!(listing.counts, counts);
    assert_eq!(
        images(&listing),
        ["0.jpg 0", "1.jpg 1", "2.jpg 1", "3.jpg 1", "4.jpg 0"]
    );
    assert!(
        listing.warnings[0].starts_with("test.csv has no column of labels"),
        "{:?}",
        listing.warnings
    );
    let twice = directory(&[("train.csv", AB), ("val.csv", BA), ("valid.csv", BA)]);
    let error = listed(&twice).unwrap_err().0;
    assert!(
        error.contains("val.csv and valid.csv are both the validation split"),
        "{error}"
    );
    let leak = directory(&[("train.csv", AB), ("test.csv", AB)]);
    let error = listed(&leak).unwrap_err().0;
    assert!(
        error.contains(
            "0.jpg is in two splits, training (line 2 of train.csv) and test (line 2 of test.csv)"
        ),
        "{error}"
    );
}

#[test]
fn tables_without_paths_or_labels_are_not_recognised_but_explained() {
    for (text, expected) in [
        (
            "a,b\n1,2\n",
            "there is no list; expected a CSV file with a column of paths (path, file_name",
        ),
        (
            "path,width\n0.jpg,640\n",
            "list.csv has no column of labels; expected",
        ),
        (
            "path,cat,dog,ant\n0.jpg,1,0,1\n1.jpg,0,1,0\n",
            "list.csv has no column of labels, but columns of 0 and 1.",
        ),
        ("", "there is no list"),
    ] {
        let dir = directory(&[("list.csv", text)]);
        assert_eq!(recognise(dir.path()), None, "{text}");
        let error = listed(&dir).unwrap_err().0;
        assert!(error.contains(expected), "{text}: {error}");
    }
    let dir = directory(&[]);
    fs::write(dir.path().join("list.csv"), b"\xff\xfep\0a\0t\0h\0").unwrap();
    assert!(
        listed(&dir)
            .unwrap_err()
            .0
            .contains("UTF-16; expected UTF-8")
    );
    assert_eq!(recognise(dir.path()), None);
    assert_eq!(recognise(Path::new("/nowhere/at/all")), None);
}

#[cfg(target_os = "linux")]
#[test]
fn names_of_any_bytes_work() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = directory(&[]);
    let file = dir.path().join(OsStr::from_bytes(b"\xff.jpg"));
    fs::write(&file, "").unwrap();
    fs::write(
        dir.path().join("list.csv"),
        b"path,label\n\xff.jpg,\xfe\n0.jpg,\xc3\xa9\n",
    )
    .unwrap();
    let listing = listed(&dir).unwrap();
    assert_eq!(listing.classes, ["é", r"\xfe"]);
    assert_eq!(images(&listing), [r"\xff.jpg 1", "0.jpg 0"]);
    assert_eq!(listing.items.sample(1).unwrap(), [Item::File(file)]);
}

#[test]
fn stamp_covers_the_list_and_its_files() {
    let dir = directory(&[("list.csv", AB)]);
    let stamp = || listed(&dir).unwrap().stamp;
    let first = stamp();
    assert_eq!(stamp(), first);
    for name in ["2.jpg", "list.csv"] {
        let file = File::options()
            .append(true)
            .open(dir.path().join(name))
            .unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        file.set_modified(before + Duration::from_nanos(1)).unwrap();
        assert_ne!(stamp(), first, "{name}");
        file.set_modified(before).unwrap();
        assert_eq!(stamp(), first, "{name}");
    }
    let before = fs::metadata(dir.path().join("list.csv"))
        .unwrap()
        .modified()
        .unwrap();
    fs::write(
        dir.path().join("list.csv"),
        AB.replace("2.jpg,b", "2.jpg,a"),
    )
    .unwrap();
    let file = File::options()
        .append(true)
        .open(dir.path().join("list.csv"))
        .unwrap();
    file.set_modified(before).unwrap();
    assert_ne!(stamp(), first);
}

proptest::proptest! {
    #[test]
    fn arbitrary_tables_do_not_panic(text in "[a-b|;,\"\n\r0-2. \u{0}]{0,60}") {
        let _ = listed(&directory(&[("list.csv", &format!("path,label\n{text}"))]));
    }
}
