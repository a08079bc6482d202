//! Invalid data is reported before a run directory is created: the file, the problem, and what was expected.

use std::fs;
use std::path::Path;

use crate::fixture::{idx, shapes, small_config, try_load};

fn error_after(break_it: impl FnOnce(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    shapes(dir.path());
    break_it(dir.path());
    try_load(&small_config(dir.path())).unwrap_err()
}

#[test]
fn a_missing_directory_is_reported() {
    let config = small_config(Path::new("/no/such/place"));
    let error = try_load(&config).unwrap_err();
    assert!(
        error.contains("/no/such/place") && error.contains("no such directory"),
        "{error}"
    );
}

#[test]
fn a_missing_file_is_reported() {
    let error = error_after(|dir| fs::remove_file(dir.join("t10k-labels-idx1-ubyte")).unwrap());
    assert!(error.contains("lacks t10k-labels-idx1-ubyte"), "{error}");
}

#[test]
fn a_truncated_file_is_reported_with_both_sizes() {
    let error = error_after(|dir| {
        let path = dir.join("train-images-idx3-ubyte");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    });
    assert!(
        error.contains("train-images-idx3-ubyte") && error.contains("truncated"),
        "{error}"
    );
    assert!(
        error.contains("288000") && error.contains("287900"),
        "{error}"
    );
}

#[test]
fn a_damaged_gzip_file_is_reported() {
    let error = error_after(|dir| {
        let path = dir.join("train-labels-idx1-ubyte");
        fs::write(&path, b"\x1f\x8b\x08\x00garbage").unwrap();
    });
    assert!(
        error.contains("train-labels-idx1-ubyte") && error.contains("gzip"),
        "{error}"
    );
}

#[test]
fn a_label_out_of_range_is_reported_with_its_image() {
    let error = error_after(|dir| {
        let path = dir.join("t10k-labels-idx1-ubyte");
        let mut labels = vec![0; 200];
        labels[17] = 3;
        fs::write(&path, idx(&[200], &labels)).unwrap();
    });
    assert!(
        error.contains("label 3 of image 17") && error.contains("0 to 2"),
        "{error}"
    );
}

#[test]
fn different_numbers_of_images_and_labels_are_reported() {
    let error = error_after(|dir| {
        fs::write(dir.join("train-labels-idx1-ubyte"), idx(&[7], &[0; 7])).unwrap();
    });
    assert!(
        error.contains("600 images") && error.contains("7 labels"),
        "{error}"
    );
}

#[test]
fn swapped_files_are_reported() {
    let error = error_after(|dir| {
        fs::copy(
            dir.join("train-labels-idx1-ubyte"),
            dir.join("train-images-idx3-ubyte"),
        )
        .unwrap();
    });
    assert!(
        error.contains("contains labels, expected images"),
        "{error}"
    );
}

#[test]
fn a_validation_split_larger_than_the_data_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    shapes(dir.path());
    let mut config = small_config(dir.path());
    config.data.valid = 600;
    let error = try_load(&config).unwrap_err();
    assert!(
        error.contains("data.valid = 600") && error.contains("at most 597"),
        "{error}"
    );
}

#[test]
fn a_duplicate_class_name_is_reported_with_its_line() {
    let error =
        error_after(|dir| fs::write(dir.join("classes.txt"), "level\nupright\nlevel\n").unwrap());
    assert!(
        error.contains("classes.txt:3") && error.contains("level"),
        "{error}"
    );
}
