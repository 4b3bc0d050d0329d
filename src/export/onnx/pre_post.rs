//! Nodes before a network and after it: raw columns in, predictions in the target's units out.

use super::builder::NodeBuilder;
use super::formula::evaluate;
use super::proto::{Attribute, Kind, ValueInfo};
use crate::data::{Preprocessing, TargetKind};
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::Loss;
use crate::train::TrainedModel;

/// The name of the input.
pub(super) const INPUT: &str = "x";
const LABEL: &str = "label";
const LABELS: &str = "labels";
const PROBABILITIES: &str = "probabilities";
const SCORES: &str = "scores";
const PREDICTION: &str = "prediction";
/// All names of the graph's inputs and outputs.
pub(super) const RESERVED: [&str; 6] = [INPUT, LABEL, LABELS, PROBABILITIES, SCORES, PREDICTION];

/// Appends a change of type.
fn cast(to: &mut NodeBuilder, x: &str, kind: Kind) -> String {
    to.node("Cast", &[x], vec![Attribute::int("to", kind.number().into())])
}

/// Appends the scaling of raw columns, in f64 as everywhere. Returns the name of the network's input.
pub(super) fn prepare(to: &mut NodeBuilder, preparation: &Preprocessing, input: Kind) -> String {
    let (mean, std) = (&preparation.mean, &preparation.std);
    to.at("prepare");
    // Columns that are not scaled need no nodes.
    if mean.iter().all(|&it| it == 0.0) && std.iter().all(|&it| it == 1.0) {
        return match input {
            Kind::Double => cast(to, INPUT, Kind::Float),
            _ => INPUT.into(),
        };
    }
    let wide = match input {
        Kind::Double => INPUT.into(),
        _ => cast(to, INPUT, Kind::Double),
    };
    let (mean, std) = (to.doubles("mean", mean), to.doubles("std", std));
    let moved = to.node("Sub", &[&wide, &mean], vec![]);
    let scaled = to.node("Div", &[&moved, &std], vec![]);
    cast(to, &scaled, Kind::Float)
}

/// Appends the interpretation of the network's outputs under the loss. Returns the results of the graph.
pub(super) fn tell(
    to: &mut NodeBuilder,
    trained: &TrainedModel,
    outputs: &str,
) -> Result<Vec<ValueInfo>> {
    to.at("tell");
    let schema = &trained.preparation.schema;
    let (target, columns) = (&schema.target, trained.columns().len());
    let told = if trained.outputs_are_scores() { SCORES } else { PROBABILITIES };
    let numbers = |about: &str| {
        ValueInfo::rows(told, Kind::Float, Some(columns), format!("the {about} of {target}"))
    };
    match &schema.kind {
        TargetKind::Classes(classes) => {
            let keep = Attribute::int("keepdims", 0);
            // The largest output is the likeliest class, with or without a softmax.
            let best = to.node("ArgMax", &[outputs], vec![Attribute::int("axis", 1), keep]);
            let names = to.texts("classes", classes);
            to.push("Gather", &[&names, &best], vec![], LABEL.into());
            if trained.outputs_are_scores() {
                to.push("Identity", &[outputs], vec![], SCORES.into());
            } else {
                to.push("Softmax", &[outputs], vec![Attribute::int("axis", 1)], told.into());
            }
            let about = format!("the likeliest {target}");
            Ok(vec![ValueInfo::rows(LABEL, Kind::Text, None, about), numbers("classes")])
        }
        TargetKind::Labels(labels) => {
            // A label is likelier than not if its output is above 0, the logit of one half.
            let zero = to.scalar(0.0);
            let holds = to.node("Greater", &[outputs, &zero], vec![]);
            let texts = |at: usize| labels.iter().map(|it| it.values[at].clone()).collect();
            let [no, yes]: [Vec<String>; 2] = [texts(0), texts(1)];
            let (no, yes) = (to.texts("no", &no), to.texts("yes", &yes));
            to.push("Where", &[&holds, &yes, &no], vec![], LABELS.into());
            let value = if trained.outputs_are_scores() {
                outputs.into()
            } else {
                evaluate(to, &Expr::input(0).sigmoid().program(), &[outputs.into()])?
            };
            // The result needs its promised name, which an inner node may not have.
            to.push("Identity", &[&value], vec![], told.into());
            let about = format!("what is likelier of {target}");
            let labels = ValueInfo::rows(LABELS, Kind::Text, Some(columns), about);
            Ok(vec![labels, numbers("labels")])
        }
        TargetKind::Number | TargetKind::Numbers(_) => {
            let value = in_own_units(to, trained, outputs)?;
            to.push("Identity", &[&value], vec![], PREDICTION.into());
            let about = format!("{target} in its own units");
            Ok(vec![ValueInfo::rows(PREDICTION, Kind::Double, Some(columns), about)])
        }
    }
}

/// Appends the conversion of outputs for numbers to the target's units, in f64.
fn in_own_units(to: &mut NodeBuilder, trained: &TrainedModel, outputs: &str) -> Result<String> {
    let (loss, preparation) = (&trained.criterion.loss, &trained.preparation);
    match loss {
        Loss::KlDivergence => {
            let shares = to.node("Softmax", &[outputs], vec![Attribute::int("axis", 1)]);
            return Ok(cast(to, &shares, Kind::Double));
        }
        Loss::PoissonNll { .. } => {
            let wide = cast(to, outputs, Kind::Double);
            return Ok(to.node("Exp", &[&wide], vec![]));
        }
        _ => {}
    }
    // Each target has several adjacent outputs.
    let each = loss.outputs_each();
    let spread = |values: &[f64]| -> Vec<f64> {
        values.iter().flat_map(|&value| std::iter::repeat_n(value, each)).collect()
    };
    let std = to.doubles("target_std", &spread(&preparation.target_std));
    // Added before the product: runtimes drop a mean that is 0 in single precision.
    let means = preparation.target_mean.iter().zip(&preparation.target_std);
    let means: Vec<f64> = means.map(|(mean, std)| mean / std).collect();
    let mean = to.doubles("target_mean", &spread(&means));
    let wide = cast(to, outputs, Kind::Double);
    let moved = to.node("Add", &[&wide, &mean], vec![]);
    let value = to.node("Mul", &[&moved, &std], vec![]);
    let &Loss::GaussianNll { eps, .. } = loss else { return Ok(value) };
    // Every second output is a raw variance.
    let spread = (Expr::input(0).softplus() + eps).sqrt();
    let deviation = evaluate(to, &spread.program(), &[outputs.into()])?;
    let wide = cast(to, &deviation, Kind::Double);
    let deviation = to.node("Mul", &[&wide, &std], vec![]);
    let is_mean: Vec<bool> =
        (0..each * preparation.target_std.len()).map(|at| at % 2 == 0).collect();
    let is_mean = to.flags("is_mean", &is_mean);
    // Both are computed for all outputs, and each output takes the one that it means.
    Ok(to.node("Where", &[&is_mean, &value, &deviation], vec![]))
}
