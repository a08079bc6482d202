//! The network as a table for people.

use std::fmt::Write;

use super::plan::{Op, Plan, Shape};
use crate::config::{Head, ModelConfig, Padding};
use crate::event::DatasetInfo;

/// Layers, output shapes, parameters and their share; then what the other head and the other padding would give.
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
    let mut out = String::from("\nwhat other choices would give\n");
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
                "  {choice:<26} {:>10} parameters, {:>9} dense ({}); before the head {}",
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

/// The last shape that still has positions.
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

fn ratio(here: i64, there: i64) -> String {
    let (here, there) = (here.max(1) as f64, there.max(1) as f64);
    if there > here * 1.05 {
        format!("{:.0} times as many", there / here)
    } else if here > there * 1.05 {
        format!("{:.0} times fewer", here / there)
    } else {
        "as many".to_owned()
    }
}

fn text(shape: Shape) -> String {
    if shape.height == 1 && shape.width == 1 {
        shape.channels.to_string()
    } else {
        format!("{}×{}×{}", shape.channels, shape.height, shape.width)
    }
}

/// `482666` as `482,666`.
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
