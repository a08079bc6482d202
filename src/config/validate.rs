//! The rules for valid values, checked on the merged configuration. Types and enumerations are already checked when the
//! sources are loaded. Rules that depend on the data or the machine are checked where those are known.

use super::{ClassWeights, Config, Normalize, Padding};
use crate::limits::{CHANNELS, MOST_GALLERY, SIZES};

/// All violated rules as (key, requirement). Empty if the configuration is valid.
pub fn validate(config: &Config) -> Vec<(&'static str, String)> {
    let mut rules = Rules::default();
    data(config, &mut rules);
    model(config, &mut rules);
    train(config, &mut rules);
    optim(config, &mut rules);
    eval_and_checkpoint(config, &mut rules);
    health(config, &mut rules);
    system(config, &mut rules);
    screen(config, &mut rules);
    rules.broken
}

#[derive(Default)]
struct Rules {
    broken: Vec<(&'static str, String)>,
}

impl Rules {
    fn must(&mut self, key: &'static str, holds: bool, rule: &str) {
        if !holds {
            self.broken.push((key, format!("must be {rule}")));
        }
    }

    fn within<T: Copy + PartialOrd + std::fmt::Display>(
        &mut self,
        key: &'static str,
        value: T,
        low: T,
        high: T,
    ) {
        let rule = format!("between {low} and {high}");
        self.must(key, low <= value && value <= high, &rule);
    }

    fn not_negative(&mut self, key: &'static str, value: f64) {
        self.finite(key, value, value >= 0.0, "0 or more");
    }

    fn positive(&mut self, key: &'static str, value: f64) {
        self.finite(key, value, value > 0.0, "greater than 0");
    }

    /// TOML has nan and inf, which are never valid here.
    fn finite(&mut self, key: &'static str, value: f64, holds: bool, rule: &str) {
        if value.is_finite() {
            self.must(key, holds, rule);
        } else {
            self.must(key, false, &format!("finite and {rule}"));
        }
    }

