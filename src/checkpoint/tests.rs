//! The guarantees of checkpoints, tested with every disk error at every operation.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use fs_err as fs;
use rustix::io::Errno;

use super::*;
use crate::event::{DatasetInfo, Validation};
use crate::fault::{Fault, FaultKind, with};

/// A temporary directory, in memory if possible: thousands of flushes to a disk take minutes.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// A small checkpoint of a step.
pub(crate) fn pending(global_step: u64, fill: u8) -> PendingCheckpoint {
    PendingCheckpoint {
        state: State {
            format: FORMAT,
            run: "one".to_owned(),
            epoch: 1,
            epoch_step: global_step,
            epoch_done: false,
            global_step,
            seed: 1,
            lr: 1e-3,
            epochs: 2,
            best: None,
            temperature: None,
            mark: u64::from(fill),
            computed: ComputeSetup::default(),
            trainer: serde_json::Value::Null,
            data: String::new(),
            dataset: DatasetInfo::default(),
            config: String::new(),
        },
        reason: "periodic".to_owned(),
        pinned: false,
        validated: None,
        best_by: crate::config::BestBy::default(),
        created_ms: 1,
        files: vec![
            ("model.safetensors", vec![fill; 3000]),
            ("optim.safetensors", vec![fill; 2000]),
        ],
    }
}

