//! `wgrad evaluate`: loss and metrics of a run on other data, a few thousand rows at a time.
//!
//! In: a run and a table of any length that has the target. Out: its figures, as of all rows at once.

use serde::{Serialize, Serializer};

use super::ROWS;
use super::input::{TableInput, at_row};
use super::odd_rows::OddRows;
use super::predict::check_finite;
use super::prefetch::{Next, Prefetcher};
use super::row_sample::RowSampler;
use super::training_rows::{Overlap, RowDigest, training_rows};
use crate::cli::args::EvaluateArgs;
use crate::cli::open_run::open_run;
use crate::cli::output::{Output, failed};
use crate::cli::wording::{quoted, with_options, without_weights};
use crate::cli::{Exit, next};
use crate::data::{LabelledRows, PartReader, Positive, TableFormat};
use crate::error::{Error, Result};
use crate::report::{Console, JsonLines, pluralize, positive_by_column};
use crate::train::{Evaluation, Metric, Predictor, StreamingEvaluator};

/// The result: figures flat, those that are not defined as `null`, then what each class has.
#[derive(Serialize)]
struct Evaluated<'a> {
    event: &'a str,
    rows: usize,
    /// By column; `null` unless the target is two classes or labels.
    #[serde(serialize_with = "positive_by_column")]
    positive: &'a [Positive],
    #[serde(flatten, serialize_with = "by_name")]
    figures: Vec<(Metric, Option<f64>)>,
    device: &'a str,
    /// Rows that the run was trained on; `null` where that is not known.
    training_rows: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<Class<'a>>,
    /// Number of rows of each class, whatever they weigh, by the class they were taken for; both in the order of `classes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    confusion: Option<&'a [Vec<u64>]>,
}

#[derive(Serialize)]
struct Class<'a> {
    class: &'a str,
    precision: f64,
    recall: f64,
    f1: f64,
    rows: u64,
    /// Sum of the rows' weights.
    weight: f64,
}

fn by_name<S: Serializer>(
    figures: &[(Metric, Option<f64>)],
    to: S,
) -> std::result::Result<S::Ok, S::Error> {
    to.collect_map(figures.iter().map(|(metric, value)| (metric.to_string(), value)))
}

impl<'a> Evaluated<'a> {
    fn new(evaluation: &'a Evaluation, device: &'a str, training_rows: Option<u64>) -> Self {
        let metrics = &evaluation.metrics;
        let classes = evaluation.classes.iter().map(|(name, figures)| Class {
            class: name,
            precision: figures.precision,
            recall: figures.recall,
            f1: figures.f1,
            rows: figures.rows,
            weight: figures.weight,
        });
        Self {
            event: "evaluated",
            rows: metrics.rows,
            positive: &evaluation.positive,
            figures: metrics.all(),
            device,
            training_rows,
            classes: classes.collect(),
            confusion: evaluation.confusion.as_deref(),
        }
    }
}

/// Writes a report of an evaluation, with some of its rows and what they are.
pub(crate) type EvaluationReport =
    fn(&EvaluateArgs, &Predictor, (&LabelledRows, &str), &Evaluation) -> Result<()>;

