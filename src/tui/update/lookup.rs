//! Queries to the session. They are derived from the state: the visible panels determine which data is missing.

use crate::link::Query;
use crate::run::CurveId;
use crate::tui::app::App;
use crate::tui::page::Pane;
use crate::tui::view::ctx::Need;
use crate::tui::view::{images, panel};

/// Interval between image queries while the answer is not of the latest evaluation, ms: an evaluation is reported
/// before its files have been written.
const RETRY_MS: u64 = 2000;
/// Maximum number of points requested for a range of a curve.
const POINTS: u32 = 4096;

/// Queries, with ids, for the data that the visible panels lack. At most one query of each kind is pending at a time.
pub(super) fn missing_data(app: &mut App) -> Vec<(u64, Query)> {
    if app.lookups.is_closed() {
        return Vec::new();
    }
    let visible = app.layout.visible().into_iter();
    let needs: Vec<Need> = visible.map(|pane| panel(pane).needs).collect();
    let curves = needs.iter().flat_map(|need| match need {
        Need::Curves(curves) => curves(app),
        Need::Images | Need::Nothing => Vec::new(),
    });
    let mut curves = curves.filter_map(|curve| curve_range(app, curve));
    let images = needs.iter().any(|need| matches!(need, Need::Images));
    let images = images.then(|| test_images(app)).flatten();
    let wanted = [step(app), curves.next(), images];
    let add = |query: Query| (app.lookups.add_query(&query), query);
    wanted.into_iter().flatten().map(add).collect()
}

fn step(app: &App) -> Option<Query> {
    let step = (app.ui.charts.cursor).filter(|step| *step <= app.run.global_step)?;
    let recent = app.run.recent.iter().any(|sample| sample.step == step);
    let exact = recent && app.run.curves.named().next().is_none();
    let known = app.lookups.step(step).is_some();
    let waiting = app
        .lookups
        .is_pending(|query| matches!(query, Query::Step { .. }));
    (!exact && !known && !waiting).then_some(Query::Step { step })
}

/// A query for the zoomed range of a curve, if the state of the run only has it downsampled.
fn curve_range(app: &App, curve: CurveId) -> Option<Query> {
    let (from, to) = app.ui.charts.window?;
    let waiting = app
        .lookups
        .is_pending(|query| matches!(query, Query::Series { .. }));
    let known = app.lookups.has_range(&curve, (from, to));
    let coarse = app.run.curves.of(&curve).stride() > 1;
    (!waiting && !known && coarse).then_some(Query::Series {
        curve,
        from,
        to,
        points: POINTS,
    })
}

fn test_images(app: &App) -> Option<Query> {
    if app
        .lookups
        .is_pending(|query| matches!(query, Query::Images { .. }))
    {
        return None;
    }
    // The answer would come from a later evaluation than the replay shows.
    if !app.test_predictions_available() {
        return None;
    }
    let filter = app.ui.panels.images.filter;
    let (from, count) = images::window(app);
    let lookups = &app.lookups;
    let latest = app
        .run
        .test
        .latest
        .as_ref()
        .map(|report| report.global_step);
    let retry = app.ui.now_ms.abs_diff(lookups.images_ms()) >= RETRY_MS;
    if lookups.no_images().is_some() && !retry {
        return None;
    }
    if let Some((known, page)) = lookups.page()
        && known == filter
    {
        let (first, total) = (page.from as usize, page.total as usize);
        let last = first + page.rows.len();
        let wanted = (from + count).min(total);
        let at = app.ui.panels[Pane::Images];
        // An answer may have fewer rows than requested; the rest is requested when the selection reaches it.
        let loaded = from >= first && (wanted <= last || at < last && at >= first);
        let fresh = page.global_step == latest || !retry;
        if (loaded || from >= total) && fresh {
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
    use crate::link::{Filter, ImagePage, ImageRow, Reply, StepValues};
    use crate::run::Curve;
    use crate::tui::app::Settings;
    use crate::tui::msg::{Effect, Msg};
    use crate::tui::page::Page;
    use crate::tui::update::update;

    fn app() -> App {
        let mut app = App::new(Settings::default(), true);
        update(&mut app, Msg::Resize(120, 40));
        app
    }

    fn queries(effects: &[Effect]) -> Vec<(u64, Query)> {
        let queries = effects.iter().filter_map(|effect| match effect {
            Effect::Query(id, query) => Some((*id, query.clone())),
            _ => None,
        });
        queries.collect()
    }

    fn tick(app: &mut App, ms: u64) -> Vec<(u64, Query)> {
        queries(&update(app, Msg::Tick(ms)))
    }

    #[test]
    fn a_step_is_queried_once_and_its_values_are_stored() {
        let mut app = app();
        app.run.global_step = 5000;
        app.ui.charts.cursor = Some(1234);
        let queries = tick(&mut app, 1);
        let [(id, Query::Step { step: 1234 })] = queries[..] else {
            panic!("{queries:?}");
        };
        assert_eq!(tick(&mut app, 2), [], "one query at a time");
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
        update(&mut app, Msg::QueriesUnavailable);
        app.ui.charts.cursor = Some(98);
        assert_eq!(
            tick(&mut app, 5),
            [],
            "no queries once they are unavailable"
        );
    }

    #[test]
    fn missing_images_are_queried_again_after_the_retry_interval() {
        let mut app = app();
        app.ui.page = Page::Gallery;
        app.ui.focus = Pane::Images;
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
        assert_eq!(ask(&mut app, 9000), None, "known images are not queried");
        app.ui.panels.images.filter = Filter::Mistakes;
        assert!(ask(&mut app, 9001).is_some());
    }
}
