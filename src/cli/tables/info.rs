//! `wgrad info`: a run's layers, target, and what becomes of each column.

use crate::cli::Exit;
use crate::cli::args::InfoArgs;
use crate::cli::open_run::open_run;
use crate::cli::output::{Output, failed};
use crate::data::{Column, ColumnEncoding, FeatureScaling, Preprocessing, list};
use crate::error::Result;
use crate::report::{Console, JsonLines};
use crate::shape::short;
use serde::Serialize;

#[derive(Serialize)]
struct InfoLine<'a> {
    event: &'a str,
    loss: String,
    parameters: usize,
    preparation: &'a Preprocessing,
}

pub(crate) fn info(args: &InfoArgs) -> Result<Exit> {
    let trained = open_run(&args.run, None, &mut Console::stderr())?;
    let preparation = &trained.preparation;
    let schema = &preparation.schema;
    let summary = trained.model.summary(schema.features.len())?;
    let mut out = Output::new();
    if args.json {
        let (loss, parameters) = (trained.criterion.loss.to_string(), summary.parameters());
        let line = InfoLine { event: "model", loss, parameters, preparation };
        JsonLines::new(&mut out).line(&line).map_err(failed)?;
    } else {
        out.line(&format!("{summary}\n"))?;
        out.line(&format!(
            "predicts {}, loss {}",
            list(&schema.targets()),
            trained.criterion.loss
        ))?;
        for line in columns(preparation) {
            out.line(&line)?;
        }
    }
    out.end()?;
    Ok(Exit::Done)
}

/// A line for each column.
fn columns(preparation: &Preprocessing) -> Vec<String> {
    let schema = &preparation.schema;
    let plain: Vec<Column> = schema.all_columns();
    let mut place = 0;
    let line = |column: &Column| {
        let first = place;
        place += column.inputs().len();
        let scaling = match preparation.scale {
            FeatureScaling::Standard => format!(
                "mean {}, deviation {}",
                short(preparation.mean[first]),
                short(preparation.std[first])
            ),
            FeatureScaling::None => "not scaled".to_string(),
        };
        let gaps = if column.encoding.had_gaps() { ", and an input that marks gaps" } else { "" };
        let told = match &column.encoding {
            ColumnEncoding::Number { fill: Some(fill) } => {
                format!("number, {scaling}; {} for gaps{gaps}", short(*fill))
            }
            ColumnEncoding::Number { fill: None } => format!("number, {scaling}"),
            ColumnEncoding::Binary { values } => {
                format!("category: 0 is {}, 1 is {}", list(&[&values[0]]), list(&[&values[1]]))
            }
            ColumnEncoding::OneHot { values, .. } => {
                format!("category, an input for each of {}{gaps}", list(values))
            }
            ColumnEncoding::Embedding { values, dimension, .. } => format!(
                "category, a row of an embedding's table, {} x {dimension}; row 0 is for gaps and other texts: {}",
                values.len() + 1,
                list(values)
            ),
            ColumnEncoding::Date { format, timed, .. } => {
                let kind = if *timed { "date and time" } else { "date" };
                let format = format.as_ref().map(|it| format!(" as {}", list(&[it])));
                format!("{kind}{}, its parts and days{gaps}", format.unwrap_or_default())
            }
        };
        format!("  {}: {told}", list(&[&column.name]))
    };
    plain.iter().map(line).collect()
}