pub(crate) fn evaluate(args: &EvaluateArgs, report: Option<EvaluationReport>) -> Result<Exit> {
    let kind = args.device.parse()?;
    let (input, format) = (TableInput::of(&args.table), args.format.read()?);
    let format = TableFormat { target_file: args.target.clone(), ..format };
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let ensemble = open_run(&args.run, args.weights.as_deref(), &mut console)?;
    let reader = input.parts(&ensemble.first().preparation.schema, &format)?;
    if !reader.notes().is_empty() {
        let notes = with_options(&reader.notes().join("; "));
        console.say("table", &format!("{}: {notes}", input.name()));
    }
    let weighted = reader.has_weights();
    let predictor = Predictor::on_device(ensemble, &kind, Some(ROWS))?;
    let (device, reason) = (predictor.device(), predictor.reason());
    let trained = predictor.trained();
    console.say("device", &format!("{device}: {reason}"));
    let device = device.name.clone();
    console.begin_table(input.bytes());
    // Weights from elsewhere may have seen other rows.
    let digest = args.weights.is_none().then(|| training_rows(&args.run)).flatten();
    let seen = digest.as_ref();
    let mut sampler = report.map(|_| RowSampler::default());
    let of_run = (&predictor, seen, &mut sampler);
    let (evaluation, overlap) = figures(reader, of_run, &input.name(), &mut console)?;
    console.close();
    if let (Some(report), Some((rows, told))) = (report, sampler.and_then(|it| it.finish("row"))) {
        report(args, &predictor, (&rows, &told), &evaluation)?;
    }
    let known = overlap.and_then(Overlap::rows);
    overlap.and_then(Overlap::warning).iter().for_each(|text| console.warn(text));
    if let Some(weight) = trained.preparation.schema.weight.as_deref().filter(|_| !weighted) {
        let lacks = without_weights(input.name(), weight, "rows");
        console.warn(&format!("{lacks}; add the column if the figures are to be compared"));
    }
    let mut out = Output::new();
    if args.json {
        let evaluated = Evaluated::new(&evaluation, &device, known.or(overlap.map(|_| 0)));
        JsonLines::new(&mut out).line(&evaluated).map_err(failed)?;
    } else {
        out.line(&evaluation.to_string())?;
    }
    out.end()?;
    // Standard input is read only once, and other weights have no pictures of their own.
    if cfg!(feature = "pictures") && args.table.as_os_str() != "-" && args.weights.is_none() {
        let (run, table) = (quoted(&args.run), quoted(&args.table));
        next::show(
            &mut console,
            &[
                format!("wgrad report {run} {table} --out report.html"),
                format!("wgrad plot {run} {table} --out pictures"),
            ],
        );
    }
    Ok(Exit::Done)
}

/// The figures of a table, which is read while the rows before are predicted.
fn figures(
    mut reader: PartReader,
    (predictor, digest, sampler): (&Predictor, Option<&RowDigest>, &mut Option<RowSampler>),
    table: &str,
    console: &mut Console,
) -> Result<(Evaluation, Option<Overlap>)> {
    let mut overlap = digest.map(|_| Overlap::default());
    let mut ahead = Prefetcher::start(move || {
        let part = reader.next_part(ROWS)?;
        Ok(part.map(|part| (part, reader.bytes(), reader.without_target())))
    })?;
    let (mut rows, mut without, mut odd) = (0, 0, OddRows::default());
    let trained = predictor.trained();
    let mut evaluator = StreamingEvaluator::new(trained);
    while let Next::Part((mut part, bytes, lacking)) = ahead.next(|| false)? {
        without = lacking;
        let cells = (part.odd.as_slice(), part.lines.as_slice());
        let skipped = odd.mend(trained, &mut part.x, cells, table)?;
        if !skipped.is_empty() {
            part = part.without(&skipped);
        }
        let place = |row, problem| at_row(table, &part.lines, row, problem);
        trained.check_rows((&part.x).into(), place)?;
        let predictions = predictor.evaluate_chunk(&part, &mut evaluator)?;
        check_finite((&part.x, &part.lines), &predictions, &trained.preparation, table)?;
        if let (Some(digest), Some(overlap)) = (digest, &mut overlap) {
            digest.look((&part.x).into(), &part.y, overlap);
        }
        if let Some(sampler) = sampler {
            sampler.take(&part);
        }
        rows += part.lines.len() as u64;
        console.table(bytes, rows);
    }
    console.close();
    if rows == 0 {
        return Err(Error::table(
            table,
            "no row counts: each has the weight 0, no target, or an id that the model does not know; give a table with rows that \
             count",
        ));
    }
    odd.tell(trained, "they are left out", console);
    if without > 0 {
        let rows = pluralize(without as u64, "row");
        console.warn(&format!("{rows} without a value of the target: left out"));
    }
    let evaluation = evaluator.finish()?;
    if evaluation.metrics.entries().iter().any(|(_, value)| !value.is_finite()) {
        let problem =
            "the figures are not finite, although all predictions are: is this the right table?";
        return Err(Error::table(table, problem));
    }
    Ok((evaluation, overlap))
}