fn names(store: &Store) -> Vec<String> {
    let dir = store.path(0).parent().unwrap().to_owned();
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn checkpoint_is_written_verified_and_removed() {
    let run = directory();
    let store = Store::new(run.path());
    let mut was_ready = false;
    let saved = store.save(&pending(7, 1), || was_ready = true).unwrap();
    assert!(was_ready);
    assert_eq!(saved.path, "checkpoints/step-000000007");
    assert!(store.update_pointers().is_empty());
    assert_eq!(names(&store), ["LATEST", "step-000000007"]);
    let manifest = verify(&store.path(7), Depth::Bytes).unwrap();
    assert_eq!(manifest.bytes(), saved.bytes);
    assert_eq!(read_state(&store.path(7)).unwrap().mark, 1);
    store.remove(7).unwrap();
    store.remove(7).unwrap();
    assert_eq!(names(&store), ["LATEST"]);
}

#[test]
fn second_save_of_a_step_replaces_the_first() {
    let run = directory();
    let store = Store::new(run.path());
    store.save(&pending(7, 1), || {}).unwrap();
    store.save(&pending(7, 2), || {}).unwrap();
    assert_eq!(read_state(&store.path(7)).unwrap().mark, 2);
    verify(&store.path(7), Depth::Bytes).unwrap();
    assert_eq!(names(&store), ["step-000000007"]);
}

#[test]
#[expect(clippy::print_stdout, reason = "the count is the result of this test")]
fn older_checkpoint_survives_any_error_at_any_operation() {
    let mut tried = 0;
    for again in [false, true] {
        for errno in [
            Errno::NOSPC,
            Errno::IO,
            Errno::DQUOT,
            Errno::FBIG,
            Errno::ROFS,
        ] {
            for and_later in [false, true] {
                for nth in 1.. {
                    let run = directory();
                    let store = Store::new(run.path());
                    store.save(&pending(5, 1), || {}).unwrap();
                    let fault = Fault {
                        kind: FaultKind::Fails(errno.raw_os_error()),
                        op: "any".to_owned(),
                        nth,
                        and_later,
                    };
                    let step = if again { 5 } else { 6 };
                    let (saved, operations) =
                        with(Some(fault), || store.save(&pending(step, 2), || {}));
                    if nth > operations {
                        assert!(saved.is_ok());
                        break;
                    }
                    tried += 1;
                    // I2: the newest valid checkpoint is found; the failed step is complete or absent.
                    let (newest, warnings) = store.newest_verified().unwrap();
                    let newest = newest.unwrap();
                    assert_eq!(warnings, [""; 0]);
                    if saved.is_ok() {
                        assert_eq!(newest.global_step, step);
                    }
                    let mark = read_state(&store.path(newest.global_step)).unwrap().mark;
                    assert!(mark == 1 || newest.global_step == step);
                    // I3: the next start removes all leftovers.
                    store.sweep();
                    assert!(names(&store).iter().all(|name| name.starts_with("step-")));
                    // The next save succeeds.
                    store.save(&pending(9, 3), || {}).unwrap();
                    assert_eq!(store.newest_verified().unwrap().0.unwrap().global_step, 9);
                }
            }
        }
    }
    println!("{tried} disk errors, each at a different operation: invariants I1, I2, I3 hold");
    assert!(tried >= 200, "only {tried} errors were tested");
}

#[test]
fn any_changed_byte_or_truncation_is_detected_and_the_next_older_is_used() {
    let run = directory();
    let store = Store::new(run.path());
    store.save(&pending(1, 1), || {}).unwrap();
    for file in [
        "model.safetensors",
        "optim.safetensors",
        "state.json",
        "MANIFEST.json",
    ] {
        let intact = {
            store.save(&pending(2, 2), || {}).unwrap();
            fs::read(store.path(2).join(file)).unwrap()
        };
        let places = (0..intact.len()).step_by(intact.len().div_ceil(60));
        let flips = places.clone().map(|at| {
            let mut bytes = intact.clone();
            bytes[at] ^= 1 << (at % 8);
            bytes
        });
        for bytes in flips.chain(places.map(|at| intact[..at].to_vec())) {
            store.save(&pending(2, 2), || {}).unwrap();
            fs::write(store.path(2).join(file), &bytes).unwrap();
            let (newest, warnings) = store.newest_verified().unwrap();
            assert_eq!(newest.unwrap().global_step, 1, "{file}");
            assert_eq!(warnings.len(), 1);
            if warnings[0].contains("cannot be read") {
                // The format number itself was changed.
                assert_eq!(file, "MANIFEST.json");
                continue;
            }
            assert!(
                warnings[0].contains("set aside as bad-step-000000002-"),
                "{warnings:?}"
            );
            fs::remove_dir_all(store.path(0).with_file_name("bad-step-000000002-1")).unwrap();
        }
    }
}

/// A checkpoint whose weights have a validation accuracy; `best` is the best step at that time.
pub(crate) fn validated(global_step: u64, accuracy: f64, best: u64) -> PendingCheckpoint {
    let mut pending = pending(global_step, 1);
    pending.validated = Some(Validation::of_accuracy(accuracy));
    pending.state.best = Some(BestSoFar {
        accuracy,
        epoch: 1,
        global_step: best,
    });
    pending
}

#[test]
fn pointers_are_rewritten_from_the_checkpoints_after_a_failed_write() {
    let run = directory();
    let store = Store::new(run.path());
    store.save(&validated(1, 0.5, 1), || {}).unwrap();
    assert!(store.update_pointers().is_empty());
    store.save(&validated(2, 0.7, 2), || {}).unwrap();
    let fault = Fault {
        kind: FaultKind::Fails(Errno::DQUOT.raw_os_error()),
        op: "any".to_owned(),
        nth: 1,
        and_later: true,
    };
    let (errors, _) = with(Some(fault), || store.update_pointers());
    assert_eq!(errors.len(), 2, "{errors:?}");
    let read = |name: &str| fs::read_to_string(store.path(0).with_file_name(name)).unwrap();
    assert_eq!(read("BEST"), "step-000000001\n", "the write failed");
    let best = |global_step, missing| {
        Some(BestOnDisk {
            global_step,
            missing,
        })
    };
    assert_eq!(store.best().unwrap(), best(2, None), "BEST is not believed");
    // A later checkpoint that is not the best one repairs the pointer.
    store.save(&validated(3, 0.6, 2), || {}).unwrap();
    assert!(store.update_pointers().is_empty());
    assert_eq!(
        (read("BEST").as_str(), read("LATEST").as_str()),
        ("step-000000002\n", "step-000000003\n")
    );
    assert_eq!(store.outdated_pointers().unwrap(), []);
    store.remove(2).unwrap();
    assert_eq!(store.best().unwrap(), best(3, Some(2)));
}

#[test]
fn checkpoints_that_cannot_be_listed_are_an_error_not_an_empty_run() {
    let run = directory();
    fs::write(run.path().join("checkpoints"), "a file").unwrap();
    let store = Store::new(run.path());
    assert!(store.newest_verified().unwrap_err().contains("checkpoints"));
    assert!(store.best().is_err());
}

#[test]
fn symlink_in_place_of_a_file_is_rejected() {
    let run = directory();
    let store = Store::new(run.path());
    store.save(&pending(1, 1), || {}).unwrap();
    let model = store.path(1).join("model.safetensors");
    let elsewhere = run.path().join("elsewhere");
    fs::rename(&model, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &model).unwrap();
    assert_eq!(
        verify(&store.path(1), Depth::Bytes).unwrap_err(),
        VerifyError::Damaged("model.safetensors: not a regular file".to_owned())
    );
}

#[test]
fn unwritable_directory_is_an_error_with_its_path() {
    let run = directory();
    fs::write(run.path().join("checkpoints"), "a file").unwrap();
    let error = Store::new(run.path())
        .save(&pending(1, 1), || {})
        .unwrap_err();
    assert!(error.to_string().contains("checkpoints"), "{error}");
}

#[test]
fn checkpoint_of_another_version_is_skipped_and_unchanged() {
    let run = directory();
    let store = Store::new(run.path());
    store.save(&pending(1, 1), || {}).unwrap();
    store.save(&pending(2, 2), || {}).unwrap();
    let replace = |step| {
        fs::write(store.path(step).join("MANIFEST.json"), "{\"format\": 99}").unwrap();
    };
    replace(2);
    let (newest, warnings) = store.newest_verified().unwrap();
    assert_eq!(newest.unwrap().global_step, 1);
    assert!(
        warnings[0].contains("step-000000002") && warnings[0].contains("format 99"),
        "{warnings:?}"
    );
    replace(1);
    let error = store.newest_verified().unwrap_err();
    assert!(
        error.contains("step-000000001") && error.contains("step-000000002"),
        "{error}"
    );
    assert_eq!(names(&store), ["step-000000001", "step-000000002"]);
}

fn unreadable(name: &str) -> Fault {
    Fault {
        kind: FaultKind::Fails(Errno::IO.raw_os_error()),
        op: format!("read-{name}"),
        nth: 1,
        and_later: true,
    }
}

#[test]
fn checkpoint_that_cannot_be_read_is_neither_newest_nor_best_nor_removed() {
    let run = directory();
    let store = Store::new(run.path());
    for (step, accuracy, best) in [(1, 0.5, 1), (2, 0.7, 2), (3, 0.6, 2), (4, 0.9, 4)] {
        store.save(&validated(step, accuracy, best), || {}).unwrap();
    }
    let fault = || Some(unreadable("step-000000004"));
    let (found, _) = with(fault(), || store.newest_verified().unwrap());
    assert_eq!(found.0.unwrap().global_step, 3);
    assert!(
        found.1[0].contains("cannot be read") && found.1[0].contains("left as it is"),
        "{:?}",
        found.1
    );
    let (best, _) = with(fault(), || store.best().unwrap());
    assert_eq!(best.map(|best| best.global_step), Some(2));
    let (newest, _) = with(fault(), || store.newest(Depth::Bytes).unwrap());
    assert_eq!(newest, Some(3));
    let (errors, _) = with(fault(), || store.update_pointers());
    assert_eq!(errors.len(), 0, "{errors:?}");
    let latest = fs::read_to_string(store.path(0).with_file_name("LATEST")).unwrap();
    assert_eq!(latest, "step-000000003\n");
    let (all, _) = with(fault(), || store.candidates(Depth::Lengths).unwrap());
    assert_eq!(removable(&all, 1, Some(2)), [1]);
    // The best one cannot be read, but newer ones can.
    let (best, _) = with(Some(unreadable("step-000000002")), || {
        store.remove(4).unwrap();
        store.best().unwrap().unwrap()
    });
    assert_eq!((best.global_step, best.missing), (3, Some(2)));
}

#[test]
fn checkpoint_renamed_by_an_interrupted_exchange_is_restored() {
    let run = directory();
    let store = Store::new(run.path());
    store.save(&pending(1, 1), || {}).unwrap();
    let spare = store.path(0).with_file_name(".tmp-spare-step-000000001");
    fs::rename(store.path(1), &spare).unwrap();
    store.sweep();
    assert_eq!(names(&store), ["step-000000001"]);
}

/// Validation at three steps: the last is as accurate as the first and has the lowest NLL.
#[test]
fn the_best_checkpoint_on_disk_is_chosen_like_the_best_epoch() {
    use crate::config::BestBy::{Accuracy, MacroF1, Nll};
    use crate::event::{F64, Validation};
    let validations = [(0.9, 0.5, 0.8), (0.8, 0.6, 0.9), (0.9, 0.4, 0.7)];
    for (by, wanted) in [(Accuracy, 3), (Nll, 3), (MacroF1, 2)] {
        let dir = directory();
        let store = Store::new(dir.path());
        for (step, (accuracy, nll, macro_f1)) in (1..).zip(validations) {
            let [accuracy, nll, macro_f1] = [accuracy, nll, macro_f1].map(F64);
            let validated = Some(Validation {
                accuracy,
                nll,
                macro_f1,
            });
            let pending = PendingCheckpoint {
                validated,
                best_by: by,
                ..pending(step, 1)
            };
            store.save(&pending, || ()).unwrap();
        }
        // A checkpoint within an epoch.
        store.save(&pending(4, 1), || ()).unwrap();
        assert_eq!(
            store
                .highest_validated(Depth::Lengths)
                .map(|best| best.global_step),
            Some(wanted),
            "{by:?}"
        );
    }
}
