//! `wgrad info`: a run's layers, target, and what becomes of each column.

use crate::cli::Exit;
use crate::cli::args::InfoArgs;
use crate::cli::open_run::open_run;
use crate::cli::output::{Output, failed};
use crate::data::{
    Column, ColumnEncoding, FeatureScaling, PooledTexts, Preprocessing, TargetKind, list,
};
use crate::error::Result;
use crate::report::{Console, JsonLines, pluralize};
use crate::shape::brief;
use serde::Serialize;

#[derive(Serialize)]
struct InfoLine<'a> {
    event: &'a str,
    loss: String,
    /// Number of networks whose mean is the prediction.
    members: usize,
    /// Parameters of one network.
    parameters: usize,
    preparation: &'a Preprocessing,
}

pub(crate) fn info(args: &InfoArgs) -> Result<Exit> {
    let ensemble = open_run(&args.run, None, &mut Console::stderr())?;
    let (trained, members) = (ensemble.first(), ensemble.members().len());
    let preparation = &trained.preparation;
    let schema = &preparation.schema;
    let summary = trained.model.summary(schema.features.len())?;
    let mut out = Output::new();
    if args.json {
        let (loss, parameters) = (trained.criterion.loss.to_string(), summary.parameters());
        let line = InfoLine { event: "model", loss, members, parameters, preparation };
        JsonLines::new(&mut out).line(&line).map_err(failed)?;
    } else {
        if members > 1 {
            let each = match ensemble.members().iter().all(|it| it.preparation == *preparation) {
                true => "each with weights of its own",
                false => "each with weights and scaling of its own; these are the first one's",
            };
            out.line(&format!(
                "an ensemble of {members} networks, whose mean is the prediction, {each}\n"
            ))?;
        }
        out.line(&format!("{summary}\n"))?;
        out.line(&format!(
            "predicts {}, loss {}",
            list(&schema.targets()),
            trained.criterion.loss
        ))?;
        for line in targets(preparation).iter().chain(&columns(preparation)) {
            out.line(line)?;
        }
    }
    out.end()?;
    Ok(Exit::Done)
}

/// Says how an input is scaled, whose method this is.
fn scaling(preparation: &Preprocessing, input: usize, method: FeatureScaling) -> String {
    match preparation.curves.quantiles.get(&input) {
        Some(table) => by_rank(table),
        None => scaling_text(method, preparation.mean[input], preparation.std[input]),
    }
}

fn scaling_text(method: FeatureScaling, mean: f64, std: f64) -> String {
    let (mean, above, std) = (brief(mean), brief(mean + std), brief(std));
    match method {
        FeatureScaling::Standard => format!("mean {mean}, deviation {std}"),
        FeatureScaling::Robust => {
            format!("robust: median {mean}, quartiles {std} apart, kept within 3")
        }
        FeatureScaling::MinMax => format!("minmax: 0 is {mean}, 1 is {above}"),
        FeatureScaling::Log => format!("log: of the logarithms mean {mean}, deviation {std}"),
        // A constant column has no ranks.
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

/// A line for each numeric target.
fn targets(preparation: &Preprocessing) -> Vec<String> {
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
        format!("  {}: target, {told}", list(&[name]))
    };
    schema.targets().into_iter().enumerate().map(line).collect()
}

/// A line for each column.
fn columns(preparation: &Preprocessing) -> Vec<String> {
    let schema = &preparation.schema;
    let plain: Vec<Column> = schema.all_columns();
    let methods = preparation.methods();
    let mut place = 0;
    let line = |column: &Column| {
        let first = place;
        place += column.width();
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
        format!("  {}: {told}", list(&[&column.name]))
    };
    let mut lines: Vec<String> = plain.iter().map(line).collect();
    lines.extend(schema.duplicates.iter().map(|it| {
        let (column, other) = (list(&[&it.column]), list(&[&it.same_as]));
        format!("  {column}: left out, with the values of {other} in all training rows")
    }));
    lines
}

fn rare(pooled: &PooledTexts) -> String {
    let texts = pluralize(pooled.texts as u64, "rare text");
    format!("{texts} ({})", pluralize(pooled.rows as u64, "row"))
}
