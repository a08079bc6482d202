//! Queries to the session, and their answers: data that the screen shows and the bounded state of the run lacks.

use crate::event::F32;
use crate::link::{Filter, ImagePage, ImageRow, Query, Reply, StepValues};
use crate::run::{Bucket, CurveId, Series};

/// A range of a curve at the resolution of a zoomed chart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CurveRange {
    curve: CurveId,
    /// First and last step that was requested.
    from: u64,
    to: u64,
    /// Steps and values; empty if the query was not answered.
    values: Vec<(u64, F32)>,
}

/// Pending queries, and the latest answer of each kind.
#[derive(Debug, Clone, Default)]
pub struct Lookups {
    /// Id of the last query.
    next: u64,
    /// Pending queries with their ids.
    waiting: Vec<(u64, Query)>,
    /// The values of the step that was queried last.
    step: Option<(u64, StepValues)>,
    /// At most one range per curve.
    ranges: Vec<CurveRange>,
    /// The page of images that was queried last, and its filter.
    images: Option<(Filter, ImagePage)>,
    /// Why no images are available.
    no_images: Option<String>,
    /// When the latest answer to an image query arrived, ms since 1970.
    images_ms: u64,
    /// Whether queries are no longer answered.
    closed: bool,
}

impl Lookups {
    /// The values of a step, if they are known.
    pub(super) fn step(&self, step: u64) -> Option<&StepValues> {
        let known = self.step.as_ref().filter(|(asked, _)| *asked == step);
        known.map(|(_, values)| values)
    }

    /// The points of a curve at the best known resolution: the queried range, and the state of the run before and after
    /// it. Queried points after step `newest` are omitted, as a replay has not reached them.
    pub(super) fn points<'a>(
        &'a self,
        curve: &CurveId,
        series: &'a Series,
        newest: u64,
    ) -> Box<dyn Iterator<Item = (u64, Bucket)> + 'a> {
        let range = self.ranges.iter().find(|range| range.curve == *curve);
        let Some(range) = range.filter(|range| !range.values.is_empty()) else {
            return Box::new(series.filled());
        };
        let last = range.values.last().map_or(0, |(step, _)| *step);
        let fine = range
            .values
            .iter()
            .take_while(move |(step, _)| *step <= newest);
        let fine = fine.map(|(step, value)| {
            let mut bucket = Bucket::default();
            bucket.push(value.0);
            (*step, bucket)
        });
        let before = series.filled().take_while(|(step, _)| *step < range.from);
        let after = series.filled().skip_while(move |(step, _)| *step <= last);
        Box::new(before.chain(fine).chain(after))
    }

    /// The image at this index of the filtered list.
    pub(super) fn image(&self, at: usize) -> Option<&ImageRow> {
        let (_, page) = self.images.as_ref()?;
        page.rows.get(at.checked_sub(page.from as usize)?)
    }

    /// The last page of images, and its filter.
    pub(super) fn page(&self) -> Option<(Filter, &ImagePage)> {
        self.images.as_ref().map(|(filter, page)| (*filter, page))
    }

    /// Why no images are available.
    pub(super) fn no_images(&self) -> Option<&str> {
        self.no_images.as_deref()
    }

    /// Whether a query of this kind is pending.
    pub(super) fn is_pending(&self, kind: fn(&Query) -> bool) -> bool {
        self.waiting.iter().any(|(_, query)| kind(query))
    }

    /// Whether a known range covers these steps at a sufficient resolution: it is at most four times as long.
    pub(super) fn has_range(&self, curve: &CurveId, (from, to): (u64, u64)) -> bool {
        self.ranges.iter().any(|known| {
            known.curve == *curve
                && known.from <= from
                && known.to >= to
                && to - from >= (known.to - known.from) / 4
        })
    }

    /// The next image query does not wait for the retry interval.
    pub(super) fn retry_images(&mut self) {
        self.images_ms = 0;
    }

    /// When the latest answer to an image query arrived, ms since 1970.
    pub(super) fn images_ms(&self) -> u64 {
        self.images_ms
    }

    /// Whether queries are no longer answered.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Discards all pending queries: they are no longer answered.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
        let reason = "the run's files cannot be read here";
        self.no_images.get_or_insert_with(|| reason.to_owned());
    }

    /// Adds a pending query. Returns its id.
    pub(super) fn add_query(&mut self, query: &Query) -> u64 {
        self.next += 1;
        self.waiting.push((self.next, query.clone()));
        self.next
    }

    /// Stores an answer. Answers to unknown ids are ignored.
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
                self.ranges.retain(|known| known.curve != curve);
                self.ranges.push(CurveRange {
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
            // A failed query is stored as an empty answer, so that it is not repeated.
            (Query::Step { step }, _) => self.step = Some((step, StepValues::default())),
            (
                Query::Series {
                    curve, from, to, ..
                },
                _,
            ) => self.ranges.push(CurveRange {
                curve,
                from,
                to,
                values: Vec::new(),
            }),
            (Query::Images { .. }, _) => {
                let reason = "unexpected answer from the session".to_owned();
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
    fn queried_points_replace_coarse_points() {
        let mut series = Series::default();
        for step in 0..100_000 {
            series.push(step, 1.0);
        }
        let mut lookups = Lookups::default();
        lookups.ranges.push(CurveRange {
            curve: Curve::TrainLoss.into(),
            from: 1000,
            to: 1003,
            values: (1000..=1003).map(|step| (step, F32(2.0))).collect(),
        });
        let points: Vec<(u64, Bucket)> = lookups
            .points(&Curve::TrainLoss.into(), &series, u64::MAX)
            .collect();
        assert!(points.is_sorted_by_key(|(step, _)| *step));
        let fine = points.iter().filter(|(_, bucket)| bucket.max == 2.0);
        assert_eq!(fine.count(), 4);
    }
}
