//! `wgrad evaluate`: loss and metrics of a run on other data.

use std::path::Path;

use serde::{Serialize, Serializer};

use super::Exit;
use super::args::EvaluateArgs;
use super::folder::open_run;
use super::output::{Output, failed};
use super::predict::{ROWS, check_finite};
use crate::data::{Dataset, FeatureReader};
use crate::error::{Error, Result};
use crate::report::{Console, JsonLines};
use crate::train::{Evaluation, Metric, Metrics, Predictor, TrainedModel, check_dataset};

/// The result: figures flat, those that are not defined as `null`, then what each class has.
#[derive(Serialize)]
struct Evaluated<'a> {
    event: &'a str,
    rows: usize,
    #[serde(flatten, serialize_with = "by_name")]
    figures: Vec<(Metric, Option<f64>)>,
    device: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<Class<'a>>,
    /// Rows of each class, by the class they were taken for; both in the order of `classes`.
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
}

fn by_name<S: Serializer>(
    figures: &[(Metric, Option<f64>)],
    to: S,
) -> std::result::Result<S::Ok, S::Error> {
    to.collect_map(figures.iter().map(|(metric, value)| (metric.to_string(), value)))
}

impl<'a> Evaluated<'a> {
    fn new(evaluation: &'a Evaluation, device: &'a str) -> Self {
        let metrics = &evaluation.metrics;
        let usual = Metrics { asked: Vec::new(), ..metrics.clone() };
        let usual = usual.entries().into_iter().map(|(metric, value)| (metric, Some(value)));
        let classes = evaluation.classes.iter().map(|(name, figures)| Class {
            class: name,
            precision: figures.precision,
            recall: figures.recall,
            f1: figures.f1,
            rows: figures.rows,
        });
        Self {
            event: "evaluated",
            rows: metrics.rows,
            figures: usual.chain(metrics.asked.iter().copied()).collect(),
            device,
            classes: classes.collect(),
            confusion: evaluation.confusion.as_deref(),
        }
    }
}

pub(super) fn evaluate(args: &EvaluateArgs) -> Result<Exit> {
    let kind = args.device.parse()?;
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let trained = open_run(&args.run, args.weights.as_deref(), &mut console)?;
    let data = Dataset::from_csv_like(&args.table, &trained.preparation.schema)?;
    check_dataset(trained.model.tables(), &data, "")?;
    let mut predictor = Predictor::new(&trained, &kind, data.rows())?;
    let (device, reason) = predictor.device();
    console.line(&format!("device  {device}: {reason}"));
    let device = device.name.clone();
    let evaluation = predictor.assess(&data)?;
    if evaluation.metrics.entries().iter().any(|(_, value)| !value.is_finite()) {
        return Err(first_wrong(&args.table, &trained, &mut predictor)?);
    }
    let mut out = Output::new();
    if args.json {
        let evaluated = Evaluated::new(&evaluation, &device);
        JsonLines::new(&mut out).line(&evaluated).map_err(failed)?;
    } else {
        out.line(&evaluation.to_string())?;
    }
    out.end()?;
    Ok(Exit::Done)
}

/// The row whose prediction makes the figures no numbers, as an error.
fn first_wrong(table: &Path, trained: &TrainedModel, predictor: &mut Predictor) -> Result<Error> {
    let mut reader = FeatureReader::open(table, &trained.preparation.schema)?;
    while let Some(chunk) = reader.next_chunk(ROWS)? {
        let predictions = predictor.predict(&chunk.x)?;
        if let Err(error) = check_finite(&chunk, &predictions, &trained.preparation, table) {
            return Ok(error);
        }
    }
    let problem =
        "the figures are not finite, although all predictions are: is this the right table?";
    Ok(Error::table(table.display().to_string(), problem))
}
