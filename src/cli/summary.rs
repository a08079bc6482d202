//! `summary`: the network that a training run would use.

use super::code;
use super::load::load;
use super::print::{print_error, print_line};
use crate::config::Config;
use crate::event::DatasetInfo;
use crate::images::search_path;
use crate::model;

/// Prints the layers of the network as a table. Without the data set, the sizes of Fashion-MNIST are used, with a note.
pub(super) fn run(config: &Config) -> u8 {
    let info = match load(config) {
        Ok(dataset) => dataset.info,
        Err(error) => {
            let places = search_path(&config.data).len();
            print_error(&format!(
                "note: data set not read ({} locations searched); using the sizes of Fashion-MNIST: {}",
                places,
                error.0.lines().next().unwrap_or_default()
            ));
            DatasetInfo {
                height: 28,
                width: 28,
                channels: 1,
                classes: vec![String::new(); 10],
                ..DatasetInfo::default()
            }
        }
    };
    match model::summary(&config.model, &info) {
        Ok(text) => {
            print_line(&text);
            code::COMPLETED
        }
        Err(error) => {
            print_error(&format!("error: {error}"));
            code::USAGE
        }
    }
}
