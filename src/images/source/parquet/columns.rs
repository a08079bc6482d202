//! The columns of images and labels, and the class names in the metadata of Hugging Face.

use ::parquet::basic::{ConvertedType, Type};
use ::parquet::file::metadata::FileMetaData;
use ::parquet::schema::types::ColumnDescriptor;
use serde_json::Value;

/// Names of columns of images, the preferred first.
const IMAGES: [&str; 2] = ["image", "img"];
/// Names of columns of labels, the preferred first. CIFAR-100 has fine and coarse labels.
const LABELS: [&str; 3] = ["label", "labels", "fine_label"];

/// The columns that are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Columns {
    /// The name of the column of images.
    pub(super) image: String,
    /// The name of the column of labels.
    pub(super) label: String,
    /// Columns that could be labels as well, but are not read.
    pub(super) others: Vec<String>,
    /// Class names by label, if the metadata has them.
    pub(super) classes: Vec<String>,
}

impl Columns {
    /// What a user should know of the choice.
    pub(super) fn notes(&self) -> Option<String> {
        (!self.others.is_empty()).then(|| {
            format!(
                "labels are those of the column {}; {} is not used",
                self.label,
                self.others.join(", ")
            )
        })
    }
}

/// Names of the columns at the top of a file.
fn names_in(file: &FileMetaData) -> Vec<String> {
    let fields = file.schema().get_fields().iter();
    fields.map(|field| field.name().to_owned()).collect()
}

/// The leaf column with the bytes of the images in the column of this name: a structure of `bytes` and `path`, or bytes.
pub(super) fn image_leaf(file: &FileMetaData, name: &str) -> Result<usize, String> {
    let is_image = |column: &ColumnDescriptor| match column.path().parts() {
        [top, bytes] => top == name && bytes == "bytes",
        [top] => top == name,
        _ => false,
    };
    let leaf = leaf(file, is_image).ok_or_else(|| {
        format!(
            "the column {name} has no bytes of image files; expected a structure of bytes and path"
        )
    })?;
    let column = file.schema_descr().column(leaf);
    let is_text = column.converted_type() == ConvertedType::UTF8;
    if column.physical_type() != Type::BYTE_ARRAY || column.max_rep_level() > 0 || is_text {
        return Err(format!(
            "the column {name} contains no bytes of image files, one for each row; embed the images in the Parquet files"
        ));
    }
    Ok(leaf)
}

/// The leaf column of the labels with this name.
pub(super) fn label_leaf(file: &FileMetaData, name: &str) -> Result<usize, String> {
    let fields = file.schema_descr().columns().iter();
    let is_list = |column: &&std::sync::Arc<ColumnDescriptor>| {
        column.path().parts().first().is_some_and(|top| top == name) && column.max_rep_level() > 0
    };
    if fields.clone().any(|column| is_list(&column)) {
        return Err(format!(
            "the column {name} contains lists of labels: a multi-label data set; expected one label for each image"
        ));
    }
    let is_label =
        |column: &ColumnDescriptor| matches!(column.path().parts(), [top] if top == name);
    leaf(file, is_label).ok_or_else(|| format!("no column {name}, as the first file has"))
}

fn leaf(file: &FileMetaData, wanted: impl Fn(&ColumnDescriptor) -> bool) -> Option<usize> {
    let columns = file.schema_descr().columns();
    columns.iter().position(|column| wanted(column))
}

/// Chooses the columns of a file.
///
/// # Errors
/// The columns of the file and what was expected, without the name of the file.
pub(super) fn choose(file: &FileMetaData) -> Result<Columns, String> {
    let names = names_in(file);
    let features = features(file);
    let is_class = |name: &&String| {
        let kind = features.get(name.as_str()).and_then(|of| of.get("_type"));
        kind.and_then(Value::as_str) == Some("ClassLabel")
    };
    let known = |known: &[&str]| {
        let mut known = known.iter();
        known.find_map(|known| names.iter().find(|name| name == known))
    };
    let with_bytes = |name: &&String| {
        let is_struct = |column: &ColumnDescriptor| matches!(column.path().parts(), [top, bytes] if top == *name && bytes == "bytes");
        leaf(file, is_struct).is_some()
    };
    let image = known(&IMAGES).or_else(|| only(names.iter().filter(with_bytes)));
    let label = known(&LABELS).or_else(|| only(names.iter().filter(is_class)));
    let missing = |what: &str, expected: &str| {
        format!(
            "no column of {what} among {}; expected {expected}",
            names.join(", ")
        )
    };
    let image = image.ok_or_else(|| missing("images", "image or img"))?;
    let label = label.ok_or_else(|| missing("labels", "label, labels or fine_label"))?;
    let is_other = |name: &&String| *name != label && (is_class(name) || name.contains("label"));
    let others = names.iter().filter(is_other).cloned().collect();
    Ok(Columns {
        classes: classes_of(&features, label),
        image: image.clone(),
        label: label.clone(),
        others,
    })
}

fn only<'a>(mut names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let first = names.next()?;
    names.next().is_none().then_some(first)
}

/// The features that the library `datasets` writes into the metadata; null if there are none.
fn features(file: &FileMetaData) -> Value {
    let entries = file.key_value_metadata().into_iter().flatten();
    let mut entries = entries.filter(|entry| entry.key == "huggingface");
    let json = entries.next().and_then(|entry| entry.value.as_deref());
    let json = json.and_then(|json| serde_json::from_str::<Value>(json).ok());
    let features =
        json.and_then(|mut json| json.get_mut("info")?.get_mut("features").map(Value::take));
    features.unwrap_or(Value::Null)
}

fn classes_of(features: &Value, label: &str) -> Vec<String> {
    let names = features.get(label).and_then(|label| label.get("names"));
    let names = names.and_then(Value::as_array).into_iter().flatten();
    let names = names.map(|name| name.as_str().map(str::to_owned));
    names.collect::<Option<Vec<String>>>().unwrap_or_default()
}
