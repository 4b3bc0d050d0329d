//! Nodes before a network and after it: raw columns in, predictions in the target's units out.

use std::collections::HashSet;

use super::builder::NodeBuilder;
use super::formula::evaluate;
use super::proto::{Attribute, Kind, ValueInfo, size};
use super::scaling::{date_parts, restore_target, scale_inputs};
use crate::data::{
    Column, ColumnEncoding, Preprocessing, Schema, TargetKind, date_places, spelled_texts,
};
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{ClassLoss, Loss};
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

/// Appends what turns the columns of a table into inputs, and the scaling of each network. Returns the names of the networks' inputs,
/// and the inputs of the graph.
pub(super) fn prepare(
    to: &mut NodeBuilder,
    networks: &[TrainedModel],
    input: Kind,
) -> (Vec<String>, Vec<ValueInfo>) {
    // Columns become inputs in the same way for all networks.
    let preparation = &networks[0].preparation;
    let schema = &preparation.schema;
    if schema.columns.is_empty() {
        let about = format!("columns as in a table: {}", schema.features.join(", "));
        let info = ValueInfo::rows(INPUT, input, Some(schema.features.len()), about);
        let scaled = each_scaling(to, networks, |to, it| scale(to, it, input));
        return (scaled, vec![info]);
    }
    let (mut parts, mut infos, mut place) = (Vec::new(), Vec::new(), 0);
    for (column, name) in schema.columns.iter().zip(input_names(schema)) {
        to.reserve(&[&name]);
        to.at(&name);
        let kind = if column.encoding.is_category() { Kind::Text } else { Kind::Double };
        let about = match kind {
            Kind::Text => format!(
                "the texts of {}, without blanks around them; an empty text is a gap",
                column.name
            ),
            _ if matches!(column.encoding, ColumnEncoding::Date { .. }) => format!(
                "the dates of {} as days since 1970-01-01T00:00 (UTC) with their fraction; NaN is a gap",
                column.name
            ),
            _ => format!("the numbers of {}; NaN is a gap", column.name),
        };
        infos.push(ValueInfo::rows(&name, kind, Some(1), about));
        let inputs = column.width();
        let means: Vec<Option<f64>> =
            (place..place + inputs).map(|input| preparation.gap_mean(input)).collect();
        encode(to, column, (&name, &means, schema), &mut parts);
        place += inputs;
    }
    to.at("prepare");
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let all = to.node("Concat", &parts, vec![Attribute::int("axis", 1)]);
    let scaled = each_scaling(to, networks, |to, preparation| {
        let scaled = scale_inputs(to, &all, preparation);
        cast(to, &scaled, Kind::Float)
    });
    (scaled, infos)
}

/// Appends the scaling of each network, once for those that scale alike. Returns the names of its results.
fn each_scaling(
    to: &mut NodeBuilder,
    networks: &[TrainedModel],
    mut scale: impl FnMut(&mut NodeBuilder, &Preprocessing) -> String,
) -> Vec<String> {
    let mut scaled: Vec<String> = Vec::new();
    for (place, network) in networks.iter().enumerate() {
        let own = &network.preparation;
        let earlier = networks[..place].iter().position(|it| it.preparation == *own);
        let name = match earlier {
            Some(earlier) => scaled[earlier].clone(),
            None => scale(to, own),
        };
        scaled.push(name);
    }
    scaled
}

/// Returns the names of the graph's inputs for columns of several kinds: those of the columns, unless a result has the name.
pub(super) fn input_names(schema: &Schema) -> Vec<String> {
    let columns: HashSet<&str> = schema.columns.iter().map(|column| &*column.name).collect();
    let name = |column: &Column| {
        let mut name = column.name.clone();
        // The new name must not be that of another column.
        while RESERVED.contains(&&*column.name) && columns.contains(&*name) {
            name.push_str("_column");
        }
        name
    };
    schema.columns.iter().map(name).collect()
}