    fn below_one(&mut self, key: &'static str, value: f64) {
        self.must(
            key,
            (0.0..1.0).contains(&value),
            "at least 0 and less than 1",
        );
    }
}

fn data(config: &Config, rules: &mut Rules) {
    let data = &config.data;
    // The name is also the name of a subdirectory of the standard directories.
    let plain = !data.name.starts_with('.') && !data.name.contains(['/', '\\', '\0']);
    rules.must(
        "data.name",
        plain,
        "a name without slashes that does not start with a dot, or empty",
    );
    rules.must(
        "data.train_limit",
        data.train_limit != 1,
        "0 (all images) or at least 2",
    );
    let [least, most] = SIZES;
    rules.must(
        "data.size",
        data.size == 0 || (least..=most).contains(&data.size),
        &format!("0 or between {least} and {most}"),
    );
    rules.must(
        "data.pack_size",
        data.pack_size == 0
            || (least..=most).contains(&data.pack_size) && data.pack_size >= data.size,
        &format!("0 or between {least} and {most}, and at least data.size"),
    );
    rules.within("data.workers", data.workers, 0, 256);
    if let Normalize::Values(mean, std) = &data.normalize {
        let lengths = CHANNELS.map(|count| count as usize);
        let usable = lengths.contains(&mean.len())
            && mean.len() == std.len()
            && mean.iter().all(|mean| mean.is_finite())
            && std.iter().all(|std| std.is_finite() && *std > 0.0);
        rules.must(
            "data.normalize",
            usable,
            "[[mean, …], [std, …]] with one or three numbers each, and standard deviations greater than 0",
        );
    }
    let augment = &data.augment;
    rules.within("data.augment.shift", augment.shift, 0, 64);
    rules.within("data.augment.rotate", augment.rotate, 0.0, 180.0);
    rules.within("data.augment.scale", augment.scale, 0.0, 0.5);
    rules.within("data.augment.shear", augment.shear, 0.0, 45.0);
    rules.within("data.augment.erase", augment.erase, 0.0, 1.0);
    rules.within("data.augment.crop", augment.crop, 0.0, 1.0);
    rules.within("data.augment.brightness", augment.brightness, 0.0, 1.0);
    rules.within("data.augment.contrast", augment.contrast, 0.0, 1.0);
    rules.within("data.augment.saturation", augment.saturation, 0.0, 1.0);
    rules.within("data.augment.hue", augment.hue, 0.0, 0.5);
    let weighted = config.train.class_weights != ClassWeights::None && config.train.accumulate > 1;
    rules.must(
        "data.augment.mixup",
        !(weighted && augment.mixes()),
        "0, like cutmix, if train.class_weights is set and train.accumulate is more than 1",
    );
    rules.within("data.augment.mixup", augment.mixup, 0.0, 1.0);
    rules.within("data.augment.cutmix", augment.cutmix, 0.0, 1.0);
}

fn model(config: &Config, rules: &mut Rules) {
    let model = &config.model;
    let channels = (1..=8).contains(&model.channels.len())
        && model.channels.iter().all(|c| (1..=4096).contains(c));
    rules.must(
        "model.channels",
        channels,
        "1 to 8 numbers between 1 and 4096",
    );
    rules.within("model.first_kernel", model.first_kernel, 1, 11);
    let even = (1..=11).contains(&model.first_kernel) && model.first_kernel % 2 == 0;
    rules.must(
        "model.first_kernel",
        !(even && model.padding == Padding::Same),
        "odd with padding = \"same\", which keeps the image size",
    );
    rules.within("model.hidden", model.hidden, 0, 65_536);
    rules.below_one("model.dropout", model.dropout);
}

fn train(config: &Config, rules: &mut Rules) {
    if let ClassWeights::Values(values) = &config.train.class_weights {
        rules.must(
            "train.class_weights",
            values.iter().all(|value| value.is_finite() && *value > 0.0),
            "\"none\", \"balanced\" or a list of positive numbers",
        );
    }
    let train = &config.train;
    rules.must("train.epochs", train.epochs >= 1, "at least 1");
    rules.must(
        "train.batch_size",
        (2..=65_536).contains(&train.batch_size),
        "between 2 and 65536: batch norm needs at least two images",
    );
    rules.must(
        "train.accumulate",
        train.accumulate == 1
            || (train.accumulate > 1 && train.accumulate.saturating_mul(2) <= train.batch_size),
        "at least 1 and at most half of train.batch_size: batch norm needs at least two images in each part",
    );
    rules.below_one("train.ema", train.ema);
    rules.below_one("train.min_delta", train.min_delta);
    rules.not_negative("train.max_minutes", train.max_minutes);
    rules.must(
        "train.seed",
        i64::try_from(train.seed).is_ok(),
        "at most 9223372036854775807, the largest integer in TOML",
    );
    rules.must(
        "train.device",
        is_device(&train.device),
        "\"auto\", \"cpu\", \"cuda\" or \"cuda:N\" with N from 0 to 255",
    );
    rules.within("train.threads", train.threads, 0, 1024);
}

fn is_device(text: &str) -> bool {
    // `parse` alone would also accept "+1".
    let number = |n: &str| n.bytes().all(|b| b.is_ascii_digit()) && n.parse::<u8>().is_ok();
    matches!(text, "auto" | "cpu" | "cuda") || text.strip_prefix("cuda:").is_some_and(number)
}

fn optim(config: &Config, rules: &mut Rules) {
    let optim = &config.optim;
    rules.positive("optim.lr", optim.lr);
    rules.not_negative("optim.weight_decay", optim.weight_decay);
    rules.not_negative("optim.norm_lr_factor", optim.norm_lr_factor);
    rules.below_one("optim.momentum", optim.momentum);
    rules.positive("optim.step_epochs", optim.step_epochs);
    rules.within("optim.step_factor", optim.step_factor, 0.0, 1.0);
    rules.below_one("optim.beta1", optim.beta1);
    rules.below_one("optim.beta2", optim.beta2);
    rules.positive("optim.eps", optim.eps);
    rules.not_negative("optim.warmup_epochs", optim.warmup_epochs);
    rules.below_one("optim.label_smoothing", optim.label_smoothing);
    rules.not_negative("optim.clip_norm", optim.clip_norm);
}

fn eval_and_checkpoint(config: &Config, rules: &mut Rules) {
    rules.within("eval.batch_size", config.eval.batch_size, 1, 65_536);
    rules.within("eval.ece_bins", config.eval.ece_bins, 1, 1000);
    rules.must(
        "eval.bootstrap",
        config.eval.bootstrap == 0 || (100..=100_000).contains(&config.eval.bootstrap),
        "0 (no intervals) or between 100 and 100000",
    );
    rules.must(
        "eval.bootstrap",
        config.eval.bootstrap.saturating_mul(config.eval.ece_bins) <= 10_000_000,
        "at most 10000000 divided by eval.ece_bins: each resample stores one number per bin",
    );
    rules.within("eval.gallery", config.eval.gallery, 0, MOST_GALLERY);
    rules.not_negative("checkpoint.every_minutes", config.checkpoint.every_minutes);
    rules.must("checkpoint.keep", config.checkpoint.keep >= 1, "at least 1");
    rules.not_negative("checkpoint.wait_minutes", config.checkpoint.wait_minutes);
}

fn health(config: &Config, rules: &mut Rules) {
    let health = &config.health;
    rules.must("health.in_a_row", health.in_a_row >= 1, "at least 1");
    rules.not_negative("health.spike", health.spike);
    rules.below_one("health.dead", health.dead);
}

fn system(config: &Config, rules: &mut Rules) {
    let every = config.system.every_seconds;
    rules.must(
        "system.every_seconds",
        every == 0.0 || (0.1..=86_400.0).contains(&every),
        "0 (never) or between 0.1 and 86400",
    );
}

fn screen(config: &Config, rules: &mut Rules) {
    rules.must(
        "runs.dir",
        !config.runs.dir.is_empty(),
        "a directory; use \".\" for the current one",
    );
    rules.must(
        "ui.theme",
        !config.ui.theme.is_empty(),
        "the name of a theme",
    );
    rules.within("ui.fps", config.ui.fps, 1, 60);
    rules.must(
        "notify.command",
        !config.notify.command.contains('\0'),
        "a command without the character 0, which command lines cannot contain",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(validate(&Config::default()), []);
    }

    #[test]
    fn resamples_times_bins_fit_into_memory() {
        let mut config = Config::default();
        (config.eval.bootstrap, config.eval.ece_bins) = (100_000, 100);
        assert_eq!(validate(&config), []);
        config.eval.ece_bins = 101;
        let broken = validate(&config);
        assert!(
            matches!(broken.as_slice(), [("eval.bootstrap", rule)] if rule.contains("divided by eval.ece_bins")),
            "{broken:?}"
        );
    }

    #[test]
    fn devices() {
        for good in ["auto", "cpu", "cuda", "cuda:0", "cuda:15"] {
            assert!(is_device(good), "{good}");
        }
        for bad in [
            "", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:+1", "cuda: 1", "cuda:x", "cuda:256",
        ] {
            assert!(!is_device(bad), "{bad}");
        }
    }

    #[test]
    fn non_finite_numbers_are_invalid() {
        let mut config = Config::default();
        let optim = &mut config.optim;
        for value in [
            &mut optim.lr,
            &mut optim.weight_decay,
            &mut optim.beta1,
            &mut optim.beta2,
            &mut optim.eps,
        ] {
            *value = f64::NAN;
        }
        for value in [
            &mut optim.warmup_epochs,
            &mut optim.label_smoothing,
            &mut optim.clip_norm,
        ] {
            *value = f64::INFINITY;
        }
        assert_eq!(validate(&config).len(), 8);
    }

    #[test]
    fn an_even_kernel_requires_padding_0() {
        let mut config = Config::default();
        config.model.first_kernel = 4;
        assert_eq!(validate(&config).len(), 1);
        config.model.padding = Padding::Valid;
        assert_eq!(validate(&config), []);
        config.model.first_kernel = 12;
        assert_eq!(validate(&config).len(), 1);
    }
}
