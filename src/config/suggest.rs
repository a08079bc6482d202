//! "Did you mean": suggests the known key or section that an unknown one was probably meant to be.

use toml::{Table, Value};

use super::layer::dotted;

/// Names of our keys in other programs that are too different in spelling to be found by similarity.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("learning_rate", "optim.lr"),
    ("wd", "optim.weight_decay"),
    ("grad_clip", "optim.clip_norm"),
    ("max_grad_norm", "optim.clip_norm"),
    ("warmup", "optim.warmup_epochs"),
    ("workers", "data.workers"),
];

/// Smallest Jaro-Winkler similarity of a suggestion. This measure penalises differences at the start of a name more
/// than at its end.
const MIN_SIMILARITY: f64 = 0.82;

/// The message for a key that does not exist.
pub(super) fn unknown_key(path: &[String], defaults: &Table) -> String {
    let mut keys = Vec::new();
    leaves(&mut Vec::new(), defaults, &mut keys);
    let found = suggestions(path, &keys);
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
    format!(
        "unknown key, the keys of [{}] are {}",
        dotted(section),
        here.join(", ")
    )
}

/// The message for a section that does not exist.
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
        None => format!("unknown section, the sections are {}", sections.join(", ")),
    }
}

/// The most similar of the known names, if one is similar enough.
pub(super) fn name<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    nearest(written, known.map(|name| (name, name)))
}

/// The known keys that were probably meant, dotted; empty if there is no similar key.
fn suggestions(path: &[String], keys: &[Vec<String>]) -> Vec<String> {
    let Some((last, section)) = path.split_last() else {
        return Vec::new();
    };
    // Quotes around the complete key: "optim.lr" = 1 is a single segment that contains a dot.
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

/// Given (name, answer) pairs, the answer whose name is most similar to the one written, if it is similar enough.
fn nearest<'a>(
    written: &str,
    candidates: impl Iterator<Item = (&'a str, &'a str)>,
) -> Option<&'a str> {
    candidates
        .map(|(name, answer)| (strsim::jaro_winkler(written, name), answer))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
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

    fn message(key: &str) -> String {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        unknown_key(&path, &Table::try_from(Config::default()).unwrap())
    }

    #[test]
    fn typing_errors_suggest_the_key() {
        assert_eq!(
            message("optim.lrr"),
            "unknown key, did you mean `optim.lr`?"
        );
        assert_eq!(
            message("optim.wieght_decay"),
            "unknown key, did you mean `optim.weight_decay`?"
        );
        assert_eq!(
            message("data.augment.flipp"),
            "unknown key, did you mean `data.augment.flip`?"
        );
    }

    #[test]
    fn a_key_in_the_wrong_section_suggests_the_right_one() {
        assert_eq!(message("train.lr"), "unknown key, did you mean `optim.lr`?");
        assert_eq!(
            message("batch_size"),
            "unknown key, did you mean `eval.batch_size` or `train.batch_size`?"
        );
        assert_eq!(
            message("data.flip"),
            "unknown key, did you mean `data.augment.flip`?"
        );
    }

    #[test]
    fn names_from_other_programs_suggest_ours() {
        assert_eq!(
            message("train.learning_rate"),
            "unknown key, did you mean `optim.lr`?"
        );
    }

    #[test]
    fn a_key_without_a_similar_one_lists_the_section() {
        assert_eq!(
            message("checkpoint.zzz"),
            "unknown key, the keys of [checkpoint] are every_epochs, every_minutes, every_steps, fallback_dir, keep, on_signal, wait_minutes"
        );
        assert_eq!(message("zzz"), "unknown key");
    }
}
