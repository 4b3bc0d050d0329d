//! `wgrad evaluate`: loss and metrics of a run on other data.

use std::path::Path;

use serde::Serialize;

use super::Exit;
use super::args::EvaluateArgs;
use super::folder::open_run;
use super::output::{Output, failed};
use super::predict::{ROWS, check_finite};
use crate::data::{Dataset, FeatureReader};
use crate::error::{Error, Result};
use crate::report::{Console, JsonLines};
use crate::train::{Predictor, TrainedModel, check_dataset};

/// The result, flat.
#[derive(Serialize)]
struct Evaluated<'a> {
    event: &'a str,
    rows: usize,
    loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r2: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mae: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rmse: Option<f64>,
    device: &'a str,
}

pub(super) fn evaluate(args: &EvaluateArgs) -> Result<Exit> {
    let kind = args.device.parse()?;
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let trained = open_run(&args.run, &mut console)?;
    let data = Dataset::from_csv_like(&args.table, &trained.preparation.schema)?;
    check_dataset(trained.model.tables(), &data, "")?;
    let mut predictor = Predictor::new(&trained, &kind, data.rows())?;
    let (device, reason) = predictor.device();
    console.line(&format!("device  {device}: {reason}"));
    let device = device.name.clone();
    let metrics = predictor.evaluate(&data)?;
    if metrics.entries().iter().any(|(_, value)| !value.is_finite()) {
        return Err(first_wrong(&args.table, &trained, &mut predictor)?);
    }
    let mut out = Output::new();
    if args.json {
        let (rows, loss) = (metrics.rows, metrics.loss);
        let (accuracy, r2, mae, rmse) = (metrics.accuracy, metrics.r2, metrics.mae, metrics.rmse);
        let evaluated =
            Evaluated { event: "evaluated", rows, loss, accuracy, r2, mae, rmse, device: &device };
        JsonLines::new(&mut out).line(&evaluated).map_err(failed)?;
    } else {
        out.line(&metrics.to_string())?;
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
