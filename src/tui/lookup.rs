//! What the run's state cannot answer and the screen wants to show: asked of the session, and kept until it changes.
//!
//! Nobody calls for an answer: [`questions`] looks at what is on the screen and says what is missing for it.

use crate::event::F32;
use crate::link::{Filter, ImagePage, ImageRow, Query, Reply, StepValues};
use crate::run::{Bucket, CurveId, Series};

use super::app::App;
use super::page::Page;
use super::view::{self, images};

/// How long an answer about images is taken for good that does not tell of the latest evaluation: its files are written after
/// it is told. In ms.
const AGAIN_MS: u64 = 2000;
/// Values asked for of a stretch of a curve.
const POINTS: u32 = 4096;

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

    fn asks(&self, kind: fn(&Query) -> bool) -> bool {
        self.waiting.iter().any(|(_, query)| kind(query))
    }
}

/// Takes an answer in.
pub(super) fn take(app: &mut App, id: u64, reply: Reply) {
    let now_ms = app.ui.now_ms;
    let lookups = &mut app.lookups;
    let Some(at) = lookups.waiting.iter().position(|(known, _)| *known == id) else {
        return;
    };
    let (_, query) = lookups.waiting.remove(at);
    if matches!(query, Query::Images { .. }) {
        lookups.images_ms = now_ms;
    }
    match (query, reply) {
        (Query::Step { step }, Reply::Step(values)) => {
            lookups.step = Some((step, values.unwrap_or_default()));
        }
        (
            Query::Series {
                curve, from, to, ..
            },
            Reply::Series(values),
        ) => {
            lookups.stretches.retain(|known| known.curve != curve);
            lookups.stretches.push(Stretch {
                curve,
                from,
                to,
                values,
            });
        }
        (Query::Images { filter, .. }, Reply::Images(page)) => {
            lookups.no_images = None;
            lookups.images = Some((filter, page));
        }
        (Query::Images { .. }, Reply::Unknown { reason }) => {
            lookups.images = None;
            lookups.no_images = Some(reason);
        }
        // What cannot be told is not asked for again and again.
        (Query::Step { step }, _) => lookups.step = Some((step, StepValues::default())),
        (
            Query::Series {
                curve, from, to, ..
            },
            _,
        ) => lookups.stretches.push(Stretch {
            curve,
            from,
            to,
            values: Vec::new(),
        }),
        (Query::Images { .. }, _) => {
            let reason = "an answer that was not understood".to_owned();
            lookups.no_images = Some(reason);
        }
    }
}

/// Nobody answers questions.
pub(super) fn close(app: &mut App) {
    app.lookups.closed = true;
    app.lookups.waiting.clear();
}

/// What is missing for what is on the screen; one question of a kind at a time.
pub(super) fn questions(app: &mut App) -> Vec<(u64, Query)> {
    if app.lookups.closed {
        return Vec::new();
    }
    let wanted = [step(app), stretch(app), images_wanted(app)];
    let mut asked = Vec::new();
    for query in wanted.into_iter().flatten() {
        app.lookups.next += 1;
        let id = app.lookups.next;
        app.lookups.waiting.push((id, query.clone()));
        asked.push((id, query));
    }
    asked
}

fn step(app: &App) -> Option<Query> {
    let step = (app.ui.charts.cursor).filter(|step| *step <= app.run.global_step)?;
    let recent = app.run.recent.iter().any(|sample| sample.step == step);
    let exact = recent && app.run.curves.named().next().is_none();
    let known = app.lookups.step(step).is_some();
    let waiting = app
        .lookups
        .asks(|query| matches!(query, Query::Step { .. }));
    (!exact && !known && !waiting).then_some(Query::Step { step })
}

/// Curves whose buckets are wider than the columns they are drawn in.
fn stretch(app: &App) -> Option<Query> {
    let (from, to) = app.ui.charts.window?;
    if app
        .lookups
        .asks(|query| matches!(query, Query::Series { .. }))
    {
        return None;
    }
    let coarse = |curve: &CurveId| {
        let told = app.lookups.stretches.iter().any(|told| {
            told.curve == *curve
                && told.from <= from
                && told.to >= to
                && to - from >= (told.to - told.from) / 4
        });
        app.run.curves.of(curve).stride() > 1 && !told
    };
    let curve = view::curves(app).into_iter().find(coarse)?;
    Some(Query::Series {
        curve,
        from,
        to,
        points: POINTS,
    })
}