/// Appends what turns a column into its inputs, in f64. `means` stand in for gaps where training had none, if they are known.
fn encode(
    to: &mut NodeBuilder,
    column: &Column,
    (name, means, schema): (&str, &[Option<f64>], &Schema),
    parts: &mut Vec<String>,
) {
    let values = column.encoding.values();
    let count = size(values.len());
    let marks = schema.gap_texts();
    let is_gap = |text: &str| marks.iter().any(|mark| mark == text);
    let mut pairs: Vec<(&str, i64)> = spelled_texts(values)
        .into_iter()
        .filter(|(text, _)| !is_gap(text))
        .map(|(text, place)| (text, size(place)))
        .collect();
    match &column.encoding {
        ColumnEncoding::Number { fill } => {
            let Some(number) = fill.or(means[0]) else {
                parts.push(name.to_string());
                return;
            };
            let known = to.node("Equal", &[name, name], vec![]);
            let number = to.doubles("fill", &[number]);
            parts.push(to.node("Where", &[&known, name, &number], vec![]));
            if fill.is_some() {
                let gap = to.node("Not", &[&known], vec![]);
                parts.push(cast(to, &gap, Kind::Double));
            }
        }
        ColumnEncoding::Binary { .. } => {
            let index = to.look_up(name, &pairs, count);
            let (zero, one) = (to.integers(&[0]), to.integers(&[1]));
            let (no, half, yes) =
                (to.doubles("no", &[0.0]), to.doubles("half", &[0.5]), to.doubles("yes", &[1.0]));
            let is_no = to.node("Equal", &[&index, &zero], vec![]);
            let other = to.node("Where", &[&is_no, &no, &half], vec![]);
            let is_yes = to.node("Equal", &[&index, &one], vec![]);
            parts.push(to.node("Where", &[&is_yes, &yes, &other], vec![]));
        }
        ColumnEncoding::OneHot { gaps, pooled, .. } => {
            // Rare and unknown texts share the input after those of the texts, and gaps have the last one or none.
            let inputs = count + i64::from(pooled.is_some());
            if *gaps || pooled.is_some() {
                pairs.extend(marks.iter().map(|mark| (mark.as_str(), inputs)));
            }
            let other = if pooled.is_some() { count } else { count + 1 };
            let index = to.look_up(name, &pairs, other);
            let each: Vec<i64> = (0..inputs + i64::from(*gaps)).collect();
            let each = to.integers(&each);
            let same = to.node("Equal", &[&index, &each], vec![]);
            parts.push(cast(to, &same, Kind::Double));
        }
        ColumnEncoding::Embedding { .. } => {
            pairs.iter_mut().for_each(|pair| pair.1 += 1);
            let index = to.look_up(name, &pairs, 0);
            parts.push(cast(to, &index, Kind::Double));
        }
        ColumnEncoding::Date { .. } => encode_date(to, column, (name, means), parts),
    }
}

/// Appends the inputs of a column of dates: its parts, the days, and a mark of gaps if it has one.
fn encode_date(
    to: &mut NodeBuilder,
    column: &Column,
    (name, means): (&str, &[Option<f64>]),
    parts: &mut Vec<String>,
) {
    let ColumnEncoding::Date { timed, gaps, constant, .. } = &column.encoding else { return };
    let known = to.node("Equal", &[name, name], vec![]);
    let own = date_parts(to, name);
    let of_place = |at: usize| own.get(at).map_or(name, String::as_str);
    let own = date_places(*timed, constant).map(of_place);
    for (part, mean) in own.zip(means) {
        parts.push(match mean {
            Some(mean) => {
                let mean = to.doubles("fill", &[*mean]);
                to.node("Where", &[&known, part, &mean], vec![])
            }
            None => part.to_string(),
        });
    }
    if *gaps {
        let gap = to.node("Not", &[&known], vec![]);
        parts.push(cast(to, &gap, Kind::Double));
    }
}

