//! Notifications of a run for the terminal bell and the hook command, each cause once.

use std::fmt::Write;

use super::{Rule, alerts};
use crate::config::Occasion;
use crate::event::Outcome;
use crate::metrics::Measure;
use crate::run::state::RunState;

/// Least time between two notifications of the same rule, in milliseconds: ten minutes.
const AGAIN_MS: u64 = 600_000;

/// Cause of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The run has completed, or was stopped on request.
    Finish,
    /// The run has failed.
    Failure,
    /// An alert has started.
    Alert(Rule),
}

impl Cause {
    /// The occasion in `notify.on` that covers this cause.
    pub fn occasion(self) -> Occasion {
        match self {
            Self::Finish => Occasion::Finish,
            Self::Failure => Occasion::Failure,
            Self::Alert(_) => Occasion::Alert,
        }
    }
}

/// A message for the bell and the hook command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// What caused it.
    pub cause: Cause,
    /// The message, without the run's name. It may contain untrusted names.
    pub text: String,
}

/// Remembers which notifications of a run have been sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announcer {
    /// Whether `update` has been called before.
    started: bool,
    ended: bool,
    /// The rules that were active at the previous call.
    active: Vec<Rule>,
    /// Time of the latest notification of each rule, ms.
    rules: Vec<(Rule, u64)>,
}

impl Announcer {
    /// The notifications since the previous call; `now_ms` as in [`alerts`]. The first call returns none: a client that
    /// connects sees the current alerts on its screen.
    pub fn update(&mut self, state: &RunState, now_ms: u64) -> Vec<Notification> {
        let mut news = Vec::new();
        let current = alerts(state, now_ms);
        if self.started {
            if let Some(outcome) = state.outcome.as_ref().filter(|_| !self.ended) {
                news.push(end(state, outcome));
            }
            for alert in &current {
                if !self.active.contains(&alert.rule) && self.is_due(alert.rule, now_ms) {
                    news.push(Notification {
                        cause: Cause::Alert(alert.rule),
                        text: alert.text.clone(),
                    });
                }
            }
        }
        self.started = true;
        self.ended = state.outcome.is_some();
        self.active = current.iter().map(|alert| alert.rule).collect();
        news
    }

    fn is_due(&mut self, rule: Rule, now_ms: u64) -> bool {
        match self.rules.iter_mut().find(|(known, _)| *known == rule) {
            Some((_, at_ms)) if now_ms.saturating_sub(*at_ms) < AGAIN_MS => false,
            Some((_, at_ms)) => {
                *at_ms = now_ms;
                true
            }
            None => {
                self.rules.push((rule, now_ms));
                true
            }
        }
    }
}

fn end(state: &RunState, outcome: &Outcome) -> Notification {
    if let Outcome::Failed { message } = outcome {
        return Notification {
            cause: Cause::Failure,
            text: format!("failed at step {}: {message}", state.global_step),
        };
    }
    let epochs = state.history.back().map_or(0, |row| row.epoch);
    let mut text = format!("{} after {epochs} epochs", outcome.name());
    if let Some(best) = &state.best {
        let (share, epoch) = (best.accuracy.0 * 100.0, best.epoch);
        // Writing to a string cannot fail.
        let _ = write!(text, ", best valid accuracy {share:.2} % (epoch {epoch})");
    }
    if let Some(test) = &state.test.latest {
        let _ = write!(
            text,
            ", test accuracy {:.2} %",
            test.value(Measure::Accuracy) * 100.0
        );
    }
    Notification {
        cause: Cause::Finish,
        text,
    }
}
