//! The story of a run, told by its records.
//!
//! [`RunState::apply`] is the one fold: the screen, the plain log, a late joiner's snapshot and replay all show what
//! it makes of the records. It is total (no record can make it panic) and bounded (a week costs the memory of a
//! minute). Nothing here looks at a clock or a file.

mod alerts;
mod compare;
mod history;
mod layers;
mod marks;
mod parts;
mod progress;
mod replay;
mod requests;
mod series;
mod state;
mod summary;
mod system;
mod timeline;

pub use alerts::{
    Alert, Cause, HealthTrack, Held, News, Rule, Told, alert_lines, alerts, low_disk, throttling,
};
pub use compare::{
    Aim, Beside, Difference, MOST_RUNS, Metric, MetricRow, Other, Paired, Verdict,
    config_differences, metric_rows,
};
pub use history::History;
pub use layers::{LayerMoment, LayerTrack};
pub use marks::{Mark, MarkKind, Marks};
pub use parts::{Best, Clip, ClipEvent, CommandLine, EvalHistory, LogLine, Sample};
pub use progress::CLIP_WINDOW;
pub use replay::{MOST_GAP_MS, Replay};
pub use series::{Bucket, Ema, Series, between};
pub use state::RunState;
pub use summary::{
    clock, closing_lines, epoch_line, eval_line, event_line, final_lines, headline, size,
};
pub use system::{GpuHistory, SAMPLES, SystemHistory, Trace, checkpoints_left};
pub use timeline::Timeline;