fn images_wanted(app: &App) -> Option<Query> {
    if app.ui.page != Page::Gallery
        || app
            .lookups
            .asks(|query| matches!(query, Query::Images { .. }))
    {
        return None;
    }
    // The answer would be of a later look at them than the replay shows.
    if !app.knows_the_test() {
        return None;
    }
    let filter = app.ui.images.filter;
    let (from, count) = images::window(app);
    let lookups = &app.lookups;
    let latest = app
        .run
        .test
        .latest
        .as_ref()
        .map(|report| report.global_step);
    let again = app.ui.now_ms.saturating_sub(lookups.images_ms) >= AGAIN_MS;
    if lookups.no_images.is_some() && !again {
        return None;
    }
    if let Some((known, page)) = &lookups.images
        && *known == filter
    {
        let (first, total) = (page.from as usize, page.total as usize);
        let last = first + page.rows.len();
        let wanted = (from + count).min(total);
        let at = app.ui.images.at;
        // Fewer rows than asked for may come; then the rest is asked for when it is reached.
        let there = from >= first && (wanted <= last || at < last && at >= first);
        let fresh = page.global_step == latest || !again;
        if (there || from >= total) && fresh {
            return None;
        }
    }
    Some(Query::Images {
        from: from as u32,
        count: count as u32,
        filter,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{F64, Split};
    use crate::run::Curve;
    use crate::tui::app::Settings;
    use crate::tui::page::Pane;
    use crate::tui::update::{Effect, Msg, update};

    fn app() -> App {
        let mut app = App::new(Settings::default(), true);
        update(&mut app, Msg::Resize(120, 40));
        app
    }

    fn asked(effects: &[Effect]) -> Vec<(u64, Query)> {
        let queries = effects.iter().filter_map(|effect| match effect {
            Effect::Query(id, query) => Some((*id, query.clone())),
            _ => None,
        });
        queries.collect()
    }

    fn tick(app: &mut App, ms: u64) -> Vec<(u64, Query)> {
        asked(&update(app, Msg::Tick(ms)))
    }

    #[test]
    fn a_step_is_asked_for_once_and_read_out_when_it_is_told() {
        let mut app = app();
        app.run.global_step = 5000;
        app.ui.charts.cursor = Some(1234);
        let questions = tick(&mut app, 1);
        let [(id, Query::Step { step: 1234 })] = questions[..] else {
            panic!("{questions:?}");
        };
        assert_eq!(tick(&mut app, 2), [], "one at a time");
        let values = StepValues {
            step: 1234,
            values: vec![(Curve::TrainLoss.into(), F64(0.5))],
            ..StepValues::default()
        };
        update(&mut app, Msg::Reply(id, Reply::Step(Some(values.clone()))));
        assert_eq!(app.lookups.step(1234), Some(&values));
        assert_eq!(tick(&mut app, 3), []);
        app.ui.charts.cursor = Some(99);
        assert_eq!(tick(&mut app, 4).len(), 1);
        update(&mut app, Msg::Unanswered);
        app.ui.charts.cursor = Some(98);
        assert_eq!(
            tick(&mut app, 5),
            [],
            "where nobody answers nobody is asked"
        );
    }

    #[test]
    fn images_that_are_not_there_yet_are_asked_for_again_after_a_while() {
        let mut app = app();
        app.ui.page = Page::Gallery;
        app.ui.focus = Pane::Gallery;
        let ask = |app: &mut App, ms| tick(app, ms).first().map(|(id, _)| *id);
        let id = ask(&mut app, 1000).unwrap_or_default();
        let reason = "not yet".to_owned();
        update(&mut app, Msg::Reply(id, Reply::Unknown { reason }));
        assert_eq!(app.lookups.no_images(), Some("not yet"));
        assert_eq!(ask(&mut app, 2000), None);
        let id = ask(&mut app, 3500).unwrap_or_default();
        let page = ImagePage {
            total: 1,
            from: 0,
            global_step: None,
            split: Split::Test,
            rows: vec![ImageRow::default()],
        };
        update(&mut app, Msg::Reply(id, Reply::Images(page)));
        assert!(app.lookups.image(0).is_some() && app.lookups.no_images().is_none());
        assert_eq!(ask(&mut app, 9000), None, "what is known is not asked for");
        app.ui.images.filter = Filter::Mistakes;
        assert!(ask(&mut app, 9001).is_some());
    }

    #[test]
    fn what_is_told_closely_takes_the_place_of_what_was_known_roughly() {
        let mut series = Series::default();
        for step in 0..100_000 {
            series.push(step, 1.0);
        }
        let mut app = app();
        app.lookups.stretches.push(Stretch {
            curve: Curve::TrainLoss.into(),
            from: 1000,
            to: 1003,
            values: (1000..=1003).map(|step| (step, F32(2.0))).collect(),
        });
        let points: Vec<(u64, Bucket)> = app
            .lookups
            .points(&Curve::TrainLoss.into(), &series, u64::MAX)
            .collect();
        assert!(points.is_sorted_by_key(|(step, _)| *step));
        let close = points.iter().filter(|(_, bucket)| bucket.max == 2.0);
        assert_eq!(close.count(), 4);
    }
}