/// Appends the scaling of raw columns, in f64 as everywhere. Returns the name of the network's input.
fn scale(to: &mut NodeBuilder, preparation: &Preprocessing, input: Kind) -> String {
    let (mean, std) = (&preparation.mean, &preparation.std);
    to.at("prepare");
    // Columns that are not scaled need no nodes.
    let is_line = preparation.curves.methods.is_empty();
    if is_line && mean.iter().all(|&it| it == 0.0) && std.iter().all(|&it| it == 1.0) {
        return match input {
            Kind::Double => cast(to, INPUT, Kind::Float),
            _ => INPUT.into(),
        };
    }
    let wide = match input {
        Kind::Double => INPUT.into(),
        _ => cast(to, INPUT, Kind::Double),
    };
    let scaled = scale_inputs(to, &wide, preparation);
    cast(to, &scaled, Kind::Float)
}

/// Appends the interpretation of the networks' outputs under their losses, of several networks their mean. Returns the results of
/// the graph.
pub(super) fn tell(
    to: &mut NodeBuilder,
    networks: &[TrainedModel],
    outputs: &[String],
) -> Result<Vec<ValueInfo>> {
    to.at("tell");
    let trained = &networks[0];
    let schema = &trained.preparation.schema;
    let (target, columns) = (&schema.target, trained.columns().len());
    let scores = trained.outputs_are_scores();
    let told = if scores { SCORES } else { PROBABILITIES };
    let numbers = |about: &str| {
        ValueInfo::rows(told, Kind::Float, Some(columns), format!("the {about} of {target}"))
    };
    match &schema.kind {
        TargetKind::Classes(classes) => {
            let mut shares = outputs.to_vec();
            if !scores {
                let softmax = |it| to.node("Softmax", &[it], vec![Attribute::int("axis", 1)]);
                shares = outputs.iter().map(String::as_str).map(softmax).collect();
            }
            let value = mean(to, &shares, Kind::Float);
            let keep = Attribute::int("keepdims", 0);
            // The largest output is the likeliest class, with or without a softmax.
            let ranked = if outputs.len() == 1 { &outputs[0] } else { &value };
            let best = to.node("ArgMax", &[ranked], vec![Attribute::int("axis", 1), keep]);
            let names = to.texts("classes", classes);
            to.push("Gather", &[&names, &best], vec![], LABEL.into());
            // The result needs its promised name, which an inner node may not have.
            to.push("Identity", &[&value], vec![], told.into());
            let about = format!("the likeliest {target}");
            Ok(vec![ValueInfo::rows(LABEL, Kind::Text, None, about), numbers("classes")])
        }
        TargetKind::Labels(labels) => {
            let mut shares = outputs.to_vec();
            if !scores {
                let sigmoid = Expr::input(0).sigmoid().program();
                let each = outputs.iter().map(|it| evaluate(to, &sigmoid, &[it.as_str().into()]));
                shares = each.collect::<Result<_>>()?;
            }
            let value = mean(to, &shares, Kind::Float);
            // A label is likelier than not if its output is above 0, the logit of one half.
            let (ranked, half) = match outputs {
                [output] => (output, 0.0),
                _ => (&value, if scores { 0.0 } else { 0.5 }),
            };
            let half = to.scalar(half);
            let holds = to.node("Greater", &[ranked, &half], vec![]);
            let texts = |at: usize| labels.iter().map(|it| it.values[at].clone()).collect();
            let [no, yes]: [Vec<String>; 2] = [texts(0), texts(1)];
            let (no, yes) = (to.texts("no", &no), to.texts("yes", &yes));
            to.push("Where", &[&holds, &yes, &no], vec![], LABELS.into());
            to.push("Identity", &[&value], vec![], told.into());
            let about = format!("what is likelier of {target}");
            let labels = ValueInfo::rows(LABELS, Kind::Text, Some(columns), about);
            Ok(vec![labels, numbers("labels")])
        }
        TargetKind::Number | TargetKind::Numbers(_) => {
            let each = networks.iter().zip(outputs).map(|(it, out)| in_own_units(to, it, out));
            let each = each.collect::<Result<Vec<String>>>()?;
            let mut value = mean(to, &each, Kind::Double);
            if matches!(trained.criterion.loss, Loss::GaussianNll { .. }) && each.len() > 1 {
                value = mixture(to, &each, &value, columns);
            }
            to.push("Identity", &[&value], vec![], PREDICTION.into());
            let about = format!("{target} in its own units");
            Ok(vec![ValueInfo::rows(PREDICTION, Kind::Double, Some(columns), about)])
        }
    }
}

