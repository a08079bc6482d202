//! What the run's state does not hold and the screen shows: what the session was asked, and what it answered.

use crate::event::F32;
use crate::link::{Filter, ImagePage, ImageRow, Query, Reply, StepValues};
use crate::run::{Bucket, CurveId, Series};

/// The stretch of a curve that a chart shows from close by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stretch {
    curve: CurveId,
    from: u64,
    to: u64,
    values: Vec<(u64, F32)>,
}

/// What was asked and what is known.
#[derive(Debug, Clone, Default)]
pub struct Lookups {
    next: u64,
    waiting: Vec<(u64, Query)>,
    /// The step asked for, and its numbers.
    step: Option<(u64, StepValues)>,
    stretches: Vec<Stretch>,
    /// The images asked for: which, and from where on.
    images: Option<(Filter, ImagePage)>,
    /// Why there are no images.
    no_images: Option<String>,
    /// When the latest answer about images came, ms since 1970.
    images_ms: u64,
    /// Nobody answers.
    closed: bool,
}

impl Lookups {
    /// The numbers of a step, if they were told.
    pub(super) fn step(&self, step: u64) -> Option<&StepValues> {
        let known = self.step.as_ref().filter(|(asked, _)| *asked == step);
        known.map(|(_, values)| values)
    }

    /// A curve's points as closely as they are known: the stretch that was told, and the state around it. Of what was told
    /// those after step `newest` are left out, which a replay has not come to.
    pub(super) fn points<'a>(
        &'a self,
        curve: &CurveId,
        series: &'a Series,
        newest: u64,
    ) -> Box<dyn Iterator<Item = (u64, Bucket)> + 'a> {
        let told = self
            .stretches
            .iter()
            .find(|stretch| stretch.curve == *curve);
        let Some(told) = told.filter(|told| !told.values.is_empty()) else {
            return Box::new(series.filled());
        };
        let last = told.values.last().map_or(0, |(step, _)| *step);
        let close = told.values.iter().take_while(move |told| told.0 <= newest);
        let close = close.map(|(step, value)| {
            let mut bucket = Bucket::default();
            bucket.push(value.0);
            (*step, bucket)
        });
        let before = series.filled().take_while(|(step, _)| *step < told.from);
        let after = series.filled().skip_while(move |(step, _)| *step <= last);
        Box::new(before.chain(close).chain(after))
    }

    /// The image at a place of the filtered list.
    pub(super) fn image(&self, at: usize) -> Option<&ImageRow> {
        let (_, page) = self.images.as_ref()?;
        page.rows.get(at.checked_sub(page.from as usize)?)
    }

    /// What is known of the images that match: of a filter, as the last answer told it.
    pub(super) fn page(&self) -> Option<(Filter, &ImagePage)> {
        self.images.as_ref().map(|(filter, page)| (*filter, page))
    }

    /// Why there are no images.
    pub(super) fn no_images(&self) -> Option<&str> {
        self.no_images.as_deref()
    }

    /// Whether a question of this kind waits for its answer.
    pub(super) fn asks(&self, kind: fn(&Query) -> bool) -> bool {
        self.waiting.iter().any(|(_, query)| kind(query))
    }

    /// Whether a stretch of a curve is known about as closely as can be.
    pub(super) fn knows_stretch(&self, curve: &CurveId, (from, to): (u64, u64)) -> bool {
        self.stretches.iter().any(|known| {
            known.curve == *curve
                && known.from <= from
                && known.to >= to
                && to - from >= (known.to - known.from) / 4
        })
    }

    /// When the latest answer about images came, ms since 1970.
    pub(super) fn images_ms(&self) -> u64 {
        self.images_ms
    }

    /// Whether nobody answers.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nobody answers questions.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
    }

    /// Notes that this is asked; gives the number of the question.
    pub(super) fn ask(&mut self, query: &Query) -> u64 {
        self.next += 1;
        self.waiting.push((self.next, query.clone()));
        self.next
    }

    /// Takes an answer in.
    pub(super) fn take(&mut self, id: u64, reply: Reply, now_ms: u64) {
        let Some(at) = self.waiting.iter().position(|(known, _)| *known == id) else {
            return;
        };
        let (_, query) = self.waiting.remove(at);
        if matches!(query, Query::Images { .. }) {
            self.images_ms = now_ms;
        }
        match (query, reply) {
            (Query::Step { step }, Reply::Step(values)) => {
                self.step = Some((step, values.unwrap_or_default()));
            }
            (
                Query::Series {
                    curve, from, to, ..
                },
                Reply::Series(values),
            ) => {
                self.stretches.retain(|known| known.curve != curve);
                self.stretches.push(Stretch {
                    curve,
                    from,
                    to,
                    values,
                });
            }
            (Query::Images { filter, .. }, Reply::Images(page)) => {
                self.no_images = None;
                self.images = Some((filter, page));
            }
            (Query::Images { .. }, Reply::Unknown { reason }) => {
                self.images = None;
                self.no_images = Some(reason);
            }
            // What cannot be told is not asked for again and again.
            (Query::Step { step }, _) => self.step = Some((step, StepValues::default())),
            (
                Query::Series {
                    curve, from, to, ..
                },
                _,
            ) => self.stretches.push(Stretch {
                curve,
                from,
                to,
                values: Vec::new(),
            }),
            (Query::Images { .. }, _) => {
                let reason = "an answer that was not understood".to_owned();
                self.no_images = Some(reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Curve;

    #[test]
    fn what_is_told_closely_takes_the_place_of_what_was_known_roughly() {
        let mut series = Series::default();
        for step in 0..100_000 {
            series.push(step, 1.0);
        }
        let mut lookups = Lookups::default();
        lookups.stretches.push(Stretch {
            curve: Curve::TrainLoss.into(),
            from: 1000,
            to: 1003,
            values: (1000..=1003).map(|step| (step, F32(2.0))).collect(),
        });
        let points: Vec<(u64, Bucket)> = lookups
            .points(&Curve::TrainLoss.into(), &series, u64::MAX)
            .collect();
        assert!(points.is_sorted_by_key(|(step, _)| *step));
        let close = points.iter().filter(|(_, bucket)| bucket.max == 2.0);
        assert_eq!(close.count(), 4);
    }
}
