//! The output of `epochtop summary`: the network as a table.

use std::fmt::Write;

use super::plan::{Op, Plan, Shape};
use crate::config::{Head, ModelConfig, Padding};
use crate::event::DatasetInfo;

/// A table of layers with their output shapes, parameter counts and percentages, followed by the size of the network
/// with the other head and with the other padding.
///
/// # Errors
/// If the network does not fit the images.
pub fn summary(config: &ModelConfig, data: &DatasetInfo) -> Result<String, String> {
    let plan = Plan::of(config, data)?;
    let total = plan.size().max(1);
    let mut out = String::new();
    let input = Shape {
        channels: data.channels.into(),
        height: data.height.into(),
        width: data.width.into(),
    };
    let _ = writeln!(
        out,
        "{:<26} {:>14} {:>12} {:>8}",
        "layer", "output", "parameters", "share"
    );
    let _ = writeln!(out, "{:<26} {:>14}", "input", text(input));
    for layer in plan
        .layers
        .iter()
        .filter(|layer| !matches!(layer.op, Op::Save))
    {
        let share = layer.parameters as f64 * 100.0 / total as f64;
        let numbers = if layer.parameters > 0 {
            format!("{:>12} {share:>6.1} %", thousands(layer.parameters))
        } else {
            format!("{:>12}", "–")
        };
        let _ = writeln!(
            out,
            "{:<26} {:>14} {numbers}",
            layer.name,
            text(layer.output)
        );
    }
    let _ = writeln!(
        out,
        "\n{} parameters, {} of them ({:.1} %) in dense layers",
        thousands(plan.size()),
        thousands(plan.dense_size()),
        plan.dense_size() as f64 * 100.0 / total as f64
    );
    out.push_str(&alternatives(config, data, &plan));
    Ok(out)
}

fn alternatives(config: &ModelConfig, data: &DatasetInfo, plan: &Plan) -> String {
    let head = match config.head {
        Head::Gap => Head::Flatten,
        Head::Flatten => Head::Gap,
    };
    let padding = match config.padding {
        Padding::Same => Padding::Valid,
        Padding::Valid => Padding::Same,
    };
    let word = |head| match head {
        Head::Gap => "gap",
        Head::Flatten => "flatten",
    };
    let other_padding = match padding {
        Padding::Same => "\"same\"",
        Padding::Valid => "0",
    };
    let mut out = String::from("\nalternatives (dense parameters relative to this network)\n");
    for (choice, other) in [
        (
            format!("model.head = \"{}\"", word(head)),
            ModelConfig {
                head,
                ..config.clone()
            },
        ),
        (
            format!("model.padding = {other_padding}"),
            ModelConfig {
                padding,
                ..config.clone()
            },
        ),
    ] {
        let _ = match Plan::of(&other, data) {
            Ok(other) => writeln!(
                out,
                "  {choice:<26} {:>10} parameters, {:>9} dense ({}); head input {}",
                thousands(other.size()),
                thousands(other.dense_size()),
                ratio(plan.dense_size(), other.dense_size()),
                text(before_head(&other))
            ),
            Err(error) => writeln!(out, "  {choice:<26} does not fit: {error}"),
        };
    }
    out
}

/// The output shape of the last layer before the head.
fn before_head(plan: &Plan) -> Shape {
    let body = plan
        .layers
        .iter()
        .take_while(|layer| !matches!(layer.op, Op::Gap | Op::Flatten));
    body.last().map_or(
        Shape {
            channels: 0,
            height: 0,
            width: 0,
        },
        |layer| layer.output,
    )
}

/// Size of another network relative to this one, such as `2,370×` or `1/49`; `same` within 5 %.
fn ratio(here: i64, there: i64) -> String {
    let (here, there) = (here.max(1) as f64, there.max(1) as f64);
    if there > here * 1.05 {
        format!("{}×", thousands((there / here).round_ties_even() as i64))
    } else if here > there * 1.05 {
        format!("1/{}", thousands((here / there).round_ties_even() as i64))
    } else {
        "same".to_owned()
    }
}

fn text(shape: Shape) -> String {
    if shape.height == 1 && shape.width == 1 {
        shape.channels.to_string()
    } else {
        format!("{}×{}×{}", shape.channels, shape.height, shape.width)
    }
}

/// Formats `482666` as `482,666`.
fn thousands(n: i64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digit != '-' {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
