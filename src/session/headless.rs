//! The front end without a screen. It prints one line per epoch, without escape codes.

use std::io::Write;

use crate::link::{Feed, Link};
use crate::run::{RunState, alert_lines, closing_lines, epoch_line, event_line, headline};

/// Follows a run to its end, prints its lines to `out` and returns the final state. Write errors are ignored, so a
/// closed pipe does not end the run. If the link lags, the lines of the missed epochs are printed with the next
/// snapshot.
pub fn follow(link: &Link, mut out: impl Write) -> RunState {
    let mut state = RunState::default();
    let mut print = |text: &str| {
        let whole_line = format!("{text}\n");
        let _ = out
            .write_all(whole_line.as_bytes())
            .and_then(|()| out.flush());
    };
    for feed in &link.feed {
        match feed {
            Feed::Snapshot(snapshot) => {
                if state.info.is_none() {
                    headline(&snapshot).iter().for_each(|line| print(line));
                }
                let printed = state.history.back().map_or(0, |row| row.epoch);
                for row in snapshot.history.iter().filter(|row| row.epoch > printed) {
                    print(&epoch_line(row, snapshot.epochs));
                }
                state = *snapshot;
            }
            Feed::Live(record) => {
                let before = state.health.active().to_vec();
                state.apply(&record);
                event_line(&state, &record.event)
                    .iter()
                    .for_each(|line| print(line));
                alert_lines(&before, &state)
                    .iter()
                    .for_each(|line| print(line));
            }
            Feed::Unsent { reason, .. } | Feed::Gone { reason, .. } => print(&reason),
            Feed::Control(_) => {}
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
                run_ms: None,
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
        follow(&Link::only(feed), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("epoch 1/0  train loss"), "{text}");
        assert!(text.contains("completed after 1 epochs, 5 steps"), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn missed_epochs_are_printed_with_the_next_snapshot() {
        let (sender, feed) = unbounded();
        let mut state = RunState::default();
        let epoch = |epoch: u32| {
            let row = EpochSummary {
                epoch,
                ..EpochSummary::default()
            };
            Record {
                seq: epoch.into(),
                t_ms: 1,
                run_ms: None,
                event: Event::EpochFinished(row),
            }
        };
        (1..=2).for_each(|i| state.apply(&epoch(i)));
        sender
            .send(Feed::Snapshot(Box::new(state.clone())))
            .unwrap();
        (3..=5).for_each(|i| state.apply(&epoch(i)));
        sender.send(Feed::Snapshot(Box::new(state))).unwrap();
        sender.send(Feed::Live(Box::new(epoch(6)))).unwrap();
        drop(sender);
        let mut out = Vec::new();
        follow(&Link::only(feed), &mut out);
        let text = String::from_utf8(out).unwrap();
        let printed: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("epoch ")?.split('/').next())
            .collect();
        assert_eq!(printed, ["1", "2", "3", "4", "5", "6"]);
    }
}
