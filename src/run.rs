//! The story of a run, told by its records.
//!
//! [`RunState::apply`] is the one fold: the screen, the plain log, a late joiner's snapshot and replay all show what
//! it makes of the records. It is total (no record can make it panic) and bounded (a week costs the memory of a
//! minute). Nothing here looks at a clock or a file.

mod alerts;
mod compare;
mod curves;
mod health;
mod history;
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

pub use alerts::{Alert, Announcer, Cause, News, alert_lines, alerts, low_disk, throttling};
pub use compare::{
    Beside, Difference, MOST_RUNS, Other, Paired, ResultRow, RunResult, Verdict,
    config_differences, result_rows,
};
pub use curves::{
    CURVES, Curve, CurveId, CurveInfo, Curves, MOST_NAMED, Scaling, Source, group_of, is_curve_name,
};
pub use health::{ActiveRule, HealthTrack, Rule};
pub use history::History;
pub use layers::{LayerMoment, LayerTrack};
pub use marks::{Mark, MarkKind, Marks};
pub use parts::{Best, Clip, ClipEvent, CommandLine, EvalHistory, LogLine};
pub use progress::CLIP_WINDOW;
pub use replay::{MOST_GAP_MS, Replay};
pub use series::{Bucket, Ema, Series, between};
pub use state::RunState;
pub use steps::{Sample, Steps};
pub use summary::{closing_lines, epoch_line, eval_line, event_line, final_lines, headline};
pub use system::{GpuHistory, SAMPLES, SystemHistory, Trace, checkpoints_left};
pub use text::{clock, size};
pub use timeline::Timeline;
