//! "Did you mean": the known key or section that an unknown one was probably meant to be.

use toml::{Table, Value};

use super::layer::dotted;

/// Names that other programs use for ours and that no spelling distance would find.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("learning_rate", "optim.lr"),
    ("wd", "optim.weight_decay"),
    ("grad_clip", "optim.clip_norm"),
    ("max_grad_norm", "optim.clip_norm"),
    ("warmup", "optim.warmup_epochs"),
    ("workers", "train.threads"),
];

/// Similar enough to be meant, by Jaro and Winkler's measure, which forgives endings more than beginnings.
const ALIKE: f64 = 0.82;

/// What to say about a key that does not exist.
pub(super) fn unknown_key(path: &[String], defaults: &Table) -> String {
    let mut keys = Vec::new();
    leaves(&mut Vec::new(), defaults, &mut keys);
    let found = meant(path, &keys);
    if !found.is_empty() {
        return format!("unknown key, did you mean {}?", listed(&found));
    }
    let section = path.split_last().map_or(&[][..], |(_, section)| section);
    let here: Vec<&str> = keys
        .iter()
        .filter(|key| key.split_last().is_some_and(|(_, above)| above == section))
        .filter_map(|key| Some(key.last()?.as_str()))
        .collect();
    if here.is_empty() || section.is_empty() {
        return "unknown key".to_owned();
    }
    format!("unknown key, [{}] has {}", dotted(section), here.join(", "))
}

/// What to say about a section that does not exist.
pub(super) fn unknown_section(path: &[String], defaults: &Table) -> String {
    let mut sections = Vec::new();
    tables(&mut Vec::new(), defaults, &mut sections);
    let written = dotted(path);
    match nearest(
        &written,
        sections
            .iter()
            .map(|known| (known.as_str(), known.as_str())),
    ) {
        Some(section) => format!("unknown section, did you mean `[{section}]`?"),
        None => format!("unknown section, there are {}", sections.join(", ")),
    }
}

/// The nearest of a few names, if one is near.
pub(super) fn name<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    nearest(written, known.map(|name| (name, name)))
}

fn meant(path: &[String], keys: &[Vec<String>]) -> Vec<String> {
    let Some((last, section)) = path.split_last() else {
        return Vec::new();
    };
    // Quotes around the whole: "optim.lr" = 1 is one key with a dot in it.
    if let Some(key) = keys.iter().find(|key| *last == key.join(".")) {
        return vec![dotted(key)];
    }
    // The right name in the wrong section.
    let same: Vec<_> = keys
        .iter()
        .filter(|key| key.last() == Some(last))
        .map(|key| dotted(key))
        .collect();
    if !same.is_empty() {
        return same;
    }
    if let Some((_, ours)) = OTHER_NAMES.iter().find(|(other, _)| other == last) {
        return vec![(*ours).to_owned()];
    }
    let named = |key: &Vec<String>| Some((key.last()?.clone(), dotted(key)));
    let within: Vec<_> = keys
        .iter()
        .filter(|key| key.starts_with(section) && !section.is_empty())
        .filter_map(named)
        .collect();
    let anywhere: Vec<_> = keys.iter().filter_map(named).collect();
    let near = |candidates: &[(String, String)]| {
        nearest(
            last,
            candidates
                .iter()
                .map(|(name, key)| (name.as_str(), key.as_str())),
        )
        .map(str::to_owned)
    };
    near(&within)
        .or_else(|| near(&anywhere))
        .into_iter()
        .collect()
}

/// Of (name, answer) pairs the answer whose name is most like the one written.
fn nearest<'a>(
    written: &str,
    candidates: impl Iterator<Item = (&'a str, &'a str)>,
) -> Option<&'a str> {
    candidates
        .map(|(name, answer)| (strsim::jaro_winkler(written, name), answer))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, answer)| answer)
}

fn leaves(above: &mut Vec<String>, table: &Table, keys: &mut Vec<Vec<String>>) {
    for (name, value) in table {
        above.push(name.clone());
        match value {
            Value::Table(inner) => leaves(above, inner, keys),
            _ => keys.push(above.clone()),
        }
        above.pop();
    }
}

fn tables(above: &mut Vec<String>, table: &Table, sections: &mut Vec<String>) {
    for (name, value) in table {
        if let Value::Table(inner) = value {
            above.push(name.clone());
            sections.push(dotted(above));
            tables(above, inner, sections);
            above.pop();
        }
    }
}

fn listed(keys: &[String]) -> String {
    let quoted: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    match quoted.as_slice() {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::config::Config;

    fn said(key: &str) -> String {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        unknown_key(&path, &Table::try_from(Config::default()).unwrap())
    }

    #[test]
    fn a_slip_of_the_finger() {
        assert_eq!(said("optim.lrr"), "unknown key, did you mean `optim.lr`?");
        assert_eq!(
            said("optim.wieght_decay"),
            "unknown key, did you mean `optim.weight_decay`?"
        );
        assert_eq!(
            said("data.augment.flipp"),
            "unknown key, did you mean `data.augment.flip`?"
        );
    }

    #[test]
    fn the_right_name_in_the_wrong_place() {
        assert_eq!(said("train.lr"), "unknown key, did you mean `optim.lr`?");
        assert_eq!(
            said("batch_size"),
            "unknown key, did you mean `eval.batch_size` or `train.batch_size`?"
        );
        assert_eq!(
            said("data.flip"),
            "unknown key, did you mean `data.augment.flip`?"
        );
    }

    #[test]
    fn what_other_programs_call_it() {
        assert_eq!(
            said("train.learning_rate"),
            "unknown key, did you mean `optim.lr`?"
        );
    }

    #[test]
    fn far_from_everything_lists_the_section() {
        assert_eq!(
            said("checkpoint.zzz"),
            "unknown key, [checkpoint] has every_epochs, every_minutes, every_steps, keep, on_signal"
        );
        assert_eq!(said("zzz"), "unknown key");
    }
}
