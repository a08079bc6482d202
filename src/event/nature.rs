//! What each event means to whoever receives it, apart from its content.

use super::Event;

/// How an event is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nature {
    /// Somebody may be waiting for it: a screen shows it before the next frame would be due.
    pub urgent: bool,
    /// The trainer itself is at work: what others report, and what is written beside the training, goes on while it hangs.
    pub work: bool,
}

impl Event {
    /// How it is to be treated.
    pub fn nature(&self) -> Nature {
        let (urgent, work) = match self {
            // They come all the time.
            Self::Steps(_)
            | Self::StepTime(_)
            | Self::EvalProgress { .. }
            | Self::Layers { .. }
            | Self::Scalars { .. } => (false, true),
            Self::System(_) => (false, false),
            // `epochtop eval` appends evaluations too, and another thread writes checkpoints.
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
        Nature { urgent, work }
    }
}
