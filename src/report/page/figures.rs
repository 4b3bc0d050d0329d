//! Figures of a run in sentences and as a table.
//!
//! In: `metrics.json`. Out: text and HTML.

use serde_json::{Map, Value};

use super::some_names;
use crate::data::{TargetKind, list};
use crate::picture::escape;
use crate::report::text::{count, duration, pluralize};
use crate::shape::{brief, fixed};
use crate::train::{Evaluation, Metric, TrainedModel};

/// Beginning of the names of validation figures.
const VALID: &str = "valid_";

/// Says what the network predicts from what.
pub(super) fn question(trained: &TrainedModel, table: Option<&str>) -> String {
    let schema = &trained.preparation.schema;
    let targets = some_names(&schema.targets());
    let what = match &schema.kind {
        TargetKind::Classes(names) => {
            format!("which of {} classes {targets} is", count(names.len() as u64))
        }
        TargetKind::Number => format!("the number {targets}"),
        TargetKind::Numbers(names) => format!("{} numbers: {targets}", count(names.len() as u64)),
        TargetKind::Labels(names) if names.len() == 1 => format!("yes or no for {targets}"),
        TargetKind::Labels(names) => {
            format!("yes or no for each of {} labels: {targets}", count(names.len() as u64))
        }
    };
    let columns = pluralize(schema.read_columns().len() as u64, "column");
    let of = table.map(|table| format!(" of {table}")).unwrap_or_default();
    format!("predict {what}, from {columns}{of}.")
}

/// Says how well it does, beside predictions without a network.
pub(super) fn answer(
    trained: &TrainedModel,
    outcome: Option<&Value>,
    evaluation: Option<&(String, Evaluation)>,
) -> String {
    if let Some((table, evaluation)) = evaluation {
        let metrics = &evaluation.metrics;
        let figure = |name: &str| {
            let metric: Metric = name.parse().ok()?;
            metrics.value(metric)
        };
        let rows = pluralize(metrics.rows as u64, "row");
        return match quality(trained, &figure) {
            Some(quality) => format!("on {rows} of {table}, {quality}."),
            None => format!("on {rows} of {table}, the loss is {}.", fixed(metrics.loss)),
        };
    }
    let Some(outcome) = outcome.and_then(Value::as_object) else {
        return "the run has not come to its end.".to_string();
    };
    let of = |map: &Map<String, Value>, name: &str| {
        map.get(&format!("{VALID}{name}")).and_then(Value::as_f64)
    };
    let own = quality(trained, &|name| of(outcome, name));
    let (Some(own), true) = (own, outcome.contains_key("valid_loss")) else {
        let loss = outcome.get("train_loss").and_then(Value::as_f64).map(fixed).unwrap_or_default();
        return format!(
            "the training loss is {loss}; no rows were held out, so it is not known how well the network does on new rows."
        );
    };
    let mut text = format!("on validation rows, which it was not trained on, {own}");
    let mut others = Vec::new();
    for which in ["constant", "linear"] {
        let Some(baseline) =
            outcome.get("baselines").and_then(|it| it.get(which)).and_then(Value::as_object)
        else {
            continue;
        };
        let name = baseline.get("name").and_then(Value::as_str).unwrap_or(which);
        if let Some(told) = short_quality(trained, &|name| of(baseline, name)) {
            others.push(format!("{name} {told}"));
        }
    }
    if !others.is_empty() {
        text += &format!("; for comparison: {}", others.join(", "));
    }
    text + "."
}

/// The figure that people ask for first, in a sentence.
fn quality(trained: &TrainedModel, figure: &dyn Fn(&str) -> Option<f64>) -> Option<String> {
    let schema = &trained.preparation.schema;
    let share = |value: f64| format!("{:.2} %", 100.0 * value);
    match &schema.kind {
        TargetKind::Classes(_) => {
            Some(format!("it names the right class of {} of the rows", share(figure("accuracy")?)))
        }
        TargetKind::Labels(names) if names.len() == 1 => {
            Some(format!("it is right for {} of the rows", share(figure("accuracy")?)))
        }
        TargetKind::Labels(_) => {
            Some(format!("all labels are right in {} of the rows", share(figure("accuracy")?)))
        }
        TargetKind::Number | TargetKind::Numbers(_) => {
            let error = format!("its predictions are {} away on average", brief(figure("mae")?));
            let r2 = figure("r2").map(|r2| format!(" (R² {})", fixed(r2))).unwrap_or_default();
            Some(error + &r2)
        }
    }
}

