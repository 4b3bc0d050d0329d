//! `wgrad inspect`: the columns of a table, and what `wgrad train` would make of them.

use serde::Serialize;

use super::input::TableInput;
use super::reading::with_bar;
use crate::cli::Exit;
use crate::cli::args::InspectArgs;
use crate::cli::output::{Output, failed};
use crate::cli::settings::column_options;
use crate::cli::wording::with_options;
use crate::data::{ColumnReport, TableOptions, inspect_noted, list};
use crate::error::Result;
use crate::report::{Console, JsonLines, count, pluralize};
use crate::shape::{brief, shortest};

#[derive(Serialize)]
struct ColumnLine<'a> {
    event: &'a str,
    #[serde(flatten)]
    column: &'a ColumnReport,
}

pub(crate) fn inspect(args: &InspectArgs) -> Result<Exit> {
    let (of_columns, scaling) =
        column_options([&args.columns, &args.ignore, &args.missing].map(|it| it.as_deref()))?;
    let options = TableOptions {
        format: args.format.read()?,
        one_hot: args.one_hot,
        min_count: args.min_count.unwrap_or_default(),
        ..of_columns
    };
    let read =
        |progress| inspect_noted(&args.table, &TableOptions { progress, ..options }, &scaling);
    let (mut columns, notes) = with_bar(args.json, &args.table, read)?;
    if !notes.is_empty() {
        let told = with_options(&notes.join("; "));
        Console::stderr().say("table", &format!("{}: {told}", TableInput::of(&args.table).name()));
    }
    columns.iter_mut().for_each(|column| column.becomes = with_options(&column.becomes));
    let mut out = Output::new();
    if args.json {
        for column in &columns {
            let line = ColumnLine { event: "column", column };
            JsonLines::new(&mut out).line(&line).map_err(failed)?;
        }
    } else {
        lines(&columns).iter().try_for_each(|line| out.line(line))?;
    }
    out.end()?;
    Ok(Exit::Done)
}

/// A line for each column below a header, and below it what becomes of it.
fn lines(columns: &[ColumnReport]) -> Vec<String> {
    let rows = columns.first().map_or(0, |column| column.cells);
    let names: Vec<String> = columns.iter().map(|column| list(&[&column.name])).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(6);
    let mut lines =
        vec![[pluralize(rows as u64, "row"), pluralize(columns.len() as u64, "column")].join(", ")];
    lines.push(format!(
        "{:<width$}  {:<8} {:>9} {:>9}  values",
        "column", "kind", "gaps", "distinct"
    ));
    for (column, name) in columns.iter().zip(names) {
        let pad = " ".repeat(width - name.chars().count());
        let range = column.range.filter(|_| column.kind == "number");
        let values = match range {
            Some((low, high)) => format!("{} to {}", bound(low), bound(high)),
            None => list(&column.examples),
        };
        let more = if column.or_more { "+" } else { "" };
        let gaps = count(column.gaps as u64);
        let distinct = format!("{}{more}", count(column.distinct as u64));
        lines.push(format!("{name}{pad}  {:<8} {gaps:>9} {distinct:>9}  {values}", column.kind));
        lines.push(format!("{:<width$}  -> {}", "", column.becomes));
    }
    lines
}

/// An end of a range with all its digits, or with six where a fraction has very many.
fn bound(value: f64) -> String {
    const MANY: usize = 12;
    let (all, few) = (shortest(value), brief(value));
    if all.len() <= MANY || value.fract() == 0.0 { all } else { few }
}
