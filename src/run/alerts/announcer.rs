//! What is announced of a run, each cause once: for the terminal's bell and the hook command.

use std::fmt::Write;

use super::{Rule, alerts};
use crate::config::Occasion;
use crate::event::Outcome;
use crate::metrics::Measure;
use crate::run::state::RunState;

/// A rule that comes and goes is told again only after so long, ms: ten minutes.
const AGAIN_MS: u64 = 600_000;

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The run has come to its end, or was stopped on request.
    Finish,
    /// It has failed.
    Failure,
    /// Something is not well.
    Alert(Rule),
}

impl Cause {
    /// What it is called in `notify.on`.
    pub fn occasion(self) -> Occasion {
        match self {
            Self::Finish => Occasion::Finish,
            Self::Failure => Occasion::Failure,
            Self::Alert(_) => Occasion::Alert,
        }
    }
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Why.
    pub cause: Cause,
    /// What, without the run's name. It may hold names from outside.
    pub text: String,
}

/// Remembers what has been announced of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announcer {
    /// Whether anything was seen of the run.
    begun: bool,
    ended: bool,
    /// The rules that held when it was looked at last.
    held: Vec<Rule>,
    /// When each was told last.
    rules: Vec<(Rule, u64)>,
}

impl Announcer {
    /// What is new since the last look, at `now_ms` as in [`alerts`]. At the first look nothing is: who comes sees it.
    pub fn look(&mut self, state: &RunState, now_ms: u64) -> Vec<News> {
        let mut news = Vec::new();
        let current = alerts(state, now_ms);
        if self.begun {
            if let Some(outcome) = state.outcome.as_ref().filter(|_| !self.ended) {
                news.push(end(state, outcome));
            }
            for alert in &current {
                if !self.held.contains(&alert.rule) && self.is_due(alert.rule, now_ms) {
                    news.push(News {
                        cause: Cause::Alert(alert.rule),
                        text: alert.text.clone(),
                    });
                }
            }
        }
        self.begun = true;
        self.ended = state.outcome.is_some();
        self.held = current.iter().map(|alert| alert.rule).collect();
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

fn end(state: &RunState, outcome: &Outcome) -> News {
    if let Outcome::Failed { message } = outcome {
        return News {
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
    News {
        cause: Cause::Finish,
        text,
    }
}
