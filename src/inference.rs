//! Inference with a network from a checkpoint, without training or gradients.
//!
//! `epochtop eval` evaluates it on the dataset of its run. `epochtop predict` classifies any image file, which `image`
//! converts to the input format of the network.

mod image;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{MemfdFlags, memfd_create};
use tch::{CModule, Device, Kind, Tensor};

use crate::checkpoint::{State, decode, verify_bytes};
use crate::data::{Dataset, Images, Loader};
use crate::event::{DatasetInfo, Split};
use crate::files;
use crate::limits::{check_classes, check_image};
use crate::model::{Network, Plan, Weights, to_vec};
use crate::report::Predictions;

pub use image::{InputFormat, InputImage, read_image};

/// A network loaded from a checkpoint.
#[derive(Debug)]
pub struct LoadedNetwork {
    network: Network,
    weights: Weights,
    device: Device,
    /// Channels, height and width of an image.
    image: (i64, i64, i64),
}

impl LoadedNetwork {
    /// Builds the network of a configuration and loads the weights of a checkpoint.
    ///
    /// # Errors
    /// If the file is missing or damaged, or its weights do not fit the network; the message names the file.
    pub fn load(
        checkpoint: &Path,
        config: &crate::config::ModelConfig,
        dataset: &DatasetInfo,
        device: Device,
    ) -> Result<Self, String> {
        let plan = Plan::of(config, dataset)?;
        let path = checkpoint.join("model.safetensors");
        let bytes = files::read(&path, plan.file_limit()).map_err(|error| error.to_string())?;
        let wrong = |what: String| format!("{}: {what}", path.display());
        let tensors =
            decode(&bytes).map_err(|what| wrong(format!("invalid safetensors: {what}")))?;
        let weights = Weights::from_named(&plan, &tensors, device)
            .map_err(|error| wrong(format!("{error}: the weights are of another network")))?;
        let verified = verify_bytes(checkpoint, "model.safetensors", &bytes);
        verified.map_err(|flaw| format!("{}: {flaw}", checkpoint.display()))?;
        Ok(Self {
            network: Network::new(plan),
            weights,
            device,
            image: (
                dataset.channels.into(),
                dataset.height.into(),
                dataset.width.into(),
            ),
        })
    }

    /// The network as a TorchScript file: the forward pass of an evaluation in f32, traced with libtorch's own layers.
    /// Its input is normalised images (N, C, H, W) with any N, its output logits (N, classes).
    ///
    /// # Errors
    /// If libtorch cannot trace the network, or there is not enough memory.
    pub fn torchscript(&self) -> Result<Vec<u8>, String> {
        let describe = |error: tch::TchError| {
            let text = error.to_string();
            format!("TorchScript: {}", text.lines().next().unwrap_or(&text))
        };
        let _guard = tch::no_grad_guard();
        let plain = Network::plain(self.network.plan.clone());
        let weights = self.weights.snapshot();
        let weights = Weights {
            flat: weights.flat.detach(),
            ..weights
        };
        let example = Tensor::zeros(
            [2, self.image.0, self.image.1, self.image.2],
            (Kind::Float, self.device),
        );
        let mut forward = |inputs: &[Tensor]| {
            let images = inputs.first().map(|images| plain.logits(&weights, images));
            images.into_iter().collect::<Vec<_>>()
        };
        let module = CModule::create_by_tracing("Classifier", "forward", &[example], &mut forward)
            .map_err(describe)?;
        // libtorch writes to a path only. This one is a file in memory, which no other process can exchange.
        let memory = || {
            let file = memfd_create("model", MemfdFlags::CLOEXEC)?;
            Ok::<_, io::Error>(File::from(file))
        };
        let failed = |error: io::Error| format!("TorchScript: {error}");
        let mut file = memory().map_err(failed)?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        module.save(path).map_err(describe)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// Computes the predictions of a split in batches of `batch` images. `progress` is called with the number of images
    /// done and in total.
    ///
    /// # Errors
    /// If the split is empty.
    pub fn predict(
        &self,
        dataset: &Dataset,
        split: Split,
        batch: i64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Predictions, String> {
        let images = match split {
            Split::Train => &dataset.train,
            Split::Valid => &dataset.valid,
            Split::Test => &dataset.test,
        };
        if images.labels.is_empty() {
            return Err(format!(
                "the {} split has no images to evaluate",
                split.name()
            ));
        }
        Ok(Predictions {
            split,
            logits: self.logits(images, &dataset.info, batch, progress)?,
            labels: images.labels.iter().map(|&label| label.into()).collect(),
            classes: dataset.info.classes.len(),
        })
    }

    /// Computes the logits of images in batches of `batch`, row-major (images, classes).
    pub fn logits(
        &self,
        images: &Images,
        info: &DatasetInfo,
        batch: i64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<f32>, String> {
        let loader = Loader::new(images, info, self.device).map_err(|error| error.0)?;
        let _guard = tch::no_grad_guard();
        let mut logits = Vec::new();
        let (mut start, total) = (0, loader.len());
        loader.expect_all(batch);
        while start < total {
            let count = batch.max(1).min(total - start);
            let images = loader.run(start, count).map_err(|error| error.0)?;
            logits.extend(to_vec(&self.network.logits(&self.weights, &images)));
            start += count;
            progress(start as u64, total as u64);
        }
        if logits.len() != total as usize * info.classes.len() {
            return Err(format!(
                "{} logits for {total} images and {} classes",
                logits.len(),
                info.classes.len()
            ));
        }
        Ok(logits)
    }
}

/// Reads `state.json` of a checkpoint and checks the shape of the data and the temperature.
///
/// # Errors
/// If the file is missing or damaged, or was written by an early version, which did not store the data's shape and
/// class names. The message names the file.
pub fn read_state(checkpoint: &Path) -> Result<State, String> {
    let mut state = crate::checkpoint::read_state(checkpoint).map_err(|error| error.to_string())?;
    // Earlier versions took a byte-order mark of classes.txt for a part of the first name.
    for name in state.dataset.classes.iter_mut().take(1) {
        if let Some(plain) = name.strip_prefix('\u{feff}') {
            *name = plain.to_owned();
        }
    }
    if state.dataset.classes.is_empty() {
        return Err(format!(
            "{}: image size and class names are missing: written by an early version; train again",
            checkpoint.join("state.json").display()
        ));
    }
    let wrong = |what: String| {
        let file = checkpoint.join("state.json");
        Err(format!("{}: {what}", file.display()))
    };
    let DatasetInfo {
        channels,
        height,
        width,
        ..
    } = state.dataset;
    // The same limits as for the data of a training run.
    let checked = check_image((channels, height, width))
        .and_then(|()| check_classes(state.dataset.classes.len()));
    if let Err(what) = checked {
        return wrong(what);
    }
    if let Some((t, _)) = state.temperature.filter(|(t, _)| !(1e-3..=1e3).contains(t)) {
        return wrong(format!("temperature {t}; expected 0.001 to 1000"));
    }
    Ok(state)
}
