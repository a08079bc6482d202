//! The front end without a screen: a line per epoch, no escape codes.

use std::io::Write;

use crate::link::{Feed, Link};
use crate::run::{RunState, closing_lines, event_line, headline};

/// Follows a run to its end and writes its lines. A reader that goes away ends the writing, not the run.
pub fn follow(link: &Link, mut out: impl Write) -> RunState {
    let mut state = RunState::default();
    let mut print = |text: &str| {
        let _ = out
            .write_all(text.as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush());
    };
    for feed in &link.feed {
        match feed {
            Feed::Snapshot(whole) => {
                if state.info.is_none() {
                    headline(&whole).iter().for_each(|line| print(line));
                }
                state = *whole;
            }
            Feed::Live(record) => {
                state.apply(&record);
                event_line(&state, &record.event)
                    .iter()
                    .for_each(|line| print(line));
            }
        }
    }
    closing_lines(&state).iter().for_each(|line| print(line));
    state
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::event::{EpochSummary, Event, Outcome, Record};
    use crossbeam_channel::unbounded;

    #[test]
    fn an_epoch_is_one_line_without_escape_codes() {
        let (sender, feed) = unbounded();
        let record = |seq, event| {
            Feed::Live(Box::new(Record {
                seq,
                t_ms: seq,
                event,
            }))
        };
        sender
            .send(record(
                1,
                Event::EpochFinished(EpochSummary {
                    epoch: 1,
                    ..EpochSummary::default()
                }),
            ))
            .unwrap();
        sender
            .send(record(
                2,
                Event::RunFinished {
                    outcome: Outcome::Completed,
                    global_step: 5,
                },
            ))
            .unwrap();
        drop(sender);
        let mut out = Vec::new();
        follow(
            &Link {
                requests: None,
                feed,
            },
            &mut out,
        );
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("epoch 1/0  train loss"), "{text}");
        assert!(text.contains("completed after 1 epochs, 5 steps"), "{text}");
        assert!(!text.contains('\x1b'));
    }
}