/// Appends the mean of values `[rows, columns]` of several networks, of one network nothing. Returns its name.
fn mean(to: &mut NodeBuilder, values: &[String], kind: Kind) -> String {
    if let [value] = values {
        return value.clone();
    }
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    // Runtimes have Mean in single precision only.
    let sum = to.node("Sum", &values, vec![]);
    let share = 1.0 / values.len() as f64;
    let share = match kind {
        Kind::Double => to.doubles("share", &[share]),
        _ => to.scalar(share),
    };
    to.node("Mul", &[&sum, &share], vec![])
}

/// Appends the mean and standard deviation of a mixture of normal distributions: `each` has a network's means and deviations
/// `[rows, columns]` in turn, `center` the mean of them over the networks. Returns the name of the result.
fn mixture(to: &mut NodeBuilder, each: &[String], center: &str, columns: usize) -> String {
    let of_mean: Vec<i64> = (0..columns).map(|at| size(at - at % 2)).collect();
    let of_mean = to.integers(&of_mean);
    let gather = |to: &mut NodeBuilder, it: &str| {
        to.node("Gather", &[it, &of_mean], vec![Attribute::int("axis", 1)])
    };
    let all_means = gather(to, center);
    // The variance of a mixture is the mean of the variances plus the variance of the means.
    let mut variances = Vec::with_capacity(each.len());
    for value in each {
        let own_mean = gather(to, value);
        let apart = to.node("Sub", &[&own_mean, &all_means], vec![]);
        let apart = to.node("Mul", &[&apart, &apart], vec![]);
        let own = to.node("Mul", &[value, value], vec![]);
        variances.push(to.node("Add", &[&own, &apart], vec![]));
    }
    let variance = mean(to, &variances, Kind::Double);
    let deviation = to.node("Sqrt", &[&variance], vec![]);
    let is_mean: Vec<bool> = (0..columns).map(|at| at % 2 == 0).collect();
    let is_mean = to.flags("is_mean", &is_mean);
    to.node("Where", &[&is_mean, center, &deviation], vec![])
}

/// Appends what keeps predictions `[rows, columns · each]` within the range of the target, if there is one.
fn within_range(
    to: &mut NodeBuilder,
    value: String,
    preparation: &Preprocessing,
    each: usize,
) -> String {
    if preparation.target_range.is_empty() {
        return value;
    }
    let ends = |end: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        let ranges = preparation.target_range.iter();
        ranges.flat_map(|range| std::iter::repeat_n(end(range), each)).collect()
    };
    let least = to.doubles("target_least", &ends(|range| range.0));
    let largest = to.doubles("target_largest", &ends(|range| range.1));
    let value = to.node("Max", &[&value, &least], vec![]);
    to.node("Min", &[&value, &largest], vec![])
}

/// Appends the conversion of outputs for numbers to the target's units, in f64.
fn in_own_units(to: &mut NodeBuilder, trained: &TrainedModel, outputs: &str) -> Result<String> {
    let (loss, preparation) = (&trained.criterion.loss, &trained.preparation);
    match loss {
        Loss::Classes(ClassLoss::KlDivergence) => {
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
    let value = restore_target(to, (&value, &wide), preparation, each);
    let value = within_range(to, value, preparation, each);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_input_has_the_name_of_a_result_or_of_another_column() {
        let columns = ["a", "x", "x_column", "label"].map(Column::number).to_vec();
        let schema = Schema { columns, ..Schema::default() };
        assert_eq!(input_names(&schema), ["a", "x_column_column", "x_column", "label_column"]);
    }
}
