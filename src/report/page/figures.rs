//! Figures of a run in sentences and as a table.
//!
//! In: `metrics.json`. Out: text and HTML.

use serde_json::{Map, Value};

use super::{NetworkFigures, some_names};
use crate::data::{TargetKind, list};
use crate::picture::escape;
use crate::report::text::{count, duration, pluralize};
use crate::shape::{brief, fixed};
use crate::train::{Evaluation, Metric, TrainedModel};

/// Beginning of the names of validation figures.
const VALID: &str = "valid_";
/// Networks that are listed.
const NETWORKS: usize = 200;

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
        return match quality(trained, &figure) {
            Some(quality) => format!("on {table}, {quality}."),
            None => format!("on {table}, the loss is {}.", Metric::Loss.shown(metrics.loss)),
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
        let loss =
            outcome.get("train_loss").and_then(Value::as_f64).map(|loss| Metric::Loss.shown(loss));
        let loss = loss.unwrap_or_default();
        return format!(
            "the training loss is {loss}; no rows were held out, so it is not known how well the network does on new rows."
        );
    };
    let mut text = match is_of_folds(outcome) {
        true => {
            format!("on all rows, each predicted by the network that was not trained on it, {own}")
        }
        false => format!("on validation rows, which it was not trained on, {own}"),
    };
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

/// Returns true if figures are those of out-of-fold predictions.
fn is_of_folds(outcome: &Map<String, Value>) -> bool {
    outcome.contains_key("folds")
}

/// The figure that people ask for first, in a sentence.
fn quality(trained: &TrainedModel, figure: &dyn Fn(&str) -> Option<f64>) -> Option<String> {
    let schema = &trained.preparation.schema;
    // Rows count by their weights, so that the share is not that of the rows.
    let by_weight = schema.weight.is_some();
    let of = if by_weight { "of the rows' weight" } else { "of the rows" };
    let share = |value: f64| format!("{:.2} % {of}", 100.0 * value);
    match &schema.kind {
        TargetKind::Classes(_) => {
            Some(format!("it names the right class of {}", share(figure("accuracy")?)))
        }
        TargetKind::Labels(names) if names.len() == 1 => {
            Some(format!("it is right for {}", share(figure("accuracy")?)))
        }
        TargetKind::Labels(_) => {
            Some(format!("all labels are right in {}", share(figure("accuracy")?)))
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
    let whole = |name: &str| outcome.get(name).and_then(Value::as_u64);
    if let Some(members) = whole("members") {
        parts.push(format!("ensemble of {}", pluralize(members, "network")));
    }
    if let Some(folds) = whole("folds") {
        let networks = folds * whole("repeats").unwrap_or(1);
        parts.push(match whole("refit_epochs") {
            Some(epochs) => {
                let epochs = pluralize(epochs, "epoch");
                format!("cross-validation with {networks} networks; kept is one trained on all rows for {epochs}")
            }
            None => format!("cross-validation; kept is the ensemble of its {networks} networks"),
        });
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
    let which = match own.contains_key("members") || is_of_folds(own) {
        true => "all together",
        false => "network",
    };
    let mut html = format!(
        "<div class=\"wide\"><table><thead><tr><th>figure</th><th class=\"number\">{which}</th>"
    );
    for (name, _) in &baselines {
        html += &format!("<th class=\"number\">{}</th>", escape(name));
    }
    html += "</tr></thead><tbody>\n";
    for name in own.keys().filter(|name| *name == "train_loss" || name.starts_with(VALID)) {
        let told = match name.strip_prefix(VALID) {
            Some(metric) if is_of_folds(own) => {
                format!("{} (out of fold)", metric.replace('_', " "))
            }
            Some(metric) => format!("{} (validation)", metric.replace('_', " ")),
            None => "loss (training)".to_string(),
        };
        html += &format!(
            "<tr><td>{}</td><td class=\"number\">{}</td>",
            escape(&told),
            figure_text(own.get(name), name)
        );
        for (_, baseline) in &baselines {
            // Simple predictions are judged on the rows that were held out alone.
            let text = match name.starts_with(VALID) {
                true => figure_text(baseline.get(name), name),
                false => "not computed".to_string(),
            };
            html += &format!("<td class=\"number\">{text}</td>");
        }
        html += "</tr>\n";
    }
    html += "</tbody></table></div>\n";
    if let Some(why) = without_baselines(own) {
        html += &format!("<p>{}</p>\n", escape(&why));
    }
    html
}

/// Says why simple predictions are missing, if one is.
fn without_baselines(outcome: &Map<String, Value>) -> Option<String> {
    if !outcome.contains_key("valid_loss") {
        return Some("No simple predictions are compared: no rows were held out.".to_string());
    }
    let Some(baselines) = outcome.get("baselines").and_then(Value::as_object) else {
        return Some(
            "No simple predictions are compared: the run was stopped before its end.".to_string(),
        );
    };
    let why = baselines.get("without_linear").and_then(Value::as_str)?;
    Some(format!("No linear model is compared: {why}."))
}

/// A figure as tables have it.
fn figure_text(value: Option<&Value>, name: &str) -> String {
    match value.and_then(Value::as_f64) {
        Some(value) if name == "valid_accuracy" => format!("{:.2} %", 100.0 * value),
        Some(value) => {
            let metric = name
                .strip_prefix(VALID)
                .or(name.strip_prefix("train_"))
                .unwrap_or(name)
                .parse::<Metric>();
            metric.map_or_else(|_| fixed(value), |metric| metric.shown(value))
        }
        None => "not defined".to_string(),
    }
}

/// A table of the figures of several networks, a row each, and below them mean and standard deviation over the networks as the
/// outcome has them.
pub(super) fn network_table(networks: &[NetworkFigures], outcome: Option<&Value>) -> String {
    let is_figure = |name: &&String| *name == "train_loss" || name.starts_with(VALID);
    let first = networks.first().map(|it| &it.figures);
    let names: Vec<&String> = first.into_iter().flat_map(Map::keys).filter(is_figure).collect();
    let mut html = "<div class=\"wide\"><table><thead><tr><th>network</th><th class=\"number\">kept epoch</th>".to_string();
    for name in &names {
        let told = match name.strip_prefix(VALID) {
            Some(metric) => format!("{} (validation)", metric.replace('_', " ")),
            None => "loss (training)".to_string(),
        };
        html += &format!("<th class=\"number\">{}</th>", escape(&told));
    }
    html += "</tr></thead><tbody>\n";
    let mut row = |name: &str, figures: &Map<String, Value>| {
        let epoch = figures.get("epoch").and_then(Value::as_u64);
        let epoch = epoch.map_or(String::new(), |epoch| epoch.to_string());
        html += &format!(
            "<tr><td class=\"name\">{}</td><td class=\"number\">{epoch}</td>",
            escape(name)
        );
        for name in &names {
            html += &format!("<td class=\"number\">{}</td>", figure_text(figures.get(*name), name));
        }
        html += "</tr>\n";
    };
    networks.iter().take(NETWORKS).for_each(|it| row(&it.name, &it.figures));
    let of = |keys: [&str; 2]| keys.into_iter().find_map(|key| outcome?.get(key)?.as_object());
    for (name, keys) in
        [("mean", ["member_mean", "fold_mean"]), ("standard deviation", ["member_std", "fold_std"])]
    {
        of(keys).into_iter().for_each(|figures| row(name, figures));
    }
    html += "</tbody></table></div>\n";
    if networks.len() > NETWORKS {
        html +=
            &format!("<p class=\"soft\">and {} more networks.</p>\n", networks.len() - NETWORKS);
    }
    html
}
