//! `wgrad calibrate`: a model whose probabilities are right as often as they say.
//!
//! In: a run, and rows that it was not trained on. Out: a model file.
//! Absent on purpose: how the temperature is found (`train/calibration.rs`).

use std::path::Path;

use serde::Serialize;

use super::input::TableInput;
use super::some_rows::{some_rows, validation_rows};
use super::training_rows::{told_training_rows, training_rows};
use crate::cli::Exit;
use crate::cli::args::CalibrateArgs;
use crate::cli::next;
use crate::cli::open_run::{TRAINING_ROWS, VALIDATION, open_run};
use crate::cli::output::{Output, check_out, failed};
use crate::cli::wording::quoted;
use crate::error::{Error, Result};
use crate::export::{MODEL_FILE, write_ensemble};
use crate::report::{Console, JsonLines, pluralize};
use crate::train::{Calibration, Predictor};

/// Distance of a temperature from 1 up to which it hardly changes a probability.
const SURE: f64 = 0.02;

#[derive(Serialize)]
struct Calibrated {
    event: &'static str,
    model: String,
    temperature: f64,
    rows: usize,
    log_loss_before: f64,
    log_loss: f64,
    ece_15_before: f64,
    ece_15: f64,
}

pub(crate) fn calibrate(args: &CalibrateArgs) -> Result<Exit> {
    let (model, validation) = (args.run.join(MODEL_FILE), args.run.join(VALIDATION));
    let table = args.table.as_deref().map(Path::new);
    let inputs: Vec<&Path> =
        [args.run.as_path(), &model, &validation].into_iter().chain(table).collect();
    check_out("--out", &args.out, &inputs, args.force)?;
    let format = args.format.read_for(args.table.as_deref())?;
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let predictor = Predictor::new(open_run(&args.run, None, &mut console)?)?;
    let (rows, place) = match &args.table {
        Some(table) => {
            let input = TableInput::of(table);
            let rows = some_rows(input, &format, &predictor, (&mut console, "row"))?;
            (rows, TableInput::of(table).name())
        }
        None if args.run.is_dir() && validation.exists() => {
            let advice = format!(
                "to take them as they are now, name the file: wgrad calibrate {} {} --out {}; or name another table with rows that the \
                 run was not trained on",
                quoted(&args.run),
                quoted(&validation),
                quoted(&args.out)
            );
            let rows = validation_rows(&args.run, &predictor, &advice, &mut console)?;
            (rows, validation.display().to_string())
        }
        None => return Err(without_rows(&args.run)),
    };
    let Some(rows) = rows else {
        return Err(Error::table(place, "no row counts; give a table with rows that count"));
    };
    console.say("rows", &rows.told);
    if let Some(text) = told_training_rows(&args.run, &rows.rows) {
        console.warn(&format!(
            "{text}, and the temperature of rows that a network knows is too small; give others"
        ));
    }
    let (ensemble, found) = predictor.calibrate_rows(&rows.rows).map_err(|error| match error {
        Error::Setting { problem, .. } => Error::table(place, problem),
        other => other,
    })?;
    write_ensemble(&ensemble, &args.out)?;
    let mut out = Output::new();
    if args.json {
        JsonLines::new(&mut out).line(&result(args, &found)).map_err(failed)?;
    } else {
        lines(&args.out, &found).iter().try_for_each(|line| out.line(line))?;
    }
    out.end()?;
    let model = quoted(&args.out);
    let commands = ["predict", "evaluate"].map(|verb| format!("wgrad {verb} {model} TABLE"));
    let export = format!("wgrad export {model} --onnx model.onnx");
    next::show(&mut console, &[&commands[..], &[export]].concat());
    Ok(Exit::Done)
}

/// Returns the error for a run whose validation rows are not there.
fn without_rows(run: &Path) -> Error {
    let written = training_rows(run).and_then(|digest| digest.validation);
    let why = match written {
        Some(file) => format!(
            "{VALIDATION} with {} is no more in {}; put the file back",
            pluralize(file.rows, "validation row"),
            run.display()
        ),
        // A run that was stopped has a model, and no digest of its rows.
        None if run.join(MODEL_FILE).exists() && !run.join(TRAINING_ROWS).exists() => format!(
            "this run was stopped before it wrote its validation rows (`wgrad resume {}` goes on with it)",
            quoted(run)
        ),
        None if run.is_dir() => "this run has no validation rows".to_string(),
        None => format!("{} is a model alone, without validation rows", run.display()),
    };
    let or = if written.is_some() { ", or" } else { ";" };
    let example = format!("wgrad calibrate {} TABLE --out calibrated.safetensors", quoted(run));
    Error::setting(
        "TABLE",
        format!("missing: {why}{or} name a table with rows that it was not trained on: {example}"),
    )
}

fn result(args: &CalibrateArgs, found: &Calibration) -> Calibrated {
    Calibrated {
        event: "finished",
        model: args.out.display().to_string(),
        temperature: found.temperature,
        rows: found.rows,
        log_loss_before: found.log_loss.0,
        log_loss: found.log_loss.1,
        ece_15_before: found.calibration_error.0,
        ece_15: found.calibration_error.1,
    }
}

fn lines(out: &Path, found: &Calibration) -> Vec<String> {
    let Calibration { temperature, log_loss, calibration_error: error, .. } = found;
    let was = match *temperature {
        near if (near - 1.0).abs() < SURE => "about as sure as it is right",
        above if above > 1.0 => "too sure",
        _ => "not sure enough",
    };
    vec![
        format!("{}: temperature {temperature:.4}; the network was {was}", out.display()),
        format!("log_loss  {:.4} before, {:.4} now", log_loss.0, log_loss.1),
        format!("ece_15    {:.4} before, {:.4} now", error.0, error.1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_near_1_is_no_fault() {
        for (temperature, want) in [
            (1.3, "was too sure"),
            (0.9936, "was about as sure as it is right"),
            (0.7, "was not sure enough"),
        ] {
            let found = Calibration {
                temperature,
                rows: 9,
                log_loss: (0.4, 0.3),
                calibration_error: (0.2, 0.1),
            };
            assert!(lines(Path::new("c"), &found)[0].ends_with(want), "{temperature}");
        }
    }
}