/// The same figure alone.
fn short_quality(trained: &TrainedModel, figure: &dyn Fn(&str) -> Option<f64>) -> Option<String> {
    match &trained.preparation.schema.kind {
        TargetKind::Classes(_) | TargetKind::Labels(_) => {
            Some(format!("{:.2} %", 100.0 * figure("accuracy")?))
        }
        TargetKind::Number | TargetKind::Numbers(_) => Some(brief(figure("mae")?)),
    }
}

/// Says where and how long the run trained.
pub(super) fn training(outcome: &Value) -> String {
    let number = |name: &str| outcome.get(name).and_then(Value::as_f64);
    let mut parts = Vec::new();
    if let Some(epoch) = outcome.get("epoch").and_then(Value::as_u64) {
        parts.push(format!("weights of epoch {epoch}"));
    }
    if let Some(steps) = outcome.get("steps").and_then(Value::as_u64) {
        parts.push(format!("after {}", pluralize(steps, "step")));
    }
    if let Some(seconds) = number("seconds") {
        parts.push(format!("{} of training", duration(seconds)));
    }
    if let Some(device) = outcome.get("device").and_then(Value::as_str) {
        parts.push(format!("on {device}"));
    }
    if let Some(epoch) = outcome.get("stopped_after").and_then(Value::as_u64) {
        parts.push(format!("stopped early after epoch {epoch}"));
    }
    if outcome.get("interrupted").and_then(Value::as_bool) == Some(true) {
        parts.push("interrupted before its end".to_string());
    }
    if let Some(positive) = outcome.get("positive").and_then(Value::as_object) {
        let all: Vec<String> = positive
            .iter()
            .map(|(column, class)| {
                format!("{} in {}", list(&[class.as_str().unwrap_or_default()]), list(&[column]))
            })
            .collect();
        parts.push(format!("positive class: {}", all.join(", ")));
    }
    parts.join(", ")
}

/// A table of figures: the network's, and beside them those of simple predictions.
pub(super) fn figure_table(outcome: &Value) -> String {
    let Some(own) = outcome.as_object() else { return String::new() };
    let baselines: Vec<(&str, &Map<String, Value>)> = ["constant", "linear"]
        .into_iter()
        .filter_map(|which| {
            let baseline = outcome.get("baselines")?.get(which)?.as_object()?;
            Some((baseline.get("name").and_then(Value::as_str).unwrap_or(which), baseline))
        })
        .collect();
    let mut html =
        "<div class=\"wide\"><table><thead><tr><th>figure</th><th class=\"number\">network</th>"
            .to_string();
    for (name, _) in &baselines {
        html += &format!("<th class=\"number\">{}</th>", escape(name));
    }
    html += "</tr></thead><tbody>\n";
    let text = |value: Option<&Value>, name: &str| match value.and_then(Value::as_f64) {
        Some(value) if name == "valid_accuracy" => format!("{:.2} %", 100.0 * value),
        Some(value) => fixed(value),
        None => "–".to_string(),
    };
    for name in own.keys().filter(|name| *name == "train_loss" || name.starts_with(VALID)) {
        let told = match name.strip_prefix(VALID) {
            Some(metric) => format!("{} (validation)", metric.replace('_', " ")),
            None => "loss (training)".to_string(),
        };
        html += &format!(
            "<tr><td>{}</td><td class=\"number\">{}</td>",
            escape(&told),
            text(own.get(name), name)
        );
        for (_, baseline) in &baselines {
            html += &format!("<td class=\"number\">{}</td>", text(baseline.get(name), name));
        }
        html += "</tr>\n";
    }
    html + "</tbody></table></div>\n"
}
