//! How the receivers of an event must handle it, independent of its content.

use super::Event;

/// How receivers must handle an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTraits {
    /// A user may be waiting for this event, so a screen shows it immediately instead of with the next frame.
    pub urgent: bool,
    /// The event shows that the trainer makes progress. Events from other threads and processes do not: they continue
    /// even if the trainer hangs.
    pub progress: bool,
}

impl Event {
    /// How receivers must handle this event.
    pub fn traits(&self) -> EventTraits {
        let (urgent, progress) = match self {
            // Too frequent to be urgent.
            Self::Steps(_)
            | Self::StepTime(_)
            | Self::EvalProgress { .. }
            | Self::Layers { .. }
            | Self::Scalars { .. } => (false, true),
            Self::System(_) => (false, false),
            // `epochtop eval` also appends evaluations, and a separate thread writes checkpoints.
            Self::EvalFinished(_)
            | Self::CheckpointSaved(_)
            | Self::Log { .. }
            | Self::Asked { .. }
            | Self::Unknown => (true, false),
            Self::RunStarted(_)
            | Self::Phase { .. }
            | Self::EpochStarted { .. }
            | Self::EpochFinished(_)
            | Self::GalleryImages(_)
            | Self::GalleryPredictions(_)
            | Self::Marked { .. }
            | Self::Restored(_)
            | Self::StepSkipped { .. }
            | Self::Health(_)
            | Self::Acknowledged { .. }
            | Self::RunFinished { .. } => (true, true),
        };
        EventTraits { urgent, progress }
    }
}
