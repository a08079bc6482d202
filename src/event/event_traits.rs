//! How the receivers of an event must handle it, independent of its content.

use super::{Event, Split};

/// How receivers must handle an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTraits {
    /// A user may be waiting for this event, so a screen shows it immediately instead of with the next frame. The other
    /// events are frequent; some of them may be left out of the journal if they cannot be written for a long time.
    pub urgent: bool,
    /// The event shows that the trainer makes progress. Events from other threads and processes do not: they continue
    /// even if the trainer hangs.
    pub progress: bool,
    /// The event reports a result, so it is flushed to the disk before it is shown.
    pub result: bool,
}

impl Event {
    /// How receivers must handle this event.
    pub fn traits(&self) -> EventTraits {
        let (urgent, progress, result) = match self {
            // Too frequent to be urgent.
            Self::Steps(_)
            | Self::StepTime(_)
            | Self::EvalProgress { .. }
            | Self::Layers { .. }
            | Self::Scalars { .. } => (false, true, false),
            Self::System(_) => (false, false, false),
            // `epochtop eval` also appends evaluations.
            Self::EvalFinished(report) => (true, false, report.split == Split::Test),
            // A separate thread writes checkpoints. They are on the disk, and their marks too, before they are reported.
            Self::CheckpointSaved(_) | Self::Log { .. } | Self::Asked { .. } | Self::Unknown => {
                (true, false, false)
            }
            Self::EpochFinished(_) | Self::Marked { .. } | Self::RunFinished { .. } => {
                (true, true, true)
            }
            Self::RunStarted(_)
            | Self::Phase { .. }
            | Self::EpochStarted { .. }
            | Self::GalleryImages(_)
            | Self::GalleryPredictions(_)
            | Self::Restored(_)
            | Self::StepSkipped { .. }
            | Self::Health(_)
            | Self::Acknowledged { .. }
            | Self::NotWritten { .. } => (true, true, false),
        };
        EventTraits {
            urgent,
            progress,
            result,
        }
    }
}
