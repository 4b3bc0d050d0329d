//! `wgrad info`: what a model is: layers, target, what becomes of each column, figures, and how it was trained.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::cli::Exit;
use crate::cli::args::InfoArgs;
use crate::cli::open_run::{CONFIG, figures_of, is_figure, open_run, text_of};
use crate::cli::output::{Output, failed};
use crate::data::{Positive, Preprocessing, list};
use crate::error::{Error, Result};
use crate::model::{LayerShape, Sequential};
use crate::report::{
    Console, JsonLines, column_texts, count, duration, pluralize, positive, positive_by_column,
    target_texts,
};
use crate::shape::number;
use crate::train::TrainedModel;

#[derive(Serialize)]
struct InfoLine<'a> {
    event: &'a str,
    loss: String,
    /// Number of networks whose mean is the prediction.
    members: usize,
    /// True if all networks have the same preprocessing; where not, it is the first one's here.
    same_preparation: bool,
    /// The positive class of a target of two classes, and of each label, by column; `null` for others.
    #[serde(serialize_with = "positive_by_column")]
    positive: Vec<Positive>,
    /// Parameters of one network.
    parameters: usize,
    layers: Vec<LayerLine>,
    preparation: &'a Preprocessing,
    /// Content of `metrics.json`; `null` without it.
    outcome: Option<Value>,
    /// Settings by their keys; `null` without `config.toml`.
    settings: Option<Value>,
}

/// A layer; those inside of it are in its text.
#[derive(Serialize)]
struct LayerLine {
    layer: String,
    inputs: usize,
    outputs: usize,
    /// Its parameters, with those of layers inside of it.
    parameters: usize,
}

pub(crate) fn info(args: &InfoArgs) -> Result<Exit> {
    let ensemble = open_run(&args.run, None, &mut Console::stderr())?;
    let (trained, members) = (ensemble.first(), ensemble.members().len());
    let as_first = |it: &TrainedModel| it.preparation == trained.preparation;
    let same = ensemble.members().iter().all(as_first);
    let outcome = figures_of(&args.run)?.map(Value::Object);
    let settings = settings(&args.run)?;
    let mut out = Output::new();
    if args.json {
        let inputs = trained.preparation.schema.features.len();
        let layer = |it: LayerShape| -> Result<LayerLine> {
            let layer = it.layer.to_string();
            let parameters = Sequential::new().layer(it.layer).layout(it.inputs)?.count();
            Ok(LayerLine { layer, inputs: it.inputs, outputs: it.outputs, parameters })
        };
        let layers = trained.model.shapes(inputs)?.into_iter().map(layer);
        let line = InfoLine {
            event: "model",
            loss: trained.criterion.loss.to_string(),
            members,
            same_preparation: same,
            positive: trained.preparation.schema.positives(),
            parameters: trained.model.summary(inputs)?.parameters(),
            layers: layers.collect::<Result<_>>()?,
            preparation: &trained.preparation,
            outcome,
            settings,
        };
        JsonLines::new(&mut out).line(&line).map_err(failed)?;
    } else {
        if members > 1 {
            let each = match same {
                true => "each with weights of its own",
                false => "each with weights and scaling of its own; these are the first one's",
            };
            out.line(&format!(
                "an ensemble of {members} networks, whose mean is the prediction, {each}\n"
            ))?;
        }
        of_model(trained, &mut out)?;
        outcome.iter().flat_map(of_outcome).try_for_each(|line| out.line(&line))?;
        settings.iter().flat_map(of_settings).try_for_each(|line| out.line(&line))?;
    }
    out.end()?;
    Ok(Exit::Done)
}

/// Writes layers, target and columns.
fn of_model(trained: &TrainedModel, out: &mut Output) -> Result<()> {
    let preparation = &trained.preparation;
    let schema = &preparation.schema;
    out.line(&format!("{}\n", trained.model.summary(schema.features.len())?))?;
    out.line(&format!("predicts {}, loss {}", list(&schema.targets()), trained.criterion.loss))?;
    if let Some(positive) = positive(&schema.positives()) {
        out.line(&format!("  {positive}"))?;
    }
    for (name, told) in target_texts(preparation) {
        out.line(&format!("  {}: target, {told}", list(&[&name])))?;
    }
    for (name, told) in column_texts(preparation) {
        out.line(&format!("  {}: {told}", list(&[&name])))?;
    }
    Ok(())
}

/// Settings of `config.toml`, if there is one.
fn settings(run: &Path) -> Result<Option<Value>> {
    let Some(text) = text_of(run, CONFIG)? else { return Ok(None) };
    let parsed = toml::from_str(&text);
    parsed.map(Some).map_err(|error| {
        Error::model_file(run.join(CONFIG), format!("no settings: {}", error.message()))
    })
}

/// Returns lines of figures, and of how long and where the run trained.
fn of_outcome(outcome: &Value) -> Vec<String> {
    let number_of = |of: &Value, name: &str| of.get(name).and_then(Value::as_f64);
    let mut lines = vec!["\nfigures".to_string()];
    let own = outcome.as_object().into_iter().flatten();
    for (name, value) in own.filter(|it| is_figure(it.0)) {
        let told = value.as_f64().map_or("not defined".to_string(), number);
        let mut line = format!("  {}: {told}", name.replace('_', " "));
        for which in ["constant", "linear"] {
            let Some(other) = outcome.get("baselines").and_then(|it| it.get(which)) else {
                continue;
            };
            let named = other.get("name").and_then(Value::as_str);
            if let (Some(value), Some(named)) = (number_of(other, name), named) {
                line += &format!("; {named} {}", number(value));
            }
        }
        lines.push(line);
    }
    let whole = |name: &str| outcome.get(name).and_then(Value::as_u64);
    let text = |name: &str| outcome.get(name).and_then(Value::as_str).unwrap_or_default();
    lines.push("\ntraining".to_string());
    if let (Some(epoch), Some(steps)) = (whole("epoch"), whole("steps")) {
        lines.push(format!(
            "  weights of epoch {}, after {}",
            count(epoch),
            pluralize(steps, "step")
        ));
    }
    if let Some(seconds) = number_of(outcome, "seconds") {
        lines.push(format!("  {} on {}", duration(seconds), text("device")));
    }
    if let Some(epoch) = whole("stopped_after") {
        lines.push(format!("  stopped early after epoch {}", count(epoch)));
    }
    if outcome.get("interrupted").and_then(Value::as_bool) == Some(true) {
        lines.push("  interrupted before its end".to_string());
    }
    lines
}

/// Returns a line for each setting; the record of device and kernels is left out.
fn of_settings(settings: &Value) -> Vec<String> {
    let mut lines = vec!["\nsettings".to_string()];
    for (key, value) in settings.as_object().into_iter().flatten().filter(|it| !it.1.is_object()) {
        match value.as_str() {
            Some(text) => lines.push(format!("  {key}: {text}")),
            None => lines.push(format!("  {key}: {value}")),
        }
    }
    lines
}
