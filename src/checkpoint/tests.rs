//! What a checkpoint promises, held against every failure of the disk at every operation.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use fs_err as fs;
use rustix::io::Errno;

use super::*;
use crate::event::DatasetInfo;
use crate::fault::{Fault, Harm, with};

/// In memory where there is such a place: thousands of flushes to a disk take minutes.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn draft(global_step: u64, fill: u8) -> Draft {
    Draft {
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
            computed: Computed::default(),
            trainer: serde_json::Value::Null,
            data: String::new(),
            dataset: DatasetInfo::default(),
            config: String::new(),
        },
        reason: "periodic".to_owned(),
        pinned: false,
        valid_accuracy: None,
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
fn a_checkpoint_is_written_named_verified_and_removed() {
    let run = directory();
    let store = Store::new(run.path());
    let mut was_ready = false;
    let saved = store.save(&draft(7, 1), || was_ready = true).unwrap();
    assert!(was_ready);
    assert_eq!(saved.path, "checkpoints/step-000000007");
    store.point("LATEST", 7).unwrap();
    assert_eq!(names(&store), ["LATEST", "step-000000007"]);
    let manifest = verify(&store.path(7), Depth::Bytes).unwrap();
    assert_eq!(manifest.bytes(), saved.bytes);
    assert_eq!(read_state(&store.path(7)).unwrap().mark, 1);
    store.remove(7).unwrap();
    store.remove(7).unwrap();
    assert_eq!(names(&store), ["LATEST"]);
}

#[test]
fn the_same_step_again_is_the_newer_one() {
    let run = directory();
    let store = Store::new(run.path());
    store.save(&draft(7, 1), || {}).unwrap();
    store.save(&draft(7, 2), || {}).unwrap();
    assert_eq!(read_state(&store.path(7)).unwrap().mark, 2);
    verify(&store.path(7), Depth::Bytes).unwrap();
    assert_eq!(names(&store), ["step-000000007"]);
}

#[test]
#[expect(clippy::print_stdout, reason = "the count is what it is for")]
fn whatever_fails_at_whichever_operation_the_older_checkpoint_is_whole_and_nothing_half_has_a_name()
{
    let mut tried = 0;
    for again in [false, true] {
        for errno in [
            Errno::NOSPC,
            Errno::IO,
            Errno::DQUOT,
            Errno::FBIG,
            Errno::ROFS,
        ] {
            for on in [false, true] {
                for nth in 1.. {
                    let run = directory();
                    let store = Store::new(run.path());
                    store.save(&draft(5, 1), || {}).unwrap();
                    let fault = Fault {
                        harm: Harm::Fails(errno.raw_os_error()),
                        op: "any".to_owned(),
                        nth,
                        on,
                    };
                    let step = if again { 5 } else { 6 };
                    let (saved, operations) =
                        with(Some(fault), || store.save(&draft(step, 2), || {}));
                    if nth > operations {
                        assert!(saved.is_ok());
                        break;
                    }
                    tried += 1;
                    // I2: the newest that verifies is found; of the step that failed there is all or nothing.
                    let (newest, complaints) = store.newest_whole().unwrap();
                    let newest = newest.unwrap();
                    assert_eq!(complaints, [""; 0]);
                    if saved.is_ok() {
                        assert_eq!(newest.global_step, step);
                    }
                    let mark = read_state(&store.path(newest.global_step)).unwrap().mark;
                    assert!(mark == 1 || newest.global_step == step);
                    // I3: one start later there is no litter.
                    store.sweep();
                    assert!(names(&store).iter().all(|name| name.starts_with("step-")));
                    // And the next save is as good as any.
                    store.save(&draft(9, 3), || {}).unwrap();
                    assert_eq!(store.newest_whole().unwrap().0.unwrap().global_step, 9);
                }
            }
        }
    }
    println!("{tried} failures of the disk, each at another operation: invariants I1, I2, I3 held");
    assert!(tried >= 200, "only {tried} failures were tried");
}

#[test]
fn any_changed_byte_and_any_cut_is_noticed_and_the_next_older_is_taken() {
    let run = directory();
    let store = Store::new(run.path());
    store.save(&draft(1, 1), || {}).unwrap();
    for file in [
        "model.safetensors",
        "optim.safetensors",
        "state.json",
        "MANIFEST.json",
    ] {
        let whole = {
            store.save(&draft(2, 2), || {}).unwrap();
            fs::read(store.path(2).join(file)).unwrap()
        };
        let places = (0..whole.len()).step_by(whole.len().div_ceil(60));
        let flips = places.clone().map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            bytes
        });
        for bytes in flips.chain(places.map(|at| whole[..at].to_vec())) {
            store.save(&draft(2, 2), || {}).unwrap();
            fs::write(store.path(2).join(file), &bytes).unwrap();
            let Ok((newest, complaints)) = store.newest_whole() else {
                // The number of the format itself was hit: a person must look.
                assert_eq!(file, "MANIFEST.json");
                continue;
            };
            assert_eq!(newest.unwrap().global_step, 1, "{file}");
            assert_eq!(complaints.len(), 1);
            assert!(
                complaints[0].contains("set aside as bad-step-000000002-"),
                "{complaints:?}"
            );
            fs::remove_dir_all(store.path(0).with_file_name("bad-step-000000002-1")).unwrap();
        }
    }
}

#[test]
fn a_link_in_the_place_of_a_file_is_no_checkpoint() {
    let run = directory();
    let store = Store::new(run.path());
    store.save(&draft(1, 1), || {}).unwrap();
    let model = store.path(1).join("model.safetensors");
    let elsewhere = run.path().join("elsewhere");
    fs::rename(&model, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &model).unwrap();
    assert_eq!(
        verify(&store.path(1), Depth::Bytes).unwrap_err(),
        Flaw::Damaged("model.safetensors: is no file".to_owned())
    );
}

#[test]
fn a_directory_that_takes_nothing_is_an_error_that_names_it() {
    let run = directory();
    fs::write(run.path().join("checkpoints"), "a file").unwrap();
    let error = Store::new(run.path())
        .save(&draft(1, 1), || {})
        .unwrap_err();
    assert!(error.to_string().contains("checkpoints"), "{error}");
}

#[test]
fn what_another_version_wrote_is_named_and_left_alone() {
    let run = directory();
    let store = Store::new(run.path());
    store.save(&draft(1, 1), || {}).unwrap();
    store.save(&draft(2, 2), || {}).unwrap();
    fs::write(store.path(2).join("MANIFEST.json"), "{\"format\": 99}").unwrap();
    let error = store.newest_whole().unwrap_err();
    assert!(
        error.contains("step-000000002") && error.contains("format 99"),
        "{error}"
    );
    assert_eq!(names(&store), ["step-000000001", "step-000000002"]);
}

#[test]
fn a_checkpoint_that_lost_its_name_for_a_moment_has_it_back_at_the_next_start() {
    let run = directory();
    let store = Store::new(run.path());
    store.save(&draft(1, 1), || {}).unwrap();
    let spare = store.path(0).with_file_name(".tmp-spare-step-000000001");
    fs::rename(store.path(1), &spare).unwrap();
    store.sweep();
    assert_eq!(names(&store), ["step-000000001"]);
}
