//! Differences between two configurations, and which of them are allowed when a run is resumed.

use toml::{Table, Value};

use super::Config;

/// Keys that determine the weights, the data, the order of steps or the choice of the best epoch, so a resumed run cannot
/// change them. An entry that ends in a dot stands for a complete section.
const FIXED: [&str; 19] = [
    "data.name",
    "data.source",
    "data.order",
    "data.size",
    "data.pack_size",
    "data.resize",
    "data.channels",
    "data.normalize",
    "data.sampling",
    "data.train_limit",
    "data.valid",
    "model.",
    "train.batch_size",
    "train.accumulate",
    "train.class_weights",
    "train.seed",
    "train.ema",
    "train.best",
    "optim.name",
];

/// A key that has different values in two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The dotted key.
    pub key: String,
    /// The old value as TOML.
    pub from: String,
    /// The new value as TOML.
    pub to: String,
}

impl Change {
    /// Whether a resumed run refuses this change.
    pub fn is_refused(&self) -> bool {
        FIXED
            .iter()
            .any(|fixed| self.key == *fixed || fixed.ends_with('.') && self.key.starts_with(fixed))
            || self.switches_crops()
    }

    /// Whether random crops are switched on or off. By default that changes the size at which images are packed, and with it
    /// the data of the run.
    fn switches_crops(&self) -> bool {
        let is_off = |value: &str| value.parse::<f64>().is_ok_and(|share| share == 0.0);
        self.key == "data.augment.crop" && is_off(&self.from) != is_off(&self.to)
    }
}

impl Config {
    /// The keys of the run's sections whose values differ in `other`.
    pub fn changes(&self, other: &Self) -> Vec<Change> {
        let read = |config: &Self| config.run_toml().parse::<Table>().unwrap_or_default();
        let (old, new) = (read(self), read(other));
        let mut changes = Vec::new();
        compare("", &Value::Table(old), &Value::Table(new), &mut changes);
        // Without a name in `other` it has the old one, such as "fashion-mnist", which was the default.
        changes.retain(|change| change.key != "data.name" || !other.data.name.is_empty());
        changes
    }
}

fn compare(key: &str, old: &Value, new: &Value, changes: &mut Vec<Change>) {
    match (old, new) {
        (Value::Table(olds), Value::Table(news)) => {
            for (name, old) in olds {
                let key = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                if let Some(new) = news.get(name) {
                    compare(&key, old, new, changes);
                }
            }
        }
        _ if old == new => {}
        _ => changes.push(Change {
            key: key.to_owned(),
            from: old.to_string(),
            to: new.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_listed_and_changes_of_fixed_keys_are_refused() {
        let mut old = Config::default();
        let mut new = old.clone();
        new.train.epochs = 7;
        new.train.best = super::super::BestBy::Nll;
        new.optim.lr = 0.5;
        new.model.first_kernel = 3;
        new.data.augment.flip = !old.data.augment.flip;
        new.ui.fps = 3;
        let changes = old.changes(&new);
        let found: Vec<(&str, bool)> = changes
            .iter()
            .map(|change| (change.key.as_str(), change.is_refused()))
            .collect();
        assert_eq!(
            found,
            [
                ("data.augment.flip", false),
                ("model.first_kernel", true),
                ("optim.lr", false),
                ("train.best", true),
                ("train.epochs", false),
            ]
        );
        assert_eq!(changes[2].to, "0.5");
        let crops = |from: f64, to: f64| {
            let with = |crop| {
                let mut config = Config::default();
                config.data.augment.crop = crop;
                config
            };
            let changes = with(from).changes(&with(to));
            changes.iter().any(Change::is_refused)
        };
        assert!(crops(0.0, 0.3) && crops(0.3, 0.0) && !crops(0.3, 0.5));
        assert_eq!(old.changes(&old), []);
        old.data.name = "fashion-mnist".to_owned();
        assert_eq!(old.changes(&Config::default()), [], "the earlier default");
    }
}
