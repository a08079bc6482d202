use super::super::Rule;
use super::Run;
use crate::event::{Event, F64, StepTime};

fn step_time(global_step: u64, loader_ms: f64, reading: f64) -> Event {
    Event::StepTime(StepTime {
        global_step,
        steps: 50,
        loader_ms: F64(loader_ms),
        reading: F64(reading),
        data_ms: F64(1.0),
        forward_ms: F64(3.0),
        backward_ms: F64(5.0),
        optimizer_ms: F64(0.5),
        wait_ms: F64(0.5),
        sampled: false,
    })
}

#[test]
fn first_step_of_a_run_may_wait() {
    let mut run = Run::new();
    let Event::StepTime(time) = step_time(1, 30.0, 0.9) else {
        panic!();
    };
    run.apply(Event::StepTime(StepTime { steps: 1, ..time }));
    assert_eq!(run.rules(), []);
}

#[test]
fn steps_that_wait_for_images_are_reported_with_what_is_slow() {
    let mut run = Run::new();
    run.apply(step_time(50, 2.0, 0.9));
    assert_eq!(run.rules(), [], "17 % is usual");
    run.apply(step_time(100, 30.0, 0.9));
    assert_eq!(run.rules(), [Rule::Starved]);
    assert_eq!(
        run.text(Rule::Starved),
        "starved: steps wait for the loader 75 % of their time (30.0 of 40.0 ms), not for the computation; its threads spend \
         90 % on reading the packed images: keep them in memory (data.in_memory = \"always\"), move data.cache_dir to a faster \
         disk, or raise data.workers"
    );
    run.apply(step_time(150, 30.0, 0.1));
    let text = run.text(Rule::Starved);
    assert!(
        text.contains("90 % on cropping and changing the images"),
        "{text}"
    );
    run.apply(step_time(200, 1.5, 0.1));
    assert_eq!(run.rules(), [Rule::Starved], "still more than a tenth");
    run.apply(step_time(250, 1.0, 0.1));
    assert_eq!(run.rules(), []);
    let lines = run.lines(Rule::Starved);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[1].contains("resolved (active since step 51)"),
        "{lines:?}"
    );
}
