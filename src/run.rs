//! The state of a run, computed from its records.
//!
//! [`RunState::apply`] is the only fold: the screen, the plain log, the snapshot for a new client and the replay all
//! show its result. It accepts any record without panicking, and its memory is bounded: a run of a week takes as much
//! as one of a minute. This module reads neither clocks nor files.

mod alerts;
mod compare;
mod curves;
mod health;
mod history;
mod incomplete;
mod layers;
mod marks;
mod parts;
mod progress;
mod replay;
mod requests;
mod series;
mod state;
mod steps;
mod summary;
mod system;
mod text;
mod timeline;

pub use alerts::{
    Alert, Announcer, CROWDED, Cause, Notification, alert_lines, alerts, low_disk, throttling,
};
pub use compare::{
    ComparedRun, ComparedRuns, Difference, MAX_RUNS, PairedDifference, ResultRow, RunResult,
    Verdict, config_differences, result_rows,
};
pub use curves::{
    CURVES, Curve, CurveId, CurveInfo, Curves, MAX_NAMED, Scaling, Source, group_of, is_curve_name,
};
pub use health::{ActiveRule, HealthTrack, Rule};
pub use history::History;
pub use layers::{LayerMoment, LayerTrack};
pub use marks::{Mark, MarkKind, Marks};
pub use parts::{Best, Clip, ClipEvent, CommandLine, EvalHistory, LogLine, Unwritten};
pub use progress::CLIP_WINDOW;
pub use replay::{MAX_GAP_MS, Replay};
pub use series::{Bucket, Ema, Series, between};
pub use state::RunState;
pub use steps::{Sample, Steps};
pub use summary::{
    closing_lines, epoch_line, eval_line, event_line, final_lines, headline, resume_effect,
};
pub use system::{GpuHistory, SAMPLES, SystemHistory, Trace, checkpoints_left};
pub use text::{clock, size};
pub use timeline::Timeline;
