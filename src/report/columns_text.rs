//! Texts on columns and targets: scaling, categories, gaps.
//!
//! In: the preprocessing that a model keeps. Out: a name and a sentence for each.

use std::ops::Range;

use super::text::pluralize;
use crate::data::{
    Column, ColumnEncoding, FeatureScaling, OF_CONSTANT, PooledTexts, Preprocessing, TargetKind,
    list,
};
use crate::shape::brief;

/// Says how an input is scaled, whose method this is.
fn scaling(preparation: &Preprocessing, input: usize, method: FeatureScaling) -> String {
    match preparation.curves.quantiles.get(&input) {
        Some(table) => by_rank(table),
        None => scaling_text(method, preparation.mean[input], preparation.std[input]),
    }
}

fn scaling_text(method: FeatureScaling, mean: f64, std: f64) -> String {
    if std == OF_CONSTANT {
        let value = match method {
            FeatureScaling::Log => mean.abs().exp_m1().copysign(mean),
            _ => mean,
        };
        return format!("{} in all training rows, so that it changes nothing", brief(value));
    }
    let (mean, above, std) = (brief(mean), brief(mean + std), brief(std));
    match method {
        FeatureScaling::Standard => format!("mean {mean}, deviation {std}"),
        FeatureScaling::Robust => {
            format!("robust: median {mean}, quartiles {std} apart, kept within 3")
        }
        FeatureScaling::MinMax => format!("minmax: 0 is {mean}, 1 is {above}"),
        FeatureScaling::Log => format!("log: of the logarithms mean {mean}, deviation {std}"),
        // A constant target has no ranks.
        FeatureScaling::Quantile => format!("quantile: all are {mean}"),
        FeatureScaling::None => "not scaled".to_string(),
    }
}

fn by_rank(table: &[f64]) -> String {
    let at = |share: usize| brief(table[(table.len() - 1) * share / 2]);
    format!(
        "quantile: {} values from {} over {} to {} make a normal distribution",
        table.len(),
        at(0),
        at(1),
        at(2)
    )
}

/// Returns each numeric target with the way in which it is scaled; none for classes and labels.
pub fn target_texts(preparation: &Preprocessing) -> Vec<(String, String)> {
    let schema = &preparation.schema;
    if !matches!(schema.kind, TargetKind::Number | TargetKind::Numbers(_)) {
        return Vec::new();
    }
    let line = |(column, name): (usize, &str)| {
        let (mean, std) = (preparation.target_mean[column], preparation.target_std[column]);
        let told = match preparation.curves.target_quantiles.get(&column) {
            Some(table) => by_rank(table),
            None => scaling_text(preparation.target_method(), mean, std),
        };
        (name.to_string(), told)
    };
    schema.targets().into_iter().enumerate().map(line).collect()
}

/// Returns each feature column with what becomes of it; those that were left out as duplicates come last.
pub fn column_texts(preparation: &Preprocessing) -> Vec<(String, String)> {
    let schema = &preparation.schema;
    let plain: Vec<Column> = schema.all_columns();
    let methods = preparation.methods();
    let line = |(column, inputs): (&Column, Range<usize>)| {
        let first = inputs.start;
        let scaling = scaling(preparation, first, methods[first]);
        let gaps = if column.encoding.had_gaps() { ", and an input that marks gaps" } else { "" };
        let told = match &column.encoding {
            ColumnEncoding::Number { fill: Some(fill) } => {
                format!("number, {scaling}; {} for gaps{gaps}", brief(*fill))
            }
            ColumnEncoding::Number { fill: None } => format!("number, {scaling}"),
            ColumnEncoding::Binary { values } => {
                format!("category: 0 is {}, 1 is {}", list(&[&values[0]]), list(&[&values[1]]))
            }
            ColumnEncoding::OneHot { values, pooled, .. } => {
                let pooled =
                    pooled.as_ref().map(|it| format!(", one for {} and all others", rare(it)));
                let pooled = pooled.unwrap_or_default();
                format!("category, an input for each of {}{pooled}{gaps}", list(values))
            }
            ColumnEncoding::Embedding { values, dimension, pooled, .. } => format!(
                "category, a row of an embedding's table, {} x {dimension}; row 0 is for gaps{} and other texts: {}",
                values.len() + 1,
                pooled.as_ref().map(|it| format!(", {}", rare(it))).unwrap_or_default(),
                list(values)
            ),
            ColumnEncoding::Date { format, timed, gaps, .. } => {
                let inputs = column.inputs();
                let parts = inputs[..inputs.len() - usize::from(*gaps)].iter();
                let parts = parts.map(|input| input[column.name.len()..].trim_start());
                let parts: Vec<&str> = parts.collect();
                let parts = if parts.is_empty() { "no part of it" } else { &parts.join(", ") };
                let kind = if *timed { "date and time" } else { "date" };
                let format = format.as_ref().map(|it| format!(" as {}", list(&[it])));
                let scaled = match methods[first] {
                    FeatureScaling::Standard => String::new(),
                    method => format!(", scaled by {method}"),
                };
                let gaps = if *gaps { ", and an input that marks gaps" } else { "" };
                format!("{kind}{}: {parts}{scaled}{gaps}", format.unwrap_or_default())
            }
        };
        (column.name.clone(), told)
    };
    let mut texts: Vec<(String, String)> =
        plain.iter().zip(schema.inputs_of_columns()).map(line).collect();
    texts.extend(schema.duplicates.iter().map(|it| {
        let other = list(&[&it.same_as]);
        let told = format!("left out, with the values of {other} in all training rows");
        (it.column.clone(), told)
    }));
    texts
}

fn rare(pooled: &PooledTexts) -> String {
    let texts = pluralize(pooled.texts as u64, "rare text");
    format!("{texts} ({})", pluralize(pooled.rows as u64, "row"))
}
